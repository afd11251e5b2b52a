"""A PDF → Page. Its text, with its places, is written as HTML and read as such, so that all kinds of pages read alike."""

import logging
import math
import re
import time
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from html import escape
from io import BytesIO
from typing import Any

from pypdf import Configuration, PdfReader, apply_configuration
from pypdf.errors import DependencyError

from ingest.article import Page, PageError
from ingest.clean import read_html
from ingest.layout import LARGER, Line, Run, lines_of, main_size, to_html

#: Bounds of one file: its bytes, pages and characters of text, and the seconds that reading it may take.
LARGEST = 50 * 1024 * 1024
MOST_PAGES = 2_000
MOST_TEXT = 5_000_000
MOST_SECONDS = 15.0
#: What pypdf may unpack and parse of one stream; its own bounds are three times to twenty times as high. A page of text
#: has 5 to 50 KB unpacked; images are not unpacked.
_BOUNDS = Configuration(
    zlib_maximum_output_length=25_000_000,
    lzw_maximum_output_length=25_000_000,
    run_length_maximum_output_length=25_000_000,
    brotli_maximum_output_length=25_000_000,
    stream_decoding_work_maximum_length=50_000_000,
    stream_parsing_work_maximum_count=500_000,
    page_tree_maximum_entries=2 * MOST_PAGES,
    page_tree_maximum_page_entries=100 * MOST_PAGES,
    outline_maximum_entries=10_000,
)
#: Points below which a font is not for people to read.
_SMALLEST = 2.0
#: Lines of a page, from its edge, that may be a header or footer, and the share of its height that is its margin.
_EDGE = 3
_MARGIN = 0.1
#: Characters of a file's text below which it is taken for pictures of pages.
_SCANNED = 20

#: Dictionaries that are opened one in the other, which pypdf would take minutes over; a file nests five.
_NESTED = re.compile(rb"(?:<<[^<>]{0,60}){100}")
_BOLD = re.compile(r"bold|black|heavy|demi", re.IGNORECASE)
_NO_TITLE = re.compile(
    r"\s*$|microsoft (?:word|excel|powerpoint) ?-|untitled|unbenannt|sans titre|sin título|無題|document ?\d*$|slide ?\d*$|"
    r"(?:https?|file):|.*\.(?:docx?|pdf|indd|tex|dvi|odt|rtf|html?|pptx?|xlsx?|qxd|pages|md|txt)$",
    re.IGNORECASE,
)
_PAGE_NUMBER = re.compile(
    r"\W*(?:page|seite|página|pagina|стр\.?|第)?\s*\d{1,4}\s*(?:(?:of|von|de|di|из|/|-)\s*\d{1,4}|[页頁ページ]+)?\W*$",
    re.IGNORECASE,
)
#: What a browser prints into the margins: the address with the page's number, the day with the title.
_PRINTED = re.compile(r"(?:https?|file)://\S+(?:\s+\d+\s*/\s*\d+)?$|\d{1,2}[/.]\d{1,2}[/.]\d{2,4}, \d")
_LIGATURES = str.maketrans(
    {"\ufb00": "ff", "\ufb01": "fi", "\ufb02": "fl", "\ufb03": "ffi", "\ufb04": "ffl", "\ufb05": "st", "\ufb06": "st",
     "\u00a0": " ", "\u200b": "", "\ufeff": "", "\x00": "", "\x7f": "•"}
)  # fmt: skip

# Damaged files make pypdf log what it mends; what it cannot mend is an error, and named.
logging.getLogger("pypdf").setLevel(logging.CRITICAL)


