"""Pages that scripts build, by the real browser: what is found, and what a hostile page does not get."""

import itertools
import os
import select
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from ingest.archive import Archive
from ingest.article import IngestError
from ingest.crawl import Network, start_crawl
from ingest.database import Database
from ingest.exchanges import load_directory
from ingest.javascript import find_browser
from ingest.pipeline import Report, ingest
from ingest.politeness import Patience
from ingest.sources import WebSource
from ingest.state import CrawlState, settings_text
from ingest.store import CorpusStore
from tests.site import Request, Response, Site, article, redirect

HURRIED = Patience(timeout=6, retries=0, first_wait=0.02, longest_wait=1.0)
PATIENT = Patience(timeout=24, retries=0, first_wait=0.02, longest_wait=1.0)
HEAD = '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>Kelpex fees</title></head><body>'


def needs_browser() -> str:
    try:
        find_browser()
    except IngestError as error:
        return str(error)
    return ""


with_browser = pytest.mark.skipif(bool(needs_browser()), reason=needs_browser() or "there is a browser")


def scripted(script: str) -> str:
    return f'{HEAD}<main id="main"></main><script>{script}</script></body></html>'


def showing(text: str) -> str:
    return f"document.querySelector('main').innerHTML = '<h1>Kelpex fees</h1><p>' + {text} + '</p>';"


@dataclass
class Result:
    bodies: dict[str, str]
    errors: list[str]
    complete: bool
    seconds: float
    home: Path

    def error(self, path: str) -> str:
        return next(error for error in self.errors if f"{path}: " in error)


@pytest.fixture
def build(tmp_path):
    """Crawl pages of a site with the browser, without asking any network but the site."""

    def run(
        site: Site,
        *paths: str,
        patience: Patience = HURRIED,
        names: dict[str, list[str]] | None = None,
        **settings: object,
    ) -> Result:
        network = Network(exempt=(("127.0.0.1", site.port),), names=names or {"nowhere.example": []})
        urls = tuple(site.url + path for path in paths)
        source = WebSource(
            name="s", kind="page", start=urls, **{"delay": 0, "javascript": True, "concurrency": 2, **settings}
        )
        database = Database(tmp_path / "corpus.sqlite")
        state = CrawlState(database)
        run = state.begin("s", settings_text(source.scope()), "")
        began = time.monotonic()
        crawl = start_crawl(source, tmp_path, run, patience=patience, network=network)
        try:
            code = crawl.process.wait(60)
        finally:
            crawl.stop()
        seconds = time.monotonic() - began
        assert code == 0, crawl.log.read_text()
        archive = Archive(tmp_path / "pages")
        bodies = {
            page.url.removeprefix(site.url): archive.read(page.location).body.decode()
            for page in state.pages("s") if page.location
        }  # fmt: skip
        result = Result(bodies, list(state.errors(run)), state.verdict(run)[0], seconds, tmp_path)
        state.finish(run, complete=True, reason="")
        database.close()
        return result

    return run


class Closed:
    """A service on loopback that nothing may reach: it counts what comes by TCP and by UDP."""

    def __enter__(self) -> "Closed":
        self.tcp = socket.create_server(("127.0.0.1", 0))
        self.port = self.tcp.getsockname()[1]
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind(("127.0.0.1", self.port))
        return self

    def __exit__(self, *_: object) -> None:
        self.tcp.close()
        self.udp.close()

    def reached(self) -> list[str]:
        """Say by what it was reached: a connection that was opened waits here until it is taken."""
        ready = select.select([self.tcp, self.udp], [], [], 0)[0]
        return [name for name, one in (("TCP", self.tcp), ("UDP", self.udp)) if one in ready]


