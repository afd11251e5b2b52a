"""What a crawl does next: a window of the queue in memory, host by host, and what is to be tried again later."""

import asyncio
import heapq
import time
from collections import deque
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from ingest.state import Queued

#: Addresses held in memory; the rest waits in the database.
WINDOW = 1_000
#: Pages under way to all hosts together.
MOST_UNDER_WAY = 256
#: A host that did not answer so many requests in a row gets no further one.
MOST_SILENT = 20


@dataclass(slots=True)
class Host:
    """A host, by its name alone: its ports and schemes share one budget.

    :ivar gap: Seconds between two requests that its robots.txt asks for.
    :ivar not_before: When the next request may be made, in monotonic seconds.
    :ivar silent: Requests in a row that it did not answer.
    :ivar closed: Why it gets no further request in this run, or None.
    """

    name: str
    waiting: deque["Waiting"] = field(default_factory=deque)
    under_way: int = 0
    gap: float = 0.0
    not_before: float = 0.0
    silent: int = 0
    closed: str | None = None

    async def turn(self) -> None:
        """Wait until a request may be made."""
        while (wait := self.not_before - time.monotonic()) > 0:
            await asyncio.sleep(wait)
        if self.gap:
            self.not_before = time.monotonic() + self.gap

    def pause(self, seconds: float) -> None:
        """Make no request for so long."""
        self.not_before = max(self.not_before, time.monotonic() + seconds)

    def heard(self, answered: bool) -> None:
        """Note whether the host answered; one that stays silent is given up."""
        self.silent = 0 if answered else self.silent + 1
        if self.silent >= MOST_SILENT:
            self.closed = f"{self.name} did not answer {MOST_SILENT} requests in a row and is given up"


@dataclass(frozen=True, slots=True, order=True)
class Waiting:
    """An address that waits, and how often it failed."""

    queued: Queued = field(compare=False)
    attempt: int = field(compare=False, default=0)
    number: int = 0


class Window:
    """The part of the queue that is in memory."""

    def __init__(self, at_once: int) -> None:
        """Make an empty window.

        :param at_once: Pages under way to one host at most.
        """
        self.hosts: dict[str, Host] = {}
        self.under_way = 0
        self._at_once = at_once
        self._ready: dict[str, Host] = {}
        self._later: list[tuple[float, Waiting]] = []
        self._size = 0

    def __len__(self) -> int:
        return self._size

    @property
    def idle(self) -> bool:
        """Whether nothing waits and nothing is under way."""
        return not (self._size or self.under_way)

    def host(self, url: str) -> Host:
        """Give the host of an address."""
        name = urlsplit(url).hostname or ""
        if name not in self.hosts:
            self.hosts[name] = Host(name)
        return self.hosts[name]

    def put(self, waiting: Waiting) -> None:
        """Let an address wait for its turn."""
        self._size += 1
        host = self.host(waiting.queued.found.url)
        host.waiting.append(waiting)
        self._ready[host.name] = host

    def put_later(self, waiting: Waiting, seconds: float) -> None:
        """Let an address wait for some time, then for its turn."""
        self._size += 1
        heapq.heappush(self._later, (time.monotonic() + seconds, waiting))

    def take(self) -> Waiting | None:
        """Give an address that may be asked for now, from the host that was served longest ago; it is under way then."""
        while self._later and self._later[0][0] <= time.monotonic():
            self._size -= 1
            self.put(heapq.heappop(self._later)[1])
        if self.under_way >= MOST_UNDER_WAY:
            return None
        for name, host in self._ready.items():
            if host.under_way < self._at_once:
                found = host.waiting.popleft()
                del self._ready[name]
                if host.waiting:
                    self._ready[name] = host
                host.under_way += 1
                self.under_way += 1
                self._size -= 1
                return found
        return None

    def done(self, waiting: Waiting) -> None:
        """Note that an address is no longer under way."""
        self.host(waiting.queued.found.url).under_way -= 1
        self.under_way -= 1

    def next_due(self) -> float | None:
        """Give the seconds until something is to be tried again; None where nothing is."""
        return max(0.0, self._later[0][0] - time.monotonic()) if self._later else None
