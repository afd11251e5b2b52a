"""Boxes that lead away from an article, told by their labels, links, repetition and text shape.

Related and teaser boxes, news lists, tickers, tables of contents, votes and comments; also in the middle of the
article, and under whatever class names.
"""

from collections.abc import Iterator, Sequence
from itertools import islice

from bs4 import Tag

from ingest.blocks import HEADINGS, PAIR
from ingest.labels import FURNITURE_LABEL, POINTER_LABEL, RELATED_LABEL
from ingest.measure import Measures
from ingest.shapes import DATE, fits, is_cut_off, is_dated, is_named_quote, word_count
from ingest.tree import following, holds, line_of, tags_of

#: Words of the longest teaser card and of the longest label.
LONGEST_CARD = 120
LONGEST_LABEL = 12
#: Words outside links of a paragraph that only leads to another page.
LONGEST_POINTER = 4
#: Share of the page's words from which what stands under "In this article" or "Comments" is the article itself.
MOST_BELOW = 0.5
#: Words of the smallest menu that is known by its links alone.
FEWEST_IN_MENU = 8

_KEPT = frozenset({"html", "body", "main", PAIR})
_BOXES = frozenset({"li", "div", "section", "article", "ul", "ol", "table", "aside"})
_LABELS = frozenset({*HEADINGS, "p", "div", "span", "strong", "b", "legend", "li", "dt"})
#: Elements below a label that are looked at.
_MOST_BELOW = 200
#: Words from which a text can be one that is cut off, see ``is_cut_off``.
_LEAST_CUT_OFF = 8


def drop_boxes(page: Measures) -> None:
    """Take the boxes that lead away out of the page."""
    _drop_labelled(page)
    _drop_pointers(page)
    _drop_menus(page)
    for element in page.tags(_BOXES):
        if element.name in _KEPT or page.holds_core(element) or page.in_pair(element) or page.is_kept_whole(element):
            continue
        if _is_card(page, element) or _is_list_of_quotes_or_news(page, element) or _is_contents(page, element):
            page.drop(element)


def parts_below(page: Measures, label: Tag) -> list[Tag]:
    """Give the siblings that a label stands over.

    A heading stands over everything up to the next heading that is not deeper; any other label only over what
    follows it up to a heading or a paragraph of the article.
    """
    return list(_below(page, label))


def _below(page: Measures, label: Tag) -> Iterator[Tag]:
    level = HEADINGS.get(label.name)
    found = False
    for sibling in islice(following(label), _MOST_BELOW):
        if sibling.name == PAIR or page.holds_core(sibling):
            break
        if sibling.name in HEADINGS and (level is None or HEADINGS[sibling.name] <= level):
            break
        if level is not None and page.headings(sibling) and _holds_heading(sibling, level):
            break
        if level is None and sibling.name == "p" and found and not _leads_away(page, sibling):
            break
        found = True
        yield sibling


def _holds_heading(element: Tag, level: int) -> bool:
    """Tell whether an element holds a heading of a level or above it."""
    return any(HEADINGS[inner.name] <= level for inner in tags_of(element, HEADINGS))


def _drop_labelled(page: Measures) -> None:
    """Drop what stands under a label such as "Related articles", "Comments" or "Was this helpful?"."""
    for found in page.tags(_LABELS):
        if (
            not 0 < page.words(found) <= LONGEST_LABEL
            or page.in_pair(found)
            or (page.is_kept_whole(found) and found.name not in HEADINGS)
        ):
            continue
        text = line_of(found)
        is_related, is_site = fits(RELATED_LABEL, text), fits(FURNITURE_LABEL, text)
        if not (is_related or is_site):
            continue
        label = _whole_label(page, found)
        away = _site_below(page, label) if is_site else _related_below(page, label)
        if is_site or away:
            for part in [label, *away]:
                page.drop(part)


def _related_below(page: Measures, label: Tag) -> list[Tag]:
    parts = parts_below(page, label)
    away = [part for part in parts if _leads_away(page, part)]
    return parts if not away and all(map(_is_headline, parts)) else away


