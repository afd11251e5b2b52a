"""Pages that scripts build: a browser without a network of its own builds them from what the crawl fetches for it.

The page itself is fetched like any other one, so that redirects, errors and robots.txt are dealt with before the browser
sees anything. Every request that its scripts then make is taken from the browser and made by the crawl, with its guard
against private addresses, its politeness and its bounds. What might get past that finds no network: the browser knows
no name, and its only proxy is at a name that does not exist.
"""

import asyncio
import importlib.util
import itertools
import os
import shutil
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urldefrag, urljoin

from w3lib.encoding import http_content_type_encoding

from ingest.article import IngestError, PageError
from ingest.bodies import HTML, page_type
from ingest.decode import decode
from ingest.fetch import Answer
from ingest.politeness import Patience, user_agent
from ingest.scope import host_of, site_of
from ingest.sources import WebSource

if TYPE_CHECKING:
    from playwright.async_api import Page, Request, Route
    from scrapy.crawler import Crawler

#: Programs that are looked for; CITEDESK_CHROMIUM names another one.
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
#: Pages that are built at the same time.
MOST_PAGES = 2
#: What one page may load beside itself: requests, bytes of all of them, and bytes of one.
MOST_REQUESTS = 200
MOST_BYTES = 50_000_000
LARGEST_PART = 10_000_000
#: Bytes of what a page may send.
_LARGEST_FORM = 100_000
#: Bytes of scripts that are kept for the next pages: those of a site mostly share them.
_KEPT_BYTES = 64_000_000
_MOST_REDIRECTS = 5
#: Seconds that a page, and then the browser, gets to close.
_CLOSING = 5.0
_SLOT = "citedesk-browser"
#: What a page's text may depend on. Styles are answered with nothing, since scripts wait for them.
_LOADED = frozenset({"script", "xhr", "fetch"})
#: Counting visitors and showing advertisements: never needed for a text, and a crawl is no visitor.
_TRACKERS = (
    "googletagmanager.com", "google-analytics.com", "doubleclick.net", "googlesyndication.com", "googleadservices.com",
    "facebook.net", "hotjar.com", "segment.io", "segment.com", "mixpanel.com", "amplitude.com", "sentry.io", "clarity.ms",
    "newrelic.com", "nr-data.net", "fullstory.com", "sensorsdata.cn", "datadoghq.com", "optimizely.com",
)  # fmt: skip
#: Headers of a page's request that are the connection's, or that would tell who asks.
_NOT_SENT = frozenset({
    "accept-encoding", "connection", "content-length", "cookie", "host", "if-modified-since", "if-none-match", "proxy-authorization",
    "range", "te", "transfer-encoding", "upgrade", "upgrade-insecure-requests", "user-agent",
})  # fmt: skip
_DEAF = "http://citedesk.invalid:1"
_ARGUMENTS = (
    "--host-resolver-rules=MAP * ~NOTFOUND",
    f"--proxy-server={_DEAF}",
    "--proxy-bypass-list=<-loopback>",  # else loopback addresses are connected to without the proxy
    "--webrtc-ip-handling-policy=disable_non_proxied_udp",
    "--force-webrtc-ip-handling-policy=disable_non_proxied_udp",
    "--disable-quic",
    "--js-flags=--max-old-space-size=512",  # megabytes
    "--renderer-process-limit=2",
    "--disk-cache-size=1",
)

#: Makes a request for a page: address, method, headers, body, most bytes.
Load = Callable[[str, str, Mapping[str, str], bytes, int], Awaitable[Answer]]


def find_browser() -> str:
    """Give the path of the browser that builds pages.

    :raises IngestError: There is none, or what drives it is not installed; the message says what to install.
    """
    if importlib.util.find_spec("scrapy_playwright") is None:
        raise IngestError("javascript = true needs an extra: install it with pip install 'citedesk[javascript]'")
    named = os.environ.get("CITEDESK_CHROMIUM")
    if named:
        found = shutil.which(named)
        if not found:
            raise IngestError(f"CITEDESK_CHROMIUM={named} is no program that can be run; name the browser's path")
        return found
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if not found:
        raise IngestError(
            "javascript = true needs Chromium, and there is none on the PATH; install it (Debian: apt install chromium), "
            "or name its path in CITEDESK_CHROMIUM"
        )
    return found


