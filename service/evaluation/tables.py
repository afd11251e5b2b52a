"""Print the results of an evaluation: tables on a terminal, aligned plain lines in a pipe or a file."""

from collections.abc import Sequence

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from service.evaluation.comparison import Comparison
from service.evaluation.intervals import Measure
from service.evaluation.measures import NOTES, MeasureNote
from service.evaluation.run import Measures, Result
from service.evaluation.scoring import Outcome

MISSES_SHOWN = 25
_JOINERS = "\u200c\u200d"  # not printable, but Persian and Hindi are not written without them
_BY_NAME = {note.key: note for note in NOTES}
# What tells one kind of question from another; the rest is in --json and in the report.
GROUP_KEYS = (
    "answered_right",
    "lead_right",
    "refused_right",
    "refused_wrongly",
    "declined_right",
    "asked_or_listed",
    "wrong_exchange",
    "span_recall_at_5",
)


def print_table(result: Result, console: Console) -> None:
    """Print the measures, the same by kind and by language, and the first misses."""
    count = result.counts["questions"]
    _line(console, f"{count} questions, snapshot {result.snapshot_id}, {result.date}")
    _print(console, "Measures", ("measure", "value", "n", "95 % interval"), [_measure_row(n, result) for n in NOTES])
    _print_groups(console, "kind", result.by_kind)
    _print_groups(console, "language", result.by_language)
    _print_misses(console, result.misses)


def print_comparison(comparison: Comparison, console: Console) -> None:
    """Print what changed since an earlier result."""
    _line(console, f"Before: {comparison.before}. Now: {comparison.now}.")
    rows = [
        (
            _BY_NAME[change.key].name,
            shown(change.before, _BY_NAME[change.key]),
            shown(change.now, _BY_NAME[change.key]),
            shown(change.difference, _BY_NAME[change.key], sign=True),
        )
        for change in comparison.changes
        if change.before is not None or change.now is not None
    ]
    _print(console, "Changes", ("measure", "before", "now", "difference"), rows)
    for name in ("fixed", "broken", "added", "removed"):
        ids: tuple[str, ...] = getattr(comparison, name)
        _line(console, f"{name}: {len(ids)}{': ' if ids else ''}{', '.join(ids)}")
    if comparison.p_value is not None:
        _line(console, f"fixed against broken, sign test: p = {comparison.p_value:.3f}")


def shown(value: float | None, note: MeasureNote, *, sign: bool = False) -> str:
    """Write a value in its unit: a share as 0.873, milliseconds as 41.5 ms."""
    if value is None:
        return "–"
    written = f"{value:+,.1f} ms" if note.unit == "ms" else f"{value:+.3f}"
    return written if sign or value < 0 else written[1:]


def interval(measure: Measure, note: MeasureNote) -> str:
    """Write a measure's 95 % interval."""
    if measure.low is None or measure.high is None:
        return "–"
    return f"{shown(measure.low, note)} to {shown(measure.high, note)}"


def _measure_row(note: MeasureNote, result: Result) -> tuple[str, ...]:
    measure = result.measures[note.key]
    return note.name, shown(measure.value, note), str(measure.n), interval(measure, note)


def _print_groups(console: Console, by: str, groups: dict[str, Measures]) -> None:
    notes = [note for note in NOTES if note.key in GROUP_KEYS and any(groups[name][note.key].n for name in groups)]
    rows = [(name, *(_value_and_count(groups[name][note.key], note) for note in notes)) for name in groups]
    _print(console, f"By {by}", (by, *(note.name for note in notes)), rows)


def _value_and_count(measure: Measure, note: MeasureNote) -> str:
    return f"{shown(measure.value, note)} ({measure.n})" if measure.n else "–"


def _print_misses(console: Console, misses: Sequence[Outcome]) -> None:
    rows = [
        (
            miss.question.id,
            miss.question.question,
            miss.question.expected,
            miss.got,
            miss.where,
            miss.first_sentence,
            miss.question.gold_short,
        )
        for miss in misses[:MISSES_SHOWN]
    ]
    if rows:
        _print(console, "Misses", ("id", "question", "expected", "got", "where", "first sentence", "gold"), rows)
    if len(misses) > MISSES_SHOWN:
        _line(console, f"and {len(misses) - MISSES_SHOWN} more; --json and --report have them all")


def _print(console: Console, title: str, header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    cleaned = [tuple(printable(cell) for cell in row) for row in rows]
    if console.is_terminal:
        table = Table(title=title, title_justify="left", title_style="bold")
        for name in header:
            table.add_column(name, overflow="fold")
        for row in cleaned:
            table.add_row(*(Text(cell) for cell in row))
        console.print(table)
        return
    widths = [max(cell_len(cell) for cell in column) for column in zip(header, *cleaned, strict=True)]
    console.out(f"\n{title}", highlight=False)
    for row in (header, *cleaned):
        padded = (cell + " " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True))
        console.out("  ".join(padded).rstrip(), highlight=False)


def _line(console: Console, text: str) -> None:
    console.print(Text(printable(text)), soft_wrap=True)


def printable(text: str) -> str:
    """Replace what could command the terminal or turn the direction of the line; keep it in one line."""
    return "".join(
        character if character.isprintable() or character in _JOINERS else "\N{REPLACEMENT CHARACTER}"
        for character in " ".join(text.split())
    )
