"""Zendesk help centres through their public API: what to ask for, and what the answers say.

What the API gives without a login (developer.zendesk.com, Help Center API):

* ``/api/v2/help_center/locales.json`` names the languages, ``/api/v2/help_center/LOCALE/articles.json`` lists the
  articles of one, 100 a page, with their sections and categories beside them; an anonymous reader has to name the
  locale, and is given only what an anonymous reader may see.
* The incremental export (``/incremental/articles``) is for agents and administrators only, so it is of no use here.
* Cursor pagination (``page[size]``, ``links.next``, ``meta.has_more``) has no end; offset pagination (``per_page``,
  ``next_page``) ends with an error at 10,000 articles. The first is asked for, both are understood.
* Too many requests are answered by status 429 with ``Retry-After`` in seconds.

So a run lists every locale whole: that is one request for 100 articles, with their text in it, and only a whole listing
tells what was deleted. Between whole runs, `articles_url(newest_first=True)` lists what changed last first, and
`reaches` tells when the rest is known.
"""

import html
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

from ingest.feed import iso_time
from ingest.links import normal

_API = "/api/v2/help_center"
_LOCALE = re.compile(r"[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{1,8}){0,3}")
#: Parents above a section are followed so far: Zendesk allows five levels, a wrong answer could make a circle.
_DEEPEST = 10
#: No answer with 100 articles is larger, in bytes; a larger one is not parsed.
LARGEST = 100 * 2**20


@dataclass(frozen=True, slots=True)
class ZendeskArticle:
    """An article in one locale, as every reader may see it.

    :ivar id: The article's number, the same in every locale.
    :ivar url: Its page, as `ingest.links.normal` gives it, on the host that was asked: an API speaks for no other.
    :ivar html: Its text as HTML, without any page around it.
    :ivar published: When the article was made, ISO 8601 in UTC; None where that is missing or no date.
    :ivar updated: When its text was last edited in this locale, ISO 8601 in UTC.
    :ivar changed: When anything of it last changed, ISO 8601 in UTC; listings are sorted by it.
    :ivar section_id: The section it stands in, for `breadcrumbs`.
    """

    id: int
    url: str
    title: str
    html: str
    locale: str
    published: str | None
    updated: str | None
    changed: str | None
    section_id: int | None


@dataclass(frozen=True, slots=True)
class ZendeskSection:
    """A section, as a step of the breadcrumbs: its name, and what it stands in."""

    name: str
    parent_id: int | None
    category_id: int | None


@dataclass(frozen=True, slots=True)
class ZendeskPage:
    """One page of a listing.

    :ivar articles: Drafts, and what only some readers may see, are left out: for the public they do not exist.
    :ivar next_url: The next page, on the host that was asked; None at the end. Whoever follows it keeps count of
        what was asked already: a listing that runs in a longer circle cannot be told from one page.
    :ivar problem: What is wrong or was not read; then the listing is not whole, and what is missing in it is not gone.
    """

    articles: tuple[ZendeskArticle, ...]
    next_url: str | None
    problem: str | None


def locales_url(base: str) -> str:
    """Give the address that names a help centre's languages.

    :param base: Any address of the help centre; only scheme and host count.
    :raises ValueError: It is no web address.
    """
    return f"{_origin(base)}{_API}/locales.json"


def articles_url(base: str, locale: str, *, page_size: int = 100, newest_first: bool = False) -> str:
    """Give the address of the first page of a language's articles, with their sections and categories.

    :param page_size: Articles a page, 1 to 100.
    :param newest_first: Ask for what changed last first; `reaches` checks that the answer is sorted so.
    :raises ValueError: The base is no web address, or the locale is none.
    """
    if not _LOCALE.fullmatch(locale):
        raise ValueError(f"{locale!r} is no locale; give one that {locales_url(base)} names, such as en-us")
    size = max(1, min(page_size, 100))
    order = "&sort_by=updated_at&sort_order=desc" if newest_first else ""
    # Brackets are percent-encoded, as `normal` would do, so that the address is the same wherever it is written.
    query = f"page%5Bsize%5D={size}&include=sections,categories{order}"
    return f"{_origin(base)}{_API}/{quote(locale.lower())}/articles.json?{query}"