def parse_pdf(data: bytes, *, name: str) -> Page:
    """Read a PDF.

    :param name: The file's name or address, for messages.
    :raises PageError: If it is no PDF, damaged, locked, scanned, or larger or slower than the bounds of this module.
    """
    if len(data) > LARGEST:
        raise PageError(f"{name}: a PDF of {len(data):,} bytes, at most {LARGEST:,} are read; split it")
    if b"%PDF-" not in data[:1024]:
        raise PageError(f"{name}: not a PDF; give one that begins with %PDF-")
    if _NESTED.search(data):
        raise PageError(
            f"{name}: a damaged PDF, or one made to harm (nested without end); save it again from its source"
        )
    with apply_configuration(_BOUNDS):
        try:
            html = _Document(data, name).html()
        except PageError:
            raise
        except DependencyError as error:
            raise PageError(f"{name}: locked in a way that cannot be read here ({error}); save it unlocked") from error
        except Exception as error:  # damaged files bring up any kind
            what = " ".join(str(error).split())[:200] or type(error).__name__
            raise PageError(
                f"{name}: a damaged PDF, or one made to harm ({what}); save it again from its source"
            ) from error
    return read_html(html, url=None, where=name)


class _Document:
    """One PDF while it is read."""

    def __init__(self, data: bytes, name: str) -> None:
        self._name = name
        self._deadline = time.monotonic() + MOST_SECONDS
        self._operations = 0
        self._runs: list[Run] = []
        self._letters = 0
        self._reader = PdfReader(BytesIO(data), strict=False)
        if self._reader.is_encrypted and not self._reader.decrypt(""):
            raise PageError(f"{name}: locked with a password; save it without one")

    def html(self) -> str:
        pages = len(self._reader.pages)
        if pages > MOST_PAGES:
            raise PageError(f"{self._name}: {pages:,} pages, at most {MOST_PAGES:,} are read; split it")
        heights: list[float] = []
        for number in range(pages):
            heights.append(self._read_page(number))
        lines = _without_margins(lines_of(self._runs), heights)
        if sum(len(line.text) for line in lines) < _SCANNED:
            raise PageError(f"{self._name}: no text in its {pages} pages, they are pictures; run it through OCR first")
        info = self._info()
        title = info.get("/Title", "")
        title = _largest(lines) if _NO_TITLE.match(title) or len(title) > 200 else title
        head = "".join(
            f'<meta name="{key}" content="{escape(value)}">'
            for key, value in (
                ("og:title", title),
                ("article:published_time", _day(info.get("/CreationDate", ""))),
                ("article:modified_time", _day(info.get("/ModDate", ""))),
                ("language", self._language()),
            )
            if value
        )
        return f"<html><head>{head}</head><body><main>{to_html(lines, self._outline())}</main></body></html>"

    def _read_page(self, number: int) -> float:
        """Collect a page's runs; give the page's height in points."""
        page = self._reader.pages[number]
        left, bottom, right, top = (float(edge) for edge in page.mediabox)

        def add(text: str, cm: Sequence[float], tm: Sequence[float], font: Any, size: float) -> None:  # noqa: ANN401
            self._check_time()
            x = tm[4] * cm[0] + tm[5] * cm[2] + cm[4]
            y = tm[4] * cm[1] + tm[5] * cm[3] + cm[5]
            height = abs(float(size)) * math.hypot(tm[2] * cm[0] + tm[3] * cm[2], tm[2] * cm[1] + tm[3] * cm[3])
            on_page = left <= x <= right and bottom <= y <= top
            if not text.strip() or height < _SMALLEST or not on_page:
                return
            self._letters += len(text)
            if self._letters > MOST_TEXT:
                raise PageError(f"{self._name}: more than {MOST_TEXT:,} characters of text; split it")
            face = str(font.get("/BaseFont", "")) if font else ""
            for below, piece in enumerate(text.translate(_LIGATURES).rstrip("\n").split("\n")):
                place = y - bottom - below * 1.2 * height
                self._runs.append(Run(piece, x - left, place, height, bool(_BOLD.search(face)), number))

        def watch(*_: object) -> None:
            self._operations += 1
            if self._operations % 1000 == 0:
                self._check_time()

        self._check_time()
        page.extract_text(orientations=(0,), visitor_text=add, visitor_operand_before=watch)
        self._check_time()  # pypdf goes on after an error within a form
        return top - bottom

    def _check_time(self) -> None:
        if time.monotonic() > self._deadline:
            raise PageError(
                f"{self._name}: takes longer than {MOST_SECONDS:.0f} seconds to read; split it, or leave it out"
            )

    def _info(self) -> dict[str, str]:
        """Give the document's own title and dates; a damaged entry is left out."""
        info: dict[str, str] = {}
        try:
            entries = self._reader.metadata
            for key in ("/Title", "/CreationDate", "/ModDate"):
                value = entries.get(key) if entries else None
                if isinstance(value, str):
                    info[key] = " ".join(value.replace("\x00", "").split())
        except Exception:  # it says nothing of the text
            return info
        return info

    def _language(self) -> str:
        language = self._reader.root_object.get("/Lang")
        return (
            str(language)
            if isinstance(language, str) and re.fullmatch(r"[A-Za-z]{2,3}([-_]\w{2,8})*", language)
            else ""
        )

    def _outline(self) -> dict[str, int]:
        """Give the bookmarks, in small letters, and how deep each is; none if they are damaged."""
        found: dict[str, int] = {}
        try:
            rest: list[tuple[Any, int]] = [(self._reader.outline, 1)]
            while rest:
                entries, depth = rest.pop()
                for entry in entries:
                    if isinstance(entry, list):
                        rest.append((entry, depth + 1))
                    else:
                        found.setdefault(" ".join(str(entry.title).split()).casefold(), depth)
        except Exception:  # headings are told by their size then
            return {}
        return found


