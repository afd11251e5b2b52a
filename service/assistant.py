"""The whole way from a question to an answer; every door calls `Assistant.ask`."""

import secrets
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

from index.filters import EVERYTHING, Filters
from index.search import Hit, HybridRetriever, Retriever
from index.snapshot import Snapshot
from service.answer import Answer, Notice
from service.compose import answered, clarify, declined, not_covered
from service.decide import Decision, decide
from service.evidence import Evidence, ahead, read, read_closely
from service.intents import speaks_of_trading
from service.off_topic import is_off_topic
from service.question import Question, understand
from service.quotes import MOST_PASSAGES
from service.read_ahead import open_reader
from service.reader import Reader
from service.redact import SECRETS, redact
from service.replies import WITH_RELATED
from service.scope import without_names
from service.settings import DEFAULT_RISK

if TYPE_CHECKING:
    from service.llm.attached import Attached
    from service.llm.select import Verdict

# Passages that are read: the answering one is among the first ten for 94 % of the questions (DESIGN, Encoders).
READ = 40
#: What an asker is told whose question held a secret.
SECRET_TOLD = (
    "Your question held a {}. It was taken out and is kept nowhere here, but treat it as known to others now: change it, or "
    "move what it protects. Nobody who helps you needs it."
)
#: What an asker is told whose follow-up a model wrote out.
REWRITTEN_TOLD = "Also searched, as a language model understood it: {}"
# Passages of the asker's page that are read besides: a help page has 8 in the mean, and 997 of 1,000 no more than this.
READ_OF_PAGE = 20
# Passages that are read besides where a model wrote the question out and found others: it adds, and crowds nothing out.
READ_OF_REWRITTEN = 10


@dataclass(frozen=True, slots=True)
class Trace:
    """How an answer came about.

    :ivar hits: What was found, as reading it ranked it, best first.
    :ivar read: The hits that sentences may be taken from.
    """

    question: Question
    hits: tuple[Hit, ...]
    read: tuple[Hit, ...]
    answer: Answer


