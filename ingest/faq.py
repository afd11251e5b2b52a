"""FAQ pairs in HTML: every way of marking one is turned into one element, which ``blocks`` then reads.

Ways: schema.org microdata, ``details``, accordions (a button and its panel), question and answer told apart by
class words, and definition lists whose terms are questions. Pairs that show only in the text (question headings,
``Q:`` and ``A:``, JSON-LD) are found later, in ``pairs``.
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from itertools import islice

from bs4 import BeautifulSoup, Tag

from ingest.blocks import HEADINGS, PAIR, anchor_of
from ingest.labels import FAQ_LABEL
from ingest.shapes import is_question, word_count
from ingest.tree import following, is_inside, line_of, outer_of, start_of, tags_of

#: Words of a question; a longer trigger or term is none. The longest of the 540 headings looked at has 31.
LONGEST_QUESTION = 45

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_QUESTION_TYPE = re.compile(r"schema\.org/Question\b", re.IGNORECASE)
_TITLED = frozenset({"div", "p", "h2", "h3", "h4", "h5", "h6", "span", "li", "dt", "strong", "a", "button"})
_FAQ_WORDS = frozenset({"faq", "faqs", "qa", "accordion", "questions", "preguntas"})
_QUESTION_WORDS = frozenset({"question", "q", "pregunta", "frage", "pergunta"})
_ANSWER_WORDS = frozenset({"answer", "a", "respuesta", "antwort", "resposta"})
_TRIGGER_WORDS = frozenset({"title", "header", "heading", "head", "trigger", "toggle", "button", "btn", "summary"})
_PANEL_WORDS = frozenset({"panel", "body", "content", "collapse", "text", "details", "inner", "pane"})


def class_words(tag: Tag) -> set[str]:
    """Give the words of an element's classes and id, in lower case: ``faqItem-title`` has faq, item and title."""
    words: set[str] = set()
    attributes = tag.attrs
    if "class" in attributes:
        for name in tag.get_attribute_list("class"):
            words.update(name_words(str(name)))
    if attributes.get("id"):
        words.update(name_words(str(attributes["id"])))
    return words


@lru_cache(maxsize=16384)
def name_words(name: str) -> tuple[str, ...]:
    """Give the words of one class name or id; none for the random letters that some builders make up.

    >>> name_words("faqItem-title"), name_words("jXK9ad"), name_words("qSad")
    (('faq', 'item', 'title'), (), ())
    """
    words: list[str] = []
    for part in re.split(r"[-_\s:]+", name):
        pieces = [] if re.search(r"\d[A-Za-z]", part) else _WORD.findall(part)
        if len(pieces) == 1 or all(len(piece) > 2 for piece in pieces):
            words.extend(piece.lower() for piece in pieces)
    return tuple(words)


def mark_pairs(soup: BeautifulSoup) -> None:
    """Turn every FAQ pair of the page into a ``PAIR`` element, and other panels into ``details``.

    Panels that a page hides until they are clicked are shown, so this comes before hidden elements are dropped.
    """
    page = _Page(soup)
    _microdata(page)
    _details(page)
    _buttons(page)
    _classes(page)
    _definitions(page)


class _Page:
    """A page's elements as they stood before any was moved, with the headings before each."""

    def __init__(self, soup: BeautifulSoup) -> None:
        self.soup = soup
        self.tags = list(tags_of(soup))
        self.by_id: dict[str, Tag] = {}
        self._headings: list[Tag] = []
        self._before: dict[int, int] = {}
        for tag in self.tags:
            self._before[id(tag)] = len(self._headings)
            if tag.name in HEADINGS:
                self._headings.append(tag)
            name = tag.get("id")
            if name:
                self.by_id.setdefault(str(name), tag)

    def in_faq(self, element: Tag) -> bool:
        """Tell whether an element stands in a FAQ: one around it is called so, or the heading above it says so."""
        for outer in (element, *islice(element.parents, 4)):
            if outer.name in ("body", "main", "html", "[document]"):
                break
            if class_words(outer) & _FAQ_WORDS:
                return True
        end = self._before.get(id(element), 0)
        for heading in reversed(self._headings[max(end - 4, 0) : end]):
            text = line_of(heading)
            if not is_question(text):
                return bool(FAQ_LABEL.search(text))
            if FAQ_LABEL.search(text):
                return True
        return False


def _microdata(page: _Page) -> None:
    for item in [tag for tag in page.tags if _QUESTION_TYPE.search(str(tag.get("itemtype") or ""))]:
        name = item.find(itemprop="name")
        answer = item.find(itemprop="acceptedAnswer") or item.find(itemprop="suggestedAnswer")
        if isinstance(name, Tag) and isinstance(answer, Tag):
            _replace(page.soup, item, name, answer.find(itemprop="text") or answer)


def _details(page: _Page) -> None:
    for details in [tag for tag in page.tags if tag.name == "details"]:
        summary = details.find("summary", recursive=False)
        if summary and (is_question(line_of(summary)) or page.in_faq(details)):
            _replace(page.soup, details, summary.extract(), details)


def _buttons(page: _Page) -> None:
    for button in [tag for tag in page.tags if _opens(tag)]:
        panel = _panel(page, button)
        if panel is None or outer_of(button, ("nav", "footer", PAIR)) or _in_header(button):
            continue
        title = line_of(button)
        if not title or word_count(title) > LONGEST_QUESTION or not _has_text(panel):
            continue
        trigger = _outermost(button, title, panel)
        if is_question(title) or page.in_faq(trigger):
            _replace(page.soup, trigger, button, panel)
        elif _is_panel(panel):
            _as_details(page.soup, trigger, title, panel)


