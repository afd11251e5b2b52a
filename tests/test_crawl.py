import gzip
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from ingest.archive import Archive
from ingest.crawl import STOPPED, Network, start_crawl
from ingest.database import Database
from ingest.politeness import Patience, read_robots, retry_after
from ingest.sources import WebSource
from ingest.state import CrawlState, Run, settings_text
from ingest.warc import read_warc
from tests.site import (
    PNG,
    START,
    Flaky,
    Response,
    Site,
    article,
    gz,
    gzip_bomb,
    hostile,
    million_links,
    million_urls,
    redirect,
    redirect_chain,
    redirect_loop,
    sitemap,
    sitemap_index,
)

ROOT = Path(__file__).parents[1]
HURRIED = Patience(timeout=5, retries=2, first_wait=0.02, longest_wait=1.5)


@dataclass
class Home:
    """A home, and crawls into it."""

    path: Path
    state: CrawlState

    def crawl(
        self, kind: str, *start: str, patience: Patience = HURRIED, network: Network | None = None, **settings: object
    ) -> "Result":
        fields = {"delay": 0, "allow_private": True, "concurrency": 4, **settings}
        source = WebSource(name="s", kind=kind, start=start, **fields)
        run = self.state.begin("s", settings_text(source.scope()), "")
        crawl = start_crawl(source, self.path, run, patience=patience, network=network)
        try:
            code = crawl.process.wait(50)
        finally:
            crawl.stop()
        assert code == 0, crawl.log.read_text()
        return self.result(run)

    def result(self, run: Run, *, finish: bool = True) -> "Result":
        complete, reason = self.state.verdict(run)
        result = Result(run, complete, reason, self.state.progress(run), list(self.state.errors(run)))
        if finish:
            self.state.finish(run, complete=complete, reason=reason)
        return result

    def page(self, url: str):
        return self.state.page("s", url)

    def paths(self) -> set[str]:
        """The paths of the pages that have a body."""
        return {page.url.split("/", 3)[3] for page in self.state.pages("s") if page.location}


@dataclass
class Result:
    run: Run
    complete: bool
    reason: str
    counts: dict[str, int]
    errors: list[str]

    def error(self, path: str) -> str:
        found = [error for error in self.errors if error.split(": ")[0].endswith(path) or f"{path}:" in error]
        assert found, f"{path} is not in {self.errors}"
        return found[0]


@pytest.fixture
def home(tmp_path):
    database = Database(tmp_path / "corpus.sqlite")
    yield Home(tmp_path, CrawlState(database))
    database.close()


def pages(count: int, stem: str = "/p/") -> dict[str, str]:
    return {f"{stem}{n}": article(f"Page {n}", f"This is page {n} of the help centre.") for n in range(count)}


def linked(count: int) -> dict[str, str]:
    """A start page and a tree of pages, each linked from the one of half its number."""
    tree = {n: article(f"Page {n}", f"This is page {n}.", [f"/p/{2 * n}", f"/p/{2 * n + 1}"]) for n in range(1, count)}
    return {"/": article("Start", "All begins here.", ["/p/1"]), **{f"/p/{n}": page for n, page in tree.items()}}


# Kinds of sources


def test_a_list_of_addresses_is_read_and_nothing_else(home):
    with Site({**pages(3), "/p/0": article("Zero", "Text.", links=["/p/2"])}) as site:
        done = home.crawl("page", f"{site.url}/p/0", f"{site.url}/p/1?utm_source=x#top")
        assert (done.complete, done.counts, home.paths()) == (True, {"fetched": 2}, {"p/0", "p/1"})
        assert site.count("/p/2") == 0
        page = home.page(f"{site.url}/p/0")
        capture = Archive(home.path / "pages").read(page.location)
        assert capture.body.decode() == site.pages["/p/0"]
        assert (page.status, page.etag is not None, page.modified is not None) == (200, True, True)
        agent = site.requests[0].headers["user-agent"]
        assert agent.startswith("citedesk/")


def test_a_site_is_walked_by_its_links_within_its_host(home):
    elsewhere = ["http://other.example/x", "/p/7", "/p/404", "mailto:a@b.c", "javascript:void(0)"]
    with Site(linked(12) | {"/p/3": article("Three", "Text.", elsewhere)}) as site:
        done = home.crawl("site", f"{site.url}/")
    assert done.complete
    assert home.paths() == {"", *(f"p/{n}" for n in range(1, 12) if n != 6)}  # /p/6 is linked from nowhere
    assert done.counts["missing"] == len({404, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23})


