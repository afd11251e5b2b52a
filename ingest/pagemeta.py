"""What a page says of itself in its head and in JSON-LD: title, address, dates, language, site, questions.

What a page says of its address is believed as far as the site goes that it was fetched from: a page can name any
address, so a phishing page could name an official one. A file that an operator saved has no such site, and is believed.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from ipaddress import ip_address
from typing import Any
from urllib.parse import urljoin, urlsplit

from bs4 import BeautifulSoup, Tag
from publicsuffixlist import PublicSuffixList

from ingest.blocks import text_of
from ingest.breadcrumbs import listed_breadcrumbs, shown_breadcrumbs
from ingest.dates import iso_day, labelled_day
from ingest.flags import PLACEHOLDER, has_broken_dates
from ingest.labels import PUBLISHED_LABEL, UPDATED_LABEL
from ingest.noise import UNFILLED
from ingest.shapes import DATE
from ingest.tree import outer_of, start_of, strings_of, tags_of

_ARTICLE_TYPES = re.compile(r"(?:Article|BlogPosting|WebPage|FAQPage|QAPage|HowTo|Report|Posting)$")
#: Names of the meta elements that hold a date, most trusted first.
_PUBLISHED = (
    "article:published_time", "datepublished", "date", "dc.date", "dc.date.issued", "dcterms.created", "dcterms.issued",
    "publish-date", "pubdate", "parsely-pub-date",
)  # fmt: skip
_UPDATED = (
    "article:modified_time", "og:updated_time", "datemodified", "dcterms.modified", "dc.date.modified", "last-modified",
    "revised",
)  # fmt: skip
#: Characters of the longest line that is a date with its label, and texts that are read as dates

#: till then; each that looks like a date and is none takes some 50 ms.
LONGEST_DATED = 120
MOST_DATES = 20
_LABEL = re.compile(rf"(?:{PUBLISHED_LABEL.pattern}|{UPDATED_LABEL.pattern})$", re.IGNORECASE)
_YEAR = re.compile(r"(?:19|20)\d\d")
_TITLE_CUT = re.compile(r"\s+[|·•–—»]\s+|\s+-\s+|\s*[｜_]\s*")


@dataclass(slots=True)
class PageMeta:
    """What the head and the JSON-LD of a page say.

    :ivar url: The canonical address, if it may be believed, else the one that the page was read from.
    :ivar title: The title that a site's hint points at; empty where none does.
    :ivar titles: The page's title as its head gives it, most trusted first.
    :ivar questions: Question → answer, as plain text, of FAQPage and QAPage.
    :ivar breadcrumbs: The way to the page, outermost first; many trails end with the page itself.
    :ivar dates_are_broken: Whether the page printed "Invalid Date" or the like as a date.
    """

    url: str | None = None
    title: str = ""
    titles: list[str] = field(default_factory=list)
    published: str | None = None
    updated: str | None = None
    language: str | None = None
    questions: dict[str, str] = field(default_factory=dict)
    breadcrumbs: tuple[str, ...] = ()
    dates_are_broken: bool = False


def read_meta(soup: BeautifulSoup, url: str | None) -> PageMeta:
    """Read the head, the JSON-LD and the machine-readable dates of a page; nothing is taken out of it.

    :param url: Where the page was read from; relative canonical addresses are resolved against it.
    """
    things = list(_json_ld(soup))
    named = _meta(soup)
    meta = PageMeta(language=_language(soup, named))
    links = [str(link.get("href") or "") for link in tags_of(soup, ("link",)) if _is_canonical(link)]
    meta.url = _canonical([*links, *named.get("og:url", ())], url)
    meta.titles = _titles(soup, things, named)
    meta.published = _first_day(meta.language, *_values(things, "datePublished"), *_contents(named, _PUBLISHED))
    meta.updated = _first_day(meta.language, *_values(things, "dateModified"), *_contents(named, _UPDATED))
    meta.questions = dict(_questions(things))
    meta.breadcrumbs = listed_breadcrumbs(things) or shown_breadcrumbs(soup)
    meta.dates_are_broken = has_broken_dates(soup)
    return meta


def _is_canonical(link: Tag) -> bool:
    return "canonical" in link.get_attribute_list("rel")


def visible_dates(root: Tag, meta: PageMeta) -> None:
    """Fill in the dates that only the page's text gives: ``time`` elements and lines such as "Updated on …".

    Call it when boxes that lead to other pages, with dates of their own, are gone.
    """
    starts = _Starts()
    tried = 0
    for element in tags_of(root, ("time",)):
        names = " ".join([*element.get_attribute_list("class"), str(element.get("itemprop") or "")]).lower()
        around = starts.of(element.parent or element)[:80]
        is_update = "updat" in names or "modif" in names or bool(UPDATED_LABEL.match(around))
        if (meta.updated if is_update else meta.published) or tried >= MOST_DATES:
            continue
        tried += 1
        machine, written = str(element.get("datetime") or ""), start_of(element, LONGEST_DATED)
        _fill_in(meta, is_update, _first_day(meta.language, machine, written))
    for string in strings_of(root):
        if not _YEAR.search(string):
            continue
        if tried >= MOST_DATES or (meta.updated and meta.published):
            break
        line = " ".join(string.split())
        parent = string.parent
        if parent and parent.name in ("span", "b", "strong", "em", "i", "small") and parent.parent and len(line) < 40:
            outer = starts.of(parent.parent)
            line = outer if len(outer) < 100 else line
        if not _may_be_dated(line):
            continue
        tried += 1
        found = labelled_day(line, meta.language)
        if found:
            _fill_in(meta, found[0] == "updated", found[1])


def _may_be_dated(line: str) -> bool:
    """Tell whether a line is a date, with or without a label before it; reading the day takes long."""
    written = DATE.search(line) if len(line) <= LONGEST_DATED else None
    before = line[: written.start()] if written else ""
    return written is not None and (not re.search(r"\w", before) or bool(_LABEL.search(before)))


class _Starts:
    """The first 100 characters, or little more, of elements' texts; thousands of dates can stand in one element."""

    def __init__(self) -> None:
        self._known: dict[int, str] = {}

    def of(self, element: Tag) -> str:
        if id(element) not in self._known:
            self._known[id(element)] = start_of(element, 100)
        return self._known[id(element)]


