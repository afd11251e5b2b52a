"""Lines of text with their places on a page → HTML, so that a laid-out page reads as one that was marked up.

A PDF has no headings, lists or tables, only text at places. What a line is shows in its size, its weight, where it
begins and how far it is from the line above. Lines are taken in the order in which the file draws them, which keeps
columns apart.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from ingest.shapes import ends_sentence, is_question, word_count

#: Words up to which a line may be a heading; a question may be longer.
LONGEST_HEADING = 14
LONGEST_QUESTION = 28
#: Sizes and distances are in units of the font size. A heading is at least this much larger than the text.
LARGER = 1.12
#: A gap between two cells of a row; a space has 0.25 to 0.3.
CELL_GAP = 0.8
#: How much farther than the usual line the next paragraph is.
PARAGRAPH_GAP = 1.25
#: Points by which what begins at the same place may differ.
_SAME = 4.0

_ITEM = re.compile(r"(?:([•◦▪‣·●○■□➢➤✓\uf0b7\uf0a7\uf0d8\uf076–*-])|(\d{1,3})[.)])\s+(?=\S)")
_CONTENTS = re.compile(r"(?:\.\s?){4,}\s*\d{1,4}$")
_BREAK = re.compile(r"[^\W\d_]{2,}[-\u2010]$")
_COMPOUND = re.compile(r"[^\W\d_]+[-\u2010][^\W\d_]+")
#: First halves after which a hyphen at a line's end is the word's own, where the page does not write the word elsewhere.
_OWN_HYPHEN = frozenset(["two", "three", "non", "self", "cross", "third", "real", "peer", "well", "high", "low"])
_NARROW, _WIDE = frozenset("iljtfrI.,:;'|!()[] "), frozenset("mwMW@%")


@dataclass(frozen=True, slots=True)
class Run:
    """Text drawn at one go.

    :ivar x: Where it begins, in points from the left; ``y`` is its base line's height above the page's lower edge.
    :ivar size: Its font size on the page, in points.
    """

    text: str
    x: float
    y: float
    size: float
    bold: bool
    page: int

    @property
    def end(self) -> float:
        """Where it ends, judged from usual widths of letters: within about 8 % of its length."""
        return self.x + self.size * sum(_width(character) for character in self.text.rstrip())


@dataclass(frozen=True, slots=True)
class Line:
    """Runs on one base line."""

    runs: tuple[Run, ...]

    @property
    def text(self) -> str:
        """The line's text, its spaces single."""
        return _joined(self.runs)

    @property
    def x(self) -> float:
        """Where it begins."""
        return self.runs[0].x

    @property
    def y(self) -> float:
        """The height of its base line."""
        return self.runs[0].y

    @property
    def page(self) -> int:
        """The page's number, from 0."""
        return self.runs[0].page

    @property
    def size(self) -> float:
        """The font size of most of it."""
        return max(self.runs, key=lambda run: len(run.text)).size

    @property
    def bold(self) -> bool:
        """Whether all of it is bold."""
        return all(run.bold for run in self.runs if run.text.strip())

    @property
    def cells(self) -> list[list[Run]]:
        """The runs, parted where there is a gap as between the cells of a row."""
        cells = [[self.runs[0]]]
        for left, run in zip(self.runs, self.runs[1:], strict=False):
            spaced = run.text[:1].isspace() or left.text[-1:].isspace()
            # The longer the run before it, the less sure is where it ended.
            gap = run.x - left.end - (0.06 if spaced else 0.12) * (left.end - left.x)
            if gap > CELL_GAP * run.size and not _is_mark(cells):
                cells.append([run])
            else:
                cells[-1].append(run)
        return cells


def lines_of(runs: Iterable[Run]) -> list[Line]:
    """Put runs that were drawn one after the other on one base line together."""
    lines: list[list[Run]] = []
    for run in runs:
        last = lines[-1][-1] if lines else None
        on_line = last and last.page == run.page and abs(last.y - run.y) < 0.4 * max(last.size, run.size)
        if last and on_line and run.x >= last.x:
            lines[-1].append(run)
        else:
            lines.append([run])
    return [Line(tuple(line)) for line in lines if any(run.text.strip() for run in line)]


def main_size(lines: Sequence[Line]) -> float:
    """Give the font size that most of the text has."""
    sizes: Counter[float] = Counter()
    for line in lines:
        sizes[_round(line.size)] += len(line.text)
    return sizes.most_common(1)[0][0] if sizes else 0.0


