"""Clean many documents: in worker processes with a time and memory limit a page, so that no page can stop the others."""

import multiprocessing
import resource
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any, Self

from pebble import ProcessExpired, ProcessPool

from ingest.article import Article, IngestError, PageError
from ingest.articles import to_article
from ingest.exchanges import Directory
from ingest.files import Document
from ingest.hints import Sites

#: Seconds that one page may take. The slowest of the 255 pages of the WCXB set takes under one.
LONGEST = 20
#: Bytes that a worker may take; cleaning a page of 10 MB takes a tenth.
MEMORY = 3 * 1024**3
#: Documents that are cleaned in this process: below it, starting workers takes longer than they save.
FEW = 48
#: Documents that wait at a worker, so that it does not wait for the next one.
AHEAD = 6
#: Seconds after which a worker that does not even heed its own time limit is ended.
_PATIENCE = 10

Outcome = tuple[Document, Article | IngestError]


class Cleaner:
    """Takes documents, gives articles, in no set order.

    :param sites: Hints on the markup of sites; those that come with citedesk where it is None.
    :param workers: Processes that clean at the same time.
    :param distrustful: Never clean in this process, as fits pages that strangers wrote.
    """

    def __init__(
        self, directory: Directory, sites: Sites | None = None, *, workers: int = 2, distrustful: bool = False
    ) -> None:
        self._directory = directory
        self._sites = sites
        self._workers = workers
        self._pool: Any = None
        self._few = 0 if distrustful else FEW
        self._ready: list[Outcome] = []
        self._waiting: dict[Any, Document] = {}
        self._suspects: set[str] = set()  # documents whose worker was ended once

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end_pool()

    @property
    def busy(self) -> int:
        """How many documents it holds that were not given back."""
        return len(self._waiting) + len(self._ready)

    @property
    def room(self) -> int:
        """How many more documents keep the workers busy."""
        return max(0, self._workers * AHEAD - self.busy)

    def holds(self, key: str) -> bool:
        """Say whether it holds the document of this key."""
        return any(document.key == key for document in self._waiting.values())

    def submit(self, document: Document) -> None:
        """Take a document."""
        if self._few > 0:
            self._few -= 1
            self._ready.append((document, _clean(document, self._directory, self._sites)))
            return
        if self._pool is not None and not self._pool.active:
            self._end_pool()
        if self._pool is None:
            self._pool = ProcessPool(
                max_workers=self._workers,
                initializer=_begin_worker,
                initargs=(self._directory, self._sites),
                # A fresh interpreter: a copy of this one would take its threads' locks along.
                context=multiprocessing.get_context("spawn"),
            )
        self._waiting[self._pool.schedule(_clean_in_worker, args=(document,), timeout=LONGEST + _PATIENCE)] = document

    def results(self, *, seconds: float | None = None) -> list[Outcome]:
        """Give what is done, waiting for the first one.

        :param seconds: How long to wait at most; for ever where it is None.
        """
        ready, self._ready = self._ready, []
        if ready or not self._waiting:
            return ready
        done, _ = wait(self._waiting, timeout=seconds, return_when=FIRST_COMPLETED)
        for document, outcome in [self._outcome(future) for future in done]:
            if outcome is None:
                self.submit(document)
            else:
                ready.append((document, outcome))
        return ready

    def _outcome(self, future: Any) -> tuple[Document, Article | IngestError | None]:  # noqa: ANN401  (pebble has no types)
        """Give what came of a document; None where its worker was ended for the first time, maybe not for its sake."""
        document = self._waiting.pop(future)
        try:
            result: Article | IngestError = future.result()
        except TimeoutError:
            return document, _too_long(document)
        except (ProcessExpired, BrokenProcessPool) as error:
            if document.key not in self._suspects:
                self._suspects.add(document.key)
                return document, None
            return document, PageError(f"{document.name}: ended the process that cleaned it ({error}); it is left out")
        return document, result

    def _end_pool(self) -> None:
        if self._pool is not None:
            self._pool.stop()
            self._pool.join()
            self._pool = None


def _begin_worker(directory: Directory, sites: Sites | None) -> None:
    global _directory, _sites
    _directory, _sites = directory, sites
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that gives the work
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


_directory = Directory(())
_sites: Sites | None = None


def _clean_in_worker(document: Document) -> Article | IngestError:
    return _clean(document, _directory, _sites)


def _clean(document: Document, directory: Directory, sites: Sites | None) -> Article | IngestError:
    try:
        with _time_limit():
            return to_article(document, directory, sites)
    except IngestError as error:
        return error
    except _Late:
        return _too_long(document)
    except MemoryError:
        return PageError(f"{document.name}: takes more memory than a page may; it is left out")
    except RecursionError:
        return PageError(f"{document.name}: nested deeper than can be read; it is left out")
    except Exception as error:  # a fault of the cleaning must not cost the other pages
        return PageError(f"{document.name}: cleaning failed ({type(error).__name__}: {error}); it is left out")


def _too_long(document: Document) -> PageError:
    return PageError(f"{document.name}: takes longer than {LONGEST} seconds to clean; it is left out")


class _Late(BaseException):
    """The time is up; no handler of ordinary errors may take it for its own."""


@contextmanager
def _time_limit() -> Iterator[None]:
    """Stop what takes too long; only the main thread can be stopped so."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGALRM, _late)
    signal.setitimer(signal.ITIMER_REAL, LONGEST)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _late(number: int, frame: FrameType | None) -> None:
    raise _Late
