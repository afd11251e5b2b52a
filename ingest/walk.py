"""A run over one web source: takes addresses from the queue, asks for them, and notes what came of each."""

import asyncio
import logging
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from urllib.parse import urlsplit

from scrapy.crawler import Crawler

from ingest import zendesk
from ingest.archive import Archive
from ingest.article import IngestError
from ingest.fetch import Answer, Fetcher
from ingest.frontier import WINDOW, Host, Waiting, Window
from ingest.guard import Guard, GuardedResolver
from ingest.javascript import PageBuilder
from ingest.ledger import Ledger, recover
from ingest.links import normal
from ingest.outcomes import MOST_REDIRECTS, REDIRECTS, Outcomes, conditions
from ingest.politeness import PASSING, Patience, Robots, origin, read_robots, retry_after
from ingest.scope import Scope
from ingest.sitemap import intercom_sitemap
from ingest.sources import WebSource
from ingest.state import CrawlState, Found, PageState, Run
from ingest.tally import Tally
from ingest.warc import LARGEST_BODY

log = logging.getLogger(__name__)

#: Bytes of a list of pages: the protocol allows a sitemap 50 MiB.
LARGEST_LIST = 50 * 1024 * 1024
_LARGEST_ROBOTS = 5_000_000
#: Where a sitemap is looked for that nobody names.
_GUESSES = ("/sitemap.xml", "/sitemap_index.xml")
#: Seconds that a killed run's process gets to let the archive go: it looks for its parent more often than that.
_LETTING_GO = 3.0


