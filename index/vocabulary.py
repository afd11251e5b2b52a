"""The words of the corpus, by language: what a misspelt word of a question may have meant."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from rapidfuzz.distance import DamerauLevenshtein

NAME = "words.tsv"
# Shorter words have too many neighbours among words.
SHORTEST = 5
# From so many letters on two typing errors are understood, below it one.
TWO_ERRORS_FROM = 9

_WORD = re.compile(r"[^\W\d_]+")
_UNSPACED = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\u0e00-\u0e7f]")


@dataclass(frozen=True)
class Vocabulary:
    """Folded words of letters alone.

    :ivar counts: By language: in how many passages each word is.
    """

    counts: Mapping[str, Mapping[str, int]]

    @classmethod
    def of(cls, passages: Iterable[tuple[str, str]]) -> "Vocabulary":
        """Collect the words of (text, language) pairs, one a passage."""
        counts: dict[str, Counter[str]] = {}
        for text, language in passages:
            counts.setdefault(language, Counter()).update(set(words(text)))
        return cls(counts)

    @classmethod
    def open(cls, folder: Path) -> "Vocabulary":
        """Open what `write` wrote; a folder without it has no words."""
        counts: dict[str, dict[str, int]] = {}
        file = folder / NAME
        for line in file.read_text(encoding="utf-8").splitlines() if file.exists() else ():
            language, word, count = line.split("\t")
            counts.setdefault(language, {})[word] = int(count)
        return cls(counts)

    def write(self, folder: Path) -> None:
        """Write the words into a snapshot, sorted."""
        rows = sorted((code, word, count) for code, counts in self.counts.items() for word, count in counts.items())
        (folder / NAME).write_text(
            "".join(f"{code}\t{word}\t{count}\n" for code, word, count in rows), encoding="utf-8"
        )

    def __contains__(self, word: str) -> bool:
        """Tell whether a folded word is in the corpus, in whichever language."""
        return any(word in counts for counts in self.counts.values())

    def nearest(self, word: str, language: str) -> str | None:
        """Give the word of the corpus that a folded word is a misspelling of, or None.

        The first letter is right, or swapped with the second. Of those with the fewest errors it is the commonest one.
        """
        allowed = 2 if len(word) >= TWO_ERRORS_FROM else 1
        candidates = [*self._near.get((language, word[0]), ()), *self._near.get((language, word[1:2]), ())]
        best: tuple[int, int, str] | None = None
        for candidate, count in candidates:
            if abs(len(candidate) - len(word)) > allowed or (candidate[0] != word[0] and candidate[:2] != word[1::-1]):
                continue
            distance = DamerauLevenshtein.distance(word, candidate, score_cutoff=allowed)
            if distance <= allowed and (best is None or (distance, -count, candidate) < best):
                best = (distance, -count, candidate)
        return best[2] if best else None

    @cached_property
    def _near(self) -> dict[tuple[str, str], list[tuple[str, int]]]:
        near: dict[tuple[str, str], list[tuple[str, int]]] = {}
        for language, counts in self.counts.items():
            for word, count in counts.items():
                if len(word) >= SHORTEST - 1:
                    near.setdefault((language, word[0]), []).append((word, count))
        return near


def words(text: str) -> list[str]:
    """Cut a text into its folded words, in the scripts that part them by blanks.

    >>> words("Don't panic: 3 USDT (资金) fees")
    ['don', 't', 'panic', 'usdt', 'fees']
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    return [word for word in _WORD.findall(folded) if not _UNSPACED.search(word)]
