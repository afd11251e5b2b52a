"""Text → sentences, as offsets: what a citation quotes, and what is never cut."""

import re

import sentencex

_NOT_AN_END = re.compile(r"[.…]$")


def sentences(text: str, language: str) -> list[tuple[int, int]]:
    """Find the sentences of a text.

    Line breaks always end a sentence, so paragraphs, list items and table rows never run together; within a line,
    sentencex (Wikimedia) finds the ends. White space around a sentence is outside of it, and a list mark belongs to
    the sentence that follows it.

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
    mark = re.match(r"\s*(?:[-•*–]|\d+[.)])\s+(?=\S)", line)
    bounds = [0]
    offset = mark.end() if mark else 0
    for boundary in sentencex.get_sentence_boundaries(language, line[offset:]):
        at = offset + boundary["end_index"]
        if at < len(line) and not _is_false_end(line, at):
            bounds.append(at)
    bounds.append(len(line))
    spans = [_trimmed(line, left, right) for left, right in zip(bounds, bounds[1:], strict=False)]
    return [(start + left, start + right) for left, right in spans if left < right]


def _is_false_end(line: str, at: int) -> bool:
    """Tell whether a full stop is none: glued to what follows, as in Binance.US, or before a small letter."""
    before, after = line[:at].rstrip(), line[at:].lstrip()
    if not before or not after or not _NOT_AN_END.search(before):
        return not re.search(r"\w", before) if before else True
    return not line[at - 1].isspace() and not line[at].isspace() or after[0].islower() or not re.search(r"\w", after)


def _trimmed(line: str, left: int, right: int) -> tuple[int, int]:
    piece = line[left:right]
    return left + len(piece) - len(piece.lstrip()), left + len(piece.rstrip())