def read_locales(data: bytes) -> tuple[str, ...]:
    """Read the languages of a help centre, its default first; empty where the answer is none."""
    answer, _ = _answer(data)
    found: dict[str, None] = {}
    for locale in (answer.get("default_locale"), *_list(answer, "locales")):
        if isinstance(locale, str) and _LOCALE.fullmatch(locale):
            found[locale.lower()] = None
    return tuple(found)


def read_articles(data: bytes, url: str) -> ZendeskPage:
    """Read one page of a listing of articles. Never an exception: `ZendeskPage.problem` says what is wrong.

    :param url: The address that was asked.
    """
    url = normal(url) or ""
    answer, problem = _answer(data) if url else ({}, "the address that was asked is no web address")
    if problem is None and not isinstance(answer.get("articles"), list):
        problem = f"no 'articles' in the answer{_error(answer)}"
    if problem:
        return ZendeskPage((), None, problem)
    rows = _list(answer, "articles")
    public = [row for row in rows if not _is_hidden(row)]
    articles = tuple(article for row in public if (article := _article(row, url)))
    lost = len(public) - len(articles)
    next_url, problem = _next(answer, url)
    if lost:
        problem = (
            problem or f"{lost} of {len(rows)} articles lack 'id', 'html_url', 'title' or 'body', or have a wrong one"
        )
    return ZendeskPage(articles, next_url, problem)


def reaches(page: ZendeskPage, since: str) -> bool:
    """Tell whether a listing with the newest first has come to what was known before, so that the rest may be left.

    :param since: The time of the last run, ISO 8601 in UTC, as `ZendeskArticle.changed`.
    :return: False also where the page is not sorted, or lacks a time: then the rest has to be read.
    """
    times = [article.changed or "" for article in page.articles]
    return bool(times) and all(times) and times == sorted(times, reverse=True) and times[-1] < since


def read_sections(data: bytes) -> dict[int, ZendeskSection]:
    """Read the sections of an answer by their id: of a listing of sections, or those beside a page of articles."""
    found = {}
    for row in _list(_answer(data)[0], "sections"):
        number, name = _number(row, "id"), _text(row, "name")
        if number is not None and name:
            found[number] = ZendeskSection(name, _number(row, "parent_section_id"), _number(row, "category_id"))
    return found


def read_categories(data: bytes) -> dict[int, str]:
    """Read the categories' names of an answer by their id."""
    found = {}
    for row in _list(_answer(data)[0], "categories"):
        number, name = _number(row, "id"), _text(row, "name")
        if number is not None and name:
            found[number] = name
    return found


def breadcrumbs(
    article: ZendeskArticle, sections: Mapping[int, ZendeskSection], categories: Mapping[int, str]
) -> tuple[str, ...]:
    """Give the way from the help centre's start to an article: category, sections, without the article."""
    steps: list[str] = []
    category: int | None = None
    number = article.section_id
    while number is not None and len(steps) < _DEEPEST and (section := sections.get(number)):
        steps.append(section.name)
        category = section.category_id if category is None else category
        number = section.parent_id
    if category is not None and category in categories:
        steps.append(categories[category])
    return tuple(reversed(steps))


def to_html(article: ZendeskArticle, breadcrumbs: tuple[str, ...] = ()) -> bytes:
    """Make one page of an article, laid out and named as in Zendesk's standard theme, in UTF-8."""
    title, url = html.escape(article.title), html.escape(article.url)
    dates = "".join(
        f'<meta property="article:{name}_time" content="{time}">\n'
        for name, time in (("published", article.published), ("modified", article.updated))
        if time
    )
    steps = "".join(f"<li>{html.escape(step)}</li>" for step in breadcrumbs)
    trail = f'<nav aria-label="Breadcrumb"><ol class="breadcrumbs">{steps}</ol></nav>\n' if steps else ""
    page = (
        f'<!DOCTYPE html>\n<html lang="{html.escape(article.locale)}">\n<head>\n<meta charset="utf-8">\n'
        f'<title>{title}</title>\n<link rel="canonical" href="{url}">\n{dates}</head>\n<body>\n<main>\n{trail}'
        f'<article class="article">\n<header class="article-header"><h1 class="article-title">{title}</h1></header>\n'
        f'<div class="article-body">{article.html}</div>\n</article>\n</main>\n</body>\n</html>\n'
    )
    return page.encode("utf-8", "replace")


