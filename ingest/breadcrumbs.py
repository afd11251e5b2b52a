"""The way to a page that the page shows: from JSON-LD, or from the element that shows it."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from html import unescape
from itertools import islice
from typing import Any

from bs4 import BeautifulSoup, Tag

from ingest.blocks import clean_text
from ingest.tree import tags_of

#: A longer trail, or a crumb of more characters, is a menu or a text. The deepest help centre looked at has 5 levels.
MOST_CRUMBS = 10
LONGEST_CRUMB = 120
#: Elements that are tried; a page with more that are called breadcrumbs has none.
MOST_CANDIDATES = 8
_NAMED = re.compile(r"breadcrumb|crumbs?\b", re.IGNORECASE)
_LABEL = re.compile(r"breadcrumbs?(?: navigation)?|you are here|estás aquí|sie sind hier|vous êtes ici", re.IGNORECASE)
_SEPARATORS = " \t\n/\\|·•→➔‣▸►›»>＞-–—:"


def listed_breadcrumbs(things: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """Read the first BreadcrumbList of a page's JSON-LD.

    :param things: The objects of its JSON-LD, also those inside others.
    """
    for thing in things:
        if thing.get("@type") == "BreadcrumbList" and isinstance(thing.get("itemListElement"), list):
            items = [item for item in thing["itemListElement"] if isinstance(item, dict)]
            crumbs = _bounded(_item_name(item) for item in sorted(items, key=_position))
            if crumbs:
                return crumbs
    return ()


def shown_breadcrumbs(soup: BeautifulSoup, selectors: Sequence[str] = ()) -> tuple[str, ...]:
    """Read the breadcrumbs that a page shows.

    :param selectors: CSS selectors of the element that holds them, tried in order; without any, what is labelled
        or called breadcrumbs is taken.
    """
    found = (element for selector in selectors for element in soup.select(selector)) if selectors else _named(soup)
    for element in islice(found, MOST_CANDIDATES):
        crumbs = () if element.find(["h1", "h2"]) else _bounded(_crumbs(element))
        if crumbs:
            return crumbs
    return ()


def without_page(crumbs: Sequence[str], title: str) -> tuple[str, ...]:
    """Leave out the page itself, with which many trails end."""
    last = crumbs[-1].rstrip("….").casefold() if crumbs else ""
    return tuple(crumbs[:-1] if last and title.casefold().startswith(last) else crumbs)


def _named(soup: BeautifulSoup) -> Iterator[Tag]:
    for element in tags_of(soup):
        if not element.attrs or element.name in ("html", "body", "a", "script", "style"):
            continue
        names = (element.attrs.get(attribute) for attribute in ("aria-label", "id", "itemtype", "class"))
        if any(_is_named(name if isinstance(name, str) else " ".join(name)) for name in names if name):
            yield element


@lru_cache(maxsize=16384)
def _is_named(name: str) -> bool:
    return _NAMED.search(name) is not None


def _crumbs(element: Tag) -> Iterator[str]:
    """Give the text of each item, of each link that is in none, and of what stands between them."""
    gathered: dict[int, list[str]] = {}
    for string in element.find_all(string=True):
        if string.find_parent(("script", "style", "svg", "button")):
            continue
        holder = next((outer for outer in string.parents if outer is element or outer.name in ("li", "a")), element)
        gathered.setdefault(id(string if holder is element else holder), []).append(str(string))
    return (" ".join(strings) for strings in gathered.values())


def _bounded(names: Iterable[str]) -> tuple[str, ...]:
    """Give the names without separators, or nothing if they are no trail."""
    crumbs: list[str] = []
    for name in names:
        crumb = " ".join(clean_text(name).split()).strip(_SEPARATORS)
        if len(crumb) > LONGEST_CRUMB or len(crumbs) > MOST_CRUMBS:
            return ()
        if crumb and crumb not in crumbs[-1:] and not _LABEL.fullmatch(crumb):
            crumbs.append(crumb)
    return tuple(crumbs) if len(crumbs) <= MOST_CRUMBS else ()


def _item_name(item: Mapping[str, Any]) -> str:
    inner = item.get("item")
    name = item.get("name") or (inner.get("name") if isinstance(inner, dict) else None)
    return unescape(name) if isinstance(name, str) else ""


def _position(item: Mapping[str, Any]) -> float:
    try:
        return float(item.get("position") or 0)
    except (TypeError, ValueError):
        return 0.0
