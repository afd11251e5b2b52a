"""Find the passages nearest to a question: dense and lexical search under the same filters, fused."""

import math
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import islice
from typing import Protocol

import numpy as np
import numpy.typing as npt

from index.dense import Vectors
from index.filters import Filters
from index.lexical import terms
from index.second import SecondEncoder, SecondOpinion
from index.snapshot import Snapshot
from ingest.article import Passage

# Reciprocal rank fusion (Cormack, Clarke and Büttcher, SIGIR 2009) with its usual constant, BM25 at half weight:
# DESIGN's measurement on real help pages, where the plain fusion was worse than the encoder alone.
RRF_K = 60
LEXICAL_WEIGHT = 0.5
# The second encoder's list, where it knows the question's language. With it .81 of the answering passages of the English
# help_questions are among the 40 that are read, without it .75.
SECOND_WEIGHT = 1.0
# How deep each list goes before fusing.
DEPTH = 50


@dataclass(frozen=True, slots=True)
class Hit:
    """A passage that was found.

    :ivar score: The fused score that ranks it: comparable within one search only.
    :ivar dense_score: Cosine of question and passage, in [-1, 1].
    :ivar lexical_score: BM25, 0 where no word of the question is in the passage.
    :ivar second_nearness: By how many standard deviations of its cosines with the corpus the second encoder finds the
        passage nearer to the question than the mean; None where it does not know the language of either.
    """

    passage: Passage
    score: float
    dense_score: float
    lexical_score: float
    second_nearness: float | None = None


class Retriever(Protocol):
    """What finds passages and says how near they and their sentences come; tests/test_retriever.py says what each has to hold.

    Texts and vectors may lie in a snapshot or with an engine that several machines ask. What it takes to read a passage
    (its article, the offsets of its sentences, how the vectors lie) is the snapshot's in any case.
    """

    def search(self, question: str, filters: Filters, k: int, *, language: str = "en") -> list[Hit]:
        """Give the ``k`` best passages that pass the filters, best first.

        :param language: The question's, for its word stems and whether the second encoder is asked.
        """
        ...

    def nearest(self, question: str, exchanges: frozenset[str], k: int) -> list[Hit]:
        """Give the ``k`` passages of these exchanges' articles with the highest cosine."""
        ...

    def query_vector(self, question: str) -> Vectors:
        """Encode a question: one unit vector of shape (d,)."""
        ...

    def sentence_scores(self, question: str, passages: Sequence[Passage]) -> list[list[float]]:
        """Give, for each passage, the cosine of the question with each of its sentences, in order."""
        ...

    def second_nearness(
        self, question: str, passages: Sequence[Passage], *, language: str = "en"
    ) -> list[list[float] | None]:
        """Give, for each passage, how near the second encoder finds each of its sentences, in order.

        :param language: The question's.
        :return: In the unit of `Hit.second_nearness`; None for a passage where there is no second opinion.
        """
        ...

    def caches(self) -> dict[str, tuple[int, int, int]]:
        """Give entries, hits and misses of what is remembered, by name."""
        ...


class Indexes(Protocol):
    """Where the lists come from that are fused: up to ``k`` rows of the snapshot that pass the filters, best first."""

    def nearest(self, query: Vectors, k: int, filters: Filters) -> list[tuple[int, float]]:
        """Give the rows with the highest cosines with a unit vector of shape (d,), and the cosines."""
        ...

    def worded(self, words: Sequence[str], k: int, filters: Filters) -> list[tuple[int, float]]:
        """Give the rows with the highest BM25 scores, and the scores, all above 0.

        :param words: Terms as `index.lexical.terms` gives them.
        """
        ...

    def nearest_by_second(self, opinion: SecondOpinion, k: int, filters: Filters) -> list[int]:
        """Give the rows that come nearest for the second encoder."""
        ...


