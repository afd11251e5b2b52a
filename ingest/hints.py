"""What is known of single sites' pages: hints, as data, on where the article, its title, dates and FAQ pairs stand.

The rows that come with citedesk are in sites.toml beside this module; an operator's own file in the same format goes
before them. A hint helps and never binds: where it points at nothing, or at nearly nothing, the page is read as any other.
"""

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import soupsieve
from bs4 import BeautifulSoup, Tag

from ingest.article import IngestError
from ingest.blocks import HEADINGS
from ingest.breadcrumbs import shown_breadcrumbs
from ingest.dates import iso_day
from ingest.labels import PUBLISHED_LABEL, UPDATED_LABEL
from ingest.pagemeta import PageMeta
from ingest.shapes import word_count
from ingest.tree import is_gone, line_of, tags_of

#: Words from which a hinted main element holds an article; fewer are a spinner, or a text that a script loads.
FEWEST_WORDS = 8
#: The share of the words of the generic way's main text that the hinted element has at least, and the share of the words
#: of all that a selector matches that the longest match has: less, and the site has changed its markup since.
LEAST_SHARE = 0.1
LEAST_OF_MATCHES = 0.6
#: An element with more than this share of the page's text is never removed: it is the page, not a box.
MOST_REMOVED = 0.5
#: Words of an element that is a date with its label and nothing more.
LONGEST_DATE = 12
#: Matches of one selector that are looked at; the page of a help centre has one article.
MOST_MATCHES = 50
_LAST_NAME = re.compile(r"[.#][A-Za-z][\w-]*\Z")
_NO_SELECTORS = ("name", "domains")


@dataclass(frozen=True, slots=True)
class Site:
    """The hints on one site, or on one theme that many sites use; all but ``name`` and ``domains`` are CSS selectors.

    :ivar domains: Hosts whose pages these are, with the hosts below them; any where empty.
    :ivar marks: What a page holds, all of it, if it is one of these.
    :ivar main: Where the article's text stands; the first with enough text counts.
    :ivar remove: What is not the article, wherever it stands.
    :ivar title: The article's title; ``updated`` and ``published`` its dates; the first that can be read counts.
    :ivar breadcrumbs: The element that holds the way to the page.
    :ivar questions: What opens the panels of an accordion; ``answers`` are the panels, each behind its question.
    """

    name: str
    domains: tuple[str, ...] = ()
    marks: tuple[str, ...] = ()
    main: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()
    title: tuple[str, ...] = ()
    updated: tuple[str, ...] = ()
    published: tuple[str, ...] = ()
    breadcrumbs: tuple[str, ...] = ()
    questions: tuple[str, ...] = ()
    answers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Sites:
    """The sites that are known, the operator's own first."""

    rows: tuple[Site, ...] = ()

    def find(self, soup: BeautifulSoup, url: str | None) -> Site | None:
        """Give the first row that a page fits.

        :param url: The page's address; rows with domains fit no page without one.
        """
        host = _host(url)
        names = _names(soup)
        return next((row for row in self.rows if _fits(row, soup, host, names)), None)


def load_sites(path: Path | None = None) -> Sites:
    """Read an operator's sites.toml, and put its rows before those that come with citedesk.

    :param path: The operator's file; without one, only those that come with citedesk.
    :raises IngestError: The file cannot be read, or something in it is wrong; the message names row and field.
    """
    if path is None:
        return shipped_sites()
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise IngestError(f"{path}: cannot read the hints on sites ({error}); give them as a TOML file") from error
    return Sites((*parse_sites(text, where=str(path)).rows, *shipped_sites().rows))


@cache
def shipped_sites() -> Sites:
    """Read the sites.toml that comes with citedesk, once."""
    path = Path(__file__).with_name("sites.toml")
    return parse_sites(path.read_text(encoding="utf-8"), where=path.name)


