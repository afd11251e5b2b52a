"""What in an HTML page is not its article, told by elements, roles and class words."""

import re
from functools import lru_cache
from itertools import takewhile

from bs4 import BeautifulSoup, Tag

from ingest.blocks import HEADINGS, PAIR
from ingest.boxes import LONGEST_CARD, drop_boxes, parts_below
from ingest.faq import class_words, name_words
from ingest.labels import DISCLAIMER_LABEL
from ingest.measure import Measures
from ingest.pairs import fold
from ingest.shapes import fits, is_cut_off
from ingest.tree import holds, is_gone, line_of, outer_of, start_of, tags_of

#: Stands where a template's variable was never filled; a private-use character, so in no page's own text.
UNFILLED = "\ue000"
#: A piece that is named as noise is kept if it holds more than this share of the page's words outside links: then
#: the layout is named so ("page with-sidebar"). On 91 documentation pages, layouts held over .9, boxes up to .6.
LAYOUT_SHARE = 0.75
#: A cookie bar or a newsletter box has at most so many words.
SMALL_BOX = 120
LONGEST_DISCLAIMER = 400
#: A table of contents is a page's main text if it has more than this share of it, other links left out, and at most so
#: many words.
INDEX_SHARE = 0.4
LONGEST_INDEX = 300
#: An element whose name only hints at noise ("banner", "menu") is kept if it has so many words outside links, and at most
#: this share of its words in links. Measured on half of the 255 pages of the set.
FEWEST_TOLD = 25
MOST_LINKED = 0.35

_DEAD = frozenset({"script", "template", "dialog", "head", "nav", "select", "textarea", "label", "progress"})
_DISCLAIMING = frozenset({"div", "section", "p", "small", "blockquote", "aside", *HEADINGS})
_BOLD = frozenset({"b", "strong", *HEADINGS})
_RICH = frozenset({*HEADINGS, "a", "ul", "img", "form", "button"})
_ROLES = frozenset(
    re.findall(
        r"\w+",
        """
    navigation banner contentinfo search dialog alertdialog menu menubar toolbar complementary
""",
    )
)
_NOTE_WORDS = frozenset(
    re.findall(
        r"\w+",
        """
    note tip warning callout admonition important caution info danger hint notice faq footnote footnotes
""",
    )
)
_NOISE_WORDS = frozenset(
    re.findall(
        r"\w+",
        """
    nav navbar navigation menu topbar footer foot ftr bottombar breadcrumb breadcrumbs crumb crumbs sidebar side
    sidenav share sharing sharebar social socials newsletter newsletters subscribe subscription signup cookie
    cookies consent gdpr onetrust cookiebar related rel recommend recommended recommendations recommendation recom
    recirc teaser teasers trending newsflash newslist comment comments cmt cmts disqus advert adverts
    advertisement ad ads adsense sponsor sponsored promo promotion promoted popup modal overlay ticker tickers
    marquee feedback helpful vote votes rating pagination pager editsection prevnext navheader navfooter skip skiplink toolbar login search searchbox toc
    lightbox tooltip livechat chatbot banner lang langs dropdown dropdowns
""",
    )
)
#: Names of noise that layouts and whole sections of shops are called by as well.
_THIN_WORDS = frozenset(
    re.findall(
        r"\w+",
        """
    nav navbar navigation menu topbar side sidenav social socials banner teaser teasers promo promotion promoted
    sponsor sponsored overlay marquee rating pagination pager search login toolbar lang langs signup rel vote votes
    dropdown dropdowns
""",
    )
)
_TURN_WORDS = frozenset({"slide", "slides", "slick", "swiper", "carousel", "tab", "tabs", "pane", "tabpanel"})
_NUMBERING = frozenset({"lineno", "linenos", "linenumber", "linenumbers", "gutter", "line", "lines"})
_COPY_WORDS = frozenset({"cloned", "clone", "duplicate"})
_COOKIE = re.compile(r"cookie|куки|クッキー", re.IGNORECASE)
#: Class names that say how an element looks under a condition, as Tailwind writes them: "links-accent:underline".
_UTILITY = re.compile(r"[:\[\]/]")
_MODIFIERS = frozenset({"has", "with", "no", "not", "without"})
_LAYOUT = frozenset({"html", "body", "main", "article", PAIR})
_HIDING_CLASS = re.compile(r"sr-only|visually-hidden|visuallyhidden|screen-reader-text|d-none|is-hidden|hidden")
_HIDING_STYLE = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)


