"""Clean documents on the workers of a cluster: what `Cleaner` does in processes of this machine, in those of others."""

import multiprocessing
import threading
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from ingest.article import Article, IngestError
from ingest.cleaning import Cleaner, Outcome
from ingest.cluster import AHEAD, Cluster
from ingest.exchanges import Directory
from ingest.files import Document
from ingest.hints import Sites

#: Documents that are sent together: at some 20 ms a page a third of a second, of which sending takes little.
BATCH = 16
#: Bytes of documents after which they are sent though they are fewer: messages of many pages of 10 MB would hold up others.
BYTES = 4_000_000

Cleaned = tuple[Article | IngestError, ...]


@dataclass(frozen=True, slots=True)
class Pages:
    """Documents that are cleaned alike."""

    documents: tuple[Document, ...]
    directory: Directory
    sites: Sites | None


class ClusterCleaner:
    """Takes documents, gives articles, in no set order, as `ingest.cleaning.Cleaner` does."""

    def __init__(self, cluster: Cluster, directory: Directory, sites: Sites | None = None) -> None:
        self._cluster = cluster
        self._directory = directory
        self._sites = sites
        self._jobs = cluster.jobs(clean)
        self._next: list[Document] = []
        self._keys: dict[str, int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Do nothing: the workers are the cluster's."""

    @property
    def busy(self) -> int:
        """How many documents it holds that were not given back."""
        return sum(self._keys.values())

    @property
    def room(self) -> int:
        """How many more documents keep the workers busy."""
        return max(0, max(1, self._cluster.threads()) * AHEAD * BATCH - self.busy)

    def holds(self, key: str) -> bool:
        """Say whether it holds the document of this key."""
        return key in self._keys

    def submit(self, document: Document) -> None:
        """Take a document."""
        self._keys[document.key] = self._keys.get(document.key, 0) + 1
        self._next.append(document)
        if len(self._next) == BATCH or sum(len(one.data) for one in self._next) >= BYTES:
            self._send()

    def results(self, *, seconds: float | None = None) -> list[Outcome]:
        """Give what is done, waiting for the first one.

        :param seconds: How long to wait at most; for ever where it is None.
        :raises ClusterError: The workers cannot go on.
        """
        if seconds != 0:  # who waits has no more for now
            self._send()
        outcomes: list[Outcome] = []
        for pages, cleaned in self._jobs.results(seconds=seconds):
            outcomes += zip(pages.documents, cleaned, strict=True)
        for document, _ in outcomes:
            self._keys[document.key] -= 1
            if not self._keys[document.key]:
                del self._keys[document.key]
        return outcomes

    def _send(self) -> None:
        if self._next:
            self._jobs.submit(Pages(tuple(self._next), self._directory, self._sites))
            self._next.clear()


class _Own(threading.local):
    """The cleaner of a thread of a worker, kept from job to job: its process takes a second to start."""

    cleaner: Cleaner | None = None
    made_of: tuple[Directory, Sites | None] | None = None


_own = _Own()


def clean(pages: Pages) -> Cleaned:
    """Clean documents on a worker, in a process of their own with a time and memory limit a page."""
    cleaner = _cleaner(pages.directory, pages.sites)
    for document in pages.documents:
        cleaner.submit(document)
    found: dict[int, Article | IngestError] = {}
    while cleaner.busy:
        found.update((id(document), result) for document, result in cleaner.results())
    return tuple(found[id(document)] for document in pages.documents)


def _cleaner(directory: Directory, sites: Sites | None) -> Cleaner:
    if _own.cleaner is None or _own.made_of != (directory, sites):
        if _own.cleaner is not None:
            _own.cleaner.__exit__(None, None, None)
        # Dask's nanny marks its worker as one that starts no processes. Those of a cleaner end by themselves when it is killed.
        multiprocessing.current_process().daemon = False
        _own.cleaner = Cleaner(directory, sites, workers=1, distrustful=True)
        _own.made_of = directory, sites
    return _own.cleaner
