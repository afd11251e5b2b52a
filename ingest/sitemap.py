"""Sitemaps: which pages a site says it has, since when, and in which languages."""

import re
from dataclasses import dataclass
from typing import NoReturn

from ingest.feed import ROOTS as FEEDS
from ingest.feed import iso_time, read_feed
from ingest.links import normal
from ingest.records import EnoughError, Record, as_utf8, read_records, unpacked

#: The articles of an Intercom help centre, as a pattern for `ingest.links.wanted`: ``/en/articles/123-some-title``
#: under the centre's own domain, ``/NAME/en/articles/…`` on intercom.help. Its sitemap lists collections too.
INTERCOM_ARTICLES = "*/articles/*"

_LISTS = frozenset({"urlset", "sitemapindex"})
#: So many addresses are looked at for each page that may be given: pages, and their other languages.
_TRIED = 4
_LONGEST_HREFLANG = 35


@dataclass(frozen=True, slots=True)
class SitemapPage:
    """A page that a sitemap names.

    :ivar url: As `ingest.links.normal` gives it. The host is whatever the sitemap says: the crawler checks it.
    :ivar lastmod: ISO 8601, in UTC where a time is given; None where it is missing or no date.
    :ivar alternates: (hreflang, address) of the page's other languages, and its own.
    """

    url: str
    lastmod: str | None
    alternates: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Sitemap:
    """What a sitemap says.

    :ivar pages: In the file's order, each address once.
    :ivar nested: The sitemaps that an index names. How deep to follow them is the crawler's business.
    :ivar complete: Whether a page that is in none of the site's sitemaps is gone. Not where anything was cut, lost
        or doubtful, where nothing is listed at all, and never for a feed.
    :ivar problem: What is wrong or was not read; None where everything was read.
    """

    pages: tuple[SitemapPage, ...]
    nested: tuple[str, ...]
    complete: bool
    problem: str | None


def read_sitemap(data: bytes, url: str, *, most: int = 50_000) -> Sitemap:
    """Read a sitemap or an index of sitemaps: XML, gzip, a text with an address a line, RSS or Atom.

    Never an exception: what is wrong is said in `Sitemap.problem`, and what could be read is given all the same.

    :param url: Where it was read from; relative addresses, which the protocol forbids, are resolved against it.
    :param most: At most so many pages, and so many nested sitemaps, are given; the protocol allows 50,000.
    """
    data, problem = unpacked(data)
    text = as_utf8(data)
    listing = _Listing(url, most)
    if not text:
        listing.problem = problem or "empty"
    elif text.startswith(b"<"):
        reading = read_records(text, roots=_LISTS, names=("url", "sitemap"), take=listing.take)
        if reading.root in FEEDS:
            return _from_feed(text, url, most)
        if reading.root not in _LISTS and not reading.problem:
            listing.problem = f"no sitemap: its outermost element is <{reading.root}>"
        problem = problem or reading.problem
    else:
        _read_lines(text, listing)
    return listing.result(problem)


def intercom_sitemap(base: str) -> str:
    """Give the address of an Intercom help centre's sitemap.

    Under a domain of its own, a centre's robots.txt names ``/sitemap.xml``; not every centre has one. For a centre on
    a shared host the place is an analogy. So where nothing is found there, start from the centre's first page and
    follow its links with the pattern `INTERCOM_ARTICLES`.

    :param base: A page of the centre, such as its start page: ``https://help.example/en/`` or
        ``https://intercom.help/example/en/``.
    :raises ValueError: It is no web address.

    >>> intercom_sitemap("https://help.example/en/articles/1-first")
    'https://help.example/sitemap.xml'
    >>> intercom_sitemap("https://intercom.help/example/en")
    'https://intercom.help/example/sitemap.xml'
    """
    address = normal(base)
    if address is None:
        raise ValueError(f"{base!r} is no web address; give the start page of the help centre")
    scheme, _, rest = address.partition("://")
    host, *segments = rest.partition("?")[0].split("/")
    # Shared hosts have one centre a first segment: intercom.help/NAME, and www.intercom.com/help.
    shared = host == "intercom.help" or host.endswith(".intercom.help") or segments[:1] == ["help"]
    root = f"{segments[0]}/" if shared and segments[0] else ""
    return f"{scheme}://{host}/{root}sitemap.xml"


