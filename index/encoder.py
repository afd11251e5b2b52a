"""Turn text into vectors at query time: ONNX Runtime over an exported encoder folder.

The folder is written by `index.export.export` and travels inside the snapshot, so that the vectors and what
made them cannot be parted. Nothing here imports torch, transformers or sentence-transformers.

Errors: `EncoderError`, for every way in which a folder cannot be used.
"""

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import onnxruntime

Vectors = NDArray[np.float32]
Layers = dict[int, Vectors]
"""Vectors of a text's tokens (tokens, dimension), by the number of the encoder's layer."""
Progress = Callable[[int], None]
Tokenize = Callable[[Sequence[str]], list[list[int]]]

CARD = "encoder.json"
MODEL = "model.onnx"
WEIGHTS = "model.onnx.data"
OUTPUT = "vectors"
"""What the graph gives: the text's unit vector."""
FORMAT = 1
"""Of encoder.json; raised when an older reader could no longer read the folder."""
LAYERS: dict[str, tuple[int, ...]] = {"e5": (6, 12)}
"""Layers whose token vectors an encoder gives besides, by its name: those that service/reader.npz reads."""
REMEMBERED = 32
"""Questions whose token vectors are kept, 0.2 MB each at most: the reader asks for them when the search has encoded them."""


class EncoderError(Exception):
    """An encoder cannot be loaded, exported or opened; the message says what, where and what to do."""


class Encoder(Protocol):
    """What makes vectors: rows of unit length, so that a dot product is a cosine."""

    @property
    def fingerprint(self) -> str:
        """Name the exact files and settings; vectors of different fingerprints must not be compared."""

    @property
    def dimension(self) -> int:
        """Count the columns of a vector."""

    def encode_query(self, texts: Sequence[str]) -> Vectors:
        """Encode questions: (n, dimension) float32 unit rows, in the order of `texts`."""

    def encode_document(self, texts: Sequence[str], progress: Progress | None = None) -> Vectors:
        """Encode passages: (n, dimension) float32 unit rows, in the order of `texts`."""


