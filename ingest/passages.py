"""Article → passages: what is searched and cited, each a verbatim slice that can be read on its own."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate, pairwise

from ingest.article import Article, Passage, Section
from ingest.sentences import sentences
from ingest.shapes import word_count

__all__ = ["LONGEST_LIST", "LONGEST_PROSE", "sentences", "split"]

#: Words of prose in one passage; the retrieval figures in the design were measured with this length.
LONGEST_PROSE = 120
#: Words from which a step list or a table is cut, between steps or rows.
LONGEST_LIST = 250
#: Words below which a piece is joined with its neighbour under the same heading.
SHORT = 25
#: Sentences, items or rows that are shared out at once; the time for it grows faster than their number. The longest section
#: of the starter articles has 16.
MOST_ATOMS = 100
#: Share of a piece by which a cut may move to fall between paragraphs.
NEAR = 0.25


@dataclass(slots=True)
class _Piece:
    """A run of the article's text, and how long it may grow."""

    start: int
    end: int
    words: int
    limit: int
    starts_paragraph: bool = True


def split(article: Article) -> tuple[Passage, ...]:
    """Cut an article into passages.

    A passage is one FAQ pair, one step list, one table, or up to ``LONGEST_PROSE`` words of one section's prose. It
    never cuts a sentence, a list item, a row or a FAQ pair; one of these that is longer than the limit is a passage
    of its own length. A sentence that leads in, ending in a colon, stays with the list or table that it leads to.

    :return: Passages in reading order; ``article.text[passage.start:passage.end] == passage.text``.
    """
    text = article.text
    passages: list[Passage] = []
    for group in _groups(article):
        section = group[0][0]
        question = section.heading_path[-1] if section.kind == "faq" and section.heading_path else None
        for piece in _pieces(text, group, article.language):
            number = len(passages)
            slice_ = text[piece.start : piece.end]
            passages.append(
                Passage(
                    f"{article.id}#{number}", article.id, section.heading_path, question, slice_, piece.start, piece.end
                )
            )
    return tuple(passages)


def _groups(article: Article) -> Iterator[list[tuple[Section, int]]]:
    """Give runs of sections under one heading, each with its offset; a FAQ pair is alone."""
    group: list[tuple[Section, int]] = []
    for section, start in zip(article.sections, article.section_starts(), strict=True):
        if not section.text.strip():
            continue
        last = group[-1][0] if group else None
        if last and ("faq" in (last.kind, section.kind) or last.heading_path != section.heading_path):
            yield group
            group = []
        group.append((section, start))
    if group:
        yield group


def _pieces(text: str, group: list[tuple[Section, int]], language: str) -> list[_Piece]:
    if group[0][0].kind == "faq":
        section, start = group[0]
        return [_piece(text, start, start + len(section.text), LONGEST_LIST)]
    pieces: list[_Piece] = []
    for section, start in group:
        atoms = _atoms(text, section, start, language)
        lead = _taken_lead(text, pieces, language) if section.kind != "prose" else None
        packed = _packed(text, atoms)
        if lead is not None:
            packed[0] = _piece(text, lead, packed[0].end, LONGEST_LIST)
        pieces.extend(packed)
    return _short_ones_joined(text, pieces)


def _piece(text: str, start: int, end: int, limit: int, *, starts_paragraph: bool = True) -> _Piece:
    stripped = text[start:end].strip()
    start += len(text[start:end]) - len(text[start:end].lstrip())
    return _Piece(start, start + len(stripped), word_count(stripped), limit, starts_paragraph)


def _atoms(text: str, section: Section, start: int, language: str) -> list[_Piece]:
    """Cut a section into what is never cut: sentences, list items and steps with what is nested in them, rows."""
    limit = LONGEST_PROSE if section.kind == "prose" else LONGEST_LIST
    atoms: list[_Piece] = []
    for item in _items(section.text, limit):
        first, last = start + item[0], start + item[1]
        if section.kind != "prose" or _is_item(text[first:last]):
            atoms.append(_piece(text, first, last, limit))
            continue
        for number, (left, right) in enumerate(sentences(text[first:last], language)):
            atoms.append(_piece(text, first + left, first + right, limit, starts_paragraph=number == 0))
    return atoms


