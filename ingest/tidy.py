"""Blocks of a page → the same without the lines that their text gives away as noise."""

from collections.abc import Sequence
from dataclasses import replace

from ingest.labels import DISCLAIMER_LABEL, FURNITURE_LABEL
from ingest.noise import UNFILLED
from ingest.sections import Block
from ingest.sentences import sentences
from ingest.shapes import ends_sentence, fits, is_furniture, noise_lines, word_count

#: Words from which a text that stands twice on a page is taken for a doubled box and kept once.
DOUBLED = 12
#: Words of the longest sentence that a user interface says.
LONGEST_FURNITURE = 12


def tidy(blocks: Sequence[Block]) -> list[Block]:
    """Drop tickers, news lists, teasers, furniture, unfilled placeholders and doubled blocks."""
    lines = [(index, line) for index, block in enumerate(blocks) for line in _lines(block)]
    runs = noise_lines([line for _, line in lines])
    kept: dict[int, list[str]] = {}
    for number, (index, line) in enumerate(lines):
        if number not in runs:
            kept.setdefault(index, []).append(line)
    out: list[Block] = []
    seen: set[str] = set()
    for index, block in enumerate(blocks):
        cleaned = _clean(block, kept.get(index, []))
        if cleaned is None or (cleaned.text in seen and word_count(cleaned.text) >= DOUBLED):
            continue
        seen.add(cleaned.text)
        out.append(cleaned)
    return out


def _lines(block: Block) -> list[str]:
    return block.text.split("\n")


def _clean(block: Block, lines: list[str]) -> Block | None:
    if block.kind == "end":
        return block
    filled = [text for text in (_filled(line, block) for line in lines) if text]
    if block.kind == "heading":
        text = " ".join(filled)
        return replace(block, text=text) if text and not _is_label(text) else None
    if block.kind == "prose":
        filled = [line for line in filled if not _is_furniture(line) and not _is_label(line)]
    if UNFILLED in block.question or not filled:
        return None
    return replace(block, text="\n".join(filled))


def _is_furniture(line: str) -> bool:
    """Tell whether a line is the site's; a long sentence is none, however it begins ("By combining both, you …")."""
    is_long = word_count(line) > LONGEST_FURNITURE and ends_sentence(line) and "©" not in line
    return not is_long and is_furniture(line)


def _is_label(text: str) -> bool:
    return fits(FURNITURE_LABEL, text) or fits(DISCLAIMER_LABEL, text)


def _filled(line: str, block: Block) -> str:
    """Give the line without the sentences, or for a table the cells, that hold an unfilled placeholder."""
    if UNFILLED not in line:
        return line
    if block.kind == "table":
        return " | ".join(cell for cell in line.split(" | ") if UNFILLED not in cell)
    spans = [line[start:end] for start, end in sentences(line, "en")]
    return " ".join(span for span in spans if UNFILLED not in span)
