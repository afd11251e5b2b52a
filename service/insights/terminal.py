"""The insights on a terminal: what matters on one screen; aligned plain lines in a pipe."""

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from service.evaluation.intervals import Measure
from service.evaluation.tables import printable
from service.insights.plots import NAMES
from service.insights.summary import FEW, CitedArticle, Insights
from service.insights.tally import STATUSES

SHOWN = 10
_STYLES = {"answered": "cyan", "clarify": "blue", "not_covered": "yellow", "declined": "bright_black"}
_MARKS = {"answered": "█", "clarify": "▓", "not_covered": "▒", "declined": "░"}
_LEVELS = " ▁▂▃▄▅▆▇█"
_TRENDS = {"rising": "↗", "falling": "↘", None: ""}


def print_insights(told: Insights, console: Console) -> None:
    """Print the shares, the course of time, what was not covered, what was voted down, and the articles."""
    _line(
        console,
        f"{told.n:,} questions, {told.since:%d %b %Y} to {told.until:%d %b %Y %H:%M} UTC, snapshot {told.snapshot_id}",
        "bold",
    )
    _print_shares(told, console)
    _print_time(told, console)
    _print_topics(told, console)
    _print_down_voted(told, console)
    _print_articles(told, console)
    _line(
        console,
        f"\nOf the snapshot's {told.article_count:,} articles {told.article_count - told.never_cited_count:,} were cited.",
    )
    latency = ", ".join(f"{name} {value:,.0f} ms" for name, value in told.latency.items())
    _line(console, f"Latency: {latency} (n = {told.n:,}).")


def _print_down_voted(told: Insights, console: Console) -> None:
    rows = [(one.question, str(one.count), one.reasons[0] if one.reasons else "") for one in told.down_voted[:SHOWN]]
    _table(console, "Answered and voted down", ("question", "n", "why"), rows, ("n",))


def _print_articles(told: Insights, console: Console) -> None:
    articles = [
        (a.title, a.exchange or "–", (a.dated or "–")[:10], str(a.cited), _flags(a))
        for a in (told.stale or told.cited)[:SHOWN]
    ]
    heading = "Cited, and older than their source allows" if told.stale else "The most cited articles"
    _table(console, heading, ("article", "exchange", "updated", "answers", ""), articles, ("answers",))
    found = [
        (" | ".join(article.title for article in one.articles), str(one.count), one.question)
        for one in told.disagreements[:SHOWN]
    ]
    _table(console, "Where sources disagree", ("articles", "answers", "asked"), found, ("answers",))


def _print_shares(told: Insights, console: Console) -> None:
    bar = Text()
    for status in STATUSES:
        part = round(60 * (told.shares[status].value or 0))
        bar.append(_MARKS[status] * part, _STYLES[status])
    console.print(bar)
    for status in STATUSES:
        _line(console, f"{_MARKS[status]} {NAMES[status]:<12} {_share(told.shares[status])}", _STYLES[status])
    votes = f"{_share(told.down)} of the votes are down" if told.down.n else "no votes"
    _line(console, f"  feedback     {votes}")


def _print_time(told: Insights, console: Console) -> None:
    """Print one line of bars for all questions, and one for those that were not covered, on the same scale."""
    most = max(period.n for period in told.periods)
    _line(console, f"\nBy the {told.unit}, from {told.since:%d %b}; the highest is {most:,}", "bold")
    for name, counts in (
        ("all", [period.n for period in told.periods]),
        ("not covered", [period.counts["not_covered"] for period in told.periods]),
    ):
        _line(console, f"  {name:<12} {spark(counts, most)}")


def _print_topics(told: Insights, console: Console) -> None:
    rows = [
        (
            topic.question, str(topic.count), spark(_folded(topic.periods, 24), None), _TRENDS[topic.trend],
            ", ".join(f"{name} {count}" for name, count in topic.exchanges[:3]),
        )
        for topic in told.topics[:SHOWN]
    ]  # fmt: skip
    _table(console, "Asked and not covered", ("typical question", "n", "over time", "", "exchanges"), rows, ("n",))
    if told.uncovered:
        more = f"; {told.topic_count - len(rows):,} more topics" if told.topic_count > len(rows) else ""
        left_out = f"; {told.left_out:,} earlier ones not compared" if told.left_out else ""
        _line(
            console,
            f"{told.uncovered:,} {'question' if told.uncovered == 1 else 'questions'} not covered{more}; {told.alone:,} like no other{left_out}. Arrows where the 95 % "
            f"interval says so, from {FEW} questions on.",
        )


def spark(counts: Sequence[int], most: int | None) -> str:
    """Draw counts as a line of bars.

    >>> spark([0, 1, 4, 8], 8)
    ' ▁▄█'
    """
    highest = max(most or max(counts, default=0), 1)
    return "".join(_LEVELS[-(-8 * count // highest)] for count in counts)


def _folded(counts: Sequence[int], most: int) -> list[int]:
    """Add up neighbours, so that no more than so many are left."""
    size = -(-len(counts) // most)
    return [sum(counts[start : start + size]) for start in range(0, len(counts), size)]


def _flags(article: CitedArticle) -> str:
    flags = (("out of date", article.stale), ("not in the snapshot", article.gone))
    return ", ".join(name for name, holds in flags if holds)


def _share(measure: Measure) -> str:
    if measure.value is None or measure.low is None or measure.high is None:
        return "–"
    return f"{measure.value:4.0%} ({measure.low:.0%} to {measure.high:.0%}, n = {measure.n:,})"


def _table(
    console: Console, title: str, names: Sequence[str], rows: Sequence[tuple[str, ...]], numbers: Sequence[str]
) -> None:
    if not rows:
        return
    cleaned = [tuple(printable(cell) for cell in row) for row in rows]
    if console.is_terminal:
        table = Table(title=f"\n{title}", title_justify="left", title_style="bold", box=SIMPLE_HEAD, pad_edge=False)
        for name in names:
            table.add_column(name, overflow="fold", justify="right" if name in numbers else "left")
        for row in cleaned:
            table.add_row(*(Text(cell) for cell in row))
        console.print(table)
        return
    widths = [max(cell_len(cell) for cell in column) for column in zip(names, *cleaned, strict=True)]
    console.out(f"\n{title}", highlight=False)
    for row in (tuple(names), *cleaned):
        padded = (cell + " " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True))
        console.out("  ".join(padded).rstrip(), highlight=False)


def _line(console: Console, text: str, style: str = "") -> None:
    if text.startswith("\n"):
        console.print()
    console.print(Text(text.strip("\n"), style), soft_wrap=True)