def test_patterns_say_what_is_kept_and_what_is_followed(home):
    site_pages = {
        "/help/": article("Help", "Start.", ["/help/list", "/help/articles/1", "/help/articles/secret", "/shop"]),
        "/help/list": article("List", "A list.", ["/help/articles/2", "/en/articles/3"]),
        "/help/articles/1": article("One", "Text."), "/help/articles/2": article("Two", "Text."),
        "/en/articles/3": article("Three", "Text."), "/help/articles/secret": article("Secret", "No."),
        "/shop": article("Shop", "Buy."),
    }  # fmt: skip
    with Site(site_pages) as site:
        done = home.crawl("site", f"{site.url}/help/", include=("*/articles/*",), exclude=("*/secret",))
        assert home.paths() == {"help/articles/1", "help/articles/2", "en/articles/3"}
        assert (site.count("/shop"), site.count("/help/articles/secret")) == (0, 0)
    assert done.complete


def test_sitemaps_are_read_nested_and_gzipped_and_pages_as_their_lastmod_says(home):
    with Site(pages(4)) as site:
        site.pages["/sitemap.xml"] = sitemap_index(["{site}/a.xml", "{site}/b.xml.gz"])
        site.pages["/a.xml"] = sitemap(
            ["{site}/p/0", "{site}/p/1", "http://other.example/x"], ["2026-01-01", "2026-01-01"]
        )
        site.pages["/b.xml.gz"] = gz(sitemap([f"{site.url}/p/2"]))
        first = home.crawl("sitemap", f"{site.url}/sitemap.xml")
        assert (first.complete, first.counts) == (True, {"listed": 3, "fetched": 3})
        site.pages["/a.xml"] = sitemap(["{site}/p/0", "{site}/p/1"], ["2026-01-01", "2026-02-02"])
        site.reset()
        second = home.crawl("sitemap", f"{site.url}/sitemap.xml")
        assert (second.complete, second.counts) == (True, {"listed": 3, "unchanged": 3})
        asked = site.counts()
        assert (asked["/p/0"], asked["/p/1"], asked["/p/2"]) == (0, 1, 1)
        site.reset()
        home.crawl("sitemap", f"{site.url}/sitemap.xml", recheck_days=0)
        assert site.count("/p/0") == 1


def test_a_bare_host_has_its_sitemaps_named_by_robots_or_guessed(home):
    with Site(
        {**pages(2), "/robots.txt": "Sitemap: {site}/named.xml\n", "/named.xml": sitemap(["{site}/p/1"])}
    ) as site:
        assert home.crawl("sitemap", site.url).complete
        assert home.paths() == {"p/1"}
        del site.pages["/robots.txt"], site.pages["/named.xml"]
        site.pages["/sitemap_index.xml"] = sitemap(["{site}/p/0"])
        assert home.crawl("sitemap", site.url).complete
        assert home.paths() == {"p/0", "p/1"}
        del site.pages["/sitemap_index.xml"]
        assert "no sitemap was found" in home.crawl("sitemap", site.url).reason


def test_a_sitemap_that_is_not_read_whole_leaves_the_run_incomplete(home):
    bad = {
        "/500.xml": Response(500, "broken"),
        "/404.xml": Response(404, ""),
        "/cut.xml": "<urlset><url><loc>{site}/p/1</loc>",
    }
    with Site({**pages(2), **bad, "/a.xml": sitemap(["{site}/p/0"])}) as site:
        site.pages["/sitemap.xml"] = sitemap_index([f"{{site}}{path}" for path in ("/a.xml", *bad)])
        done = home.crawl("sitemap", f"{site.url}/sitemap.xml")
    assert not done.complete
    assert all(path in done.reason for path in bad)
    assert "p/0" in home.paths()


