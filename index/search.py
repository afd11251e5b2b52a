"""Find the passages nearest to a question: dense and lexical search under the same filters, fused."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np
import numpy.typing as npt

from index.dense import Vectors
from index.lexical import terms
from index.snapshot import Snapshot
from ingest.article import Passage

# Reciprocal rank fusion (Cormack, Clarke and Büttcher, SIGIR 2009) with its usual constant, BM25 at half weight:
# DESIGN's measurement on real help pages, where the plain fusion was worse than the encoder alone.
RRF_K = 60
LEXICAL_WEIGHT = 0.5
# How deep each list goes before fusing.
DEPTH = 50


@dataclass(frozen=True, slots=True)
class Filters:
    """Which passages may be found.

    :ivar exchanges: Only passages of articles about one of these; '' stands for articles about none. None: all.
    """

    exchanges: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Hit:
    """A passage that was found.

    :ivar score: The fused score that ranks it: comparable within one search only.
    :ivar dense_score: Cosine of question and passage, in [-1, 1].
    :ivar lexical_score: BM25, 0 where no word of the question is in the passage.
    """

    passage: Passage
    score: float
    dense_score: float
    lexical_score: float


class Retriever(Protocol):
    """What finds passages."""

    def search(self, question: str, filters: Filters, k: int) -> list[Hit]:
        """Give the ``k`` best passages that pass the filters, best first."""
        ...


class HybridRetriever:
    """Searches a snapshot: FAISS over passages and BM25, fused by rank."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._cached_vector = lru_cache(maxsize=256)(self._encode)

    def search(self, question: str, filters: Filters, k: int, *, language: str = "en") -> list[Hit]:
        """Give the ``k`` best passages that pass the filters, best first.

        :param language: The question's, for its word stems.
        """
        among = None if filters.exchanges is None else self._snapshot.rows_of(filters.exchanges)
        dense = self._snapshot.dense.search(self.query_vector(question), DEPTH, among)
        lexical = self._snapshot.lexical.search(terms(question, language), DEPTH, filters.exchanges)
        fused = _fuse([(dense, 1.0), (lexical, LEXICAL_WEIGHT)])[:k]
        cosines, bm25 = dict(dense), dict(lexical)
        rows = [row for row, _ in fused]
        return [
            Hit(passage, score, cosines.get(row, self._cosine(question, row)), bm25.get(row, 0.0))
            for passage, (row, score) in zip(self._snapshot.passages(rows), fused, strict=True)
        ]

    def nearest(self, question: str, exchanges: frozenset[str], k: int) -> list[Hit]:
        """Give the ``k`` passages of these exchanges' articles with the highest cosine."""
        rows = self._snapshot.dense.search(self.query_vector(question), k, self._snapshot.rows_of(exchanges))
        passages = self._snapshot.passages([row for row, _ in rows])
        return [Hit(passage, cosine, cosine, 0.0) for passage, (_, cosine) in zip(passages, rows, strict=True)]

    def query_vector(self, question: str) -> Vectors:
        """Encode a question: one unit vector of shape (d,)."""
        return self._cached_vector(question)

    def _encode(self, question: str) -> Vectors:
        vector: npt.NDArray[np.float32] = self._snapshot.encoder.encode_query([question])[0]
        return vector

    def sentence_scores(self, question: str, passages: Sequence[Passage]) -> list[list[float]]:
        """Give, for each passage, the cosine of the question with each of its sentences, in order."""
        query = self.query_vector(question)
        scores = []
        for passage in passages:
            rows = [sentence.row for sentence in self._snapshot.sentences(passage.id)]
            vectors = self._snapshot.sentence_vectors[rows].astype(np.float32) if rows else np.empty((0, query.size))
            scores.append([float(score) for score in vectors @ query])
        return scores

    def _cosine(self, question: str, row: int) -> float:
        return float(self._snapshot.dense.vector(row) @ self.query_vector(question))


def _fuse(lists: Sequence[tuple[Sequence[tuple[int, float]], float]]) -> list[tuple[int, float]]:
    scores: dict[int, float] = {}
    for hits, weight in lists:
        for rank, (row, _) in enumerate(hits, 1):
            scores[row] = scores.get(row, 0.0) + weight / (RRF_K + rank)
    return sorted(scores.items(), key=lambda item: (-item[1], item[0]))
