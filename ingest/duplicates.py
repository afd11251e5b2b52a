"""Near-duplicate articles, and which of them speaks for the others.

To silence an article that says something of its own is worse than to keep a mirror, so two articles are the same only where

- they are in one language and not about two exchanges: help centres word a page alike and differ in what matters;
- they have equal texts, or they are of two sites and share most of what they say. Pages of one site that differ in a coin's
  name or a number are different pages ("How to deposit USDT", "How to deposit USDC");
- they do not disagree: where both have the same words, a figure, a unit or a name after them must not differ. An outdated
  mirror is no duplicate; it is a source that disagrees, and the asker is shown both.

What an article needs to be compared is in its `Signature`, so that a store can compare a new article with a million others
without reading one of them: it keeps the rows (band, article) and looks up who shares a band.
"""

import hashlib
import re
import struct
import unicodedata
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
from rensa import RMinHash

from ingest.article import Article, IngestError, Trust
from ingest.exchanges import fold, registered_domain

# benchmarks/duplicates.py on 623 articles of crypto_help, doc2dial_val and the starter corpus: .95 of 6,037 reprints are
# grouped, .99 of those with boilerplate around and .84 of those cut to 70 % with boilerplate; 5 of 86,994 other pairs are.
# At .4 a few more reprints would be, but an article could be silenced of which more than half is its own.
THRESHOLD = 0.5
PERMUTATIONS = 128
ROWS = 4
SEED = 1
SHINGLE = 5
# Chinese, Japanese, Thai and the like are cut into characters, about two to a word.
UNSPACED_SHINGLE = 10
UNSPACED_LANGUAGES = frozenset(("zh", "ja", "th", "lo", "km", "my"))
# Of fewer shingles a few common phrases are too large a share: such texts are the same only where they are equal.
FEWEST_SHINGLES = 40
# How many words in front of a figure or a name say which figure it is.
CONTEXT = 3

_TRUST_ORDER: tuple[Trust, ...] = ("official", "partner", "aggregator", "unknown")
_TOKEN = re.compile(
    r"\d+(?:[.,:/-]\d+)*|[%.!?:;。]|[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]"
    r"|[^\W\d_\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]"
    r"[^\W_\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]*"
)
_ITEM = re.compile(r"^\s*(?:[-*•]|\d{1,2}[.)])\s+")
_SENTENCE_ENDS = frozenset(".!?:;。")
_DECIMAL = re.compile(r"\d+\.\d+")
_THOUSANDS = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?")

_MAGIC = b"CDS1"
_HEAD = struct.Struct("<4sBBI32s6I")


@dataclass(frozen=True, slots=True)
class Signature:
    """What of an article is compared with others, in about a kilobyte.

    :ivar exchange: The exchange that it is about; None is none or not known.
    :ivar language: ISO 639-1 code.
    :ivar site: The registered domain of its address, or an empty string where that has none.
    :ivar rank: How trusted its site is: 0 official, 1 partner, 2 aggregator, 3 unknown.
    :ivar date: ISO 8601 day on which it was updated, else published, else fetched; empty where none is known.
    :ivar digest: sha256 of its title and text, case, width and white space folded.
    :ivar shingles: How many runs of words it has.
    :ivar minhash: `PERMUTATIONS` minima of its shingles' hashes, uint32.
    :ivar marks: Its figures and names, each with the words in front of it: sorted uint64, 32 bits of the words' hash above
        32 bits of its own.
    """

    article_id: str
    exchange: str | None
    language: str
    site: str
    rank: int
    date: str
    digest: bytes
    shingles: int
    minhash: bytes
    marks: bytes


