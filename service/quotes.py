"""Which sentences are shown: the one that answers first, then what qualifies it; steps and small tables whole."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from service.evidence import Evidence, ReadSentence, stance

# Sentences of one answer, and the passages they may come from. Five sentences from three passages hold the gold of
# .81 of the 155 answerable starter questions; from one passage .63.
MOST_SENTENCES = 5
MOST_PASSAGES = 3
# How far a sentence may be behind the one that leads, in the unit of the scores: without a limit answers are padded (4.2
# sentences in the mean, answered right .819; with this one 3.9 and .813; with 1.5 it is 3.3 and .787).
MARGIN = 2.5
# Sentences given to each exchange where several are listed.
EACH_OF_SEVERAL = 2
# A table of at most so many rows is shown whole: a row alone can mislead ("up to 20 BTC: 50x").
WHOLE_TABLE = 6

_STEP = re.compile(r"^\s*\d+[.)] ")
_ITEM = re.compile(r"^\s*[-•*] ")
# An item of so few words says nothing without its list ("- Singapore").
_SHORT_ITEM = re.compile(r"^\s*[-•*] (?:\S+\s*){1,6}$")
_ROW = re.compile(r"\S \| \S")
# A sentence that begins so hangs on the one before it.
_LEANING = re.compile(
    r"\W*(this|that|these|those|it|they|he|she|both|however|but|otherwise|instead|so|then|also|in (this|that|either|both|such) cases?|"
    r"the (same|former|latter|other)|esto|eso|este|das|dies|diese|dabei|dann|cela|ce|это|этот|тогда|这|此|その|これ|이)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Quote:
    """A run of sentences of one passage, to be cited as one."""

    evidence: Evidence
    sentences: tuple[ReadSentence, ...]

    @property
    def start(self) -> int:
        """Offset in the passage of the first sentence."""
        return self.sentences[0].start

    @property
    def end(self) -> int:
        """Offset in the passage behind the last sentence."""
        return self.sentences[-1].end


def choose(found: Sequence[Evidence], most: int = MOST_SENTENCES) -> list[Quote]:
    """Choose the sentences to show from evidence of one exchange, best first; the first quote leads."""
    considered = list(found[:MOST_PASSAGES])
    ranked = sorted(
        ((sentence.score, -place, number) for place, piece in enumerate(considered)
         for number, sentence in enumerate(piece.sentences)),
        reverse=True,
    )  # fmt: skip
    chosen: dict[int, set[int]] = {}
    spent = 0
    for score, place, number in ranked:
        if score < ranked[0][0] - MARGIN:
            break
        piece = considered[-place]
        taken = chosen.setdefault(-place, set())
        same_page = piece.article.id == considered[-ranked[0][1]].article.id
        if number in taken or (same_page and _confuses(piece, number, leads=not spent)):
            continue
        if spent >= most:
            break
        group = _whole(piece, number)
        # A list or a table is as long as it is; it counts as the one thing that it is.
        listed = any(_is_listed(piece.text(piece.sentences[shown])) for shown in group)
        cost = 1 if len(group) > 2 and listed else len(group - taken)
        if spent and spent + cost > most:
            continue
        spent += cost
        taken |= group
    quotes = [quote for place in chosen for quote in _runs(considered[place], chosen[place])]
    return sorted(quotes, key=lambda quote: -max(sentence.score for sentence in quote.sentences))


def _confuses(piece: Evidence, number: int, *, leads: bool) -> bool:
    """Tell whether a sentence would be misread: the yes or no to another question, standing behind the lead."""
    text = piece.text(piece.sentences[number])
    return not leads and piece.hit.passage.question is not None and number == 0 and stance(text) is not None


def _whole(piece: Evidence, number: int) -> set[int]:
    """Give the sentences that have to be shown with one, so that it is understood.

    The steps around a step, the rows of a small table, the short items of a list and the line that introduces them, the
    items that a line ending in a colon introduces, and the sentence that a leaning one hangs on.
    """
    texts = [piece.text(sentence) for sentence in piece.sentences]
    if _STEP.match(texts[number]):
        return _around(texts, number, _STEP)
    if _ROW.search(texts[number]):
        rows = _around(texts, number, _ROW)
        return rows if len(rows) <= WHOLE_TABLE else {number}
    if texts[number].endswith((":", "：")):
        return {number} | _items_after(texts, number)
    if _SHORT_ITEM.match(texts[number]):
        return _with_lead_in(texts, _around(texts, number, _SHORT_ITEM))
    first = number
    while first > 0 and _LEANING.match(texts[first]):
        first -= 1
    return set(range(first, number + 1))


def _items_after(texts: Sequence[str], number: int) -> set[int]:
    if number + 1 == len(texts):
        return set()
    shape = next((shape for shape in (_STEP, _ITEM) if shape.match(texts[number + 1])), None)
    return _around(texts, number + 1, shape) if shape else {number + 1}


def _with_lead_in(texts: Sequence[str], items: set[int]) -> set[int]:
    above = min(items) - 1
    return items | {above} if above >= 0 and texts[above].endswith((":", "：")) else items


def _is_listed(text: str) -> bool:
    return any(shape.search(text) for shape in (_STEP, _ITEM, _ROW))


def _around(texts: Sequence[str], number: int, shape: re.Pattern[str]) -> set[int]:
    first = last = number
    while first > 0 and shape.search(texts[first - 1]):
        first -= 1
    while last + 1 < len(texts) and shape.search(texts[last + 1]):
        last += 1
    return set(range(first, last + 1))


def _runs(piece: Evidence, numbers: set[int]) -> list[Quote]:
    """Split the chosen sentences of a passage into runs without a gap."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return [Quote(piece, tuple(piece.sentences[number] for number in run)) for run in runs]
