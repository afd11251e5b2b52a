"""Answer, ask back, or say that it is not covered."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from service.answer import Status
from service.evidence import Evidence
from service.question import Question

# The weights of the confidence: placeholders until fitted.
BIAS, SCORE, WORDS = -60.0, 60.0, 1.5
# Below this confidence the answer is "not covered".
LEAST_CONFIDENCE = 0.5
# Another exchange answers "as well" where its best evidence is at most this much behind.
CLOSE = 0.02
# With more exchanges than this answering alike, listing them is no answer: it is asked back.
MOST_EXCHANGES = 4


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do with the evidence.

    :ivar confidence: In [0, 1].
    :ivar evidence: What the answer is made of, in order; empty unless ``answered``.
    :ivar exchanges: For ``clarify``: between which exchanges the asker has to choose.
    """

    status: Status
    confidence: float
    evidence: tuple[Evidence, ...] = ()
    exchanges: tuple[str, ...] = ()


def decide(question: Question, found: Sequence[Evidence]) -> Decision:
    """Decide on a status and choose the evidence that is shown."""
    if not found:
        return Decision("not_covered", 0.0)
    sure = confidence(found[0])
    if sure < LEAST_CONFIDENCE:
        return Decision("not_covered", sure)
    leaders = _leaders(found)
    if len(leaders) > MOST_EXCHANGES:
        return Decision("clarify", sure, exchanges=tuple(e.article.exchange or "" for e in leaders))
    answering = {evidence.article.exchange for evidence in leaders}
    return Decision("answered", sure, tuple(e for e in found if e.article.exchange in answering))


def confidence(best: Evidence) -> float:
    """Estimate how likely it is that the best evidence answers the question."""
    return 1.0 / (1.0 + math.exp(-(BIAS + SCORE * best.score + WORDS * best.words)))


def _leaders(found: Sequence[Evidence]) -> list[Evidence]:
    """Give the best evidence of each exchange that is close behind the best of all."""
    leaders: dict[str | None, Evidence] = {}
    for evidence in found:
        if evidence.score >= found[0].score - CLOSE:
            leaders.setdefault(evidence.article.exchange, evidence)
    return list(leaders.values())