def parse_sites(text: str, *, where: str) -> Sites:
    """Parse the text of a sites.toml; see `load_sites`.

    :param where: Names the file in messages.
    :raises IngestError: It is no TOML, or a row has an unknown field, a wrong value or a bad selector.
    """
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise IngestError(f"{where}: not valid TOML: {error}") from error
    unknown = sorted(set(data) - {"site"})
    if unknown:
        raise IngestError(
            f"{where}: unknown setting {unknown[0]!r}; a file of sites holds [[site]] rows and nothing else"
        )
    rows = data.get("site", [])
    if not isinstance(rows, list):
        raise IngestError(f"{where}: 'site' is one table; write it as a row, [[site]]")
    return Sites(tuple(_site(row, f"{where}: [[site]] number {number}") for number, row in enumerate(rows, 1)))


def apply_hints(soup: BeautifulSoup, meta: PageMeta, sites: Sites) -> list[list[Tag]]:
    """Use the hints on the page's site, if there are any: note title, dates and breadcrumbs, and prepare the page.

    Call it before anything is taken out of the page: boxes are removed here, accordions become ``details``.

    :return: What may be the main element, for `choose_main`: the matches of each selector, in the order of selectors.
    """
    site = sites.find(soup, meta.url)
    if site is None:
        return []
    meta.title = _title(soup, site) or meta.title
    meta.updated = _day(soup, site.updated, UPDATED_LABEL, meta.language) or meta.updated
    meta.published = _day(soup, site.published, PUBLISHED_LABEL, meta.language) or meta.published
    if site.breadcrumbs:
        meta.breadcrumbs = shown_breadcrumbs(soup, site.breadcrumbs) or meta.breadcrumbs
    _remove(soup, site)
    _open_panels(soup, site)
    return [list(soup.select(selector, limit=MOST_MATCHES)) for selector in site.main]


def choose_main(hinted: Sequence[Sequence[Tag]], generic: Tag) -> Tag:
    """Choose the hinted main element if it holds the article, else the one that the generic way has found.

    Call it when the noise is gone.
    """
    for matches in hinted:
        there = [match for match in matches if not is_gone(match)]
        words = {id(match): _words(match) for match in there}
        apart = sum(words[id(match)] for match in there if not any(id(outer) in words for outer in match.parents))
        best = max(there, key=lambda match: words[id(match)], default=generic)
        least = max(FEWEST_WORDS, LEAST_OF_MATCHES * apart)
        if there and words[id(best)] >= least and words[id(best)] >= LEAST_SHARE * _words(generic):
            return best
    return generic


def _site(row: Any, where: str) -> Site:  # noqa: ANN401  (whatever stands in the file)
    known = [field.name for field in fields(Site)]
    if not isinstance(row, dict):
        raise IngestError(f"{where}: is {row!r}; give a [[site]] with a name")
    if not isinstance(row.get("name"), str) or not row["name"].strip():
        raise IngestError(f"{where}: 'name' is missing; give the site's name as a text")
    where = f"{where} ({row['name']})"
    unknown = sorted(set(row) - set(known))
    if unknown:
        raise IngestError(f"{where}: unknown field {unknown[0]!r}; known are {', '.join(known)}")
    for field, value in row.items():
        _check(field, value, where)
    if not row.get("domains") and not row.get("marks"):
        raise IngestError(f"{where}: neither 'domains' nor 'marks' in it; say by which of them its pages are known")
    if bool(row.get("questions")) != bool(row.get("answers")):
        raise IngestError(f"{where}: only one of 'questions' and 'answers' in it; give both, or neither")
    return Site(row["name"], **{field: tuple(value) for field, value in row.items() if field != "name"})


def _check(field: str, value: object, where: str) -> None:
    if field == "name":
        return
    if not isinstance(value, list) or not all(isinstance(item, str) and item.strip() for item in value):
        raise IngestError(f"{where}: {field} is {value!r}; a list of texts is expected")
    for item in value:
        if field == "domains" and (item != item.lower() or any(mark in item for mark in "/:* ") or "." not in item):
            raise IngestError(f"{where}: {field}: {item!r} is no host; write it like example.com")
        if field in _NO_SELECTORS:
            continue
        try:
            soupsieve.compile(item)
        except (soupsieve.SelectorSyntaxError, ValueError, NotImplementedError) as error:
            reason = str(error).split("\n")[0]
            raise IngestError(f"{where}: {field}: {item!r} is no CSS selector: {reason}") from error