#: Ways out of a page; PORT is a private service's.
ESCAPES = {
    "fetch": "fetch('http://127.0.0.1:PORT/', {mode: 'no-cors'}).then(r => r.text()).then(t => seen = t)",
    "localhost": "fetch('http://localhost:PORT/', {mode: 'no-cors'})",
    "number": "fetch('http://2130706433:PORT/', {mode: 'no-cors'})",
    "version-6": "fetch('http://[::ffff:127.0.0.1]:PORT/', {mode: 'no-cors'})",
    "cloud": "fetch('http://169.254.169.254/latest/meta-data/').then(r => r.text()).then(t => seen = t)",
    "name": "fetch('http://inside.example:PORT/', {mode: 'no-cors'})",
    "redirect": "fetch('/out').then(r => r.text()).then(t => seen = t)",
    "post": "fetch('http://127.0.0.1:PORT/', {method: 'POST', mode: 'no-cors', body: 'x'})",
    "xhr": "let x = new XMLHttpRequest(); x.open('GET', 'http://127.0.0.1:PORT/'); x.send()",
    "beacon": "navigator.sendBeacon('http://127.0.0.1:PORT/', 'x')",
    "frame": "document.body.insertAdjacentHTML('beforeend', '<iframe src=\"http://127.0.0.1:PORT/\"></iframe>')",
    "image": "new Image().src = 'http://127.0.0.1:PORT/a.png'",
    "media": "new Audio('http://127.0.0.1:PORT/a.mp3').play().catch(() => 0)",
    "style": "document.head.insertAdjacentHTML('beforeend', '<link rel=stylesheet href=\"http://127.0.0.1:PORT/a.css\">')",
    "import": "import('http://127.0.0.1:PORT/a.js').catch(() => 0)",
    "hints": "document.head.insertAdjacentHTML('beforeend', ['preconnect', 'prefetch', 'preload', 'dns-prefetch', 'prerender']"
    '.map(r => `<link rel="${r}" as="script" href="http://127.0.0.1:PORT/${r}">`).join(\'\'))',
    "rules": 'document.head.insertAdjacentHTML(\'beforeend\', \'<script type=speculationrules>{"prefetch": [{"source": "list", '
    '"urls": ["http://127.0.0.1:PORT/r"]}]}<\\/script>\')',
    "websocket": "new WebSocket('ws://127.0.0.1:PORT/')",
    "events": "new EventSource('http://127.0.0.1:PORT/')",
    "rtc": "let p = new RTCPeerConnection({iceServers: [{urls: ['stun:127.0.0.1:PORT', 'stun:localhost:PORT']}, "
    "{urls: 'turn:127.0.0.1:PORT?transport=tcp', username: 'a', credential: 'b'}]}); p.createDataChannel('a'); "
    "p.createOffer().then(o => p.setLocalDescription(o))",
    "transport": "new WebTransport('https://127.0.0.1:PORT/').ready.catch(() => 0)",
    "worker": "new Worker(URL.createObjectURL(new Blob([\"fetch('http://127.0.0.1:PORT/', {mode: 'no-cors'}); "
    "new WebSocket('ws://127.0.0.1:PORT/')\"])))",
    "shared-worker": "new SharedWorker(URL.createObjectURL(new Blob([\"fetch('http://127.0.0.1:PORT/', {mode: 'no-cors'})\"])))",
    "service-worker": "navigator.serviceWorker.register('/sw.js').catch(() => 0)",
    "window": "window.open('http://127.0.0.1:PORT/')",
    "go": "location.href = 'http://127.0.0.1:PORT/'",
    "form": "document.body.insertAdjacentHTML('beforeend', '<form method=post action=\"http://127.0.0.1:PORT/\"></form>'); "
    "setTimeout(() => document.forms[0].submit(), 400)",
    "download": "let a = document.createElement('a'); a.href = 'http://127.0.0.1:PORT/f.zip'; a.download = 'f.zip'; a.click()",
    "file": "fetch('file:///etc/passwd').then(r => r.text()).then(t => seen = t)",
    "dialogs": "alert(1); prompt(2)",
}


#: Those that end the page, so that each needs one of its own.
_LEAVING = {"window", "go", "form", "download", "dialogs"}


@with_browser
def test_a_page_in_the_browser_reaches_nothing_private_by_any_way(build):
    good = "addEventListener('load', () => setTimeout(() => {" + showing("'It is built, ' + window.seen") + "}, 200));"
    with Closed() as closed, Site() as site:
        ways = {
            name: f"try {{{way.replace('PORT', str(closed.port))}}} catch (e) {{}};" for name, way in ESCAPES.items()
        }
        site.pages = {f"/{name}": scripted(f"window.seen = 'nothing'; {ways[name]} {good}") for name in _LEAVING}
        rest = "".join(way for name, way in ways.items() if name not in _LEAVING)
        site.pages["/rest"] = scripted(f"window.seen = 'nothing'; {rest} {good}")
        urls = list(site.pages)
        site.pages["/out"] = redirect(f"http://127.0.0.1:{closed.port}/")
        site.pages["/sw.js"] = Response(
            body=f"fetch('http://127.0.0.1:{closed.port}/')", content_type="text/javascript"
        )
        names = {"inside.example": ["127.0.0.1"], "localhost": ["127.0.0.1", "::1"]}
        done = build(site, *urls, patience=PATIENT, names=names, allow_private=False)
        assert closed.reached() == []
        assert (site.count("/out"), site.count("/sw.js")) == (1, 0)
    assert set(done.bodies) == {"/rest", "/window", "/form", "/dialogs"}
    assert [path for path, body in done.bodies.items() if "It is built, nothing" not in body] == []
    assert all("127.0.0.1 is a loopback address" in error for error in done.errors)