class SnapshotIndexes:
    """A snapshot's own indexes: FAISS and tantivy, mapped from its files."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    def nearest(self, query: Vectors, k: int, filters: Filters) -> list[tuple[int, float]]:
        """Search as `Indexes.nearest` says."""
        return self._snapshot.dense.search(query, k, self._among(filters))

    def worded(self, words: Sequence[str], k: int, filters: Filters) -> list[tuple[int, float]]:
        """Search as `Indexes.worded` says; the article of the filters is left out of account."""
        return self._snapshot.lexical.search(words, k, filters.marks())

    def nearest_by_second(self, opinion: SecondOpinion, k: int, filters: Filters) -> list[int]:
        """Search as `Indexes.nearest_by_second` says."""
        return opinion.search(k, self._among(filters))

    def _among(self, filters: Filters) -> npt.NDArray[np.int64] | None:
        return None if filters.is_open else self._snapshot.rows_of(filters)


class HybridRetriever:
    """Searches passages by vectors of one encoder or two and by BM25, and fuses the lists by rank.

    :param indexes: Where the lists come from; None: the snapshot's own indexes.
    """

    def __init__(self, snapshot: Snapshot, indexes: Indexes | None = None) -> None:
        self._snapshot = snapshot
        self._indexes = indexes or SnapshotIndexes(snapshot)
        self._cached_vector = lru_cache(maxsize=256)(self._encode)
        self._beside = ThreadPoolExecutor(1, thread_name_prefix="second-encoder")

    def caches(self) -> dict[str, tuple[int, int, int]]:
        """Give entries, hits and misses of what is remembered, by name."""
        info = self._cached_vector.cache_info()
        return {"queries": (info.currsize, info.hits, info.misses)}

    @cached_property
    def _second(self) -> SecondEncoder | None:
        return SecondEncoder.open(self._snapshot.folder)

    def search(self, question: str, filters: Filters, k: int, *, language: str = "en") -> list[Hit]:
        """Search as `Retriever.search` says."""
        asked = self._ask_second(question, language)
        dense = self._indexes.nearest(self.query_vector(question), DEPTH, filters)
        words = [] if filters.article else terms(question, language)  # one article's passages are few: all are found
        lexical = self._indexes.worded(words, DEPTH, filters)
        lists = [([row for row, _ in dense], 1.0), ([row for row, _ in lexical], LEXICAL_WEIGHT)]
        opinion = asked.result() if asked else None
        if opinion:
            lists.append((self._indexes.nearest_by_second(opinion, DEPTH, filters), SECOND_WEIGHT))
        fused = _fuse(lists)[:k]
        rows = [row for row, _ in fused]
        nearness = dict(zip(rows, _known(opinion.nearness(rows)), strict=True)) if opinion else {}
        cosines, bm25 = dict(dense), dict(lexical)
        return [
            Hit(passage, score, cosines.get(row, self._cosine(question, row)), bm25.get(row, 0.0), nearness.get(row))
            for passage, (row, score) in zip(self._snapshot.passages(rows), fused, strict=True)
        ]

    def nearest(self, question: str, exchanges: frozenset[str], k: int) -> list[Hit]:
        """Give the ``k`` passages of these exchanges' articles with the highest cosine."""
        rows = self._indexes.nearest(self.query_vector(question), k, Filters(exchanges))
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

    def second_nearness(
        self, question: str, passages: Sequence[Passage], *, language: str = "en"
    ) -> list[list[float] | None]:
        """Give, for each passage, how near the second encoder finds each of its sentences, in order.

        :param language: The question's.
        :return: In the unit of `Hit.second_nearness`; None for a passage where there is no second opinion.
        """
        second = self._second_for(language)
        if second is None:
            return [None] * len(passages)
        rows = [[sentence.row for sentence in self._snapshot.sentences(passage.id)] for passage in passages]
        near = iter(_known(second.asked(question).sentence_nearness([row for own in rows for row in own])))
        # The sentences of a passage are in its language: they are all known or none is.
        return [[value for value in islice(near, len(own)) if value is not None] or None for own in rows]

    def _second_for(self, language: str) -> SecondEncoder | None:
        return self._second if self._second and language in self._second.languages else None

    def _ask_second(self, question: str, language: str) -> Future[SecondOpinion] | None:
        """Begin to ask the second encoder, where there is one that knows the language, while the first one encodes."""
        second = self._second_for(language)
        return self._beside.submit(second.asked, question) if second else None

    def _cosine(self, question: str, row: int) -> float:
        return float(self._snapshot.dense.vector(row) @ self.query_vector(question))


def _known(nearness: Vectors) -> list[float | None]:
    return [None if math.isnan(value) else value for value in nearness.tolist()]


def _fuse(lists: Sequence[tuple[Sequence[int], float]]) -> list[tuple[int, float]]:
    scores: dict[int, float] = {}
    for rows, weight in lists:
        for rank, row in enumerate(rows, 1):
            scores[row] = scores.get(row, 0.0) + weight / (RRF_K + rank)
    return sorted(scores.items(), key=lambda item: (-item[1], item[0]))