def _without_margins(lines: Sequence[Line], heights: Sequence[float]) -> list[Line]:
    """Take out page numbers, and the headers and footers that pages repeat."""
    edges: dict[int, set[int]] = {}  # page → numbers of its outermost lines
    by_page: dict[int, list[int]] = {}
    for index, line in enumerate(lines):
        by_page.setdefault(line.page, []).append(index)
    for page, indexes in by_page.items():
        ordered = sorted(indexes, key=lambda index: lines[index].y)
        edges[page] = {*ordered[:_EDGE], *ordered[-_EDGE:]}
    repeats = Counter(_key(lines[index]) for indexes in edges.values() for index in indexes)
    enough = max(2, 0.5 * len(by_page))

    def is_margin(index: int) -> bool:
        line = lines[index]
        if index not in edges[line.page]:
            return False
        at = line.y / heights[line.page] if heights[line.page] else 0.5
        in_margin = at < _MARGIN or at > 1 - _MARGIN
        if in_margin and (_PAGE_NUMBER.match(line.text) or _PRINTED.match(line.text)):
            return True
        return repeats[_key(line)] >= enough and in_margin

    return [line for index, line in enumerate(lines) if not is_margin(index)]


def _key(line: Line) -> tuple[str, int]:
    """Give what is the same in a header on every page: its text but for numbers, and its height."""
    return re.sub(r"\d+", "#", line.text.casefold()), round(line.y / 3)


def _largest(lines: Sequence[Line]) -> str:
    """Give the first page's largest line, with the lines that it wraps to; else its first line."""
    first = [line for line in lines if line.page == lines[0].page]
    size = max(line.size for line in first)
    at = next(index for index, line in enumerate(first) if line.size == size)
    if size < LARGER * main_size(lines):
        return first[0].text if len(first[0].text) <= 120 else ""
    title = [first[at].text]
    for above, line in zip(first[at:], first[at + 1 : at + 3], strict=False):
        if abs(line.size - size) > 0.1 or not 0 < above.y - line.y < 1.45 * size:
            break
        title.append(line.text)
    return " ".join(title)


def _day(date: str) -> str:
    """Read the day from a date such as ``D:20260501120000+02'00'``; an empty string where it cannot be one."""
    found = re.match(r"\s*(?:D:)?(\d{4})-?(\d\d)-?(\d\d)", date)
    try:
        day = datetime(int(found[1]), int(found[2]), int(found[3]), tzinfo=UTC) if found else None
    except ValueError:
        return ""
    if day is None or day.year < 1993 or day > datetime.now(UTC) + timedelta(days=1):
        return ""
    return day.date().isoformat()
