"""An answer as Markdown, for clients that render it: what an article or an asker wrote is text there, never markup."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal
from urllib import parse

from ingest.article import Trust
from service.answer import Answer, Citation, Related, Sentence
from service.wording import is_listed

TRUST: dict[Trust, str] = {
    "official": "official page", "partner": "page of a partner of the exchange",
    "aggregator": "aggregator, not official", "unknown": "not an official page",
}  # fmt: skip
NO_EXCHANGE = "No exchange named"

# What means something to CommonMark or to GitHub's dialect wherever it stands. A bracket alone makes no link, and one with
# a backslash opens a formula in many chats, so it is the parenthesis behind it that is escaped.
_MARKUP = re.compile(r"[\\`*~]|<(?=[A-Za-z/!?])|&(?=#?\w+;)|(?<=\])\(|(?<!\w)_|_(?!\w)")
# What does so at the beginning of a line: headings, quotations, lists.
_OPENING = re.compile(r"#{1,6}(?=\s|$)|[>+-]|\d{1,9}(?=[.)](?:\s|$))")
_STEP = re.compile(r"(\d{1,3})[.)] ")
_BULLET = re.compile(r"[-•*–] ")
_SPACES = re.compile(r"\s+")
_BRACKET = re.compile(r"[\[\]]")
_ENTITY = re.compile(r"&(?=#?\w+;)")
_BACKSLASHED = r"\\\g<0>"
# Everything that may stand in an address, but for what could end it in Markdown.
_IN_ADDRESS = "%:/?#@!$&'*+,;=-._~[]"
Shape = Literal["none", "prose", "item", "step"]


@dataclass(frozen=True, slots=True)
class Mark:
    """A mark ``[n]`` behind a sentence: ``text[start:end]``, in characters (code points); `number` is its citation's."""

    number: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Markdown:
    """An answer, written out.

    :ivar pieces: What is said, in order: a sentence a piece, then the notices, the sources and the related articles.
    """

    pieces: tuple[str, ...]
    marks: tuple[Mark, ...]

    @property
    def text(self) -> str:
        """The whole."""
        return "".join(self.pieces)


def to_markdown(answer: Answer) -> Markdown:
    """Write an answer out, with its sources under it."""
    page = _Page()
    if answer.status == "answered":
        exchanges = {citation.number: citation.exchange or NO_EXCHANGE for citation in answer.citations}
        several = len(answer.scope.exchanges) > 1
        for sentence in answer.sentences:
            page.say(sentence, exchanges.get(sentence.citations[0]) if several else None)
    else:
        page.add(escape(answer.text))
    for notice in answer.notices:
        page.add(f"\n\nNote: {escape(notice.message)}")
    page.list_of("Sources", (_source(citation) for citation in answer.citations))
    near = "See also" if answer.status == "answered" else "Nearest articles"
    page.list_of(near, (_article(related) for related in answer.related))
    return Markdown(tuple(page.pieces), tuple(page.marks))


def escape(text: str) -> str:
    r"""Write a text so that Markdown shows it as it is, in one line.

    >>> print(escape("# 2 * 3 [here](https://evil.example) <img> ~5"))
    \# 2 \* 3 [here]\(https://evil.example) \<img> \~5
    >>> print(escape("2026. A year; API_KEY"))
    2026\. A year; API_KEY
    """
    folded = _SPACES.sub(" ", text).strip()
    escaped = _MARKUP.sub(_BACKSLASHED, folded)
    opening = _OPENING.match(escaped)
    if not opening:
        return escaped
    at = opening.end() if opening.group().isdigit() else 0
    return f"{escaped[:at]}\\{escaped[at:]}"


def link(title: str, url: str) -> str:
    """Write a link; an address that is not the web's own, such as a file's or a script's, is left out.

    >>> link("Fees (spot)", "https://help.example/a(1)#:~:text=a%2Cb")
    '[Fees (spot)](https://help.example/a%281%29#:~:text=a%2Cb)'
    >>> link("Fees", "javascript:alert(1)")
    'Fees'
    """
    shown = _BRACKET.sub(_BACKSLASHED, escape(title))
    if not url.lower().startswith(("http://", "https://")):
        return shown
    return f"[{shown}]({_ENTITY.sub(_BACKSLASHED, parse.quote(url, safe=_IN_ADDRESS))})"


class _Page:
    """What has been written so far."""

    def __init__(self) -> None:
        self.pieces: list[str] = []
        self.marks: list[Mark] = []
        self._length = 0
        self._about: str | None = None
        self._shape: Shape = "none"
        self._step = 0
        self._delimiter = "."

    def add(self, piece: str) -> None:
        self.pieces.append(piece)
        self._length += len(piece)

    def say(self, sentence: Sentence, about: str | None) -> None:
        """Write a sentence with its marks; ``about`` heads it where it is another exchange than before."""
        said = ""
        if about and about != self._about:
            said = ("\n\n" if self.pieces else "") + f"**{escape(about)}**\n\n"
            self._about, self._shape = about, "none"
        said += self._line(_SPACES.sub(" ", sentence.text).strip())
        for position, number in enumerate(sentence.citations):
            said += "" if position else " "
            start = self._length + len(said)
            said += f"[{number}]"
            self.marks.append(Mark(number, start, self._length + len(said)))
        self.add(said)

    def list_of(self, heading: str, items: Iterator[str]) -> None:
        for position, item in enumerate(items):
            self.add(f"\n- {item}" if position else f"\n\n{heading}:\n\n- {item}")

    def _line(self, text: str) -> str:
        """Give a sentence's line and what parts it from the one before."""
        before, shape, body, number = self._shape, *_shape_of(text)
        self._shape = shape
        if shape == "step":
            follows = before == "step" and number == self._step + 1
            if not follows:  # another delimiter begins another list, whose first number is kept
                self._delimiter = ")" if before == "step" and self._delimiter == "." else "."
            self._step = number
            return f"{_gap(before, joined=follows)}{number}{self._delimiter} {escape(body)}"
        if shape == "item":
            return f"{_gap(before, joined=before == 'item')}- {escape(body)}"
        return f"{' ' if before == 'prose' else _gap(before)}{escape(body)}"


def _gap(before: Shape, *, joined: bool = False) -> str:
    if before == "none":
        return ""
    return "\n" if joined else "\n\n"


def _shape_of(text: str) -> tuple[Shape, str, int]:
    """Tell how a sentence is written: its shape, what it says without its list mark, and a step's number."""
    if step := _STEP.match(text):
        return "step", text[step.end() :], int(step[1])
    if bullet := _BULLET.match(text):
        return "item", text[bullet.end() :], 0
    return "item" if is_listed(text) else "prose", text, 0


def _source(citation: Citation) -> str:
    facts = [citation.exchange, TRUST[citation.trust], citation.updated or "undated"]
    told = " · ".join(escape(fact) for fact in facts if fact)
    return f"[{citation.number}] {link(citation.title, citation.url)} · {told}"


def _article(related: Related) -> str:
    about = f" · {escape(related.exchange)}" if related.exchange else ""
    return link(related.title, related.url) + about