def _fill_in(meta: PageMeta, is_update: bool, day: str | None) -> None:
    if is_update:
        meta.updated = meta.updated or day
    else:
        meta.published = meta.published or day


def choose_title(soup: BeautifulSoup, meta: PageMeta) -> str:
    """Choose the page's title: the hinted one, else the main heading that shares most with the head's, else the head's.

    Of main headings, those in the main element come first: one around it is often the site's own name.
    """
    if meta.title:
        return meta.title
    named = meta.titles[0] if meta.titles else ""
    inside: list[str] = []
    headings: list[str] = []
    for element in tags_of(soup, ("h1",)):
        heading = text_of(element)
        if heading and UNFILLED not in heading:
            headings.append(heading)
            if outer_of(element, ("main", "article")) and _words(heading) & _words(named):
                inside.append(heading)
    if headings:
        return max(inside or headings, key=lambda heading: len(_words(heading) & _words(named)))
    return _without_site(named)


def own_site(meta: PageMeta, url: str | None, disclaimer: str) -> str | None:
    """Give the registered domain of the site that a page belongs to.

    :param url: Where the page was read from. One from the web is of the site that it was fetched from, whatever it
        says; only a file that was saved is believed, by its canonical address, else by its disclaimer.
    """
    if is_web(url):
        return site_of(url)
    return site_of(meta.url if is_web(meta.url) else None) or site_of(disclaimer)


def is_web(url: str | None) -> bool:
    """Tell whether an address is one of the web; a path or a file's name is none."""
    return bool(url) and (url or "").lower().startswith(("http://", "https://"))


def same_site(one: str, other: str) -> bool:
    """Tell whether two web addresses are of one registered domain; without one, of one host.

    >>> same_site("https://support.kraken.com/a", "https://www.kraken.com/b")
    True
    >>> same_site("https://kraken.com.help.example/a", "https://www.kraken.com/b")
    False
    """
    first, second = (site_of(url) or _host(url) for url in (one, other))
    return bool(first) and first == second


@cache
def _suffixes() -> PublicSuffixList:
    return PublicSuffixList()


def site_of(text: str | None) -> str | None:
    """Give the registered domain of an address, or of the first host or e-mail address that a text names.

    In a text, only domains under a known public suffix count: "e.g." and "file.txt" are none.

    >>> site_of("https://support.kraken.com/hc/en-us")
    'kraken.com'
    >>> site_of("Write to info@kdj.com.")
    'kdj.com'
    """
    if text and "://" in text[:10]:
        host = _host(text.strip())
        site = _suffixes().privatesuffix(host) if host and not _is_ip(host) else None
        return str(site) if site else None
    for host in re.findall(r"(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,24}\b", (text or "").lower()):
        if _suffixes().publicsuffix(host, accept_unknown=False):
            registered = _suffixes().privatesuffix(host)
            if registered:
                return str(registered)
    return None


def _host(url: str) -> str:
    """Give the host of an address; an empty string where there is none, or the address is broken."""
    try:
        return (urlsplit(url).hostname or "").rstrip(".")
    except ValueError:
        return ""