def signature(article: Article) -> Signature:
    """Sign an article; the same article gives the same signature on every machine."""
    # A half of a surrogate pair, as broken JSON may have one, can be neither hashed nor stored.
    text = f"{article.title}\n{article.text}".encode("utf-8", "replace").decode()
    text = unicodedata.normalize("NFKC", text)
    lines = [_read(line) for line in text.split("\n")]
    words = [word for line in lines for word in line.words]
    size = UNSPACED_SHINGLE if article.language in UNSPACED_LANGUAGES else SHINGLE
    shingles = set(map(" ".join, zip(*(words[start:] for start in range(size)), strict=False)))
    sketch = RMinHash(num_perm=PERMUTATIONS, seed=SEED)
    sketch.update(list(shingles))
    return Signature(
        article.id,
        article.exchange,
        article.language,
        registered_domain(article.url) or "",
        _TRUST_ORDER.index(article.trust),
        (article.updated or article.published or article.fetched or "")[:10],
        hashlib.sha256(fold(text).encode()).digest(),
        len(shingles),
        np.array(sketch.digest(), dtype="<u4").tobytes(),
        np.unique(np.fromiter(_marks(lines), dtype="<u8")).astype("<u8").tobytes(),
    )


def bands(signed: Signature) -> tuple[int, ...]:
    """Give the keys that a store files an article under: those that may be the same share one.

    :return: 64-bit signed integers, the first of the whole text, the others of `ROWS` minima each. Two articles with the
        share J of their shingles in common share one of the others with the probability 1 - (1 - J ** ROWS) **
        (PERMUTATIONS / ROWS): .87 at J = .5, .99 at .6, .23 at .3.
    """
    keys = [_key(b"text", signed.language, signed.digest)]
    if signed.shingles >= FEWEST_SHINGLES:
        step = 4 * ROWS
        keys += [
            _key(start.to_bytes(4, "little"), signed.language, signed.minhash[start : start + step])
            for start in range(0, len(signed.minhash), step)
        ]
    return tuple(keys)


def same(a: Signature, b: Signature) -> bool:
    """Say whether one of two articles can speak for the other, by the rules at the head of this module."""
    if a.language != b.language or (a.exchange and b.exchange and a.exchange != b.exchange):
        return False
    if a.digest == b.digest:
        return True
    # Two files without an address may be two pages of one site.
    if a.site == b.site or min(a.shingles, b.shingles) < FEWEST_SHINGLES:
        return False
    return jaccard(a, b) >= THRESHOLD and not disagree(a, b)


def jaccard(a: Signature, b: Signature) -> float:
    """Estimate the share of all shingles of two articles that both have; its standard error is at most .044."""
    left, right = np.frombuffer(a.minhash, "<u4"), np.frombuffer(b.minhash, "<u4")
    return float(np.count_nonzero(left == right)) / PERMUTATIONS


def disagree(a: Signature, b: Signature) -> bool:
    """Say whether two articles go on differently after the same words: by another figure, unit or name.

    What one of them lacks is no disagreement: a reprint may be cut short, or have comments below it.
    """
    left, right = np.frombuffer(a.marks, "<u8"), np.frombuffer(b.marks, "<u8")
    only_left = np.setdiff1d(left, right, assume_unique=True) >> np.uint64(32)
    only_right = np.setdiff1d(right, left, assume_unique=True) >> np.uint64(32)
    return bool(np.isin(only_left, only_right).any())


def order(signed: Signature) -> str:
    """Give a text that sorts articles by who is to speak: most trusted, then newest, then smallest id.

    A store that keeps it beside each band reads the best of a crowded band first, and need not read all of it.
    """
    day = (signed.date or "0000-00-00").translate(_BACKWARDS)
    return f"{signed.rank} {day} {signed.article_id}"


def speakers(signatures: Iterable[Signature], candidates: Callable[[Signature], Iterable[Signature]]) -> dict[str, str]:
    """Find who speaks for whom.

    An article that is `same` as a better one (see `order`) is silent, unless the better one is silent itself: nothing is
    silenced by a chain of small differences. An article about a known exchange is silenced only by another about it, because
    a question about that exchange would not find one whose exchange is not known.

    :param signatures: Every article, in any order; they are read once and not kept.
    :param candidates: Gives the articles that share a band with one; it may give that one too, or one of them twice.
    :return: The ids of the silent articles, with the id of the one that speaks for each.
    """
    betters: list[tuple[str, str, list[tuple[str, str]]]] = []
    for signed in signatures:
        rank = order(signed)
        better = {
            (place, other.article_id)
            for other in candidates(signed)
            if (place := order(other)) < rank and signed.exchange in (None, other.exchange) and same(signed, other)
        }
        if better:
            betters.append((rank, signed.article_id, sorted(better)))
    silent: dict[str, str] = {}
    for _, article_id, better_ones in sorted(betters):
        speaker = next((other for _, other in better_ones if other not in silent), None)
        if speaker is not None:
            silent[article_id] = speaker
    return silent