def _opens(tag: Tag) -> bool:
    return (
        tag.name == "button"
        or tag.get("role") == "button"
        or tag.has_attr("aria-controls")
        or "collapse" in (tag.get("data-toggle"), tag.get("data-bs-toggle"))
    )


def _in_header(button: Tag) -> bool:
    return button.parent is not None and button.parent.name == "header"


def _panel(page: _Page, button: Tag) -> Tag | None:
    """Find what a button opens: the element it names, else what follows it or its heading."""
    for name in ("aria-controls", "data-target", "data-bs-target", "href"):
        target = page.by_id.get(str(button.get(name) or "").removeprefix("#"))
        if target is not None and target is not button and not is_inside(button, target):
            return target
    if button.name != "button" and button.get("role") != "button":
        return None
    start = button.parent if button.parent and button.parent.name in HEADINGS else button
    sibling = next(following(start), None)
    if sibling is None or sibling.name == "button":  # a second button is a choice, such as Yes and No
        return None
    return sibling if _is_panel(sibling) or page.in_faq(sibling) else None


def _is_panel(element: Tag) -> bool:
    return bool(class_words(element) & (_PANEL_WORDS | _ANSWER_WORDS)) or element.get("role") in ("region", "tabpanel")


def _outermost(button: Tag, title: str, panel: Tag) -> Tag:
    """Climb from a button to the element that holds nothing else, such as its heading, short of the panel."""
    outer = button
    while outer.parent and outer.parent is not panel.parent and not is_inside(panel, outer.parent):
        if start_of(outer.parent, len(title) + 1) != title:
            break
        outer = outer.parent
    return outer


def _classes(page: _Page) -> None:
    for element in [tag for tag in page.tags if tag.name in _TITLED]:
        words = class_words(element)
        if element.parent is None or not (words & (_QUESTION_WORDS | _TRIGGER_WORDS)) or outer_of(element, (PAIR,)):
            continue
        answer = next(following(element), None)
        if answer is None or not _has_text(answer):
            continue
        question = start_of(element, 8 * LONGEST_QUESTION)
        if not question or word_count(question) > LONGEST_QUESTION:
            continue
        answers = class_words(answer)
        told_apart = words & _QUESTION_WORDS and answers & _ANSWER_WORDS
        opened = is_question(question) and answers & (_PANEL_WORDS | _ANSWER_WORDS) and page.in_faq(element)
        if told_apart or opened:
            _replace(page.soup, element, element, answer)


def _definitions(page: _Page) -> None:
    soup = page.soup
    for definitions in [tag for tag in page.tags if tag.name == "dl"]:
        terms = [term for term in definitions.find_all("dt") if term.find_parent("dl") is definitions]
        asked = [term for term in terms if is_question(line_of(term))]
        if not asked or len(asked) * 2 < len(terms):
            continue
        for term in asked:
            parts: list[Tag] = []
            for sibling in following(term):
                if sibling.name != "dd":
                    break
                parts.append(sibling)
            if not parts:
                continue
            answer = soup.new_tag("div")
            term.insert_before(answer)
            for part in parts:
                part.name = "div"
                answer.append(part.extract())
            _replace(soup, term, term, answer)


def _replace(soup: BeautifulSoup, place: Tag, question: Tag, answer: Tag) -> None:
    """Put a pair where ``place`` stands; question and answer are moved into it."""
    pair = soup.new_tag(PAIR)
    anchor = next((found for found in map(anchor_of, _anchored(place, question, answer)) if found), "")
    if anchor:
        pair["id"] = anchor
    place.insert_before(pair)
    for name, part in (("q", question), ("a", answer)):
        holder = soup.new_tag("div")
        part.extract()
        _show(part)
        if name == "q" or part.name in ("details", "dt", "dd", "li", "summary"):
            part.name = "div"
        holder.append(part)
        pair.append(holder)
    if place is not question and place is not answer:
        place.extract()


def _anchored(place: Tag, question: Tag, answer: Tag) -> Iterator[Tag]:
    yield place
    if question.parent and question.parent.name in HEADINGS:
        yield question.parent
    yield question
    yield answer
    if place.parent and place.parent.find(True) is place:
        yield place.parent


def _as_details(soup: BeautifulSoup, trigger: Tag, title: str, panel: Tag) -> None:
    if trigger.parent is None or panel.parent is None:
        return  # an accordion around it has taken it along
    details, summary = soup.new_tag("details"), soup.new_tag("summary")
    summary.string = title
    anchor = anchor_of(trigger) or anchor_of(panel)
    if anchor:
        details["id"] = anchor
    trigger.insert_before(details)
    trigger.extract()
    details.append(summary)
    _show(panel)
    details.append(panel.extract())


def _show(panel: Tag) -> None:
    """Undo what hides a panel until it is clicked."""
    for name in ("hidden", "aria-hidden", "style"):
        if name in panel.attrs:
            del panel[name]
    for inner in panel.find_all("button"):
        inner.unwrap()
    if panel.name == "button":
        panel.name = "div"


def _has_text(element: Tag) -> bool:
    return any(not string.isspace() for string in element.strings)