def descendants(pid: int) -> dict[int, str]:
    """Give the processes below one, with their command lines."""
    parents, lines = {}, {}
    for path in Path("/proc").iterdir():
        if path.name.isdigit():
            try:
                stat = (path / "stat").read_text()
                lines[int(path.name)] = (path / "cmdline").read_text().replace("\0", " ")
            except OSError:
                continue  # it has just ended
            parents[int(path.name)] = int(stat.rpartition(")")[2].split()[1])
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return {child: lines[child] for child in found - {pid}}


def crash(_: Request) -> str:
    """Kill the processes that show pages, from under the page that asks for this."""
    for pid, line in descendants(os.getpid()).items():
        if "--type=renderer" in line:
            os.kill(pid, signal.SIGKILL)
    return ""


@with_browser
def test_odd_pages_are_built_or_named_and_the_rest_goes_on(build):
    pages = {
        "/data.json": '{"text": "Kelpex books fees within 3 minutes."}',
        "/crash": scripted("fetch('/die')"),
        "/die": crash,
        "/idle": scripted(showing("'It polls for ever.'") + "setInterval(() => fetch('/data.json?poll'), 50)"),
        "/loop": scripted("while (true) {}"),
        "/hangs": scripted(showing("'Its script hangs.'") + "fetch('/slow')"),
        "/slow": Response(body="late", delay=30),
        "/built": scripted("fetch('/data.json').then(r => r.json()).then(d => {" + showing("d.text") + "})"),
        "/half": scripted(showing("'A half of a pair: \\ud83d.'")),
        "/cookie": Response(
            body=scripted(
                "document.cookie = 'id=mine'; fetch('/tell').then(() => {" + showing("document.cookie") + "})"
            ),
            headers={"Set-Cookie": "session=secret"},
        ),
        "/tell": Response(body="{}", headers={"Set-Cookie": "told=secret"}),
        "/grows": scripted("document.querySelector('main').innerHTML = '<p>' + 'much '.repeat(80000)"),
        "/latin": Response(
            body=scripted(showing("'Gebühr'")).encode("latin-1"), content_type="text/html; charset=iso-8859-1"
        ),
        "/moves": scripted("location.replace('/there')"),
        "/there": article("There", "The page moved here."),
        "/text": Response(body="Plain text.", content_type="text/plain"),
        "/old": redirect("/there", 301),
        "/503": Response(503, "busy"),
        "/robots.txt": "User-agent: *\nDisallow: /secret\n",
        "/secret": scripted(showing("'Not for robots.'")),
    }
    apart = ("/data.json", "/die", "/slow", "/tell", "/there", "/robots.txt")
    with Site(pages) as site:
        done = build(
            site, *(path for path in pages if path not in apart), delay=0.001, concurrency=1, max_page_bytes=300_000
        )
        asked = site.counts()
        cookies = [request.headers["cookie"] for request in site.requests if "cookie" in request.headers]
    assert "the page crashed the browser" in done.error("/crash")
    assert "its scripts did not end within 3 seconds" in done.error("/loop")
    assert "larger than 300,000 bytes when it is built" in done.error("/grows")
    assert "robots.txt does not allow it" in done.error("/secret")
    assert "HTTP 503" in done.error("/503")
    assert "Kelpex books fees within 3 minutes." in done.bodies["/built"]
    assert "It polls for ever." in done.bodies["/idle"]
    assert "Its script hangs." in done.bodies["/hangs"]
    assert "A half of a pair" in done.bodies["/half"]
    assert "Gebühr" in done.bodies["/latin"]
    assert done.bodies["/text"] == "Plain text."
    assert set(done.bodies) == {"/built", "/idle", "/hangs", "/half", "/latin", "/text", "/there", "/cookie"}
    assert (cookies, asked["/secret"]) == ([], 0)
    assert "secret" not in done.bodies["/cookie"]
    assert done.seconds < 40