def test_a_feed_is_read_and_never_complete(home):
    items = "".join(
        f"<item><link>{{site}}/p/{n}</link><pubDate>Fri, 01 May 2026 10:00:00 GMT</pubDate></item>" for n in (0, 1)
    )
    with Site(
        {**pages(2), "/feed.rss": f"<rss version='2.0'><channel><title>t</title>{items}</channel></rss>"}
    ) as site:
        done = home.crawl("feed", f"{site.url}/feed.rss")
    assert (done.complete, done.counts) == (False, {"listed": 1, "fetched": 2})
    assert "feed" in done.reason


def zendesk_row(site: str, number: int, locale: str, text: str, **fields: object) -> dict[str, object]:
    return {
        "id": number, "html_url": f"{site}/hc/{locale}/articles/{number}", "title": f"Article {number}", "body": text,
        "locale": locale, "draft": False, "section_id": 7, "created_at": "2026-01-01T00:00:00Z",
        "updated_at": "2026-01-02T00:00:00Z", "edited_at": "2026-01-02T00:00:00Z", **fields,
    }  # fmt: skip


def test_a_zendesk_help_centre_is_read_through_its_api_in_all_locales(home):
    api = "/api/v2/help_center"
    with Site() as site:
        site.pages[f"{api}/locales.json"] = json.dumps({"locales": ["en-us", "de"], "default_locale": "en-us"})
        rows = [zendesk_row(site.url, n, "en-us", f"<p>Text {n}.</p>", draft=n == 3) for n in range(1, 4)]
        more = {"meta": {"has_more": True}, "links": {"next": f"{site.url}{api}/en-us/articles.json?page%5Bafter%5D=x"}}
        last = {"meta": {"has_more": False}, "links": {"next": None}}
        extra = {
            "sections": [{"id": 7, "name": "Fees", "category_id": 8}],
            "categories": [{"id": 8, "name": "Trading"}],
        }

        def listing(request):
            return json.dumps(
                {"articles": rows[1:], **last, **extra}
                if "after" in request.path
                else {"articles": rows[:1], **more, **extra}
            )

        site.pages[f"{api}/en-us/articles.json"] = listing
        german = zendesk_row(site.url, 1, "de", "<p>Deutsch.</p>")
        site.pages[f"{api}/de/articles.json"] = lambda _: json.dumps({"articles": [german], **last, **extra})
        first = home.crawl("zendesk", f"{site.url}/hc/en-us")
        assert (first.complete, first.reason) == (True, "")
        assert home.paths() == {"hc/en-us/articles/1", "hc/en-us/articles/2", "hc/de/articles/1"}
        page = home.page(f"{site.url}/hc/en-us/articles/2")
        body = Archive(home.path / "pages").read(page.location).body.decode()
        assert "Text 2." in body
        assert "Trading" in body
        assert "Fees" in body
        rows[0] = zendesk_row(site.url, 1, "en-us", "<p>New text.</p>")
        second = home.crawl("zendesk", f"{site.url}/hc/en-us")
        assert (second.complete, second.counts) == (True, {"listed": 4, "fetched": 1, "unchanged": 2})
        only = home.crawl("zendesk", f"{site.url}/hc/en-us", locales=("de",))
        assert only.counts == {"listed": 1, "unchanged": 1}


def test_an_intercom_help_centre_is_its_articles_in_the_sitemap(home):
    names = ["/en/articles/1-first", "/en/collections/2-all", "/en/articles/3-third"]
    with Site({name: article(name, "Text.") for name in names}) as site:
        site.pages["/sitemap.xml"] = sitemap([f"{{site}}{name}" for name in names])
        assert home.crawl("intercom", f"{site.url}/en/").complete
    assert home.paths() == {"en/articles/1-first", "en/articles/3-third"}


# Following change


def test_a_second_run_asks_whether_pages_changed_and_is_given_no_body(home):
    with Site(linked(20)) as site:
        first = home.crawl("site", f"{site.url}/")
        size = sum(path.stat().st_size for path in (home.path / "pages").iterdir())
        site.pages["/p/5"] = article("Five", "Other text.", ["/p/10", "/p/11"])
        second = home.crawl("site", f"{site.url}/")
        assert first.complete
        assert second.complete
        assert second.counts["unchanged"] == first.counts["fetched"] - 1
        assert second.counts["fetched"] == 1
    assert 0 < sum(path.stat().st_size for path in (home.path / "pages").iterdir()) - size < 1500