def strip_noise(soup: BeautifulSoup) -> str:
    """Take everything that is not the article out of the page.

    :return: The text of the page's disclaimers, which are taken out too.
    """
    _unwrap_unclosed(soup)
    page = Measures(soup)
    for element in page.tags(_DEAD):
        page.drop(element)
    _drop_signups(page)
    _drop_hidden(page)
    _drop_furniture(page)
    disclaimer = _take_disclaimers(page)
    _drop_named(page)
    _drop_line_numbers(page)
    drop_boxes(page)
    _drop_forms(page)
    return disclaimer


def _unwrap_unclosed(soup: BeautifulSoup) -> None:
    """Unwrap navigation and the like around the page's main element: its end tag was forgotten."""
    for main in list(tags_of(soup, ("main",))):
        for outer in list(main.parents):
            if outer.name in ("nav", "header", "footer", "aside", "label", "select", "form"):
                outer.unwrap()


def _drop_signups(page: Measures) -> None:
    """Drop the small boxes around e-mail fields and around cookie buttons, whatever they are called."""
    for field in page.tags(("input", "button")):
        if field.name == "input" and field.get("type") != "email":
            continue
        outer = _small_box(page, field)
        if outer and (field.name == "input" or _COOKIE.search(line_of(outer))):
            page.drop(outer)


def _small_box(page: Measures, field: Tag) -> Tag | None:
    """Climb to the largest element around a field that has few words and at most one heading."""
    box: Tag | None = None
    for outer in field.parents:
        if outer.name in _LAYOUT or page.words(outer) > SMALL_BOX or page.holds_core(outer):
            break
        if page.headings(outer) > 1:
            break
        box = outer
    return box


def _drop_hidden(page: Measures) -> None:
    for element in page.tags():
        if element.name in _LAYOUT or not _is_hidden(element):
            continue
        if element.get("role") != "tabpanel" and not _is_slide(page, element) and not _is_layout(page, element):
            page.drop(element)


def _is_hidden(element: Tag) -> bool:
    attributes = element.attrs
    if "hidden" in attributes or attributes.get("aria-hidden") == "true":
        return True
    if "style" in attributes and _HIDING_STYLE.search(str(attributes["style"])):
        return True
    return "class" in attributes and any(
        _HIDING_CLASS.fullmatch(name) for name in element.get_attribute_list("class") if name
    )


def _is_slide(page: Measures, element: Tag) -> bool:
    """Tell whether an element is hidden only until its turn comes, as a slide or a tab, and is no copy of another."""
    words = class_words(element)
    return bool(words & _TURN_WORDS) and not words & _COPY_WORDS and page.link_density(element) < MOST_LINKED


def _drop_furniture(page: Measures) -> None:
    titles = sum(1 for _ in page.tags(("h1",)))
    for element in page.tags(("header", "footer", "aside")):
        if not _FURNITURE[element.name](page, element, titles):
            page.drop(element)
    for element in page.tags():
        if "role" in element.attrs and element["role"] in _ROLES and not _is_layout(page, element):
            page.drop(element)


def _heads_article(page: Measures, header: Tag, titles: int) -> bool:
    if titles == 1 and holds(header, ("h1",)):
        return True
    return page.headings(header) > 0 and outer_of(header, ("main", "article", "section")) is not None


def _ends_article(page: Measures, footer: Tag, titles: int) -> bool:
    return holds(footer, ("h2", "h3")) and outer_of(footer, ("main", "article")) is not None


def _is_note(page: Measures, aside: Tag, titles: int) -> bool:
    """Tell whether an aside is a note of the article: it says so, or it is plain sentences inside the text."""
    if class_words(aside) & _NOTE_WORDS or aside.get("role") == "note":
        return True
    return outer_of(aside, ("article", "main")) is not None and not holds(aside, _RICH)


_FURNITURE = {"header": _heads_article, "footer": _ends_article, "aside": _is_note}