@with_browser
def test_an_article_that_a_script_writes_is_found_with_the_browser_and_only_with_it(tmp_path):
    text = "Kelpex books deposits within 3 minutes of the hour, and sends a letter about each of them."
    pages = {
        "/": scripted("fetch('/a.json'); fetch('/b.json'); fetch('/data.json', {headers: {'x-locale': 'en'}}).then(r => r.json()).then(d => {" + showing("d.text") + "})"),
        "/data.json": lambda request: f'{{"text": "{text}"}}' if request.headers.get("x-locale") == "en" else "{}",
        "/app.css": "p {color: red}",
    }  # fmt: skip
    with Site(pages) as site:
        fields = {"name": "kelpex", "kind": "page", "start": (f"{site.url}/",), "allow_private": True, "delay": 0.1}
        plain = read(tmp_path / "plain", WebSource(**fields))
        built = WebSource(**fields, javascript=True)
        first, second = read(tmp_path / "built", built), read(tmp_path / "built", built)
        agents = {request.headers["user-agent"] for request in site.requests}
        times = [request.time for request in site.requests]
    assert plain[0] == []
    assert "no main text in it" in plain[1].problems[0]
    assert first[1].problems == []
    assert text in first[0][0]
    assert (second[1].changed, second[1].outcomes) == (0, {"unchanged": 1})
    assert len(agents) == 1
    assert agents.pop().startswith("citedesk/")
    assert min(after - before for before, after in itertools.pairwise(times)) > 0.05


def read(home: Path, source: WebSource) -> tuple[list[str], Report]:
    with CorpusStore(home / "corpus.sqlite") as store:
        report = ingest([source], store, load_directory())
        return [store.get(row.id).article.text for row in store.rows()], report


@with_browser
def test_no_browser_outlives_a_crawl_that_is_killed(tmp_path):
    with Site({"/": scripted("fetch('/slow')"), "/slow": Response(body="late", delay=30)}) as site:
        source = WebSource(name="s", kind="page", start=(f"{site.url}/",), allow_private=True, delay=0, javascript=True)
        database = Database(tmp_path / "corpus.sqlite")
        run = CrawlState(database).begin("s", "", "")
        crawl = start_crawl(source, tmp_path, run)
        wait_until(lambda: site.count("/slow"))
        browsers = descendants(crawl.process.pid)
        assert any("--type=renderer" in line for line in browsers.values())
        crawl.process.kill()
        crawl.process.wait()
        wait_until(lambda: not any(is_alive(pid) for pid in browsers))
        database.close()


def is_alive(process: int) -> bool:
    try:
        return bool(Path(f"/proc/{process}/cmdline").read_bytes())  # a process that has ended has none
    except OSError:
        return False


def wait_until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("named", "path", "words"),
    [("no-such-browser", "", "CITEDESK_CHROMIUM=no-such-browser is no program"), ("", "", "install it")],
)
def test_a_missing_browser_is_told_before_anything_is_fetched(tmp_path, monkeypatch, named, path, words):
    monkeypatch.setenv("PATH", path)
    monkeypatch.setenv("CITEDESK_CHROMIUM", named)
    with Site({"/": "x"}) as site:
        source = WebSource(name="kelpex", kind="page", start=(f"{site.url}/",), allow_private=True, javascript=True)
        with pytest.raises(IngestError, match=f"kelpex: .*{words}"):
            read(tmp_path, source)
        assert site.requests == []


@with_browser
def test_a_browser_that_does_not_start_ends_the_crawl_with_a_message(tmp_path, monkeypatch):
    broken = tmp_path / "broken"
    broken.write_text("#!/bin/sh\nexit 3\n")
    broken.chmod(0o755)
    monkeypatch.setenv("CITEDESK_CHROMIUM", str(broken))
    with Site({"/": "x"}) as site:
        source = WebSource(name="kelpex", kind="page", start=(f"{site.url}/",), allow_private=True, javascript=True)
        assert "does not work" in read(tmp_path, source)[1].notes[0]
        assert site.requests == []
