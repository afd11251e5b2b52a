"""RSS and Atom in their dialects, and broken ones."""

import pytest

from ingest.feed import Feed, FeedPage, read_feed

URL = "https://help.example/feed.xml"
DC = 'xmlns:dc="http://purl.org/dc/elements/1.1/"'
RSS_2 = """<?xml version="1.0"?><rss version="2.0" xmlns:atom="http://www.w3.org/2005/Atom"
 xmlns:media="http://search.yahoo.com/mrss/"><channel><title>Help</title><link>https://help.example/</link>
 <image><link>https://help.example/logo</link><url>https://help.example/logo.png</url></image>
 <item><media:title>Picture</media:title><atom:link rel="self" href="https://help.example/self"/><title>Fees
   &amp; limits</title><link>https://help.example/a?utm_source=rss</link><pubDate>Fri, 01 May 2026 10:00:00 +0200</pubDate></item>
 </channel></rss>"""
RSS_GUID = """<rss><channel><item><title>Fees &amp; limits</title><guid>https://help.example/a</guid>
 <pubDate>Fri, 01 May 2026 08:00:00 GMT</pubDate></item></channel></rss>"""
RSS_1 = f"""<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns="http://purl.org/rss/1.0/" {DC}>
 <channel rdf:about="https://help.example/"><link>https://help.example/</link></channel>
 <item rdf:about="https://help.example/a"><title>Fees &amp; limits</title><link>https://help.example/a</link>
 <dc:date>2026-05-01T08:00:00Z</dc:date></item></rdf:RDF>"""
RSS_091 = """<!DOCTYPE rss PUBLIC "-//Netscape Communications//DTD RSS 0.91//EN" "http://my.netscape.example/rss-0.91.dtd">
 <rss version="0.91"><channel><item><title>Fees &amp; limits</title><link>/a</link><pubDate>1 May 2026 08:00:00 GMT</pubDate>
 </item></channel></rss>"""
ATOM = """<feed xmlns="http://www.w3.org/2005/Atom" xml:base="https://help.example/de/"><link href="https://help.example/"/>
 <entry xml:base="../"><title type="html">Fees &amp;amp; limits</title><link rel="enclosure" href="/x.mp3"/>
 <link rel="alternate" href="a"/><id>tag:help.example,2026:1</id><published>2020-01-01T00:00:00Z</published>
 <updated>2026-05-01T10:00:00+02:00</updated><source><title>Other</title><link href="/other"/></source></entry></feed>"""
ATOM_ID = """<feed xmlns="http://www.w3.org/2005/Atom"><entry><title>Fees &amp; limits</title>
 <id>https://help.example/a</id><updated>2026-05-01T08:00:00Z</updated></entry></feed>"""


@pytest.mark.parametrize(
    "document",
    [RSS_2, RSS_GUID, RSS_1, RSS_091, ATOM.replace("&amp;amp;", "&amp;"), ATOM_ID],
    ids=["RSS 2.0", "RSS with a guid", "RSS 1.0", "RSS 0.91", "Atom", "Atom with an id"],
)
def test_every_dialect_gives_the_same_page(document: str) -> None:
    page = FeedPage("https://help.example/a", "2026-05-01T08:00:00+00:00", "Fees & limits")
    assert read_feed(document.encode(), URL) == Feed((page,), None)


@pytest.mark.parametrize(
    ("entry", "lost"),
    [
        ("<item><link>mailto:a@b.example</link></item>", 1),
        ("<item><title>no link</title></item>", 1),
        ("<item><guid isPermaLink='false'>https://help.example/no</guid></item>", 1),
        ("<item><guid>a1b2</guid></item>", 1),
        ("", 0),
    ],
)
def test_an_entry_without_an_address_is_counted(entry: str, lost: int) -> None:
    feed = read_feed(f"<rss><channel><item><link>/a</link></item>{entry}</channel></rss>".encode(), URL)
    assert [page.url for page in feed.pages] == ["https://help.example/a"]
    assert feed.problem == ("1 of 2 entries name no web address" if lost else None)


@pytest.mark.parametrize(
    "date", ["", "yesterday", "32 May 2026", "2026-05-01T99:00:00Z", "Fri, 99 May 9999999 10:00:00"]
)
def test_a_date_that_is_none_is_left_out(date: str) -> None:
    feed = read_feed(f"<rss><item><link>/a</link><pubDate>{date}</pubDate></item></rss>".encode(), URL)
    assert [page.updated for page in feed.pages] == [None]


@pytest.mark.parametrize(
    ("document", "count", "problem"),
    [
        (RSS_2[:-10], 1, "line"),
        (RSS_2[:-30], 0, "line"),
        (RSS_2.replace("</title><link>https://help.example/a", "&nbsp;</title><link>https://help.example/a"), 1, "None"),
        ('<!DOCTYPE rss [<!ENTITY a "aaaa">]><rss><item><link>/&a;</link></item></rss>', 0, "declares entities"),
        ("<urlset><url><loc>/a</loc></url></urlset>", 0, "no feed: its outermost element is <urlset>"),
        ("<html><item><link>/a</link></item></html>", 0, "no feed: its outermost element is <html>"),
        ("not a feed", 0, "line 1"),
        ("", 0, "no XML"),
        ("<rss>" + "<item>" * 10_000, 0, "levels deep"),
        ("<rss>" + "<item><link>/a</link></item>" * 101, 1, "more than 100 entries"),
        ("<feed xml:base='http://[' xmlns='u'><entry xml:base='http://[x'><link href='/a'/></entry></feed>", 1, "None"),
    ],
)  # fmt: skip
def test_a_broken_feed_gives_what_it_has_and_says_what_is_wrong(document: str, count: int, problem: str) -> None:
    feed = read_feed(document.encode(), URL, most=100)
    assert len(feed.pages) == count
    assert problem in str(feed.problem)
