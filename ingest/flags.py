"""What is wrong with a page's text: placeholders that a template left unfilled, and dates that came out broken."""

import re
from collections.abc import Iterable, Iterator

from bs4 import BeautifulSoup
from bs4.element import NavigableString

from ingest.article import Flag
from ingest.blocks import HEADINGS
from ingest.noise import UNFILLED
from ingest.sentences import sentences
from ingest.shapes import PLACEHOLDER as VARIABLE
from ingest.shapes import word_count
from ingest.tree import line_of, strings_of, tags_of

#: What a template was to fill, or an author to write. Only what no help text says in earnest: ``[your UID]`` and
#: ``{symbol}`` are instructions, ``TODO`` is Spanish, ``[[1]]`` a footnote, ``{2}`` behind a letter a formula.
#: Looked for in every line of the public sets of articles and questions at hand: all that it found was unfilled,
#: save two formulas that ``VARIABLE`` takes for variables.
PLACEHOLDER = re.compile(
    rf"{VARIABLE.pattern}"
    r"|(?<![\w^\\)\]}])\{\d{1,2}\}(?!\w)"
    r"|\[\[\s*[A-Za-z_][\w .:-]{0,60}\]\]"
    r"|(?<![\w%])(?<!\d )%(?:\d{1,2}\$)?[sd@](?!\w)"
    r"|(?m:(?:^|[\[(])[ \t]*TODO[ \t]*(?:[:\])]|$))"
    r"|(?i:\[\s*(?:insert\s+[^\[\]\s]|placeholder\b|todo\b|tbd\b)[^\[\]\n]{0,80}\])"
    r"|(?i:<\s*(?:placeholder|insert\s)[^<>]{0,40}>)"
    r"|(?i:lorem ipsum)[^\n]*"
)
#: A date that a script failed to print.
BROKEN_DATE = re.compile(
    r"invalid date|\bNaN[-/.,年:\s]+NaN\b|\bundefined NaN\b|\bNaN (?:second|minute|hour|day|week|month|year)s? ago"
    r"|\b(?:date|updated|published|posted|modified|created)(?: on| at)?\s*[:：]?\s*NaN\b",
    re.IGNORECASE,
)
#: Words of the longest line that is a broken date; a longer one speaks of broken dates.
LONGEST_DATE_LINE = 8
_IN_PLACEHOLDER = ("{", "%", "[", "<", "TODO", "rem ", "REM ")
_IN_BROKEN_DATE = ("nvalid", "NVALID", "NaN")
_CODE = ("code", "pre", "kbd", "samp", "script", "style")
_MARK = re.compile(r"\s*(?:[-*•]|\d{1,3}[.)])\s+")


def mark_unfilled(soup: BeautifulSoup) -> None:
    """Put `UNFILLED` in the place of each placeholder of the page, so that ``tidy`` drops its sentence.

    Code samples keep theirs. It replaces more than ``noise`` does, whose mark is the same.
    """
    for string in list(_strings(soup, PLACEHOLDER, _IN_PLACEHOLDER)):
        if not string.find_parent(_CODE):
            string.replace_with(PLACEHOLDER.sub(UNFILLED, string))
    for element in list(tags_of(soup, ("placeholder",))):
        element.insert_before(UNFILLED)
        element.unwrap()


def marked(line: str) -> str:
    """Put `UNFILLED` in the place of each placeholder of a line of plain text, unless it is set in as code."""
    is_code = line.startswith("    ") and not _MARK.match(line)
    return line if is_code else PLACEHOLDER.sub(UNFILLED, line)


def without_unfilled(line: str) -> str:
    """Give a marked line of plain text without its sentences that hold `UNFILLED`; empty if none is left.

    >>> without_unfilled(marked("- Hello {{name}}, welcome. Fees are 0.1 %."))
    '- Fees are 0.1 %.'
    """
    if UNFILLED not in line:
        return line
    mark = _MARK.match(line)
    start = mark.end() if mark else 0
    spans = [line[start + begin : start + end] for begin, end in sentences(line[start:], "en")]
    kept = " ".join(span for span in spans if UNFILLED not in span)
    return f"{line[:start]}{kept}" if kept else ""


def prints_broken_date(line: str) -> bool:
    """Tell whether a line of a page is a date that came out broken, with or without its label.

    >>> prints_broken_date("Updated: Invalid Date"), prints_broken_date("3 May 2025")
    (True, False)
    """
    return bool(BROKEN_DATE.search(line)) and word_count(line) <= LONGEST_DATE_LINE


def has_broken_dates(soup: BeautifulSoup) -> bool:
    """Tell whether a page printed a broken date anywhere but in a heading, a link or code, also around its main text."""
    strings = (
        text
        for text in _strings(soup, BROKEN_DATE, _IN_BROKEN_DATE)
        if not text.find_parent((*HEADINGS, *_CODE, "title", "a"))
    )
    if any(prints_broken_date(line_of(text.parent) if text.parent else text) for text in strings):
        return True
    return any(BROKEN_DATE.search(str(element.get("datetime") or "")) for element in tags_of(soup, ("time",)))


def flags_of(lines: Iterable[str], *, dates_are_broken: bool) -> tuple[Flag, ...]:
    """Give the flags of a page.

    :param lines: The main text before anything is dropped for its shape; placeholders are marked with `UNFILLED`,
        so that code samples, which keep theirs, count for nothing.
    :param dates_are_broken: What `has_broken_dates` says, or `prints_broken_date` of any line.
    """
    unfilled: tuple[Flag, ...] = ("placeholder",) if any(UNFILLED in line for line in lines) else ()
    broken: tuple[Flag, ...] = ("invalid_date",) if dates_are_broken else ()
    return unfilled + broken


def _strings(soup: BeautifulSoup, pattern: re.Pattern[str], parts: tuple[str, ...]) -> Iterator[NavigableString]:
    """Give the strings that a pattern is found in.

    :param parts: One of them is in all that the pattern finds. Looking for them first is much faster.
    """
    for node in strings_of(soup):
        for part in parts:
            if part in node:
                if pattern.search(node):
                    yield node
                break
