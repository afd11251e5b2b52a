"""A real web site on loopback that a test writes and breaks: pages, a log of the requests, and hostile endpoints.

    from tests.site import Response, Site, article, sitemap

    with Site({"/a": article("A", "Text."), "/sitemap.xml": sitemap(["{site}/a"])}) as site:
        crawl(site.url)
        site.pages["/a"] = Response(410)
        assert site.count("/a") == 1

Import it as ``tests.site``: the plain name ``site`` is a module of Python's own.
"""

import gzip
import hashlib
import html
import itertools
import secrets
import socket
import struct
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from email.utils import formatdate, parsedate_to_datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from socketserver import ThreadingMixIn
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

HTML = "text/html; charset=utf-8"
#: Connections that are served at a time; one more is closed at once.
MOST_CONNECTIONS = 256
#: Seconds after which a connection on which nothing is asked is closed.
IDLE = 30.0
MEGABYTE = 1 << 20
#: Targets that a redirect, a link or a sitemap must not lead to: private, loopback and link-local addresses, other schemes.
PRIVATE_TARGETS = (
    "http://169.254.169.254/latest/meta-data/", "http://127.0.0.1:1/", "http://localhost:1/", "http://[::1]:1/",
    "http://10.0.0.1/", "http://192.168.0.1/", "http://0.0.0.0:1/", "http://2130706433:1/", "http://0x7f.1:1/",
    "http://[::ffff:127.0.0.1]:1/", "file:///etc/passwd", "ftp://127.0.0.1/", "data:text/html,<h1>in</h1>",
)  # fmt: skip

Headers = Mapping[str, str] | Sequence[tuple[str, str]]
Chunks = Callable[[], Iterable[bytes]]


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked: ``path`` with its query, header names in lower case, ``time`` in seconds (monotonic)."""

    method: str
    path: str
    headers: Mapping[str, str]
    time: float


@dataclass(frozen=True, slots=True)
class Response:
    """An answer in proper HTTP. In a text body and in headers ``{site}`` becomes the site's address.

    :ivar body: Text, bytes, or a function that gives the pieces of a body that is never held as a whole.
    :ivar content_type: Sent as it is; None sends no such header.
    :ivar delay: Seconds before the first byte.
    :ivar pause: Seconds before each piece of a body given in pieces.
    :ivar length: Content-Length of a body given in pieces; sent chunked where None.
    """

    status: int = 200
    body: str | bytes | Chunks = ""
    content_type: str | None = HTML
    headers: Headers = ()
    delay: float = 0.0
    pause: float = 0.0
    length: int | None = None


@dataclass(frozen=True, slots=True)
class Raw:
    """An answer that is no proper HTTP: these bytes and nothing else, then the end of the connection.

    :ivar pause: Seconds before each piece.
    :ivar reset: End with a reset (RST) rather than a proper close.
    """

    chunks: Chunks
    pause: float = 0.0
    reset: bool = False


Answer = Response | Raw | str | bytes
Page = Answer | Callable[[Request], Answer]


class Site:
    """A site on 127.0.0.1 while its context is open.

    A page's key is its path, with its query or without; one that ends in ``*`` stands for all paths that begin so. A
    page that is absent is 404, robots.txt and sitemaps too. Pages with status 200 get an ETag and a Last-Modified, and
    304 while they stay as they are.

    :ivar pages: May be changed at any time.
    :ivar requests: Every request that came, oldest first.
    :ivar etag: Whether pages have an ETag; ``last_modified`` likewise.
    :raises AssertionError: On leaving, if a page's function has failed.
    """

    def __init__(self, pages: Mapping[str, Page] = {}, *, etag: bool = True, last_modified: bool = True) -> None:
        self.pages: dict[str, Page] = dict(pages)
        self.requests: list[Request] = []
        self.etag = etag
        self.last_modified = last_modified
        self.errors: list[BaseException] = []
        self._versions: dict[str, tuple[str, float]] = {}
        # A day ago, and a second later with each change: two changes within a second still have different dates.
        self._clock = itertools.count(int(time.time()) - 86_400)
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)
        if self.errors and error is None:
            raise AssertionError(f"a page's function failed: {self.errors[0]!r}") from self.errors[0]

    @property
    def port(self) -> int:
        """The port, free before."""
        return self._server.server_address[1]

    @property
    def url(self) -> str:
        """The site's address, without a slash at its end."""
        return f"http://127.0.0.1:{self.port}"

    def count(self, path: str, method: str | None = None) -> int:
        """Count the requests for a path, with any query if the path has none, by any method if none is given."""
        return sum(
            path in (request.path, request.path.split("?")[0]) and method in (None, request.method)
            for request in list(self.requests)
        )

    def counts(self) -> Counter[str]:
        """Count the requests by path and query."""
        return Counter(request.path for request in list(self.requests))

    def reset(self) -> None:
        """Forget the requests."""
        self.requests.clear()

    def _page(self, path: str) -> Page:
        bare = path.split("?")[0]
        for key in (path, bare):
            if key in self.pages:
                return self.pages[key]
        stems = [key for key in list(self.pages) if key.endswith("*") and path.startswith(key[:-1])]
        return self.pages[max(stems, key=len)] if stems else Response(404, "<h1>Not found</h1>")

    def answer(self, request: Request) -> Response | Raw:
        """Answer a request: with what stands at its path, or with 304."""
        page = self._page(request.path)
        given = page(request) if callable(page) else page
        if isinstance(given, Raw):
            return given
        if isinstance(given, str | bytes):
            given = Response(body=given, content_type=_type_of(request.path))
        return self._with_validators(self._addressed(given), request)

    def _addressed(self, response: Response) -> Response:
        headers = tuple((name, value.replace("{site}", self.url)) for name, value in _pairs(response.headers))
        body = response.body
        if isinstance(body, str):
            body = body.replace("{site}", self.url).encode("utf-8", "surrogatepass")
        return replace(response, body=body, headers=headers)

    def _with_validators(self, response: Response, request: Request) -> Response:
        if response.status != 200 or not isinstance(response.body, bytes) or not (self.etag or self.last_modified):
            return response
        digest = hashlib.sha256(response.body).hexdigest()[:20]
        with self._lock:
            known = self._versions.get(request.path)
            if known is None or known[0] != digest:
                known = self._versions[request.path] = (digest, float(next(self._clock)))
        tag = f'"{digest}"' if self.etag else ""
        added = [("ETag", tag)] * self.etag
        added += [("Last-Modified", formatdate(known[1], usegmt=True))] * self.last_modified
        given = {name.lower() for name, _ in _pairs(response.headers)}
        headers = (*_pairs(response.headers), *(pair for pair in added if pair[0].lower() not in given))
        if _unchanged(request, {name.lower(): value for name, value in headers}):
            return Response(304, b"", None, headers, response.delay)
        return replace(response, headers=headers)


