"""What an answer's confidence is worth: does it tell what the corpus answers, and what can be answered safely."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from service.evaluation.intervals import Counts, Floats, Measure, bootstrapped_counts, share
from service.evaluation.scoring import Outcome

RISK = 0.05  # errors among answers that coverage_at_5_risk allows


def _counts(labelled: Sequence[tuple[float, int]], classes: int) -> Counts:
    """Count the questions of each class at each confidence, most confident first: (confidences, classes)."""
    rows = {value: row for row, value in enumerate(sorted({value for value, _ in labelled}, reverse=True))}
    counts = np.zeros((len(rows), classes), dtype=np.int64)
    for value, label in labelled:
        counts[rows[value], label] += 1
    return counts


def auroc(answerable: Sequence[Outcome], uncovered: Sequence[Outcome]) -> Measure:
    """Measure how well confidence tells answerable from uncovered questions; equal confidences count half."""
    labelled = [(o.confidence, 0) for o in uncovered] + [(o.confidence, 1) for o in answerable]
    return bootstrapped_counts(_counts(labelled, 2), _auroc_of_counts)


def _auroc_of_counts(counts: Counts) -> Floats:
    uncovered, answerable = counts[..., 0], counts[..., 1]
    less_confident = uncovered.sum(axis=-1, keepdims=True) - uncovered.cumsum(axis=-1)
    pairs = uncovered.sum(axis=-1) * answerable.sum(axis=-1)
    ordered = (answerable * (less_confident + uncovered / 2)).sum(axis=-1)
    return np.where(pairs > 0, ordered / np.maximum(pairs, 1), np.nan)


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """What answering only at this confidence or above would give.

    :ivar coverage: Answers among all questions, answerable or not.
    :ivar risk: Errors among the answers.
    """

    confidence: float
    coverage: float
    risk: float


def risk_coverage(outcomes: Sequence[Outcome]) -> list[CurvePoint]:
    """Give the curve of risk over coverage, from the most confident answer on.

    It is over the questions that expect an answer and those that expect none. A question that was not answered
    has no answer that a lower threshold could give, so it is covered at no threshold, and the curve ends at
    the share that was answered. An answer is an error if it is not ``right``, and always if none was expected.
    """
    counts = _risk_counts(outcomes)
    answers, errors = counts[:, 1:].sum(axis=1).cumsum(), counts[:, 2].cumsum()
    confidences = sorted({outcome.confidence for outcome in _both(outcomes)}, reverse=True)
    total = int(counts.sum())
    return [
        CurvePoint(confidence, int(answered) / total, int(wrong) / int(answered))
        for confidence, here, answered, wrong in zip(confidences, counts, answers, errors, strict=True)
        if here[1:].any()
    ]


def coverage_at_risk(outcomes: Sequence[Outcome]) -> Measure:
    """Measure the largest coverage at which the risk is at most ``RISK``; 0 where there is none."""
    return bootstrapped_counts(_risk_counts(outcomes), _coverage_of_counts)


def _both(outcomes: Sequence[Outcome]) -> list[Outcome]:
    return [outcome for outcome in outcomes if outcome.question.expected in ("answer", "abstain")]


def _risk_counts(outcomes: Sequence[Outcome]) -> Counts:
    """Count what was not answered, answered right and answered wrong at each confidence."""

    def label(outcome: Outcome) -> int:
        if not outcome.answered:
            return 0
        return 1 if outcome.question.expected == "answer" and outcome.right else 2

    return _counts([(outcome.confidence, label(outcome)) for outcome in _both(outcomes)], 3)


def _coverage_of_counts(counts: Counts) -> Floats:
    answers, errors = counts[..., 1:].sum(axis=-1).cumsum(axis=-1), counts[..., 2].cumsum(axis=-1)
    # A hair above the risk, so that 1 error in 20 answers is 5 %.
    allowed = errors <= RISK * answers + 1e-9
    return np.asarray(np.where(allowed, answers, 0).max(axis=-1) / counts.sum(axis=(-2, -1)))


@dataclass(frozen=True, slots=True)
class ConfidenceBin:
    """The questions whose confidence is in [low, high): how many, and how many of them are answerable.

    :ivar mean: Their mean confidence; None where there are none.
    """

    low: float
    high: float
    mean: float | None
    covered: Measure


def reliability(outcomes: Sequence[Outcome], bins: int = 10) -> list[ConfidenceBin]:
    """Compare confidence with how often the corpus does answer, in bins of equal width; 1 is in the last."""
    both = _both(outcomes)
    made: list[ConfidenceBin] = []
    for index in range(bins):
        inside = [o for o in both if min(int(o.confidence * bins), bins - 1) == index]
        mean = sum(outcome.confidence for outcome in inside) / len(inside) if inside else None
        covered = share(outcome.question.expected == "answer" for outcome in inside)
        made.append(ConfidenceBin(index / bins, (index + 1) / bins, mean, covered))
    return made


def expected_calibration_error(bins: Sequence[ConfidenceBin]) -> float | None:
    """Give the mean distance of confidence from the share answerable, each bin weighed by its questions."""
    n = sum(group.covered.n for group in bins)
    gaps = (
        group.covered.n * abs(group.mean - group.covered.value)
        for group in bins
        if group.mean is not None and group.covered.value is not None
    )
    return sum(gaps) / n if n else None
