"""A generated help centre, served on loopback by a process of its own.

    python -m benchmarks.site --pages 5000 [--seed 1] [--port 0] [--control 0] [--measure SECONDS]

The site is at one port, what steers it at another: `POST /mutate?changed=0.01&deleted=0&moved=0&touched=0`, `GET /counters`,
`POST /reset`, `GET /live`. It prints both addresses as a line of JSON once it serves. In a benchmark::

    with served(HelpCentre(pages=5_000)) as site:
        crawl(site.sitemap)
        counters = site.counters()
        site.mutate(changed=0.01)

`--measure` asks for all its articles over and over with 16 connections and prints the requests per second.
"""

import argparse
import asyncio
import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from benchmarks.helpcentre import DISALLOWED, HelpCentre, Mutation, Resource, packed

__all__ = ["Counters", "HelpCentre", "Mutation", "ServedSite", "served"]

#: Connections of the measuring client.
CONNECTIONS = 16
#: Seconds that the pages may take to be rendered: 1 ms a page was measured, on a machine with other work.
START_LIMIT = 600


@dataclass(frozen=True, slots=True)
class Counters:
    """What was asked of a site since it started or was reset.

    :ivar by_kind: By what was asked for: article, listing, sitemap, robots, absent, and ``disallowed``, whatever robots.txt
        forbids.
    :ivar bytes: Bytes sent, with headers.
    :ivar cpu: Seconds of processor time that the server used.
    """

    requests: int
    by_status: dict[str, int]
    by_kind: dict[str, int]
    bytes: int
    cpu: float


@dataclass(frozen=True, slots=True)
class ServedSite:
    """A help centre that another process serves.

    :ivar url: Its address, without a slash at the end.
    :ivar pid: The process.
    """

    url: str
    control: str
    pid: int

    @property
    def sitemap(self) -> str:
        """The address of its sitemap index."""
        return f"{self.url}/sitemap.xml"

    def mutate(self, changed: float = 0.01, deleted: float = 0.0, moved: float = 0.0, touched: float = 0.0) -> Mutation:
        """Let a day go by, see `HelpCentre.mutate`."""
        done = self._ask("POST", f"/mutate?changed={changed}&deleted={deleted}&moved={moved}&touched={touched}")
        return Mutation(tuple(done["changed"]), tuple(done["deleted"]), dict(done["moved"]), tuple(done["touched"]))

    def counters(self) -> Counters:
        """Give what was asked of it."""
        return Counters(**self._ask("GET", "/counters"))

    def reset(self) -> None:
        """Count from zero again."""
        self._ask("POST", "/reset")

    def live(self) -> tuple[str, ...]:
        """Give the paths of all articles that are there."""
        return tuple(self._ask("GET", "/live"))

    def _ask(self, method: str, path: str) -> Any:  # noqa: ANN401  (JSON)
        connection = http.client.HTTPConnection(urlsplit(self.control).netloc, timeout=120)
        try:
            connection.request(method, path)
            response = connection.getresponse()
            data = response.read()
        finally:
            connection.close()
        if response.status != HTTPStatus.OK:
            raise RuntimeError(f"{method} {path}: {response.status} {data.decode()}")
        return json.loads(data)


@contextmanager
def served(centre: HelpCentre, port: int = 0) -> Iterator[ServedSite]:
    """Serve a help centre in a process of its own while the context is open.

    :param port: 0 takes a free one.
    :raises RuntimeError: The process ended before it served.
    """
    command = [sys.executable, "-m", "benchmarks.site", "--attached", "--port", str(port)]
    command += ["--pages", str(centre.pages), "--seed", str(centre.seed)]
    root = Path(__file__).parents[1]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line:
                raise RuntimeError(f"the site did not start; its process ended with {process.wait()}")
            said = json.loads(line)
            yield ServedSite(said["url"], said["control"], process.pid)
        finally:
            process.terminate()


# The server