def _items(text: str, limit: int) -> Iterator[tuple[int, int]]:
    """Give lines, those that are nested in an item with it, unless item and nest are longer than the limit."""
    lines = [(match.start(), match.end()) for match in re.finditer(r"[^\n]+", text) if match[0].strip()]
    nests: list[list[tuple[int, int]]] = []
    for line in lines:
        if nests and text[line[0]] == " ":
            nests[-1].append(line)
        else:
            nests.append([line])
    for nest in nests:
        if word_count(text[nest[0][0] : nest[-1][1]]) <= limit:
            yield nest[0][0], nest[-1][1]
        else:
            yield from nest


def _is_item(text: str) -> bool:
    return bool(re.match(r"\s*(?:- |\d+\. )", text))


def _taken_lead(text: str, pieces: list[_Piece], language: str) -> int | None:
    """Take the sentence that leads in to a list off the prose before it.

    :return: Where the sentence starts; None if the prose does not end in a colon.
    """
    if not pieces or text[pieces[-1].end - 1] not in ":：":
        return None
    last = pieces[-1]
    lead = last.start + sentences(text[last.start : last.end], language)[-1][0]
    if lead == last.start:
        pieces.pop()
    else:
        pieces[-1] = _piece(text, last.start, lead, last.limit)
    return lead


def _packed(text: str, atoms: list[_Piece]) -> list[_Piece]:
    """Put atoms together up to their limit, in the fewest pieces of about the same length."""
    if len(atoms) > MOST_ATOMS:
        parts = (atoms[start : start + MOST_ATOMS] for start in range(0, len(atoms), MOST_ATOMS))
        return [piece for part in parts for piece in _packed(text, part)]
    total, limit = sum(atom.words for atom in atoms), atoms[0].limit
    packed = atoms
    for count in range(max(1, -(-total // limit)), len(atoms)):
        starts = [0, *_cuts(text, atoms, count), len(atoms)]
        packed = [_joined(text, atoms[first], atoms[last - 1]) for first, last in pairwise(starts)]
        if all(
            piece.words <= limit or last - first == 1
            for piece, (first, last) in zip(packed, pairwise(starts), strict=True)
        ):
            return packed
    return atoms if len(atoms) > 1 and total > limit else packed


def _cuts(text: str, atoms: list[_Piece], count: int) -> list[int]:
    """Choose where to cut atoms into ``count`` pieces: near equal shares, between paragraphs if one ends there."""
    before = [0, *accumulate(atom.words for atom in atoms)]
    share = before[-1] / count
    free = [at for at in range(1, len(atoms)) if text[atoms[at - 1].end - 1] not in ":："]
    cuts: set[int] = set()
    for number in range(1, count):
        ideal = share * number
        ends = [at for at in free if atoms[at].starts_paragraph and abs(before[at] - ideal) <= share * NEAR]
        nearest = min(ends or free, key=lambda at: abs(before[at] - ideal), default=None)
        if nearest is not None:
            cuts.add(nearest)
    return sorted(cuts)


def _joined(text: str, first: _Piece, second: _Piece) -> _Piece:
    return _piece(
        text, first.start, second.end, max(first.limit, second.limit), starts_paragraph=first.starts_paragraph
    )


def _short_ones_joined(text: str, pieces: list[_Piece]) -> list[_Piece]:
    joined: list[_Piece] = []
    for piece in pieces:
        last = joined[-1] if joined else None
        short = last is not None and min(last.words, piece.words) < SHORT
        if last is not None and short and last.words + piece.words <= max(last.limit, piece.limit):
            joined[-1] = _joined(text, last, piece)
        else:
            joined.append(piece)
    return joined
