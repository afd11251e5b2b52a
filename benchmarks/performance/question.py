"""One question over the starter corpus: how long, how soon after the start, in how much memory; citedesk beside its peers."""

import json
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.load.serving import Serving
from benchmarks.performance.systems import KINDS, OWN, ROOT, Kind, Memory, System, Systems, memory
from benchmarks.quality.baselines import Chunks
from index.snapshot import SnapshotShelf
from service.keys import KeyStore

QUESTIONS = ROOT / "corpus" / "questions.jsonl"
# Seconds between two questions: threads that wait busily for more work would else take the next system's time.
PAUSE = 0.02
# Questions that a server answers before its memory is read.
SERVED = 20
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Amount:
    """How much is measured.

    :ivar before: Questions that are asked first, so that what a process loads or remembers late is there, as in service.
    :ivar asked: Other questions, whose times count.
    :ivar starts: How often each system is started.
    :ivar without: Names of systems that are left out.
    """

    before: int = 50
    asked: int = 150
    starts: int = 3
    without: tuple[str, ...] = ()


def measure(home: Path, work: Path, cache: Path, amount: Amount, tell: Callable[[str], None]) -> Row:
    """Measure all of it.

    :param work: Where logs are, and the peers' indexes, which are kept for the next run over the same articles.
    :param cache: Where the peers are installed.
    """
    work.mkdir(parents=True, exist_ok=True)
    articles = Chunks.of(SnapshotShelf(home).open()).articles.values()
    rows = (json.dumps({"id": one.id, "title": one.title, "text": one.text}) for one in articles)
    (work / "articles.jsonl").write_text("\n".join(rows), encoding="utf-8")
    systems = Systems(home, work, cache, amount.without)
    questions = [json.loads(line) for line in QUESTIONS.read_text(encoding="utf-8").splitlines()]
    with systems.endpoint():
        told = _asked(systems, [one for one in questions if not one["history"]], amount, tell)
        tell(f"cold starts, {amount.starts} of each")
        told["starts"] = _starts(systems, home, amount.starts, questions[0]["question"])
    return told | {"server": _server(home, work, [one["question"] for one in questions]), "skipped": systems.skipped}


def percentiles(milliseconds: Sequence[float]) -> dict[str, float]:
    """Give the 50th, 95th and 99th percentile, and the mean."""
    p50, p95, p99 = np.percentile(milliseconds, (50, 95, 99)).tolist()
    return {"p50": p50, "p95": p95, "p99": p99, "mean": statistics.fmean(milliseconds)}


def _asked(systems: Systems, questions: Sequence[Row], amount: Amount, tell: Callable[[str], None]) -> Row:
    """Ask every system the same questions, one after the other, each time in another order."""
    # The file goes from subject to subject; what is asked shall be of all of them.
    mixed = random.Random(1).sample(questions, len(questions))
    before, measured = mixed[: amount.before], mixed[amount.before :][: amount.asked]
    with ExitStack() as stack:
        running: dict[str, System] = {}
        for kind in KINDS:
            tell(f"{kind.what}: starting")
            if system := systems.start(kind):
                running[kind.name] = system
                stack.callback(system.stop)
        tell(f"{len(measured)} questions, {', '.join(running)}")
        first = _answers(running, before)
        then = _answers(running, measured)
        taken = {name: asdict(system.memory()) for name, system in running.items()}
    rows = {
        kind.name: {
            "what": kind.what, **percentiles([one["ms"] for one in then[kind.name]]),
            "first": percentiles([one["ms"] for one in first[kind.name]])["p50"],
            "found": _found(then[kind.name], measured), "memory": taken[kind.name],
            "about": running[kind.name].about, "stages": _stages(then[kind.name]),
        }
        for kind in KINDS if kind.name in running
    }  # fmt: skip
    return {"questions": len(measured), "before": len(before), "systems": rows}


def _answers(running: Mapping[str, System], questions: Sequence[Row]) -> dict[str, list[Row]]:
    names = list(running)
    answers: dict[str, list[Row]] = {name: [] for name in names}
    for number, question in enumerate(questions):
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            answers[name].append(running[name].ask(question["question"]))
            time.sleep(PAUSE)
    return answers


def _found(answers: Sequence[Row], questions: Sequence[Row]) -> float:
    """Give the share of the answerable questions of which a passage of a right article is among the first four."""
    right = [
        bool({gold["article_id"] for gold in question["gold"]} & set(answer["hits"]))
        for answer, question in zip(answers, questions, strict=True)
        if question["gold"]
    ]
    return sum(right) / max(1, len(right))


def _stages(answers: Sequence[Row]) -> dict[str, dict[str, float]]:
    """Give the percentiles of each stage over the questions that came so far."""
    names = dict.fromkeys(name for answer in answers for name in answer.get("stages", {}))
    return {name: percentiles([one["stages"][name] for one in answers if name in one["stages"]]) for name in names}


def _starts(systems: Systems, home: Path, times: int, question: str) -> dict[str, Row]:
    """Start each system anew, in turn, and give the medians of the seconds until its first answer."""
    seconds: dict[str, list[float]] = {}
    peaks: list[Memory] = []
    for _ in range(times):
        taken, peak = _command(home, question)
        peaks.append(peak)
        seconds.setdefault(OWN, []).append(taken)
        for kind in KINDS:
            if kind.environment and kind.name not in systems.skipped:
                seconds.setdefault(kind.name, []).extend(_first_answer(systems, kind, question))
    told: dict[str, Row] = {name: {"seconds": statistics.median(taken)} for name, taken in seconds.items()}
    told[OWN]["memory"] = {key: max(getattr(peak, key) for peak in peaks) for key in ("pss", "uss")}
    return told


def _first_answer(systems: Systems, kind: Kind, question: str) -> list[float]:
    begun = time.perf_counter()
    system = systems.start(kind)
    if system is None:
        return []
    try:
        system.ask(question)
        return [time.perf_counter() - begun]
    finally:
        system.stop()


def _command(home: Path, question: str) -> tuple[float, Memory]:
    """Run `citedesk ask`; give its seconds, and the most memory that was seen of it."""
    command = [sys.executable, "-m", "service.cli", "ask", "--home", str(home), question]
    begun = time.perf_counter()
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    process.wait()
    taken = time.perf_counter() - begun
    # Looking takes time, so it is done at a second run.
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    seen = [Memory(0.0, 0.0)]
    while process.poll() is None:
        seen.append(memory(process.pid))
        time.sleep(0.01)
    return taken, max(seen, key=lambda one: one.uss)


def _server(home: Path, work: Path, questions: Sequence[str]) -> Row:
    """Start the server; give the seconds until it is ready, and its memory then and after some answers."""
    store = KeyStore(home / "keys.sqlite")
    admin, key = store.create("admin", "benchmarks.performance")
    server = Serving(home, log=work / "server.log")
    begun = time.perf_counter()
    server.start()
    try:
        while server.call("GET", "/readyz", key=key)[0] != 200:
            if server.process.poll() is not None or time.perf_counter() - begun > 120:
                raise RuntimeError(f"the server did not start: {(work / 'server.log').read_text()[-500:]}")
            time.sleep(0.01)
        told: Row = {"seconds": time.perf_counter() - begun, "ready": asdict(memory(server.process.pid))}
        for question in questions[:SERVED]:
            server.call("POST", "/v1/query", json.dumps({"question": question}).encode(), key)
        return told | {"served": SERVED, "memory": asdict(memory(server.process.pid))}
    finally:
        server.process.terminate()
        server.process.wait()
        store.revoke(admin.id)
