"""One request to a site by Scrapy: its settings, and what comes back or what went wrong in words."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from scrapy import Request, Spider
from scrapy.crawler import Crawler
from scrapy.exceptions import (
    CannotResolveHostError,
    DownloadCancelledError,
    DownloadConnectionRefusedError,
    DownloadFailedError,
    DownloadTimeoutError,
    IgnoreRequest,
    ResponseDataLossError,
)
from scrapy.http.request import NO_CALLBACK
from twisted.web.client import ResponseFailed

from ingest.guard import Guard
from ingest.politeness import Patience, user_agent
from ingest.sources import WebSource

#: Seconds between two requests to a host that AutoThrottle goes up to.
SLOWEST = 60.0
#: Requests in flight to all hosts together.
MOST_AT_ONCE = 64

_BROWSERS = "text/html,application/xhtml+xml,text/plain;q=0.9,application/pdf;q=0.8,application/xml;q=0.8,*/*;q=0.5"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a request.

    :ivar status: 0 where there was no answer that can be used; then ``error`` says why.
    :ivar passing: Whether the error may be another a moment later.
    :ivar silent: Whether the host did not answer at all.
    :ivar refused: Whether the request was not made, since it may not be.
    """

    url: str
    status: int = 0
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    error: str | None = None
    passing: bool = False
    silent: bool = False
    refused: bool = False

    def header(self, name: str) -> str | None:
        """Give the first header of that name in small letters, or None."""
        return next((value for key, value in self.headers if key.lower() == name), None)


def settings_of(source: WebSource, patience: Patience) -> dict[str, Any]:
    """Give Scrapy's settings for a source.

    The queue, duplicates, redirects, retries and robots.txt are the crawl's own (`ingest.walk`), since they have to
    outlive a killed process; Scrapy brings connections, slots a host, AutoThrottle, decoding and their bounds.
    """
    return {
        "ROBOTSTXT_OBEY": False,  # obeyed by ingest.walk, with Crawl-delay and the rules of RFC 9309 for errors
        "USER_AGENT": user_agent(source.contact),
        "CONCURRENT_REQUESTS": MOST_AT_ONCE,
        "CONCURRENT_REQUESTS_PER_DOMAIN": source.concurrency,
        "DOWNLOAD_DELAY": source.delay,
        "DOWNLOAD_DELAY_JITTER": 0.0,  # a jitter goes below the delay as well
        # Without a delay the operator asks for full speed: it is his own site.
        "AUTOTHROTTLE_ENABLED": source.delay > 0,
        "AUTOTHROTTLE_START_DELAY": source.delay,
        "AUTOTHROTTLE_MAX_DELAY": max(SLOWEST, source.delay),
        "AUTOTHROTTLE_TARGET_CONCURRENCY": float(source.concurrency),
        "DOWNLOAD_TIMEOUT": patience.timeout,
        "DOWNLOAD_MAXSIZE": source.max_page_bytes,
        "DOWNLOAD_WARNSIZE": 0,
        "DOWNLOAD_FAIL_ON_DATALOSS": True,
        "DOWNLOAD_VERIFY_CERTIFICATES": True,
        "DOWNLOADER_MIDDLEWARES_BASE": {
            "scrapy.downloadermiddlewares.httpcompression.HttpCompressionMiddleware": 590,
        },
        "SPIDER_MIDDLEWARES_BASE": {},
        "EXTENSIONS_BASE": {"scrapy.extensions.throttle.AutoThrottle": 0},
        "DOWNLOAD_HANDLERS": {"data": None, "file": None, "ftp": None, "s3": None},
        "COOKIES_ENABLED": False,
        "TELNETCONSOLE_ENABLED": False,
        "STATS_DUMP": False,
        "LOG_INSTALL_ROOT_HANDLER": False,
        "REACTOR_THREADPOOL_MAXSIZE": 8,
    }


class Connection(Spider):
    """Scrapy's way in: it makes no requests of its own, but lets the work be done while its engine runs."""

    name = "citedesk"

    def __init__(self, work: Callable[[Crawler], Awaitable[None]]) -> None:
        super().__init__()
        self._work = work

    async def start(self) -> AsyncIterator[Any]:
        """Do the work; when it is done there is nothing left for the engine, and it closes."""
        await self._work(self.crawler)
        requests: tuple[Request, ...] = ()
        for request in requests:
            yield request


class Fetcher:
    """Asks for one address at a time, through Scrapy's downloader with its slots, throttle and bounds."""

    def __init__(self, crawler: Crawler, source: WebSource, guard: Guard) -> None:
        self._crawler = crawler
        self._guard = guard
        self._headers = {
            "User-Agent": user_agent(source.contact),
            "Accept": _BROWSERS,
            "Accept-Language": "en,*;q=0.5",
        }

    async def fetch(
        self,
        url: str,
        *,
        most: int,
        headers: Mapping[str, str] = {},
        method: str = "GET",
        body: bytes = b"",
        timeout: float | None = None,
    ) -> Answer:
        """Ask for an address once, following nothing.

        :param most: Bytes of the answer at most, packed as well as unpacked.
        :param headers: Sent beside the usual ones, or instead of them.
        :param timeout: Seconds that the answer may take, rather than those of `Patience`.
        """
        meta: dict[str, Any] = {"download_maxsize": most}
        if timeout:
            meta["download_timeout"] = timeout
        try:
            request = Request(url, method=method, headers=self._headers, body=body, meta=meta, callback=NO_CALLBACK)
            request.headers.update(headers)
            assert self._crawler.engine
            response = await self._crawler.engine.download_async(request)
        except Exception as error:  # whatever Twisted, OpenSSL or a parser say of a hostile answer
            return self._failure(url, error, most)
        found = tuple(
            (name.decode("latin-1"), value.decode("utf-8", "replace"))
            for name, values in response.headers.items()
            for value in values
        )
        coding = response.headers.get("Content-Encoding")
        if coding and response.body and coding.strip().lower() != b"identity":
            return Answer(
                url, response.status, error=f"packed in a way that is not known: {coding.decode('latin-1')[:50]}"
            )
        return Answer(url, response.status, found, response.body)

    def _failure(self, url: str, error: Exception, most: int) -> Answer:
        host = urlsplit(url).netloc
        match error:
            case CannotResolveHostError():
                refusal = self._guard.refusal(url)
                if refusal:
                    return Answer(url, error=refusal, refused=True)
                return Answer(url, error=f"{host}: no such host", passing=True, silent=True)
            case DownloadConnectionRefusedError():
                return Answer(url, error=f"{host}: refuses the connection", passing=True, silent=True)
            case DownloadTimeoutError():
                return Answer(url, error="no whole answer in time", passing=True, silent=True)
            case DownloadCancelledError() | IgnoreRequest():
                return Answer(url, error=f"larger than {most:,} bytes")
            case ResponseDataLossError():
                return Answer(url, error="the answer breaks off", passing=True)
            case DownloadFailedError():
                return Answer(url, error=f"no proper answer ({_reason(error)})", passing=True)
        return Answer(url, error=f"no proper answer ({_reason(error)})", passing=isinstance(error, OSError))


def _reason(error: BaseException) -> str:
    """Say what is behind an error of Twisted, in its innermost words."""
    cause = error.__cause__ or error
    if isinstance(cause, ResponseFailed) and cause.reasons:
        cause = cause.reasons[0].value
    text = " ".join(str(cause).split())
    return f"{type(cause).__name__}: {text}"[:200] if text else type(cause).__name__
