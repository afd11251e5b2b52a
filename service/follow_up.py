"""Questions that hang on the one before: "and on Kraken?", "how long does that take?", "what if i dont have it"."""

import re
import tomllib
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

_WORD = re.compile(r"\w+(?:['’]\w+)*")
_UNSPACED = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\u0e00-\u0e7f]")
# Chinese, Japanese, Korean and Thai letters that make up about one word.
LETTERS_OF_A_WORD = 3

# A question hangs on the one before it where it has at most so many words: with an opening that continues ("and",
# "what if"), with a word that points back ("it", "those"), with one that may ("that", "one"), with none of them. One that
# names an exchange without continuing stands alone from fewer on. Measured 2026-11 on 240 follow-ups over help pages and
# 300 questions put after one of another page: .94 and .40 are read with the one before (with 7 words, or any number where
# there is an opening or a pointer: .93 and .53); on the starter questions 1.00 of 20 and .12 of 109 (.20).
LONGEST_OPENING, LONGEST_POINTING, LONGEST_MAYBE, LONGEST_BARE, LONGEST_NAMED = 16, 12, 9, 7, 4

# A follow-up of fewer words ("and on isolated?", "why?") repeats the question before it; one of more is a question of its own.
FEWEST_WANTED = 4


def hangs_on(text: str, *, named: bool) -> bool:
    """Tell whether a question needs the one before it to be understood.

    :param named: It names an exchange.

    >>> hangs_on("and on isolated?", named=False), hangs_on("what if i dont have it", named=False)
    (True, True)
    >>> hangs_on("where can I download a report of all my trades of last year", named=False)
    False
    """
    folded = text.casefold()
    words = _word_count(folded)
    if _pattern("opens").search(folded):
        return words <= LONGEST_OPENING
    if named:
        return words <= LONGEST_NAMED
    if _pattern("points").search(folded):
        return words <= LONGEST_POINTING
    return words <= (LONGEST_MAYBE if _pattern("may_point").search(folded) else LONGEST_BARE)


def thread(text: str, earlier: Sequence[str], is_named: Callable[[str], bool]) -> list[str]:
    """Give the earlier questions that a question is about, oldest first; none where it stands alone.

    The one before it, and where that one hangs on others itself, those back to the one that opened the topic.
    """
    chain: list[str] = []
    for question in reversed(earlier):
        if not hangs_on(chain[0] if chain else text, named=is_named(chain[0] if chain else text)):
            break
        chain.insert(0, question)
    return chain


def in_context(text: str, chain: Sequence[str]) -> str:
    """Put the question that opened the topic before a follow-up.

    What was asked in between is left out: it has its answer.
    """
    return f"{chain[0]} {text}"


def says_enough(text: str) -> bool:
    """Tell whether a follow-up says by itself what is wanted, if one knows what it is about.

    :param text: Without names of exchanges.

    >>> says_enough("how long does that take?"), says_enough("and on ?")
    (True, False)
    """
    return _word_count(text) >= FEWEST_WANTED


def _word_count(text: str) -> int:
    return len(_WORD.findall(text)) + len(_UNSPACED.findall(text)) // LETTERS_OF_A_WORD


@cache
def _pattern(kind: str) -> re.Pattern[str]:
    data = tomllib.loads(Path(__file__).with_name("follow_up.toml").read_text(encoding="utf-8"))
    return re.compile("|".join(f"(?:{pattern})" for pattern in data[kind]["patterns"]))
