"""What in an HTML page is not its article, told by elements, roles and class words."""

import re
from itertools import takewhile

from bs4 import BeautifulSoup, Comment, Tag

from ingest.blocks import HEADINGS, PAIR
from ingest.boxes import drop_boxes, parts_below
from ingest.faq import class_words, name_words
from ingest.labels import DISCLAIMER_LABEL
from ingest.measure import Measures, is_gone
from ingest.shapes import PLACEHOLDER, fits, word_count

#: Stands where a template's variable was never filled; a private-use character, so in no page's own text.
UNFILLED = "\ue000"
#: A piece that is named as noise is kept if it holds more than this share of the page's words outside links: then
#: the layout is named so ("page with-sidebar"). On 91 documentation pages, layouts held over .9, boxes up to .6.
LAYOUT_SHARE = 0.75
#: A cookie bar or a newsletter box has at most so many words.
SMALL_BOX = 120
LONGEST_DISCLAIMER = 400

_DEAD = re.findall(
    r"\w+",
    """
    script style noscript template svg canvas iframe object embed audio video dialog head nav select textarea
    label progress
""",
)
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
    note tip warning callout admonition important caution info danger hint notice faq
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
    marquee feedback helpful vote votes rating pagination pager skip skiplink toolbar login search searchbox toc
    lightbox tooltip livechat chatbot banner lang langs
""",
    )
)
_MODIFIERS = frozenset({"has", "with", "no", "not", "without"})
_LAYOUT = frozenset({"html", "body", "main", "article", PAIR})
_HIDING_CLASS = re.compile(r"sr-only|visually-hidden|visuallyhidden|screen-reader-text|d-none|is-hidden|hidden")
_HIDING_STYLE = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)


def strip_noise(soup: BeautifulSoup) -> str:
    """Take everything that is not the article out of the page.

    :return: The text of the page's disclaimers, which are taken out too.
    """
    _unwrap_unclosed(soup)
    _drop_signups(soup)
    for element in soup.find_all(_DEAD):
        element.decompose()
    for comment in soup.find_all(string=lambda text: isinstance(text, Comment)):
        comment.extract()
    _mark_unfilled(soup)
    page = Measures(soup)
    _drop_hidden(page)
    _drop_furniture(page)
    disclaimer = _take_disclaimers(page)
    _drop_named(page)
    drop_boxes(page)
    _drop_forms(page)
    return disclaimer


def _unwrap_unclosed(soup: BeautifulSoup) -> None:
    """Unwrap navigation and the like around the page's main element: its end tag was forgotten."""
    for main in soup.find_all("main"):
        for outer in list(main.parents):
            if outer.name in ("nav", "header", "footer", "aside", "label", "select", "form"):
                outer.unwrap()


def _drop_signups(soup: BeautifulSoup) -> None:
    """Drop the small boxes around e-mail fields and around cookie buttons, whatever they are called."""
    for field in soup.find_all(["input", "button"]):
        if is_gone(field) or (field.name == "input" and field.get("type") != "email"):
            continue
        outer = _small_box(field)
        text = outer.get_text(" ") if outer else ""
        if outer and (field.name == "input" or re.search(r"cookie|куки|クッキー", text, re.IGNORECASE)):
            outer.decompose()


def _small_box(field: Tag) -> Tag | None:
    """Climb to the largest element around a field that has few words and at most one heading."""
    box: Tag | None = None
    for outer in field.parents:
        if outer.name in _LAYOUT or word_count(outer.get_text(" ")) > SMALL_BOX or outer.find(["h1", PAIR]):
            break
        if len(outer.find_all(list(HEADINGS))) > 1:
            break
        box = outer
    return box


def _mark_unfilled(soup: BeautifulSoup) -> None:
    for string in soup.find_all(string=PLACEHOLDER):
        if not string.find_parent(["code", "pre", "kbd", "samp"]):
            string.replace_with(PLACEHOLDER.sub(UNFILLED, string))


