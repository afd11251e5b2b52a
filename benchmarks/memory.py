"""What a process and those that it started take: memory and processor time, by what each of them does (Linux)."""

import os
import threading
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

#: Seconds between two looks.
LOOK = 0.1
_PAGE = os.sysconf("SC_PAGE_SIZE")
_TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Taken:
    """What was taken.

    :ivar peak: Bytes of resident memory of all processes together at their highest; pages that they share count for each.
    :ivar peaks: Each role's own highest.
    :ivar cpu: Seconds of processor time by role.
    """

    peak: int
    peaks: dict[str, int]
    cpu: dict[str, float]


class Watch:
    """Looks at a process and its children while the context is open; `taken` gives what was seen."""

    def __init__(self, pid: int, root: str = "parent") -> None:
        """Make a watch.

        :param root: The role of the process itself.
        """
        self._pid = pid
        self._peak = 0
        self._peaks: dict[str, int] = {}
        self._cpu: dict[int, float] = {}
        self._roles = {pid: root}
        self._begin = _cpu(pid)
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end.set()
        self._thread.join()

    def taken(self) -> Taken:
        """Give what was taken so far."""
        cpu: dict[str, float] = {}
        for pid, seconds in self._cpu.items():
            role = self._roles[pid]
            cpu[role] = round(cpu.get(role, 0.0) + seconds, 2)
        return Taken(self._peak, dict(self._peaks), cpu)

    def _watch(self) -> None:
        while True:
            self._look()
            if self._end.wait(LOOK):
                return

    def _look(self) -> None:
        now: dict[str, int] = {}
        for pid in family(self._pid):
            # Between fork and exec a process has its parent's command line, and when it has ended none.
            if self._roles.get(pid, "other") == "other":
                self._roles[pid] = role_of(pid)
            role = self._roles[pid]
            now[role] = now.get(role, 0) + _resident(pid)
            begin = self._begin if pid == self._pid else 0.0
            self._cpu[pid] = max(self._cpu.get(pid, 0.0), _cpu(pid) - begin)
        self._peak = max(self._peak, sum(now.values()))
        for role, size in now.items():
            self._peaks[role] = max(self._peaks.get(role, 0), size)


def family(pid: int) -> list[int]:
    """Give a process and all that descend from it and are alive."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))):
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found = [pid]
    for at in found:
        found += children.get(at, [])
    return found


def role_of(pid: int) -> str:
    """Say what a process of an ingest does: crawler, worker, or other."""
    command = _text(Path(f"/proc/{pid}/cmdline"))
    if "ingest.crawl" in command:
        return "crawler"
    return "worker" if "spawn_main" in command else "other"


def _resident(pid: int) -> int:
    fields = _text(Path(f"/proc/{pid}/statm")).split()
    return int(fields[1]) * _PAGE if fields else 0


def _cpu(pid: int) -> float:
    fields = _stat(pid)
    return (int(fields[11]) + int(fields[12])) / _TICK if fields else 0.0


def _stat(pid: int) -> list[str]:
    """Give what the kernel tells of a process behind its name: state, parent, …, user time (12th) and system time."""
    return _text(Path(f"/proc/{pid}/stat")).rpartition(")")[2].split()


def _text(path: Path) -> str:
    """Read a file of a process; empty where the process has ended."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
