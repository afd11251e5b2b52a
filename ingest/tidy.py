"""Blocks of a page → the same without the lines that their text gives away as noise."""

from collections.abc import Sequence
from dataclasses import replace

from ingest.labels import DISCLAIMER_LABEL, FURNITURE_LABEL
from ingest.noise import UNFILLED
from ingest.sections import Block
from ingest.sentences import sentences
from ingest.shapes import ends_sentence, fits, is_furniture, noise_lines, says_when_changed, word_count

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
    cleaned = (_clean(block, kept.get(index, [])) for index, block in enumerate(blocks))
    return _undoubled([block for block in cleaned if block is not None])


def _undoubled(blocks: Sequence[Block]) -> list[Block]:
    """Drop the second copy of a box, as pages have one for wide and one for narrow screens.

    A box stands twice with what is around it, or right behind itself; a text that comes again among others is the
    author's own, as notes and code samples in a manual are.
    """
    texts = ["", *(block.text for block in blocks), ""]
    first: dict[str, int] = {}
    out: list[Block] = []
    for at, block in enumerate(blocks, 1):
        before = first.setdefault(block.text, at)
        beside = before in (at - 1, at - 2) or texts[before - 1] == texts[at - 1] or texts[before + 1] == texts[at + 1]
        if before == at or not beside or word_count(block.text) < DOUBLED:
            out.append(block)
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
    if says_when_changed(line):
        return True
    is_long = ends_sentence(line) and "©" not in line and word_count(line) > LONGEST_FURNITURE
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
