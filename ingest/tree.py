"""HTML text → a tree of bounded depth and size, without what never holds text of an article.

The bounds hold while the tree is built, so that no page, however hostile, can make anything that walks the tree slow:
what is nested deeper than any page needs is unwrapped, what is embedded (scripts, drawings, videos) is passed over, and
a page of more elements than any page needs is refused.
"""

from collections.abc import Collection, Iterator
from typing import Any

from bs4 import BeautifulSoup, Comment, Tag
from bs4.builder import LXMLTreeBuilder  # type: ignore[attr-defined]
from bs4.element import NavigableString, PageElement

from ingest.article import PageError

#: Levels of elements inside each other that are kept; the deepest of the 255 pages of the WCXB set has 48.
DEEPEST = 120
#: Elements of the largest page that is read; the largest of the set has 9,800. Reading so many takes some seconds.
MOST_ELEMENTS = 40_000
#: Characters of an attribute that are kept.
LONGEST_ATTRIBUTE = 2000

_EMBEDDED = frozenset({"style", "noscript", "svg", "canvas", "iframe", "object", "embed", "audio", "video"})


class _TooLargeError(Exception):
    """The page has more than ``MOST_ELEMENTS`` elements."""


class _WideTag(Tag):
    """Finds a child near where it found the last one, since a page is worked through in reading order.

    Otherwise taking every other one of 50,000 list items out would take minutes.
    """

    _last = 0

    def index(self, element: PageElement) -> int:
        """Give a child's position.

        :raises ValueError: It is no child of this element.
        """
        contents = self.contents
        below = min(self._last, len(contents) - 1)
        above = below + 1
        while below >= 0 or above < len(contents):
            if below >= 0:
                if contents[below] is element:
                    self._last = below
                    return below
                below -= 1
            if above < len(contents):
                if contents[above] is element:
                    self._last = above
                    return above
                above += 1
        raise ValueError("the element is no child of this one")


class _Builder(LXMLTreeBuilder):  # type: ignore[misc]
    """Passes elements on as the parser gives them: HTML has no namespaces, and resolving them takes a third of the time."""

    soup: BeautifulSoup

    def start(self, tag: str | bytes, attrib: Any, nsmap: Any = None) -> None:  # noqa: ANN401  (the parser's own call)
        """Open an element."""
        self.soup.handle_starttag(str(tag), None, None, attrib, namespaces=self.active_namespace_prefixes[-1])

    def end(self, tag: str | bytes) -> None:
        """Close an element."""
        self.soup.handle_endtag(str(tag))


class _BoundedSoup(BeautifulSoup):
    """Passes over elements while they are parsed; the parser gives every start with its end, well nested."""

    _elements = 0
    _passed = 0  # open elements that were passed over
    _embedded = 0  # the open elements among them in which text is passed over too

    def handle_starttag(  # the parser's own call, with its own signature
        self,
        name: str,
        namespace: str | None,
        nsprefix: str | None,
        attrs: Any,  # noqa: ANN401
        *rest: Any,  # noqa: ANN401
        **more: Any,  # noqa: ANN401
    ) -> Tag | None:
        """Open an element, unless it is embedded, inside something embedded, or too deep."""
        self._elements += 1
        if self._elements > MOST_ELEMENTS:
            raise _TooLargeError
        embedded = name in _EMBEDDED or (name == "script" and "json" not in str(attrs.get("type", "")))
        if self._embedded or embedded:
            self.endData()
            self._embedded += 1
            return None
        if self._passed or len(self.tagStack) > DEEPEST:
            self.endData()
            self._passed += 1
            return None
        short = {key: value[:LONGEST_ATTRIBUTE] for key, value in attrs.items()}
        return super().handle_starttag(name, namespace, nsprefix, short, *rest, **more)

    def handle_endtag(self, name: str, nsprefix: str | None = None) -> None:
        """Close an element, or one of those that were passed over."""
        if self._embedded:
            self.current_data.clear()
            self._embedded -= 1
        elif self._passed:
            self.endData()
            self._passed -= 1
        else:
            super().handle_endtag(name, nsprefix)

    def handle_data(self, data: str) -> None:
        """Take text in, unless it is embedded."""
        if not self._embedded:
            super().handle_data(data)

    def endData(self, containerClass: type[NavigableString] | None = None) -> None:
        """End a run of text; comments are passed over."""
        if not self.current_data:
            return
        if containerClass is Comment:
            self.current_data.clear()
        else:
            super().endData(containerClass)