def test_the_same_body_again_is_unchanged_also_without_validators(home):
    with Site(pages(3), etag=False, last_modified=False) as site:
        urls = [f"{site.url}/p/{n}" for n in range(3)]
        home.crawl("page", *urls)
        size = sum(path.stat().st_size for path in (home.path / "pages").iterdir())
        assert home.crawl("page", *urls).counts == {"unchanged": 3}
        assert sum(path.stat().st_size for path in (home.path / "pages").iterdir()) == size


def test_redirects_are_noted_and_followed_and_bounded(home):
    with Site({**pages(2), "/old": redirect("/p/1", 301), "/loop": redirect_loop, "/a": redirect("/b"), "/b": redirect("/a"),
               "/away": redirect("http://other.example/p"), "/file": redirect("file:///etc/passwd"),
               "/chain/*": redirect_chain}) as site:  # fmt: skip
        done = home.crawl(
            "page", *(f"{site.url}/{path}" for path in ("old", "loop", "a", "away", "file", "chain/50", "chain/5"))
        )
        assert home.page(f"{site.url}/old").moved_to == f"{site.url}/p/1"
        assert home.page(f"{site.url}/p/1").location
        assert home.page(f"{site.url}/chain/0").location
        assert "redirects to itself" in done.error("/loop")
        assert "circle" in done.error("/b")
        assert "another site: http://other.example/p" in done.error("/away")
        assert "no web address" in done.error("/file")
        assert "more than 10 redirects" in done.error("/chain/40")
        assert site.count("/chain/39") == 0


def test_a_page_that_is_not_there_is_missing(home):
    with Site({"/410": Response(410, "gone")}) as site:
        assert home.crawl("page", f"{site.url}/404", f"{site.url}/410").counts == {"missing": 2}
        assert [home.page(f"{site.url}/{status}").status for status in (404, 410)] == [404, 410]
        assert site.count("/404") == 1


# Politeness


def test_robots_txt_is_obeyed(home):
    rules = "User-agent: other\nDisallow: /\n\nUser-agent: *\nDisallow: /p/1\nAllow: /p/11\n"
    with Site({**linked(14), "/robots.txt": rules, "/p/3": article("Three", "T", ["/p/11"])}) as site:
        done = home.crawl("site", f"{site.url}/")
        assert site.count("/p/1") == 0
        assert site.count("/robots.txt") == 1
        assert "robots.txt does not allow it" in done.error("/p/1")


def test_the_crawl_delay_is_kept_between_all_requests(home):
    with Site({**pages(4), "/robots.txt": "User-agent: citedesk\nCrawl-delay: 0.2\n"}) as site:
        home.crawl("page", *(f"{site.url}/p/{n}" for n in range(4)), concurrency=8)
        times = [request.time for request in site.requests]
    assert len(times) == 5
    # The server sees a request a little before or after it was sent, so the gaps are judged together.
    assert max(times) - min(times) > 0.19 * 4


def test_the_source_s_delay_is_kept(home):
    with Site(pages(4)) as site:
        home.crawl("page", *(f"{site.url}/p/{n}" for n in range(4)), delay=0.1)
        times = sorted(request.time for request in site.requests)
    # The server sees a request a little before or after it was sent, so the gaps are judged together.
    assert times[-1] - times[0] > 0.09 * (len(times) - 1)


def test_where_robots_txt_cannot_be_read_nothing_is_fetched(home):
    with Site({**pages(1), "/robots.txt": Response(503, "busy")}) as site:
        done = home.crawl("page", f"{site.url}/p/0")
        assert (site.count("/p/0"), done.counts) == (0, {"failed": 1})
        assert "robots.txt cannot be read" in done.errors[0]


def test_robots_txt_with_an_endless_delay_closes_the_host():
    assert "86400 seconds" in (read_robots(200, b"User-agent: *\nCrawl-delay: 86400", "help.example").problem or "")
    assert read_robots(404, b"Disallow: /", "help.example").allows("https://help.example/a")


def test_an_error_that_passes_is_tried_again(home):
    passing = (429, 500, 502, 503, 504)
    with Site({f"/{status}": Flaky(article("A", "Text."), times=2, status=status) for status in passing}) as site:
        site.pages["/403"] = Response(403, "no")
        done = home.crawl("page", *(f"{site.url}{path}" for path in site.pages))
        assert done.counts == {"fetched": 5, "failed": 1}
        assert [site.count(f"/{status}") for status in (*passing, 403)] == [3, 3, 3, 3, 3, 1]