@dataclass(frozen=True, slots=True)
class Card:
    """What encoder.json says: everything that decides a vector, and where the weights come from."""

    name: str
    source: str
    licence: str
    dimension: int
    max_tokens: int
    """Longer texts are cut; counts the start and the end mark."""
    marks: dict[str, int]
    """Ids of the marks, where `index.unigram` cuts the text; empty where tokenizer.json does."""
    pooling: str
    query_prompt: str
    document_prompt: str
    recipe: str
    files: dict[str, str]
    """File name → sha256."""
    format: int = FORMAT

    @property
    def fingerprint(self) -> str:
        """Digest the card, and by it the files, as 16 hex digits."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:16]

    def write(self, folder: Path) -> None:
        """Write encoder.json, with the fingerprint for the reader's eye."""
        text = json.dumps({**asdict(self), "fingerprint": self.fingerprint}, indent=2, ensure_ascii=False)
        (folder / CARD).write_text(text + "\n", encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> "Card":
        """Read encoder.json.

        :raises EncoderError: it is missing, not JSON, of another format, or its fingerprint does not fit its fields.
        """
        path = folder / CARD
        try:
            fields: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            fingerprint = fields.pop("fingerprint")
            card = cls(**fields)
        except FileNotFoundError:
            raise EncoderError(f"{path} is missing: {MEND}") from None
        except (OSError, ValueError, TypeError, AttributeError, KeyError) as error:
            raise EncoderError(f"{path} cannot be read ({error}): {MEND}") from error
        if card.format != FORMAT:
            raise EncoderError(f"{path} has format {card.format}, this version reads {FORMAT}: {MEND}")
        if card.fingerprint != fingerprint:
            raise EncoderError(f"{path} was changed after it was written: {MEND}")
        return card

    def verify(self, folder: Path, *, weights: bool = True) -> None:
        """Compare every file with its checksum.

        :param weights: The big one too.

        :raises EncoderError: a file is missing or is not the one that was exported.
        """
        for name, expected in self.files.items():
            if (weights or name != WEIGHTS) and sha256(folder / name) != expected:
                raise EncoderError(f"{folder / name} is damaged (its sha256 is not that of {CARD}): {MEND}")


MEND = "build the snapshot again with `citedesk build`, or go back with `citedesk snapshots rollback`"


class OnnxEncoder:
    """Encode with an exported folder, each text by itself.

    Nothing is padded, and a vector never depends on its neighbours, so that a cached one equals a new one. Batches
    would gain passages nothing (e5, 165 tokens, texts a core second on 2026-11-22: 28 one by one, 28 by two, 21 by
    eight), and sentences of 24 tokens a third. Threads work on different texts.

    :param folder: written by `index.export.export`.
    :param threads: how many texts are encoded at once; 0 takes all cores.
    :param layers: whose token vectors are wanted, 1 to the last one; None for those that `LAYERS` names.
    :param verify: compare the weights with their checksum first (0.1 s for e5); a caller that has just verified the
        snapshot's manifest need not. The other files are always compared.
    :raises EncoderError: the folder cannot be used.
    """

    def __init__(
        self, folder: Path, *, threads: int = 0, verify: bool = True, layers: Sequence[int] | None = None
    ) -> None:
        """Open the folder; the model's weights are mapped, not read."""
        self.card = Card.read(folder)
        self.card.verify(folder, weights=verify)
        self._threads = threads or os.cpu_count() or 1
        self.folder = folder
        self.layers = tuple(LAYERS.get(self.card.name, ()) if layers is None else layers)
        self._outputs = [f"layer_norm_{2 * layer}" for layer in self.layers]  # two a layer: index.export named them so
        self._session = _open_model(folder, self._outputs)
        self._tokenize = _open_tokenizer(folder, self.card)
        self._question = lru_cache(REMEMBERED)(self._run)

    @property
    def fingerprint(self) -> str:
        """Name the exact files and settings."""
        return self.card.fingerprint

    @property
    def dimension(self) -> int:
        """Count the columns of a vector."""
        return self.card.dimension

    def pieces(self, word: str) -> int:
        """Count the tokens of a word; 1 where the model knows it as a whole."""
        return len(self._tokenize([word])[0]) - len(self._tokenize([""])[0])

    def encode_query(self, texts: Sequence[str]) -> Vectors:
        """Encode questions: (n, dimension) float32 unit rows, in the order of `texts`."""
        return self._encode(self.card.query_prompt, texts, None)

    def encode_document(self, texts: Sequence[str], progress: Progress | None = None) -> Vectors:
        """Encode passages: (n, dimension) float32 unit rows, in the order of `texts`.

        :param progress: called with the count of texts done since the last call.
        """
        return self._encode(self.card.document_prompt, texts, progress)

    def question_tokens(self, ids: Sequence[int]) -> Layers:
        """Give the token vectors of a question by its ids, marks included; of one that was just encoded they are there."""
        return self._question(tuple(ids))[1]

    def tokens(self, ids: Sequence[int]) -> Layers:
        """Give the token vectors of a text by its ids, marks included."""
        return self._run(tuple(ids))[1]

    def _run(self, ids: tuple[int, ...]) -> tuple[Vectors, Layers]:
        given = {"input_ids": np.array([ids], np.int64)}
        vector, *states = self._session.run([OUTPUT, *self._outputs], given)
        return vector[0], {layer: found[0] for layer, found in zip(self.layers, states, strict=True)}

    def _encode(self, prompt: str, texts: Sequence[str], progress: Progress | None) -> Vectors:
        vectors = np.empty((len(texts), self.dimension), np.float32)
        tokens = self._tokenize([prompt + _utf8(text) for text in texts])

        def run(row: int) -> None:
            ids = np.array([tokens[row]], np.int64)
            vectors[row] = self._session.run([OUTPUT], {"input_ids": ids})[0]

        if len(texts) == 1:  # a question is answered sooner without a pool
            vectors[0] = self._question(tuple(tokens[0]))[0]
            return vectors
        with ThreadPoolExecutor(self._threads) as pool:
            for _ in pool.map(run, range(len(texts))):
                if progress:
                    progress(1)
        return vectors


def _utf8(text: str) -> str:
    """Replace lone surrogates, which JSON can bring and no tokenizer takes."""
    return text.encode("utf-8", "replace").decode("utf-8")


def sha256(path: Path) -> str:
    """Digest a file.

    :raises EncoderError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise EncoderError(f"{path} cannot be read ({error.strerror}): {MEND}") from error


def _open_model(folder: Path, outputs: Sequence[str]) -> "onnxruntime.InferenceSession":
    """Open the graph, with inner values among its outputs.

    They are added to the graph's bytes, not to the file: what follows a Protocol Buffers message is merged into it. So
    nothing but ONNX Runtime is needed, and the file stays the one that the snapshot's manifest knows.
    """
    import onnxruntime
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4  # what goes wrong is in the exception
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL  # was done at export
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(folder))
    graph = b"".join(_field(GRAPH_OUTPUT, _field(VALUE_NAME, name.encode())) for name in outputs)
    path = folder / MODEL
    try:
        model = path.read_bytes() + (_field(MODEL_GRAPH, graph) if outputs else b"")
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except OSError as error:
        raise EncoderError(f"{path} cannot be read ({error.strerror}): {MEND}") from error
    except (state.Fail, state.InvalidProtobuf, state.InvalidGraph, state.NoSuchFile, state.RuntimeException) as error:
        raise EncoderError(f"{path} cannot be opened ({error}): {MEND}") from error


MODEL_GRAPH, GRAPH_OUTPUT, VALUE_NAME = 7, 12, 1
"""Numbers of fields in ONNX's schema: ModelProto.graph, GraphProto.output, ValueInfoProto.name."""


def _field(number: int, value: bytes) -> bytes:
    """Write a field of a Protocol Buffers message that holds bytes."""
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _varint(number: int) -> bytes:
    """Write a number in groups of seven bits, the lowest first.

    >>> _varint(300).hex()
    'ac02'
    """
    written = bytearray()
    while number > 127:
        written.append(number & 127 | 128)
        number >>= 7
    return bytes([*written, number])


def _open_tokenizer(folder: Path, card: Card) -> Tokenize:
    if card.marks:
        from index.unigram import Unigram

        start, end = card.marks["<s>"], card.marks["</s>"]
        unigram = Unigram(folder, card.marks["<unk>"])
        return lambda texts: [[start, *unigram.encode(text, card.max_tokens - 2), end] for text in texts]
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_truncation(card.max_tokens)
    return lambda texts: [encoding.ids for encoding in tokenizer.encode_batch(list(texts))]
