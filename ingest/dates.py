"""Dates as pages write them, for machines or for people, as ISO 8601 days."""

import re
from datetime import date

import dateparser

from ingest.labels import PUBLISHED_LABEL, UPDATED_LABEL
from ingest.shapes import DATE

_ISO = re.compile(r"\s*((?:19|20)\d\d)-(\d{2})-(\d{2})(?!\d)")
_COMPACT = re.compile(r"((?:19|20)\d\d)(\d{2})(\d{2})")
#: Day zero of the clocks: what is printed where a time was missing.
_EPOCH = date(1970, 1, 1)
_NUMERIC = re.compile(r"(\d{1,2})[/.-](\d{1,2})[/.-]((?:19|20)\d\d)")


def iso_day(text: str, language: str | None = None) -> str | None:
    """Read the day from a date such as ``2025-05-16T14:42:00Z`` or ``May 16, 2025 at 02:42 pm``.

    :param language: The page's language mark, such as ``en-GB``, which decides whether 05/06/2025 is in May or
        in June. Where it does not decide, no day is given: a wrong date is worse than none.
    :return: ``YYYY-MM-DD``, or None where the text holds no whole date.

    >>> iso_day("May 16, 2025 at 02:42 pm")
    '2025-05-16'
    >>> iso_day("05/06/2025", "en") is None
    True
    """
    machine = _ISO.match(text) or _COMPACT.fullmatch(text.strip())
    if machine:
        return _day(*(int(part) for part in machine.groups()))
    written = DATE.search(text)
    if written is None:
        return None
    numeric = _NUMERIC.match(written[0])
    if numeric:
        return _numeric_day(*(int(part) for part in numeric.groups()), language=language)
    parsed = dateparser.parse(
        written[0].strip(), settings={"STRICT_PARSING": True, "REQUIRE_PARTS": ["day", "month", "year"]}
    )
    return _day(parsed.year, parsed.month, parsed.day) if parsed else None


def labelled_day(line: str, language: str | None = None) -> tuple[str, str] | None:
    """Read a line such as ``Last updated: 3 May 2025``.

    :return: ``published`` or ``updated``, and the day; None where the line is not of that kind. A date without
        a label is when the page was published.
    """
    written = DATE.search(line)
    if written is None or len(line) > 120:
        return None
    before = line[: written.start()].strip(" \t|·•,-–—(*_")
    day = iso_day(written[0], language)
    if day is None:
        return None
    if not before or PUBLISHED_LABEL.fullmatch(before):
        return "published", day
    return ("updated", day) if re.search(UPDATED_LABEL.pattern + r"$", before, re.IGNORECASE) else None


def _numeric_day(first: int, second: int, year: int, *, language: str | None) -> str | None:
    mark = (language or "").replace("_", "-").lower()
    if first > 12 or first == second:
        return _day(year, second, first)
    if second > 12 or mark == "en-us":
        return _day(year, first, second)
    if mark in {"", "en"}:
        return None
    return _day(year, second, first)


def _day(year: int, month: int, day: int) -> str | None:
    try:
        found = date(year, month, day)
        return found.isoformat() if found != _EPOCH else None
    except ValueError:
        return None
