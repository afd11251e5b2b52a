"""What is killed or changed while questions come in: what is lost, whether an answer is wrong, how long it takes to recover.

Every answer is compared with that of the library for the snapshot that it names: wrong is what says anything else.
"""

import json
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from os import kill
from pathlib import Path
from signal import SIGKILL
from types import TracebackType
from typing import Self

from benchmarks.load.serving import ROOT, Serving, serving
from index.snapshot import MANIFEST, SnapshotShelf
from service.assistant import Assistant

ASKERS = 6
# Seconds before and after what is done.
BEFORE, AFTER = 4.0, 6.0
# Redis is away for so long.
AWAY = 4.0
NEW = {
    "id": "kelpex-waits", "url": "https://help.kelpex.example/waits", "title": "How Kelpex withdrawals work",
    "exchange": "Kelpex", "updated": "2026-05-01",
    "text": "A withdrawal to a new address waits for 24 hours on Kelpex. The network fee for bitcoin is 0.0002 BTC.",
}  # fmt: skip
NEW_QUESTION = "how long does a withdrawal to a new address wait on kelpex"
# What a question is answered with, by snapshot and question.
Expected = Mapping[tuple[str, str], str]


@dataclass(frozen=True, slots=True)
class Heard:
    """What one question came to: when it was asked and answered (monotonic seconds), and the status, 0 for no answer."""

    asked: float
    answered: float
    code: int
    snapshot: str = ""
    wrong: bool = False


@dataclass(frozen=True, slots=True)
class Trial:
    """What became of the questions around something that was killed or changed.

    :ivar at: Seconds from the first question to what was done.
    :ivar recovered: Seconds from what was done until all was as it was, or as it should become.
    :ivar gap: The longest time in seconds in which nobody got an answer.
    :ivar slowest: Seconds of the slowest answer.
    :ivar timeline: For each question: seconds from the first one to its end, and the status.
    """

    name: str
    asked: int
    answered: int
    shed: int
    lost: int
    wrong: int
    at: float
    recovered: float
    gap: float
    slowest: float
    timeline: list[tuple[float, int]]


class Askers:
    """Clients that ask one question after another, each on a new connection, and check what they hear."""

    def __init__(self, server: Serving, key: str, expected: Expected) -> None:
        self.heard: list[Heard] = []
        self._server, self._key, self._expected = server, key, expected
        self._questions = sorted({question for _, question in expected})
        self._done = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(turn,)) for turn in range(ASKERS)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        time.sleep(BEFORE)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            time.sleep(AFTER)
        self._done.set()
        for thread in self._threads:
            thread.join()

    def _ask(self, turn: int) -> None:
        while not self._done.is_set():
            question = self._questions[turn % len(self._questions)]
            asked = time.monotonic()
            code, body = self._server.call("POST", "/v1/query", json.dumps({"question": question}).encode(), self._key)
            told = json.loads(body) if code == 200 else {}
            snapshot = told.get("snapshot_id", "")
            wrong = code == 200 and told["text"] != self._expected.get((snapshot, question))
            self.heard.append(Heard(asked, time.monotonic(), code, snapshot, wrong))
            turn += ASKERS + 1
            # A shed question is not asked again at once, nor one that nobody heard.
            self._done.wait(0.0 if code == 200 else 0.1)

    def served(self) -> str:
        """Give the snapshot of the last answer."""
        return next((heard.snapshot for heard in reversed(self.heard) if heard.snapshot), "")

    def trial(self, name: str, at: float, recovered: float) -> Trial:
        """Sum up, when it is over."""
        first = min(heard.asked for heard in self.heard)
        codes = [heard.code for heard in self.heard]
        ends = sorted(heard.answered for heard in self.heard if heard.code == 200)
        return Trial(
            name, len(codes), codes.count(200), codes.count(503), codes.count(0), sum(h.wrong for h in self.heard),
            round(at - first, 2), round(recovered - at, 2),
            round(max(after - before for before, after in pairwise(ends)), 2),
            round(max(heard.answered - heard.asked for heard in self.heard if heard.code == 200), 2),
            sorted((round(heard.answered - first, 2), heard.code) for heard in self.heard),
        )  # fmt: skip


class Redis:
    """A redis-server of this benchmark alone, on loopback, keeping nothing."""

    def __init__(self, folder: Path) -> None:
        program = shutil.which("redis-server")
        if program is None:
            raise SystemExit(
                "benchmarks.load: redis-server is not on this machine (Debian: apt-get install redis-server)"
            )
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        self.url = f"redis://127.0.0.1:{port}/0"
        self._command = [
            program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", str(folder),
        ]  # fmt: skip

    def start(self) -> None:
        """Start it; it answers some milliseconds later."""
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)

    def kill(self) -> None:
        """End it as a crash does."""
        self._process.kill()
        self._process.wait()


@contextmanager
def redis(folder: Path) -> Iterator[Redis]:
    """Run a Redis."""
    server = Redis(folder)
    server.start()
    try:
        yield server
    finally:
        server.kill()


@dataclass(frozen=True, slots=True)
class Prepared:
    """A home with two snapshots and a damaged one, and what is right to answer."""

    home: Path
    old: str
    new: str
    damaged: str
    expected: Expected