def _pairs(headers: Headers) -> list[tuple[str, str]]:
    return list(headers.items()) if isinstance(headers, Mapping) else list(headers)


def _unchanged(request: Request, headers: Mapping[str, str]) -> bool:
    """Tell whether the asker has this version; If-Modified-Since counts only where no ETag is sent (RFC 9110)."""
    tags, since = request.headers.get("if-none-match"), request.headers.get("if-modified-since")
    if tags is not None and "etag" in headers:
        return headers["etag"].removeprefix("W/") in [tag.strip().removeprefix("W/") for tag in tags.split(",")]
    if since is None or "last-modified" not in headers:
        return False
    try:
        return parsedate_to_datetime(headers["last-modified"]) <= parsedate_to_datetime(since)
    except ValueError:
        return False


def _type_of(path: str) -> str:
    endings = {".xml": "application/xml", ".txt": "text/plain; charset=utf-8", ".gz": "application/gzip",
               ".json": "application/json", ".pdf": "application/pdf", ".rss": "application/rss+xml",
               ".atom": "application/atom+xml"}  # fmt: skip
    bare = urlsplit(path).path
    return next((kind for ending, kind in endings.items() if bare.endswith(ending)), HTML)


class _Server(ThreadingMixIn, HTTPServer):
    """A thread a connection; on closing the connections are shut down and the threads joined."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, site: Site) -> None:
        self.site = site
        self.closing = threading.Event()
        self._open: dict[socket.socket, threading.Thread] = {}
        self._guard = threading.Lock()
        super().__init__(("127.0.0.1", 0), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        thread = threading.Thread(target=self.process_request_thread, args=(request, client_address), daemon=True)
        with self._guard:
            full = len(self._open) >= MOST_CONNECTIONS
            if not full:
                self._open[request] = thread
        if full:
            self.shutdown_request(request)
        else:
            thread.start()

    def close_request(self, request: Any) -> None:
        with self._guard:
            self._open.pop(request, None)
        super().close_request(request)

    def server_close(self) -> None:
        self.closing.set()
        super().server_close()
        with self._guard:
            running = list(self._open.items())
        for connection, _ in running:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # closed by its own thread, or by the other side
        for _, thread in running:
            thread.join(5)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: `_Handler` keeps what fails for the test."""