def test_retry_after_is_kept_for_the_whole_host(home):
    with Site({**pages(6), "/p/0": Flaky(article("A", "Text."), status=429, retry_after="1")}) as site:
        done = home.crawl("page", *(f"{site.url}/p/{n}" for n in range(6)), concurrency=1)
        assert done.counts == {"fetched": 6}
        times = [request.time for request in site.requests if request.path == "/p/0"]
        assert times[1] - times[0] >= 1


def test_a_host_that_asks_to_be_left_alone_is_left_alone(home):
    with Site({"/p/*": Response(503, "", headers={"Retry-After": "7200"})}) as site:
        done = home.crawl("page", *(f"{site.url}/p/{n}" for n in range(30)), concurrency=1)
        assert done.counts == {"failed": 30}
        assert len(site.requests) < 6
        assert "7200 seconds" in done.error("/p/29")


def test_a_host_that_does_not_answer_is_given_up(home):
    with Site() as site:
        dead = site.url
    done = home.crawl("page", *(f"{dead}/p/{n}" for n in range(100)))
    assert done.counts == {"failed": 100}
    assert "refuses the connection" in done.errors[0]


@pytest.mark.parametrize(
    ("value", "least", "most"),
    [("5", 5, 5), ("Wed, 21 Oct 2099 07:28:00 GMT", 1e9, 1e10), ("Wed, 21 Oct 2015 07:28:00 GMT", 0, 0)],
)
def test_retry_after_is_seconds_or_a_date(value, least, most):
    assert least <= retry_after(value) <= most
    assert retry_after("-5") is None


# Bounds and hostile sites


def test_max_pages_bounds_a_run(home):
    with Site(linked(40)) as site:
        done = home.crawl("site", f"{site.url}/", max_pages=7)
        assert done.counts["fetched"] == 7
        assert sum(request.path.startswith("/p/") or request.path == "/" for request in site.requests) == 7
    assert (done.complete, done.reason) == (False, "stopped at max_pages = 7")


def test_as_many_pages_as_allowed_are_a_complete_run(home):
    with Site({**pages(3), "/sitemap.xml": sitemap([f"{{site}}/p/{n}" for n in range(3)])}) as site:
        assert home.crawl("sitemap", f"{site.url}/sitemap.xml", max_pages=3).complete


def test_max_bytes_and_max_depth_bound_a_run(home):
    with Site(linked(40)) as site:
        assert "max_bytes = 3000" in home.crawl("site", f"{site.url}/", max_bytes=3000, concurrency=1).reason
        site.reset()
        assert "max_depth = 3" in home.crawl("site", f"{site.url}/", max_depth=3).reason
        assert (site.count("/p/4"), site.count("/p/8")) == (1, 0)


def test_what_is_no_page_is_named_and_html_is_read_whatever_it_is_called(home):
    html = article("A", "Text.")
    with Site({
        "/image": Response(body=PNG), "/html-as-image": Response(body=html, content_type="image/png"),
        "/html-as-bytes": Response(body=html, content_type="application/octet-stream"),
        "/untyped": Response(body=html, content_type=None), "/empty": "", "/json": Response(body="{}", content_type="application/json"),
        "/text": Response(body="Plain text.", content_type="text/plain"), "/zip": Response(body=b"PK\x03\x04abc", content_type="text/html"),
        "/pdf": Response(body=b"%PDF-1.7 abc", content_type="application/octet-stream"),
        "/noindex": html.replace("<head>", '<head><meta name="robots" content="noindex">'),
    }) as site:  # fmt: skip
        done = home.crawl("page", *(f"{site.url}{path}" for path in list(site.pages)))
    assert home.paths() == {"html-as-image", "html-as-bytes", "untyped", "text", "pdf"}
    assert "not a page: image/png" in done.error("/image")
    assert "not a page: application/zip" in done.error("/zip")
    assert "not a page: application/json" in done.error("/json")
    assert "empty" in done.error("/empty")
    assert "noindex" in done.error("/noindex")


