"""A run over one web source: takes addresses from the queue, asks for them, and notes what came of each."""

import asyncio
import hashlib
import logging
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from scrapy.crawler import Crawler

from ingest import zendesk
from ingest.archive import Archive, Capture, Location
from ingest.article import IngestError
from ingest.bodies import HTML, page_type
from ingest.feed import read_feed
from ingest.fetch import Answer, Fetcher
from ingest.frontier import WINDOW, Host, Waiting, Window
from ingest.guard import Guard, GuardedResolver
from ingest.ledger import Ledger, recover
from ingest.links import links_of, noindex, normal
from ingest.politeness import PASSING, Patience, Robots, origin, read_robots, retry_after
from ingest.scope import Scope
from ingest.sitemap import intercom_sitemap, read_sitemap
from ingest.sources import WebSource
from ingest.state import CrawlState, Found, Outcome, PageState, Run, now
from ingest.warc import LARGEST_BODY

log = logging.getLogger(__name__)

#: Addresses of one run; a site with more of them makes them without end.
LONGEST_QUEUE = 1_000_000
#: Redirects from page to page that are followed.
MOST_REDIRECTS = 10
#: Links of one page that are followed.
MOST_LINKS = 5_000
#: Bytes of a list of pages: the protocol allows a sitemap 50 MiB.
LARGEST_LIST = 50 * 1024 * 1024
#: Reasons why a run is not complete that are told; more of them would say nothing more.
_MOST_REASONS = 5
#: Addresses that are remembered as queued, so as not to ask the database for each link again.
_REMEMBERED = 200_000
_LONGEST_VALIDATOR = 1_000
_LARGEST_ROBOTS = 5_000_000
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_GUESSES = ("/sitemap.xml", "/sitemap_index.xml")


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
        self._ledger = Ledger(state, archive, self._written)
        self._tasks: set[asyncio.Task[None]] = set()
        self._robots: dict[str, asyncio.Task[Robots]] = {}
        self._last = 0  # number of the last address taken out of the database
        self._more = True  # whether the database may hold further ones
        self._remembered: set[str] = set()
        self._redirects: dict[str, int] = {}  # how many redirects led to an address
        self._moves: dict[str, str] = {}
        self._guessed: set[str] = set()
        self._reasons: list[str] = []
        self._read_lists = 0
        self._pages = 0
        self._under_way = 0  # pages, not lists
        self._bytes = 0
        self._queued = 0
        self._recheck = (datetime.now(UTC) - timedelta(days=source.recheck_days)).isoformat(timespec="seconds")
        self._known = False

    async def __call__(self, crawler: Crawler) -> None:
        """Do the run.

        :raises IngestError: The archive or the database cannot be written.
        """
        from twisted.internet import reactor

        self._fetcher = Fetcher(crawler, self._source, self._guard)
        GuardedResolver(self._guard, reactor).install()
        recover(self._archive, self._state.archive_lengths())
        self._take_up()
        try:
            await self._seed()
            await self._work()
        finally:
            for task in self._tasks | set(self._robots.values()):
                task.cancel()
            await asyncio.gather(*self._tasks, *self._robots.values(), return_exceptions=True)
            with suppress(IngestError):
                await self._ledger.flush()
        self._judge()

    # The run as a whole

    def _take_up(self) -> None:
        """Go on where a run before was killed."""
        progress = self._state.progress(self._run)
        self._queued = sum(progress.values())
        self._pages = progress.get("fetched", 0) + progress.get("unchanged", 0)
        self._read_lists = progress.get("listed", 0)
        self._known = next(self._state.pages(self._source.name), None) is not None
        reason = self._state.verdict(self._run)[1]
        self._reasons = reason.split("; ") if reason else []

    async def _seed(self) -> None:
        """Queue what the source names; what is queued already stays as it is."""
        found: list[Found] = []
        for start in self._source.start:
            url = normal(start)
            if url is None:
                self._miss(f"{start}: not a web address that can be read")
                continue
            found += await self._seeds(url)
        self._queue(found, again=True)

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
        self._guessed.update(guesses)
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
        while not self._ledger.full and self._pages + self._under_way < self._source.max_pages:
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
        if self._pages >= source.max_pages:
            reason = f"stopped at max_pages = {source.max_pages}"
        elif self._bytes >= source.max_bytes:
            reason = f"stopped at max_bytes = {source.max_bytes}"
        else:
            return False
        if self._window.idle and not self._more and self._ledger.empty:
            return False
        if self._window.idle and not self._ledger.empty:
            self._ledger.write_soon()
            return False
        self._miss(reason)
        return True

    def _judge(self) -> None:
        source = self._source
        if source.kind == "feed":
            self._miss("a feed names only its newest pages")
        if source.kind in ("sitemap", "intercom") and not self._read_lists:
            self._miss(f"no sitemap was found at {', '.join(source.start)}")
        failed = self._state.progress(self._run).get("failed", 0)
        if source.kind == "site" and failed:
            self._miss(f"{failed} pages could not be read, nor their links followed")
        self._state.judge(self._run, complete=not self._reasons, reason="; ".join(self._reasons))

    def _miss(self, reason: str) -> None:
        """Note that not all of the source was listed, now, so that it is not forgotten if the run is killed."""
        if reason in self._reasons or len(self._reasons) > _MOST_REASONS:
            return
        if len(self._reasons) == _MOST_REASONS:
            reason = "and more"
        self._reasons.append(reason.replace("; ", ", "))
        self._state.judge(self._run, complete=False, reason="; ".join(self._reasons))

    def _written(self) -> None:
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
            self._fail(waiting, Answer(url, error=str(error)))
        except Exception as error:
            log.exception("%s: could not be processed", url)
            self._fail(waiting, Answer(url, error=f"could not be processed ({type(error).__name__}: {error})"[:300]))
        finally:
            self._window.done(waiting)
            self._under_way -= kind == "page"
            self._changed.set()

    async def _ask(self, waiting: Waiting) -> None:
        """Ask for an address, if that is allowed, and sort what comes."""
        found = waiting.queued.found
        page = self._state.page(self._source.name, found.url) if self._known and found.kind == "page" else None
        if page and found.lastmod and self._is_fresh(found, page):
            self._unchanged(found, page)
            return
        robots = await self._robots_of(found.url)
        host = self._window.host(found.url)
        if robots.problem or host.closed:
            self._fail(waiting, Answer(found.url, error=robots.problem or host.closed))
            return
        if not robots.allows(found.url):
            self._fail(waiting, Answer(found.url, error="robots.txt does not allow it", refused=True))
            return
        await host.turn()
        answer = await self._fetcher.fetch(
            found.url,
            most=min(self._source.max_page_bytes, LARGEST_BODY) if found.kind in ("page", "start") else LARGEST_LIST,
            headers=_conditions(page),
            browser=self._source.javascript and found.kind in ("page", "start"),
        )
        self._bytes += len(answer.body)
        host.heard(not answer.silent)
        if (answer.passing or answer.status in PASSING) and self._try_again(waiting, host, answer):
            return
        self._sort(waiting, page, answer)

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

    def _sort(self, waiting: Waiting, page: PageState | None, answer: Answer) -> None:
        """Note what came of a request."""
        found = waiting.queued.found
        if answer.error:
            self._fail(waiting, answer)
        elif answer.status in _REDIRECTS and answer.header("location"):
            self._redirected(waiting, answer)
        elif answer.status == 304 and page and page.location:
            self._unchanged(found, page, now())
        elif answer.status in (404, 410):
            self._absent(found, answer.status)
        elif answer.status != 200:
            self._fail(waiting, Answer(answer.url, answer.status, error=f"HTTP {answer.status}"))
        elif found.kind == "page":
            self._page(waiting, page, answer)
        elif found.kind == "start":
            self._add_list(found, self._links(found, answer.body) if _is_html(answer) else [])
        else:
            self._list(found, answer)

    def _fail(self, waiting: Waiting, answer: Answer) -> None:
        """Note that an address could not be read, or may not be."""
        found, error = waiting.queued.found, answer.error or ""
        if found.kind != "page" or self._is_start(found):
            self._miss(f"{found.url}: {error}")
        if found.kind != "page":
            outcome: Outcome = "refused" if answer.refused else "failed"
            self._ledger.add(lambda _: self._state.settle(self._run, found.url, outcome))
        elif answer.refused:
            self._ledger.add(lambda _: self._state.refused(self._run, found.url, error=error))
        else:
            self._ledger.add(lambda _: self._state.failed(self._run, found.url, status=answer.status, error=error))

    def _is_start(self, found: Found) -> bool:
        """Tell a page without which a walk has nothing to begin with."""
        return self._source.kind == "site" and found.depth == 0

    def _absent(self, found: Found, status: int) -> None:
        if self._is_start(found):
            self._miss(f"{found.url}: HTTP {status}")
        if found.kind == "page":
            self._ledger.add(lambda _: self._state.missing(self._run, found.url, status=status))
            return
        if found.url not in self._guessed and found.kind != "start":
            self._miss(f"{found.url}: HTTP {status}")
        self._ledger.add(lambda _: self._state.settle(self._run, found.url, "missing"))

    def _redirected(self, waiting: Waiting, answer: Answer) -> None:
        found, location = waiting.queued.found, answer.header("location") or ""
        target = normal(location, found.url)
        hops = self._redirects.get(found.url, 0) + 1
        error, refused = None, True
        if target is None:
            error = f"redirects to {location[:200]!r}, which is no web address"
        elif not self._scope.on_site(target):
            error = f"redirects to another site: {target}"
        elif self._scope.excludes(target) and found.kind in ("page", "start"):
            error = f"redirects to {target}, which the source's patterns exclude"
        elif target == found.url:
            error, refused = "redirects to itself, perhaps until a cookie comes back", False
        elif self._leads_back(target, found.url):
            error, refused = f"redirects in a circle, over {target}", False
        elif hops > MOST_REDIRECTS:
            error, refused = f"more than {MOST_REDIRECTS} redirects, the last to {target}", False
        if error or target is None:
            self._fail(waiting, Answer(found.url, answer.status, error=error, refused=refused))
            return
        self._redirects[target] = hops
        self._moves[found.url] = target
        if self._source.kind == "site" and found.depth == 0 and found.kind in ("page", "start"):
            self._scope.add_start(target)
        kind = self._scope.kind(target) if self._source.kind == "site" and found.kind == "start" else found.kind
        self._queue([Found(target, kind, found.depth)])
        if found.kind == "page":
            self._ledger.add(lambda _: self._state.moved(self._run, found.url, target, status=answer.status))
        else:
            self._ledger.add(lambda _: self._state.settle(self._run, found.url, "moved"))

    def _leads_back(self, url: str, to: str) -> bool:
        """Tell whether an address was found in this run to redirect to another, over any number of steps."""
        for _ in range(MOST_REDIRECTS):
            next_url = self._moves.get(url) or self._moved_to(url)
            if next_url is None:
                return False
            if next_url == to:
                return True
            url = next_url
        return False

    def _moved_to(self, url: str) -> str | None:
        page = self._state.page(self._source.name, url)
        return page.moved_to if page and page.run == self._run.id else None

    # A page

    def _page(self, waiting: Waiting, page: PageState | None, answer: Answer) -> None:
        found, body = waiting.queued.found, answer.body
        kind, name = page_type(answer.header("content-type"), body)
        error = None
        if not body.strip():
            error = "empty"
        elif kind is None:
            error = f"not a page: {name}"
        links = self._links(found, body) if kind == HTML else []
        if error is None and _is_kept_out(answer, kind):
            self._ledger.add(lambda _: self._refuse_noindex(found, links))
            return
        if error:
            self._fail(waiting, Answer(found.url, answer.status, error=error))
            return
        digest, fetched = hashlib.sha256(body).hexdigest(), now()
        known = page is not None and page.digest == digest and page.location is not None
        capture = None if known else Capture(found.url, 200, answer.headers, body, fetched)

        def note(location: Location | None) -> None:
            self._state.captured(
                self._run, found.url, status=200, digest=digest, fetched=fetched, lastmod=found.lastmod,
                etag=_validator(answer, "etag"), modified=_validator(answer, "last-modified"), location=location,
            )  # fmt: skip
            self._queue(links)

        self._pages += 1
        self._ledger.add(note, capture)

    def _refuse_noindex(self, found: Found, links: list[Found]) -> None:
        self._state.refused(self._run, found.url, error="the page asks not to be indexed (noindex)")
        self._queue(links)

    def _is_fresh(self, found: Found, page: PageState) -> bool:
        """Tell whether a list says that a page is as it was when it was read, and that was not long ago."""
        return page.lastmod == found.lastmod and _is_sound(page) and (page.fetched or "") >= self._recheck

    def _unchanged(self, found: Found, page: PageState, fetched: str | None = None) -> None:
        """Note a page as it was; its links are read again from the archive, so that a walk goes on behind it.

        :param fetched: When the server said so; None where its list did.
        """
        links: list[Found] = []
        if self._source.kind == "site" and page.location:
            capture = self._archive.read(page.location)
            if page_type(capture.content_type, capture.body)[0] == HTML:
                links = self._links(found, capture.body)

        def note(_: Location | None) -> None:
            self._state.unchanged(self._run, found.url, lastmod=found.lastmod, fetched=fetched)
            self._queue(links)

        self._pages += 1
        self._ledger.add(note)

    def _links(self, found: Found, body: bytes) -> list[Found]:
        """Give the links of a page that the walk follows."""
        if self._source.kind != "site":
            return []
        addresses, cut = links_of(body, found.url, most=MOST_LINKS)
        if cut:
            self._miss(f"{found.url}: more than {MOST_LINKS:,} links, the rest is not followed")
        fresh = [url for url in addresses if url not in self._remembered]
        links = [Found(url, kind, found.depth + 1) for url in fresh if (kind := self._scope.follows(url))]
        if links and found.depth >= self._source.max_depth:
            self._miss(f"links deeper than max_depth = {self._source.max_depth} are not followed")
            return []
        return links

    # A list

    def _list(self, found: Found, answer: Answer) -> None:
        match found.kind:
            case "sitemap":
                self._sitemap(found, answer)
            case "feed":
                feed = read_feed(answer.body, found.url)
                if feed.problem:
                    self._miss(f"{found.url}: {feed.problem}")
                self._add_list(found, self._listed((page.url, page.updated) for page in feed.pages))
            case _:
                self._zendesk(found, answer)

    def _sitemap(self, found: Found, answer: Answer) -> None:
        sitemap = read_sitemap(answer.body, found.url)
        if found.url in self._guessed and not (sitemap.pages or sitemap.nested):
            self._absent(found, 404)  # a page in the place of a sitemap
            return
        if not sitemap.complete:
            self._miss(f"{found.url}: {sitemap.problem or 'not complete'}")
        pages = self._listed((page.url, page.lastmod) for page in sitemap.pages)
        others = self._listed((url, None) for page in sitemap.pages for _, url in page.alternates)
        nested = [Found(url, "sitemap", found.depth + 1) for url in sitemap.nested if self._scope.on_site(url)]
        if len(nested) < len(sitemap.nested):
            self._miss(f"{found.url}: names sitemaps of other sites, which are not read")
        if nested and found.depth >= self._source.max_depth:
            self._miss(f"sitemaps deeper than max_depth = {self._source.max_depth} are not read")
            nested = []
        self._read_lists += 1
        self._add_list(found, [*nested, *pages, *others])

    def _listed(self, rows: Iterable[tuple[str, str | None]]) -> list[Found]:
        """Give the pages of a list that the source wants."""
        return [
            Found(url, "page", 0, lastmod)
            for url, lastmod in rows
            if self._scope.on_site(url) and self._scope.keeps(url)
        ]

    def _add_list(self, found: Found, listed: list[Found]) -> None:
        def note(_: Location | None) -> None:
            self._queue(listed)
            self._state.settle(self._run, found.url, "listed")

        self._ledger.add(note)

    def _zendesk(self, found: Found, answer: Answer) -> None:
        if urlsplit(found.url).path.endswith("/locales.json"):
            locales = zendesk.read_locales(answer.body)
            if not locales:
                self._miss(f"{found.url}: names no locale")
            self._add_list(found, [Found(zendesk.articles_url(found.url, locale), "zendesk") for locale in locales])
            return
        listing = zendesk.read_articles(answer.body, found.url)
        if listing.problem:
            self._miss(f"{found.url}: {listing.problem}")
        sections, categories = zendesk.read_sections(answer.body), zendesk.read_categories(answer.body)
        for article in listing.articles:
            if self._scope.keeps(article.url):
                self._zendesk_article(article, zendesk.breadcrumbs(article, sections, categories))
        self._add_list(found, [Found(listing.next_url, "zendesk")] if listing.next_url else [])

    def _zendesk_article(self, article: zendesk.ZendeskArticle, trail: tuple[str, ...]) -> None:
        """Note an article, whose text is in the list already, as a page that was fetched."""
        body, fetched = zendesk.to_html(article, trail), now()
        if len(body) > min(self._source.max_page_bytes, LARGEST_BODY) or self._pages >= self._source.max_pages:
            self._miss(f"{article.url}: left out, since a bound of the source is reached")
            return
        digest = hashlib.sha256(body).hexdigest()
        page = self._state.page(self._source.name, article.url) if self._known else None
        known = page is not None and page.digest == digest and page.location is not None
        headers = (("Content-Type", "text/html; charset=utf-8"),)
        capture = None if known else Capture(article.url, 200, headers, body, fetched)

        def note(location: Location | None) -> None:
            self._state.add(self._run, [Found(article.url, "page", 0, article.changed)])
            self._state.captured(
                self._run, article.url, status=200, digest=digest, fetched=fetched, lastmod=article.changed,
                location=location,
            )  # fmt: skip

        self._pages += 1
        self._ledger.add(note, capture)

    # The queue and robots.txt

    def _queue(self, found: list[Found], *, again: bool = False) -> None:
        """Queue addresses, up to the longest queue."""
        fresh = found if again else [each for each in found if each.url not in self._remembered]
        if not fresh:
            return
        room = LONGEST_QUEUE - self._queued
        if len(fresh) > room:
            self._miss(f"more than {LONGEST_QUEUE:,} addresses, the rest is left out")
            fresh = fresh[: max(0, room)]
        self._queued += self._state.add(self._run, fresh)
        if len(self._remembered) > _REMEMBERED:
            self._remembered.clear()
        self._remembered.update(each.url for each in fresh)
        self._more = True
        self._changed.set()

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
            return Robots(problem=problem)
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
            target = normal(answer.header("location") or "", url) if answer.status in _REDIRECTS else None
            if target is None or not self._scope.on_site(target):
                break
            url = target
        return answer