class _Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server_version = "test-site"
    timeout = IDLE
    disable_nagle_algorithm = True
    server: _Server

    def do_GET(self) -> None:
        """Answer, and end the connection where a body was cut or the asker is gone."""
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.rfile.read(int(headers.get("content-length", 0)))
        request = Request(self.command, self.path, headers, time.monotonic())
        self.server.site.requests.append(request)
        try:
            answer = self.server.site.answer(request)
            if isinstance(answer, Raw):
                self._send_raw(answer)
            else:
                self._send(answer)
        except OSError:
            self.close_connection = True
        except Exception as error:
            self.close_connection = True
            self.server.site.errors.append(error)

    do_HEAD = do_POST = do_GET

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing: `Site.requests` is the log."""

    def _send(self, response: Response) -> None:
        self.server.closing.wait(response.delay)
        body = response.body
        body = body.encode() if isinstance(body, str) else body
        pieces = [body] if isinstance(body, bytes) else body()
        length = len(body) if isinstance(body, bytes) else response.length
        self.send_response(response.status)
        if response.content_type is not None:
            self.send_header("Content-Type", response.content_type)
        for name, value in _pairs(response.headers):
            self.send_header(name, value)
        if length is not None and response.status != 304:
            self.send_header("Content-Length", str(length))
        elif length is None:
            self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        if self.command == "HEAD" or response.status in (204, 304):
            return
        for piece in self._paced(pieces, response.pause):
            if piece:
                self.wfile.write(piece if length is not None else b"%x\r\n%b\r\n" % (len(piece), piece))
        if length is None:
            self.wfile.write(b"0\r\n\r\n")

    def _send_raw(self, raw: Raw) -> None:
        self.close_connection = True
        for piece in self._paced(raw.chunks(), raw.pause):
            self.wfile.write(piece)
        if raw.reset:
            # Closing with unsent data to be thrown away is what makes the system send RST.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()

    def _paced(self, pieces: Iterable[bytes], pause: float) -> Iterator[bytes]:
        for piece in pieces:
            if self.server.closing.wait(pause) if pause else self.server.closing.is_set():
                raise ConnectionAbortedError("the site is closed")
            yield piece


# Pages


def article(title: str, body: str, links: Iterable[str] = ()) -> str:
    """Write a help page: a body without tags becomes paragraphs, one a blank line; the links stand in a list at its end."""
    paragraphs = body if "<" in body else "".join(f"<p>{html.escape(part)}</p>\n" for part in body.split("\n\n"))
    items = "".join(f'<li><a href="{html.escape(link)}">{html.escape(link)}</a></li>' for link in links)
    related = f"<nav><ul>{items}</ul></nav>" if items else ""
    name = html.escape(title)
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{name}</title></head>\n<body><main>'
        f"<article><h1>{name}</h1>\n{paragraphs}</article></main>{related}</body></html>\n"
    )


def sitemap(urls: Iterable[str], lastmods: Iterable[str | None] | None = None) -> str:
    """Write a sitemap of absolute addresses; ``{site}`` may stand for the site's."""
    return _listing("urlset", "url", urls, lastmods)


def sitemap_index(urls: Iterable[str], lastmods: Iterable[str | None] | None = None) -> str:
    """Write a sitemap of sitemaps."""
    return _listing("sitemapindex", "sitemap", urls, lastmods)


def _listing(root: str, item: str, urls: Iterable[str], lastmods: Iterable[str | None] | None) -> str:
    dates = lastmods if lastmods is not None else itertools.repeat(None)
    rows = "".join(
        f"<{item}><loc>{html.escape(url)}</loc>{f'<lastmod>{date}</lastmod>' if date else ''}</{item}>\n"
        for url, date in zip(urls, dates, strict=False)
    )
    space = "http://www.sitemaps.org/schemas/sitemap/0.9"
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<{root} xmlns="{space}">\n{rows}</{root}>\n'


def gz(data: str | bytes) -> bytes:
    """Compress, as sitemaps are; ``{site}`` inside is not replaced any more."""
    return gzip.compress(data.encode("utf-8") if isinstance(data, str) else data, mtime=0)


