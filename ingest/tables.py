"""HTML tables → one line a row, each row readable alone."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from bs4 import Tag

from ingest.tree import holds, outer_of, tags_of

#: Columns that are read; a cell can claim to span a hundred more in every row.
WIDEST = 200
#: Characters of the longest header, and of the longest cell over several rows, that is repeated with each row.
LONGEST_REPEATED = 300


@dataclass(frozen=True, slots=True)
class _Cell:
    text: str
    is_header: bool


def is_layout(table: Tag) -> bool:
    """Tell whether a table only arranges things: it is marked so, has one column, or holds headings or tables."""
    if table.get("role") in ("presentation", "none"):
        return True
    rows = _rows(table)
    return max((len(_cells(row)) for row in rows), default=0) < 2 or holds(table, ("table", "h1", "h2"))


def table_lines(table: Tag, text_of: Callable[[Tag], str]) -> list[str]:
    """Give the rows of a data table as ``Header: cell | Header: cell``.

    A row's own header comes first, alone. A cell that spans rows is repeated in each. A row of one cell that spans
    the table names the group of the rows below it, and is put before each of them.
    """
    grid = _grid(table, text_of)
    heads = _head_count(grid)
    names = _column_names(grid[:heads])
    lines: list[str] = []
    group = ""
    for row in grid[heads:]:
        if len(row) > 1 and len({id(cell) for cell in row}) == 1:
            group = row[0].text
            continue
        line = _line(row, names)
        if line:
            lines.append(f"{group} | {line}" if group else line)
            group = group if len(group) <= LONGEST_REPEATED else ""
    if not lines and heads:  # a table of headers only: its first row was no header
        lines = [line for line in (_line(row, []) for row in grid) if line]
    return lines


def _line(row: list[_Cell], names: list[str]) -> str:
    parts: list[str] = []
    seen: set[int] = set()
    for column, cell in enumerate(row):
        if id(cell) in seen or not cell.text:
            continue
        seen.add(id(cell))
        name = names[column] if column < len(names) and len(names[column]) <= LONGEST_REPEATED else ""
        alone = not name or (cell.is_header and not parts) or name == cell.text
        parts.append(cell.text if alone else f"{name.rstrip(':：')}: {cell.text}")
    return " | ".join(parts)


def _rows(table: Tag) -> list[Tag]:
    return [row for row in tags_of(table, ("tr",)) if outer_of(row, ("table",)) is table]


def _cells(row: Tag) -> list[Tag]:
    return [cell for cell in tags_of(row, ("td", "th")) if outer_of(cell, ("tr",)) is row]


def _grid(table: Tag, text_of: Callable[[Tag], str]) -> list[list[_Cell]]:
    """Lay the cells out in a grid; a cell that spans several places stands in each of them."""
    grid: list[list[_Cell]] = []
    pending: dict[int, tuple[_Cell, int]] = {}  # column → the cell that reaches down, and for how many rows more
    for row in _rows(table):
        line: list[_Cell] = []
        for tag in _cells(row):
            _fill(line, pending)
            cell = _Cell(text_of(tag), _is_header(tag))
            rows = _span(tag, "rowspan") if len(cell.text) <= LONGEST_REPEATED else 1
            for _ in range(min(_span(tag, "colspan"), WIDEST - len(line))):
                if rows > 1:
                    pending[len(line)] = (cell, rows - 1)
                line.append(cell)
        _fill(line, pending)
        if line:
            grid.append(line)
    return grid


def _fill(line: list[_Cell], pending: dict[int, tuple[_Cell, int]]) -> None:
    while len(line) in pending:
        column = len(line)
        cell, left = pending.pop(column)
        if left > 1:
            pending[column] = (cell, left - 1)
        line.append(cell)


def _span(tag: Tag, name: str) -> int:
    value = tag.get(name)
    return min(max(int(value), 1), 100) if isinstance(value, str) and re.fullmatch(r"[0-9]{1,9}", value) else 1


def _is_header(tag: Tag) -> bool:
    """Tell whether a cell is a header: marked so, or all in bold."""
    if tag.name == "th":
        return True
    bold = "".join(part.get_text(strip=True) for part in tags_of(tag, ("b", "strong")))
    return bool(bold) and bold == tag.get_text(strip=True)


def _head_count(grid: list[list[_Cell]]) -> int:
    """Count the leading rows that are headers throughout (a corner may be empty)."""
    count = 0
    for row in grid:
        spans_all = len(row) > 1 and len({id(cell) for cell in row}) == 1
        if spans_all or not all(cell.is_header or not cell.text for cell in row) or not any(cell.text for cell in row):
            break
        count += 1
    return count


def _column_names(heads: list[list[_Cell]]) -> list[str]:
    """Join stacked headers of a column, outermost first."""
    width = max((len(row) for row in heads), default=0)
    names: list[str] = []
    for column in range(width):
        stacked: list[str] = []
        for row in heads:
            if column < len(row) and row[column].text and row[column].text not in stacked:
                stacked.append(row[column].text)
        names.append(" ".join(stacked))
    return names