def _host(url: str | None) -> str:
    try:
        return (urlsplit(url or "").hostname or "").rstrip(".")
    except ValueError:
        return ""


def _names(soup: BeautifulSoup) -> set[str]:
    """Give the classes and ids of a page, as selectors name them."""
    names: set[str] = set()
    for tag in tags_of(soup):
        if "class" in tag.attrs:
            names.update(f".{name}" for name in tag.get_attribute_list("class"))
        if "id" in tag.attrs:
            names.add(f"#{tag.attrs['id']}")
    return names


def _fits(site: Site, soup: BeautifulSoup, host: str, names: set[str]) -> bool:
    if site.domains and not any(host == domain or host.endswith(f".{domain}") for domain in site.domains):
        return False
    # Most pages lack the class or id that a mark ends with, so most marks need not be looked for.
    if not all(_may_hold(mark, names) for mark in site.marks):
        return False
    return all(soup.select_one(mark) is not None for mark in site.marks)


def _may_hold(mark: str, names: set[str]) -> bool:
    ends = [_LAST_NAME.search(part.strip()) for part in mark.split(",")]
    return "(" in mark or any(end is None or end[0] in names for end in ends)


def _title(soup: BeautifulSoup, site: Site) -> str:
    found = (line_of(element) for selector in site.title for element in soup.select(selector))
    return next((text for text in found if text), "")


def _day(soup: BeautifulSoup, selectors: Sequence[str], label: re.Pattern[str], language: str | None) -> str | None:
    """Read the first date that selectors point at: of its attribute, else of its text, from its label on.

    The element goes, if it is nothing but the date.
    """
    for selector in selectors:
        for element in soup.select(selector):
            text = line_of(element)
            labelled = label.search(text)
            for written in (str(element.get("datetime") or ""), text[labelled.start() :] if labelled else "", text):
                day = iso_day(written, language)
                if day:
                    if word_count(text) <= LONGEST_DATE:
                        element.decompose()  # so that it is not taken for the other date as well
                    return day
    return None


def _remove(soup: BeautifulSoup, site: Site) -> None:
    most = MOST_REMOVED * len(soup.get_text())
    for selector in site.remove:
        for element in soup.select(selector):
            if not is_gone(element) and len(element.get_text()) <= most:
                element.decompose()


def _open_panels(soup: BeautifulSoup, site: Site) -> None:
    """Turn each question of an accordion and the panel behind it into ``details``, which are then read as such."""
    if not site.questions:
        return
    answers = {id(element) for element in soup.select(", ".join(site.answers))}
    asked: Tag | None = None
    for element in soup.select(", ".join((*site.questions, *site.answers))):
        if id(element) not in answers:
            asked = element
        elif asked is not None:
            around = {id(outer) for outer in (*asked.parents, *element.parents)}
            if id(asked) not in around and id(element) not in around:
                _as_details(soup, asked, element)
            asked = None


def _as_details(soup: BeautifulSoup, question: Tag, answer: Tag) -> None:
    title = line_of(question)
    if not title or not line_of(answer):
        return
    details, summary = soup.new_tag("details"), soup.new_tag("summary")
    anchor = question.get("id") or answer.get("id")
    if anchor:
        details["id"] = anchor
    summary.string = title
    place = question
    while place.parent and place.parent.name not in ("body", "main", "article") and line_of(place.parent) == title:
        place = place.parent
    place.insert_before(details)
    for hiding in ("hidden", "aria-hidden", "style", "class"):
        if hiding in answer.attrs:
            del answer[hiding]
    if answer.name in (*HEADINGS, "button", "li", "dd"):
        answer.name = "div"
    details.append(summary)
    details.append(answer.extract())
    place.extract()


def _words(element: Tag) -> int:
    return word_count(element.get_text(" "))
