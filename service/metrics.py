"""What a Prometheus server reads at /metrics."""

import os
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from index.snapshot import Snapshot
from service.answer import Answer

if TYPE_CHECKING:
    from service.llm.client import Call

# Seconds: what a cheap call takes, what an answer takes (40 ms at the median on two cores), what nobody waits for.
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.5, 10.0)
# Where several processes write their figures together; prometheus_client reads it from the environment.
SHARED_FOLDER = "PROMETHEUS_MULTIPROC_DIR"


class Metrics:
    """The counters of one application; of several processes they are summed up when they are read."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = self._counter("requests", "Requests by route and status code.", "route", "code")
        self._seconds = self._histogram("request_seconds", "How long requests took.", "route")
        self._answers = self._counter("answers", "Answers by status and door.", "status", "door")
        self._stages = self._histogram("stage_seconds", "How long the stages of an answer took.", "stage")
        self._notices = self._counter("notices", "Notices given with answers.", "code")
        self._feedback = self._counter("feedback", "Verdicts on answers.", "verdict")
        self._shed = self._counter("shed", "Requests sent away: by a limit, or because all are busy.", "reason")
        self._refused = self._counter("snapshots_refused", "Published snapshots that could not be opened.")
        self._model_calls = self._counter(
            "model_calls", "What asking the language model came to.", "purpose", "outcome"
        )
        self._model_seconds = self._histogram("model_seconds", "How long the language model took.", "purpose")
        self._model_tokens = self._counter(
            "model_tokens", "Tokens sent to the language model and written by it.", "kind"
        )
        self._model_cost = self._counter("model_cost", "What the tokens cost, by the prices set.")
        self._model_sentences = self._counter(
            "model_sentences", "Sentences phrased by the language model: shown, or what was wrong with them.", "outcome"
        )
        self._running = self._gauge("running", "Questions being answered now.")
        self._waiting = self._gauge("waiting", "Questions waiting for their turn.")
        self._dropped = self._gauge("log_dropped", "Questions that the log could not take.")
        self._created = self._gauge(
            "snapshot_created_seconds", "When the served snapshot was made, Unix time.", mode="livemin"
        )
        self._age = self._gauge("snapshot_age_seconds", "How old the served snapshot is.", mode="livemax")
        self._articles = self._gauge("snapshot_articles", "Articles of the served snapshot.", mode="livemax")
        self._cached = self._gauge("cache_entries", "What is remembered of this snapshot.", "cache")
        self._hits = self._gauge("cache_hits", "How often it was remembered.", "cache")
        self._misses = self._gauge("cache_misses", "How often it was not.", "cache")
        self._made: datetime | None = None

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"citedesk_{name}", text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, *labels: str) -> Histogram:
        return Histogram(f"citedesk_{name}", text, labels, buckets=BUCKETS, registry=self.registry)

    def _gauge(
        self, name: str, text: str, *labels: str, mode: Literal["livesum", "livemin", "livemax"] = "livesum"
    ) -> Gauge:
        return Gauge(f"citedesk_{name}", text, labels, registry=self.registry, multiprocess_mode=mode)

    def request(self, route: str, code: int, seconds: float) -> None:
        """Count a request; ``route`` is the pattern of its path, never the path itself."""
        self._requests.labels(route, str(code)).inc()
        self._seconds.labels(route).observe(seconds)

    def answered(self, answer: Answer, *, door: str) -> None:
        """Count an answer and what its stages took."""
        self._answers.labels(answer.status, door).inc()
        for stage, milliseconds in answer.timings.items():
            self._stages.labels(stage).observe(milliseconds / 1000)
        for notice in answer.notices:
            self._notices.labels(notice.code).inc()

    def model_asked(self, call: "Call") -> None:
        """Count a question to the language model."""
        self._model_calls.labels(call.purpose, call.outcome).inc()
        self._model_seconds.labels(call.purpose).observe(call.seconds)
        self._model_tokens.labels("prompt").inc(call.prompt_tokens)
        self._model_tokens.labels("answer").inc(call.answer_tokens)
        self._model_cost.inc(call.cost)

    def model_sentence(self, outcome: str) -> None:
        """Count a sentence that the language model phrased: ``shown``, or a fault of `service.llm.check`."""
        self._model_sentences.labels(outcome).inc()

    def feedback(self, verdict: str) -> None:
        """Count a verdict on an answer."""
        self._feedback.labels(verdict).inc()

    def shed(self, reason: str) -> None:
        """Count a request that was sent away."""
        self._shed.labels(reason).inc()

    def at_work(self, running: int, waiting: int) -> None:
        """Say how many questions are being answered, and how many wait."""
        self._running.set(running)
        self._waiting.set(waiting)

    def opened(self, snapshot: Snapshot) -> None:
        """Say which snapshot is served now."""
        self._made = datetime.fromisoformat(snapshot.manifest.created)
        self._created.set(self._made.timestamp())
        self._articles.set(snapshot.manifest.counts["articles"])

    def refused_snapshot(self) -> None:
        """Count a published snapshot that could not be opened."""
        self._refused.inc()

    def exposition(self, *, dropped: int, caches: Callable[[], dict[str, tuple[int, int, int]]]) -> bytes:
        """Give everything in Prometheus' text format.

        :param dropped: How many questions the log could not take.
        :param caches: Gives entries, hits and misses by cache.
        """
        self._dropped.set(dropped)
        if self._made:
            self._age.set((datetime.now(UTC) - self._made).total_seconds())
        for name, (entries, hits, misses) in caches().items():
            self._cached.labels(name).set(entries)
            self._hits.labels(name).set(hits)
            self._misses.labels(name).set(misses)
        if not os.environ.get(SHARED_FOLDER):
            return generate_latest(self.registry)
        together = CollectorRegistry()
        MultiProcessCollector(together)  # type: ignore[no-untyped-call]
        return generate_latest(together)


def forget_process(pid: int) -> None:
    """Drop the gauges of a process that has ended."""
    if os.environ.get(SHARED_FOLDER):
        mark_process_dead(pid)  # type: ignore[no-untyped-call]
