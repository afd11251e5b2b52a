"""How far something long is, on standard error: a live line each on a terminal, now and then a line elsewhere."""

import sys
import time
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.text import Text

from ingest.pipeline import Step

#: Seconds between two lines of one thing where there is no terminal.
EVERY = 30
LONGEST_NAME = 40


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:5.1f}/s" if speed else "     –", style="dim")


class Progress:
    """The display; where standard error is no terminal, what has a known end is named at once, the rest after a while.

    What has a known end is told with the time left: on a terminal all along, elsewhere in every line but the first.
    """

    def __init__(self) -> None:
        self._bar: Bar | None = None
        self._tasks: dict[str, Any] = {}
        self._told: dict[str, tuple[float, int]] = {}
        self._counted: dict[str, int] = {}

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

    def say(self, text: str) -> None:
        """Say what is going on, once."""
        if self._bar:
            self._bar.stop_task(self._bar.add_task(text, total=1, completed=1, counts=""))
        else:
            print(f"citedesk: {text} …", file=sys.stderr, flush=True)  # noqa: T201

    def stage(self, name: str, done: int, total: int) -> None:
        """Show how far a stage of known length is."""
        self._show(name, done, total, f"{done}/{total}", at_once=True)

    def count(self, name: str) -> None:
        """Count one more of something whose number is not known before."""
        self._counted[name] = self._counted.get(name, 0) + 1
        self._show(name, self._counted[name], None, str(self._counted[name]))

    def ingest(self, step: Step) -> None:
        """Show how far a source is."""
        asked = f"{step.fetched} fetched, {step.waiting} waiting, " if step.fetched or step.waiting else ""
        counts = f"{asked}{step.cleaned} cleaned, {step.problems} errors"
        # Of files nobody knows the number before they are read.
        self._show(_short(step.source), step.fetched or step.cleaned, step.fetched + step.waiting or None, counts)

    def _show(self, name: str, done: int, total: int | None, counts: str, *, at_once: bool = False) -> None:
        if self._bar is None:
            self._tell(name, done, total if at_once else None, counts, at_once=at_once)
            return
        if name not in self._tasks:
            self._tasks[name] = self._bar.add_task(name, total=total, counts=counts)
        self._bar.update(self._tasks[name], completed=done, total=total, counts=counts)

    def _tell(self, name: str, done: int, total: int | None, counts: str, *, at_once: bool) -> None:
        now = time.monotonic()
        last, before = self._told.setdefault(name, (now - EVERY if at_once else now, done))
        if now - last >= EVERY:
            self._told[name] = (now, done)
            self.say(f"{name}: {counts}{_left(now - last, done - before, total - done if total else 0)}")


def _left(seconds: float, made: int, missing: int) -> str:
    """Say how long what is missing will take, at the speed since the last line; what was done before may have been remembered.

    >>> _left(30.0, 600, 2_000)
    ', 1:40 left'
    """
    if made <= 0 or missing <= 0:
        return ""
    minutes, rest = divmod(round(seconds * missing / made), 60)
    return f", {minutes}:{rest:02} left"


def _short(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else "…" + name[1 - LONGEST_NAME :]