class _Server:
    """Answers with bodies and heads that are written beforehand, and counts."""

    def __init__(self, centre: HelpCentre) -> None:
        self._centre = centre
        self._site = ""
        self._ready: dict[str, tuple[Resource, Resource, bytes, bytes]] = {}
        self.reset()

    def reset(self) -> None:
        """Count from zero."""
        self._statuses: Counter[int] = Counter()
        self._kinds: Counter[str] = Counter()
        self._bytes = 0
        self._cpu = time.process_time()

    def write(self, site: str | None = None) -> None:
        """Write the answers to everything that is new since the last time."""
        self._site = site or self._site
        for path, resource in self._centre.resources().items():
            known = self._ready.get(path)
            if known is None or known[0] is not resource:
                final = packed(resource, self._site)
                self._ready[path] = (resource, final, _head(final), _head(final, 304))

    def answer(self, method: str, target: str, headers: dict[bytes, bytes]) -> bytes:
        """Answer a request."""
        path = target.partition("?")[0]
        ready = self._ready.get(path)
        if ready is None:
            resource = self._centre.resource(path)
            ready = (resource, resource, _head(resource), b"")
        _, resource, head, unchanged = ready
        status = resource.status
        if status == HTTPStatus.OK and _has_it(resource, headers):
            status, data = 304, unchanged
        else:
            data = head if method == "HEAD" else head + resource.body
        self._statuses[status] += 1
        self._kinds["disallowed" if path.startswith(DISALLOWED) else resource.kind] += 1
        self._bytes += len(data)
        return data

    def steer(self, method: str, target: str, headers: dict[bytes, bytes]) -> bytes:
        """Answer a request at the control port."""
        parts = urlsplit(target)
        match method, parts.path:
            case "POST", "/mutate":
                try:
                    done = self._centre.mutate(**{name: float(value) for name, value in parse_qsl(parts.query)})
                except (TypeError, ValueError) as error:
                    return _said(400, {"error": str(error)})
                self.write()
                return _said(200, asdict(done))
            case "GET", "/counters":
                return _said(200, asdict(self._counters()))
            case "GET", "/live":
                return _said(200, self._centre.live())
            case "POST", "/reset":
                self.reset()
                return _said(200, {})
        return _said(404, {"error": f"{method} {parts.path} is not known"})

    def _counters(self) -> Counters:
        statuses = {str(status): count for status, count in sorted(self._statuses.items())}
        total = sum(self._statuses.values())
        return Counters(total, statuses, dict(self._kinds), self._bytes, time.process_time() - self._cpu)


def _has_it(resource: Resource, headers: dict[bytes, bytes]) -> bool:
    """Tell whether the asker has it; If-Modified-Since counts only where no tag is given, as RFC 9110 says."""
    tag = headers.get(b"if-none-match")
    if tag is not None:
        return resource.etag.encode() in tag
    return headers.get(b"if-modified-since") == resource.last_modified.encode()


def _head(resource: Resource, status: int | None = None) -> bytes:
    code = status or resource.status
    lines = [f"HTTP/1.1 {code} {HTTPStatus(code).phrase}", "Server: quillmark"]
    if code == HTTPStatus.OK or status:
        lines += [f"ETag: {resource.etag}", f"Last-Modified: {resource.last_modified}", "Cache-Control: max-age=0"]
    if resource.location:
        lines.append(f"Location: {resource.location}")
    if not status:
        lines += [f"Content-Type: {resource.content_type}", f"Content-Length: {len(resource.body)}"]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii")


def _said(status: int, value: object) -> bytes:
    body = json.dumps(value).encode()
    line = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nContent-Type: application/json\r\n"
    return f"{line}Content-Length: {len(body)}\r\n\r\n".encode() + body


