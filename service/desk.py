"""Where every door of the server asks: the published snapshot's assistant, the question log, and what is counted."""

import hashlib
import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from index.filters import EVERYTHING, Filters
from index.search import HybridRetriever, Retriever
from index.snapshot import Snapshot, SnapshotError, SnapshotShelf
from service.answer import Answer
from service.assistant import Assistant, Trace
from service.keys import Kind
from service.llm import attach
from service.metrics import Metrics
from service.question import Question
from service.question_log import Entry, QuestionLog
from service.settings import DEFAULT_RISK
from service.tracing import Tracing

if TYPE_CHECKING:
    from opentelemetry.trace import Span

# Seconds until a snapshot that could not be opened is tried again.
AGAIN_AFTER = 2.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, and by which door: ``api``, ``widget``, ``openai`` or ``mcp``.

    :ivar span: The request's span, where traces are made.
    """

    key_id: str
    kind: Kind
    door: str
    span: "Span | None" = None


class Desk:
    """Hands out the assistant of the published snapshot, and the next one as soon as it is open.

    The next snapshot is opened beside the one that is served, so that no request waits for it; one that turns out to be
    damaged is told in the log and the old one stays. A request keeps the assistant that it got.
    """

    def __init__(
        self, home: Path, *, risk: float = DEFAULT_RISK, log: QuestionLog | None = None, metrics: Metrics | None = None,
        tracing: Tracing | None = None, retriever: Callable[[Snapshot], Retriever] = HybridRetriever,
    ) -> None:  # fmt: skip
        self.shelf = SnapshotShelf(home)
        self.log = log
        self.metrics = metrics or Metrics()
        self._tracing = tracing
        self.retriever = retriever
        self._risk = risk
        self._model = attach(self.metrics)
        self._opening = threading.Lock()
        self._assistant: Assistant | None = None
        # The snapshot that could not be opened last, and when it is tried again.
        self._refused: tuple[str | None, float] = ("", 0.0)

    def assistant(self) -> Assistant:
        """Give the assistant of the published snapshot; while that is being opened, of the one before.

        :raises SnapshotError: There is none that could be opened.
        """
        served = self._assistant
        if served is None:
            with self._opening:
                return self._assistant or self._first()
        if self._is_due(served.snapshot_id) and self._opening.acquire(blocking=False):
            threading.Thread(target=self._replace, name="next-snapshot").start()
        return served

    def ask(
        self,
        question: str,
        *,
        caller: Caller,
        exchange: str | None = None,
        language: str | None = None,
        page_url: str | None = None,
        history: Sequence[str] = (),
        only: Filters = EVERYTHING,
        conversation: str | None = None,
        heard: Callable[[Question, str], None] | None = None,
        grows: Callable[[Answer], None] | None = None,
    ) -> Trace:
        """Answer a question as `Assistant.trace` does, write it into the question log and count it.

        :param conversation: The id of the conversation, which the log has only as `reference`.
        :param heard: Called with the question as understood and the answer's id, before anything is searched.
        :param grows: Called while a model phrases the answer, as `Assistant.trace` says.
        :raises QuestionError: It cannot be asked.
        :raises SnapshotError: There is no snapshot to answer from.
        """
        trace = self.assistant().trace(
            question,
            exchange=exchange,
            language=language,
            page_url=page_url,
            history=history,
            only=only,
            heard=heard,
            grows=grows,
        )
        self.metrics.answered(trace.answer, door=caller.door)
        if self._tracing:
            self._tracing.answered(trace.answer, door=caller.door, request=caller.span)
        if self.log:
            self.log.record(_entry(trace, caller, conversation))
        return trace

    def caches(self) -> dict[str, tuple[int, int, int]]:
        """Give entries, hits and misses of what is remembered of the served snapshot, by name."""
        return self._assistant.caches() if self._assistant else {}

    def _is_due(self, served: str) -> bool:
        try:
            current = self.shelf.current()
        except SnapshotError:
            return False  # CURRENT is damaged: what is served stays
        return bool(current) and current != served and not self._was_refused(current)

    def _was_refused(self, snapshot_id: str | None) -> bool:
        """Tell whether a snapshot could not be opened just now, so that not every request verifies it again."""
        refused, again = self._refused
        return snapshot_id == refused and time.monotonic() < again

    def _first(self) -> Assistant:
        """Open the published snapshot where none is served yet."""
        if self._was_refused(self.shelf.current()):
            raise SnapshotError(f"{self.shelf.folder}: the published snapshot could not be opened just now, see above")
        return self._open()

    def _replace(self) -> None:
        """Open the published snapshot in place of the one that is served; `_opening` is held."""
        try:
            self._open()
        except (SnapshotError, OSError) as error:
            _log.error("the published snapshot cannot be opened, the one before is served on: %s", error)
        finally:
            self._opening.release()

    def _open(self) -> Assistant:
        wanted: str | None = None
        try:
            wanted = self.shelf.current()
            snapshot = self.shelf.open()
            assistant = Assistant(snapshot, risk=self._risk, retriever=self.retriever(snapshot), model=self._model)
            assistant.warm()
        except (SnapshotError, OSError):
            if wanted:
                self._refused = (wanted, time.monotonic() + AGAIN_AFTER)
            self.metrics.refused_snapshot()
            raise
        self._assistant = assistant
        self.metrics.opened(assistant.snapshot)
        _log.info("snapshot %s is served", assistant.snapshot_id)
        return assistant


def reference(conversation: str) -> str:
    """Give what the log calls a conversation: its id, which opens it, cannot be had back from this."""
    return hashlib.sha256(conversation.encode()).hexdigest()[:16]


def _entry(trace: Trace, caller: Caller, conversation: str | None) -> Entry:
    asked, answer = trace.question, trace.answer
    return Entry(
        answer_id=answer.id,
        at=datetime.now(UTC).isoformat(timespec="milliseconds"),
        door=caller.door,
        key_id=caller.key_id,
        conversation=reference(conversation) if conversation else None,
        question=asked.text,
        language=asked.language,
        exchanges=answer.scope.exchanges or asked.exchanges,
        page=asked.page.id if asked.page else None,
        status=answer.status,
        confidence=answer.confidence,
        snapshot_id=answer.snapshot_id,
        articles=tuple(dict.fromkeys(citation.article_id for citation in answer.citations)),
        notices=tuple(notice.code for notice in answer.notices),
        related=tuple(related.article_id for related in answer.related),
        milliseconds=answer.timings.get("total", 0.0),
    )
