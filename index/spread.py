"""How a corpus's vectors lie: what a cosine means depends on it.

The e5 models give nearly every pair of texts a cosine between 0.7 and 0.9, more for two texts of one language. The mean
and the covariance of the passages' vectors tell, for any question, the mean and the standard deviation of its cosines
with all passages, without looking at them: E[q·v] = q·mean, Var[q·v] = q'Cq.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from index.dense import Vectors

# Passages that the assumption of an even spread weighs as much as: a fiftieth of the starter corpus.
EVEN = 10
MEANS, COVARIANCE, LANGUAGES = "means.npy", "covariance.npy", "languages.txt"


@dataclass(frozen=True, slots=True)
class Spread:
    """Means by language and the covariance of unit vectors.

    :ivar languages: Codes; row i of ``means`` is the mean vector of the passages in the i-th. The last row is of all.
    :ivar covariance: Of all passages, shape (d, d).
    """

    languages: tuple[str, ...]
    means: npt.NDArray[np.float32]
    covariance: npt.NDArray[np.float32]

    def write(self, folder: Path) -> None:
        """Write the three files into a snapshot."""
        np.save(folder / MEANS, self.means, allow_pickle=False)
        np.save(folder / COVARIANCE, self.covariance, allow_pickle=False)
        (folder / LANGUAGES).write_text("\n".join(self.languages), encoding="ascii")

    @classmethod
    def open(cls, folder: Path) -> "Spread":
        """Open what was written."""
        means: npt.NDArray[np.float32] = np.load(folder / MEANS, allow_pickle=False)
        covariance: npt.NDArray[np.float32] = np.load(folder / COVARIANCE, mmap_mode="r", allow_pickle=False)
        languages = (folder / LANGUAGES).read_text(encoding="ascii").split("\n")
        return cls(tuple(languages), means, covariance)

    def expected(self, query: Vectors) -> float:
        """Give the mean cosine of a query with all passages."""
        return float(self.means[-1] @ query)

    def deviation(self, query: Vectors) -> float:
        """Give the standard deviation of a query's cosines with all passages."""
        return math.sqrt(max(1e-9, float(query @ self.covariance @ query)))

    def lean(self, query: Vectors) -> dict[str, float]:
        """Give by how much a query's mean cosine with the passages of each language is above that with all."""
        means = self.means @ query
        return {code: float(mean - means[-1]) for code, mean in zip(self.languages, means[:-1], strict=True)}


class SpreadMeasure:
    """Measure the spread of vectors that come batch by batch."""

    def __init__(self, dimension: int) -> None:
        # In double precision: the covariance is the small difference of two sums.
        self._sums: dict[str, npt.NDArray[np.float64]] = {}
        self._counts: dict[str, int] = {}
        self._products: npt.NDArray[np.float64] = np.zeros((dimension, dimension))

    def add(self, vectors: Vectors, languages: Sequence[str]) -> None:
        """Take in unit vectors of shape (n, d), of which row i is in the i-th language."""
        rows, marks = vectors.astype(np.float64), np.array(languages)
        self._products += rows.T @ rows
        for code in set(languages):
            among = rows[marks == code]
            self._sums[code] = self._sums.get(code, 0) + among.sum(axis=0)
            self._counts[code] = self._counts.get(code, 0) + len(among)

    def spread(self) -> Spread:
        """Give the spread of all vectors that were taken in, one at least."""
        codes, count = sorted(self._sums), sum(self._counts.values())
        mean = np.sum([self._sums[code] for code in codes], axis=0) / count
        means = [self._sums[code] / self._counts[code] for code in codes] + [mean]
        covariance = self._products / count - np.outer(mean, mean)
        # Of two or three passages the vectors lie in a line or a plane: a question that stands off it would seem to have no
        # spread at all. What is seen is mixed with the same variance in every direction, which weighs as so many passages.
        even = np.trace(covariance) / len(mean) * np.eye(len(mean))
        covariance = (count * covariance + EVEN * even) / (count + EVEN)
        return Spread(tuple(codes), np.stack(means).astype(np.float32), covariance.astype(np.float32))
