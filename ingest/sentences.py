"""Text → sentences, as offsets: what a citation quotes, and what is never cut."""

import itertools
import re
from collections.abc import Iterator

import sentencex

from ingest.shapes import word_count

#: Words up to which a list item or a table row is one sentence: cut up, its parts say nothing alone.
SHORT_ITEM = 40
#: Characters of a line from which it is cut up before its sentences are looked for.
LONGEST_PIECE = 20_000
_LAST_SPACE = re.compile(r".*\s", re.DOTALL)

_ITEM = re.compile(r"\s*(?:[-•*–]|\d+[.)])\s+(?=\S)")
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")  # sentencex takes UTF-8 only
# What sentencex takes for an end, in the languages and versions tried.
_SHORTENED = re.compile(
    r"\b(?:approx|aprox|ca|env|max|máx|min|mín|incl|excl|est|yakl|no|nos|núm|nr|art|sec|fig|ver|vol|pp?|ch|ok|прибл|стр|мин|макс)\.$",
    re.IGNORECASE,
)
_CLOCK = re.compile(r"\d\s?[ap]\.m\.$", re.IGNORECASE)
_ZONE = re.compile(r"\(?[A-Z]{2,4}\b")
_STOP = re.compile(r"[.…]$")


def sentences(text: str, language: str) -> list[tuple[int, int]]:
    """Find the sentences of a text.

    Line breaks always end a sentence, so paragraphs, list items and table rows never run together; within a line,
    sentencex (Wikimedia) finds the ends, save in items and rows of few words, which are one sentence each. White space
    around a sentence is outside of it, and a list mark belongs to the sentence that follows it.

    :param language: ISO 639-1 code; one that sentencex does not know falls back to a related or general one.
    :return: ``(start, end)`` of each, in order; every character that is not white space is in exactly one.

    >>> text = "Fees are 0.1%. See No. 5, e.g. BTC."
    >>> [text[start:end] for start, end in sentences(text, "en")]
    ['Fees are 0.1%.', 'See No. 5, e.g. BTC.']
    """
    found: list[tuple[int, int]] = []
    for line in re.finditer(r"[^\n]+", text):
        found.extend(_in_line(text, line.start(), line.end(), language))
    return found


def _in_line(text: str, start: int, end: int, language: str) -> list[tuple[int, int]]:
    line = text[start:end]
    if (_ITEM.match(line) or " | " in line) and word_count(line) <= SHORT_ITEM:
        left, right = _trimmed(line, 0, len(line))
        return [(start + left, start + right)] if left < right else []
    mark = _ITEM.match(line)
    bounds = [0]
    for left, right in _pieces(line, mark.end() if mark else 0):
        for boundary in sentencex.get_sentence_boundaries(language, _LONE_SURROGATE.sub("\ufffd", line[left:right])):
            at = left + boundary["end_index"]
            if at < len(line) and (at == right or not _is_false_end(line, at)):
                bounds.append(at)
    bounds.append(len(line))
    spans = [_trimmed(line, left, right) for left, right in itertools.pairwise(bounds)]
    return [(start + left, start + right) for left, right in spans if left < right]


def _pieces(line: str, start: int) -> Iterator[tuple[int, int]]:
    """Cut a line that no author wrote at white space, since sentencex takes ever longer for a longer text."""
    while len(line) - start > LONGEST_PIECE:
        space = _LAST_SPACE.match(line, start, start + LONGEST_PIECE)
        end = space.end() if space else start + LONGEST_PIECE
        yield start, end
        start = end
    yield start, len(line)


#: Characters on each side of a full stop that say whether it ends a sentence.
NEAR = 40
_LETTER = re.compile(r"\w")
_SOLID = re.compile(r"\S")


def _is_false_end(line: str, at: int) -> bool:
    """Tell whether a full stop is none: glued to what follows, as in Binance.US, or before a small letter."""
    if not _LETTER.search(line, 0, at) or not _LETTER.search(line, at):
        return True
    # What stands near is enough to tell: a line may hold a million characters and as many ends.
    next_letter = _SOLID.search(line, at)
    start = next_letter.start() if next_letter else at
    before, after = line[max(0, at - NEAR) : at].rstrip(), line[start : start + NEAR]
    if (_SHORTENED.search(before) and after[0].isdigit()) or (_CLOCK.search(before) and _ZONE.match(after)):
        return True
    glued = not line[at - 1].isspace() and not line[at].isspace()
    return bool(_STOP.search(before)) and (glued or after[0].islower())


def _trimmed(line: str, left: int, right: int) -> tuple[int, int]:
    piece = line[left:right]
    return left + len(piece) - len(piece.lstrip()), left + len(piece.rstrip())