def _is_bare(url: str) -> bool:
    """Tell an address that names only a host."""
    parts = urlsplit(url)
    return parts.path in ("", "/") and not parts.query


def _is_sound(page: PageState) -> bool:
    """Tell whether what was read of a page the last time still stands."""
    return page.status == 200 and page.location is not None and page.error is None and not (page.moved_to or page.gone)


def _conditions(page: PageState | None) -> dict[str, str]:
    """Give the headers that ask for a page only if it changed."""
    if page is None or not _is_sound(page):
        return {}
    headers = {"If-None-Match": page.etag, "If-Modified-Since": page.modified}
    return {name: value for name, value in headers.items() if value}


def _validator(answer: Answer, name: str) -> str | None:
    value = answer.header(name)
    return value if value and len(value) <= _LONGEST_VALIDATOR and value.isprintable() and value.isascii() else None


def _is_html(answer: Answer) -> bool:
    return page_type(answer.header("content-type"), answer.body)[0] == HTML


def _is_kept_out(answer: Answer, kind: str | None) -> bool:
    """Tell whether a page asks not to be indexed, by a header or in itself."""
    said = (answer.header("x-robots-tag") or "").lower()
    if ("noindex" in said or said.strip() == "none") and ":" not in said:
        return True
    return kind == HTML and noindex(answer.body)
