"""Seed phrases of wallets (BIP 39) in a text: whole ones, parts, and mistyped ones, in every language that has a word list."""

import hashlib
import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import pairwise
from typing import NamedTuple

from mnemonic import Mnemonic

from service.found import Found

LENGTHS = (24, 21, 18, 15, 12)
LANGUAGES = {
    "latin": ("english", "spanish", "french", "italian", "portuguese", "czech", "turkish"),
    "cyrillic": ("russian",),
    "kana": ("japanese",),
    "hangul": ("korean",),
    "han": ("chinese_simplified", "chinese_traditional"),
}
# Measured on 21 MB of articles and questions, 70,000 texts, nearly all English: what was found were the examples of
# phrases in them, and three runs that are none, none of them in a question. Of random parts of English phrases nine words
# are found in 99.9 % of cases, twelve with one misspelt in 99.7 %, six where the text speaks of a phrase in 92 %.
FEWEST, FEWEST_WITH_STRANGERS = 9, 10
FEWEST_TOLD, FEWEST_TOLD_WITH_STRANGERS = 6, 9
_TOLD_WITHIN = 100
# So many words of a phrase may be mistyped: one of five.
_HITS_FOR_A_STRANGER = 5
_MOST_STRANGERS = 2
_LEAST_DISTINCT, _MOST_EVERYDAY, _MOST_EVERYDAY_WITH_STRANGERS = 0.8, 0.29, 0.2
# Words of the English list that everybody uses: "Account number will never change. You will enter this account number when
# you …" has thirteen list words in a row. In a random phrase one word in 30 is one of these. "about" and "above" are left out: phrases
# made up as examples are the first words of the list.
_EVERYDAY = frozenset(
    re.findall(
        r"\w+",
        """all also always another any around because become before below can change click cover day enough find first give good
        have help into just keep know like list make more much must name need never next now number off often once one only
        open other over own please same select such that then there they this time two under until use very want way what
        when where will you""",
    )
)
_ANNOUNCING = _EVERYDAY | {"about", "seed", "phrase", "word", "wallet", "secret"}
_MOST_TRIMMED = 2
# "word 1: …, word 2: …"
_LABEL = "word"
# The first word of the list, for eleven bits of nought: phrases made up as examples repeat it.
_ZEROS = "abandon"
# Between two words of a phrase stands at most this: a number, a bracket, a quotation mark, a line break.
_WIDEST_GAP = 12
# No typing error makes one of these from a list word.
_NO_STRANGER = frozenset(
    re.findall(
        r"\w+",
        """the and for your with from our are has had was were not but its his her him them who how those these since while than
        which their would could does did been being""",
    )
)
_MARKS = re.compile("[\u0300-\u036f]")
_DIGITS = re.compile(r"\d+")
_WORD = re.compile(r"[^\W\d_](?:[^\W\d_]|[\u0300-\u036f\u3099\u309a])*")
_BARRIER = "\ufffc"
_TOLD = re.compile(
    r"seed|mnemo|recover|backup|phrase|\b(?:12|15|18|24|twelve|eleven|eighteen)\W{0,2}words?\b|\bwords?\b|bip\W?39|semilla|frase|palabra|mots\b|palavra|parole|"
    r"wörter|wiederherst|сид|мнемо|фраз|слов|tohum|kurtarma|kelime|slov|シード|リカバリ|ニーモニック|フレーズ|復元|시드|니모닉|복구|단어|助记|助記|恢复|恢復|種子|种子",
    re.IGNORECASE,
)
# A word that is damaged in the Russian list of mnemonic 0.21.
_MENDED = {"сно\ufffd\ufffdа": "снова"}
_SCRIPTS = {
    "cyrillic": re.compile("[\u0400-\u04ff]"),
    "kana": re.compile("[\u3041-\u309f]"),
    "hangul": re.compile("[\u1100-\u11ff\uac00-\ud7a3]"),
    "han": re.compile("[\u4e00-\u9fff]"),
}
_HAN_RUN = re.compile("[\u4e00-\u9fff]{12,}")
_HAN_TOLD = re.compile("助[记記][词詞]|[种種]子|短[语語]")
# The Chinese lists are in the order of how common a character is. The mean place of twelve random ones is 1,024, with a
# deviation of 171; of prose it is far lower.
_RARE = 800
_MOST_BESIDE = 6


class _Word(NamedTuple):
    key: str
    start: int
    end: int


class _Run(NamedTuple):
    """The words ``first`` to ``last`` of a text are list words but for ``strangers`` of them."""

    first: int
    last: int
    strangers: int

    @property
    def hits(self) -> int:
        return self.last - self.first + 1 - self.strangers


