"""What the log says, put together with the snapshot: the figures that the terminal, the page and --json show."""

import hashlib
import threading
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import numpy as np
import numpy.typing as npt

from index.snapshot import Snapshot
from service.answer import Status
from service.evaluation.intervals import Measure, wilson
from service.insights.tally import STATUSES, Asked, Span, Tally, Unit, tally, total
from service.insights.topics import centred, medoid, topics
from service.notices import dated_of, is_old
from service.question_file import Logged
from service.scope import without_names

Trend = Literal["rising", "falling"]
Progress = Callable[[int, int], None]

# Questions of a topic below which nothing is said about its trend; then the 95 % interval has to say it.
FEW = 10
# What is listed at most: topics, questions, articles. All counts are of everything.
LISTED = 100
# Of each topic, besides the typical question.
EXAMPLES = 4
# Questions that are encoded between two calls of the progress.
ENCODED = 64
# Articles that are read at a time.
READ = 500
# Vectors that are kept between two pages, by the digest of the text: 15 MB with e5.
REMEMBERED = 20_000


@dataclass(frozen=True, slots=True)
class Period:
    """What happened in one hour, day or week.

    :ivar up: Votes for answers of this period, whenever they were given; ``down`` likewise.
    """

    start: datetime
    counts: dict[Status, int]
    up: int
    down: int

    @property
    def n(self) -> int:
        """Questions in all."""
        return sum(self.counts.values())


@dataclass(frozen=True, slots=True)
class Topic:
    """Questions that ask the same.

    :ivar question: The typical one.
    :ivar count: How often any of them was asked, ``different`` how many different texts there are.
    :ivar exchanges: The exchanges that the answers were bound to, the commonest first.
    :ivar periods: How often in each period.
    :ivar trend: Whether its share of all questions grew or fell from the first half of the time to the second; None
        where there are too few questions to say, or it did neither.
    :ivar examples: Others of its questions, those asked most first.
    """

    question: str
    language: str
    count: int
    different: int
    exchanges: tuple[tuple[str, int], ...]
    periods: tuple[int, ...]
    trend: Trend | None
    last: str
    examples: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CitedArticle:
    """An article, and how it was used.

    :ivar down: Answers citing it that were voted down.
    :ivar dated: When it was updated, else published.
    :ivar stale: It is older than its source allows.
    :ivar gone: It is not in the snapshot any more; then only its id is known.
    """

    id: str
    title: str
    url: str
    exchange: str | None
    dated: str | None
    cited: int
    down: int
    stale: bool
    gone: bool


@dataclass(frozen=True, slots=True)
class DownVoted:
    """A question whose answer was voted down.

    :ivar reasons: What was said, the latest first.
    """

    question: str
    language: str
    count: int
    reasons: tuple[str, ...]
    articles: tuple[CitedArticle, ...]
    last: str


@dataclass(frozen=True, slots=True)
class Disagreement:
    """Articles that were cited together in an answer whose sources disagree."""

    articles: tuple[CitedArticle, ...]
    count: int
    question: str
    language: str
    last: str


@dataclass(frozen=True, slots=True)
class Group:
    """The questions of one exchange, language or door; the name is empty where there was none."""

    name: str
    n: int
    answered: Measure
    not_covered: int


@dataclass(frozen=True, slots=True)
class Insights:
    """What an operator should know about a span of time. All times are UTC.

    :ivar periods: One after the other without a gap; the last is not over at ``until``.
    :ivar snapshots: When each snapshot answered first, in this time.
    :ivar topics: What was asked and not covered, the commonest first; two questions or more each.
    :ivar alone: Uncovered questions that are like no other; ``left_out`` those that were not looked at, being too many.
    :ivar cited: The most cited first; of ``cited_count`` articles.
    :ivar never_cited: Title and address; of ``never_cited_count`` of the snapshot's articles.
    :ivar hours: Questions by the hour of the week, Monday's first hour first.
    :ivar latency: Milliseconds: p50, p95, p99.
    :ivar votes: The share of answers that got a vote; ``down`` the share of the votes that are down.
    """

    since: datetime
    until: datetime
    unit: Unit
    snapshot_id: str
    n: int
    periods: tuple[Period, ...]
    shares: dict[Status, Measure]
    votes: Measure
    down: Measure
    snapshots: tuple[tuple[str, str], ...]
    topics: tuple[Topic, ...]
    topic_count: int
    uncovered: int
    alone: int
    left_out: int
    down_voted: tuple[DownVoted, ...]
    cited: tuple[CitedArticle, ...]
    cited_count: int
    stale: tuple[CitedArticle, ...]
    never_cited: tuple[tuple[str, str], ...]
    never_cited_count: int
    article_count: int
    disagreements: tuple[Disagreement, ...]
    hours: tuple[int, ...]
    latency: dict[str, float]
    milliseconds: npt.NDArray[np.float32]
    notices: dict[str, int]
    groups: dict[str, tuple[Group, ...]]