def test_private_addresses_are_refused_by_name_number_and_redirect(home):
    names = {"help.example": ["127.0.0.1"], "inside.help.example": ["10.0.0.5"], "other.example": ["127.0.0.1"]}
    with Site({**pages(1)}) as site:
        to = f"http://help.example:{site.port}"
        site.pages["/inside"] = redirect("http://inside.help.example/admin")
        site.pages["/port"] = redirect(f"http://help.example:{site.port + 1}/")
        network = Network(exempt=(("127.0.0.1", site.port),), names=names)
        urls = [
            f"{to}/p/0",
            f"{to}/inside",
            f"{to}/port",
            "http://[::ffff:127.0.0.1]/",
            "http://169.254.169.254/latest/",
        ]
        done = home.crawl("page", *urls, allow_private=False, network=network)
    assert home.paths() == {"p/0"}
    assert "resolves to 10.0.0.5, a private address; set allow_private" in done.error("/admin")
    assert "a link-local address" in done.error("/latest/")
    assert "a loopback address" in done.error("http://[::ffff:7f00:1]/")
    assert "port" in done.error(f":{site.port + 1}/") or "loopback" in done.error(f":{site.port + 1}/")
    assert done.counts["refused"] == 4


def test_without_allow_private_a_site_on_loopback_is_never_asked(home):
    with Site(pages(1)) as site:
        done = home.crawl("site", f"{site.url}/p/0", allow_private=False)
        assert site.requests == []
    assert not done.complete
    assert "set allow_private = true" in done.reason


def test_a_hostile_site_is_bounded_and_named_and_the_rest_goes_on(home):
    began = time.monotonic()
    with Site({**hostile(), "/good": article("Good", "A good page.")}) as site:
        site.pages["/hostile/gzip-bomb"], site.pages["/hostile/gzip-bomb-twice"] = gzip_bomb(64), gzip_bomb(64, 2)
        urls = [f"{site.url}{path}" for path in START if not path.endswith(".xml")]
        hurried = replace(HURRIED, timeout=2, retries=0)
        done = home.crawl("page", *urls, f"{site.url}/good", patience=hurried, concurrency=8, max_page_bytes=2_000_000)
        for path, words in {
            "/drip": "no whole answer in time", "/slow-headers": "no whole answer in time", "/endless": "larger than 2,000,000",
            "/large": "larger than 2,000,000", "/large-chunked": "larger than 2,000,000", "/gzip-bomb": "larger than 2,000,000",
            "/gzip-bomb-twice": "larger than 2,000,000", "/image-as-html": "not a page: image/png", "/too-long": "breaks off",
            "/garbage": "no proper answer", "/empty": "no proper answer", "/cookie-wall": "redirects to itself",
            "/always-500": "HTTP 500", "/private-0": "redirects to another site", "/private-10": "",
        }.items():  # fmt: skip
            assert words in done.error(path), path
        assert {"good", "hostile/html-as-image", "hostile/latin-1", "hostile/without-type"} <= home.paths()
        assert done.complete
    assert time.monotonic() - began < 30


def test_traps_and_a_million_links_end(home):
    with Site(
        {
            **hostile(),
            "/many": million_links(20_000, "/none/"),
            "/": article("Start", "Hi.", ["/many", "/hostile/calendar/1", "/hostile/session/1"]),
        }
    ) as site:
        done = home.crawl("site", f"{site.url}/", max_pages=60, max_page_bytes=5_000_000, exclude=("/none/*",))
        assert "more than 5,000 links" in done.reason
        assert {request.path for request in site.requests if "session" in request.path} == {
            f"/hostile/session/{name}" for name in ("1", "a", "b", "c?page=1")
        }


def test_hostile_sitemaps_are_bounded_and_named(home):
    with Site({**hostile(), "/hostile/million.xml": million_urls(51_000)}) as site:
        done = home.crawl(
            "sitemap", *(f"{site.url}/hostile/{name}.xml" for name in ("bomb", "file", "loop", "million"))
        )
        assert set(done.counts) <= {"listed", "failed", "refused"}
        assert len(site.requests) < 20
    assert not done.complete
    assert all(name in done.reason for name in ("bomb.xml", "file.xml", "million.xml", "no page at all"))


# Being killed


