"""The whole ingest over a site that does what it can to break it: bounded, named, and the good pages are articles."""

import gzip
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Thread

import pytest

from ingest.crawl import Crawl, Network, start_crawl
from ingest.exchanges import load_directory
from ingest.pipeline import Report, ingest
from ingest.politeness import Patience
from ingest.sources import WebSource
from ingest.state import Run
from ingest.store import CorpusStore
from tests.site import START, Response, Site, article, brotli_bomb, gzip_bomb, hostile, redirect, sitemap, sitemap_index

#: Bytes up to which a page is read.
LARGEST = 2_000_000
#: Megabytes that the crawler's process may take at its peak: 83 were measured here, and 71 in a crawl of one good page.
MOST_MEMORY = 200
GOOD = ("fees", "deposits", "withdrawals", "orders", "margin", "staking")
SECRET = "5ec2e7" * 4
HASTY = Patience(timeout=3, retries=1, first_wait=0.02, longest_wait=1.0)

#: What is said of each page of the site that is not read.
NAMED = {
    "loop": "redirects to itself", "on/11": "more than 10 redirects", "chain/40": "more than 10 redirects",
    "cookie-wall": "redirects to itself, perhaps until a cookie comes back",
    "drip": "no whole answer in time", "slow-headers": "no whole answer in time",
    **dict.fromkeys(("endless", "large", "large-chunked", "million-links"), "larger than 2,000,000 bytes"),
    **dict.fromkeys(("gzip-bomb", "gzip-bomb-twice", "brotli-bomb"), "larger than 2,000,000 bytes"),
    "nested": "more than 40,000 elements", "too-short": "no main text", "image-as-html": "not a page: image/png",
    "too-long": "the answer breaks off", "reset": "the answer breaks off", "garbage": "non-integer status code",
    "empty": "Connection was closed", "huge-headers": "no proper answer",
    "always-500": "HTTP 500", "always-429": "HTTP 429", "always-503": "HTTP 503",
    **{f"private-{number}": "which is no web address" for number in (10, 11, 12)},
    **{f"private-{number}": "redirects to another site" for number in (0, *range(2, 10))},
}  # fmt: skip
#: Odd pages that are read all the same.
READ = ("html-as-image", "without-type", "latin-1", "utf-16", "nul", "nul-in-header", "calendar/1", "session/1")


def text(name: str) -> str:
    return article(
        f"How Kelpex handles {name}",
        f"<p>Kelpex books {name} within 3 minutes of the hour, and sends a letter about {name} to each client.</p>",
    )


@dataclass(frozen=True, slots=True)
class Done:
    """What the ingest of the hostile site left behind.

    :ivar urls: Paths of the articles.
    :ivar memory: Megabytes that the crawler's process took at its peak.
    """

    home: Path
    report: Report
    urls: set[str]
    memory: float
    seconds: float
    inside: int
    asked: set[str]

    def problem(self, path: str) -> str:
        found = [problem for problem in self.report.problems if f"/hostile/{path}: " in problem]
        assert len(found) == 1, f"{path}: {found}"
        return found[0].partition(f"/hostile/{path}: ")[2]


