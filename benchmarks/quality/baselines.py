"""What citedesk is compared with: fixed chunks of 200 words, found by MiniLM and FAISS or by BM25, and a threshold.

Both are what is built in an afternoon: the article's text is cut every 200 words, a question is searched as it was typed,
the best chunk is the answer and is quoted whole, and where its score is below a threshold nothing is answered. What is
known of the asker beside the question (an exchange, a page, earlier questions) is not used. The threshold is one that
refuses 5 % of the answerable questions of the half that one may tune on, of each data set by itself.
"""

import hashlib
import re
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, Self

import numpy as np

from index.dense import DenseIndex, Vectors
from index.encoder import Encoder
from index.lexical import LexicalIndex, terms
from index.snapshot import Snapshot
from ingest.article import Article, Passage
from service.answer import Answer, Citation, Related, Scope, Sentence
from service.evaluation.questions import EvaluationQuestion

CHUNK_WORDS = 200
# Chunks that are found: as many as citedesk reads, so that ranks compare.
FOUND = 40
# The share of the answerable questions that a threshold may refuse, on the half that it is chosen on.
REFUSED_WRONGLY = 0.05
# A BM25 score s becomes the confidence s / (s + this): in [0, 1), in the same order, and that is all it is for.
BM25_HALF = 10.0

_WORD = re.compile(r"\S+")


@dataclass(frozen=True, slots=True)
class Found:
    """A chunk that was found; ``score`` is in [0, 1]."""

    passage: Passage
    score: float


@dataclass(frozen=True, slots=True)
class Trace:
    """The way of one question to its answer, as the evaluation reads it."""

    hits: tuple[Found, ...]
    read: tuple[Found, ...]
    answer: Answer


class Search(Protocol):
    """What finds chunks."""

    def __call__(self, question: str) -> list[tuple[int, float]]:
        """Give up to ``FOUND`` (row, score in [0, 1]) pairs, best first."""
        ...


@dataclass(frozen=True, slots=True)
class Chunks:
    """The articles of a snapshot, cut anew.

    :ivar chunks: Passages whose text is a run of 200 words of their article; ``texts`` has it by the passage's id.
    """

    articles: dict[str, Article]
    chunks: tuple[Passage, ...]
    texts: dict[str, str]

    @classmethod
    def of(cls, snapshot: Snapshot) -> Self:
        """Cut the articles that a snapshot answers from."""
        rows = range(snapshot.manifest.counts["passages"])
        ids = dict.fromkeys(snapshot.passage(row).article_id for row in rows)
        articles = {id_: article for id_ in ids if (article := snapshot.article(id_))}
        chunks = tuple(chunk for article in articles.values() for chunk in cut(article))
        return cls(articles, chunks, {chunk.id: chunk.text for chunk in chunks})


def cut(article: Article) -> list[Passage]:
    """Cut an article's text every 200 words.

    :return: Passages with neither headings nor question, whose text is ``article.text[start:end]``.
    """
    words = list(_WORD.finditer(article.text))
    made = []
    for number, first in enumerate(range(0, len(words), CHUNK_WORDS)):
        start, end = words[first].start(), words[min(first + CHUNK_WORDS, len(words)) - 1].end()
        made.append(Passage(f"{article.id}#{number}", article.id, (), None, article.text[start:end], start, end))
    return made