# Redirects


def redirect(to: str, status: int = 302) -> Response:
    """Redirect to an address or a path."""
    return Response(status, "", headers={"Location": to})


def redirect_loop(request: Request) -> Response:
    """Redirect to itself for ever."""
    return redirect(request.path)


def endless_redirects(request: Request) -> Response:
    """Redirect from ``.../7`` to ``.../8`` and so on for ever; for a key like ``/on/*``."""
    stem, number = _numbered(request)
    return redirect(f"{stem}/{number + 1}")


def redirect_chain(request: Request) -> Response:
    """Redirect from ``.../50`` to ``.../49`` and so on, to a page at ``.../0``; for a key like ``/chain/*``."""
    stem, number = _numbered(request)
    return (
        redirect(f"{stem}/{number - 1}", 301) if number else Response(body=article("The end", "The chain ends here."))
    )


def _numbered(request: Request) -> tuple[str, int]:
    stem, _, last = request.path.split("?")[0].rpartition("/")
    return stem, int(last) if last.isdecimal() else 0


# Too slow, too large, too many


def slow_drip(seconds: float = 1.0) -> Response:
    """Send a page that never ends, a byte at a time."""
    text = b"<html><body><h1>Slow</h1><p>" + b"drip " * 100
    return Response(body=lambda: (bytes([byte]) for byte in itertools.cycle(text)), pause=seconds)


def slow_headers(seconds: float = 1.0) -> Raw:
    """Send headers that never end, a byte at a time."""
    lines = itertools.chain(b"HTTP/1.1 200 OK\r\n", itertools.cycle(b"X-Slow: drip\r\n"))
    return Raw(lambda: (bytes([byte]) for byte in lines), pause=seconds)


def endless_body() -> Response:
    """Send paragraphs as fast as they are read, for ever."""
    piece = b"<p>This paragraph is followed by another one.</p>\n" * 200
    return Response(body=lambda: itertools.chain([b"<h1>Endless</h1>"], itertools.repeat(piece)))


def large_page(megabytes: int = 100, *, with_length: bool = True) -> Response:
    """Send a page of so many megabytes, which is never held as a whole."""
    piece = (b"<p>One of very many paragraphs of a page that is far too long to be a help page.</p>\n" * 20_000)[
        :MEGABYTE
    ]
    return Response(
        body=lambda: itertools.repeat(piece, megabytes), length=megabytes * MEGABYTE if with_length else None
    )


def gzip_bomb(megabytes: int = 1024, layers: int = 1, *, content_type: str | None = HTML) -> Response:
    """Send a body that gzip makes a thousand times as long, and two layers 200,000 times (10 KB for a gigabyte)."""
    data = _zeros_gzipped(megabytes)
    for _ in range(layers - 1):
        data = gzip.compress(data, mtime=0)
    return Response(body=data, content_type=content_type, headers={"Content-Encoding": ", ".join(["gzip"] * layers)})


def _zeros_gzipped(megabytes: int) -> bytes:
    """Compress one megabyte and repeat it: after a full flush a piece does not depend on what is before it."""
    zeros = b" " * MEGABYTE
    press = zlib.compressobj(9, zlib.DEFLATED, -15)
    piece = press.compress(zeros) + press.flush(zlib.Z_FULL_FLUSH)
    check = 0
    for _ in range(megabytes):
        check = zlib.crc32(zeros, check)
    end = press.flush() + struct.pack("<II", check, megabytes * MEGABYTE & 0xFFFFFFFF)
    return b"\x1f\x8b\x08\0\0\0\0\0\2\xff" + piece * megabytes + end


def brotli_bomb(megabytes: int = 1024) -> Response:
    """Send a body of a few kilobytes that Brotli makes a gigabyte; needs the package brotli."""
    import brotli

    press = brotli.Compressor(quality=5, lgwin=22)
    zeros = b" " * MEGABYTE
    data = b"".join(press.process(zeros) for _ in range(megabytes)) + press.finish()
    return Response(body=data, headers={"Content-Encoding": "br"})


def endless_calendar(request: Request) -> Response:
    """Show a month with links to the next, the last and both years beside; for a key like ``/calendar/*``."""
    stem, month = _numbered(request)
    links = [f"{stem}/{month + step}" for step in (1, 12)] + [f"{stem}/{abs(month - step)}" for step in (1, 12)]
    return Response(body=article(f"Month {month}", f"Nothing is planned in month {month} of our calendar.", links))


