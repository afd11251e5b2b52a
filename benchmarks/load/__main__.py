"""Measures the server under load, on loopback, and while something is killed or changed.

    python -m benchmarks.load [--home var] [--quick] [--only levels,overload,events,soak,breaking] [--json FILE] [--plots DIR]

The load comes from wrk; it shares the machine's cores with the server, so its own processor time is told beside. Every question
is unlike all others (a word of its own), so no vector of a question is remembered; what is read of the corpus is remembered as in
service (`cold`: with a reader that remembers nothing). Killing and changing is done under six clients that check each answer.
Needs wrk and redis-server on the machine; ends with 1 where something was lost or wrong that must not be.
"""

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks import figures
from benchmarks.load import breaking, plots
from benchmarks.load.serving import Memory, Serving, serving
from benchmarks.load.wrk import ANSWERED, BUSY, Shots, shoot, write_bodies
from service.keys import KeyStore
from service.server_settings import ServerSettings

QUESTIONS = Path(__file__).parents[2] / "corpus" / "questions.jsonl"
RESULTS = Path(__file__).parents[1] / "results"
CONNECTIONS = (1, 8, 32, 128)
# All of these are let in, and keep the server busy: what is answered then a second is what can be.
FULL = ServerSettings().running + ServerSettings().waiting
TENFOLD, PATIENT = 10, 256
SECTIONS = ("levels", "overload", "events", "soak", "breaking")
MB = 1_000_000


@dataclass(frozen=True, slots=True)
class Lengths:
    """How long to measure: seconds, and questions of the stream."""

    warm: float = 20.0
    level: float = 20.0
    overload: float = 60.0
    soak: float = 600.0
    events: int = 120
    questions: int = 24


QUICK = Lengths(warm=5.0, level=4.0, overload=8.0, soak=30.0, events=20, questions=6)


