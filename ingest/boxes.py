"""Boxes that lead away from an article, told by their labels, links, repetition and text shape.

Related and teaser boxes, news lists, tickers, tables of contents, votes and comments; also in the middle of the
article, and under whatever class names.
"""

from collections.abc import Sequence

from bs4 import Tag

from ingest.blocks import HEADINGS, PAIR
from ingest.labels import FURNITURE_LABEL, RELATED_LABEL
from ingest.measure import Measures, is_gone
from ingest.shapes import DATE, fits, is_cut_off, is_dated, is_named_quote, word_count

#: Words of the longest teaser card and of the longest label.
LONGEST_CARD = 120
LONGEST_LABEL = 12
#: Share of the page's words from which what stands under "In this article" or "Comments" is the article itself.
MOST_BELOW = 0.5

_KEPT = frozenset({"html", "body", "main", PAIR})
_BOXES = ["li", "div", "section", "article", "ul", "ol", "table", "aside"]


def drop_boxes(page: Measures) -> None:
    """Take the boxes that lead away out of the page."""
    _drop_labelled(page)
    for element in page.soup.find_all(_BOXES):
        if is_gone(element) or element.name in _KEPT or page.holds_core(element) or page.in_pair(element):
            continue
        if _is_card(page, element) or _is_list_of_quotes_or_news(page, element) or _is_contents(page, element):
            page.drop(element)


def parts_below(page: Measures, label: Tag) -> list[Tag]:
    """Give the siblings that a label stands over.

    A heading stands over everything up to the next heading that is not deeper; any other label only over what
    follows it up to a heading or a paragraph of the article.
    """
    level = HEADINGS.get(label.name)
    parts: list[Tag] = []
    for sibling in label.find_next_siblings():
        if sibling.name == PAIR or page.holds_core(sibling):
            break
        if sibling.name in HEADINGS and (level is None or HEADINGS[sibling.name] <= level):
            break
        if level is not None and any(HEADINGS[inner.name] <= level for inner in sibling.find_all(list(HEADINGS))):
            break
        if level is None and sibling.name == "p" and not _leads_away(page, sibling) and parts:
            break
        parts.append(sibling)
    return parts


def _drop_labelled(page: Measures) -> None:
    """Drop what stands under a label such as "Related articles", "Comments" or "Was this helpful?"."""
    for found in page.soup.find_all([*HEADINGS, "p", "div", "span", "strong", "b", "legend", "li", "dt"]):
        if is_gone(found) or page.words(found) > LONGEST_LABEL or page.in_pair(found):
            continue
        is_related, is_site = fits(RELATED_LABEL, _text(found)), fits(FURNITURE_LABEL, _text(found))
        if not (is_related or is_site):
            continue
        label = _whole_label(page, found)
        parts = parts_below(page, label)
        away = [part for part in parts if _leads_away(page, part)]
        if is_related and not away and parts and all(_is_headline(part) for part in parts):
            away = parts
        if is_site and label.name not in HEADINGS:
            away = [part for part in parts[:2] if page.words(part) <= LONGEST_LABEL]
        elif is_site and sum(map(page.share, parts)) < MOST_BELOW:
            away = parts
        if is_site or away:
            for part in [label, *away]:
                page.drop(part)


def _whole_label(page: Measures, label: Tag) -> Tag:
    """Climb to the element that holds the label and nothing else."""
    while label.parent and label.parent.name not in _KEPT and page.words(label.parent) == page.words(label):
        label = label.parent
    return label


def _leads_away(page: Measures, element: Tag) -> bool:
    """Tell whether an element mostly links to, or teases, other pages."""
    if page.link_density(element) > 0.5 or is_cut_off(_text(element)):
        return True
    return any(is_cut_off(_text(part)) for part in element.find_all(["p", "div", "span"]))


def _is_headline(element: Tag) -> bool:
    text = DATE.sub("", _text(element), count=1)
    return word_count(text) <= LONGEST_LABEL and not text.endswith((".", "。"))


def _is_card(page: Measures, element: Tag) -> bool:
    """Tell whether an element is a headline that links away, with a text that is cut off."""
    if not 8 <= page.words(element) <= LONGEST_CARD or not element.find("a"):
        return False
    teased = any(is_cut_off(string) for string in element.stripped_strings)
    return teased and len(element.find_all(["p", "li"])) <= 4


def _is_list_of_quotes_or_news(page: Measures, element: Tag) -> bool:
    """Tell whether an element's children are prices, or headlines that link away and dates."""
    items = [item for item in element.children if isinstance(item, Tag)]
    if len(items) < 3 or page.words(element) > 40 * len(items):
        return False
    quotes = sum(is_named_quote(_text(item)) for item in items)
    dates = sum(is_dated(_text(item)) for item in items)
    linked = sum(page.link_density(item) > 0.8 for item in items)
    dated_links = sum(_is_dated_link(page, item) for item in items)
    return (
        quotes * 2 > len(items) or (dates >= 2 and dates + linked >= len(items) - 1) or dated_links * 3 > len(items) * 2
    )


def _is_dated_link(page: Measures, item: Tag) -> bool:
    """Tell whether an item is one headline that links away, and its date."""
    strings = list(item.stripped_strings)
    return item.find("a") is not None and len(strings) <= 4 and page.words(item) <= 40 and _has_date(strings)


def _has_date(strings: Sequence[str]) -> bool:
    return any(is_dated(string) for string in strings)


def _is_contents(page: Measures, element: Tag) -> bool:
    """Tell whether an element is a list of links into the same page."""
    if page.link_density(element) < 0.8:
        return False
    links = element.find_all("a")
    inside = [link for link in links if str(link.get("href") or "").startswith("#")]
    return len(inside) >= 3 and len(inside) == len(links)


def _text(element: Tag) -> str:
    return " ".join(element.get_text(" ").split())