def seed_phrases(text: str) -> Iterator[Found]:
    """Find seed phrases.

    What has the length and the checksum of a phrase is one. So is a run of list words that prose does not have, whatever
    its checksum: a phrase with a typing error gives away as much.

    Chinese characters without spaces between them are prose more often than not: there the checksum has to be right, and
    the characters rare or spoken of as a phrase.
    """
    words = [_Word(m[0], m.start(), m.end()) for m in _WORD.finditer(text)]
    if _longest_streak(text, words) >= FEWEST_TOLD:
        words = [_Word(_key(word.key), word.start, word.end) for word in words]
        for script, languages in LANGUAGES.items():
            if script == "latin" or _SCRIPTS[script].search(text):
                for language in languages:
                    yield from _spaced(text, words, language)
    if not text.isascii():
        yield from _unspaced_chinese(text)


def _longest_streak(text: str, words: Sequence[_Word]) -> int:
    """Count the words in a row that could be list words by their length; the lists are not needed for that.

    List words of alphabets have 3 to 8 letters, decomposed up to 10; one more or less is a typing error.
    """
    longest = streak = 0
    end = 0
    for word in words:
        fits = 3 <= len(word.key) <= 10 or word.key[0] >= "\u1100"
        near = word.start - end <= _WIDEST_GAP
        streak = (streak + 1 if near else 1) if fits else 0
        longest = max(longest, streak)
        end = word.end
    return longest


def _key(word: str) -> str:
    """Write a word as lists compare it: lower case, decomposed, without accents (which are often left out in typing)."""
    lower = word.lower()
    return lower if lower.isascii() else _MARKS.sub("", unicodedata.normalize("NFKD", lower))


@cache
def _places(language: str) -> dict[str, int]:
    """Give the place of each word of a list, and of its first four letters, by which BIP 39 says a word is known."""
    words = [_key(_MENDED.get(word, word)) for word in Mnemonic(language).wordlist]
    cut = {word[:4]: place for place, word in enumerate(words) if language in LANGUAGES["latin"]}
    return {word: place for word, place in cut.items() if word not in _NO_STRANGER} | {
        word: place for place, word in enumerate(words)
    }


def _spaced(text: str, words: Sequence[_Word], language: str) -> Iterator[Found]:
    places = _places(language)
    for run in _joined(text, words, _runs(text, words, places), places):
        if run.hits < FEWEST_TOLD:
            continue
        said: Sequence[_Word] = [word for word in words[run.first : run.last + 1] if word.key != _LABEL]
        window = None if run.strangers else _valid_window(text, said, places)
        if window:
            yield Found(said[window[0]].start, said[window[1] - 1].end, "seed phrase")
        elif _is_meant(text, said, run.strangers):
            said = said if len(said) in LENGTHS else _trimmed(said)
            yield Found(said[0].start, said[-1].end, "seed phrase")


def _trimmed(said: Sequence[_Word]) -> Sequence[_Word]:
    """Leave the last words before a phrase, and the first behind it, to the question ("I only have …")."""
    first, last = 0, len(said) - 1
    while first < _MOST_TRIMMED and said[first].key in _ANNOUNCING:
        first += 1
    while len(said) - 1 - last < _MOST_TRIMMED and said[last].key in _ANNOUNCING:
        last -= 1
    return said[first : last + 1]


def _runs(text: str, words: Sequence[_Word], places: dict[str, int]) -> list[_Run]:
    runs: list[_Run] = []
    for index, word in enumerate(words):
        if word.key not in places:
            continue
        if runs and runs[-1].last == index - 1 and _side_by_side(text, words, index - 1):
            runs[-1] = runs[-1]._replace(last=index)
        else:
            runs.append(_Run(index, index, 0))
    return runs


def _joined(text: str, words: Sequence[_Word], runs: Sequence[_Run], places: dict[str, int]) -> Iterator[_Run]:
    """Join runs that one or two foreign words part, as long as few are foreign; give the others as they are."""
    current: _Run | None = None
    for run in runs:
        if current is not None:
            if _may_join(text, words, current, run) and not _is_whole(text, words, current, run, places):
                current = _Run(
                    current.first, run.last, current.strangers + run.strangers + run.first - current.last - 1
                )
                continue
            yield current
        current = run
    if current is not None:
        yield current


def _may_join(text: str, words: Sequence[_Word], left: _Run, right: _Run) -> bool:
    between = range(left.last + 1, right.first)
    strangers = left.strangers + right.strangers + len(between)
    return (
        len(between) <= _MOST_STRANGERS
        and strangers * _HITS_FOR_A_STRANGER <= max(left.hits + right.hits, FEWEST)
        and all(_side_by_side(text, words, place) for place in range(left.last, right.first))
        and all(len(words[place].key) >= 3 and words[place].key not in _NO_STRANGER for place in between)
    )


