"""Lets so many questions in at the same time, lets a few wait, and sends the others away at once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from service.api.problems import Problem
from service.metrics import Metrics

# Seconds that a question waits for its turn at most: longer than the queue ever takes unless something hangs.
LONGEST_WAIT = 5.0


class Turnstile:
    """First come, first served, in one process.

    A short queue is what keeps the answers of those who are let in quick when ten times as many come: waiting longer would
    make everybody slow and nobody quicker.
    """

    def __init__(self, running: int, waiting: int, metrics: Metrics) -> None:
        self._free = asyncio.Semaphore(running)
        self._most_waiting = waiting
        self._running = 0
        self._waiting = 0
        self._metrics = metrics

    def check(self) -> None:
        """Send a question away that would not be let in.

        :raises Problem: 503, too many wait already.
        """
        if self._free.locked() and self._waiting >= self._most_waiting:
            raise self._busy()

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a turn and hold it.

        :raises Problem: 503, too many wait already.
        """
        self.check()
        self._waiting += 1
        try:
            async with asyncio.timeout(LONGEST_WAIT):
                await self._free.acquire()
        except TimeoutError as error:
            raise self._busy() from error
        finally:
            self._waiting -= 1
        self._running += 1
        self._metrics.at_work(self._running, self._waiting)
        try:
            yield
        finally:
            self._running -= 1
            self._free.release()
            self._metrics.at_work(self._running, self._waiting)

    def _busy(self) -> Problem:
        self._metrics.shed("busy")
        return Problem(503, "Busy", "Too many questions at once; ask again in a second.", {"Retry-After": "1"})
