"""Pages of no known shape: trafilatura finds the main text, and the page's own elements around it are kept.

Its result is a text without the page's structure. So what it found is looked up in the page again, and everything else
is taken out there: headings, lists, tables and anchors stay, and nothing can come in that the page does not say.
"""

from bs4 import BeautifulSoup

from ingest.pairs import fold
from ingest.shapes import word_count
from ingest.tree import parse_tree

#: A page is of no known shape if its cleaned text has fewer words than this, and less than this share of all its words.
FEWEST_WORDS = 25
SMALLEST_SHARE = 0.02
#: Words of the shortest text that trafilatura is believed with; of less it makes main texts of cookie bars.
FEWEST_RESCUED = 50
_NO_TEXT = frozenset({"script", "template", "head"})


def is_lost(cleaned: int, html: str, *, where: str) -> bool:
    """Tell whether cleaning lost a page's main text.

    :param cleaned: Words of the page's cleaned text.
    :param html: The page, decoded; it is read again.
    """
    if cleaned >= FEWEST_WORDS:
        return False
    return cleaned < SMALLEST_SHARE * word_count(_text_only(parse_tree(html, where=where)).get_text(" "))


def rescue(html: str, *, where: str) -> BeautifulSoup | None:
    """Find the main text of a page that fits no known shape.

    :return: The page with nothing but that text in it; none if there is no main text.
    """
    import trafilatura  # slow to import, and few pages need it

    found = trafilatura.extract(html, include_comments=False) or ""
    if word_count(found) < FEWEST_RESCUED:
        return None
    soup = _text_only(parse_tree(html, where=where))
    main = fold(found)
    for string in list(soup.find_all(string=True)):
        folded = fold(string)
        if folded and folded not in main:
            string.extract()
    return soup


def _text_only(soup: BeautifulSoup) -> BeautifulSoup:
    for element in soup.find_all(_NO_TEXT):
        element.decompose()
    return soup
