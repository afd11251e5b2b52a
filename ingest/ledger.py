"""What a crawl brings in, written down in groups: bodies into the archive, then all that came of them in one transaction.

A crawl that is killed loses the group that was not yet written, no more: its addresses still wait in the queue, and
what the archive holds of them is cut off at the next start.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from ingest.archive import Archive, Capture, Location
from ingest.state import CrawlState

#: Pages of a group, and the seconds that the first of them waits at most: one wait for the disk and one transaction for
#: all of them, and no more to fetch again after being killed.
MOST = 64
LONGEST_WAIT = 0.1
#: Bytes of bodies that may wait; above it nothing new is fetched.
MOST_BYTES = 64_000_000

#: Does the writing of one outcome, inside the group's transaction; given is where its body stands in the archive.
Note = Callable[[Location | None], None]


@dataclass(frozen=True, slots=True)
class _Entry:
    capture: Capture | None
    note: Note


class Ledger:
    """Collects outcomes and writes them in groups.

    :ivar written: Called after each group.
    :ivar failure: Why nothing can be written any more: the disk is full, the database cannot be used.
    """

    def __init__(self, state: CrawlState, archive: Archive, written: Callable[[], None]) -> None:
        self.written = written
        self.failure: Exception | None = None
        self._state = state
        self._archive = archive
        self._entries: list[_Entry] = []
        self._bytes = 0
        self._timer: asyncio.TimerHandle | None = None
        self._writing: asyncio.Task[None] | None = None

    @property
    def full(self) -> bool:
        """Whether so much waits that nothing new should be fetched."""
        return self._bytes > MOST_BYTES

    @property
    def empty(self) -> bool:
        """Whether everything is written."""
        return not self._entries and self._writing is None

    def add(self, note: Note, capture: Capture | None = None) -> None:
        """Take an outcome, and the body that goes into the archive before it."""
        self._entries.append(_Entry(capture, note))
        self._bytes += len(capture.body) if capture else 0
        if len(self._entries) >= MOST:
            self.write_soon()
        elif self._timer is None and self._writing is None:
            self._timer = asyncio.get_running_loop().call_later(LONGEST_WAIT, self.write_soon)

    def write_soon(self) -> None:
        """Begin to write what waits, unless a group is being written: that goes on with what came meanwhile."""
        if self._timer:
            self._timer.cancel()
            self._timer = None
        if self._writing is None and self._entries and self.failure is None:
            self._writing = asyncio.create_task(self._write())

    async def flush(self) -> None:
        """Write everything down.

        :raises IngestError: It cannot be written.
        """
        while not self.empty and self.failure is None:
            self.write_soon()
            if self._writing:
                await asyncio.shield(self._writing)
        if self.failure:
            raise self.failure

    async def _write(self) -> None:
        group, self._entries = self._entries, []
        try:
            # Packing takes most of the time and lets other threads run; so does waiting for the disk.
            locations = await asyncio.to_thread(self._archive_all, group)
            with self._state.database.transaction():
                for entry, location in zip(group, locations, strict=True):
                    entry.note(location)
        except Exception as error:
            self.failure = error
        finally:
            self._bytes -= sum(len(entry.capture.body) for entry in group if entry.capture)
            self._writing = None
            if len(self._entries) >= MOST:
                self.write_soon()
            elif self._entries:
                self._timer = asyncio.get_running_loop().call_later(LONGEST_WAIT, self.write_soon)
            self.written()

    def _archive_all(self, group: list[_Entry]) -> list[Location | None]:
        locations = [self._archive.write(entry.capture) if entry.capture else None for entry in group]
        if any(locations):
            self._archive.settle()
        return locations


def recover(archive: Archive, state: CrawlState) -> None:
    """Drop from the archive what a killed run wrote and did not note.

    Files of which the database knows nothing are left as they are: it may have been moved away, and they not.

    :raises IngestError: The archive holds less than was noted.
    """
    lengths = state.archive_lengths()
    files = [path.name for path in archive.files()]
    used = sorted(set(lengths) & set(files)) or sorted(lengths)
    if used:
        archive.cut(used[-1], lengths[used[-1]])
    else:
        state.expect_file(archive.next_file())