def _origin(base: str) -> str:
    address = normal(base)
    if address is None:
        raise ValueError(f"{base!r} is no web address; give the help centre's, such as https://help.example")
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc}"


def _answer(data: bytes) -> tuple[dict[str, Any], str | None]:
    if len(data) > LARGEST:
        return {}, f"an answer of more than {LARGEST // 2**20} MiB; it is not read"
    try:
        answer = json.loads(data)
    except (ValueError, RecursionError) as error:  # also 100,000 brackets, and a number of 5,000 digits
        return {}, f"the answer is no JSON ({error})"
    if not isinstance(answer, dict):
        return {}, f"the answer is no JSON object but {type(answer).__name__}"
    return answer, None


def _article(row: object, url: str) -> ZendeskArticle | None:
    number, title, address = _number(row, "id"), _text(row, "title"), _text(row, "html_url")
    body = row.get("body", "") if isinstance(row, dict) else None
    page = normal(address) if address else None
    if number is None or not title or page is None or not (body is None or isinstance(body, str)):
        return None
    asked = urlsplit(url)
    times = [iso_time(_text(row, name)) for name in ("created_at", "edited_at", "updated_at")]
    return ZendeskArticle(
        id=number,
        url=urlsplit(page)._replace(scheme=asked.scheme, netloc=asked.netloc).geturl(),
        title=title,
        html=body or "",
        locale=(_text(row, "locale") or "").lower(),
        published=times[0],
        updated=times[1] or times[2],
        changed=times[2],
        section_id=_number(row, "section_id"),
    )


def _is_hidden(row: object) -> bool:
    """Tell drafts and what is for some readers only. An anonymous reader should not be given them at all."""
    if not isinstance(row, dict):
        return False
    return bool(row.get("draft")) or row.get("user_segment_id") is not None or bool(row.get("user_segment_ids"))


def _next(answer: dict[str, Any], url: str) -> tuple[str | None, str | None]:
    """Give the next page's address on the host that was asked, or say what is wrong with it."""
    meta, links = answer.get("meta"), answer.get("links")
    if isinstance(meta, dict) and isinstance(links, dict):
        found = links.get("next") if meta.get("has_more") else None
    else:
        found = answer.get("next_page")
    if found is None:
        return None, None
    if not isinstance(found, str) or len(found) > 10_000:
        return None, "the address of the next page is none; the rest is missing"
    try:
        asked, named = urlsplit(url), urlsplit(urljoin(url, found))
    except ValueError:
        return None, f"the next page is {found[:200]!r}, no address; the rest is missing"
    # A help centre under its own domain may name its zendesk.com host; only the path says that it is the same list.
    if named.path.removesuffix(".json") != asked.path.removesuffix(".json"):
        return None, f"the next page is {found[:200]!r}, another list than the one asked for; the rest is missing"
    address = asked._replace(query=quote(named.query, safe="%&=+,:;@/?!$'()*~-._"), fragment="").geturl()
    if _pairs(address) == _pairs(url):
        return None, "the next page is the same page; the rest is missing"
    return address, None


def _pairs(url: str) -> list[str]:
    return sorted(quote(pair, safe="%=").lower() for pair in urlsplit(url).query.split("&"))


def _error(answer: dict[str, Any]) -> str:
    error = answer.get("error") or answer.get("description")
    return f": {str(error)[:200]}" if error else ""


def _list(answer: dict[str, Any], name: str) -> list[Any]:
    rows = answer.get(name)
    return rows if isinstance(rows, list) else []


def _number(row: object, name: str) -> int | None:
    value = row.get(name) if isinstance(row, dict) else None
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,18}", value):  # Zendesk recommends strings for ids
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63 else None


def _text(row: object, name: str) -> str | None:
    value = row.get(name) if isinstance(row, dict) else None
    return value.strip() or None if isinstance(value, str) else None
