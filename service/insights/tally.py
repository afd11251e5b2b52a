"""Count what the log says in one pass, in memory that does not grow with the log beyond fixed bounds."""

from array import array
from collections import Counter, OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal

from service.answer import Status
from service.question_file import Logged

Unit = Literal["hour", "day", "week"]
# Different texts that are remembered of a kind: the latest. At 1 KB each, 50 MB.
MOST_TEXTS = 50_000
MOST_GROUPS = 10_000
STATUSES: tuple[Status, ...] = ("answered", "clarify", "not_covered", "declined")


@dataclass(slots=True)
class Asked:
    """A question that was asked once or more, apart from case and white space.

    :ivar text: As it was asked last.
    :ivar periods: How often in each period, by its number.
    """

    text: str = ""
    language: str = ""
    last: str = ""
    count: int = 0
    exchanges: Counter[str] = field(default_factory=Counter)
    periods: Counter[int] = field(default_factory=Counter)
    articles: Counter[str] = field(default_factory=Counter)
    reasons: list[str] = field(default_factory=list)

    def add(self, logged: Logged, period: int) -> None:
        """Count it once more."""
        entry = logged.entry
        self.text, self.language, self.last = entry.question, entry.language, entry.at
        self.count += 1
        self.periods[period] += 1
        self.exchanges.update(entry.exchanges)
        self.articles.update(entry.articles)
        if logged.vote and logged.vote.reason:
            self.reasons.append(logged.vote.reason)


class Questions:
    """The different questions of a kind, the latest of them if there are too many."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._asked: OrderedDict[str, Asked] = OrderedDict()
        #: Questions that were asked, and those of them whose text was left out because others came later.
        self.count = self.left_out = 0

    def add(self, logged: Logged, period: int) -> None:
        """Count a question."""
        self.count += 1
        key = " ".join(logged.entry.question.casefold().split())
        self._asked.setdefault(key, Asked()).add(logged, period)
        self._asked.move_to_end(key)
        if len(self._asked) > self._most:
            self.left_out += self._asked.popitem(last=False)[1].count

    def latest(self) -> list[Asked]:
        """Give the different questions, the one asked last first."""
        return list(reversed(self._asked.values()))


@dataclass(slots=True)
class Use:
    """How often an article was cited.

    :ivar down: Answers that cite it and were voted down.
    """

    cited: int = 0
    down: int = 0


@dataclass(frozen=True, slots=True)
class Span:
    """The time that is looked at, cut into periods of UTC.

    :ivar since: Where the first period begins.
    :ivar until: The end; the last period may not be over.
    """

    since: datetime
    until: datetime
    unit: Unit

    @classmethod
    def of_days(cls, days: int, now: datetime) -> "Span":
        """Give so many days up to now, today among them: by the hour up to two days, by the week from ten weeks on."""
        now = now.astimezone(UTC)
        first = now.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=days - 1)
        if days >= 70:
            return cls(first - timedelta(days=first.weekday()), now, "week")
        return cls(first, now, "hour" if days <= 2 else "day")

    @property
    def step(self) -> timedelta:
        """How long a period is."""
        return {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(weeks=1)}[self.unit]

    @property
    def starts(self) -> tuple[datetime, ...]:
        """Where each period begins."""
        count = -(-(self.until - self.since) // self.step)
        return tuple(self.since + self.step * number for number in range(max(count, 1)))


@dataclass(slots=True)
class Tally:
    """What was counted.

    :ivar statuses: Of each period.
    :ivar votes: Up and down, of each period.
    :ivar milliseconds: Of every answer.
    :ivar hours: Questions by the hour of the week, from 0 for Monday's first to 167, in UTC.
    :ivar first_seen: When each snapshot answered first.
    :ivar by: Of exchanges, languages and doors: how often each status.
    :ivar disagreements: By the articles of an answer whose sources disagree.
    """

    span: Span
    statuses: list[Counter[Status]]
    votes: list[Counter[str]]
    uncovered: Questions
    down_voted: Questions
    hours: Counter[int] = field(default_factory=Counter)
    milliseconds: "array[float]" = field(default_factory=lambda: array("f"))
    notices: Counter[str] = field(default_factory=Counter)
    first_seen: dict[str, str] = field(default_factory=dict)
    by: dict[str, dict[str, Counter[Status]]] = field(default_factory=dict)
    uses: dict[str, Use] = field(default_factory=dict)
    disagreements: dict[frozenset[str], Asked] = field(default_factory=dict)
    left_out_disagreements: int = 0

    @property
    def count(self) -> int:
        """Questions in all."""
        return sum(sum(period.values()) for period in self.statuses)

    def add(self, logged: Logged) -> None:
        """Count an entry."""
        entry = logged.entry
        at = datetime.fromisoformat(entry.at)
        period = min(max((at - self.span.since) // self.span.step, 0), len(self.statuses) - 1)
        self.hours[24 * at.weekday() + at.hour] += 1
        self.statuses[period][entry.status] += 1
        self.milliseconds.append(entry.milliseconds)
        self.notices.update(entry.notices)
        self.first_seen.setdefault(entry.snapshot_id, entry.at)
        for kind, names in (
            ("exchange", entry.exchanges or ("",)),
            ("language", (entry.language,)),
            ("door", (entry.door,)),
        ):
            for name in names:
                self.by.setdefault(kind, {}).setdefault(name, Counter())[entry.status] += 1
        if entry.status == "not_covered":
            self.uncovered.add(logged, period)
        down = bool(logged.vote and logged.vote.verdict == "down")
        if logged.vote:
            self.votes[period][logged.vote.verdict] += 1
        if down and entry.status == "answered":
            self.down_voted.add(logged, period)
        for article in entry.articles:
            use = self.uses.setdefault(article, Use())
            use.cited += 1
            use.down += down
        if "sources_disagree" in entry.notices:
            self._disagree(logged, period)

    def _disagree(self, logged: Logged, period: int) -> None:
        articles = frozenset(logged.entry.articles)
        if articles in self.disagreements or len(self.disagreements) < MOST_GROUPS:
            self.disagreements.setdefault(articles, Asked()).add(logged, period)
        else:
            self.left_out_disagreements += 1


def tally(rows: Iterable[Logged], span: Span, most_texts: int = MOST_TEXTS) -> Tally:
    """Count the entries of a span.

    :param rows: Oldest first.
    :param most_texts: Different uncovered questions that are remembered, the latest.
    """
    count = len(span.starts)
    counted = Tally(
        span,
        [Counter() for _ in range(count)],
        [Counter() for _ in range(count)],
        Questions(most_texts),
        Questions(MOST_GROUPS),
    )
    for logged in rows:
        counted.add(logged)
    return counted


def total(counters: Sequence[Counter[Status]]) -> Counter[Status]:
    """Add up the statuses of all periods."""
    return sum(counters, Counter())