def browser_settings() -> dict[str, Any]:
    """Give Scrapy's settings beside those of `ingest.fetch` for a source whose pages a browser builds.

    :raises IngestError: As `find_browser`.
    """
    handler = "scrapy_playwright.handler.ScrapyPlaywrightDownloadHandler"
    return {
        "DOWNLOAD_HANDLERS": {"data": None, "file": None, "ftp": None, "s3": None, "http": handler, "https": handler},
        "DOWNLOAD_SLOTS": {_SLOT: {"concurrency": 4 * MOST_PAGES, "delay": 0.0, "jitter": 0.0}},
        "PLAYWRIGHT_BROWSER_TYPE": "chromium",
        "PLAYWRIGHT_LAUNCH_OPTIONS": {
            "executable_path": find_browser(),
            "args": list(_ARGUMENTS),
            # Chromium's sandbox refuses to run as root: there it has to be left out, and nobody should crawl as root.
            "chromium_sandbox": os.geteuid() != 0,
            "handle_sigint": False,
            "handle_sigterm": False,
        },
        "PLAYWRIGHT_DEFAULT_NAVIGATION_TIMEOUT": 60_000,  # milliseconds; `PageBuilder` gives up before
    }


class PageBuilder:
    """Has pages built by the browser, a few at a time, each with cookies and storage of its own that end with it."""

    def __init__(self, crawler: "Crawler", source: WebSource, patience: Patience, load: Load) -> None:
        """Make a builder; `begin` starts the browser.

        :param patience: A page may load for a quarter of its ``timeout``, and is given up after half of it.
        """
        self._crawler = crawler
        self._load = load
        self._settled = patience.timeout / 4
        self._longest = patience.timeout / 2
        self._agent = user_agent(source.contact)
        self._room = asyncio.Semaphore(MOST_PAGES)
        self._scripts = _Scripts()
        self._numbers = itertools.count()

    async def begin(self) -> None:
        """Start the browser and have it build an empty page.

        :raises IngestError: It does not start.
        """
        empty = Answer(f"{_DEAF}/", 200, (("content-type", HTML),), b"<p>a</p>")
        built = await self.build(empty, 1000)
        if built.error:
            raise IngestError(
                f"{find_browser()} does not work ({built.error}); mend it, name another one in CITEDESK_CHROMIUM, "
                "or read the source without javascript = true"
            )

    async def build(self, answer: Answer, most: int) -> Answer:
        """Have the scripts of a page run, and give it as it is then.

        What is no HTML is given back as it is. A page that sends the browser elsewhere on its site becomes a redirect.

        :param answer: The page as it was fetched.
        :param most: Bytes that it may have in the end.
        """
        if page_type(answer.header("content-type"), answer.body)[0] != HTML:
            return answer
        try:
            declared = http_content_type_encoding(answer.header("content-type"))
            text = decode(answer.body, declared=declared, where=answer.url)
        except PageError:
            return answer  # what is wrong with it is said where it is cleaned
        async with self._room:
            view = _View(answer.url, text, self._load, self._scripts, self._settled)
            error = await self._show(view)
        if view.moved_to:
            return Answer(answer.url, 302, (("location", view.moved_to),))
        if view.body is None:
            return Answer(answer.url, error="the page crashed the browser" if view.crashed else error)
        if len(view.body) > most:
            return Answer(answer.url, error=f"larger than {most:,} bytes when it is built")
        return Answer(answer.url, answer.status, _headers_of_built(answer), view.body)

    async def _show(self, view: "_View") -> str:
        """Have the browser show a page; say what went wrong, if anything."""
        try:
            async with asyncio.timeout(self._longest):
                await self._download(view)
        except TimeoutError:
            return f"its scripts did not end within {self._longest:g} seconds"
        except Exception as failure:  # whatever Playwright or the browser say of a hostile page
            return f"the browser could not build it ({_reason(failure)})"
        finally:
            await view.close()
        return "the browser did not show it"

    async def _download(self, view: "_View") -> None:
        import scrapy
        from scrapy.http.request import NO_CALLBACK
        from scrapy_playwright.page import PageMethod

        meta = {
            "playwright": True,
            "playwright_include_page": True,  # it is closed here, whatever happens
            "playwright_context": f"page {next(self._numbers)}",
            "playwright_context_kwargs": {
                "service_workers": "block",
                "accept_downloads": False,
                "user_agent": self._agent,
                "viewport": {"width": 1280, "height": 2000},
            },
            "playwright_page_init_callback": view.begin,
            "playwright_page_goto_kwargs": {"wait_until": "commit"},
            "playwright_page_methods": [PageMethod(view.settle)],
            # Not the host's slot: it is the requests of the page that count there, and they would wait for this one.
            "download_slot": _SLOT,
            "autothrottle_dont_adjust_delay": True,
        }
        request = scrapy.Request(view.url, meta=meta, callback=NO_CALLBACK)
        assert self._crawler.engine
        await self._crawler.engine.download_async(request)


