"""Answer, ask back, or say that it is not covered."""

import math
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from index.search import Hit
from service.answer import Status
from service.evidence import Evidence

# Another exchange answers "as well" where its best evidence is at most this much behind, in the unit of the scores.
CLOSE = 1.2
# With more exchanges than this answering alike, a list is no answer: it is asked back.
MOST_EXCHANGES = 3
# A question of so few words that names no exchange ("fees?") is about all of them: it is asked back.
TERSE = 1
# The next best passages that the best is compared with.
RIVALS = 5


@dataclass(frozen=True, slots=True)
class Features:
    """What the confidence is judged by, all in standard deviations of the question's cosines with the corpus.

    :ivar nearness: The highest of any of the best passages or their sentences.
    :ivar gap: How far the best passage is before the next ones.
    :ivar ahead: How much nearer the exchange asked about comes than the others do, see `service.evidence.ahead`.
    :ivar bound: 1 where the answer is bound to an exchange, else 0.
    """

    nearness: float
    gap: float
    ahead: float
    bound: float


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do with the evidence.

    :ivar confidence: In [0, 1]: how sure it is that the corpus answers the question.
    :ivar evidence: What the answer is made of, best first; empty unless ``answered``.
    :ivar exchanges: For ``clarify``: between which exchanges the asker has to choose.
    """

    status: Status
    confidence: float
    evidence: tuple[Evidence, ...] = ()
    exchanges: tuple[str, ...] = ()


def decide(found: Sequence[Evidence], *, bound: bool, ahead: float, words: int) -> Decision:
    """Decide on a status and choose the evidence that may be shown.

    :param words: How many words the question has.
    """
    if not found:
        return Decision("not_covered", 0.0)
    sure = confidence(features(found, bound=bound, ahead=ahead))
    if sure < _parameters()["weights"]["least_confidence"]:
        return Decision("not_covered", sure)
    leaders = _leaders(found) if bound or words > TERSE else _one_of_each(found)
    if len(leaders) > (MOST_EXCHANGES if words > TERSE else 1):
        return Decision("clarify", sure, exchanges=tuple(e.article.exchange or "" for e in leaders))
    answering = {evidence.article.exchange for evidence in leaders}
    return Decision("answered", sure, tuple(e for e in found if e.article.exchange in answering))


def features(found: Sequence[Evidence], *, bound: bool, ahead: float) -> Features:
    """Measure the evidence, best first, of one question."""
    rivals = [evidence.score for evidence in found[1 : 1 + RIVALS]] or [found[0].score]
    nearness = max(evidence.nearness for evidence in found[:RIVALS])
    return Features(nearness, found[0].score - sum(rivals) / len(rivals), ahead, float(bound))


def confidence(measured: Features) -> float:
    """Estimate how likely it is that the corpus answers the question, by logistic regression (decision.toml)."""
    weights = _parameters()["weights"]
    score = weights["bias"] + sum(weights[name] * getattr(measured, name) for name in Features.__slots__)
    return 1.0 / (1.0 + math.exp(-score))


def is_far(hits: Sequence[Hit], encoder: str) -> bool:
    """Tell whether even the nearest passage is too far for the question to be about what the articles are about."""
    floor = _parameters()["far"].get(encoder)
    return floor is not None and bool(hits) and max(hit.dense_score for hit in hits) < floor


@cache
def _parameters() -> dict[str, dict[str, float]]:
    return tomllib.loads(Path(__file__).with_name("decision.toml").read_text(encoding="utf-8"))


def _leaders(found: Sequence[Evidence]) -> list[Evidence]:
    """Give the best evidence of each exchange that is close behind the best of all."""
    return _one_of_each([evidence for evidence in found if evidence.score >= found[0].score - CLOSE])


def _one_of_each(found: Sequence[Evidence]) -> list[Evidence]:
    best: dict[str | None, Evidence] = {}
    for evidence in found:
        best.setdefault(evidence.article.exchange, evidence)
    return list(best.values())
