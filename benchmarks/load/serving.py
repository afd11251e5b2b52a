"""The server under test, started as an operator starts it, and how much memory and processor time it takes."""

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from signal import SIGKILL
from types import TracebackType
from typing import Self

from benchmarks.memory import family, role_of

ROOT = Path(__file__).parents[2]
#: Cores that a server takes at most which has nothing to do, and seconds between two looks.
IDLE, PAUSE = 0.1, 0.5
_PAGE, _TICK = os.sysconf("SC_PAGE_SIZE"), os.sysconf("SC_CLK_TCK")
#: How the reader reads: as shipped; not at all; with nothing read ahead or remembered of the passages.
READERS = {
    "on": "",
    "off": "import service.assistant; service.assistant.open_reader = lambda _: None; ",
    "cold": "import service.reader, service.read_ahead as ahead; service.reader.REMEMBERED = 0; "
    "ahead.ReadAhead.open = lambda _: None; ",
}


class Serving:
    """A `citedesk serve` on loopback, with limits that no benchmark reaches."""

    def __init__(self, home: Path, *options: str, log: Path, reader: str = "on", **environment: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port: int = free.getsockname()[1]
        self.home = home
        self.log = log
        start = f"{READERS[reader]}import sys; from service.cli import main; sys.exit(main())"
        # A worker is a process of its own, which would not see what is set here.
        program = ["-c", start] if reader != "on" else ["-m", "service.cli"]
        where = ("--home", str(home), "--port", str(self.port))
        self._command = [sys.executable, *program, "serve", *where, *options]
        told = {"key_per_minute": "10000000", **environment}
        self._environment = {**os.environ, **{f"CITEDESK_{name.upper()}": value for name, value in told.items()}}

    def start(self) -> None:
        """Start it; it need not answer yet."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self._command, cwd=ROOT, stdout=log, stderr=log, env=self._environment
            )  # fmt: skip

    def wait(self, served: int = 1) -> None:
        """Wait until so many of its processes have opened the snapshot, and it answers."""
        end = time.monotonic() + 120
        while self.log.read_bytes().count(b" is served") < served or self.call("GET", "/healthz")[0] != 200:
            if self.process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"the server did not start:\n{self.log.read_text(encoding='utf-8')[-2000:]}")
            time.sleep(0.05)

    def call(self, method: str, path: str, body: bytes | None = None, key: str = "") -> tuple[int, bytes]:
        """Make one call on a connection of its own; status 0 where there is no answer."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key}"}
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            return response.status, response.read()
        except (OSError, HTTPException):
            return 0, b""
        finally:
            connection.close()

    def family(self) -> list[int]:
        """Give its processes."""
        return family(self.process.pid)

    def workers(self) -> set[int]:
        """Give its workers."""
        return {pid for pid in self.family() if role_of(pid) == "worker"}

    def kill(self) -> None:
        """Kill all of it at once."""
        for pid in reversed(self.family()):
            with suppress(ProcessLookupError):
                os.kill(pid, SIGKILL)
        self.process.wait()

    def resident(self) -> int:
        """Give the bytes of resident memory of all its processes; pages that they share count for each."""
        return sum(int(fields[1]) * _PAGE for pid in self.family() if (fields := _text(pid, "statm").split()))

    def cpu(self) -> float:
        """Give the seconds of processor time that its processes took which are alive."""
        rows = (_text(pid, "stat").rpartition(")")[2].split() for pid in self.family())
        return sum(int(row[11]) + int(row[12]) for row in rows if row) / _TICK

    def rest(self) -> None:
        """Wait until it has nothing to do."""
        before = -1.0
        while (now := self.cpu()) - before > IDLE * PAUSE:
            before = now
            time.sleep(PAUSE)


@contextmanager
def serving(home: Path, *options: str, log: Path, served: int = 1, reader: str = "on", **env: str) -> Iterator[Serving]:
    """Start a server, wait until it answers, and end it."""
    server = Serving(home, *options, log=log, reader=reader, **env)
    server.start()
    try:
        server.wait(served)
        yield server
    finally:
        server.process.terminate()
        try:
            server.process.wait(30)
        except subprocess.TimeoutExpired:
            server.kill()


class Memory:
    """Looks at a server's memory once a second while the context is open.

    :ivar seen: When, in seconds of the monotonic clock, and bytes.
    """

    def __init__(self, server: Serving) -> None:
        self.seen: list[tuple[float, int]] = []
        self._server = server
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

    def _watch(self) -> None:
        while not self._end.wait(1.0):
            self.seen.append((time.monotonic(), self._server.resident()))


def _text(pid: int, name: str) -> str:
    try:
        return Path(f"/proc/{pid}/{name}").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
