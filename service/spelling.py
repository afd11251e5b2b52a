"""Typing errors, put right for the search alone."""

import re
import unicodedata
from collections.abc import Callable, Collection

from index.vocabulary import SHORTEST, Vocabulary

# A stem of fewer letters is a word in some language, whatever it is.
SHORTEST_STEM = 3
# A run without blanks; what holds a digit or a mark of an address in it is no word.
_TOKEN = re.compile(r"\S+")
_BARE = re.compile(r"[^\W\d_]+")
_EDGES = "\"'“”‘’«»()[]{}<>.,;:!?…"


def correct(
    text: str,
    language: str,
    vocabulary: Vocabulary,
    *,
    names: Collection[str],
    is_word: Callable[[str], bool],
) -> str:
    """Replace words that nobody knows by the word of the corpus that they misspell.

    Left alone are words of the corpus, words that the encoder knows as a whole, which may be of any language, names,
    capitals (tickers), and whatever has a digit or a mark in it: numbers, addresses, hashes.

    :param names: Folded words that name something.
    :param is_word: Tells whether a folded word is a common one.
    """

    def corrected(match: re.Match[str]) -> str:
        token = match.group()
        typed = token.strip(_EDGES)
        word = unicodedata.normalize("NFKC", typed).casefold()
        if len(word) < SHORTEST or not _BARE.fullmatch(word) or (typed.isupper() and not text.isupper()):
            return token
        if word in names or word in vocabulary or is_word(word):
            return token
        meant = vocabulary.nearest(word, language)
        return token.replace(typed, meant) if meant else token

    return _TOKEN.sub(corrected, text)
