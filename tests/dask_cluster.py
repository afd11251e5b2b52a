"""A Dask cluster for tests: `dask scheduler` and `dask worker` as processes on loopback, each to be killed at will."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

ROOT = Path(__file__).parents[1]
LONGEST = 60


class DaskCluster:
    """A scheduler and its workers, in a folder of their own; all end with the context.

    :ivar address: The scheduler's.
    """

    def __init__(self, folder: Path, *, tls: Mapping[str, Path] | None = None) -> None:
        """Start a scheduler.

        :param tls: The files ``ca-file``, ``cert`` and ``key``, where it is to speak TLS.
        """
        self._folder = folder
        self._tls = [f"--tls-{name}={path}" for name, path in (tls or {}).items()]
        self._protocol = "tls" if tls else "tcp"
        self._processes: list[subprocess.Popen[bytes]] = []
        self._logs = 0
        common = ["--port", "0", "--no-dashboard", "--protocol", self._protocol, "--host", "127.0.0.1"]
        self.scheduler, log = self._start(["dask", "scheduler", *common, *self._tls])
        found = self._wait_for(log, rf"Scheduler at:\s+({self._protocol}://127\.0\.0\.1:\d+)")
        self.address = found.group(1)

    def worker(self, *options: str, path: Path = ROOT, before: Sequence[str] = ()) -> subprocess.Popen[bytes]:
        """Start a worker of one thread and wait until the scheduler knows it; by itself, without Dask's nanny, unless told.

        :param path: Where it has its citedesk.
        :param before: A command that starts it.
        """
        options = options or ("--no-nanny",)
        command = ["dask", "worker", self.address, "--nthreads", "1", "--no-dashboard", *self._tls, *options]
        process, log = self._start(command, path=path, before=before)
        self._wait_for(log, rf"Registered to:\s+{self.address}")
        return process

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """End a process as a crash does."""
        process.kill()
        process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)  # a nanny with its worker
                process.wait()

    def _start(
        self, command: Sequence[str], *, path: Path = ROOT, before: Sequence[str] = ()
    ) -> tuple[subprocess.Popen[bytes], Path]:
        self._logs += 1
        folder = self._folder / f"process-{self._logs}"
        folder.mkdir()
        log = folder / "log"
        with log.open("wb") as file:
            process = subprocess.Popen(
                [*before, sys.executable, "-m", *command], cwd=folder, stdout=file, stderr=file, start_new_session=True,
                env={**os.environ, "PYTHONPATH": str(path), "DASK_TEMPORARY_DIRECTORY": str(folder)},
            )  # fmt: skip
        self._processes.append(process)
        return process, log

    def _wait_for(self, log: Path, pattern: str) -> re.Match[str]:
        end = time.monotonic() + LONGEST
        while time.monotonic() < end:
            if found := re.search(pattern, log.read_text(encoding="utf-8", errors="replace")):
                return found
            time.sleep(0.05)
        raise AssertionError(f"{pattern} is not in {log}:\n{log.read_text(encoding='utf-8', errors='replace')}")
