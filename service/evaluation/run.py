"""Ask every question of an evaluation file, score the answers, and keep the results.

    questions = read_questions(path)
    result = evaluate(assistant, questions)
    append_result(result, home / "evaluations.jsonl")

One question on its way: ``evaluate`` asks it, ``scoring.judge`` tells how it went, ``measures.measure`` adds up.
Where EVAL.md leaves room, the definition stands at the function that makes the measure.
"""

import json
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from service.evaluation.folding import citation_hits
from service.evaluation.intervals import Measure
from service.evaluation.measures import measure
from service.evaluation.questions import EvaluationError, EvaluationQuestion, GoldSpan, read_questions
from service.evaluation.scoring import Evaluated, Outcome, judge, judge_refusal
from service.question import QuestionError

__all__ = [
    "EvaluationError",
    "EvaluationQuestion",
    "GoldSpan",
    "Measure",
    "Outcome",
    "Result",
    "append_result",
    "citation_hits",
    "evaluate",
    "read_questions",
]

Measures = dict[str, Measure]


@dataclass(frozen=True, slots=True)
class Result:
    """The result of one evaluation.

    :ivar date: When it was begun, ISO 8601 in UTC.
    :ivar counts: Questions, by what was expected and what was got; citations; gold spans, and how many of them
        the snapshot lacks.
    """

    snapshot_id: str
    date: str
    counts: dict[str, int]
    measures: Measures
    by_kind: dict[str, Measures]
    by_language: dict[str, Measures]
    outcomes: tuple[Outcome, ...]

    @property
    def misses(self) -> tuple[Outcome, ...]:
        """Whatever is not wholly right, in the order of the questions."""
        return tuple(outcome for outcome in self.outcomes if outcome.where)

    @property
    def exit_code(self) -> int:
        """1 if ``ask`` refused a question or a citation is not verbatim, else 0."""
        return int(any(outcome.refused or outcome.verbatim < outcome.citations for outcome in self.outcomes))

    def as_json(self) -> dict[str, Any]:
        """Give what ``--json`` prints: EVAL.md's keys, then ``date`` and ``questions``, which a comparison needs."""
        return {
            "snapshot_id": self.snapshot_id,
            "counts": self.counts,
            "measures": _measures_as_json(self.measures),
            "by_kind": {kind: _measures_as_json(measures) for kind, measures in self.by_kind.items()},
            "by_language": {language: _measures_as_json(measures) for language, measures in self.by_language.items()},
            "misses": [_miss_as_json(outcome) for outcome in self.misses],
            "date": self.date,
            "questions": [_question_as_json(outcome) for outcome in self.outcomes],
        }


def evaluate(
    assistant: Evaluated,
    questions: Sequence[EvaluationQuestion],
    *,
    on_outcome: Callable[[Outcome], None] | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> Result:
    """Ask every question, one after the other, and measure.

    The assistant is told the question, its history, and where the asker stands, and nothing else of what the file says.

    :param on_outcome: Called after each question, for a progress bar.
    :param clock: Gives seconds; latency is the wall-clock time of the call, the first one's loading included.
    :raises EvaluationError: There is no question, or an answer's confidence is not in [0, 1].
    """
    if not questions:
        raise EvaluationError(["expected at least one question"])
    date = datetime.now(UTC).isoformat(timespec="seconds")
    outcomes: list[Outcome] = []
    for question in questions:
        outcome = _ask(assistant, question, clock)
        outcomes.append(outcome)
        if on_outcome is not None:
            on_outcome(outcome)
    return Result(
        snapshot_id=assistant.snapshot_id,
        date=date,
        counts=_count(outcomes),
        measures=measure(outcomes),
        by_kind=_measured_by(outcomes, lambda question: question.kind),
        by_language=_measured_by(outcomes, lambda question: question.language),
        outcomes=tuple(outcomes),
    )


def append_result(result: Result, path: Path) -> None:
    """Append the result to a file of results, one JSON object a line."""
    line = json.dumps(result.as_json(), ensure_ascii=False, allow_nan=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab+") as file:
        if file.tell():
            file.seek(-1, 2)
            # A line that a crash cut short must not swallow this one.
            line = line if file.read(1) == b"\n" else f"\n{line}"
        file.write(f"{line}\n".encode())


def _ask(assistant: Evaluated, question: EvaluationQuestion, clock: Callable[[], float]) -> Outcome:
    begun = clock()
    try:
        trace = assistant.trace(
            question.question,
            exchange=question.ask_exchange,
            page_url=question.page_url,
            history=question.history,
        )
    except QuestionError as error:
        return judge_refusal(question, error, assistant)
    return judge(question, trace, assistant, latency_ms=(clock() - begun) * 1000)


def _measured_by(outcomes: Sequence[Outcome], key: Callable[[EvaluationQuestion], str]) -> dict[str, Measures]:
    groups: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        groups.setdefault(key(outcome.question), []).append(outcome)
    return {name: measure(groups[name]) for name in sorted(groups)}


def _count(outcomes: Sequence[Outcome]) -> dict[str, int]:
    expected = Counter(outcome.question.expected for outcome in outcomes)
    got = Counter("error" if outcome.refused else outcome.got for outcome in outcomes)
    return {
        "questions": len(outcomes),
        "misses": sum(bool(outcome.where) for outcome in outcomes),
        "citations": sum(outcome.citations for outcome in outcomes),
        "gold_spans": sum(len(outcome.question.gold) for outcome in outcomes),
        "gold_spans_not_in_snapshot": sum(outcome.gold_missing for outcome in outcomes),
        **{f"expected_{name}": expected[name] for name in sorted(expected)},
        **{f"got_{name}": got[name] for name in sorted(got)},
    }


def _measures_as_json(measures: Measures) -> dict[str, dict[str, float | int | None]]:
    return {
        key: {"value": measure.value, "n": measure.n, "low": measure.low, "high": measure.high}
        for key, measure in measures.items()
    }


def _miss_as_json(outcome: Outcome) -> dict[str, Any]:
    question = outcome.question
    return {
        "id": question.id,
        "question": question.question,
        "history": list(question.history),
        "kind": question.kind,
        "language": question.language,
        "expected": question.expected,
        "got": outcome.got,
        "first_sentence": outcome.first_sentence,
        "gold_short": question.gold_short,
        "where": outcome.where,
    }


def _question_as_json(outcome: Outcome) -> dict[str, Any]:
    return {
        "id": outcome.question.id,
        "right": outcome.right,
        "got": outcome.got,
        "confidence": outcome.confidence,
        "latency_ms": outcome.latency_ms,
    }
