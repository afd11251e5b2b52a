"""What a help page becomes: an article, its sections, and the passages that are searched and cited.

The errors of reading one::

    IngestError
    └── PageError       one page cannot be read as an article
"""

from dataclasses import dataclass
from typing import Literal

SectionKind = Literal["prose", "steps", "table", "faq"]
Trust = Literal["official", "partner", "aggregator", "unknown"]
#: ``placeholder``: a template's placeholder was left unfilled; ``invalid_date``: a date was printed as "Invalid Date";
#: ``rescued``: the page fits no known shape, its main text was found by trafilatura.
Flag = Literal["placeholder", "invalid_date", "rescued"]


class IngestError(Exception):
    """Something that was to be ingested cannot be; the message says what is wrong, where, and what to do."""


class PageError(IngestError):
    """One page cannot be read as an article: empty, not text, or without a main text."""


@dataclass(frozen=True, slots=True)
class Section:
    """A run of an article under one heading, all of one kind.

    :ivar heading_path: The headings above the text, outermost first, without the article's title.
        For a ``faq`` section the last one is the question.
    :ivar anchor: The fragment that opens the page at this section, or an empty string.
    :ivar kind: ``prose`` (paragraphs and bulleted lists, one ``- `` line an item), ``steps`` (an ordered
        list, one ``1. `` line a step), ``table`` (one line a row) or ``faq`` (the answer of one FAQ pair).
    :ivar text: The text; paragraphs, items and rows are separated by line breaks.
    """

    heading_path: tuple[str, ...]
    anchor: str
    kind: SectionKind
    text: str


@dataclass(frozen=True, slots=True)
class Page:
    """What one page says of itself, before it is known which exchange, product and language it is about.

    :ivar url: The canonical address that the page names, else the one it was read from.
    :ivar published: ISO 8601 date, where the page gives one; ``updated`` likewise.
    :ivar language_hint: The page's own language mark, such as ``pt-BR``; often wrong, so only a hint.
    :ivar site: The registered domain that the page names as its own, such as ``kdj.com``.
    :ivar disclaimer: The page's disclaimer, which is in no section; an empty string if there is none.
    :ivar breadcrumbs: The way to the page that the page shows, outermost first, without the page itself.
    :ivar flags: What is wrong with the page's text, see `Flag`.
    """

    title: str
    url: str | None
    published: str | None
    updated: str | None
    language_hint: str | None
    site: str | None
    disclaimer: str
    sections: tuple[Section, ...]
    breadcrumbs: tuple[str, ...] = ()
    flags: tuple[Flag, ...] = ()


@dataclass(frozen=True, slots=True)
class Article:
    """One help page, cleaned.

    :ivar id: Unique in a corpus, stable while the page keeps its address.
    :ivar url: The page's canonical address; for a local file that names none, its ``file:`` address.
    :ivar exchange: The canonical name of the exchange that the page is about, if it is about one.
    :ivar products: Canonical product names, most prominent first.
    :ivar language: ISO 639-1 code, judged from the text itself.
    :ivar trust: How close the site is to the exchange; from the registered domain.
    :ivar published: ISO 8601 date, where the page gives one; ``updated`` and ``fetched`` likewise.
    :ivar disclaimer: The page's disclaimer, which is in no section; an empty string if there is none.
    :ivar flags: What is wrong with the page's text, see `Flag`.
    """

    id: str
    url: str
    title: str
    exchange: str | None
    products: tuple[str, ...]
    language: str
    trust: Trust
    published: str | None
    updated: str | None
    fetched: str | None
    sections: tuple[Section, ...]
    disclaimer: str = ""
    flags: tuple[Flag, ...] = ()

    @property
    def text(self) -> str:
        """The whole text: every section's own heading, where it changes, and the section's text."""
        return "".join(heading + section.text for heading, section in self._pieces())

    def section_starts(self) -> list[int]:
        """Give the offset in ``text`` at which each section's own text starts, in order."""
        starts: list[int] = []
        position = 0
        for heading, section in self._pieces():
            position += len(heading)
            starts.append(position)
            position += len(section.text)
        return starts

    def _pieces(self) -> list[tuple[str, Section]]:
        pieces: list[tuple[str, Section]] = []
        above: tuple[str, ...] = ()
        for section in self.sections:
            common = 0
            for old, new in zip(above, section.heading_path, strict=False):
                if old != new:
                    break
                common += 1
            gap = "\n\n" if pieces else ""
            heading = "".join(f"{name}\n\n" for name in section.heading_path[common:])
            pieces.append((gap + heading, section))
            above = section.heading_path
        return pieces


@dataclass(frozen=True, slots=True)
class Passage:
    """What is searched and cited: a slice of an article that can be read on its own.

    :ivar id: ``<article id>#<number>``, numbered from 0 in reading order.
    :ivar question: The FAQ question that the text answers, if it is one.
    :ivar text: ``article.text[start:end]``, exactly.
    :ivar start: Offset of the first character in the article's text; ``end`` is one past the last.
    """

    id: str
    article_id: str
    heading_path: tuple[str, ...]
    question: str | None
    text: str
    start: int
    end: int