def to_html(lines: Sequence[Line], outline: Mapping[str, int]) -> str:
    """Write lines in reading order as HTML: headings, paragraphs, lists and tables.

    :param outline: The document's bookmarks, in small letters, and how deep each is, from 1.
    """
    return _Writer([line for line in lines if not _CONTENTS.search(line.text)], outline).html()


class _Writer:
    def __init__(self, lines: Sequence[Line], outline: Mapping[str, int]) -> None:
        self._lines = lines
        self._outline = outline
        self._size = main_size(lines)
        larger = {_round(line.size) for line in lines if line.size >= LARGER * self._size}
        self._sizes = sorted(larger, reverse=True)
        letters = sum(len(line.text) for line in lines) or 1
        self._bold_says = sum(len(line.text) for line in lines if line.bold) < 0.4 * letters
        self._gap = self._usual_gap()
        self._rights: dict[int, float] = {}  # how far the lines of a column reach, by where they begin
        for line in lines:
            column = round(line.x / 8)
            self._rights[column] = max(self._rights.get(column, 0.0), line.runs[-1].end)
        self._compounds = {word.lower() for line in lines for word in _COMPOUND.findall(line.text)}
        self._words = {word.lower() for line in lines for word in re.findall(r"[^\W\d_]+", line.text)}
        self._out: list[str] = []
        self._lists: list[tuple[float, str]] = []  # the lists that are open: where their marks stand, their element

    def html(self) -> str:
        at = 0
        while at < len(self._lines):
            at = self._next(at)
        self._close_lists()
        return "\n".join(self._out)

    def _next(self, at: int) -> int:
        """Write what begins at a line; give the line after it."""
        level = self._level(at)
        if level:
            return self._heading(at, level)
        rows, after = table_at(self._lines, at)
        if rows:
            self._close_lists()
            self._out.append(_table(rows))
            return after
        mark = _ITEM.match(self._lines[at].text)
        if mark:
            return self._item(at, mark)
        after = self._paragraph_end(at, self._lines[at].x)
        text = self._text(self._lines[at:after])
        if self._lists and self._lines[at].x > self._lists[-1][0] + _SAME:
            self._out.append(f"<p>{text}</p>")  # a further paragraph of the item
        else:
            self._close_lists()
            self._out.append(f"<p>{text}</p>")
        return after

    def _heading(self, at: int, level: int) -> int:
        after = at + 1
        while after < len(self._lines) and self._continues_heading(after):
            after += 1
        self._close_lists()
        self._out.append(f"<h{level}>{self._text(self._lines[at:after])}</h{level}>")
        return after

    def _continues_heading(self, at: int) -> bool:
        above, line = self._lines[at - 1], self._lines[at]
        alike = _round(above.size) == _round(line.size) and above.bold == line.bold and above.page == line.page
        close = 0 < above.y - line.y < 1.45 * line.size
        return alike and close and not ends_sentence(above.text) and self._level(at) > 0

    def _item(self, at: int, mark: re.Match[str]) -> int:
        line = self._lines[at]
        after = self._paragraph_end(at, line.x)
        kind = "ol" if mark[2] else "ul"
        same = 0.7 * line.size
        while self._lists and line.x < self._lists[-1][0] - same:
            self._close_list()
        if self._lists and abs(line.x - self._lists[-1][0]) <= same and self._lists[-1][1] != kind:
            self._close_list()
        if not self._lists or line.x > self._lists[-1][0] + same:
            start = f' start="{mark[2]}"' if mark[2] else ""
            self._out.append(f"<{kind}{start}>")
            self._lists.append((line.x, kind))
        else:
            self._out.append("</li>")
        text = self._text(self._lines[at:after])
        self._out.append(f"<li>{_ITEM.sub('', text, count=1)}")
        return after

    def _close_list(self) -> None:
        self._out.append(f"</li></{self._lists.pop()[1]}>")

    def _close_lists(self) -> None:
        while self._lists:
            self._close_list()

    def _level(self, at: int) -> int:
        """Give a heading's level; 0 if the line is none."""
        line = self._lines[at]
        text = line.text
        longest = LONGEST_QUESTION if is_question(text) else LONGEST_HEADING
        if word_count(text) > longest or not re.search(r"[^\W\d_]", text) or text[-1] in ":：;；,，":
            return 0
        depth = self._outline.get(text.casefold(), 0)
        if (ends_sentence(text) and not is_question(text) and not depth) or len(line.cells) > 1:
            return 0
        if line.size >= LARGER * self._size:
            return min(self._sizes.index(_round(line.size)) + 1, 5)
        if depth:
            return min(depth + 1, 6)
        return min(len(self._sizes) + 2, 6) if self._is_bold_heading(at) else 0

    def _is_bold_heading(self, at: int) -> bool:
        line = self._lines[at]
        if not self._bold_says or not line.bold or _ITEM.match(line.text) or line.size < 0.95 * self._size:
            return False
        below = self._lines[at + 1] if at + 1 < len(self._lines) else None
        above = self._lines[at - 1] if at else None
        stands_apart = above is None or above.page != line.page or not self._is_close(above, line) or above.bold
        return (
            below is not None
            and not (below.bold and len(below.cells) > 1)
            and (stands_apart or ends_sentence(above.text if above else ""))
        )

    def _paragraph_end(self, at: int, left: float) -> int:
        after = at + 1
        while after < len(self._lines) and self._goes_on(after, left):
            after += 1
        return after

    def _goes_on(self, at: int, left: float) -> bool:
        """Tell whether a line continues the paragraph or item of the line above it."""
        above, line = self._lines[at - 1], self._lines[at]
        if _ITEM.match(line.text) or self._level(at) or table_at(self._lines, at)[0]:
            return False
        if above.page != line.page or line.y > above.y:
            return not ends_sentence(above.text) and (line.text[:1].islower() or bool(_BREAK.search(above.text)))
        if not self._is_close(above, line) or line.x < left - _SAME or (above.bold != line.bold and above.bold):
            return False
        right = self._rights[round(above.x / 8)]
        return not (ends_sentence(above.text) and above.runs[-1].end - above.x < 0.75 * (right - above.x))

    def _is_close(self, above: Line, line: Line) -> bool:
        alike = abs(above.size - line.size) < 0.1 * self._size
        return alike and 0 <= above.y - line.y <= PARAGRAPH_GAP * self._gap * max(above.size, line.size)

    def _usual_gap(self) -> float:
        gaps = [
            (above.y - line.y) / line.size
            for above, line in zip(self._lines, self._lines[1:], strict=False)
            if above.page == line.page and 0.9 < (above.y - line.y) / line.size < 2.2 and above.size == line.size
        ]
        return sorted(gaps)[len(gaps) // 3] if gaps else 1.3  # wrapped lines are the closest

    def _text(self, lines: Sequence[Line]) -> str:
        """Join a paragraph's lines, and words that were broken at a line's end."""
        text = ""
        for line in lines:
            if text.endswith("\u00ad"):
                text = text[:-1] + line.text
            elif _BREAK.search(text) and line.text[:1].islower():
                text = self._unbroken(text, line.text)
            else:
                text = f"{text} {line.text}" if text else line.text
        return escape(text.replace("\u00ad", ""))

    def _unbroken(self, text: str, below: str) -> str:
        first = re.findall(r"[^\W\d_]+", text)[-1].lower()
        second = re.findall(r"[^\W\d_]+", below)[0].lower()
        keeps = f"{first}-{second}" in self._compounds or (first + second not in self._words and first in _OWN_HYPHEN)
        return text + below if keeps else text[:-1] + below


def table_at(lines: Sequence[Line], at: int) -> tuple[list[list[str]], int]:
    """Read the table that begins at a line.

    :return: Its rows, the header first, an empty one if it has none; and the line after it. No rows if there is no
        table.
    """
    head = lines[at].cells
    if len(head) < 2:
        return [], at
    rows: list[_Row] = []
    after = at + 1
    while after < len(lines):
        row, end = _row_at(lines, after, len(head))
        if lines[after].size > LARGER * lines[at].size or not _belongs(row, rows):
            break
        rows.append(row)
        after = end
    if not rows:
        return [], at
    starts = next((row.starts for row in rows if len(row.cells) == len(head)), [cell[0].x for cell in head])
    table: list[list[str]] = []
    for row in rows:
        cells = row.texts(starts)
        if row.starts[0] > starts[0] + _SAME and len(row.cells) < len(starts) and table:
            table[-1] = [f"{above} {cell}".strip() for above, cell in zip(table[-1], cells, strict=True)]
        else:
            table.append(cells)
    names = [_joined(cell) for cell in head]
    is_head = lines[at].bold or not any(re.search(r"\d", name) for name in names)
    table = [cells for cells in table if cells != names]  # the header, repeated on the next page
    return ([names, *table] if is_head else [[], names, *table]), after


@dataclass(slots=True)
class _Row:
    """A row of a table: its cells' runs, from left to right."""

    cells: list[list[Run]]

    @property
    def starts(self) -> list[float]:
        return [cell[0].x for cell in self.cells]

    def texts(self, starts: Sequence[float]) -> list[str]:
        if len(self.cells) == len(starts):
            return [_joined(cell) for cell in self.cells]
        texts = [""] * len(starts)
        for cell in self.cells:
            column = min(range(len(starts)), key=lambda index: abs(starts[index] - cell[0].x))
            texts[column] = f"{texts[column]} {_joined(cell)}".strip()
        return texts


def _row_at(lines: Sequence[Line], at: int, columns: int) -> tuple[_Row, int]:
    """Gather a row: cells that are drawn from left to right, each with its own wrapped lines."""
    row = _Row([])
    for index in range(at, len(lines)):
        line = lines[index]
        if row.cells and not _is_of_row(row, line, columns, lines[index + 1] if index + 1 < len(lines) else None):
            return row, index
        first, *others = line.cells
        if row.cells and abs(first[0].x - row.cells[-1][0].x) <= _SAME:
            row.cells[-1].extend(first)
        else:
            row.cells.append(list(first))
        row.cells.extend(list(cell) for cell in others)
    return row, len(lines)


def _is_of_row(row: _Row, line: Line, columns: int, below: Line | None) -> bool:
    last = row.cells[-1]
    drop = last[-1].y - line.y
    if line.page != last[-1].page or abs(drop) > 6 * line.size or len(row.cells) + len(line.cells) - 1 > columns:
        return False
    if abs(line.x - last[0].x) <= _SAME:  # the next line of the last cell, or of a new row's first
        if not 0 < drop < 2.1 * line.size or len(line.cells) > 1:
            return False
        return len(row.cells) > 1 or (below is not None and below.x > line.x + _SAME)
    return line.x > last[0].x + _SAME and len(row.cells) < columns and _overlaps(row, line)


def _overlaps(row: _Row, line: Line) -> bool:
    """Tell whether a line is beside the row's cells: wrapped cells stand up to some lines above or below."""
    heights = [run.y for cell in row.cells for run in cell]
    return min(heights) - 3 * line.size < line.y < max(heights) + 3 * line.size


def _belongs(row: _Row, rows: Sequence[_Row]) -> bool:
    """Tell whether what was gathered is a row: it has cells, or is the rest of a cell of the row above."""
    if len(row.cells) > 1:
        return True
    if not rows:
        return False
    run, above = row.cells[0][0], rows[-1]
    lowest = min(one.y for cell in above.cells for one in cell)
    is_close = run.page == above.cells[0][0].page and 0 < lowest - run.y < 1.6 * run.size
    return is_close and any(abs(run.x - start) <= _SAME for start in above.starts[1:])


def _table(rows: Sequence[Sequence[str]]) -> str:
    head, *body = rows
    names = "".join(f"<th>{escape(name)}</th>" for name in head)
    lines = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>" for cells in body)
    return "<table>" + (f"<tr>{names}</tr>" if names else "") + lines + "</table>"


def _is_mark(cells: Sequence[Sequence[Run]]) -> bool:
    """Tell whether all there is so far is the mark of a list's item, which stands apart from its text."""
    return len(cells) == 1 and _ITEM.match(_joined(cells[0]) + " x") is not None and len(_joined(cells[0])) <= 4


def _joined(runs: Iterable[Run]) -> str:
    """Join runs, with a space where one begins clearly behind the end of the other, or on another line."""
    text = ""
    last: Run | None = None
    for run in runs:
        if last and (
            abs(run.y - last.y) > 0.4 * run.size or run.x - last.end > 0.3 * run.size + 0.12 * (last.end - last.x)
        ):
            text += " "
        text += run.text
        last = run
    return " ".join(text.split())


def _round(size: float) -> float:
    return round(size * 2) / 2


def _width(character: str) -> float:
    if character in _NARROW:
        return 0.28
    if character in _WIDE:
        return 0.83
    if "\u2e80" <= character <= "\uffef":
        return 1.0
    return 0.66 if character.isupper() else 0.52
