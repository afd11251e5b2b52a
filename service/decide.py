"""Answer, ask back, or say that it is not covered."""

import math
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from service.answer import Status
from service.evidence import Evidence
from service.settings import DEFAULT_RISK

# An exchange that nobody named answers as well where its best evidence is at most so much behind the best of all, in the unit
# of the scores, or as good as GOOD by itself; then it is asked which exchange is meant. Of the 15 starter questions that
# several exchanges answer 13 are asked back so, of the 27 that one answers 4. Without a reader the scores lie closer.
CLOSE, CLOSE_UNREAD, GOOD = 2.0, 1.1, 6.0
# Of exchanges that the question names each is answered for, unless its best evidence is so far behind that it is none.
NAMED_CLOSE = 3.0
# A question of so few words that names no exchange ("fees?") is about all of them: it is asked back.
TERSE = 1
# The best passages, of which the one that the reader likes most speaks for all.
BEST = 5


@dataclass(frozen=True, slots=True)
class Features:
    """What the confidence is judged by, all but the last in standard deviations of the question's cosines with the corpus.

    Whether the question is bound to an exchange is none of them: on the starter questions it would tell much, since all that
    are not covered name one, and it would have citedesk answer whatever names none.

    :ivar nearness: By how much the nearest passage or sentence is nearer than one usually is that does not answer, see
        `index.calibration`: only so does it mean the same in a corpus of 40 articles and in one of 4,000.
    :ivar ahead: How much nearer the exchange asked about comes than the others do, see `service.evidence.ahead`.
    :ivar answers: The log-odds, as the reader sees it, that one of the best passages answers; None where nothing was read.
    """

    nearness: float
    ahead: float
    answers: float | None = None


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


def decide(
    found: Sequence[Evidence],
    *,
    bound: bool,
    ahead: float,
    usual: float,
    words: int,
    risk: float = DEFAULT_RISK,
    other: float = 0.0,
    asks_back: bool = False,
) -> Decision:
    """Decide on a status and choose the evidence that may be shown.

    :param bound: The question is bound to exchanges.
    :param usual: See `features`.
    :param words: How many words the question has.
    :param risk: See `least_confidence`.
    :param other: What another reader's verdict adds to the log-odds that the corpus answers; 0 where there is none.
    :param asks_back: Another reader cannot tell which exchange is meant: more of those that may be are named.
    """
    if not found:
        return Decision("not_covered", 0.0)
    sure = confidence(features(found, ahead=ahead, usual=usual), other)
    if sure < least_confidence(risk, read=found[0].answers is not None):
        return Decision("not_covered", sure)
    leaders = _leaders_of(found, bound=bound, words=words, asks_back=asks_back)
    named = tuple(evidence.article.exchange for evidence in leaders if evidence.article.exchange)
    if len(named) > 1 and not bound:
        return Decision("clarify", sure, exchanges=named)
    answering = {evidence.article.exchange for evidence in leaders}
    return Decision("answered", sure, tuple(e for e in found if e.article.exchange in answering))


def features(found: Sequence[Evidence], *, ahead: float, usual: float) -> Features:
    """Measure the evidence, best first, of one question.

    :param usual: The nearness of what is nearest to a question that is not answered, see `Calibration.usual`.
    """
    nearness = max(evidence.nearness for evidence in found) - usual
    answers = [evidence.answers for evidence in found[:BEST] if evidence.answers is not None]
    return Features(nearness, ahead, max(answers, default=None))


def least_confidence(risk: float, *, read: bool) -> float:
    """Give the confidence from which on a question is answered.

    :param risk: The risk of a wrong refusal that is accepted: the share of the answerable questions, in [0, 1], that may be
        refused so that more of the others are. Between the risks that decision.toml lists it is interpolated.
    :param read: The reader has read.
    """
    rows = sorted((float(name), value) for name, value in _parameters(read)["least_confidence"].items())
    return float(np.interp(risk, [row[0] for row in rows], [row[1] for row in rows]))


def confidence(measured: Features, other: float = 0.0) -> float:
    """Estimate how likely it is that the corpus answers the question, by logistic regression (decision.toml).

    :param other: Log-odds that another reader's verdict adds.
    """
    weights = _parameters(measured.answers is not None)["weights"]
    score = (
        other
        + weights["bias"]
        + sum(weight * getattr(measured, name) for name, weight in weights.items() if name != "bias")
    )
    return 1.0 / (1.0 + math.exp(-score))


@cache
def _parameters(read: bool) -> dict[str, dict[str, float]]:
    data = tomllib.loads(Path(__file__).with_name("decision.toml").read_text(encoding="utf-8"))
    chosen: dict[str, dict[str, float]] = data["with_reader" if read else "without_reader"]
    return chosen


def _leaders_of(found: Sequence[Evidence], *, bound: bool, words: int, asks_back: bool) -> list[Evidence]:
    """Give the best evidence of each exchange that is answered for, or that may be meant."""
    if words <= TERSE and not bound:
        return _one_of_each(found)
    return _named_leaders(found) if bound or asks_back else _leaders(found)


def _leaders(found: Sequence[Evidence]) -> list[Evidence]:
    """Give the best evidence of each exchange that is close behind the best of all."""
    close = CLOSE_UNREAD if found[0].answers is None else CLOSE
    return _one_of_each([e for e in found if e.score >= min(found[0].score - close, GOOD)])


def _named_leaders(found: Sequence[Evidence]) -> list[Evidence]:
    """Give the best evidence of each exchange that the question names and that has some to speak of."""
    return [e for e in _one_of_each(found) if e.score >= found[0].score - NAMED_CLOSE]


def _one_of_each(found: Sequence[Evidence]) -> list[Evidence]:
    best: dict[str | None, Evidence] = {}
    for evidence in found:
        best.setdefault(evidence.article.exchange, evidence)
    return list(best.values())