def million_links(count: int = 1_000_000, stem: str = "/link/") -> Response:
    """Send a page of a million links, made while it is sent."""

    def pieces() -> Iterator[bytes]:
        yield b"<html><body><main><h1>Many links</h1><p>Every one of our pages is linked from this one.</p>"
        for start in range(0, count, 1000):
            rows = range(start, min(start + 1000, count))
            yield "".join(f'<a href="{stem}{number}">Page {number}</a>\n' for number in rows).encode()

    return Response(body=pieces)


def nested_page(levels: int = 100_000) -> Response:
    """Send a page whose only paragraph is that many elements deep."""
    return Response(body="<div>" * levels + "<h1>Deep</h1><p>A sentence at the very bottom.</p>" + "</div>" * levels)


# Sitemaps that are none


def xml_bomb(levels: int = 10) -> Response:
    """Send a sitemap whose entities write each other out ten times a level (ten levels: ten thousand million)."""
    entities = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, levels))
    body = f'<?xml version="1.0"?><!DOCTYPE urlset [<!ENTITY e0 "lol">{entities}]>'
    return Response(body=f"{body}<urlset><url><loc>{{site}}/&e{levels - 1};</loc></url></urlset>", content_type=_XML)


def xml_with_file(path: str = "/etc/passwd") -> Response:
    """Send a sitemap that asks the parser for a file of the machine."""
    body = f'<?xml version="1.0"?><!DOCTYPE urlset [<!ENTITY file SYSTEM "file://{path}">]>'
    return Response(body=f"{body}<urlset><url><loc>{{site}}/?&file;</loc></url></urlset>", content_type=_XML)


def sitemap_loop(request: Request) -> Response:
    """Send a sitemap index that names itself."""
    return Response(body=sitemap_index([f"{{site}}{request.path}"]), content_type=_XML)


def million_urls(count: int = 1_000_000) -> Response:
    """Send a sitemap far over the 50,000 addresses that one may have."""

    def pieces() -> Iterator[bytes]:
        yield b'<?xml version="1.0"?><urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">'
        for start in range(0, count, 1000):
            rows = range(start, min(start + 1000, count))
            yield "".join(f"<url><loc>http://127.0.0.1:1/{number}</loc></url>\n" for number in rows).encode()
        yield b"</urlset>"

    return Response(body=pieces, content_type=_XML)


_XML = "application/xml"


# Wrong kinds and charsets

_SAID = article("Löhne und Gebühren", "Die Gebühr für eine Überweisung beträgt fünf Euro. Grüße aus Köln.")
PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\x08\6\0\0\0\x1f\x15\xc4\x89" + bytes(range(256)) * 40


def html_as_image() -> Response:
    """Send a proper page that is declared to be an image."""
    return Response(body=_SAID, content_type="image/png")


def image_as_html() -> Response:
    """Send an image that is declared to be a page."""
    return Response(body=PNG)


def without_type() -> Response:
    """Send a proper page without a Content-Type."""
    return Response(body=_SAID, content_type=None)


def broken_charset(real: str = "latin-1") -> Response:
    """Send a page in one charset that is declared to be UTF-8, by the server and by itself."""
    return Response(body=_SAID.encode(real))


def nul_bytes() -> Response:
    """Send a page with NUL bytes between its letters and in its tags."""
    return Response(body=_SAID.encode().replace(b"e", b"e\0").replace(b"<p", b"<\0p"))


# Broken HTTP

_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n"


def length_too_long() -> Raw:
    """Declare a thousand bytes more than are sent."""
    body = _SAID.encode()
    return Raw(lambda: [_HEAD + b"Content-Length: %d\r\n\r\n" % (len(body) + 1000) + body])


