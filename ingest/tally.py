"""What a run has queued, read and missed so far; on disk as well, so that a run that was killed goes on with it."""

from collections.abc import Callable

from ingest.state import CrawlState, Found, Run

#: Addresses of one run; a site with more of them makes them without end.
LONGEST_QUEUE = 1_000_000
#: Reasons why a run is not complete that are told; more of them would say nothing more.
_MOST_REASONS = 5
#: Addresses that are remembered as queued, so as not to ask the database for each link again.
_REMEMBERED = 200_000


class Tally:
    """The queue's way in, and the count of what came out.

    :ivar pages: Pages that were read, or found to be unchanged.
    :ivar lists: Lists that were read.
    :ivar bytes: Bytes of all answers since this process began.
    :ivar known: Whether anything is known of the source's pages from before.
    :ivar remembered: Addresses that are surely queued; not all of them.
    """

    def __init__(self, run: Run, state: CrawlState, queued: Callable[[], None]) -> None:
        """Take up a run where it is.

        :param queued: Called when the queue may have become longer.
        """
        progress = state.progress(run)
        reason = state.verdict(run)[1]
        self.pages = progress.get("fetched", 0) + progress.get("unchanged", 0)
        self.lists = progress.get("listed", 0)
        self.bytes = 0
        self.known = next(state.pages(run.source), None) is not None
        self.remembered: set[str] = set()
        self._run = run
        self._state = state
        self._length = sum(progress.values())
        self._reasons = reason.split("; ") if reason else []
        self._queued = queued

    def queue(self, found: list[Found]) -> None:
        """Queue addresses, up to the longest queue; those that were met before are passed over."""
        fresh = [each for each in found if each.url not in self.remembered]
        if not fresh:
            return
        room = LONGEST_QUEUE - self._length
        if len(fresh) > room:
            self.miss(f"more than {LONGEST_QUEUE:,} addresses, the rest is left out")
            fresh = fresh[: max(0, room)]
        self._length += self._state.add(self._run, fresh)
        if len(self.remembered) > _REMEMBERED:
            self.remembered.clear()
        self.remembered.update(each.url for each in fresh)
        self._queued()

    def miss(self, reason: str) -> None:
        """Note that not all of the source was listed; now, so that it is not forgotten if the run is killed."""
        reason = reason.replace("; ", ", ")
        if reason in self._reasons or len(self._reasons) > _MOST_REASONS:
            return
        self._reasons.append(reason if len(self._reasons) < _MOST_REASONS else "and more")
        self.judge()

    def judge(self) -> None:
        """Note whether all of the source was listed, as far as is known."""
        self._state.judge(self._run, complete=not self._reasons, reason="; ".join(self._reasons))