def parse_tree(html: str, *, where: str) -> BeautifulSoup:
    """Parse a page that is decoded already.

    :param where: Names the page in messages.
    :raises PageError: The page has more than ``MOST_ELEMENTS`` elements.
    """
    try:
        soup = _BoundedSoup(html, builder=_Builder(), element_classes={Tag: _WideTag})
    except _TooLargeError:
        raise PageError(
            f"{where}: has more than {MOST_ELEMENTS:,} elements, so it is no article; save what is wanted of it as text"
        ) from None
    _place_streamed(soup)
    return soup


def tags_of(root: Tag, names: Collection[str] | None = None) -> Iterator[Tag]:
    """Give the elements in an element, of some names or all, in reading order; much faster than ``find_all``."""
    node, end = _bounds(root)
    while node is not None and node is not end:
        after = node.next_element
        if isinstance(node, Tag) and (names is None or node.name in names):
            yield node
        node = after


def strings_of(root: Tag) -> Iterator[NavigableString]:
    """Give the strings in an element, comments and scripts among them, in reading order."""
    node, end = _bounds(root)
    while node is not None and node is not end:
        after = node.next_element
        if isinstance(node, NavigableString):
            yield node
        node = after


def _bounds(root: Tag) -> tuple[PageElement | None, PageElement | None]:
    """Give what comes first in an element, and what comes behind it: ``descendants`` is a generator inside another."""
    last: PageElement = root
    while isinstance(last, Tag) and last.contents:
        last = last.contents[-1]
    return (root.contents[0] if root.contents else None), last.next_element


def holds(element: Tag, names: Collection[str]) -> bool:
    """Tell whether an element of such a name stands in an element; much faster than ``find``."""
    return any(True for _ in tags_of(element, names))


def outer_of(node: PageElement, names: Collection[str]) -> Tag | None:
    """Give the innermost element of such a name around a node; much faster than ``find_parent``."""
    outer = node.parent
    while outer is not None and outer.name not in names:
        outer = outer.parent
    return outer


def following(element: Tag) -> Iterator[Tag]:
    """Give the elements after an element in the same parent, one at a time."""
    return (sibling for sibling in element.next_siblings if isinstance(sibling, Tag))


def is_gone(element: Tag) -> bool:
    """Tell whether an element was taken out of the page.

    ``Tag.decomposed`` tells the same, but searches everything below an element that was not.
    """
    return bool(vars(element).get("_decomposed"))


def is_inside(element: Tag, outer: Tag) -> bool:
    """Tell whether an element stands in another one; ``in outer.descendants`` compares whole trees instead."""
    return any(above is outer for above in element.parents)


def line_of(element: Tag) -> str:
    """Give an element's text in one line."""
    return " ".join(element.get_text(" ").split())


def start_of(element: Tag, length: int) -> str:
    """Give the start of an element's text in one line, ``length`` characters or little more."""
    words: list[str] = []
    size = 0
    for string in element.strings:
        words.extend(string.split(maxsplit=length))
        size += len(string)
        if size > 2 * length and sum(map(len, words)) > length:
            break
    return " ".join(words)


def _place_streamed(soup: BeautifulSoup) -> None:
    """Put the parts that React streams behind a page where it puts them in a browser.

    A part is ``<div hidden id="S:1">``, its place ``<template id="B:1">`` or, inside another part, ``"P:1"``.
    """
    found = {str(tag["id"]): tag for tag in tags_of(soup, ("div", "template")) if tag.has_attr("id")}
    for name, part in found.items():
        if part.name != "div" or not part.has_attr("hidden") or not name.startswith("S:"):
            continue
        place = found.get("B" + name[1:]) or found.get("P" + name[1:])
        if place is not None and place.name == "template" and not is_inside(place, part):
            place.replace_with(part.extract())
        del part["hidden"]