@dataclass(slots=True)
class Measured:
    """All that was measured, as it goes into the JSON file."""

    machine: str
    load_before: float
    levels: list[dict[str, Any]] = field(default_factory=list)
    overload: dict[str, Any] = field(default_factory=dict)
    events: dict[str, Any] = field(default_factory=dict)
    soak: dict[str, Any] = field(default_factory=dict)
    breaking: list[dict[str, Any]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


class Bench:
    """One run over a home."""

    def __init__(self, home: Path, folder: Path, lengths: Lengths, questions: Path) -> None:
        self.measured = Measured(
            f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}", os.getloadavg()[0]
        )
        self._home, self._folder, self._lengths = home, folder, lengths
        self._bodies = write_bodies(questions, folder / "bodies")
        self._questions = [json.loads(line) for line in questions.read_text(encoding="utf-8").splitlines()]
        self._store = KeyStore(home / "keys.sqlite")
        self._key, self._text = self._store.create("secret", "benchmarks.load")

    def close(self) -> None:
        """Take the key out of force that was made for this."""
        self._store.revoke(self._key.id)

    def levels(self) -> None:
        """Ask over more and more connections, each as fast as it is answered."""
        for reader in ("on", "off", "cold"):
            with self._server(reader) as server:
                for connections in CONNECTIONS if reader != "cold" else CONNECTIONS[:2]:
                    before = server.cpu()
                    shots = self._shoot(server, connections, self._lengths.level)
                    level = self._level(shots, server.cpu() - before)
                    self.measured.levels.append({"reader": reader, "connections": connections, **level})
                    _say(f"levels: {self.measured.levels[-1]}")

    def overload(self) -> None:
        """Ask ten times as often as can be answered."""
        with self._server("on") as server, Memory(server) as memory:
            full = self._shoot(server, FULL, self._lengths.level)
            capacity, p95 = len(full.of(ANSWERED)) / full.length, float(np.quantile(full.of(ANSWERED), 0.95))
            rate = TENFOLD * capacity
            before, seen = server.cpu(), len(memory.seen)
            shots = self._shoot(server, PATIENT, self._lengths.overload, rate=rate)
            cpu = server.cpu() - before
        first = float(shots.starts.min())
        accepted = shots.codes == ANSWERED
        told = {
            "capacity": capacity, "capacity_p95_ms": 1000 * p95, "rate": rate, "seconds": shots.length,
            "sent_per_second": len(shots.codes) / shots.length, **self._level(shots, cpu),
            "ratio_p95": float(np.quantile(shots.of(ANSWERED), 0.95)) / p95, "lost": shots.lost,
            "accepted": np.stack([shots.starts[accepted] - first, shots.seconds[accepted]], 1).round(3).tolist(),
            "shed_at": (shots.starts[shots.codes == BUSY] - first).round(2).tolist(),
            "memory": _memory(memory.seen[seen:], first),
        }  # fmt: skip
        self.measured.overload = told
        self._must(
            told["ratio_p95"] <= 2, f"overload: p95 of the accepted is {told['ratio_p95']:.2f} times that at capacity"
        )
        self._only_shed("overload", shots)

    def soak(self) -> None:
        """Ask as much as can be answered for ten minutes, then look at the latency and the memory again."""
        with self._server("on") as server, Memory(server) as memory:
            shots = self._shoot(server, FULL, self._lengths.soak)
        first = float(shots.starts.min())
        fifth = shots.length / 5
        ended = (shots.starts + shots.seconds - first) // fifth
        begin, end = (shots.seconds[(ended == part) & (shots.codes == ANSWERED)] for part in (0, 4))
        seen = _memory(memory.seen, first)
        sizes = np.array([size for at, size in seen if at >= fifth])
        part = max(1, len(sizes) // 4)
        told = {
            "seconds": shots.length, "answered": int((shots.codes == ANSWERED).sum()), "codes": shots.count(), "lost": shots.lost,
            "p95_first_fifth_ms": 1000 * float(np.quantile(begin, 0.95)),
            "p95_last_fifth_ms": 1000 * float(np.quantile(end, 0.95)),
            "mb_second_fifth": float(sizes[:part].mean()), "mb_last_fifth": float(sizes[-part:].mean()), "memory": seen,
        }  # fmt: skip
        self.measured.soak = told
        self._only_shed("soak", shots)

    def events(self) -> None:
        """Ask one question after another, as a stream and at once, and take the time to each event."""
        with self._server("on") as server:
            asked = [self._questions[number % len(self._questions)] for number in range(self._lengths.events)]
            whole, first, status, done = [], [], [], []
            for number, question in enumerate(asked):
                # In turn, so that each as often as the other finds the passages just read, and remembered.
                if number % 2:
                    whole += self._stream(server, question, f"a{number}", events=False)
                times = self._stream(server, question, f"b{number}", events=True)
                first.append(times[0])
                status.append(times[1])
                done.append(times[-1])
                if not number % 2:
                    whole += self._stream(server, question, f"a{number}", events=False)
        named = {"first_event": first, "answered_or_not": status, "last_event": done, "blocking": whole}
        self.measured.events = {
            f"{name}_{label}_ms": round(1000 * float(np.quantile(values, q)), 1)
            for name, values in named.items() for label, q in (("p50", 0.5), ("p95", 0.95))
        }  # fmt: skip
        self.measured.events["n"] = len(asked)

    def breaking(self) -> None:
        """Kill and change under load."""
        _say("breaking: prepare two snapshots and what is right to answer")
        told = [q["question"] for q in self._questions if not q.get("history")][
            :: max(1, len(self._questions) // self._lengths.questions)
        ]
        folder = self._folder / "breaking"
        folder.mkdir()
        prepared = breaking.prepare(self._home, folder, told[: self._lengths.questions])
        key = KeyStore(prepared.home / "keys.sqlite").create("secret", "benchmarks.load")[1]
        trials = [
            *breaking.snapshots_changed(prepared, key, folder), breaking.server_killed(prepared, key, folder),
            breaking.worker_killed(prepared, key, folder), breaking.redis_killed(prepared, key, folder),
        ]  # fmt: skip
        for trial in trials:
            self.measured.breaking.append(asdict(trial))
            self._must(not trial.wrong, f"{trial.name}: {trial.wrong} wrong answers")
            other = trial.asked - trial.answered - trial.shed - trial.lost
            self._must(not other, f"{trial.name}: {other} other codes than 200 and 503")
        self._must(not sum(trial.lost for trial in trials[:3]), "a request was lost while snapshots changed")

    @contextmanager
    def _server(self, reader: str) -> Iterator[Serving]:
        """Start a server and warm it."""
        log = self._folder / f"{time.monotonic()}.log"
        with serving(self._home, log=log, reader=reader) as server:
            self._shoot(server, FULL, self._lengths.warm)
            yield server

    def _shoot(self, server: Serving, connections: int, seconds: float, *, rate: float = 0.0) -> Shots:
        shots = shoot(server.port, self._text, self._bodies, connections=connections, seconds=seconds, rate=rate)
        server.rest()  # what wrk left in the midst is still being answered
        return shots

    def _level(self, shots: Shots, cpu: float) -> dict[str, Any]:
        answered = shots.of(ANSWERED)
        shed = shots.of(BUSY)
        took = answered if len(answered) else np.array([shots.length])  # at least
        p50, p95, p99 = (1000 * np.quantile(took, (0.5, 0.95, 0.99))).round(1).tolist()
        return {
            "answers_per_second": round(len(answered) / shots.length, 2), "p50_ms": p50, "p95_ms": p95, "p99_ms": p99,
            "shed_per_second": round(len(shed) / shots.length, 1),
            "shed_p95_ms": round(1000 * float(np.quantile(shed, 0.95)), 1) if len(shed) else None,
            "codes": shots.count(), "server_cores": round(cpu / shots.length, 2), "wrk_cores": round(shots.cpu / shots.length, 2),
        }  # fmt: skip

    def _stream(self, server: Serving, question: dict[str, Any], mark: str, *, events: bool) -> list[float]:
        """Give the seconds to each event, or to the whole answer."""
        connection = HTTPConnection("127.0.0.1", server.port, timeout=60)
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self._text}"}
        body = {"question": f"{question['question']} (ref {mark})", "history": question.get("history", [])}
        started = time.perf_counter()
        connection.request(
            "POST", "/v1/query", json.dumps(body), headers | ({"Accept": "text/event-stream"} if events else {})
        )
        response = connection.getresponse()
        times = []
        if events:
            while line := response.readline():
                if line.startswith(b"data: "):
                    times.append(time.perf_counter() - started)
        else:
            response.read()
            times.append(time.perf_counter() - started)
        connection.close()
        return times

    def _only_shed(self, name: str, shots: Shots) -> None:
        other = {code: count for code, count in shots.count().items() if code not in (ANSWERED, BUSY)}
        self._must(not other and not shots.lost, f"{name}: {other} beside 200 and 503, {shots.lost} lost")

    def _must(self, holds: bool, fault: str) -> None:
        if not holds:
            self.measured.faults.append(fault)


def _memory(seen: Sequence[tuple[float, int]], first: float) -> list[tuple[float, float]]:
    return [(round(at - first, 1), round(size / MB, 1)) for at, size in seen if at >= first]


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def show(measured: Measured, console: Console) -> None:
    """Print the tables, and every fault."""
    if measured.levels:
        names = (
            "reader",
            "connections",
            "answers_per_second",
            "p50_ms",
            "p95_ms",
            "p99_ms",
            "shed_per_second",
            "server_cores",
            "wrk_cores",
        )
        _print(console, names, [[level[name] for name in names] for level in measured.levels])
    for name in ("overload", "events", "soak"):
        told: dict[str, Any] = getattr(measured, name)
        rows = [[key, value] for key, value in told.items() if not isinstance(value, list)]
        if rows:
            _print(console, (name, ""), rows)
    if measured.breaking:
        names = ("name", "asked", "answered", "shed", "lost", "wrong", "recovered", "gap", "slowest")
        _print(console, names, [[trial[name] for name in names] for trial in measured.breaking])
    for fault in measured.faults:
        console.print(fault, style="red", markup=False)


def _print(console: Console, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    table = Table()
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left")
    for row in rows:
        table.add_row(*(f"{cell:.2f}" if isinstance(cell, float) else str(cell) for cell in row))
    console.print(table)


def _draw(measured: Measured, folder: Path) -> None:
    drawn = {}
    if measured.levels:
        drawn["levels"] = plots.levels_plot(measured.levels)
    if measured.overload:
        drawn["overload"] = plots.overload_plot(measured.overload)
    if measured.breaking:
        drawn["breaking"] = plots.breaking_plot(measured.breaking)
    figures.write(folder, drawn)


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load", description=__doc__.split("\n")[0])
    parser.add_argument("--home", type=Path, default=Path("var"), help="a built home (default var)")
    parser.add_argument("--questions", type=Path, default=QUESTIONS, metavar="FILE.jsonl")
    parser.add_argument("--quick", action="store_true", help="a few seconds of each, to see that it runs")
    parser.add_argument("--only", default=",".join(SECTIONS), metavar="PARTS", help=f"some of {', '.join(SECTIONS)}")
    parser.add_argument("--json", type=Path, default=RESULTS / "load.json", metavar="FILE")
    parser.add_argument("--plots", type=Path, default=RESULTS / "load", metavar="DIR")
    given = parser.parse_args()
    wanted = [name for name in SECTIONS if name in given.only.split(",")]
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(given.home, Path(folder), QUICK if given.quick else Lengths(), given.questions)
        try:
            for name in wanted:
                _say(f"{name} …")
                getattr(bench, name)()
        finally:
            bench.close()
            given.json.parent.mkdir(parents=True, exist_ok=True)
            given.json.write_text(json.dumps(asdict(bench.measured), indent=1) + "\n", encoding="utf-8")
    show(bench.measured, Console(width=200 if not sys.stdout.isatty() else None))
    _draw(bench.measured, given.plots)
    sys.exit(1 if bench.measured.faults else 0)


if __name__ == "__main__":
    main()
