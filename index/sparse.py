"""BM25 as an inner product of sparse vectors, for an engine that compares these: the same scores as tantivy's.

A passage's vector has the weight of each of its terms in it, a question's how rare each of its terms is. Terms are
numbers there: hashes of 32 bits, so that of a vocabulary of 100,000 one pair or so falls together.
"""

import hashlib
import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

#: Term numbers and weights; a dimension of 2³² - 1 is one too many for Milvus.
SparseVector = dict[int, float]

# tantivy's constants (those of Lucene).
K1, B = 1.2, 0.75
_DIMENSIONS = 2**32 - 2
# Below so many terms a passage's length is exact for tantivy, from there on it keeps four binary digits of the rest.
_EXACT_LENGTHS = 24
_DIGITS = 4
# The mean length stands in every passage's weights. It is rounded to a power of this, so that a passage more or less does not
# change all of them; a score is at most half a percent off for it.
_STEP = 1.02


def mean_length(tokens: int, passages: int) -> float:
    """Give the mean length of passages in terms, rounded so that it seldom changes.

    >>> mean_length(10_000, 100) == mean_length(10_010, 100) != mean_length(11_000, 100)
    True
    """
    return _STEP ** round(math.log(max(tokens, 1) / max(passages, 1), _STEP))


def document_vector(terms: Sequence[str], mean: float) -> SparseVector:
    """Weigh the terms of a passage; empty where it has none.

    :param mean: What `mean_length` gives of the corpus.
    """
    part = K1 * (1 - B + B * _kept_length(len(terms)) / mean)
    return _summed((number(term), count / (count + part)) for term, count in Counter(terms).items())


def query_vector(terms: Iterable[str], frequency: Callable[[str], int], passages: int) -> SparseVector:
    """Weigh the terms of a question, each counted once; empty where no passage has any of them.

    :param frequency: Gives how many passages hold a term.
    :param passages: How many there are.
    """
    counts = {term: frequency(term) for term in dict.fromkeys(terms)}
    return _summed(
        (number(term), (1 + K1) * math.log(1 + (passages - count + 0.5) / (count + 0.5)))
        for term, count in counts.items()
        if count
    )


def number(term: str) -> int:
    """Give the number of a term.

    >>> number("fee") == number("fee") != number("fees")
    True
    """
    return int.from_bytes(hashlib.blake2b(term.encode(), digest_size=8).digest(), "big") % _DIMENSIONS


def _kept_length(length: int) -> int:
    """Give a passage's length as tantivy keeps it, in one byte.

    >>> [_kept_length(length) for length in (23, 39, 41, 42, 100, 1000)]
    [23, 39, 40, 42, 96, 984]
    """
    rest = length - _EXACT_LENGTHS
    if rest < 0:
        return length
    shift = max(0, rest.bit_length() - _DIGITS)
    return _EXACT_LENGTHS + ((rest >> shift) << shift)


def _summed(weights: Iterable[tuple[int, float]]) -> SparseVector:
    vector: SparseVector = {}
    for key, weight in weights:
        vector[key] = vector.get(key, 0.0) + weight
    return vector