class _Scripts:
    """The last scripts that were loaded."""

    def __init__(self) -> None:
        self._answers: OrderedDict[str, Answer] = OrderedDict()
        self._bytes = 0

    def get(self, url: str) -> Answer | None:
        if url in self._answers:
            self._answers.move_to_end(url)
        return self._answers.get(url)

    def keep(self, url: str, answer: Answer) -> None:
        if answer.status != 200 or answer.error or url in self._answers:
            return
        self._answers[url] = answer
        self._bytes += len(answer.body)
        while self._bytes > _KEPT_BYTES:
            self._bytes -= len(self._answers.popitem(last=False)[1].body)


class _View:
    """One page in the browser.

    :ivar body: The page as it was when it was built, or None.
    :ivar moved_to: Where the page sent the browser, or None.
    :ivar crashed: Whether its process died.
    """

    def __init__(self, url: str, text: str, load: Load, scripts: _Scripts, settled: float) -> None:
        self.url = url
        self.body: bytes | None = None
        self.moved_to: str | None = None
        self.crashed = False
        self._text = text
        self._load = load
        self._scripts = scripts
        self._settled = settled
        self._shown = False
        self._cut = False
        self._requests = 0
        self._bytes = 0
        self._loads: set[asyncio.Future[Answer]] = set()
        self._pages: list[Page] = []

    async def begin(self, page: "Page", _: object) -> None:
        """Take a new page's requests from it, before it makes any."""
        self._pages.append(page)
        if len(self._pages) > 1:  # scrapy-playwright begins anew where a page was closed: this one is given up
            await page.context.close()
            return
        page.on("crash", self._note_crash)
        page.on("popup", lambda popup: popup.close())
        await page.context.route("**/*", lambda route: route.abort())  # of other pages that it opens
        await page.route("**/*", self._answer)  # comes before scrapy-playwright's own, and leaves it nothing

    async def settle(self, page: "Page") -> None:
        """Wait until the page loads nothing any more; one that never ends is taken as it is."""
        from playwright.async_api import TimeoutError as NotInTime

        with suppress(NotInTime):
            await page.wait_for_load_state("networkidle", timeout=1000 * self._settled)
        self._end()
        # Not as scrapy-playwright gives it: that cannot write half of a surrogate pair, which scripts leave now and then.
        self.body = (await page.content()).encode("utf-8", "replace")

    async def close(self) -> None:
        """Close the page and all that belongs to it; a browser that cannot do so is ended, and begun anew for the next page."""
        self._cut = True
        self._end()
        for page in self._pages:
            try:
                await asyncio.wait_for(page.context.close(), _CLOSING)
            except Exception:
                browser = page.context.browser
                with suppress(Exception):
                    if browser:
                        await asyncio.wait_for(browser.close(), _CLOSING)

    def _end(self) -> None:
        self._cut = True
        for load in self._loads:
            load.cancel()

    async def _note_crash(self, page: "Page") -> None:
        self.crashed = True
        await page.context.close()  # else what waits for the page waits on

    async def _answer(self, route: "Route", request: "Request") -> None:
        """Answer a request of the page, or have it fail."""
        from playwright.async_api import Error

        try:
            if request.is_navigation_request():
                await self._navigate(route, request)
            elif request.resource_type == "stylesheet":
                await route.fulfill(status=200, content_type="text/css", body="")
            elif (answer := await self._loaded(request)) is None:
                await route.abort()
            else:
                await route.fulfill(status=answer.status, headers=_headers_of_part(answer), body=answer.body)
        except Error:
            return  # the page is closed, or the answer is none that a browser takes

    async def _navigate(self, route: "Route", request: "Request") -> None:
        """Show the page when the browser goes to it; note where it goes then, and go nowhere."""
        if not self._shown:
            self._shown = True
            await route.fulfill(status=200, content_type="text/html; charset=utf-8", body=self._text)
            return
        # Frames are no part of the text that is taken, so nothing is shown in them.
        if request.method == "GET" and request.frame.parent_frame is None and not self._cut:
            self._note_move(urldefrag(request.url)[0])
        await route.abort("aborted")  # any other word would show an error in the page's place

    def _note_move(self, target: str) -> None:
        if target != urldefrag(self.url)[0] and site_of(host_of(target)) == site_of(host_of(self.url)):
            self.moved_to = self.moved_to or target

    async def _loaded(self, request: "Request") -> Answer | None:
        """Load what a page asks for; None where it is not to have it."""
        url, method, body = request.url, request.method, request.post_data_buffer or b""
        if self._cut or not _may_load(request, self.url) or len(body) > _LARGEST_FORM:
            return None
        script = request.resource_type == "script" and method == "GET"
        known = self._scripts.get(url) if script else None
        if known:
            return known
        headers = {
            name: value
            for name, value in request.headers.items()
            if name not in _NOT_SENT and not name.startswith((":", "sec-"))
        }
        load = asyncio.ensure_future(self._follow(url, method, headers, body))
        self._loads.add(load)
        try:
            answer = await load
        except asyncio.CancelledError:
            return None
        finally:
            self._loads.discard(load)
        if script:
            self._scripts.keep(url, answer)
        return None if answer.error else answer

    async def _follow(self, url: str, method: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Make a request, over redirects: those that a browser follows by itself cannot be taken from it."""
        for _ in range(_MOST_REDIRECTS):
            if self._cut or self._requests >= MOST_REQUESTS or self._bytes >= MOST_BYTES:
                return Answer(url, error="the page loads too much")
            self._requests += 1
            answer = await self._load(url, method, headers, body, LARGEST_PART)
            self._bytes += len(answer.body)
            location = answer.header("location")
            if answer.error or location is None or not 300 < answer.status < 400:
                return answer
            url, method, body = urldefrag(urljoin(url, location))[0], "GET", b""
            if not url.startswith(("http://", "https://")):
                break
        return Answer(url, error="redirects without end")


def _may_load(request: "Request", page_url: str) -> bool:
    """Tell whether a page's request is made: what its text may depend on, and forms only to its own site."""
    host = host_of(request.url)
    if not request.url.startswith(("http://", "https://")) or request.resource_type not in _LOADED:
        return False
    if any(host == tracker or host.endswith(f".{tracker}") for tracker in _TRACKERS):
        return False
    return request.method == "GET" or (request.method == "POST" and site_of(host) == site_of(host_of(page_url)))


def _headers_of_part(answer: Answer) -> dict[str, str]:
    """Give the headers that a page may see of what it loads: no cookies, nothing that leads on."""
    wanted = ("content-type", "content-language")
    return {name: value for name, value in answer.headers if name.lower() in wanted or name.lower().startswith("access-control-")}  # fmt: skip


def _headers_of_built(answer: Answer) -> tuple[tuple[str, str], ...]:
    """Give the headers of a page that was built: without those that speak of the bytes that the server sent."""
    gone = {"content-type", "content-encoding", "content-length", "etag", "last-modified", "transfer-encoding"}
    kept = tuple((name, value) for name, value in answer.headers if name.lower() not in gone)
    return (*kept, ("Content-Type", "text/html; charset=utf-8"))


def _reason(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else ''}"[:200]