class Assistant:
    """Answers questions from one snapshot."""

    def __init__(
        self,
        snapshot: Snapshot,
        *,
        risk: float = DEFAULT_RISK,
        reads: bool = True,
        retriever: Retriever | None = None,
        model: "Attached | None" = None,
    ) -> None:
        """Open a snapshot's indexes.

        :param risk: The risk of a wrong refusal that is accepted, see `service.decide.least_confidence`.
        :param reads: Let the reader read the best passages, where there is one for the snapshot's encoder.
        :param retriever: What finds the snapshot's passages; None: the snapshot's own indexes.
        :param model: A language model that chooses among the sentences, and may phrase the answer.
        """
        self.snapshot = snapshot
        self._risk = risk
        self._reads = reads
        self._retriever = retriever or HybridRetriever(snapshot)
        self._model = model

    def ask(
        self,
        question: str,
        *,
        exchange: str | None = None,
        language: str | None = None,
        page_url: str | None = None,
        history: Sequence[str] = (),
        only: Filters = EVERYTHING,
    ) -> Answer:
        """Answer a question.

        :param exchange: The exchange that the answer is bound to, unless the question names another.
        :param page_url: The page that the asker stands on; its exchange binds the answer likewise.
        :param history: Earlier questions of the conversation, oldest first.
        :param only: What may be quoted and named, whatever else is asked: languages, how official, products.
        :raises QuestionError: The question is empty or too long.
        :raises SnapshotError: The snapshot turned out to be damaged.
        """
        return self.trace(
            question, exchange=exchange, language=language, page_url=page_url, history=history, only=only
        ).answer

    def trace(
        self,
        question: str,
        *,
        exchange: str | None = None,
        language: str | None = None,
        page_url: str | None = None,
        history: Sequence[str] = (),
        only: Filters = EVERYTHING,
        heard: Callable[[Question, str], None] | None = None,
        grows: Callable[[Answer], None] | None = None,
    ) -> Trace:
        """Answer a question as `ask` does, and tell how.

        :param heard: Called with the question as understood and the answer's id, before anything is searched.
        :param grows: Called, where a model phrases the answer, with the answer without a sentence as soon as it is known that
            there is one, and each time that a sentence is added. What comes back begins with these sentences and citations.
        """
        clock = _Clock()
        with clock.stage("question"):
            # What is secret is taken out before anything else sees it, so nothing after this can keep or repeat it.
            clean = redact(question)
            asked = understand(
                clean.text, self.snapshot, exchange=redact(exchange).text if exchange else None, language=language,
                page_url=page_url, history=[redact(earlier).text for earlier in history],
            )  # fmt: skip
            if clean.is_bare:
                asked = replace(asked, intent="secret")
        clock.told = SECRETS & clean.kinds
        if heard:
            heard(asked, clock.answer_id)
        if asked.intent != "question":
            hits = tuple(self._search(asked, clock, only)) if asked.intent in WITH_RELATED else ()
            return Trace(asked, hits, (), self._finish(declined(asked, hits, self.snapshot), clock))
        until = self._model.until() if self._model else 0.0
        found_hits = self._search(asked, clock, only)
        found_hits += self._found_besides(asked, found_hits, until, clock, only)
        if asked.source == "none" and self._is_off_topic(asked, found_hits):
            return self._off_topic(asked, found_hits, clock)
        with clock.stage("read"):
            found = self._read(asked, found_hits)
        verdict, found = self._chosen(asked, found, until, clock)
        with clock.stage("decide"):
            lead = ahead(asked, self._retriever, self.snapshot)
            words = len(asked.query.split())
            usual = self.snapshot.calibration.usual(bound=bool(asked.exchanges))
            decision = decide(
                found, bound=bool(asked.exchanges), ahead=lead, usual=usual, words=words, risk=self._risk,
                other=self._model.odds(verdict) if self._model else 0.0,
                asks_back=verdict is not None and verdict.says == "unclear",
            )  # fmt: skip
        with clock.stage("answer"):
            match decision.status:
                case "answered":
                    answer = answered(asked, decision, self.snapshot)
                case "clarify":
                    answer = clarify(asked, decision, self.snapshot)
                case _:
                    answer = not_covered(asked, decision, self._nearest(asked, found_hits, only), self.snapshot)
        if self._model and answer.status == "answered":
            with clock.stage("phrase"):
                answer = self._phrased(asked, answer, until, clock, grows or (lambda _: None))
        read_hits = tuple(evidence.hit for evidence in found)
        return Trace(asked, read_hits, read_hits[:MOST_PASSAGES], self._finish(answer, clock))

    def consider(
        self,
        question: str,
        *,
        exchange: str | None = None,
        page_url: str | None = None,
        history: Sequence[str] = (),
        without: Collection[str] = (),
    ) -> tuple[Question, list[Evidence], float]:
        """Read without deciding: the question, the evidence best first, and `service.evidence.ahead`, for fitting.

        :param without: Ids of articles that are not read, as if they were not there.
        """
        asked = understand(question, self.snapshot, exchange=exchange, page_url=page_url, history=history)
        hits = [hit for hit in self._search(asked, _Clock()) if hit.passage.article_id not in without]
        return asked, self._read(asked, hits), ahead(asked, self._retriever, self.snapshot)

    def search(
        self, question: str, *, exchange: str | None = None, only: Filters = EVERYTHING, k: int = 10
    ) -> list[Hit]:
        """Find the passages nearest to a question, best first, without deciding whether they answer it.

        :param exchange: The exchange that the passages have to be about, unless the question names another.
        :param only: What may be found, whatever else is asked.
        :raises QuestionError: The question is empty or too long.
        """
        return self._search(understand(redact(question).text, self.snapshot, exchange=exchange), _Clock(), only)[:k]

    def warm(self) -> None:
        """Load everything that is needed to answer, so that the first asker does not wait for it.

        :raises SnapshotError: The snapshot is damaged.
        """
        model, self._model = self._model, None  # what costs is asked when somebody asks
        try:
            self.trace("How does it work?", exchange=next(iter(self.snapshot.exchanges), None))
        finally:
            self._model = model

    def caches(self) -> dict[str, tuple[int, int, int]]:
        """Give entries, hits and misses of what is remembered, by name."""
        return {**self.snapshot.caches(), **self._retriever.caches()}

    def article_text(self, article_id: str) -> str | None:
        """Give the text of an article of the snapshot."""
        article = self.snapshot.article(article_id)
        return article.text if article else None

    def passage_text(self, passage_id: str) -> str | None:
        """Give the text of a passage of the snapshot."""
        found = {passage.id: passage.text for passage in self.snapshot.passages_of(passage_id.rsplit("#", 1)[0])}
        return found.get(passage_id)

    def article_exchange(self, article_id: str) -> str | None:
        """Give the exchange that an article is about."""
        article = self.snapshot.article(article_id)
        return article.exchange if article else None

    @property
    def snapshot_id(self) -> str:
        """The id of the snapshot that it answers from."""
        return self.snapshot.id

    def _search(self, asked: Question, clock: "_Clock", only: Filters = EVERYTHING) -> list[Hit]:
        with clock.stage("search"):
            filters = replace(only, exchanges=frozenset((*asked.exchanges, "")) if asked.exchanges else None)
            found = self._retriever.search(asked.neutral, filters, READ, language=asked.language)
            if asked.page:  # what the asker is looking at is read whatever else was found
                ids = {hit.passage.id for hit in found}
                there = replace(only, article=asked.page.id)
                of_page = self._retriever.search(asked.neutral, there, READ_OF_PAGE, language=asked.language)
                found += [hit for hit in of_page if hit.passage.id not in ids]
            return [hit for hit in found if self._in_scope(hit, asked)]

    def _read(self, asked: Question, hits: Sequence[Hit]) -> list[Evidence]:
        found = read(asked, hits, self._retriever, self.snapshot)
        return read_closely(asked, found, self._reader) if self._reader else found

    def _chosen(
        self, asked: Question, found: list[Evidence], until: float, clock: "_Clock"
    ) -> tuple["Verdict | None", list[Evidence]]:
        """Let the model choose among the sentences, where there is one."""
        if self._model is None:
            return None, found
        with clock.stage("choose"):
            verdict = self._model.verdict(asked, found, self.snapshot, until)
        return verdict, list(self._model.preferred(found, verdict))

    def _found_besides(
        self, asked: Question, hits: Sequence[Hit], until: float, clock: "_Clock", only: Filters
    ) -> list[Hit]:
        """Search a follow-up as the model writes it out, where there is one; what that finds is measured by our own wording."""
        if self._model is None or not asked.thread:
            return []
        with clock.stage("rewrite"):
            clock.rewritten = self._model.rewritten(asked, self.snapshot, until)
        if not clock.rewritten:
            return []
        ids = {hit.passage.id for hit in hits}
        neutral = without_names(clock.rewritten, self.snapshot.directory) or clock.rewritten
        written_out = replace(asked, neutral=neutral, page=None)
        new = [hit for hit in self._search(written_out, clock, only) if hit.passage.id not in ids]
        wanted = {hit.passage.id for hit in new[:READ_OF_REWRITTEN]}
        with clock.stage("search"):
            articles = [
                Filters(article=i) for i in dict.fromkeys(hit.passage.article_id for hit in new[:READ_OF_REWRITTEN])
            ]
            again = (self._retriever.search(asked.neutral, one, READ, language=asked.language) for one in articles)
            return [hit for found in again for hit in found if hit.passage.id in wanted]

    def _phrased(
        self, asked: Question, answer: Answer, until: float, clock: "_Clock", grows: Callable[[Answer], None]
    ) -> Answer:
        """Let the model phrase an answer, and tell how it grows."""
        if self._model is None:
            return answer
        grows(self._finish(replace(answer, text="", sentences=(), citations=()), clock))
        return self._model.phrased(
            asked, answer, self.snapshot, until, lambda so_far: grows(self._finish(so_far, clock))
        )

    @cached_property
    def _reader(self) -> Reader | None:
        return open_reader(self.snapshot) if self._reads else None

    def _in_scope(self, hit: Hit, asked: Question) -> bool:
        """Tell whether a passage may answer: its article is about the exchange, or about none and the passage names it."""
        article = self.snapshot.article(hit.passage.article_id)
        if article is None or not asked.exchanges:
            return article is not None
        if article.exchange:
            return article.exchange in asked.exchanges
        text = "\n".join((article.title, *hit.passage.heading_path, hit.passage.text))
        return bool(set(self.snapshot.directory.mentioned(text)) & set(asked.exchanges))

    def _is_off_topic(self, asked: Question, hits: Sequence[Hit]) -> bool:
        """Tell whether a question is nearer to what no help desk answers than to any passage."""
        encoder = self.snapshot.encoder
        nearest = max((hit.dense_score for hit in hits), default=0.0)
        vector = self._retriever.query_vector(asked.neutral)
        foreign = asked.language not in self.snapshot.languages
        return is_off_topic(vector, nearest, encoder, encoder.card.name, foreign=foreign)

    def _off_topic(self, asked: Question, hits: Sequence[Hit], clock: "_Clock") -> Trace:
        """Refuse a question that is off topic: one about trading is not covered."""
        if speaks_of_trading(asked.query):
            answer = not_covered(asked, Decision("not_covered", 0.0), hits, self.snapshot)
        else:
            asked = replace(asked, intent="off_topic")
            answer = declined(asked, (), self.snapshot)
        return Trace(asked, tuple(hits), (), self._finish(answer, clock))

    def _nearest(self, asked: Question, hits: Sequence[Hit], only: Filters) -> Sequence[Hit]:
        """Give the hits whose articles are named when nothing answers: of the exchange, else of all."""
        return hits or self._retriever.search(asked.neutral, only, READ, language=asked.language)

    def _finish(self, answer: Answer, clock: "_Clock") -> Answer:
        notices = answer.notices
        if clock.told:
            notices = (Notice("secret_redacted", SECRET_TOLD.format(", a ".join(sorted(clock.told)))), *notices)
        if clock.rewritten:
            notices = (*notices, Notice("question_rewritten", REWRITTEN_TOLD.format(clock.rewritten)))
        return replace(answer, id=clock.answer_id, notices=notices, timings=clock.timings())


@dataclass(slots=True)
class _Clock:
    """What one question has besides its text: the answer's id, what was taken out of it, and milliseconds by stage.

    :ivar rewritten: As the model wrote it out, where it was searched so too.
    """

    started: float = field(default_factory=time.perf_counter)
    answer_id: str = field(default_factory=lambda: f"a_{secrets.token_urlsafe(12)}")
    told: frozenset[str] = frozenset()
    rewritten: str | None = None
    stages: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        begun = time.perf_counter()
        yield
        self.stages[name] = self.stages.get(name, 0.0) + 1000 * (time.perf_counter() - begun)

    def timings(self) -> dict[str, float]:
        total = 1000 * (time.perf_counter() - self.started)
        return {**{name: round(value, 2) for name, value in self.stages.items()}, "total": round(total, 2)}
