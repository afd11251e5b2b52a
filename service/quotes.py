"""Which sentences are shown: the one that answers first, then what qualifies it; steps and small tables whole."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice

from ingest.shapes import ends_sentence, word_count
from service.conflicts import contradict
from service.evidence import Evidence, ReadSentence
from service.stance import stance
from service.wording import (
    asks,
    hangs,
    is_item,
    is_listed,
    is_reply,
    is_row,
    is_step,
    is_unfilled,
    leads_in,
    leans,
    opens,
    same,
    says_nothing,
)

# Sentences of one answer, and the passages they may come from. With three passages 1.9 points fewer of the starter questions
# are answered right, 0.6 fewer of doc2dial's and 0.4 more of covid_faq's; citation precision is the same to a tenth.
MOST_SENTENCES = 5
MOST_PASSAGES = 4
# How far a sentence may be behind the one that leads, in the unit of the scores: of the same passage, of the same article,
# of another one; no more than one other article is quoted. Measured on the fitting halves, starter questions and 497
# help_questions, 2026-11: with 2.5 for all and any number of articles, citation precision is .82 and .26, answered right
# .83 and .31; with these .86 and .30, answered right .83 and .30. With 0.25 it is .88 and .32, answered right .83 and .28.
SAME_PASSAGE, SAME_ARTICLE, OTHER_ARTICLE = 2.5, 2.5, 0.75
# Sentences given to each exchange where several are listed.
EACH_OF_SEVERAL = 2
# A table of at most so many rows is shown whole: a row alone can mislead ("up to 20 BTC: 50x"). Likewise the items of a list.
WHOLE_TABLE = 6
WHOLE_LIST = 8
# Words of the longest FAQ answer that is shown whole.
WHOLE_ANSWER = 90
# Words from which an item that ends as a sentence does can be read without its list.
ITEM_WORDS = 7
# Sentences that a leaning one may bring along, and lines that a lead-in may.
MOST_BEFORE = 2
MOST_AFTER = 3

# What a yes or a no is put back by where none is asked for; it is not shown at all behind another passage's lead.
MISPLACED = 1.0
# What a sentence that hangs on one that is left out is put back by; it is never more than the one that leads.
HANGING = 0.5

Allowed = Callable[[Evidence, str], bool]


@dataclass(frozen=True, slots=True)
class Quote:
    """A run of sentences of one passage, to be cited as one.

    :ivar sentences: In the order of the passage, without a gap.
    :ivar first: Index of the one that is shown first; those before it follow behind all others.
    """

    evidence: Evidence
    sentences: tuple[ReadSentence, ...]
    first: int = 0

    @property
    def start(self) -> int:
        """Offset in the passage of the first sentence."""
        return self.sentences[0].start

    @property
    def end(self) -> int:
        """Offset in the passage behind the last sentence."""
        return self.sentences[-1].end

    @property
    def shown(self) -> tuple[ReadSentence, ...]:
        """The sentences in the order in which they are shown."""
        return self.sentences[self.first :] + self.sentences[: self.first]


def choose(
    found: Sequence[Evidence],
    most: int = MOST_SENTENCES,
    allowed: Allowed = lambda *_: True,
    *,
    yes_no: bool = True,
) -> list[Quote]:
    """Choose the sentences to show from evidence of one exchange, best first; the first quote leads.

    :param allowed: Whether a sentence may be quoted at all.
    :param yes_no: Whether a yes or a no is asked for; to another question, one is a strange beginning of an answer.
    :return: Nothing where no sentence can be shown.
    """
    usable = (units for units in (list(_Reading(piece, allowed, yes_no=yes_no).units()) for piece in found) if units)
    ranked = sorted(chain.from_iterable(islice(usable, MOST_PASSAGES)), key=lambda unit: -unit.score)
    if not ranked:
        return []
    lead = ranked[0].whole(most)
    chosen = _Chosen(lead, most)
    # What contradicts the lead comes first, and then what an "it depends" depends on.
    for unit in sorted(ranked, key=lambda unit: (not lead.is_contradicted_by(unit), not lead.is_explained_by(unit))):
        if lead.is_contradicted_by(unit) or lead.score - unit.score <= lead.margin(unit):
            chosen.add(unit)
    return chosen.quotes(lead)


class _Reading:
    """The sentences of a passage, and which of them have to be shown together."""

    def __init__(self, piece: Evidence, allowed: Allowed, *, yes_no: bool) -> None:
        self.piece = piece
        self.yes_no = yes_no
        self.texts = [piece.text(sentence) for sentence in piece.sentences]
        self._unfit = {n for n, text in enumerate(self.texts) if is_unfilled(text) or not allowed(piece, text)}

    def units(self) -> Iterator["_Unit"]:
        """Give what can be shown, one for each sentence that can be."""
        for number, sentence in enumerate(self.piece.sentences):
            target = self._answering(number)
            group = self._group(target) if target is not None else None
            if target is not None and group and not group & self._unfit:
                dangling = self._hangs(min(group))
                misplaced = not self.yes_no and stance(self.texts[min(group)]) is not None
                score = sentence.score - HANGING * dangling - MISPLACED * misplaced
                yield _Unit(self, target, group, score, dangling)

    def without_gaps(self, shown: set[int]) -> set[int]:
        """Add the sentences that stand alone between two that are shown, so that these are quoted as one."""
        between = {number + 1 for number in shown if number + 1 not in shown and number + 2 in shown} - self._unfit
        texts = ((number, self.texts[number]) for number in between)
        return shown | {n for n, text in texts if not (is_listed(text) or says_nothing(text) or opens(text))}

    def all_of_it(self) -> set[int] | None:
        """Give the whole passage, where it is the answer of a FAQ pair and short enough."""
        if self.piece.hit.passage.question is None or self._unfit:
            return None
        short = word_count(self.piece.hit.passage.text) <= WHOLE_ANSWER
        return set(range(len(self.texts))) if short else None

    def _answering(self, number: int) -> int | None:
        """Go from a question or a heading in the text to the sentence behind it."""
        while number < len(self.texts) and opens(self.texts[number]):
            number += 1
        return number if number < len(self.texts) and not says_nothing(self.texts[number]) else None

    def _group(self, number: int) -> set[int] | None:
        """Give the sentences that have to be shown with one, so that it is understood; None where they are not there.

        The steps around a step, the rows of a small table, the items of a list and the line that introduces them, what
        a line ending in a colon introduces, and the sentence that a leaning one hangs on.
        """
        text = self.texts[number]
        if is_step(text):
            return self._with_lead_in(self._around(number, is_step))
        if is_row(text):
            rows = self._around(number, is_row)
            return rows if len(rows) <= WHOLE_TABLE else {number}
        if is_item(text):
            return self._listed(number)
        if leads_in(text):
            return self._led_in(number)
        return self._prose(number)

    def _listed(self, number: int) -> set[int] | None:
        items = self._around(number, is_item)
        led = self._with_lead_in(items)
        text = self.texts[number]
        alone = ends_sentence(text) and word_count(text) >= ITEM_WORDS and not leans(text)
        if led == items and alone:
            return {number}
        if len(items) <= WHOLE_LIST:
            return led
        return {number} | (led - items) if led != items or alone else None

    def _led_in(self, number: int) -> set[int] | None:
        rest = self.texts[number + 1 :]
        if not rest:
            return None
        shape = next((shape for shape in (is_step, is_item, is_row) if shape(rest[0])), None)
        if shape is not None:
            return {number} | self._around(number + 1, shape)
        shown = {number}
        for after, text in enumerate(rest[:MOST_AFTER], number + 1):
            shown.add(after)
            if ends_sentence(text):
                break
        return shown

    def _prose(self, number: int) -> set[int] | None:
        first = number
        while (
            first > 0 and number - first < MOST_BEFORE and leans(self.texts[first]) and not opens(self.texts[first - 1])
        ):
            first -= 1
        if first > 0 and asks(self.texts[first - 1]) and is_reply(self.texts[first]):
            first -= 1
        return set(range(first, number + 1))

    def _hangs(self, number: int) -> bool:
        """Tell whether a sentence hangs on one that is not in the passage; a FAQ answer may hang on its question."""
        return hangs(self.texts[number]) and not (number == 0 and self.piece.hit.passage.question)

    def _with_lead_in(self, items: set[int]) -> set[int]:
        above = min(items) - 1
        return items | {above} if above >= 0 and leads_in(self.texts[above]) else items

    def _around(self, number: int, is_like: Callable[[str], bool]) -> set[int]:
        first = last = number
        while first > 0 and is_like(self.texts[first - 1]):
            first -= 1
        while last + 1 < len(self.texts) and is_like(self.texts[last + 1]):
            last += 1
        return set(range(first, last + 1))


@dataclass(frozen=True, slots=True)
class _Unit:
    """A sentence with all that has to be shown beside it."""

    reading: _Reading
    number: int
    group: set[int]
    score: float
    hangs: bool

    @property
    def text(self) -> str:
        return self.reading.texts[self.number]

    @property
    def piece(self) -> Evidence:
        return self.reading.piece

    def whole(self, most: int) -> "_Unit":
        """Take in the rest of a FAQ answer; of a long one, the yes or no that it begins with."""
        everything = self.reading.all_of_it()
        if everything is not None and (len(everything) <= most or is_listed(self.text)):
            return replace(self, group=everything)
        return replace(self, group=self.group | {0}) if self.answers_whether else self

    def margin(self, other: "_Unit") -> float:
        """Say how far another unit may be behind."""
        if other.reading is self.reading:
            return SAME_PASSAGE
        return SAME_ARTICLE if other.piece.article.id == self.piece.article.id else OTHER_ARTICLE

    def is_contradicted_by(self, other: "_Unit") -> bool:
        """Tell whether another article says otherwise."""
        return other.piece.article.id != self.piece.article.id and contradict(self.text, other.text)

    def is_explained_by(self, other: "_Unit") -> bool:
        """Tell whether it says that it depends, and another unit of its passage may say on what."""
        return other.reading is self.reading and stance(self.text) == "depends"

    @property
    def answers_another(self) -> bool:
        """Tell whether it is the yes or no to another question, which would be misread behind a lead."""
        said = stance(self.reading.texts[min(self.group)])
        return said in ("yes", "no") and (not self.reading.yes_no or (0 in self.group and self.answers_whether))

    @property
    def answers_whether(self) -> bool:
        """Tell whether it is of a FAQ answer that begins with a yes or a no."""
        return self.piece.hit.passage.question is not None and stance(self.reading.texts[0]) is not None


class _Chosen:
    """What is shown so far, and how much room there is left."""

    def __init__(self, lead: _Unit, most: int) -> None:
        self._lead = lead
        self._most = most
        self._shown: dict[int, tuple[_Reading, set[int]]] = {}
        self._spent = 0
        self._take(lead)

    def add(self, unit: _Unit) -> None:
        """Show a unit, unless it is shown, said already, would be misread, or is too long for the room.

        What contradicts the lead is shown in any case.
        """
        taken = self._of(unit.reading)
        contradicts = self._lead.is_contradicted_by(unit)
        if unit.hangs or unit.number in taken or (not contradicts and self._is_unwanted(unit)):
            return
        whole = unit
        if unit.reading is self._lead.reading:
            # What leads is quoted in one piece before anything else is added.
            whole = replace(unit, group=unit.reading.without_gaps(unit.group | taken))
        for wanted in (whole, unit):
            if contradicts or self._has_room(wanted.reading, wanted.group):
                self._take(wanted)
                return

    def _has_room(self, reading: _Reading, group: set[int]) -> bool:
        return self._spent + self._cost(reading, group) <= self._most

    def _is_unwanted(self, unit: _Unit) -> bool:
        articles = {reading.piece.article.id for reading, _ in self._shown.values()}
        is_of_a_third = unit.piece.article.id not in articles and len(articles) > 1
        return is_of_a_third or unit.answers_another or self._is_said(unit)

    def _take(self, unit: _Unit) -> None:
        self._spent += self._cost(unit.reading, unit.group)
        _, taken = self._shown.setdefault(id(unit.reading), (unit.reading, set()))
        taken |= unit.group

    def _cost(self, reading: _Reading, group: set[int]) -> int:
        # A list or a table is as long as it is; with the line that leads in to it, it counts as the one thing that it is.
        new = group - self._of(reading)
        listed = {number for number in new if is_listed(reading.texts[number])}
        if listed:
            new = {number for number in new if not leads_in(reading.texts[number])}
        return len(new - listed) + bool(listed)

    def _of(self, reading: _Reading) -> set[int]:
        return self._shown[id(reading)][1] if id(reading) in self._shown else set()

    def _is_said(self, unit: _Unit) -> bool:
        return any(
            same(unit.text, reading.texts[number]) for reading, taken in self._shown.values() for number in taken
        )

    def quotes(self, lead: _Unit) -> list[Quote]:
        """Give the runs without a gap: the one that leads, the others of its passage, and then the other passages'."""
        for reading, taken in self._shown.values():
            full = reading.without_gaps(taken)
            if self._has_room(reading, full):
                self._spent += self._cost(reading, full)
                taken |= full
        runs = [(reading, run) for reading, taken in self._shown.values() for run in _runs(taken)]
        runs.sort(
            key=lambda item: (item[0] is not lead.reading, item[0] is lead.reading and min(lead.group) not in item[1])
        )
        return [
            _quote(reading.piece, run, reading.texts, lead if number == 0 else None)
            for number, (reading, run) in enumerate(runs)
        ]


def _quote(piece: Evidence, run: Sequence[int], texts: Sequence[str], lead: _Unit | None) -> Quote:
    sentences = tuple(piece.sentences[number] for number in run)
    if lead is None or any(is_listed(texts[number]) or leads_in(texts[number]) for number in run):
        return Quote(piece, sentences)
    if piece.hit.passage.question is not None or stance(texts[run[0]]) is not None:
        return Quote(piece, sentences)
    return Quote(piece, sentences, run.index(min(lead.group)) if min(lead.group) in run else 0)


def _runs(numbers: set[int]) -> list[list[int]]:
    """Split the chosen sentences of a passage into runs without a gap."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return runs