class _Listing:
    """What has been read of a sitemap so far."""

    def __init__(self, url: str, most: int) -> None:
        self.problem: str | None = None
        self._url = url
        self._most = most
        self._pages: dict[str, SitemapPage] = {}
        self._nested: dict[str, None] = {}
        self._known: dict[str, str | None] = {}  # in a multilingual sitemap, each address stands once a language
        self._lost = 0
        self._taken = 0

    def take(self, record: Record) -> None:
        """Keep an entry, or count it as lost."""
        self._count()
        address = self._normal(record.first("loc") or "")
        if address is None:
            self._lost += 1
        elif record.name == "sitemap":
            self._check(len(self._nested), address in self._nested)
            self._nested[address] = None
        else:
            self._check(len(self._pages), address in self._pages)
            self._pages.setdefault(
                address, SitemapPage(address, iso_time(record.first("lastmod")), tuple(self._alternates(record)))
            )

    def take_line(self, line: str) -> None:
        """Keep a line of a text."""
        self._count()
        address = normal(line)
        if address is None:
            self._lost += 1
            return
        self._check(len(self._pages), address in self._pages)
        self._pages.setdefault(address, SitemapPage(address, None, ()))

    def is_empty(self) -> bool:
        """Tell whether nothing was kept."""
        return not self._pages and not self._nested

    def result(self, problem: str | None) -> Sitemap:
        """Give all that was read."""
        problem = self.problem or problem
        if problem is None and self._lost:
            problem = f"{self._lost:,} entries name no web address"
        if problem is None and self.is_empty():
            problem = "lists nothing"
        return Sitemap(tuple(self._pages.values()), tuple(self._nested), problem is None, problem)

    def _count(self) -> None:
        """Count an entry, whether it is new, known or none at all."""
        self._taken += 1
        if self._taken > 2 * self._most:
            self._end()

    def _check(self, count: int, is_known: bool) -> None:
        if count >= self._most and not is_known:
            self._end()

    def _end(self) -> NoReturn:
        self.problem = f"more than {self._most:,} entries; the rest is not read"
        raise EnoughError

    def _normal(self, text: str) -> str | None:
        if text not in self._known:
            if len(self._known) >= _TRIED * self._most:
                self.problem = f"more than {_TRIED * self._most:,} different addresses; the rest is not read"
                raise EnoughError
            self._known[text] = normal(text, self._url) if text else None
        return self._known[text]

    def _alternates(self, record: Record) -> list[tuple[str, str]]:
        found: dict[str, str] = {}
        for field in record.fields:
            language = field.attributes.get("hreflang", "").strip()
            if field.name == "link" and 0 < len(language) <= _LONGEST_HREFLANG:
                address = self._normal(field.attributes.get("href", ""))
                if address:
                    found.setdefault(language, address)
        return list(found.items())


def _read_lines(text: bytes, listing: _Listing) -> None:
    """Read a text with an address a line; give up where the first lines hold none, for then it is something else."""
    try:
        for number, match in enumerate(re.finditer(rb"[^\r\n]+", text)):
            line = match[0].strip()
            if line:
                listing.take_line(line[:10_000].decode("utf-8", "replace"))
            if number == 100 and listing.is_empty():
                break
    except EnoughError:
        return
    if listing.is_empty():
        listing.problem = "no sitemap: neither XML nor a list of web addresses"


def _from_feed(text: bytes, url: str, most: int) -> Sitemap:
    feed = read_feed(text, url, most=most)
    pages = tuple(SitemapPage(page.url, page.updated, ()) for page in feed.pages)
    return Sitemap(pages, (), False, feed.problem)