def _is_ip(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _json_ld(soup: BeautifulSoup) -> Iterator[Mapping[str, Any]]:
    for script in tags_of(soup, ("script",)):
        if "ld+json" not in str(script.get("type") or "").lower():
            continue
        try:
            yield from _things(_loaded(script.get_text()))
        except (
            ValueError,
            RecursionError,
        ):  # 100,000 brackets, cut off or hand-made; what the page shows is read all the same
            continue


def _loaded(text: str) -> object:
    """Read JSON; half a character, which JSON can spell and UTF-8 cannot, becomes the sign for what is unreadable."""
    data: object = json.loads(text, strict=False)
    if "\\ud" not in text.lower():
        return data
    whole = json.dumps(data, ensure_ascii=False).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return json.loads(whole, strict=False)


def _things(value: object) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, list):
        for item in value:
            yield from _things(item)
    elif isinstance(value, dict):
        yield value
        for item in value.values():
            yield from _things(item)


def _types(thing: Mapping[str, Any]) -> list[str]:
    kind = thing.get("@type")
    return [str(name) for name in (kind if isinstance(kind, list) else [kind])]


def _values(things: list[Mapping[str, Any]], name: str) -> Iterator[str]:
    for thing in things:
        if isinstance(thing.get(name), str) and any(_ARTICLE_TYPES.search(kind) for kind in _types(thing)):
            yield thing[name]


def _questions(things: list[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    for thing in things:
        answer = thing.get("acceptedAnswer") or thing.get("suggestedAnswer")
        answer = answer[0] if isinstance(answer, list) and answer else answer
        if "Question" in _types(thing) and isinstance(answer, dict):
            text = answer.get("text")
            if isinstance(thing.get("name"), str) and isinstance(text, str):
                yield _plain(thing["name"]), _plain(text)


def _plain(markup: str) -> str:
    is_text = "<" not in markup and "&" not in markup  # parsing takes longer than all else that is done with it
    text = markup if is_text else BeautifulSoup(f"<div>{markup}</div>", "lxml").get_text(" ")
    return " ".join(text.split())


def _titles(soup: BeautifulSoup, things: list[Mapping[str, Any]], named: Mapping[str, list[str]]) -> list[str]:
    titles = [
        *named.get("og:title", ()),
        *(soup.title.stripped_strings if soup.title else ()),
        *_values(things, "headline"),
    ]
    return [" ".join(title.split()) for title in titles if title.strip() and not PLACEHOLDER.search(title)]


def _without_site(title: str) -> str:
    """Cut the site's name off: the title's longest part."""
    return max(_TITLE_CUT.split(title), key=len, default=title).strip()


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.casefold()))


def _meta(soup: BeautifulSoup) -> dict[str, list[str]]:
    """Give what the meta elements say, by their names in lower case, each in the order of the page."""
    named: dict[str, list[str]] = {}
    for element in tags_of(soup, ("meta",)):
        label = next(
            (element.get(name) for name in ("property", "name", "itemprop", "http-equiv") if element.get(name)), ""
        )
        content = element.get("content")
        if isinstance(content, str) and content.strip():
            named.setdefault(str(label).lower(), []).append(content.strip())
    return named


def _contents(named: Mapping[str, list[str]], names: Iterable[str]) -> Iterator[str]:
    for name in names:
        yield from named.get(name, ())


def _canonical(addresses: Iterable[str], url: str | None) -> str | None:
    """Give the first address that may be the page's own, else the one that it was read from."""
    for address in addresses:
        try:
            whole = urljoin(url or "", address.strip())
        except ValueError:  # "http://[" and the like
            continue
        if is_web(whole) and _host(whole) and _may_be_of(whole, url):
            return whole
    return url


def _may_be_of(canonical: str, url: str | None) -> bool:
    """Tell whether a page read from ``url`` may have that canonical address.

    A page from the web may only name one of its own site, and not the site's root for every page, as broken
    templates do. A file may name any.
    """
    if url is None or not is_web(url):
        return True
    is_root = urlsplit(canonical).path in ("", "/") and not urlsplit(canonical).query
    return same_site(canonical, url) and (not is_root or urlsplit(url).path in ("", "/"))


def _language(soup: BeautifulSoup, named: Mapping[str, list[str]]) -> str | None:
    mark = soup.html.get("lang") or soup.html.get("xml:lang") if soup.html else None
    mark = mark or next(_contents(named, ("og:locale", "content-language", "language")), None)
    return str(mark).strip().replace("_", "-") or None if mark else None


def _first_day(language: str | None, *texts: str) -> str | None:
    return next((day for day in (iso_day(text, language) for text in texts) if day), None)
