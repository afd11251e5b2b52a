"""What an answer means for a page, a list and the queue: noted through the ledger, so that nothing is noted by half."""

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from ingest import zendesk
from ingest.archive import Archive, Capture, Location
from ingest.bodies import HTML, page_type
from ingest.feed import read_feed
from ingest.fetch import Answer
from ingest.ledger import Ledger
from ingest.links import links_of, noindex, normal
from ingest.scope import Scope
from ingest.sitemap import read_sitemap
from ingest.sources import WebSource
from ingest.state import CrawlState, Found, Outcome, PageState, Run, now
from ingest.tally import Tally
from ingest.warc import LARGEST_BODY

#: Redirects from page to page that are followed.
MOST_REDIRECTS = 10
#: Links of one page that are followed.
MOST_LINKS = 5_000
REDIRECTS = frozenset({301, 302, 303, 307, 308})
_LONGEST_VALIDATOR = 1_000


class Outcomes:
    """Notes what came of the addresses of a run.

    :ivar guessed: Addresses of lists that nobody named, so that they may be absent.
    """

    def __init__(
        self,
        source: WebSource,
        run: Run,
        state: CrawlState,
        archive: Archive,
        ledger: Ledger,
        scope: Scope,
        tally: Tally,
    ) -> None:
        self.guessed: set[str] = set()
        self._source = source
        self._run = run
        self._state = state
        self._archive = archive
        self._ledger = ledger
        self._scope = scope
        self._tally = tally
        self._redirects: dict[str, int] = {}  # how many redirects led to an address
        self._moves: dict[str, str] = {}
        self._recheck = (datetime.now(UTC) - timedelta(days=source.recheck_days)).isoformat(timespec="seconds")

    def sort(self, found: Found, page: PageState | None, answer: Answer) -> None:
        """Note what came of a request."""
        if answer.error:
            self.fail(found, answer)
        elif answer.status in REDIRECTS and answer.header("location"):
            self._redirected(found, answer)
        elif answer.status == 304 and page and page.location:
            self.unchanged(found, page, now())
        elif answer.status in (404, 410):
            self._absent(found, answer.status)
        elif answer.status != 200:
            self.fail(found, Answer(answer.url, answer.status, error=f"HTTP {answer.status}"))
        elif found.kind == "page":
            self._page(found, page, answer)
        elif found.kind == "start":
            self._add_list(found, self._links(found, answer.body) if _is_html(answer) else [])
        else:
            self._list(found, answer)

    def fail(self, found: Found, answer: Answer) -> None:
        """Note that an address could not be read, or may not be."""
        error = answer.error or ""
        if found.kind != "page" or self._is_start(found):
            self._tally.miss(f"{found.url}: {error}")
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
            self._tally.miss(f"{found.url}: HTTP {status}")
        if found.kind == "page":
            self._ledger.add(lambda _: self._state.missing(self._run, found.url, status=status))
            return
        if found.url not in self.guessed and found.kind != "start":
            self._tally.miss(f"{found.url}: HTTP {status}")
        self._ledger.add(lambda _: self._state.settle(self._run, found.url, "missing"))

    def _redirected(self, found: Found, answer: Answer) -> None:
        location = answer.header("location") or ""
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
            self.fail(found, Answer(found.url, answer.status, error=error, refused=refused))
            return
        self._redirects[target] = hops
        self._moves[found.url] = target
        if self._source.kind == "site" and found.depth == 0 and found.kind in ("page", "start"):
            self._scope.add_start(target)
        kind = self._scope.kind(target) if self._source.kind == "site" and found.kind == "start" else found.kind
        self._tally.queue([Found(target, kind, found.depth)])
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

    def _page(self, found: Found, page: PageState | None, answer: Answer) -> None:
        body = answer.body
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
            self.fail(found, Answer(found.url, answer.status, error=error))
            return
        digest, fetched = hashlib.sha256(body).hexdigest(), now()
        known = page is not None and page.digest == digest and page.location is not None
        capture = None if known else Capture(found.url, 200, answer.headers, body, fetched)

        def note(location: Location | None) -> None:
            self._state.captured(
                self._run, found.url, status=200, digest=digest, fetched=fetched, lastmod=found.lastmod,
                etag=_validator(answer, "etag"), modified=_validator(answer, "last-modified"), location=location,
            )  # fmt: skip
            self._tally.queue(links)

        self._tally.pages += 1
        self._ledger.add(note, capture)

    def _refuse_noindex(self, found: Found, links: list[Found]) -> None:
        self._state.refused(self._run, found.url, error="the page asks not to be indexed (noindex)")
        self._tally.queue(links)

    def is_fresh(self, found: Found, page: PageState) -> bool:
        """Tell whether a list says that a page is as it was when it was read, and that was not long ago."""
        return page.lastmod == found.lastmod and _is_sound(page) and (page.fetched or "") >= self._recheck

    def unchanged(self, found: Found, page: PageState, fetched: str | None = None) -> None:
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
            self._tally.queue(links)

        self._tally.pages += 1
        self._ledger.add(note)

    def _links(self, found: Found, body: bytes) -> list[Found]:
        """Give the links of a page that the walk follows."""
        if self._source.kind != "site":
            return []
        addresses, cut = links_of(body, found.url, most=MOST_LINKS)
        if cut:
            self._tally.miss(f"{found.url}: more than {MOST_LINKS:,} links, the rest is not followed")
        fresh = [url for url in addresses if url not in self._tally.remembered]
        links = [Found(url, kind, found.depth + 1) for url in fresh if (kind := self._scope.follows(url))]
        if links and found.depth >= self._source.max_depth:
            self._tally.miss(f"links deeper than max_depth = {self._source.max_depth} are not followed")
            return []
        return links

    def _list(self, found: Found, answer: Answer) -> None:
        match found.kind:
            case "sitemap":
                self._sitemap(found, answer)
            case "feed":
                feed = read_feed(answer.body, found.url)
                if feed.problem:
                    self._tally.miss(f"{found.url}: {feed.problem}")
                self._add_list(found, self._listed((page.url, page.updated) for page in feed.pages))
            case _:
                self._zendesk(found, answer)

    def _sitemap(self, found: Found, answer: Answer) -> None:
        sitemap = read_sitemap(answer.body, found.url)
        if found.url in self.guessed and not (sitemap.pages or sitemap.nested):
            self._absent(found, 404)  # a page in the place of a sitemap
            return
        if not sitemap.complete:
            self._tally.miss(f"{found.url}: {sitemap.problem or 'not complete'}")
        pages = self._listed((page.url, page.lastmod) for page in sitemap.pages)
        others = self._listed((url, None) for page in sitemap.pages for _, url in page.alternates)
        nested = [Found(url, "sitemap", found.depth + 1) for url in sitemap.nested if self._scope.on_site(url)]
        if len(nested) < len(sitemap.nested):
            self._tally.miss(f"{found.url}: names sitemaps of other sites, which are not read")
        if nested and found.depth >= self._source.max_depth:
            self._tally.miss(f"sitemaps deeper than max_depth = {self._source.max_depth} are not read")
            nested = []
        self._tally.lists += 1
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
            self._tally.queue(listed)
            self._state.settle(self._run, found.url, "listed")

        self._ledger.add(note)

    def _zendesk(self, found: Found, answer: Answer) -> None:
        if urlsplit(found.url).path.endswith("/locales.json"):
            locales = zendesk.read_locales(answer.body)
            if not locales:
                self._tally.miss(f"{found.url}: names no locale")
            self._add_list(found, [Found(zendesk.articles_url(found.url, locale), "zendesk") for locale in locales])
            return
        listing = zendesk.read_articles(answer.body, found.url)
        if listing.problem:
            self._tally.miss(f"{found.url}: {listing.problem}")
        sections, categories = zendesk.read_sections(answer.body), zendesk.read_categories(answer.body)
        for article in listing.articles:
            if self._scope.keeps(article.url):
                self._zendesk_article(article, zendesk.breadcrumbs(article, sections, categories))
        self._add_list(found, [Found(listing.next_url, "zendesk")] if listing.next_url else [])

    def _zendesk_article(self, article: zendesk.ZendeskArticle, trail: tuple[str, ...]) -> None:
        """Note an article, whose text is in the list already, as a page that was fetched."""
        body, fetched = zendesk.to_html(article, trail), now()
        if len(body) > min(self._source.max_page_bytes, LARGEST_BODY) or self._tally.pages >= self._source.max_pages:
            self._tally.miss(f"{article.url}: left out, since a bound of the source is reached")
            return
        digest = hashlib.sha256(body).hexdigest()
        page = self._state.page(self._source.name, article.url) if self._tally.known else None
        known = page is not None and page.digest == digest and page.location is not None
        headers = (("Content-Type", "text/html; charset=utf-8"),)
        capture = None if known else Capture(article.url, 200, headers, body, fetched)

        def note(location: Location | None) -> None:
            self._state.add(self._run, [Found(article.url, "page", 0, article.changed)])
            self._state.captured(
                self._run, article.url, status=200, digest=digest, fetched=fetched, lastmod=article.changed,
                location=location,
            )  # fmt: skip

        self._tally.pages += 1
        self._ledger.add(note, capture)


def _is_sound(page: PageState) -> bool:
    """Tell whether what was read of a page the last time still stands."""
    return page.status == 200 and page.location is not None and page.error is None and not (page.moved_to or page.gone)


def conditions(page: PageState | None) -> dict[str, str]:
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
