"""The command `citedesk insights`: what the question log tells the operator."""

import argparse
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from service.settings import Settings

DONE, NEGATIVE = 0, 1
DAYS, MOST_DAYS = 30, 3650
# Different uncovered questions that are compared; with e5 half of five minutes of two cores.
MOST = 50_000

Run = Callable[[argparse.Namespace, Settings], int]


def add_insights(commands: Any, common: Callable[[argparse.ArgumentParser, Run], None]) -> None:  # noqa: ANN401
    """Add `citedesk insights`."""
    text = "What was asked, what was not covered, and which articles were cited."
    parser = commands.add_parser("insights", help=text, description=text)
    parser.add_argument(
        "--days",
        type=_days,
        default=DAYS,
        metavar="N",
        help=f"look at the last N days, today among them (default {DAYS})",
    )
    parser.add_argument("--report", type=Path, metavar="FILE.html", help="write one self-contained page with plots")
    common(parser, run_insights)


def run_insights(arguments: argparse.Namespace, settings: Settings) -> int:
    """Print what the log says of the last days; 1 where nothing was asked."""
    from index.snapshot import SnapshotShelf
    from service.insights.report import render
    from service.insights.summary import insights
    from service.insights.tally import Span
    from service.progress import Progress
    from service.question_log import FILE, read

    path = settings.home / FILE
    span = Span.of_days(arguments.days, datetime.now(UTC))
    with Progress() as progress:
        told = insights(
            read(path, span.since, span.until), SnapshotShelf(settings.home).open(), span, most=MOST,
            progress=lambda done, of: progress.stage("encode", done, of),
        )  # fmt: skip
    if arguments.report:
        arguments.report.write_bytes(render(told).encode("utf-8", errors="replace"))
    if arguments.json:
        from service.cli import print_json

        print_json(as_json(told))
    elif told.n:
        _print(told, arguments.report)
    else:
        _say_empty(path, arguments.days)
    return DONE if told.n else NEGATIVE


def as_json(value: Any) -> Any:  # noqa: ANN401
    """Give plain data: fields by name, times as ISO 8601; single latencies are left out."""
    if is_dataclass(value):
        return {f.name: as_json(getattr(value, f.name)) for f in fields(value) if f.name != "milliseconds"}
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds")
    if isinstance(value, dict):
        return {key: as_json(item) for key, item in value.items()}
    return [as_json(item) for item in value] if isinstance(value, (tuple, list)) else value


def _print(told: Any, report: Path | None) -> None:  # noqa: ANN401  (service.insights.summary.Insights, slow to import)
    from rich.console import Console

    from service.insights.terminal import print_insights

    console = Console(highlight=False)
    print_insights(told, console)
    if report:
        console.out(f"report: {report}", highlight=False)


def _say_empty(path: Path, days: int) -> None:
    import sys

    why = "nothing was asked" if path.exists() else "no question was recorded yet; `citedesk serve` records them"
    sys.stderr.write(
        f"citedesk: {path}: {why} in the last {days} days\n" if path.exists() else f"citedesk: {path}: {why}\n"
    )


def _days(argument: str) -> int:
    if not argument.isascii() or not argument.isdigit() or not 1 <= int(argument) <= MOST_DAYS:
        raise argparse.ArgumentTypeError(f"{argument!r} is not a number of days from 1 to {MOST_DAYS:,}")
    return int(argument)