def length_too_short() -> Raw:
    """Declare half of the bytes that are sent."""
    body = _SAID.encode()
    return Raw(lambda: [_HEAD + b"Content-Length: %d\r\n\r\n" % (len(body) // 2) + body])


def reset_in_the_middle() -> Raw:
    """Send half of a page, then reset the connection."""
    body = _SAID.encode()
    return Raw(
        lambda: [_HEAD + b"Content-Length: %d\r\n\r\n" % len(body), body[: len(body) // 2]], pause=0.05, reset=True
    )


def garbage_status() -> Raw:
    """Send what is no status line."""
    return Raw(lambda: [b"\x00\xff\xfeHELLO THERE\r\n\r\n" + _SAID.encode()])


def empty_reply() -> Raw:
    """Close the connection without a byte."""
    return Raw(lambda: [])


def huge_headers(kilobytes: int = 1024) -> Response:
    """Send one header line of that length, in front of a proper page."""
    return Response(body=_SAID, headers={"X-Huge": "x" * (kilobytes << 10)})


def nul_in_header() -> Raw:
    """Send a header with a NUL byte in it."""
    body = _SAID.encode()
    return Raw(lambda: [_HEAD + b"X-Nul: a\0b\r\nContent-Length: %d\r\n\r\n" % len(body) + body])


# Servers with moods


@dataclass(slots=True)
class Flaky:
    """Fail the first requests of every path, then give the page.

    :ivar retry_after: Sent with each failure, where given: seconds or an HTTP date.
    """

    page: Answer
    times: int = 1
    status: int = 503
    retry_after: str | None = None
    _seen: Counter[str] = field(default_factory=Counter)

    def __call__(self, request: Request) -> Answer:
        self._seen[request.path] += 1
        if self._seen[request.path] > self.times:
            return self.page
        headers = {"Retry-After": self.retry_after} if self.retry_after is not None else {}
        return Response(self.status, article("Not now", "Try again later."), headers=headers)


def cookie_wall(request: Request) -> Response:
    """Redirect to itself with new cookies until one comes back."""
    if "visited=" in request.headers.get("cookie", ""):
        return Response(body=article("Behind the wall", "Only who brings our cookie back reads this page."))
    cookies = [("Set-Cookie", f"visited={secrets.token_hex(8)}; Path=/"), ("Set-Cookie", f"id={secrets.token_hex(8)}")]
    return Response(302, "", headers=[("Location", request.path), *cookies])


def session_links(request: Request) -> Response:
    """Link to the same three pages under a new session id and token with every request; for a key like ``/session/*``."""
    stem = urlsplit(request.path).path.split(";")[0].rpartition("/")[0]
    number = secrets.token_hex(16)
    links = [
        f"{stem}/a;jsessionid={number}",
        f"{stem}/b?PHPSESSID={number}",
        f"{stem}/c?page=1&token={number}&sid={number}",
    ]
    name = urlsplit(request.path).path.split(";")[0].rpartition("/")[2]
    return Response(body=article(f"Page {name}", f"This is page {name}, whoever asks for it.", links))


def hostile() -> dict[str, Page]:
    """Give every hostile page under ``/hostile/``, ready for `Site.pages`; `START` names the paths to begin at."""
    return {f"/hostile/{name}": page for name, page in _HOSTILE.items()} | {
        f"/hostile/private-{number}": redirect(target) for number, target in enumerate(PRIVATE_TARGETS)
    }


_HOSTILE: dict[str, Page] = {
    "loop": redirect_loop,
    "on/*": endless_redirects,
    "chain/*": redirect_chain,
    "drip": slow_drip(),
    "slow-headers": lambda _: slow_headers(),
    "endless": endless_body(),
    "large": large_page(),
    "large-chunked": large_page(with_length=False),
    "gzip-bomb": lambda _: gzip_bomb(),
    "gzip-bomb-twice": lambda _: gzip_bomb(layers=2),
    "calendar/*": endless_calendar,
    "million-links": million_links(),
    "nested": nested_page(),
    "bomb.xml": xml_bomb(),
    "file.xml": xml_with_file(),
    "loop.xml": sitemap_loop,
    "million.xml": million_urls(),
    "html-as-image": html_as_image(),
    "image-as-html": image_as_html(),
    "without-type": without_type(),
    "latin-1": broken_charset(),
    "utf-16": broken_charset("utf-16"),
    "nul": nul_bytes(),
    "too-long": length_too_long(),
    "too-short": length_too_short(),
    "reset": reset_in_the_middle(),
    "garbage": garbage_status(),
    "empty": empty_reply(),
    "huge-headers": huge_headers(),
    "nul-in-header": nul_in_header(),
    "always-500": Response(500, "<h1>Out of order</h1>"),
    "cookie-wall": cookie_wall,
    "session/*": session_links,
}
#: The paths of `hostile` that a crawl can begin at: those that stand for many at their first page.
START = tuple(f"/hostile/{name.replace('chain/*', 'chain/50').replace('*', '1')}" for name in _HOSTILE) + tuple(
    f"/hostile/private-{number}" for number in range(len(PRIVATE_TARGETS))
)