class Walk:
    """One run.

    Call it with Scrapy's crawler while that is running. It ends when the queue is empty or a bound is reached; when
    it is cancelled or killed, what was under way still waits in the queue.
    """

    def __init__(
        self, source: WebSource, run: Run, state: CrawlState, archive: Archive, guard: Guard, patience: Patience
    ) -> None:
        self._source = source
        self._run = run
        self._state = state
        self._archive = archive
        self._guard = guard
        self._patience = patience
        self._scope = Scope(source)
        # Without a delay, the next requests wait inside Scrapy, so that a connection never waits for this module.
        self._window = Window(source.concurrency * (1 if source.delay else 2))
        self._changed = asyncio.Event()
        self._ledger = Ledger(state, archive, self._look_again)
        self._tally = Tally(run, state, self._look_again)
        self._outcomes = Outcomes(source, run, state, archive, self._ledger, self._scope, self._tally)
        self._tasks: set[asyncio.Task[None]] = set()
        self._robots: dict[str, asyncio.Task[Robots]] = {}
        self._last = 0  # number of the last address taken out of the database
        self._more = True  # whether the database may hold further ones
        self._under_way = 0  # pages, not lists
        self._builder: PageBuilder | None = None

    async def __call__(self, crawler: Crawler) -> None:
        """Do the run.

        :raises IngestError: The archive or the database cannot be written.
        """
        from twisted.internet import reactor

        self._fetcher = Fetcher(crawler, self._source, self._guard)
        GuardedResolver(self._guard, reactor).install()
        if self._source.javascript:
            self._builder = PageBuilder(crawler, self._source, self._patience, self._load)
            await self._builder.begin()
        await self._recover()
        try:
            await self._seed()
            await self._work()
            await self._ledger.flush()
        finally:
            for task in self._tasks | set(self._robots.values()):
                task.cancel()
            await asyncio.gather(*self._tasks, *self._robots.values(), return_exceptions=True)
            with suppress(IngestError):
                await self._ledger.flush()
        self._judge()

    # The run as a whole

    async def _recover(self) -> None:
        """Bring the archive to where the database is."""
        end = time.monotonic() + _LETTING_GO
        while True:
            try:
                recover(self._archive, self._state)
                return
            except IngestError:
                if time.monotonic() > end:
                    raise
            await asyncio.sleep(0.1)

    async def _seed(self) -> None:
        """Queue what the source names; what is queued already stays as it is."""
        found: list[Found] = []
        for start in self._source.start:
            url = normal(start)
            if url is None:
                self._tally.miss(f"{start}: not a web address that can be read")
                continue
            found += await self._seeds(url)
        self._tally.queue(found)

    async def _seeds(self, url: str) -> list[Found]:
        source = self._source
        match source.kind:
            case "page":
                return [Found(url)]
            case "feed":
                return [Found(url, "feed")]
            case "zendesk" if source.locales:
                return [Found(zendesk.articles_url(url, locale), "zendesk") for locale in source.locales]
            case "zendesk":
                return [Found(zendesk.locales_url(url), "zendesk")]
            case "site":
                self._follow_start(url)
                named = await self._named_sitemaps(url) if _is_bare(url) else []
                return [Found(url, self._scope.kind(url)), *(Found(each, "sitemap") for each in named)]
            case "intercom":
                named = await self._named_sitemaps(url) or self._guess([intercom_sitemap(url)])
                return [Found(each, "sitemap") for each in named]
        if not _is_bare(url):
            return [Found(url, "sitemap")]
        named = await self._named_sitemaps(url) or self._guess(origin(url) + path for path in _GUESSES)
        return [Found(each, "sitemap") for each in named]

    def _guess(self, urls: Iterable[str]) -> list[str]:
        """Note addresses that nobody named: they may be absent."""
        guesses = list(urls)
        self._outcomes.guessed.update(guesses)
        return guesses

    async def _named_sitemaps(self, url: str) -> list[str]:
        """Give the sitemaps that a host's robots.txt names, as far as they are on the source's sites."""
        robots = await self._robots_of(url)
        found = [address for named in robots.sitemaps if (address := normal(named, url))]
        return [address for address in dict.fromkeys(found) if self._scope.on_site(address)]

    def _follow_start(self, url: str) -> None:
        """Take for a start page what a start page was found to redirect to before the run was interrupted."""
        for _ in range(MOST_REDIRECTS):
            page = self._state.page(self._source.name, url)
            if page is None or page.moved_to is None or not self._scope.on_site(page.moved_to):
                return
            url = page.moved_to
            self._scope.add_start(url)

    async def _work(self) -> None:
        while True:
            self._changed.clear()
            self._fill()
            self._send()
            if self._ledger.failure:
                raise self._ledger.failure
            if self._is_at_bound():
                return
            if self._window.idle and not self._more:
                if self._ledger.empty:
                    return
                self._ledger.write_soon()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), self._window.next_due())

    def _fill(self) -> None:
        """Take the next addresses out of the database."""
        if not self._more or len(self._window) > WINDOW // 2 or self._ledger.full:
            return
        rows = self._state.waiting(self._run, after=self._last, most=WINDOW)
        self._more = len(rows) == WINDOW
        for queued in rows:
            self._last = queued.number
            self._window.put(Waiting(queued, number=queued.number))
        if self._more:
            self._changed.set()

    def _send(self) -> None:
        """Begin as much as may be under way."""
        while not self._ledger.full and self._tally.pages + self._under_way < self._source.max_pages:
            waiting = self._window.take()
            if waiting is None:
                return
            self._under_way += waiting.queued.found.kind == "page"
            task = asyncio.create_task(self._do(waiting))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _is_at_bound(self) -> bool:
        """Tell whether a bound of the source is reached, and note it if something is left undone."""
        source = self._source
        if self._tally.pages >= source.max_pages:
            reason = f"stopped at max_pages = {source.max_pages}"
        elif self._tally.bytes >= source.max_bytes:
            reason = f"stopped at max_bytes = {source.max_bytes}"
        else:
            return False
        if self._window.idle and not self._more and self._ledger.empty:
            return False
        if self._window.idle and not self._ledger.empty:
            self._ledger.write_soon()
            return False
        self._tally.miss(reason)
        return True

    def _judge(self) -> None:
        source = self._source
        if source.kind == "feed":
            self._tally.miss("a feed names only its newest pages")
        if source.kind in ("sitemap", "intercom") and not self._tally.lists:
            self._tally.miss(f"no sitemap was found at {', '.join(source.start)}")
        if not self._tally.pages:
            self._tally.miss("no page at all could be read")
        failed = self._state.progress(self._run).get("failed", 0)
        if source.kind == "site" and failed:
            self._tally.miss(f"{failed} pages could not be read, nor their links followed")
        self._tally.judge()

    def _look_again(self) -> None:
        self._more = True
        self._changed.set()

    # One address

    async def _do(self, waiting: Waiting) -> None:
        url, kind = waiting.queued.found.url, waiting.queued.found.kind
        try:
            await self._ask(waiting)
        except asyncio.CancelledError:
            raise
        except IngestError as error:
            self._outcomes.fail(waiting.queued.found, Answer(url, error=str(error)))
        except Exception as error:
            log.exception("%s: could not be processed", url)
            self._outcomes.fail(
                waiting.queued.found,
                Answer(url, error=f"could not be processed ({type(error).__name__}: {error})"[:300]),
            )
        finally:
            self._window.done(waiting)
            self._under_way -= kind == "page"
            self._changed.set()

    async def _ask(self, waiting: Waiting) -> None:
        """Ask for an address, if that is allowed, and sort what comes."""
        found = waiting.queued.found
        page = self._state.page(self._source.name, found.url) if self._tally.known and found.kind == "page" else None
        if page and found.lastmod and self._outcomes.is_fresh(found, page):
            self._outcomes.unchanged(found, page)
            return
        robots = await self._robots_of(found.url)
        host = self._window.host(found.url)
        if robots.problem or host.closed:
            self._outcomes.fail(
                waiting.queued.found, Answer(found.url, error=robots.problem or host.closed, refused=robots.refused)
            )
            return
        if not robots.allows(found.url):
            self._outcomes.fail(
                waiting.queued.found, Answer(found.url, error="robots.txt does not allow it", refused=True)
            )
            return
        await host.turn()
        answer = await self._fetch(found, page)
        host.heard(not answer.silent)
        if (answer.passing or answer.status in PASSING) and self._try_again(waiting, host, answer):
            return
        self._outcomes.sort(found, page, answer)

    async def _fetch(self, found: Found, page: PageState | None) -> Answer:
        """Ask for an address, and have a browser build the page where the source wants that."""
        if found.kind not in ("page", "start"):
            answer = await self._fetcher.fetch(found.url, most=LARGEST_LIST)
            self._tally.bytes += len(answer.body)
            return answer
        most = min(self._source.max_page_bytes, LARGEST_BODY)
        # What scripts load may change where the page that loads it does not.
        headers = {} if self._builder else conditions(page)
        answer = await self._fetcher.fetch(found.url, most=most, headers=headers)
        self._tally.bytes += len(answer.body)
        if self._builder and answer.status == 200 and not answer.error:
            return await self._builder.build(answer, most)
        return answer

    async def _load(self, url: str, method: str, headers: Mapping[str, str], body: bytes, most: int) -> Answer:
        """Ask for what a page in the browser loads, within the budget of its host."""
        host = self._window.host(url)
        if host.closed:
            return Answer(url, error=host.closed)
        await host.turn()
        answer = await self._fetcher.fetch(
            url, most=most, method=method, headers=headers, body=body, timeout=self._patience.timeout / 4
        )
        self._tally.bytes += len(answer.body)
        return answer

    def _try_again(self, waiting: Waiting, host: Host, answer: Answer) -> bool:
        """Let an address wait for another attempt, if it has one left."""
        asked = retry_after(answer.header("retry-after")) if answer.status in (429, 503) else None
        if asked is not None and asked > self._patience.longest_wait:
            host.closed = f"{host.name} asks to be left alone for {asked:.0f} seconds (HTTP {answer.status})"
            return False
        wait = max(self._patience.wait(waiting.attempt), asked or 0.0)
        if asked is not None or answer.status == 429:
            host.pause(wait)
        if waiting.attempt >= self._patience.retries:
            return False
        self._window.put_later(Waiting(waiting.queued, waiting.attempt + 1, waiting.number), wait)
        return True

    # robots.txt

    async def _robots_of(self, url: str) -> Robots:
        """Give what robots.txt says of an address; it is asked for once a run."""
        key = origin(url)
        if key not in self._robots:
            self._robots[key] = asyncio.create_task(self._read_robots(f"{key}/robots.txt"))
        return await asyncio.shield(self._robots[key])

    async def _read_robots(self, url: str) -> Robots:
        host = self._window.host(url)
        for attempt in range(self._patience.retries + 1):
            answer = await self._follow(url)
            if not (answer.passing or answer.status in PASSING):
                break
            if attempt < self._patience.retries:
                asked = retry_after(answer.header("retry-after")) or 0.0
                await asyncio.sleep(min(self._patience.longest_wait, max(self._patience.wait(attempt), asked)))
        if answer.error:
            problem = answer.error if answer.refused else f"{host.name}: robots.txt cannot be read ({answer.error})"
            return Robots(problem=problem, refused=answer.refused)
        robots = read_robots(answer.status, answer.body, host.name)
        host.gap = max(host.gap, robots.delay)
        if host.gap:
            host.pause(host.gap)
        return robots

    async def _follow(self, url: str) -> Answer:
        """Ask for robots.txt, over redirects on the source's sites: RFC 9309 asks for five at least."""
        for _ in range(6):
            host = self._window.host(url)
            await host.turn()
            answer = await self._fetcher.fetch(url, most=_LARGEST_ROBOTS)
            target = normal(answer.header("location") or "", url) if answer.status in REDIRECTS else None
            if target is None or not self._scope.on_site(target):
                break
            url = target
        return answer


def _is_bare(url: str) -> bool:
    """Tell an address that names only a host."""
    parts = urlsplit(url)
    return parts.path in ("", "/") and not parts.query