def pages_of(site: Site, inside: Site) -> None:
    """Write the good pages and the hostile ones, and lists that name them all."""
    site.pages = {
        **hostile(), **{f"/{name}": text(name) for name in GOOD},
        "/hostile/gzip-bomb": gzip_bomb(256), "/hostile/brotli-bomb": brotli_bomb(256),
        "/hostile/always-429": Response(429, "busy"), "/hostile/always-503": Response(503, "busy"),
        "/hostile/inside": redirect(f"{inside.url}/admin"),
        "/keyed": text("keyed requests"),
    }  # fmt: skip
    added = [f"/hostile/{name}" for name in ("brotli-bomb", "always-429", "always-503", "inside")]
    listed = [*(f"/{name}" for name in GOOD), *START, *added, f"/keyed?token={SECRET}&PHPSESSID={SECRET}"]
    site.pages["/pages.xml"] = sitemap([site.url + path for path in listed if not path.endswith(".xml")])
    lists = ("/pages.xml", "/hostile/bomb.xml", "/hostile/file.xml", "/hostile/loop.xml")
    site.pages["/sitemap.xml"] = sitemap_index([site.url + path for path in lists])


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Done]:
    """One ingest of it all."""
    home = tmp_path_factory.mktemp("hostile")
    peaks: list[int] = []
    with Site() as inside, Site() as site, pytest.MonkeyPatch.context() as patch:
        pages_of(site, inside)
        network = Network(exempt=(("127.0.0.1", site.port),), names={"nowhere.example": []})

        def start(source: WebSource, home: Path, run: Run) -> Crawl:
            crawl = start_crawl(source, home, run, patience=HASTY, network=network)
            Thread(target=watch, args=(crawl.process.pid, peaks), daemon=True).start()
            return crawl

        patch.setattr("ingest.crawl.start_crawl", start)
        source = WebSource(
            name="kelpex", kind="sitemap", start=(f"{site.url}/sitemap.xml",), delay=0, concurrency=8, max_page_bytes=LARGEST
        )  # fmt: skip
        began = time.monotonic()
        with CorpusStore(home / "corpus.sqlite") as store:
            report = ingest([source], store, load_directory())
            urls = {(row.url or "").removeprefix(site.url) for row in store.rows()}
        seconds = time.monotonic() - began
        yield Done(home, report, urls, max(peaks) / 1024, seconds, len(inside.requests), set(site.counts()))


def watch(process: int, peaks: list[int]) -> None:
    """Note the peak of a process's memory, in kilobytes, until it ends."""
    while True:
        try:
            status = Path(f"/proc/{process}/status").read_text()
        except OSError:
            return
        found = re.search(r"VmHWM:\s+(\d+)", status)
        if not found:
            return  # it has ended and waits for its parent
        peaks.append(int(found[1]))
        time.sleep(0.02)


def test_every_good_page_is_an_article(done):
    assert {f"/{name}" for name in (*GOOD, "keyed")} <= done.urls
    assert {f"/hostile/{name}" for name in READ} <= done.urls
    assert len(done.urls) == len(GOOD) + 1 + len(READ)


@pytest.mark.parametrize("path", list(NAMED))
def test_each_hostile_page_is_named_with_its_reason(done, path):
    assert NAMED[path] in done.problem(path)


def test_hostile_lists_are_named_and_what_they_leave_open_is_told(done):
    notes = "\n".join(done.report.notes)
    assert "bomb.xml: declares entities" in notes
    assert "file.xml: declares entities" in notes


def test_memory_and_time_stay_bounded(done):
    assert done.memory < MOST_MEMORY
    assert done.seconds < 60


def test_no_request_reached_what_is_private(done):
    assert done.inside == 0
    refused = [problem for problem in done.report.problems if "is a loopback address" in problem]
    assert len(refused) == 2  # where `private-1` and `inside` lead, by another port of the site's own host
    assert all("set allow_private = true for this source if it is yours" in problem for problem in refused)


def test_no_token_or_cookie_is_asked_for_or_kept(done):
    assert not [path for path in done.asked if SECRET in path or "jsessionid" in path.lower()]
    stored = [(path, path.read_bytes()) for path in done.home.rglob("*") if path.is_file()]
    assert stored
    for path, data in stored:
        data = gzip.decompress(data) if path.suffix == ".gz" else data
        assert SECRET.encode() not in data, path
        assert b"set-cookie" not in data.lower(), path
        # A page of the archive is kept as it was sent, with the links in it; an address is nowhere kept with a session.
        kept = data if path.suffix != ".gz" else b"\n".join(re.findall(rb"(?m)^WARC-Target-URI:.*$", data))
        assert not re.search(rb"jsessionid|phpsessid|visited=", kept, re.IGNORECASE), path
