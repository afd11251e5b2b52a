"""What a page says of itself in its head and in JSON-LD: title, address, dates, language, site, questions."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import urljoin, urlsplit

from bs4 import BeautifulSoup, Tag
from publicsuffixlist import PublicSuffixList

from ingest.blocks import text_of
from ingest.dates import iso_day, labelled_day
from ingest.labels import UPDATED_LABEL

_ARTICLE_TYPES = re.compile(r"(?:Article|BlogPosting|WebPage|FAQPage|QAPage|HowTo|Report|Posting)$")
_TITLE_CUT = re.compile(r"\s+[|·•–—»]\s+|\s+-\s+|\s*[｜_]\s*")


@dataclass(slots=True)
class PageMeta:
    """What the head and the JSON-LD of a page say.

    :ivar titles: The page's title as its head gives it, most trusted first.
    :ivar questions: Question → answer, as plain text, of FAQPage and QAPage.
    """

    url: str | None = None
    titles: list[str] = field(default_factory=list)
    published: str | None = None
    updated: str | None = None
    language: str | None = None
    questions: dict[str, str] = field(default_factory=dict)


def read_meta(soup: BeautifulSoup, url: str | None) -> PageMeta:
    """Read the head, the JSON-LD and the machine-readable dates of a page; nothing is taken out of it.

    :param url: Where the page was read from; relative canonical addresses are resolved against it.
    """
    things = list(_json_ld(soup))
    meta = PageMeta(language=_language(soup))
    meta.url = _canonical(soup, url)
    meta.titles = _titles(soup, things)
    meta.published = _first_day(
        meta.language,
        *_values(things, "datePublished"),
        *_meta(
            soup,
            "article:published_time",
            "datepublished",
            "date",
            "dc.date",
            "dc.date.issued",
            "dcterms.created",
            "dcterms.issued",
            "publish-date",
            "pubdate",
            "parsely-pub-date",
        ),
    )
    meta.updated = _first_day(
        meta.language,
        *_values(things, "dateModified"),
        *_meta(
            soup,
            "article:modified_time",
            "og:updated_time",
            "datemodified",
            "dcterms.modified",
            "dc.date.modified",
            "last-modified",
            "revised",
        ),
    )
    meta.questions = dict(_questions(things))
    return meta


def visible_dates(root: Tag, meta: PageMeta) -> None:
    """Fill in the dates that only the page's text gives: ``time`` elements and lines such as "Updated on …".

    Call it when boxes that lead to other pages, with dates of their own, are gone.
    """
    for element in root.find_all("time"):
        day = iso_day(str(element.get("datetime") or ""), meta.language) or iso_day(
            element.get_text(" "), meta.language
        )
        around = " ".join((element.parent or element).get_text(" ").split())[:80]
        names = " ".join([*element.get_attribute_list("class"), str(element.get("itemprop") or "")]).lower()
        if day and ("updat" in names or "modif" in names or UPDATED_LABEL.match(around)):
            meta.updated = meta.updated or day
        elif day:
            meta.published = meta.published or day
    for string in root.find_all(string=re.compile(r"(?:19|20)\d\d")):
        line = " ".join(string.split())
        parent = string.parent
        if parent and parent.name in ("span", "b", "strong", "em", "i", "small") and parent.parent and len(line) < 40:
            outer = " ".join(parent.parent.get_text(" ").split())
            line = outer if len(outer) < 100 else line
        found = labelled_day(line, meta.language)
        if found and found[0] == "updated":
            meta.updated = meta.updated or found[1]
        elif found:
            meta.published = meta.published or found[1]


def choose_title(soup: BeautifulSoup, meta: PageMeta) -> str:
    """Choose the page's title: the main heading that shares most with the head's title, else the head's title."""
    headings = [heading for heading in map(text_of, soup.find_all("h1")) if heading]
    named = meta.titles[0] if meta.titles else ""
    if headings:
        return max(headings, key=lambda heading: len(_words(heading) & _words(named)))
    return _without_site(named)


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
    address = urlsplit(text.strip()) if text and "://" in text[:10] else None
    if address:
        site = _suffixes().privatesuffix(address.hostname or "")
        return str(site) if site else None
    for host in re.findall(r"(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,24}\b", (text or "").lower()):
        if _suffixes().publicsuffix(host, accept_unknown=False):
            registered = _suffixes().privatesuffix(host)
            if registered:
                return str(registered)
    return None


def _json_ld(soup: BeautifulSoup) -> Iterator[Mapping[str, Any]]:
    for script in soup.find_all("script", type=re.compile(r"ld\+json", re.IGNORECASE)):
        try:
            yield from _things(json.loads(script.get_text(), strict=False))
        except ValueError:  # cut off or hand-made; what the page shows is read all the same
            continue


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
    return " ".join(BeautifulSoup(f"<div>{markup}</div>", "lxml").get_text(" ").split())


def _titles(soup: BeautifulSoup, things: list[Mapping[str, Any]]) -> list[str]:
    titles = [
        *_meta(soup, "og:title"),
        *(soup.title.stripped_strings if soup.title else ()),
        *_values(things, "headline"),
    ]
    return [" ".join(title.split()) for title in titles if title.strip()]


def _without_site(title: str) -> str:
    """Cut the site's name off: the title's longest part."""
    return max(_TITLE_CUT.split(title), key=len, default=title).strip()


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.casefold()))


def _meta(soup: BeautifulSoup, *names: str) -> Iterator[str]:
    for name in names:
        for element in soup.find_all("meta"):
            label = str(element.get("property") or element.get("name") or element.get("itemprop") or "").lower()
            content = element.get("content")
            if label == name and isinstance(content, str) and content.strip():
                yield content.strip()


def _canonical(soup: BeautifulSoup, url: str | None) -> str | None:
    links = [str(link.get("href") or "") for link in soup.find_all("link", rel="canonical")]
    for address in [*links, *_meta(soup, "og:url")]:
        whole = urljoin(url or "", address.strip())
        if urlsplit(whole).scheme in ("http", "https") and urlsplit(whole).netloc:
            return whole
    return url


def _language(soup: BeautifulSoup) -> str | None:
    mark = soup.html.get("lang") or soup.html.get("xml:lang") if soup.html else None
    mark = mark or next(_meta(soup, "og:locale", "content-language", "language"), None)
    return str(mark).strip().replace("_", "-") or None if mark else None


def _first_day(language: str | None, *texts: str) -> str | None:
    return next((day for day in (iso_day(text, language) for text in texts) if day), None)