def _take_disclaimers(page: Measures) -> str:
    taken: list[str] = []
    for element in page.tags(_DISCLAIMING):
        words = page.words(element)
        if not 0 < words <= LONGEST_DISCLAIMER or page.holds_core(element) or page.in_pair(element):
            continue
        start = start_of(element, 80)
        parts = [element]
        if fits(DISCLAIMER_LABEL, start):
            below = parts_below(page, element)
            parts += below if sum(map(page.words, below)) <= LONGEST_DISCLAIMER else below[:1]
        elif not _disclaims(page, element, start):
            continue
        taken.extend(line_of(part) for part in parts if page.words(part))
        for part in parts:
            page.drop(part)
    return "\n".join(taken)


def _disclaims(page: Measures, element: Tag, start: str) -> bool:
    """Tell whether an element is named a disclaimer, or its text begins with that label."""
    if class_words(element) & {"disclaimer", "disclaimers"}:
        return True
    label = re.match(r"[^:：.]{3,60}[:：]", start)
    if label is None or not fits(DISCLAIMER_LABEL, label[0]):
        first = next(tags_of(element, _BOLD), None)
        name = start_of(first, 80) if first else ""
        if not name or not start.startswith(name) or not fits(DISCLAIMER_LABEL, name):
            return False
    return page.headings(element) < 2


def _drop_named(page: Measures) -> None:
    """Drop what is called noise by its class or id, unless it holds the article's title, a FAQ pair or most text."""
    indexes: list[Tag] = []
    for element in page.tags():
        if element.name in _LAYOUT or page.is_kept_whole(element):
            continue
        words = _noise_words(element)
        if not words or page.holds_core(element) or _is_layout(page, element):
            continue
        if words <= _THIN_WORDS and _is_told(page, element):
            continue
        if words == {"toc"}:
            indexes.append(element)
        else:
            page.drop(element)
    for element in indexes:  # only now that the navigation is gone does it show whether the page holds anything else
        if not is_gone(element) and not _is_index(page, element):
            page.drop(element)


def _drop_line_numbers(page: Measures) -> None:
    for element in page.tags(("span", "td", "div", "pre", "a")):
        if page.words(element) and class_words(element) & _NUMBERING and not re.search(r"[^\d\s]", line_of(element)):
            page.drop(element)


def _noise_words(element: Tag) -> set[str]:
    """Give the words of an element's classes and id that name noise; none if it is called a note."""
    found: set[str] = set()
    if "class" in element.attrs:
        for name in element.get_attribute_list("class"):
            found |= _noise_in(name)
    anchor = element.attrs.get("id")
    if anchor and _noise_in(str(anchor)) and not _is_named_by_heading(element, str(anchor)):
        found |= _noise_in(str(anchor))
    return found


def _is_named_by_heading(element: Tag, anchor: str) -> bool:
    """Tell whether an id is made of the heading below it, so that it names the section: "cookies" over "Cookies"."""
    heading = next(tags_of(element, HEADINGS), None)
    return heading is not None and fold(anchor) == fold(start_of(heading, len(anchor) + 1))


@lru_cache(maxsize=16384)
def _noise_in(name: str) -> frozenset[str]:
    if _UTILITY.search(name):
        return frozenset()
    # "page-with-sidebar" is a page, not a sidebar
    words = frozenset(takewhile(lambda word: word not in _MODIFIERS, name_words(name)))
    return frozenset() if words & _NOTE_WORDS else words & _NOISE_WORDS


def _is_told(page: Measures, element: Tag) -> bool:
    """Tell whether an element tells something: many words, few of them in links."""
    if page.own(element) < FEWEST_TOLD or page.link_density(element) >= MOST_LINKED:
        return False
    return not (page.own(element) < LONGEST_CARD and is_cut_off(line_of(element)))


def _is_index(page: Measures, element: Tag) -> bool:
    """Tell whether a table of contents is what its page is for, as on the first page of a chapter."""
    told = page.own(page.soup) - page.own(element)
    words = page.words(element)
    if not INDEX_SHARE * (told + words) < words <= LONGEST_INDEX:
        return False
    return not any(str(link.get("href") or "").startswith("#") for link in tags_of(element, ("a",)))


def _is_layout(page: Measures, element: Tag) -> bool:
    return page.share(element) > LAYOUT_SHARE and page.words(element) > 40


def _drop_forms(page: Measures) -> None:
    for element in page.tags(("form", "button", "input")):
        if not _is_layout(page, element) and not page.holds_core(element):
            page.drop(element)
