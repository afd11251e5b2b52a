"""Clean many documents: in worker processes with a time and memory limit a page, so that no page can stop the others."""

import multiprocessing
import resource
import signal
import threading
import time
from collections import Counter
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
#: Seconds without any result after which the workers are stuck: one that was killed while it took a page from the others.
_STUCK = 2 * (LONGEST + _PATIENCE)
#: Seconds between two looks at whether the workers still work.
_LOOK = 1.0
#: Times that a worker may be ended with the same page; what else ends one (no memory left, an operator) is not the page's fault.
_MOST_ENDED = 3
#: Times in a row that the workers are started anew without one result in between.
_MOST_STARTS = 3

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
        self._suspects: Counter[str] = Counter()  # documents whose worker was ended, and how often
        self._starts = 0  # of workers, since the last result
        self._heard = time.monotonic()  # of a result, or of work for workers that had none

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
        if not self._waiting:
            self._heard = time.monotonic()
        if self._pool is not None and not self._pool.active:
            self._start_anew()
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
        end = time.monotonic() + (float("inf") if seconds is None else seconds)
        while not ready and self._waiting:
            left = max(0.0, end - time.monotonic())
            done, _ = wait(self._waiting, timeout=min(_LOOK, left), return_when=FIRST_COMPLETED)
            for document, outcome in [self._outcome(future) for future in done]:
                if outcome is None:
                    self.submit(document)
                else:
                    ready.append((document, outcome))
            if not ready and (not self._pool.active or time.monotonic() - self._heard > _STUCK):
                self._start_anew()
                ready, self._ready = self._ready, []
            if not left:
                break
        if ready:
            self._heard, self._starts = time.monotonic(), 0
        return ready

    def _outcome(self, future: Any) -> tuple[Document, Article | IngestError | None]:  # noqa: ANN401  (pebble has no types)
        """Give what came of a document; None where it is to be tried again, since what was wrong may not lie in it."""
        document = self._waiting.pop(future)
        try:
            result: Article | IngestError = future.result()
        except TimeoutError:
            return document, _too_long(document)
        except BrokenProcessPool:  # a worker was ended while it had no document
            return document, None
        except ProcessExpired as error:
            self._suspects[document.key] += 1
            if self._suspects[document.key] < _MOST_ENDED:
                return document, None
            return document, PageError(f"{document.name}: ended the process that cleaned it ({error}); it is left out")
        return document, result

    def _start_anew(self) -> None:
        """Give all that waits to new workers; if new ones did not help, give it back as not to be cleaned."""
        self._end_pool()
        waiting, self._waiting = list(self._waiting.values()), {}
        self._starts += 1
        for document in waiting:
            if self._starts > _MOST_STARTS:
                problem = PageError(f"{document.name}: the processes that clean end again and again; it is left out")
                self._ready.append((document, problem))
            else:
                self.submit(document)

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
