"""How far an ingest is, on standard error: a live line a source on a terminal, now and then a line elsewhere."""

import sys
import time
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.text import Text

from ingest.pipeline import Step

#: Seconds between two lines where there is no terminal.
EVERY = 30
LONGEST_NAME = 40


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:5.1f}/s" if speed else "     –", style="dim")


class IngestProgress:
    """Called with each `Step`."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._tasks: dict[str, Any] = {}
        self._told = time.monotonic()

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            columns = (
                TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[counts]}"), _Rate(),
                TimeRemainingColumn(),
            )  # fmt: skip
            self._bar = Bar(*columns, console=Console(stderr=True))
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar:
            self._bar.stop()

    def __call__(self, step: Step) -> None:
        """Show a step."""
        counts = _counts(step)
        if self._bar is None:
            if time.monotonic() - self._told >= EVERY:
                self._told = time.monotonic()
                print(f"citedesk: {_short(step.source)}: {counts} …", file=sys.stderr, flush=True)  # noqa: T201
            return
        if step.source not in self._tasks:
            self._tasks[step.source] = self._bar.add_task(_short(step.source), total=None, counts=counts)
        # Of files nobody knows the number before they are read.
        total = step.fetched + step.waiting or None
        self._bar.update(self._tasks[step.source], completed=step.fetched or step.cleaned, total=total, counts=counts)


def _counts(step: Step) -> str:
    asked = f"{step.fetched} fetched, {step.waiting} waiting, " if step.fetched or step.waiting else ""
    return f"{asked}{step.cleaned} cleaned, {step.problems} errors"


def _short(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else "…" + name[1 - LONGEST_NAME :]
