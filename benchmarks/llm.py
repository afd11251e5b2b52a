"""What a language model brings: `python -m benchmarks.llm --home HOME --llm URL --llm-model NAME [--questions FILE] [--most N]`.

The same questions without a model, with it as reader and with it as writer, side by side, with time and tokens. Also told is how
often it says that a sentence answers, of questions that the corpus covers and of others: what CITEDESK_LLM_YES_WHEN_COVERED and
CITEDESK_LLM_YES_WHEN_NOT should be set to, so that its verdict weighs what it is worth. The other settings are those of the
environment (CITEDESK_LLM_SECONDS and so on).
"""

import argparse
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from index.snapshot import Snapshot, SnapshotShelf
from service.assistant import Assistant
from service.evaluation.questions import EvaluationQuestion, read_questions
from service.evaluation.run import evaluate
from service.evidence import Evidence
from service.llm.attached import Attached
from service.llm.client import Call
from service.llm.select import Verdict
from service.llm.settings import Mode, read_model_settings
from service.question import Question

STARTER = Path(__file__).parents[1] / "corpus" / "questions.jsonl"
# Added to both counts of a rate, so that one that was never seen is not taken for impossible.
SMOOTHED = 1.0
MODES: tuple[Mode, ...] = ("select", "compose")


class Listened(Attached):
    """A model whose verdicts are written down, by question."""

    said: ClassVar[dict[str, str]] = {}

    def verdict(
        self, question: Question, found: Sequence[Evidence], snapshot: Snapshot, until: float
    ) -> Verdict | None:
        """Ask it, and write down what it says."""
        verdict = super().verdict(question, found, snapshot, until)
        self.said[question.text] = verdict.says if verdict else "nothing"
        return verdict


def measured(
    snapshot: Snapshot, questions: list[EvaluationQuestion], attached: Attached | None, calls: list[Call]
) -> dict[str, Any]:
    """Ask all questions, and add up what came of it."""
    calls.clear()
    assistant = Assistant(snapshot, model=attached)
    assistant.warm()
    result = evaluate(assistant, questions)
    told = {name: round(value.value, 4) for name, value in result.measures.items() if value.value is not None}
    return {
        "measures": told,
        "calls": {purpose: _told(purpose, calls) for purpose in ("select", "compose", "translate")},
    }


def _told(purpose: str, calls: list[Call]) -> dict[str, Any] | None:
    made = [call for call in calls if call.purpose == purpose and call.outcome != "remembered"]
    if not made:
        return None
    seconds = [call.seconds for call in made]
    return {
        "outcomes": dict(Counter(call.outcome for call in made)),
        "seconds, median": round(float(np.median(seconds)), 2),
        "seconds, 95 of 100": round(float(np.quantile(seconds, 0.95)), 2),
        "prompt tokens, mean": round(float(np.mean([call.prompt_tokens for call in made])), 1),
        "answer tokens, mean": round(float(np.mean([call.answer_tokens for call in made])), 1),
        "cost": round(sum(call.cost for call in made), 6),
    }


def rates(questions: list[EvaluationQuestion], said: dict[str, str]) -> dict[str, Any]:
    """Tell how often the model said that a sentence answers, where one does and where none does.

    :param said: Its verdicts by question.
    """
    verdicts: dict[bool, list[str]] = {True: [], False: []}
    for question in questions:
        if question.question in said:
            verdicts[question.expected == "answer"].append(said[question.question])
    counted = {covered: [s for s in told if s in ("answers", "none")] for covered, told in verdicts.items()}
    share = {
        covered: (told.count("answers") + SMOOTHED) / (len(told) + 2 * SMOOTHED) for covered, told in counted.items()
    }
    return {
        "yes_when_covered": round(share[True], 3), "yes_when_not": round(share[False], 3),
        "said where one answers": dict(Counter(verdicts[True])), "where none does": dict(Counter(verdicts[False])),
    }  # fmt: skip


def main() -> None:
    """Print the measures of the three ways, as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--llm", metavar="URL", help="CITEDESK_LLM_URL where it is not given")
    parser.add_argument("--llm-model", metavar="NAME", help="CITEDESK_LLM_MODEL where it is not given")
    parser.add_argument("--questions", type=Path, default=STARTER)
    parser.add_argument("--most", type=int, default=100_000, help="ask so many of the questions, spread evenly")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    snapshot = SnapshotShelf(given.home).open()
    questions = list(read_questions(given.questions))
    questions = questions[:: max(1, -(-len(questions) // given.most))]
    calls: list[Call] = []
    sentences: Counter[str] = Counter()
    settings = read_model_settings(url=given.llm, model=given.llm_model, mode="select")
    model = Listened(settings, told=calls.append, counted=lambda outcome: sentences.update([outcome]))
    told: dict[str, Any] = {"questions": len(questions), "without": measured(snapshot, questions, None, calls)}
    for mode in MODES:
        told[mode] = measured(snapshot, questions, model.in_mode(mode), calls)
        print(json.dumps({mode: told[mode]}, indent=1), flush=True)
    told["phrased sentences"] = dict(sentences)
    told["verdict"] = rates(questions, model.said)
    model.close()
    text = json.dumps(told, indent=1)
    print(text)
    if given.json:
        given.json.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