def insights(
    rows: Iterable[Logged], snapshot: Snapshot, span: Span, *, most: int, progress: Progress = lambda *_: None
) -> Insights:
    """Put together what a span of the log says.

    :param rows: The entries of the span, oldest first; read once.
    :param most: Different uncovered questions that are compared, the latest. Encoding them is what takes the time, 5 ms
        each.
    :param progress: Called with questions encoded, and questions in all.
    :raises SnapshotError: The snapshot is damaged.
    """
    counted = tally(rows, span, most)
    shares = total(counted.statuses)
    up, down = (sum(votes[verdict] for votes in counted.votes) for verdict in ("up", "down"))
    found, alone = _topics(counted, snapshot, progress)
    uses = _Articles(counted, snapshot)
    cited = sorted(counted.uses, key=lambda id_: (-counted.uses[id_].cited, id_))
    described = [uses.article(id_) for id_ in cited]
    uncited = uses.never_cited()
    return Insights(
        since=span.since,
        until=span.until,
        unit=span.unit,
        snapshot_id=snapshot.id,
        n=counted.count,
        periods=_periods(counted),
        shares={status: _share(shares[status], counted.count) for status in STATUSES},
        votes=_share(up + down, counted.count),
        down=_share(down, up + down),
        snapshots=tuple((id_, at) for id_, at in counted.first_seen.items()),
        topics=tuple(found[:LISTED]),
        topic_count=len(found),
        uncovered=counted.uncovered.count,
        alone=alone,
        left_out=counted.uncovered.left_out,
        down_voted=tuple(_down_voted(asked, uses) for asked in _commonest(counted.down_voted.latest())[:LISTED]),
        cited=tuple(described[:LISTED]),
        cited_count=len(described),
        stale=tuple([article for article in described if article.stale][:LISTED]),
        never_cited=tuple(uncited[:LISTED]),
        never_cited_count=len(uncited),
        article_count=uses.count,
        disagreements=tuple(_disagreements(counted, uses)[:LISTED]),
        hours=tuple(counted.hours[hour] for hour in range(7 * 24)),
        latency=_percentiles(counted),
        milliseconds=np.array(counted.milliseconds, np.float32),
        notices=dict(counted.notices.most_common()),
        groups={kind: _groups(counts) for kind, counts in counted.by.items()},
    )


def trend(periods: Sequence[int], everything: Sequence[int]) -> Trend | None:
    """Tell whether a topic's share of all questions grew or fell from the first half of the time to the second.

    Whether a question is of the second half is as likely for it as for any, unless the 95 % interval says otherwise;
    with fewer than 10 questions nothing is said.

    :param periods: How often it was asked in each period, ``everything`` how much was asked in all.

    >>> trend([0, 0, 3], [100, 100, 100])
    >>> trend([1, 1, 1, 14], [100, 100, 100, 100])
    'rising'
    """
    count, half = sum(periods), len(periods) // 2
    if count < FEW or not half:
        return None
    usual = sum(everything[half:]) / sum(everything)
    low, high = wilson(sum(periods[half:]), count)
    return "rising" if low > usual else "falling" if high < usual else None


def _topics(counted: Tally, snapshot: Snapshot, progress: Progress) -> tuple[list[Topic], int]:
    """Give the topics of two questions or more, and how many questions are like no other."""
    asked = counted.uncovered.latest()
    texts = [without_names(one.text, snapshot.directory) or one.text for one in asked]
    vectors = _encode(texts, snapshot, progress)
    labels = topics(vectors, [one.count for one in asked], snapshot.spread.means[-1])
    rows = centred(vectors, snapshot.spread.means[-1]) if len(vectors) else vectors
    everything = [sum(period.values()) for period in counted.statuses]
    order = np.argsort(labels, kind="stable")
    found, alone = [], 0
    for members in np.split(order, np.flatnonzero(np.diff(labels[order])) + 1):
        count = sum(asked[row].count for row in members)
        if count < 2:
            alone += count
        else:
            weights = [asked[row].count for row in members]
            typical = int(members[medoid(rows[members], weights)])
            found.append(_topic(asked[typical], [asked[row] for row in members], everything))
    return sorted(found, key=lambda topic: (-topic.count, topic.question)), alone


def _topic(typical: Asked, members: Sequence[Asked], everything: Sequence[int]) -> Topic:
    periods, exchanges = Counter[int](), Counter[str]()
    for one in members:
        periods.update(one.periods)
        exchanges.update(one.exchanges)
    counts = tuple(periods[number] for number in range(len(everything)))
    return Topic(
        typical.text,
        typical.language,
        sum(counts),
        len(members),
        tuple(sorted(exchanges.items(), key=lambda item: (-item[1], item[0]))),
        counts,
        trend(counts, everything),
        max(one.last for one in members),
        tuple(one.text for one in _commonest(members) if one is not typical)[:EXAMPLES],
    )