def to_bytes(signed: Signature) -> bytes:
    """Write a signature as bytes, for a store to keep; see `from_bytes`."""
    texts = [t.encode() for t in (signed.article_id, signed.exchange or "", signed.language, signed.site, signed.date)]
    head = _HEAD.pack(
        _MAGIC, _algorithm(), signed.rank, signed.shingles, signed.digest, *map(len, texts), len(signed.marks)
    )
    return b"".join((head, *texts, signed.minhash, signed.marks))


def from_bytes(data: bytes) -> Signature:
    """Read what `to_bytes` wrote.

    :raises IngestError: The bytes are damaged, or were written by a version whose signatures mean something else.
    """
    try:
        magic, algorithm, rank, shingles, digest, *sizes = _HEAD.unpack_from(data)
        if magic != _MAGIC or algorithm != _algorithm():
            raise IngestError("a stored signature is of another version and cannot be compared; sign the article again")
        parts: list[bytes] = []
        at = _HEAD.size
        for size in (*sizes[:-1], 4 * PERMUTATIONS, sizes[-1]):
            parts.append(data[at : at + size])
            at += size
        if at != len(data) or sizes[-1] % 8 or rank >= len(_TRUST_ORDER):
            raise ValueError("lengths")
        article_id, exchange, language, site, date = (part.decode() for part in parts[:5])
    except (struct.error, ValueError) as error:
        raise IngestError("a stored signature is damaged; sign the article again") from error
    return Signature(article_id, exchange or None, language, site, rank, date, digest, shingles, parts[5], parts[6])


class _Line(NamedTuple):
    """The words of a line, folded, and where among them its figures and names are: another one there says something else."""

    words: list[str]
    marked: list[int]


def _read(line: str) -> _Line:
    words: list[str] = []
    marked: list[int] = []
    begins = True
    for word in _TOKEN.findall(_ITEM.sub("", line)):
        if not word.islower():  # most are, and need no look
            if word in _SENTENCE_ENDS:
                begins = True
                continue
            # "USDT", or "Bitcoin" within a sentence: a capital at its beginning says nothing.
            name = word[0].isupper() and (not begins or (len(word) > 1 and word.isupper()))
            figure = word[0].isdigit()
            if figure or name:
                marked.append(len(words))
            word = _figure(word) if figure else word.lower()
        words.append(word)
        begins = False
    return _Line(words, marked)


def _figure(word: str) -> str:
    """Write a figure as others write it: ``1,000.50`` is ``1000.5``."""
    if _THOUSANDS.fullmatch(word):
        word = word.replace(",", "")
    return word.rstrip("0").rstrip(".") if _DECIMAL.fullmatch(word) else word


def _marks(lines: Iterable[_Line]) -> Iterator[int]:
    """Give each figure and name with the words that tell its place, as the bits of `Signature.marks`."""
    above: list[str] = []
    seen: Counter[str] = Counter()
    for words, marked in lines:
        for at in marked:
            place, value = words[max(0, at - CONTEXT) : at], words[at]
            if len(place) >= 2:
                value = " ".join(words[at : at + 2]) if value[0].isdigit() else value
            elif len(words) > 1:
                # At the beginning of a line what follows tells the place; where nothing does, the line above.
                place = [*place, "^", *words[at + 1 : at + 3]]
            else:
                place = [*above[-CONTEXT:], "^"]
            # What is said twice counts twice, so that "1, 2" and "2, 2" differ.
            where = " ".join(place)
            said = f"{where}|{value}"
            seen[said] += 1
            yield zlib.crc32(where.encode()) << 32 | zlib.crc32(f"{value}|{seen[said]}".encode())
        above = words or above


def _key(kind: bytes, language: str, data: bytes) -> int:
    hashed = hashlib.blake2b(kind + language.encode() + b"\0" + data, digest_size=8).digest()
    return int.from_bytes(hashed, "little", signed=True)


@cache
def _algorithm() -> int:
    return int(RMinHash.ALGORITHM_VERSION)


_BACKWARDS = str.maketrans("0123456789", "9876543210")