@dataclass(frozen=True, slots=True)
class Baseline:
    """Answers with the best chunk, or not at all; `service.evaluation.scoring.Evaluated`.

    :ivar threshold: The least score that is answered, in [0, 1].
    """

    snapshot_id: str
    corpus: Chunks
    search: Search
    threshold: float = 0.0

    def trace(
        self,
        question: str,
        *,
        exchange: str | None = None,
        page_url: str | None = None,
        history: Sequence[str] = (),
    ) -> Trace:
        """Answer with the best chunk; the exchange, the page and the history are not used."""
        hits = tuple(Found(self.corpus.chunks[row], score) for row, score in self.search(question))
        return Trace(hits, hits[:1], self._answer(hits))

    def article_text(self, article_id: str) -> str | None:
        """Give an article's text."""
        article = self.corpus.articles.get(article_id)
        return article.text if article else None

    def article_exchange(self, article_id: str) -> str | None:
        """Give the exchange that an article is about."""
        article = self.corpus.articles.get(article_id)
        return article.exchange if article else None

    def passage_text(self, passage_id: str) -> str | None:
        """Give a chunk's text."""
        return self.corpus.texts.get(passage_id)

    def tuned(self, questions: Sequence[EvaluationQuestion]) -> Self:
        """Choose the threshold: the highest that refuses at most 5 % of these questions' answerable ones."""
        answerable = (question for question in questions if question.expected == "answer")
        best = sorted(self.trace(question.question).answer.confidence for question in answerable)
        return replace(self, threshold=best[int(REFUSED_WRONGLY * len(best))] if best else 0.0)

    def _answer(self, hits: Sequence[Found]) -> Answer:
        confidence = hits[0].score if hits else 0.0
        if not hits or confidence < self.threshold:
            return Answer("not_covered", "", (), (), Scope(), (), self._related(hits[:3]), confidence, self.snapshot_id)
        chunk = hits[0].passage
        article = self.corpus.articles[chunk.article_id]
        citation = Citation(
            1, chunk.id, article.id, article.url, article.title, article.exchange, article.trust, article.updated,
            chunk.text, 0, len(chunk.text),
        )  # fmt: skip
        return Answer(
            "answered", f"{chunk.text} [1]", (Sentence(chunk.text, (1,)),), (citation,), Scope(), (), (), confidence,
            self.snapshot_id,
        )  # fmt: skip

    def _related(self, hits: Sequence[Found]) -> tuple[Related, ...]:
        articles = [self.corpus.articles[id_] for id_ in dict.fromkeys(hit.passage.article_id for hit in hits)]
        return tuple(Related(article.id, article.url, article.title, article.exchange) for article in articles)


class Baselines:
    """Opens the two baselines over a snapshot's articles; the BM25 indexes are deleted when it is closed."""

    def __init__(self, encoder: Encoder, work: Path) -> None:
        """Keep what the chunks are encoded by.

        :param encoder: MiniLM.
        :param work: Where the chunks' vectors are kept for the next run.
        """
        self._encoder = encoder
        self._work = work
        self._open = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def over(self, snapshot: Snapshot, fit: Sequence[EvaluationQuestion]) -> dict[str, Baseline]:
        """Give ``chunks`` (MiniLM) and ``bm25``, by name, each with its own threshold.

        :param fit: The questions that the thresholds are chosen on.
        """
        corpus = Chunks.of(snapshot)
        searches: dict[str, Search] = {"chunks": self._dense(corpus), "bm25": self._lexical(corpus)}
        return {name: Baseline(snapshot.id, corpus, search).tuned(fit) for name, search in searches.items()}

    def _dense(self, corpus: Chunks) -> Search:
        index = DenseIndex.build(self._vectors([chunk.text for chunk in corpus.chunks]))

        def search(question: str) -> list[tuple[int, float]]:
            found = index.search(self._encoder.encode_query([question])[0], FOUND)
            return [(row, min(max(cosine, 0.0), 1.0)) for row, cosine in found]

        return search

    def _lexical(self, corpus: Chunks) -> Search:
        folder = Path(self._open.enter_context(tempfile.TemporaryDirectory())) / "bm25"
        LexicalIndex.build(folder, ((" ".join(terms(chunk.text)), ()) for chunk in corpus.chunks))
        index = LexicalIndex.open(folder)

        def search(question: str) -> list[tuple[int, float]]:
            return [(row, score / (score + BM25_HALF)) for row, score in index.search(terms(question), FOUND)]

        return search

    def _vectors(self, texts: list[str]) -> Vectors:
        """Encode the chunks, or read the vectors that an earlier run made of the same texts."""
        made_of = "\x00".join((self._encoder.fingerprint, *texts))
        kept = self._work / f"chunks-{hashlib.sha256(made_of.encode('utf-8', 'replace')).hexdigest()[:16]}.npy"
        if kept.exists():
            read: Vectors = np.load(kept, allow_pickle=False)
            return read
        vectors = self._encoder.encode_document(texts)
        self._work.mkdir(parents=True, exist_ok=True)
        np.save(kept, vectors, allow_pickle=False)
        return vectors
