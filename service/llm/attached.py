"""The model as the assistant meets it: every failure of it is an answer without it."""

import logging
import math
import time
from collections.abc import Callable, Sequence
from copy import copy
from functools import lru_cache

from index.encoder import Encoder
from index.snapshot import Snapshot
from service.answer import Answer
from service.evidence import Evidence
from service.llm.check import Near
from service.llm.client import Call, Model, ModelError
from service.llm.facts import translated
from service.llm.near import MULTILINGUAL, nearness
from service.llm.rewrite import rewrite
from service.llm.select import Verdict, preferred, select
from service.llm.settings import Mode, ModelSettings
from service.llm.write import Grows, compose, is_foreign
from service.question import Question

_log = logging.getLogger(__name__)


class Attached:
    """A model, and what its word counts."""

    def __init__(
        self,
        settings: ModelSettings,
        *,
        told: Callable[[Call], None] | None = None,
        counted: Callable[[str], None] | None = None,
    ) -> None:
        """Prepare to ask it.

        :param told: Called after each time that it was asked.
        :param counted: Called for each sentence that it phrased, with ``shown`` or with what was wrong with it.
        """
        self._settings = settings
        self._model = Model(settings, told=told)
        self._counted = counted or (lambda _: None)

    def in_mode(self, mode: Mode) -> "Attached":
        """Give the same model, with what it remembers, in another mode."""
        other = copy(self)
        other._settings = self._settings.model_copy(update={"mode": mode})
        return other

    def until(self) -> float:
        """Give the time until which a question that begins now may wait for it, on the monotonic clock."""
        return time.monotonic() + self._settings.seconds

    def verdict(
        self, question: Question, found: Sequence[Evidence], snapshot: Snapshot, until: float
    ) -> Verdict | None:
        """Say which sentences it chose; None where it gave nothing that can be used."""
        if not found:
            return None
        try:
            return select(self._model, question, found, snapshot.id, until)
        except ModelError as error:
            _log.warning("answered without the model's choice: %s (%s)", error.outcome, error)
            return None

    def odds(self, verdict: Verdict | None) -> float:
        """Say what its verdict adds to the log-odds that the corpus answers: what it was measured to be worth."""
        covered, other = self._settings.yes_when_covered, self._settings.yes_when_not
        match verdict:
            case Verdict("answers"):
                return math.log(covered / other)
            case Verdict("none"):
                return math.log((1 - covered) / (1 - other))
            case _:
                return 0.0

    def preferred(self, found: Sequence[Evidence], verdict: Verdict | None) -> Sequence[Evidence]:
        """Raise the sentences that it chose."""
        return preferred(found, verdict, self._settings.bonus) if verdict and verdict.chosen else found

    def rewritten(self, question: Question, snapshot: Snapshot, until: float) -> str | None:
        """Give a follow-up as a question that stands alone; None where it is none, or the model gave none that can be used."""
        if not self._settings.follow_ups or not question.thread:
            return None
        try:
            return rewrite(self._model, question, snapshot.directory, until)
        except ModelError as error:
            _log.warning("searched without the model's wording: %s (%s)", error.outcome, error)
            return None

    def phrased(
        self, question: Question, answer: Answer, snapshot: Snapshot, until: float, grows: Grows = lambda _: None
    ) -> Answer:
        """Phrase an answer, where the model is there for that; the same answer where it cannot be.

        :param grows: Called with the answer as far as it is phrased and checked, each time that a sentence is added.
        """
        if self._settings.mode != "compose" or answer.status != "answered":
            return answer
        if is_foreign(answer) and not _can_be_compared(question.language, snapshot.encoder.card.name):
            return answer
        try:
            return compose(
                self._model, question, answer, snapshot.directory, _near(snapshot.encoder), until,
                counted=self._counted, grows=grows,
            )  # fmt: skip
        except ModelError as error:
            _log.warning("answered without the model's phrasing: %s (%s)", error.outcome, error)
            return answer

    def close(self) -> None:
        """End its connections."""
        self._model.close()


def _can_be_compared(language: str, encoder: str) -> bool:
    """Tell whether a translation into a language can be checked, with this encoder."""
    return language in translated() and encoder == MULTILINGUAL


@lru_cache(maxsize=2)
def _near(encoder: Encoder) -> Near:
    """Keep the measure of an encoder; while one snapshot takes another's place there are two."""
    return nearness(encoder)