def _site_below(page: Measures, label: Tag) -> list[Tag]:
    if label.name not in HEADINGS:
        return [part for part in islice(_below(page, label), 2) if page.words(part) <= LONGEST_LABEL]
    parts = parts_below(page, label)
    if sum(map(page.share, parts)) < MOST_BELOW:
        return parts
    return [part for part in parts if _leads_away(page, part)]


def _drop_pointers(page: Measures) -> None:
    """Drop paragraphs such as "Must read: …" that hold a label and links and nothing else."""
    for element in page.tags(("p",)):
        if not 0 < page.own(element) <= LONGEST_POINTER or page.in_pair(element):
            continue
        link = next(tags_of(element, ("a",)), None)
        words = line_of(link) if link is not None else ""
        if words and fits(POINTER_LABEL, line_of(element).partition(words)[0]):
            page.drop(element)


def _drop_menus(page: Measures) -> None:
    """Drop lists of links that stand before the page's title: menus, whatever they are called."""
    for element in page.tags_before_title():
        if element.name in _BOXES and page.words(element) >= FEWEST_IN_MENU and page.link_density(element) > 0.8:
            page.drop(element)


def _whole_label(page: Measures, label: Tag) -> Tag:
    """Climb to the element that holds the label and nothing else."""
    while label.parent and label.parent.name not in _KEPT and page.words(label.parent) == page.words(label):
        label = label.parent
    return label


def _leads_away(page: Measures, element: Tag) -> bool:
    """Tell whether an element mostly links to, or teases, other pages."""
    if page.link_density(element) > 0.5 or (page.words(element) >= _LEAST_CUT_OFF and is_cut_off(line_of(element))):
        return True
    parts = tags_of(element, ("p", "div", "span"))
    return any(is_cut_off(line_of(part)) for part in parts if _LEAST_CUT_OFF <= page.words(part) <= LONGEST_CARD)


def _is_headline(element: Tag) -> bool:
    text = DATE.sub("", line_of(element), count=1)
    return word_count(text) <= LONGEST_LABEL and not text.endswith((".", "。"))


def _is_card(page: Measures, element: Tag) -> bool:
    """Tell whether an element is a headline that links away, with a text that is cut off."""
    if not 8 <= page.words(element) <= LONGEST_CARD or not holds(element, ("a",)):
        return False
    teased = any(is_cut_off(string) for string in element.stripped_strings)
    return teased and sum(1 for _ in tags_of(element, ("p", "li"))) <= 4


def _is_list_of_quotes_or_news(page: Measures, element: Tag) -> bool:
    """Tell whether an element's children are prices, or headlines that link away and dates."""
    items = [item for item in element.children if isinstance(item, Tag)]
    if len(items) < 3 or page.words(element) > 40 * len(items):
        return False
    texts = [line_of(item) for item in items if page.words(item) <= LONGEST_LABEL]
    quotes = sum(map(is_named_quote, texts))
    dates = sum(map(is_dated, texts))
    linked = sum(page.link_density(item) > 0.8 for item in items)
    dated_links = sum(_is_dated_link(page, item) for item in items)
    return (
        quotes * 2 > len(items) or (dates >= 2 and dates + linked >= len(items) - 1) or dated_links * 3 > len(items) * 2
    )


def _is_dated_link(page: Measures, item: Tag) -> bool:
    """Tell whether an item is one headline that links away, and its date."""
    if page.words(item) > 40 or not holds(item, ("a",)):
        return False
    strings = list(item.stripped_strings)
    return len(strings) <= 4 and _has_date(strings)


def _has_date(strings: Sequence[str]) -> bool:
    return any(is_dated(string) for string in strings)


def _is_contents(page: Measures, element: Tag) -> bool:
    """Tell whether an element is a list of links into the same page."""
    if page.link_density(element) < 0.8:
        return False
    links = list(tags_of(element, ("a",)))
    inside = [link for link in links if str(link.get("href") or "").startswith("#")]
    return len(inside) >= 3 and len(inside) == len(links)
