"""The systems that answer the same questions: citedesk, and peers as processes that speak JSON lines; and what each takes."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.memory import family
from benchmarks.performance.environments import HAIKU, LANGCHAIN, TXTAI, Environment, NotInstalledError
from index.encoder import sha256
from index.weights import packaged

ROOT = Path(__file__).parents[2]
PROGRAMS = "benchmarks.performance.peers"
OWN = "citedesk"


class PeerError(Exception):
    """A system ended instead of answering; the message has its last lines."""


@dataclass(frozen=True, slots=True)
class Memory:
    """Megabytes of a process and all that it started.

    :ivar pss: Proportional set size: pages that are shared with other processes count in part.
    :ivar uss: Unique set size: pages of its own alone.
    """

    pss: float
    uss: float


def memory(pid: int) -> Memory:
    """Read the memory of a process and its children, as the kernel counts it now."""
    pss = uss = 0
    for one in family(pid):
        with suppress(OSError):
            lines = Path(f"/proc/{one}/smaps_rollup").read_text(encoding="ascii").splitlines()[1:]
            rows = {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines)}
            pss += rows["Pss"]
            uss += rows["Private_Clean"] + rows["Private_Dirty"]
    return Memory(pss / 1024, uss / 1024)


@dataclass(frozen=True, slots=True)
class Kind:
    """A system as it is started.

    :ivar what: What stands in the table for it.
    :ivar environment: Where it is installed; None for citedesk's own.
    :ivar endpoint: Whether it needs embeddings from an endpoint.
    """

    name: str
    what: str
    program: str
    environment: Environment | None = None
    options: tuple[str, ...] = ()
    endpoint: bool = False


KINDS = (
    Kind(OWN, "citedesk, with its reader", "own"),
    Kind("no_reader", "citedesk, without its reader", "own", options=("--no-reader",)),
    Kind("langchain", "LangChain, MiniLM, FAISS: 4 chunks", "langchain_faiss", LANGCHAIN),
    Kind("haiku", "haiku.rag 0.6.0, its search", "haiku_rag", HAIKU, endpoint=True),
    Kind("txtai", "txtai 9.14, its search", "txtai_search", TXTAI),
)


class System:
    """One system, running.

    :ivar about: What it told of itself when it was ready.
    :ivar ready_s: Seconds from its start until then.
    """

    def __init__(self, command: Sequence[str], log: Path, environment: Mapping[str, str]) -> None:
        """Start it, and wait until it is ready."""
        self._log = log
        begun = time.perf_counter()
        with log.open("ab") as errors:
            self.process = subprocess.Popen(
                command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True,
                env={**os.environ, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", **environment},
            )  # fmt: skip
        self.about = self._line()
        self.ready_s = time.perf_counter() - begun

    def ask(self, question: str) -> dict[str, Any]:
        """Ask: ``ms``, ``hits``, and what else the system tells."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"question": question}) + "\n")
        self.process.stdin.flush()
        return self._line()

    def memory(self) -> Memory:
        """Read its memory."""
        return memory(self.process.pid)

    def stop(self) -> None:
        """End it."""
        self.process.kill()
        self.process.communicate()

    def _line(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            told = self._log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-3:]
            self.stop()
            raise PeerError(f"ended: {' / '.join(told)}")
        found: dict[str, Any] = json.loads(line)
        return found


class Systems:
    """Starts systems over the same articles.

    :ivar skipped: Why a system could not be asked, by its name.
    """

    def __init__(self, home: Path, work: Path, cache: Path, without: Collection[str] = ()) -> None:
        """Keep where everything is.

        :param work: Where the articles and the peers' indexes are written, and ``articles.jsonl`` is.
        :param cache: Where the peers are installed.
        :param without: Names of systems that are not to be asked.
        """
        self._without = without
        self._home, self._work, self._cache = home, work, cache
        self._endpoint: dict[str, str] = {}
        self.skipped: dict[str, str] = {}

    def start(self, kind: Kind) -> System | None:
        """Start one; None, and a reason in ``skipped``, where it cannot be had."""
        if kind.name in self._without:
            self.skipped[kind.name] = "was left out"
            return None
        try:
            command = [str(self._python(kind)), "-m", f"{PROGRAMS}.{kind.program}", *self._where(kind), *kind.options]
            # citedesk takes one thread for numpy's products (index/__init__.py); the others keep numpy's own choice.
            threads = {"OPENBLAS_NUM_THREADS": str(os.cpu_count())} if kind.environment else {}
            return System(command, self._work / f"{kind.name}.log", threads | (self._endpoint if kind.endpoint else {}))
        except (NotInstalledError, PeerError) as error:
            self.skipped[kind.name] = str(error)
            return None

    @contextmanager
    def endpoint(self) -> Iterator[None]:
        """Have embeddings served on loopback while the context is open, for those that need it."""
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        command = [sys.executable, "-m", f"{PROGRAMS}.minilm_endpoint", str(_minilm()), str(port)]
        with (self._work / "endpoint.log").open("wb") as log:
            process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
        try:
            end = time.monotonic() + 120
            while True:
                with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                    break
                if process.poll() is not None or time.monotonic() > end:
                    raise RuntimeError(
                        f"the endpoint did not start: {(self._work / 'endpoint.log').read_text()[-500:]}"
                    )
                time.sleep(0.1)
            self._endpoint = {"OPENAI_BASE_URL": f"http://127.0.0.1:{port}/v1"}
            yield
        finally:
            process.kill()
            process.wait()

    def _python(self, kind: Kind) -> Path:
        return kind.environment.python(self._cache) if kind.environment else Path(sys.executable)

    def _where(self, kind: Kind) -> tuple[str, ...]:
        if kind.environment is None:
            return ("--home", str(self._home))
        articles = self._work / "articles.jsonl"
        index = self._work / f"{kind.name}-{sha256(articles)[:8]}"
        return ("--articles", str(articles), "--index", str(index), "--model", str(_minilm()))


def _minilm() -> Path:
    return packaged("minilm").parent
