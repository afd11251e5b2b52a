"""Names in a text: whole words, however they are spaced, inflected, glued together or, where that is asked for, misspelt."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from rapidfuzz.distance import DamerauLevenshtein

# One typing error in a name of five letters or more. Shorter names (OKX, HTX) have too many neighbours among words.
FUZZY_FROM = 5
# "krakende", "binanceta", "кракеном": case endings that languages glue to a name.
LONGEST_ENDING = 3
# To shorter names only these: "okxte", "htxs"; any three letters would make other words of them.
_SHORT_NAME_FROM, _SHORT_ENDINGS = 3, frozenset(
    ["s", "de", "da", "te", "ta", "den", "dan", "ten", "tan", "in", "nin", "ga", "e", "a", "u", "у", "е", "а", "ом", "у"]  # Turkish, Finnish, Russian, plural
)  # fmt: skip
# "binancesupport", "#krakenfees", "mybybit": what people glue to a name of so many letters.
GLUED_FROM = 5
_GLUED_AFTER = re.compile(
    r"(?:pro|app|pay|card|help|support|helpdesk|official|exchange|customer|care|service|team|"
    r"futures?|spot|earn|p2p|perps?|margin|staking|trading|trade|options?|api|bot|wallet|web3|account|login|"
    r"kyc|2fa|fees?|withdraw(?:als?)?|deposits?|refunds?|com|io|global|eu|uk|tr|users?)+"
)
_GLUED_BEFORE = re.compile(r"(?:my|on|from|to|at|in|via|using|with|the|ask|dear|hey|hi)+")
# Two words that make one name, "coin base", where the name has so many letters; shorter ones are ordinary words.
JOINED_FROM = 7

# A letter or digit with the marks that belong to it: Hindi and Bengali vowels are marks to the regular expressions of Python.
_WORD = re.compile(
    r"(?:[^\W_]|[\u0300-\u036f\u0591-\u05c7\u064b-\u065f\u0670\u0900-\u0903\u093a-\u094f\u0980-\u0983\u09bc-\u09cd])+"
)
# Between the words of one name.
_GAP = re.compile(r"[\s._'’/-]?")
_UNSPACED = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\u0e00-\u0e7f]")
# Arabic and Hebrew write "on", "to", "and" in one with the name.
_PROCLITICS = re.compile(r"[وبلفك]{1,2}(?=[\u0600-\u06ff]{4})|[ובלמהש]{1,2}(?=[\u05d0-\u05ea]{4})")


@dataclass(frozen=True, slots=True)
class Spelling:
    """One folded way of writing a name.

    :ivar name: What it names.
    :ivar loose: It may have an ending, be glued to another word or, in a question, have a typing error.
    """

    text: str
    name: str
    loose: bool = False


@dataclass(frozen=True, slots=True)
class Mention:
    """Where a text names something: ``text[start:end]``."""

    start: int
    end: int
    name: str


class Names:
    """Finds names; of two that overlap the longer one counts."""

    def __init__(self, spellings: Iterable[Spelling], ordinary: Iterable[str] = ()) -> None:
        """Prepare the search.

        :param ordinary: Folded words and phrases that look like a name, or like one misspelt, and are none.
        """
        self._by_first: dict[str, list[tuple[tuple[str, ...], Spelling]]] = {}
        self._unspaced: list[Spelling] = []
        self._loose: dict[str, Spelling] = {}
        for spelling in sorted(spellings, key=lambda s: -len(s.text)):
            words = words_of(spelling.text)
            if _UNSPACED.search(spelling.text):
                self._unspaced.append(spelling)
            elif words:
                self._by_first.setdefault(words[0], []).append((words, spelling))
                if spelling.loose and len(words) == 1:
                    self._loose.setdefault(words[0], spelling)
        self._near: dict[str, list[Spelling]] = {}
        for text, spelling in self._loose.items():
            if len(text) >= FUZZY_FROM:
                # The first letter is seldom wrong, but now and then it is swapped with the second.
                for start in {text[0], text[1] + text[0]}:
                    self._near.setdefault(start, []).append(spelling)
        self._ordinary = Names(Spelling(text, text) for text in ordinary) if ordinary else None

    def find(self, folded: str, *, fuzzy: bool = False) -> list[Mention]:
        """Give the names in a folded text, in order.

        :param fuzzy: Understand names that are glued to other words, written apart or have one typing error.
        """
        words = tuple(_WORD.finditer(folded))
        taken = bytearray(len(folded))
        if self._ordinary:
            _take(self._ordinary._exact(folded, words), taken)
        found = _take(self._exact(folded, words), taken)
        found += _take(self._inflected(words), taken)
        if fuzzy:
            found += _take(self._glued(words), taken)
            found += _take(self._misspelt(words), taken)
        return sorted(found, key=lambda mention: mention.start)

    def _exact(self, folded: str, words: Sequence[re.Match[str]]) -> list[Mention]:
        found = [
            Mention(match.start(), match.end(), spelling.name)
            for spelling in self._unspaced
            if spelling.text in folded
            for match in re.finditer(re.escape(spelling.text), folded)
        ]
        for index, word in enumerate(words):
            for parts, spelling in self._by_first.get(word[0], ()):
                run = words[index : index + len(parts)]
                if tuple(w[0] for w in run) == parts and _is_one(folded, run):
                    found.append(Mention(word.start(), run[-1].end(), spelling.name))
        return _longest(found, len(folded))

    def _inflected(self, words: Sequence[re.Match[str]]) -> Iterator[Mention]:
        if not self._loose:
            return
        # A text has far fewer different words than words.
        named = {
            text: self._stem(text) or self._stem(_PROCLITICS.sub("", text, count=1))
            for text in {word[0] for word in words}
        }
        for word in words:
            spelling = named[word[0]]
            if spelling:
                yield Mention(word.start(), word.end(), spelling.name)

    def _stem(self, word: str) -> Spelling | None:
        if word in self._loose:
            return self._loose[word]
        for cut in range(1, LONGEST_ENDING + 1):
            stem, ending = word[:-cut], word[-cut:]
            if stem in self._loose and ending.isalpha() and _may_have(stem, ending):
                return self._loose[stem]
        return None

    def _glued(self, words: Sequence[re.Match[str]]) -> Iterator[Mention]:
        for first, second in pairwise(words):
            joined = first[0] + second[0]
            if len(joined) >= JOINED_FROM and second.start() - first.end() == 1 and joined in self._loose:
                yield Mention(first.start(), second.end(), self._loose[joined].name)
        for word in words:
            text = word[0]
            for cut in range(2, len(text) - 1):
                head, tail = text[:cut], text[cut:]
                if cut >= GLUED_FROM and head in self._loose and _GLUED_AFTER.fullmatch(tail):
                    yield Mention(word.start(), word.end(), self._loose[head].name)
                if len(tail) >= GLUED_FROM and tail in self._loose and _GLUED_BEFORE.fullmatch(head):
                    yield Mention(word.start(), word.end(), self._loose[tail].name)

    def _misspelt(self, words: Sequence[re.Match[str]]) -> Iterator[Mention]:
        for word in words:
            text = word[0]
            if len(text) < FUZZY_FROM:
                continue
            for spelling in (*self._near.get(text[0], ()), *self._near.get(text[:2], ())):
                if _is_typing_error(text, spelling.text):
                    yield Mention(word.start(), word.end(), spelling.name)
                    break


def words_of(folded: str) -> tuple[str, ...]:
    """Cut a folded text into the words that names are compared by.

    >>> words_of("gate.io kraken_pro")
    ('gate', 'io', 'kraken', 'pro')
    """
    return tuple(_WORD.findall(folded))


def _is_typing_error(word: str, name: str) -> bool:
    """Tell whether a word is a name with one letter missing, added, replaced or two swapped."""
    if abs(len(word) - len(name)) > 1 or (word[0] != name[0] and word[2:] != name[2:]):
        return False
    return DamerauLevenshtein.distance(word, name, score_cutoff=1) == 1


def _may_have(name: str, ending: str) -> bool:
    return len(name) >= FUZZY_FROM or (len(name) >= _SHORT_NAME_FROM and ending in _SHORT_ENDINGS)


def _is_one(folded: str, run: Sequence[re.Match[str]]) -> bool:
    return all(_GAP.fullmatch(folded, a.end(), b.start()) for a, b in pairwise(run))


def _longest(found: Iterable[Mention], length: int) -> list[Mention]:
    taken = bytearray(length)
    longest_first = sorted(found, key=lambda m: m.start - m.end)
    return [kept for mention in longest_first for kept in _take([mention], taken)]


def _take(found: Iterable[Mention], taken: bytearray) -> list[Mention]:
    """Keep the names that stand where nothing is taken, and take their places.

    :param taken: A byte for each character of the text, 1 where a name stands: looking at all the names found before
        would take time by the square of their number.
    """
    kept = [m for m in found if not any(taken[m.start : m.end])]
    for m in kept:
        taken[m.start : m.end] = b"\1" * (m.end - m.start)
    return kept
