"""Cut text into a Unigram model's pieces, out of files that are mapped, not read.

XLM-R has 250,002 pieces, and every library builds a trie of them when it opens. Measured on 2026-11-22, processor
seconds until the first query is cut, and the memory it adds: tokenizers 1.0 s, 290 MB; sentencepiece 0.45 to 0.65 s,
63 MB; this 0.02 s, 13 MB. It takes 0.1 ms a passage, of the 30 ms that e5 takes.

The pieces lie in a hash table with open addressing, by crc32. The best cut is Viterbi's (Kudo, 2018, "Subword
regularization"), word by word, which is exact since no piece goes on after a space. Text is normalized by
SentencePiece's own rules. The ids are those of sentencepiece, but where two cuts score the same to the last bit.
"""

import mmap
import zlib
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

SPACE = "▁"
SLOTS, OFFSETS, SCORES, PIECES = "pieces.slots.npy", "pieces.offsets.npy", "pieces.scores.npy", "pieces.bin"
RULES = "nfkc.model"
UNKNOWN_PENALTY = 10.0
"""What an unknown character costs below the worst piece, in SentencePiece and tokenizers."""
CACHED_WORD = 32
"""Longer words are not remembered; so the memory of 65,536 words is bounded."""


def write(folder: Path, pieces: Sequence[tuple[str, float]], control: Iterable[str], rules: bytes) -> None:
    """Write the files that `Unigram` opens.

    :param pieces: (piece, log probability), by id.
    :param control: Marks that never come out of a text.
    :param rules: A SentencePiece model of which the normalization alone is used.
    """
    keys = [piece.encode() for piece, _ in pieces]
    size = 1 << (len(keys) * 3).bit_length()
    slots = [0] * size
    marks = {mark.encode() for mark in control}
    for number, key in enumerate(keys, start=1):
        slot = zlib.crc32(key) % size
        while slots[slot]:
            slot = (slot + 1) % size
        slots[slot] = 0 if key in marks else number
    np.save(folder / SLOTS, np.array(slots, np.uint32))
    np.save(folder / OFFSETS, np.cumsum([0, *map(len, keys)], dtype=np.uint32))
    np.save(folder / SCORES, np.array([score for _, score in pieces], np.float32))
    (folder / PIECES).write_bytes(b"".join(keys))
    (folder / RULES).write_bytes(rules)


class Unigram:
    """Cut text into ids; nothing in a text makes a control mark.

    :param folder: As `write` left it, or a folder that holds those files among others.
    :param unknown: The id of an unknown character; neighbours share one.
    """

    def __init__(self, folder: Path, unknown: int) -> None:
        """Map the files."""
        from sentencepiece import SentencePieceNormalizer

        self._normalize = SentencePieceNormalizer(model_file=str(folder / RULES)).normalize
        self._slots, self._offsets, self._scores = (
            memoryview(np.load(folder / name, mmap_mode="r")) for name in (SLOTS, OFFSETS, SCORES)
        )
        with (folder / PIECES).open("rb") as file:
            self._pieces = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        scores = np.asarray(self._scores)
        self._unknown, self._unknown_score = unknown, float(scores.min()) - UNKNOWN_PENALTY
        self._longest = 16
        self._remembered = lru_cache(1 << 16)(self._cut)

    def encode(self, text: str, most: int) -> list[int]:
        """Return the first `most` ids of a text, without marks at its ends."""
        ids: list[int] = []
        # A piece has at most `longest` characters, so what comes later cannot be among the first ids; without this, a
        # megabyte without a space would take a minute.
        for word in self._normalize(text)[: most * self._longest].split(SPACE)[1:]:
            ids += (self._remembered if len(word) <= CACHED_WORD else self._cut)(SPACE + word)
            if len(ids) >= most:
                break
        return ids[:most]

    def _find(self, key: bytes) -> int:
        slot = zlib.crc32(key) % len(self._slots)
        while number := self._slots[slot]:
            if self._pieces[self._offsets[number - 1] : self._offsets[number]] == key:
                return int(number) - 1
            slot = (slot + 1) % len(self._slots)
        return -1

    def _cut(self, word: str) -> tuple[int, ...]:
        best = [0.0] + [-np.inf] * len(word)
        last = [(0, self._unknown)] * (len(word) + 1)
        for start in range(len(word)):
            for end in range(start + 1, min(len(word), start + self._longest) + 1):
                piece = self._find(word[start:end].encode())
                if piece < 0 and end > start + 1:
                    continue
                score = best[start] + (self._unknown_score if piece < 0 else self._scores[piece])
                if score > best[end]:
                    best[end], last[end] = score, (start, self._unknown if piece < 0 else piece)
        ids: list[int] = []
        end = len(word)
        while end:
            end, piece = last[end]
            if piece != self._unknown or ids[-1:] != [piece]:
                ids.append(piece)
        return tuple(reversed(ids))