class _Connection(asyncio.Protocol):
    """One connection; requests have no bodies."""

    def __init__(self, answer: Callable[[str, str, dict[bytes, bytes]], bytes]) -> None:
        self._answer = answer
        self._waiting = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep what is written to."""
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer every request that is complete."""
        self._waiting += data
        while (end := self._waiting.find(b"\r\n\r\n")) >= 0:
            head, self._waiting = self._waiting[:end], self._waiting[end + 4 :]
            line, *rows = head.split(b"\r\n")
            words = line.decode("latin-1").split(" ")
            if len(words) != 3:
                self._transport.close()
                return
            pairs = (row.partition(b":") for row in rows)
            headers = {name.lower(): value.strip() for name, _, value in pairs}
            self._transport.write(self._answer(words[0], words[1], headers))
            if headers.get(b"connection", b"").lower() == b"close" or words[2] == "HTTP/1.0":
                self._transport.close()


async def _serve(centre: HelpCentre, port: int, control: int, *, attached: bool) -> None:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    centre.prepare()
    server = _Server(centre)
    site = await loop.create_server(lambda: _Connection(server.answer), "127.0.0.1", port, backlog=512)
    steering = await loop.create_server(lambda: _Connection(server.steer), "127.0.0.1", control)
    addresses = [f"http://127.0.0.1:{each.sockets[0].getsockname()[1]}" for each in (site, steering)]
    server.write(addresses[0])
    server.reset()
    print(json.dumps({"url": addresses[0], "control": addresses[1], "pages": centre.pages}), flush=True)
    if attached:
        threading.Thread(target=_wait_for_end, args=(loop, ended), daemon=True).start()
    async with site, steering:
        await ended.wait()


def _wait_for_end(loop: asyncio.AbstractEventLoop, ended: asyncio.Event) -> None:
    """End when the process that started this one has ended, however it did."""
    while os.read(0, 1):
        pass
    loop.call_soon_threadsafe(ended.set)


# Its speed


async def _ask_for_all(url: str, paths: tuple[str, ...], seconds: float) -> int:
    end = time.monotonic() + seconds
    host = urlsplit(url)

    async def work(offset: int) -> int:
        reader, writer = await asyncio.open_connection(host.hostname, host.port, limit=1 << 20)
        count = 0
        while time.monotonic() < end:
            path = paths[(offset + count * CONNECTIONS) % len(paths)]
            writer.write(
                f"GET {path} HTTP/1.1\r\nHost: {host.netloc}\r\nAccept: */*\r\nUser-Agent: measure\r\n\r\n".encode()
            )
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(int(head.partition(b"Content-Length: ")[2].partition(b"\r\n")[0]))
            count += 1
        writer.close()
        return count

    return sum(await asyncio.gather(*(work(number) for number in range(CONNECTIONS))))


def measure(centre: HelpCentre, seconds: float) -> str:
    """Ask a site for its articles for so long, and say how fast it answered."""
    with served(centre) as site:
        paths = site.live()
        site.reset()
        began = time.monotonic()
        count = asyncio.run(_ask_for_all(site.url, paths, seconds))
        took = time.monotonic() - began
        counters = site.counters()
    return (
        f"{count / took:,.0f} requests/s over {CONNECTIONS} connections, {counters.bytes / counters.requests / 1000:.1f} kB each; "
        f"{counters.requests / counters.cpu:,.0f} requests a second of the server's processor time"
    )


def main() -> None:
    """Parse, serve or measure."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.site", description=__doc__.split("\n")[0])
    parser.add_argument("--pages", type=int, default=5_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--port", type=int, default=0, help="of the site; 0 takes a free one")
    parser.add_argument("--control", type=int, default=0, help="of what steers it")
    parser.add_argument("--attached", action="store_true", help="end when the standard input does")
    parser.add_argument("--measure", type=float, metavar="SECONDS", help="measure its speed instead")
    given = parser.parse_args()
    centre = HelpCentre(given.pages, given.seed)
    if given.measure:
        print(measure(centre, given.measure))
    else:
        asyncio.run(_serve(centre, given.port, given.control, attached=given.attached))


if __name__ == "__main__":
    main()