def prepare(home: Path, folder: Path, questions: Sequence[str]) -> Prepared:
    """Copy a home and build a second snapshot, with one article more, and a third one, damaged."""
    copied = folder / "home"
    shutil.copytree(home, copied, ignore=shutil.ignore_patterns("questions.sqlite*", "keys.sqlite*"))
    shelf = SnapshotShelf(copied)
    old = shelf.current() or ""
    (folder / "articles.jsonl").write_text(json.dumps(NEW), encoding="utf-8")
    (folder / "sources.toml").write_text('[[source]]\npath = "articles.jsonl"\n', encoding="utf-8")
    for command in (("ingest", str(folder / "sources.toml")), ("build",)):
        arguments = [sys.executable, "-m", "service.cli", *command, "--home", str(copied)]
        subprocess.run(arguments, cwd=ROOT, check=True, capture_output=True)
    new = shelf.current() or ""
    expected: dict[tuple[str, str], str] = {}
    for snapshot in (old, new):
        assistant = Assistant(shelf.open(snapshot))
        for question in (*questions, NEW_QUESTION):
            expected[snapshot, question] = assistant.ask(question).text
    if expected[old, NEW_QUESTION] == expected[new, NEW_QUESTION]:
        raise RuntimeError("both snapshots answer alike, so that no mix-up of them would be seen")
    return Prepared(copied, old, new, _damaged(shelf, new), expected)


def _damaged(shelf: SnapshotShelf, snapshot: str) -> str:
    name = f"29990101T000000000-{snapshot[-8:]}"
    shutil.copytree(shelf.folder / snapshot, shelf.folder / name)
    manifest = shelf.folder / name / MANIFEST
    manifest.write_text(manifest.read_text(encoding="utf-8").replace(snapshot, name), encoding="utf-8")
    path = shelf.folder / name / "passages.sqlite"
    path.write_bytes(path.read_bytes()[:-1])
    return name


def worker_killed(prepared: Prepared, key: str, folder: Path) -> Trial:
    """Kill one of two workers."""
    with (
        redis(folder) as shared,
        serving(prepared.home, "--workers", "2", "--redis", shared.url, log=folder / "worker.log", served=2) as server,
        Askers(server, key, prepared.expected) as askers,
    ):
        at = time.monotonic()
        kill(min(server.workers()), SIGKILL)
        _until(lambda: server.log.read_bytes().count(b" is served") == 3)
        recovered = time.monotonic()
    return askers.trial("a worker of two killed", at, recovered)


def redis_killed(prepared: Prepared, key: str, folder: Path) -> Trial:
    """Kill Redis, and start it again; recovered is when a conversation can be begun again."""
    with (
        redis(folder) as shared,
        serving(prepared.home, "--workers", "2", "--redis", shared.url, log=folder / "redis.log", served=2) as server,
        Askers(server, key, prepared.expected) as askers,
    ):
        at = time.monotonic()
        shared.kill()
        time.sleep(AWAY)
        if server.call("POST", "/v1/conversations", b"{}", key)[0] != 503:
            raise RuntimeError("a conversation was begun without Redis")
        shared.start()
        back = time.monotonic()
        _until(lambda: server.call("POST", "/v1/conversations", b"{}", key)[0] == 201)
        recovered = at + time.monotonic() - back
    return askers.trial(f"Redis killed, back after {AWAY:g} s", at, recovered)


def server_killed(prepared: Prepared, key: str, folder: Path) -> Trial:
    """Kill all processes of a server, and start it again at once, as systemd would."""
    with (
        serving(prepared.home, log=folder / "server.log") as server,
        Askers(server, key, prepared.expected) as askers,
    ):
        at = time.monotonic()
        server.kill()
        server.start()
        _until(lambda: any(heard.asked > at and heard.code == 200 for heard in askers.heard))
        recovered = time.monotonic()
    return askers.trial("the whole server killed, and started again", at, recovered)


def snapshots_changed(prepared: Prepared, key: str, folder: Path) -> list[Trial]:
    """Publish a snapshot, then a damaged one, then go back."""
    shelf = SnapshotShelf(prepared.home)
    shelf.publish(prepared.old)
    trials = []
    with serving(prepared.home, log=folder / "snapshots.log") as server:
        for name, published, served in (
            ("a snapshot published", prepared.new, prepared.new),
            ("a damaged snapshot published", prepared.damaged, prepared.new),
            ("rolled back", prepared.old, prepared.old),
        ):
            with Askers(server, key, prepared.expected) as askers:
                at = time.monotonic()
                shelf.publish(published)
                if published == served:
                    _until(lambda: askers.served() == served)  # noqa: B023
                else:
                    _until(lambda: b"cannot be opened" in server.log.read_bytes())
                recovered = time.monotonic()
            if askers.served() != served:
                raise RuntimeError(f"{name}: {askers.served()} is served, not {served}")
            trials.append(askers.trial(name, at, recovered))
    return trials


def _until(holds: Callable[[], bool], seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            raise RuntimeError(f"what was waited for did not come about within {seconds:g} s")
        time.sleep(0.02)
