"""A second encoder's opinion of passages, for the languages that it knows better than the first one does.

The first encoder bridges languages and is therefore less exact within one; a small encoder of one language sees other
likenesses. Its vectors lie in a folder of the snapshot, of the passages in its languages and their sentences only, beside
the encoder itself.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from index.dense import DenseIndex, Rows, Vectors
from index.encoder import Encoder, OnnxEncoder
from index.spread import Spread

FOLDER, ENCODER, VECTORS, ROWS = "second", "encoder", "vectors.faiss", "rows.npy"
SENTENCES, SENTENCE_ROWS = "sentences.npy", "sentence_rows.npy"
# What MiniLM was trained on. In other languages it finds the answering passage among the first five for .13 of the
# questions of help_questions, where e5 does for .34; 2026-11.
LANGUAGES = frozenset({"en"})


@dataclass(frozen=True, slots=True)
class SecondVectors:
    """What the second encoder made of a snapshot's passages and sentences, mapped from its folder.

    :ivar index: Of passages; its row i is the passage of the snapshot's row ``rows[i]``.
    :ivar rows: Ascending.
    :ivar sentences: Unit vectors; row i is the sentence of the snapshot's sentence row ``sentence_rows[i]``.
    :ivar sentence_rows: Ascending.
    :ivar spread: Of the passages' vectors; it names their languages.
    """

    index: DenseIndex
    rows: Rows
    sentences: npt.NDArray[np.float16]
    sentence_rows: Rows
    spread: Spread

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Open the files without reading them."""

        def mapped(name: str) -> Any:  # noqa: ANN401
            return np.load(folder / name, mmap_mode="r", allow_pickle=False)

        index = DenseIndex.open(folder / VECTORS)
        return cls(index, mapped(ROWS), mapped(SENTENCES), mapped(SENTENCE_ROWS), Spread.open(folder))


class SecondEncoder:
    """The second encoder of a snapshot; its model is loaded when it is first asked.

    :ivar languages: Codes of those of its passages; a question in another language is not for this encoder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._vectors = SecondVectors.open(folder)
        self.languages = frozenset(self._vectors.spread.languages)
        self._query = lru_cache(maxsize=256)(self._encode)

    @classmethod
    def open(cls, snapshot: Path) -> Self | None:
        """Open that of a snapshot's folder; None where it has none."""
        folder = snapshot / FOLDER
        return cls(folder) if folder.is_dir() else None

    def asked(self, question: str) -> "SecondOpinion":
        """Encode a question.

        :raises EncoderError: The encoder cannot be used.
        """
        query, spread = self._query(question), self._vectors.spread
        return SecondOpinion(query, self._vectors, spread.expected(query), spread.deviation(query))

    @cached_property
    def _encoder(self) -> Encoder:
        return OnnxEncoder(self._folder / ENCODER, verify=False)  # verified with the snapshot

    def _encode(self, question: str) -> Vectors:
        vector: npt.NDArray[np.float32] = self._encoder.encode_query([question])[0]
        return vector


@dataclass(frozen=True, slots=True)
class SecondOpinion:
    """What the second encoder thinks of the passages, for one question.

    Nearness is how many deviations a cosine is above the mean; NaN for what the encoder does not know.

    :ivar query: The question's unit vector.
    :ivar mean: Of the question's cosines with all passages that the encoder knows.
    :ivar deviation: The standard deviation of these.
    """

    query: Vectors
    vectors: SecondVectors
    mean: float
    deviation: float

    def search(self, k: int, among: Rows | None = None) -> list[int]:
        """Give up to ``k`` rows of the snapshot, the nearest first.

        :param among: The only rows that may be found; None for all.
        """
        rows = self.vectors.rows
        own = None if among is None else _places(rows, among)[1]
        return [int(rows[at]) for at, _ in self.vectors.index.search(self.query, k, own)]

    def nearness(self, rows: Sequence[int]) -> Vectors:
        """Give the nearness of passages, by their rows in the snapshot; shape (n,)."""
        index = self.vectors.index
        return self._nearness(
            self.vectors.rows, rows, lambda places: np.stack([index.vector(at) for at in places.tolist()])
        )

    def sentence_nearness(self, rows: Sequence[int]) -> Vectors:
        """Give the nearness of sentences, by their rows in the snapshot; shape (n,)."""
        return self._nearness(self.vectors.sentence_rows, rows, lambda places: self.vectors.sentences[places])

    def _nearness(self, known: Rows, rows: Sequence[int], vectors: Callable[[Rows], npt.NDArray[Any]]) -> Vectors:
        there, places = _places(known, np.asarray(rows, dtype=np.int64))
        near = np.full(len(rows), np.nan, dtype=np.float32)
        if len(places):
            near[there] = (vectors(places).astype(np.float32) @ self.query - self.mean) / self.deviation
        return near


def _places(known: Rows, wanted: Rows) -> tuple[npt.NDArray[np.bool_], Rows]:
    """Tell which of the wanted rows are among the known ones, which ascend, and where these stand there."""
    places = np.searchsorted(known, wanted)
    there = places < len(known)
    there[there] = known[places[there]] == wanted[there]
    return there, places[there]