def _is_whole(text: str, words: Sequence[_Word], left: _Run, right: _Run, places: dict[str, int]) -> bool:
    """Tell a run with the checksum of a phrase, which stands for itself: what follows is the question."""
    if left.strangers or left.hits < min(LENGTHS) or right.hits >= FEWEST_TOLD:
        return False
    return _valid_window(text, words[left.first : left.last + 1], places) is not None


def _side_by_side(text: str, words: Sequence[_Word], index: int) -> bool:
    between = text[words[index].end : words[index + 1].start]
    return len(between) <= _WIDEST_GAP and _BARRIER not in between


def _is_meant(text: str, said: Sequence[_Word], strangers: int) -> bool:
    """Tell a phrase, or a part of one, from words of the question that happen to be in the list.

    :param said: The words of the run, without the labels before them.
    """
    keys = [word.key for word in _trimmed(said)]
    everyday = sum(key in _EVERYDAY for key in keys)
    most = _MOST_EVERYDAY_WITH_STRANGERS if strangers else _MOST_EVERYDAY
    distinct = len(set(keys)) >= _LEAST_DISTINCT * len(keys) or keys.count(_ZEROS) > len(keys) / 2
    if not distinct or everyday >= most * len(keys):
        return False
    if (len(keys) - strangers >= FEWEST_WITH_STRANGERS) if strangers else len(said) >= FEWEST:
        return True
    if len(keys) - strangers < (FEWEST_TOLD_WITH_STRANGERS if strangers else FEWEST_TOLD):
        return False
    start, end = said[0].start, said[-1].end
    return bool(
        _TOLD.search(text[max(0, start - _TOLD_WITHIN) : start]) or _TOLD.search(text[end : end + _TOLD_WITHIN])
    )


def _valid_window(text: str, said: Sequence[_Word], places: dict[str, int]) -> tuple[int, int] | None:
    """Find a whole phrase in a run of list words: all of it but for words of the question ("seed phrase: … can you help").

    One window in sixteen of twelve words has a right checksum by chance. So all that the right ones cover is the phrase,
    and all of the run where it is not plain that the words beside them are the question's.
    """
    bits = [places[word.key] for word in said]
    windows = [
        (start, start + length)
        for length in LENGTHS
        if 0 <= len(said) - length <= _MOST_BESIDE
        for start in range(len(said) - length + 1)
        if _checks(bits[start : start + length])
    ]
    if not windows:
        return None
    start, end = min(windows)[0], max(end for _, end in windows)
    gaps = [_DIGITS.sub("0", text[left.end : right.start]) for left, right in pairwise(said)]
    if not (all(word.key in _ANNOUNCING for word in said[:start]) or _ends_sentence(gaps[start - 1], gaps[start])):
        start = 0
    if not (all(word.key in _ANNOUNCING for word in said[end:]) or _ends_sentence(gaps[end - 1], gaps[end - 2])):
        end = len(said)
    return start, end


def _ends_sentence(gap: str, usual: str) -> bool:
    return gap != usual and any(mark in gap for mark in ".?!:\n")


def _checks(places: Sequence[int]) -> bool:
    bits = "".join(f"{place:011b}" for place in places)
    entropy, check = bits[: len(bits) // 33 * 32], bits[len(bits) // 33 * 32 :]
    digest = hashlib.sha256(int(entropy, 2).to_bytes(len(entropy) // 8, "big")).digest()
    return f"{digest[0]:08b}".startswith(check)


def _unspaced_chinese(text: str) -> Iterator[Found]:
    for run in _HAN_RUN.finditer(text):
        before = text[max(0, run.start() - 12) : run.start()]
        told = list(_HAN_TOLD.finditer(run[0]))
        # A phrase ends where the run ends; it begins there too, or a few characters behind the word for it.
        starts = [m.end() + skip for m in told[-1:] for skip in range(4)] or [0]
        windows = [(start, start + length) for start in starts for length in LENGTHS if start + length <= len(run[0])]
        called = bool(told) or bool(_HAN_TOLD.search(before))
        for start, end in windows if called else [(0, len(run[0]))]:
            if _is_chinese_phrase(run[0][start:end], called and end == len(run[0])):
                yield Found(run.start() + start, run.start() + end, "seed phrase")
                break


def _is_chinese_phrase(characters: str, told: bool) -> bool:
    for language in LANGUAGES["han"]:
        places = [_places(language).get(char, -1) for char in characters]
        if (
            len(places) in LENGTHS
            and min(places) >= 0
            and _checks(places)
            and (told or sum(places) >= _RARE * len(places))
        ):
            return True
    return False
