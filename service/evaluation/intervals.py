"""A measured value with its 95 % interval.

Shares have Wilson's score interval (Wilson, 1927, doi:10.1080/01621459.1927.10502953). A mean of values in [0, 1]
is given the same interval where it is called a share: it varies no more than a share of that size.
Everything else has the percentile interval of 1,000 bootstrap resamples of the questions (Efron, 1979,
doi:10.1214/aos/1176344552) with a fixed seed: the same outcomes give the same interval. There is none for a single
question.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]

_Z = 1.959963984540054  # 97.5 % point of the normal distribution
_BLOCKS, _BLOCK = 10, 100  # 1,000 resamples, 100 at a time to keep the arrays small
_SEED = 20240229


@dataclass(frozen=True, slots=True)
class Measure:
    """A measured value; None where there is nothing to measure.

    :ivar n: What it is measured over: questions, or citations.
    :ivar low: Lower end of the 95 % interval, if there is one; ``high`` is the upper.
    """

    value: float | None
    n: int
    low: float | None = None
    high: float | None = None


def wilson(successes: float, n: int) -> tuple[float, float]:
    """Give the 95 % score interval of a share, n > 0.

    >>> [round(end, 3) for end in wilson(8, 10)]
    [0.49, 0.943]
    """
    p = successes / n
    centre = p + _Z**2 / (2 * n)
    margin = _Z * math.sqrt(p * (1 - p) / n + _Z**2 / (4 * n**2))
    scale = 1 + _Z**2 / n
    # The ends at 0 and 1 are exact; floating point misses them by 1e-17.
    low = 0.0 if successes <= 0 else (centre - margin) / scale
    high = 1.0 if successes >= n else (centre + margin) / scale
    return low, high


def share(successes: Iterable[bool]) -> Measure:
    """Measure a share."""
    return share_of_sums((int(success), 1) for success in successes)


def share_of_sums(pairs: Iterable[tuple[int, int]]) -> Measure:
    """Measure a share from pairs of how many and out of how many."""
    listed = list(pairs)
    successes, n = sum(pair[0] for pair in listed), sum(pair[1] for pair in listed)
    return Measure(successes / n, n, *wilson(successes, n)) if n else Measure(None, 0)


def mean_share(values: Sequence[float]) -> Measure:
    """Measure the mean of values in [0, 1] as a share."""
    n = len(values)
    return Measure(sum(values) / n, n, *wilson(sum(values), n)) if n else Measure(None, 0)


def mean(values: Floats) -> Floats:
    """Give the means over the last axis."""
    return np.asarray(values.mean(axis=-1))


def bootstrapped(values: Sequence[float], statistic: Callable[[Floats], Floats]) -> Measure:
    """Measure a statistic that takes (..., n) values to (...) numbers."""
    n = len(values)
    if not n:
        return Measure(None, 0)
    array = np.asarray(values, dtype=np.float64)
    random = np.random.default_rng(_SEED)
    resampled = [statistic(array[random.integers(n, size=(_BLOCK, n))]) for _ in range(_BLOCKS)] if n > 1 else []
    return Measure(float(statistic(array)), n, *_percentile_interval(resampled))


def bootstrapped_counts(counts: Counts, statistic: Callable[[Counts], Floats]) -> Measure:
    """Measure a statistic of how many questions of each class there are at each confidence.

    Resampling questions is drawing these counts from a multinomial distribution, which is much faster.

    :param counts: (confidences, classes).
    :param statistic: Takes (..., confidences, classes) counts to (...) numbers, NaN where it is not defined.
    """
    n = int(counts.sum())
    value = float(statistic(counts)) if n else math.nan
    if math.isnan(value):
        return Measure(None, n)
    random = np.random.default_rng(_SEED)
    flat = counts.ravel()
    draws = (random.multinomial(n, flat / n, size=_BLOCK) for _ in range(_BLOCKS)) if n > 1 else ()
    return Measure(value, n, *_percentile_interval([statistic(d.reshape(-1, *counts.shape)) for d in draws]))


def _percentile_interval(resampled: list[Floats]) -> tuple[float | None, float | None]:
    if not resampled:
        return None, None
    values = np.concatenate(resampled)
    low, high = np.nanquantile(values, [0.025, 0.975])
    return float(low), float(high)
