"""What each part brings: the same assistant with one part taken out, and nothing else changed.

A part is taken out from outside. Either the assistant is not told something (the page, the exchange, the conversation),
or its snapshot has nothing to say on it (a lexical index that finds nothing, a directory that knows no name). So no
switch is needed in the code that is served. The decision is not fitted again, so shares of answers and refusals can
move for two reasons; AUROC and span recall have only one.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from benchmarks.quality.tables import Change
from index.calibration import LEAST, Calibration
from index.dense import Vectors
from index.search import HybridRetriever
from index.snapshot import Snapshot
from service.assistant import Assistant
from service.evaluation.comparison import compare
from service.evaluation.questions import EvaluationQuestion
from service.evaluation.run import evaluate
from service.evaluation.scoring import Evaluated, Traced

KEYS = (
    "answered_right", "lead_right", "refused_right", "refused_wrongly", "auroc", "span_recall_at_1", "span_recall_at_5",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the assistant.

    :ivar name: What is taken out, for the table.
    :ivar without: Makes an assistant over a snapshot that lacks it.
    """

    name: str
    without: Callable[[Snapshot], Evaluated]


class Replaced:
    """An object with some of its attributes replaced."""

    def __init__(self, original: object, **others: object) -> None:
        """Keep the original and what stands in for its attributes."""
        self._original = original
        self.__dict__.update(others)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return getattr(self._original, name)


class Untold:
    """An assistant that is not told some of what is known of the asker."""

    def __init__(self, assistant: Assistant, *, exchange: bool = True, page: bool = True, history: bool = True) -> None:
        """Keep what is passed on; all of it unless said otherwise."""
        self._assistant = assistant
        self._exchange, self._page, self._history = exchange, page, history

    @property
    def snapshot_id(self) -> str:
        """The snapshot that answers."""
        return self._assistant.snapshot_id

    def trace(
        self, question: str, *, exchange: str | None = None, page_url: str | None = None, history: Sequence[str] = ()
    ) -> Traced:
        """Answer, told less."""
        return self._assistant.trace(
            question,
            exchange=exchange if self._exchange else None,
            page_url=page_url if self._page else None,
            history=history if self._history else (),
        )

    def article_text(self, article_id: str) -> str | None:
        """Give the article's text in the snapshot."""
        return self._assistant.article_text(article_id)

    def article_exchange(self, article_id: str) -> str | None:
        """Give the exchange that the article is about."""
        return self._assistant.article_exchange(article_id)

    def passage_text(self, passage_id: str) -> str | None:
        """Give the passage's text in the snapshot."""
        return self._assistant.passage_text(passage_id)


class _PassageAsSentences(Replaced):
    """A snapshot in which each sentence has the vector of its passage, so that none is nearer than its neighbours."""

    @cached_property
    def sentence_vectors(self) -> npt.NDArray[np.float16]:
        snapshot: Snapshot = self._original  # type: ignore[assignment]
        vectors = np.empty((snapshot.manifest.counts["sentences"], snapshot.dense.dimension), np.float16)
        for row in range(snapshot.manifest.counts["passages"]):
            for sentence in snapshot.sentences(snapshot.passage(row).id):
                vectors[sentence.row] = snapshot.dense.vector(row)
        return vectors


class _NothingFound(Replaced):
    """A lexical index that still counts words but finds no passage."""

    def search(self, *_: object, **__: object) -> list[tuple[int, float]]:
        return []


class _AllCommon(Replaced):
    """A lexical index in which every word is too common to tell anything; it finds passages as before."""

    def document_frequency(self, _: str) -> int:
        return 1 << 40


class _FirstAlone(HybridRetriever):
    """A search without the second encoder."""

    _second = None


class _NoLean(Replaced):
    """A spread in which the encoder leans to no language."""

    def lean(self, _: Vectors) -> dict[str, float]:
        return {}


class _NoNames(Replaced):
    """A directory that recognises no exchange in a text or an address."""

    def mentioned(self, *_: object, **__: object) -> tuple[str, ...]:
        return ()

    def owner(self, _: str) -> None:
        return None


class _NoMisspelling(Replaced):
    """A directory that recognises an exchange's name only where it is spelt right."""

    def mentioned(self, text: str, **_: object) -> tuple[str, ...]:
        directory: Any = self._original
        found: tuple[str, ...] = directory.mentioned(text)
        return found


def _with(**replaced: Callable[[Snapshot], object]) -> Callable[[Snapshot], Evaluated]:
    """Make assistants whose snapshot has other attributes."""

    def make(snapshot: Snapshot) -> Evaluated:
        others = {name: replacement(snapshot) for name, replacement in replaced.items()}
        return Assistant(cast(Snapshot, Replaced(snapshot, **others)))

    return make


def _unscoped(snapshot: Snapshot) -> Evaluated:
    nameless = cast(Snapshot, Replaced(snapshot, directory=_NoNames(snapshot.directory)))
    return Untold(Assistant(nameless), exchange=False, page=False)


def ablate(snapshot: Snapshot, questions: Sequence[EvaluationQuestion]) -> Iterator[Change]:
    """Take out one part after the other and tell what became of the measures."""
    whole = evaluate(Assistant(snapshot), questions)
    for part in PARTS:
        without = evaluate(part.without(snapshot), questions)
        compared = compare(whole.as_json(), without.as_json())
        differences = {change.key: change.difference for change in compared.changes if change.key in KEYS}
        yield Change(part.name, differences, len(compared.fixed), len(compared.broken), compared.p_value)


PARTS = (
    Part("the exchange as a filter", _unscoped),
    Part("the page that the asker stands on", lambda snapshot: Untold(Assistant(snapshot), page=False)),
    Part("the conversation", lambda snapshot: Untold(Assistant(snapshot), history=False)),
    Part("misspelt names", _with(directory=lambda snapshot: _NoMisspelling(snapshot.directory))),
    Part("BM25", _with(lexical=lambda snapshot: _NothingFound(snapshot.lexical))),
    Part("the question's rare words", _with(lexical=lambda snapshot: _AllCommon(snapshot.lexical))),
    Part("sentence vectors", lambda snapshot: Assistant(cast(Snapshot, _PassageAsSentences(snapshot)))),
    Part("the second encoder", lambda snapshot: Assistant(snapshot, retriever=_FirstAlone(snapshot))),
    Part("the reader", lambda snapshot: Assistant(snapshot, reads=False)),
    Part("what is usual in the corpus", _with(calibration=lambda _: Calibration(LEAST, LEAST))),
    Part("the language's lean", _with(spread=lambda snapshot: _NoLean(snapshot.spread))),
)
