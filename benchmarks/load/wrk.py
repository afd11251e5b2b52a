"""Runs wrk, a load generator in C, and reads what became of every request."""

import json
import os
import resource
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

SCRIPT = Path(__file__).with_name("ask.lua")
ANSWERED, BUSY = 200, 503


@dataclass(frozen=True, slots=True)
class Shots:
    """Requests of one run, in no order.

    :ivar starts: When each was sent, in seconds of the monotonic clock.
    :ivar seconds: How long each took to its last byte.
    :ivar codes: The status of each.
    :ivar lost: Requests that got no answer.
    :ivar length: Seconds from the first request to the last answer; wrk goes on a little longer than it is told.
    :ivar cpu: Seconds of processor time that wrk itself took.
    """

    starts: NDArray[np.float64]
    seconds: NDArray[np.float64]
    codes: NDArray[np.int64]
    lost: int
    length: float
    cpu: float

    def of(self, code: int) -> NDArray[np.float64]:
        """Give the seconds of the requests with a status."""
        found: NDArray[np.float64] = self.seconds[self.codes == code]
        return found

    def count(self) -> dict[int, int]:
        """Count the requests by status."""
        codes, counts = np.unique(self.codes, return_counts=True)
        return dict(zip(codes.tolist(), counts.tolist(), strict=True))


def write_bodies(questions: Path, path: Path) -> Path:
    """Write the questions of a file as bodies, each with a place for a word that makes it unlike all others."""
    lines = []
    for line in questions.read_text(encoding="utf-8").splitlines():
        asked = json.loads(line)
        body = {"question": f"{asked['question']} (ref @@)", "history": asked.get("history", [])}
        lines.append(json.dumps(body))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def shoot(port: int, key: str, bodies: Path, *, connections: int, seconds: float, rate: float = 0.0) -> Shots:
    """Ask over so many connections for so long.

    :param rate: Requests a second of all connections together; 0: each asks again as soon as it is answered.
    """
    program = shutil.which("wrk")
    if program is None:
        raise SystemExit("benchmarks.load: wrk is not on this machine (Debian: apt-get install wrk)")
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "shots")
        told = {
            "LOAD_BODIES": str(bodies), "LOAD_KEY": key, "LOAD_RATE": str(rate), "LOAD_THREADS": str(connections),
            "LOAD_OUT": str(out),
        }  # fmt: skip
        each = (f"-t{connections}", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--timeout", "60s")
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(
            [program, *each, "-s", str(SCRIPT), f"http://127.0.0.1:{port}/"], check=True, env={**os.environ, **told},
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return _read(out.read_text(encoding="ascii").splitlines(), cpu)


def _read(lines: Sequence[str], cpu: float) -> Shots:
    rows = np.array([line.split() for line in lines[:-1]], np.float64).reshape(-1, 3)
    if not len(rows):
        raise RuntimeError(f"not one request was answered; {lines[-1]}")
    length = float((rows[:, 0] + rows[:, 1]).max() - rows[:, 0].min())
    return Shots(rows[:, 0], rows[:, 1], rows[:, 2].astype(np.int64), int(lines[-1].split()[1]), length, cpu)