def test_a_crawl_that_is_killed_again_and_again_loses_no_page_and_has_none_twice(home):
    count = 120
    with Site({**pages(count), "/sitemap.xml": sitemap([f"{{site}}/p/{n}" for n in range(count)])}) as site:
        source = WebSource(name="s", kind="sitemap", start=(f"{site.url}/sitemap.xml",), delay=0, allow_private=True)
        for page in [path for path in site.pages if path.startswith("/p/")]:
            site.pages[page] = Response(body=site.pages[page], delay=0.02)
        killed = 0
        for moment in (1, 15, 40, 80, None):
            run = home.state.begin("s", settings_text(source.scope()), "")
            crawl = start_crawl(source, home.path, run, patience=HURRIED)
            while crawl.poll() is None:
                if moment and len(site.requests) >= moment:
                    os.kill(crawl.process.pid, signal.SIGKILL)
                    crawl.process.wait()
                    killed += 1
                    break
                time.sleep(0.002)
            site.reset()
        assert killed >= 3
        assert crawl.returncode == 0, crawl.log.read_text()
        done = home.result(run)
    assert (done.complete, done.counts) == (True, {"listed": 1, "fetched": count})
    captures = [each for path in sorted((home.path / "pages").iterdir()) for each in read_warc(path)]
    assert Counter(capture.url for capture in captures) == Counter({f"{site.url}/p/{n}": 1 for n in range(count)})
    archive = Archive(home.path / "pages")
    for page in home.state.pages("s"):
        assert archive.read(page.location).url == page.url


def test_a_crawl_that_is_stopped_goes_on_later(home):
    with Site({**linked(30), "/p/2": Response(body="slow", delay=30)}) as site:
        source = WebSource(name="s", kind="site", start=(f"{site.url}/",), delay=0, allow_private=True)
        run = home.state.begin("s", settings_text(source.scope()), "")
        crawl = start_crawl(source, home.path, run)
        while not site.count("/p/2"):
            time.sleep(0.01)
        crawl.stop()
        assert crawl.returncode == STOPPED
        site.pages["/p/2"] = linked(30)["/p/2"]
        done = home.crawl("site", f"{site.url}/")
        assert done.run.resumed
        assert (done.complete, done.counts["fetched"]) == (True, 30)


def test_a_crawl_ends_with_the_process_that_started_it(home, tmp_path):
    with Site({"/a": Response(body="slow", delay=60)}) as site:
        code = (
            "import os, sys; from pathlib import Path; from ingest.crawl import start_crawl; from ingest.database import Database; "
            "from ingest.sources import WebSource; from ingest.state import CrawlState; home = Path(sys.argv[1]); "
            "run = CrawlState(Database(home / 'corpus.sqlite')).begin('s', '', ''); "
            "source = WebSource(name='s', kind='page', start=(sys.argv[2],), allow_private=True); "
            "print(start_crawl(source, home, run).process.pid, flush=True); sys.stdin.read(1); os._exit(0)"
        )
        parent = subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path), f"{site.url}/a"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
        )
        child = int(parent.stdout.readline())
        while not site.count("/a"):
            time.sleep(0.01)
        parent.communicate(b"x")
        end = time.monotonic() + 10
        while Path(f"/proc/{child}").exists() and "Z" not in Path(f"/proc/{child}/stat").read_text().split()[2]:
            assert time.monotonic() < end
            time.sleep(0.05)


def test_what_cannot_be_written_ends_the_crawl_with_a_message(home):
    (home.path / "pages").write_text("a file where the archive's folder should be")
    with Site(pages(2)) as site:
        source = WebSource(name="s", kind="page", start=(f"{site.url}/p/0",), delay=0, allow_private=True)
        run = home.state.begin("s", "", "")
        crawl = start_crawl(source, home.path, run)
        crawl.process.wait(20)
    assert crawl.returncode == 1
    assert "cannot be written" in (crawl.problem() or "")
    assert home.state.progress(run) == {"waiting": 1}


def test_gzip_without_a_header_for_it_is_a_sitemap_all_the_same(home):
    with Site(pages(1)) as site:
        body = gzip.compress(sitemap([f"{site.url}/p/0"]).encode())
        site.pages["/sitemap.xml"] = Response(body=body, content_type="application/xml")
        assert home.crawl("sitemap", f"{site.url}/sitemap.xml").complete