def _drop_hidden(page: Measures) -> None:
    for element in page.soup.find_all(True):
        if is_gone(element) or element.name in _LAYOUT:
            continue
        hidden = (
            element.has_attr("hidden")
            or element.get("aria-hidden") == "true"
            or _HIDING_STYLE.search(str(element.get("style") or ""))
            or any(_HIDING_CLASS.fullmatch(name) for name in element.get_attribute_list("class") if name)
        )
        if hidden and element.get("role") != "tabpanel" and not _is_layout(page, element):
            page.drop(element)


def _drop_furniture(page: Measures) -> None:
    titles = page.soup.find_all("h1")
    for element in page.soup.find_all(["header", "footer", "aside"]):
        if is_gone(element):
            continue
        inside = element.find_parent(["main", "article", "section"])
        heads_article = (element.find("h1") and len(titles) == 1) or (inside and element.find(["h1", "h2"]))
        ends_article = element.find_parent(["main", "article"]) and element.find(["h2", "h3"])
        kept = {"header": heads_article, "footer": ends_article, "aside": _is_note(element)}
        if not kept[element.name]:
            page.drop(element)
    for element in page.soup.find_all(role=True):
        if not is_gone(element) and element.get("role") in _ROLES and not _is_layout(page, element):
            page.drop(element)


def _is_note(aside: Tag) -> bool:
    """Tell whether an aside is a note of the article: it says so, or it is plain sentences inside the text."""
    if class_words(aside) & _NOTE_WORDS or aside.get("role") == "note":
        return True
    is_rich = aside.find([*HEADINGS, "a", "ul", "img", "form", "button"])
    return aside.find_parent(["article", "main"]) is not None and not is_rich


def _take_disclaimers(page: Measures) -> str:
    taken: list[str] = []
    for element in page.soup.find_all(["div", "section", "p", "small", "blockquote", "aside", *HEADINGS]):
        if (
            is_gone(element)
            or page.words(element) > LONGEST_DISCLAIMER
            or page.holds_core(element)
            or page.in_pair(element)
        ):
            continue
        parts = [element]
        if fits(DISCLAIMER_LABEL, _text(element)):
            below = parts_below(page, element)
            parts += below if sum(map(page.words, below)) <= LONGEST_DISCLAIMER else below[:1]
        elif not _disclaims(element):
            continue
        taken.extend(_text(part) for part in parts if page.words(part))
        for part in parts:
            page.drop(part)
    return "\n".join(taken)


def _disclaims(element: Tag) -> bool:
    """Tell whether an element is named a disclaimer, or its text begins with that label."""
    if class_words(element) & {"disclaimer", "disclaimers"}:
        return True
    text = _text(element)
    label = re.match(r"[^:：.]{3,60}[:：]", text)
    first = element.find(["b", "strong", *HEADINGS])
    headed = first is not None and text.startswith(_text(first)) and fits(DISCLAIMER_LABEL, _text(first))
    return (headed or (label is not None and fits(DISCLAIMER_LABEL, label[0]))) and len(
        element.find_all(["h2", "h3"])
    ) < 2


def _drop_named(page: Measures) -> None:
    """Drop what is called noise by its class or id, unless it holds the article's title, a FAQ pair or most text."""
    for element in page.soup.find_all(True):
        if is_gone(element) or element.name in _LAYOUT or element.name in HEADINGS:
            continue
        if _is_named_noise(element) and not page.holds_core(element) and not _is_layout(page, element):
            page.drop(element)


def _is_named_noise(element: Tag) -> bool:
    for name in [*element.get_attribute_list("class"), element.get("id")]:
        # "page-with-sidebar" is a page, not a sidebar
        words = set(takewhile(lambda word: word not in _MODIFIERS, name_words(str(name or ""))))
        if words & _NOISE_WORDS and not words & _NOTE_WORDS:
            return True
    return False


def _is_layout(page: Measures, element: Tag) -> bool:
    return page.share(element) > LAYOUT_SHARE and page.words(element) > 40


def _drop_forms(page: Measures) -> None:
    for element in page.soup.find_all(["form", "button", "input"]):
        if not is_gone(element) and not _is_layout(page, element) and not page.holds_core(element):
            page.drop(element)


def _text(element: Tag) -> str:
    return " ".join(element.get_text(" ").split())
