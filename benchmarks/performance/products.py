"""The least time that an answer can take: the multiply-adds of its models' matrix products, at this machine's speed.

Counted are the products of an encoder's graph, at the shapes that they have when it runs on so many tokens: MatMul, Gemm and their
8-bit forms, and attention. Everything else (norms, activations, the tokens' table, what is done outside the models) counts as
free, so no program reaches this floor. The speed is that of one product after another on one core, the best of some shapes.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from math import prod
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

Number = Literal["int8", "float32"]
# Which of a node's inputs are the factors, and in which numbers it multiplies.
PRODUCTS: dict[str, Number] = {
    "MatMul": "float32", "Gemm": "float32", "MultiHeadAttention": "float32", "DynamicQuantizeMatMul": "int8",
    "MatMulInteger": "int8", "MatMulNBits": "int8",
}  # fmt: skip
# (rows, inner, columns) of products whose speed is measured: an encoder's own over 100 and 400 tokens, and a large one.
SHAPES = ((100, 384, 1536), (400, 1536, 384), (400, 384, 1536), (512, 1024, 1024))
# Seconds for which a product is repeated; the best single one counts, since other work may run beside.
REPEATED = 0.4


@dataclass(frozen=True, slots=True)
class MultiplyAdds:
    """How many multiply-adds are done, by the numbers that are multiplied."""

    int8: int = 0
    float32: int = 0

    def __add__(self, other: Self) -> "MultiplyAdds":
        return MultiplyAdds(self.int8 + other.int8, self.float32 + other.float32)


@dataclass(frozen=True, slots=True)
class Speed:
    """Multiply-adds a second of one core."""

    int8: float
    float32: float

    def seconds(self, work: MultiplyAdds) -> float:
        """Give how long one core takes at least."""
        return work.int8 / self.int8 + work.float32 / self.float32


class ProductCounter:
    """Counts the multiply-adds of an encoder's graph by running it with every product's shapes looked at.

    :param path: An ONNX file whose input is ``input_ids``, of one text.
    """

    def __init__(self, path: Path) -> None:
        """Open the graph, with the factors and results of its products among its outputs."""
        model = onnx.load(str(path), load_external_data=False)
        self._nodes = [node for node in model.graph.node if node.op_type in PRODUCTS]
        constants = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
        there = {value.name for value in model.graph.output} | {value.name for value in model.graph.input}
        names = dict.fromkeys(name for node in self._nodes for name in (*_factors(node), node.output[0]))
        self._wanted = [name for name in names if name not in constants and name != "input_ids"]
        model.graph.output.extend(
            helper.make_empty_tensor_value_info(name) for name in self._wanted if name not in there
        )
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(path.parent))
        self._session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        self._constants = constants
        self.count = cache(self._count)

    def _count(self, tokens: int) -> MultiplyAdds:
        """Count for one text of so many tokens."""
        found = self._session.run(self._wanted, {"input_ids": np.ones((1, tokens), np.int64)})
        shapes = self._constants | {name: value.shape for name, value in zip(self._wanted, found, strict=True)}
        counts = {"int8": 0, "float32": 0}
        for node in self._nodes:
            counts[PRODUCTS[node.op_type]] += _multiply_adds(node, shapes)
        return MultiplyAdds(counts["int8"], counts["float32"])


def _factors(node: onnx.NodeProto) -> list[str]:
    return [name for name in node.input[:2] if name]


def _multiply_adds(node: onnx.NodeProto, shapes: dict[str, Any]) -> int:
    first = shapes[node.input[0]]
    if node.op_type == "MultiHeadAttention":  # the queries with the keys, and the weights with the values
        batch, asked, width = first
        return 2 * int(batch) * int(asked) * int(shapes[node.input[1]][1]) * int(width)
    transposed = any(attribute.name == "transA" and attribute.i for attribute in node.attribute)
    return int(prod(shapes[node.output[0]])) * int(first[0 if transposed else -1])


def measured_speed() -> Speed:
    """Measure one core's speed in 8-bit and in float32 products."""
    return Speed(max(_rate("int8", shape) for shape in SHAPES), max(_rate("float32", shape) for shape in SHAPES))


def _rate(number: Number, shape: Sequence[int]) -> float:
    rows, inner, columns = shape
    random = np.random.default_rng(1)
    given: npt.NDArray[Any]
    if number == "int8":
        given = random.integers(0, 256, (rows, inner)).astype(np.uint8)
        factor, kinds = (
            random.integers(-64, 64, (inner, columns)).astype(np.int8),
            (TensorProto.UINT8, TensorProto.INT32),
        )
    else:
        given = random.standard_normal((rows, inner)).astype(np.float32)
        factor, kinds = (
            random.standard_normal((inner, columns)).astype(np.float32),
            (TensorProto.FLOAT, TensorProto.FLOAT),
        )
    node = helper.make_node("MatMulInteger" if number == "int8" else "MatMul", ["given", "factor"], ["made"])
    graph = helper.make_graph(
        [node], "product",
        [helper.make_tensor_value_info("given", kinds[0], (rows, inner))],
        [helper.make_tensor_value_info("made", kinds[1], (rows, columns))],
        [numpy_helper.from_array(factor, "factor")],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    best, end = float("inf"), time.perf_counter() + REPEATED
    while time.perf_counter() < end:
        begun = time.perf_counter()
        session.run(None, {"given": given})
        best = min(best, time.perf_counter() - begun)
    return rows * inner * columns / best
