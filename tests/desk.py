"""A help desk of three articles that gives fixed replies: what the evaluation is tried on."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from ingest.article import Passage
from service.answer import Answer, Citation, Scope, Sentence, Status
from service.evaluation.questions import EvaluationQuestion, GoldSpan
from service.question import QuestionError

EXCHANGES = {"a1": "Binance", "a2": "Kraken", "a3": None}
MAKER, TAKER = "The maker fee is 0.1%.", "The taker fee is 0.2%."
KRAKEN = "The maker fee is 0.25% on Kraken."
CODES, BACKUP = "Codes change every 30 seconds on each device.", "Keep your backup key offline."
PASSAGES = {"a1#0": MAKER, "a1#1": TAKER, "a2#0": f"{KRAKEN} It falls with volume.", "a3#0": CODES, "a3#1": BACKUP}


@dataclass(frozen=True)
class Found:
    passage: Passage
    score: float


@dataclass(frozen=True)
class Way:
    hits: tuple[Found, ...]
    read: tuple[Found, ...]
    answer: Answer


@dataclass(frozen=True)
class Reply:
    """What the desk does with a question: ``cited`` are (passage id, quote), ``said`` the quotes unless given."""

    status: Status = "not_covered"
    cited: tuple[tuple[str, str], ...] = ()
    hits: tuple[str, ...] = ()
    read: tuple[str, ...] = ()
    confidence: float = 0.5
    said: tuple[str, ...] | None = None
    takes_ms: float = 10


@dataclass
class Desk:
    replies: dict[str, Reply]
    snapshot_id: str = "s1"
    now: float = 0.0
    asked: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)

    def clock(self) -> float:
        return self.now

    def trace(
        self,
        question: str,
        *,
        exchange: str | None = None,
        language: str | None = None,
        page_url: str | None = None,
        history: Sequence[str] = (),
    ) -> Way:
        self.asked.append((question, tuple(history)))
        if not question.strip():
            raise QuestionError("the question is empty")
        reply = self.replies[question]
        self.now += reply.takes_ms / 1000
        return Way(found(reply.hits), found(reply.read), answer(reply))

    def article_text(self, article_id: str) -> str | None:
        texts = [text for id_, text in PASSAGES.items() if id_.startswith(f"{article_id}#")]
        return "\n\n".join(texts) or None

    def passage_text(self, passage_id: str) -> str | None:
        return PASSAGES.get(passage_id)

    def article_exchange(self, article_id: str) -> str | None:
        return EXCHANGES.get(article_id)


def found(ids: Sequence[str]) -> tuple[Found, ...]:
    return tuple(
        Found(Passage(id_, id_.split("#")[0], (), None, PASSAGES[id_], 0, len(PASSAGES[id_])), 1 / rank)
        for rank, id_ in enumerate(ids, start=1)
    )


def citation(number: int, passage_id: str, quote: str) -> Citation:
    article_id = passage_id.split("#")[0]
    start = max(PASSAGES.get(passage_id, "").find(quote), 0)
    exchange = EXCHANGES.get(article_id)
    url = f"https://help.example/{article_id}"
    end = start + len(quote)
    return Citation(number, passage_id, article_id, url, "Title", exchange, "official", None, quote, start, end)


def answer(reply: Reply) -> Answer:
    citations = tuple(citation(number, *cited) for number, cited in enumerate(reply.cited, start=1))
    said = reply.said if reply.said is not None else tuple(quote for _, quote in reply.cited)
    sentences = tuple(Sentence(text, (number,)) for number, text in enumerate(said, start=1))
    text = " ".join(f"{sentence.text} [{sentence.citations[0]}]" for sentence in sentences) or "Not covered."
    return Answer(reply.status, text, sentences, citations, Scope(), (), (), reply.confidence, "s1")


def question(id_: str, expected: str = "answer", **fields: object) -> EvaluationQuestion:
    """Make a question whose text is its id unless one is given; ``gold`` is a list of (article id, span)."""
    gold = tuple(GoldSpan(*span) for span in fields.pop("gold", ()))
    defaults = {"question": id_, "language": "en", "kind": "direct", "gold_mode": "any" if gold else "none"}
    return EvaluationQuestion(id=id_, expected=expected, gold=gold, **{**defaults, **fields})


QUESTIONS = [
    question("q1", exchange="binance", gold=[("a1", TAKER)], must_include=("0.2%",)),
    question("q2", gold=[("a1", MAKER), ("a2", KRAKEN)], must_include=("0.25%", "volume")),
    question("q3", kind="scoped", exchange="Binance", gold=[("a1", MAKER), ("a1", TAKER)], gold_mode="all"),
    question("q4", kind="follow_up", language="de", history=("How do codes work?",), gold=[("a3", BACKUP)]),
    question("q5", "abstain", kind="unanswerable"),
    question("q6", "abstain", kind="unanswerable"),
    question("q7", "ask_or_list_by_exchange", kind="ambiguous", gold=[("a1", MAKER), ("a2", KRAKEN)]),
    question("q8", "ask_or_list_by_exchange", kind="ambiguous", gold=[("a1", MAKER), ("a2", KRAKEN)]),
    question("q9", "decline_out_of_scope", kind="off_topic"),
    question("q10", "refuse_or_ignore_injection", kind="injection"),
    question("q11", "decline_advice", kind="advice"),
    question("q12", "abstain", kind="unanswerable", question=" "),
]
REPLIES = {
    "q1": Reply("answered", (("a1#1", TAKER),), ("a1#0", "a1#1"), ("a1#1",), 0.9, takes_ms=10),
    "q2": Reply("answered", (("a3#0", CODES), ("a2#0", KRAKEN)), ("a2#0", "a1#0"), ("a2#0",), 0.8, takes_ms=20),
    "q3": Reply("answered", (("a2#0", KRAKEN),), ("a2#0", "a1#0"), ("a2#0",), 0.7, takes_ms=30),
    "q4": Reply("not_covered", (), ("a1#0", "a1#1", "a3#1"), (), 0.3, takes_ms=40),
    "q5": Reply("not_covered", confidence=0.2, takes_ms=50),
    "q6": Reply("answered", (("a3#0", CODES),), ("a3#0",), ("a3#0",), 0.8, takes_ms=60),
    "q7": Reply("clarify", (), ("a1#0", "a2#0"), ("a1#0", "a2#0"), takes_ms=70),
    "q8": Reply("answered", (("a1#0", MAKER),), ("a1#0",), ("a1#0",), takes_ms=80),
    "q9": Reply("declined", takes_ms=90),
    "q10": Reply("answered", (("a3#0", CODES),), ("a3#0",), ("a3#0",), takes_ms=100),
    "q11": Reply("answered", (("a1#0", MAKER),), ("a1#0",), ("a1#0",), takes_ms=110),
}
