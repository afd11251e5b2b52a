"""How much text each element of a page holds, and how much of it leads away."""

from bs4 import BeautifulSoup, Tag
from bs4.element import NavigableString, PreformattedString

from ingest.blocks import PAIR
from ingest.shapes import word_count


def is_gone(element: Tag) -> bool:
    """Tell whether an element was taken out of the page.

    ``Tag.decomposed`` tells the same, but searches everything below an element that was not.
    """
    return bool(vars(element).get("_decomposed"))


class Measures:
    """Words of every element of a page, in and outside links, kept true while elements are dropped.

    Everything is counted in one pass, since a page has tens of thousands of elements inside each other.
    """

    def __init__(self, soup: BeautifulSoup) -> None:
        self.soup = soup
        cores = soup.find_all(["h1", PAIR])
        self._around = {id(outer) for core in cores for outer in core.parents} | {id(core) for core in cores}
        self._inside = {id(inner) for pair in soup.find_all(PAIR) for inner in pair.descendants}
        self._words: dict[int, int] = {}
        self._linked: dict[int, int] = {}
        for string in soup.find_all(string=True):
            if isinstance(string, NavigableString) and not isinstance(string, PreformattedString):
                self._count(string)

    def words(self, element: Tag) -> int:
        """Count the words in an element."""
        return self._words.get(id(element), 0)

    def own(self, element: Tag) -> int:
        """Count the words in an element that are in no link."""
        return self.words(element) - self._linked.get(id(element), 0)

    def link_density(self, element: Tag) -> float:
        """Give the share of an element's words that are in links; 0 for an element without words."""
        words = self.words(element)
        return 1 - self.own(element) / words if words else 0.0

    def share(self, element: Tag) -> float:
        """Give the element's share of all words of the page that are in no link."""
        return self.own(element) / max(self.own(self.soup), 1)

    def holds_core(self, element: Tag) -> bool:
        """Tell whether an element is or holds a main heading or a FAQ pair."""
        return id(element) in self._around

    def in_pair(self, element: Tag) -> bool:
        """Tell whether an element stands in a FAQ pair."""
        return id(element) in self._inside

    def drop(self, element: Tag) -> None:
        """Take an element out of the page."""
        words, linked = self.words(element), self._linked.get(id(element), 0)
        for outer in element.parents:
            self._words[id(outer)] = self.words(outer) - words
            self._linked[id(outer)] = self._linked.get(id(outer), 0) - linked
        element.decompose()

    def _count(self, string: NavigableString) -> None:
        words = word_count(string)
        if not words:
            return
        in_link = False
        for outer in string.parents:
            in_link = in_link or outer.name == "a"
            self._words[id(outer)] = self._words.get(id(outer), 0) + words
            if in_link:
                self._linked[id(outer)] = self._linked.get(id(outer), 0) + words
