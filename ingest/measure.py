"""How much text each element of a page holds, and how much of it leads away."""

from collections.abc import Collection, Iterator

from bs4 import BeautifulSoup, Tag
from bs4.element import NavigableString, PreformattedString

from ingest.blocks import HEADINGS, PAIR
from ingest.shapes import word_count
from ingest.tree import is_gone

_WHOLE = frozenset({"pre", "code", "samp", "kbd", *HEADINGS})


class Measures:
    """Words of every element of a page, in and outside links, kept true while elements are dropped.

    Everything is counted in one pass, since a page has tens of thousands of elements inside each other.
    """

    def __init__(self, soup: BeautifulSoup) -> None:
        self.soup = soup
        self._tags: list[Tag] = [soup]
        self._words: dict[int, int] = {}
        self._linked: dict[int, int] = {}
        self._headings: dict[int, int] = {}
        self._cores: dict[int, int] = {}
        self._in_pair: set[int] = set()
        self._whole: set[int] = set()
        self._title_at = 0
        for node in soup.descendants:
            if isinstance(node, Tag):
                self._tags.append(node)
                self._note_outer(node)
            elif isinstance(node, NavigableString) and not isinstance(node, PreformattedString) and not node.isspace():
                parent = id(node.parent)
                self._words[parent] = self._words.get(parent, 0) + word_count(node)
        self._sum_up()

    def _note_outer(self, tag: Tag) -> None:
        outer = tag.parent
        if outer is None:
            return
        if id(outer) in self._in_pair or outer.name == PAIR:
            self._in_pair.add(id(tag))
        if id(outer) in self._whole or tag.name in _WHOLE:
            self._whole.add(id(tag))
        if tag.name == "h1":
            self._title_at = self._title_at or len(self._tags)

    def _sum_up(self) -> None:
        """Add what each element holds to the one around it, the innermost first."""
        for tag in reversed(self._tags):
            own = id(tag)
            if tag.name == "a":
                self._linked[own] = self._words.get(own, 0)
            if tag.name in HEADINGS:
                self._headings[own] = self._headings.get(own, 0) + 1
            if tag.name in ("h1", PAIR):
                self._cores[own] = self._cores.get(own, 0) + 1
            if tag.parent is not None:
                for counts in (self._words, self._linked, self._headings, self._cores):
                    if own in counts:
                        counts[id(tag.parent)] = counts.get(id(tag.parent), 0) + counts[own]

    def tags(self, names: Collection[str] | None = None) -> Iterator[Tag]:
        """Give the elements of the page that are still there, of some names or all, in reading order."""
        for tag in self._tags[1:]:
            if (names is None or tag.name in names) and not is_gone(tag):
                yield tag

    def tags_before_title(self) -> Iterator[Tag]:
        """Give the elements that stand before the first main heading and do not hold it."""
        for tag in self._tags[1 : self._title_at]:
            if not (is_gone(tag) or self.holds_core(tag) or self.in_pair(tag)):
                yield tag

    def words(self, element: Tag) -> int:
        """Count the words in an element."""
        return self._words.get(id(element), 0)

    def own(self, element: Tag) -> int:
        """Count the words in an element that are in no link."""
        return self.words(element) - self._linked.get(id(element), 0)

    def headings(self, element: Tag) -> int:
        """Count the headings in an element, itself among them."""
        return self._headings.get(id(element), 0)

    def link_density(self, element: Tag) -> float:
        """Give the share of an element's words that are in links; 0 for an element without words."""
        words = self.words(element)
        return 1 - self.own(element) / words if words else 0.0

    def share(self, element: Tag) -> float:
        """Give the element's share of all words of the page that are in no link."""
        return self.own(element) / max(self.own(self.soup), 1)

    def holds_core(self, element: Tag) -> bool:
        """Tell whether an element is or holds a main heading or a FAQ pair."""
        return self._cores.get(id(element), 0) > 0

    def in_pair(self, element: Tag) -> bool:
        """Tell whether an element stands in a FAQ pair."""
        return id(element) in self._in_pair

    def is_kept_whole(self, element: Tag) -> bool:
        """Tell whether an element is or stands in code or a heading: a comment in code is the author's own."""
        return id(element) in self._whole

    def drop(self, element: Tag) -> None:
        """Take an element out of the page."""
        for counts in (self._words, self._linked, self._headings):
            count = counts.get(id(element), 0)
            if count:
                for outer in element.parents:
                    counts[id(outer)] = counts.get(id(outer), 0) - count
        element.decompose()