_REMEMBERED: OrderedDict[bytes, npt.NDArray[np.float16]] = OrderedDict()
_REMEMBERING = threading.Lock()


def _encode(texts: Sequence[str], snapshot: Snapshot, progress: Progress) -> npt.NDArray[np.float32]:
    """Encode questions, those that were not encoded for an earlier page."""
    encoder = snapshot.encoder
    name = encoder.fingerprint.encode()
    keys = [hashlib.sha256(name + text.encode("utf-8", "replace")).digest() for text in texts]
    with _REMEMBERING:
        vectors = {key: _REMEMBERED[key] for key in keys if key in _REMEMBERED}
    new = [(key, text) for key, text in dict(zip(keys, texts, strict=True)).items() if key not in vectors]
    for start in range(0, len(new), ENCODED):
        part = new[start : start + ENCODED]
        for (key, _), vector in zip(part, encoder.encode_query([text for _, text in part]), strict=True):
            vectors[key] = vector.astype(np.float16)
        progress(start + len(part), len(new))
    with _REMEMBERING:
        _REMEMBERED.update(vectors)
        while len(_REMEMBERED) > REMEMBERED:
            _REMEMBERED.popitem(last=False)
    rows = np.empty((len(texts), encoder.dimension), np.float32)
    for row, key in enumerate(keys):
        rows[row] = vectors[key]
    return rows


class _Articles:
    """What the snapshot knows of the articles that the log names."""

    def __init__(self, counted: Tally, snapshot: Snapshot) -> None:
        self._uses, self._snapshot = counted.uses, snapshot
        self._listed: dict[str, tuple[str, str]] = {}
        last = ""
        while part := snapshot.articles(after=last, limit=READ):
            self._listed |= {article.id: (article.title, article.url) for article in part}
            last = part[-1].id

    @property
    def count(self) -> int:
        return len(self._listed)

    def article(self, article_id: str) -> CitedArticle:
        article, use = self._snapshot.article(article_id), self._uses[article_id]
        if article is None:
            return CitedArticle(article_id, article_id, "", None, None, use.cited, use.down, stale=False, gone=True)
        stale = is_old(article, self._snapshot.max_age_days(article_id))
        return CitedArticle(
            article_id, article.title, article.url, article.exchange, dated_of(article), use.cited, use.down,
            stale=stale, gone=False,
        )  # fmt: skip

    def never_cited(self) -> list[tuple[str, str]]:
        return sorted(named for id_, named in self._listed.items() if id_ not in self._uses)


def _down_voted(asked: Asked, uses: _Articles) -> DownVoted:
    reasons = tuple(dict.fromkeys(reversed(asked.reasons)))[:EXAMPLES]
    articles = tuple(uses.article(id_) for id_, _ in asked.articles.most_common(EXAMPLES))
    return DownVoted(asked.text, asked.language, asked.count, reasons, articles, asked.last)


def _disagreements(counted: Tally, uses: _Articles) -> list[Disagreement]:
    ordered = sorted(counted.disagreements.items(), key=lambda item: (-item[1].count, sorted(item[0])))
    return [
        Disagreement(
            tuple(uses.article(id_) for id_ in sorted(ids)), asked.count, asked.text, asked.language, asked.last
        )
        for ids, asked in ordered[:LISTED]
    ]


def _commonest(asked: Iterable[Asked]) -> list[Asked]:
    return sorted(sorted(asked, key=lambda one: one.last, reverse=True), key=lambda one: -one.count)


def _periods(counted: Tally) -> tuple[Period, ...]:
    return tuple(
        Period(start, {status: statuses[status] for status in STATUSES}, votes["up"], votes["down"])
        for start, statuses, votes in zip(counted.span.starts, counted.statuses, counted.votes, strict=True)
    )


def _groups(counts: dict[str, Counter[Status]]) -> tuple[Group, ...]:
    ordered = sorted(counts.items(), key=lambda item: (-item[1].total(), item[0]))
    return tuple(
        Group(name, statuses.total(), _share(statuses["answered"], statuses.total()), statuses["not_covered"])
        for name, statuses in ordered[:LISTED]
    )


def _percentiles(counted: Tally) -> dict[str, float]:
    if not counted.milliseconds:
        return {}
    values = np.quantile(np.array(counted.milliseconds, np.float32), [0.5, 0.95, 0.99])
    return {name: round(float(value), 2) for name, value in zip(("p50", "p95", "p99"), values, strict=True)}


def _share(count: int, n: int) -> Measure:
    return Measure(count / n, n, *wilson(count, n)) if n else Measure(None, 0)
