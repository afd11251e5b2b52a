"""FAQ pairs in HTML: every way of marking one is turned into one element, which ``blocks`` then reads.

Ways: schema.org microdata, ``details``, accordions (a button and its panel), question and answer told apart by
class words, and definition lists whose terms are questions. Pairs that show only in the text (question headings,
``Q:`` and ``A:``, JSON-LD) are found later, in ``pairs``.
"""

import re
from collections.abc import Iterator

from bs4 import BeautifulSoup, Tag

from ingest.blocks import HEADINGS, PAIR, anchor_of
from ingest.labels import FAQ_LABEL
from ingest.shapes import is_question, word_count

#: Words of a question; a longer trigger or term is none. The longest of the 540 headings looked at has 31.
LONGEST_QUESTION = 45

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_FAQ_WORDS = frozenset({"faq", "faqs", "qa", "accordion", "questions", "preguntas"})
_QUESTION_WORDS = frozenset({"question", "q", "pregunta", "frage", "pergunta"})
_ANSWER_WORDS = frozenset({"answer", "a", "respuesta", "antwort", "resposta"})
_TRIGGER_WORDS = frozenset({"title", "header", "heading", "head", "trigger", "toggle", "button", "btn", "summary"})
_PANEL_WORDS = frozenset({"panel", "body", "content", "collapse", "text", "details", "inner", "pane"})


def class_words(tag: Tag) -> set[str]:
    """Give the words of an element's classes and id, in lower case: ``faqItem-title`` has faq, item and title."""
    names = [*tag.get_attribute_list("class"), tag.get("id")]
    return {word for name in names for word in name_words(str(name or ""))}


def name_words(name: str) -> list[str]:
    """Give the words of one class name or id; none for the random letters that some builders make up.

    >>> name_words("faqItem-title"), name_words("jXK9ad"), name_words("qSad")
    (['faq', 'item', 'title'], [], [])
    """
    words: list[str] = []
    for part in re.split(r"[-_\s:]+", name):
        pieces = [] if re.search(r"\d[A-Za-z]", part) else _WORD.findall(part)
        if len(pieces) == 1 or all(len(piece) > 2 for piece in pieces):
            words.extend(piece.lower() for piece in pieces)
    return words


def mark_pairs(soup: BeautifulSoup) -> None:
    """Turn every FAQ pair of the page into a ``PAIR`` element, and other panels into ``details``.

    Panels that a page hides until they are clicked are shown, so this comes before hidden elements are dropped.
    """
    _microdata(soup)
    _details(soup)
    _buttons(soup)
    _classes(soup)
    _definitions(soup)


def _microdata(soup: BeautifulSoup) -> None:
    for item in soup.find_all(itemtype=re.compile(r"schema\.org/Question\b", re.IGNORECASE)):
        name = item.find(itemprop="name")
        answer = item.find(itemprop="acceptedAnswer") or item.find(itemprop="suggestedAnswer")
        if isinstance(name, Tag) and isinstance(answer, Tag):
            _replace(soup, item, name, answer.find(itemprop="text") or answer)


def _details(soup: BeautifulSoup) -> None:
    for details in soup.find_all("details"):
        summary = details.find("summary", recursive=False)
        if summary and (is_question(_text(summary)) or _in_faq(details)):
            _replace(soup, details, summary.extract(), details)


def _buttons(soup: BeautifulSoup) -> None:
    for button in soup.select(
        'button, [role="button"], [aria-controls], [data-toggle="collapse"], [data-bs-toggle="collapse"]'
    ):
        panel = _panel(soup, button)
        if (
            panel is None
            or button.find_parent(["nav", "footer", PAIR])
            or button.find_parent("header", recursive=False)
        ):
            continue
        title = _text(button)
        if not title or not _text(panel) or word_count(title) > LONGEST_QUESTION:
            continue
        trigger = _outermost(button, panel)
        if is_question(title) or _in_faq(trigger):
            _replace(soup, trigger, button, panel)
        elif _is_panel(panel):
            _as_details(soup, trigger, title, panel)


def _panel(soup: BeautifulSoup, button: Tag) -> Tag | None:
    """Find what a button opens: the element it names, else what follows it or its heading."""
    for name in ("aria-controls", "data-target", "data-bs-target", "href"):
        value = str(button.get(name) or "")
        target = soup.find(id=value.removeprefix("#")) if value.strip("#") else None
        if isinstance(target, Tag) and target is not button and button not in target.descendants:
            return target
    if button.name != "button" and button.get("role") != "button":
        return None
    start = button.parent if button.parent and button.parent.name in HEADINGS else button
    sibling = start.find_next_sibling() if isinstance(start, Tag) else None
    return sibling if isinstance(sibling, Tag) and (_is_panel(sibling) or _in_faq(sibling)) else None


def _is_panel(element: Tag) -> bool:
    return bool(class_words(element) & (_PANEL_WORDS | _ANSWER_WORDS)) or element.get("role") in ("region", "tabpanel")


def _outermost(button: Tag, panel: Tag) -> Tag:
    """Climb from a button to the element that holds nothing else, such as its heading, short of the panel."""
    outer = button
    while outer.parent and outer.parent is not panel.parent and panel not in outer.parent.descendants:
        if _text(outer.parent) != _text(button):
            break
        outer = outer.parent
    return outer


def _classes(soup: BeautifulSoup) -> None:
    for element in soup.find_all(
        ["div", "p", "h2", "h3", "h4", "h5", "h6", "span", "li", "dt", "strong", "a", "button"]
    ):
        words = class_words(element)
        if element.parent is None or not (words & (_QUESTION_WORDS | _TRIGGER_WORDS)) or element.find_parent(PAIR):
            continue
        answer = element.find_next_sibling()
        if not isinstance(answer, Tag) or not _text(answer) or not _text(element):
            continue
        if word_count(_text(element)) > LONGEST_QUESTION:
            continue
        told_apart = words & _QUESTION_WORDS and class_words(answer) & _ANSWER_WORDS
        opened = (
            is_question(_text(element)) and _in_faq(element) and class_words(answer) & (_PANEL_WORDS | _ANSWER_WORDS)
        )
        if told_apart or opened:
            _replace(soup, element, element, answer)


def _definitions(soup: BeautifulSoup) -> None:
    for definitions in soup.find_all("dl"):
        terms = [term for term in definitions.find_all("dt") if term.find_parent("dl") is definitions]
        asked = [term for term in terms if is_question(_text(term))]
        if not asked or len(asked) * 2 < len(terms):
            continue
        for term in asked:
            parts: list[Tag] = []
            for sibling in term.find_next_siblings():
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


def _in_faq(element: Tag) -> bool:
    """Tell whether an element stands in a FAQ: an element around it is called so, or the heading above it says so."""
    for outer in (element, *list(element.parents)[:4]):
        if outer.name in ("body", "main", "html", "[document]"):
            break
        if class_words(outer) & _FAQ_WORDS:
            return True
    for heading in element.find_all_previous(list(HEADINGS), limit=4):
        text = _text(heading)
        if not is_question(text):
            return bool(FAQ_LABEL.search(text))
        if FAQ_LABEL.search(text):
            return True
    return False


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


def _text(element: Tag) -> str:
    return " ".join(element.get_text(" ").split())
