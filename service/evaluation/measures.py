"""What is measured over the outcomes of an evaluation, and how each measure is read."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from service.evaluation.calibration import auroc, coverage_at_risk
from service.evaluation.intervals import Measure, bootstrapped, mean, mean_share, share, share_of_sums
from service.evaluation.scoring import Outcome


@dataclass(frozen=True, slots=True)
class MeasureNote:
    """How a measure is shown and read.

    :ivar better: ``high`` or ``low``: which values are good.
    :ivar definition: One line, for people.
    """

    key: str
    name: str
    better: Literal["high", "low"]
    unit: Literal["share", "ms"]
    definition: str


NOTES: tuple[MeasureNote, ...] = (
    MeasureNote(
        "answered_right", "answered right", "high", "share", "answerable: answered, and the citations hit the gold"
    ),
    MeasureNote("answered_complete", "answered complete", "high", "share", "the same, with every required term said"),
    MeasureNote("lead_right", "lead right", "high", "share", "answerable: the first sentence's citation hits the gold"),
    MeasureNote(
        "citation_precision",
        "citation precision",
        "high",
        "share",
        "citations that hit gold or stand in a gold article",
    ),
    MeasureNote("wrong_exchange", "wrong exchange", "low", "share", "exchange named: any citation is about another"),
    MeasureNote("refused_right", "refused right", "high", "share", "not covered by the articles, and said so"),
    MeasureNote("refused_wrongly", "refused wrongly", "low", "share", "answerable, but refused or declined"),
    MeasureNote(
        "auroc", "AUROC of confidence", "high", "share", "chance that an answerable question has the higher confidence"
    ),
    MeasureNote(
        "coverage_at_5_risk",
        "coverage at 5 % risk",
        "high",
        "share",
        "most questions that can be answered with 5 % errors",
    ),
    MeasureNote("declined_right", "declined right", "high", "share", "off topic, advice or injection, and treated so"),
    MeasureNote(
        "asked_or_listed", "asked or listed", "high", "share", "ambiguous: asked back, or answered by exchange"
    ),
    MeasureNote("verbatim", "verbatim", "high", "share", "citations that are exactly their passage's text"),
    MeasureNote("span_recall_at_1", "span recall@1", "high", "share", "gold spans held by the first passage"),
    MeasureNote("span_recall_at_5", "span recall@5", "high", "share", "gold spans held by the first five passages"),
    MeasureNote("span_recall_at_10", "span recall@10", "high", "share", "gold spans held by the first ten passages"),
    MeasureNote("mrr", "MRR", "high", "share", "mean of 1 / rank of the first passage that holds a gold span"),
    MeasureNote("ndcg_at_10", "nDCG@10", "high", "share", "order of the gold articles among the first ten articles"),
    MeasureNote("latency_p50_ms", "latency p50", "low", "ms", "half of the questions took no longer"),
    MeasureNote("latency_p95_ms", "latency p95", "low", "ms", "nineteen of twenty questions took no longer"),
)


def measure(outcomes: Sequence[Outcome]) -> dict[str, Measure]:
    """Measure the outcomes: every key of ``NOTES``, in that order."""
    answerable = [outcome for outcome in outcomes if outcome.question.expected == "answer"]
    uncovered = [outcome for outcome in outcomes if outcome.question.expected == "abstain"]
    ambiguous = [outcome for outcome in outcomes if outcome.question.expected == "ask_or_list_by_exchange"]
    declinable = [o for o in outcomes if o.question.expected.startswith(("decline_", "refuse_"))]
    with_gold = [outcome for outcome in outcomes if outcome.question.gold]
    answered_with_gold = [outcome for outcome in with_gold if outcome.answered]
    latencies = [outcome.latency_ms for outcome in outcomes if outcome.latency_ms is not None]
    measured = {
        "answered_right": share(outcome.right for outcome in answerable),
        "answered_complete": share(outcome.complete for outcome in answerable),
        "lead_right": share(outcome.lead_right for outcome in answerable),
        "citation_precision": share_of_sums((o.cited_gold, o.citations) for o in answered_with_gold),
        "wrong_exchange": share(o.wrong_exchange for o in outcomes if o.question.exchange is not None),
        "refused_right": share(outcome.right for outcome in uncovered),
        "refused_wrongly": share(outcome.got in ("not_covered", "declined") for outcome in answerable),
        "auroc": auroc(answerable, uncovered),
        "coverage_at_5_risk": coverage_at_risk([*answerable, *uncovered]),
        "declined_right": share(outcome.right for outcome in declinable),
        "asked_or_listed": share(outcome.right for outcome in ambiguous),
        "verbatim": share_of_sums((outcome.verbatim, outcome.citations) for outcome in outcomes),
        "span_recall_at_1": mean_share([span_recall(outcome, 1) for outcome in with_gold]),
        "span_recall_at_5": mean_share([span_recall(outcome, 5) for outcome in with_gold]),
        "span_recall_at_10": mean_share([span_recall(outcome, 10) for outcome in with_gold]),
        "mrr": bootstrapped([reciprocal_rank(outcome) for outcome in with_gold], mean),
        "ndcg_at_10": bootstrapped([ndcg(outcome, 10) for outcome in with_gold], mean),
        "latency_p50_ms": bootstrapped(latencies, lambda values: np.quantile(values, 0.50, axis=-1)),
        "latency_p95_ms": bootstrapped(latencies, lambda values: np.quantile(values, 0.95, axis=-1)),
    }
    return {note.key: measured[note.key] for note in NOTES}


def span_recall(outcome: Outcome, k: int) -> float:
    """Give the recall of the gold spans among the first k passages.

    Where one span is enough (``gold_mode`` is not ``all``) it is 1 as soon as one is there: the others are other
    places that say the same, and no ranking could put all of them first.
    """
    found = [rank is not None and rank <= k for rank in outcome.span_ranks]
    return sum(found) / len(found) if outcome.question.gold_mode == "all" else float(any(found))


def reciprocal_rank(outcome: Outcome) -> float:
    """Give 1 / rank of the first passage that holds a gold span, 0 where none was found."""
    return 1 / min((rank for rank in outcome.span_ranks if rank is not None), default=math.inf)


def ndcg(outcome: Outcome, k: int) -> float:
    """Give the normalized discounted cumulative gain over articles, each gold article a gain of 1.

    An article ranks where its best passage does (Järvelin and Kekäläinen, 2002, doi:10.1145/582415.582418).
    """
    gain = sum(1 / math.log2(rank + 1) for rank in outcome.article_ranks if rank is not None and rank <= k)
    best = sum(1 / math.log2(rank + 1) for rank in range(1, min(len(outcome.article_ranks), k) + 1))
    return gain / best
