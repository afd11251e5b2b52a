"""What a language model brings: `python -m benchmarks.llm --home HOME [--questions FILE] [--most N] [--json FILE]`.

The same questions without a model, with it as reader and with it as writer, side by side, with time and tokens. The model is the
one of CITEDESK_LLM_URL and CITEDESK_LLM_MODEL; CITEDESK_LLM_MODE does not matter here. Also told is how often it says that a
sentence answers, of questions that the corpus covers and of others: what CITEDESK_LLM_YES_WHEN_COVERED and
CITEDESK_LLM_YES_WHEN_NOT should be set to, so that its verdict weighs what it is worth.
"""

import argparse
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from index.snapshot import Snapshot, SnapshotShelf
from service.assistant import Assistant
from service.evaluation.questions import EvaluationQuestion, read_questions
from service.evaluation.run import evaluate
from service.llm.attached import Attached
from service.llm.client import Call
from service.llm.settings import Mode, ModelSettings, read_model_settings

STARTER = Path(__file__).parents[1] / "corpus" / "questions.jsonl"
# Added to both counts of a rate, so that one that was never seen is not taken for impossible.
SMOOTHED = 1.0


def measured(snapshot: Snapshot, questions: list[EvaluationQuestion], settings: ModelSettings | None) -> dict[str, Any]:
    """Ask all questions, and add up what came of it."""
    calls: list[Call] = []
    sentences: Counter[str] = Counter()
    attached = (
        Attached(settings, told=calls.append, counted=lambda outcome: sentences.update([outcome])) if settings else None
    )
    assistant = Assistant(snapshot, model=attached)
    assistant.warm()
    result = evaluate(assistant, questions)
    if attached:
        attached.close()
    return {
        "measures": {name: round(value.value, 4) for name, value in result.measures.items() if value.value is not None},
        "calls": dict(Counter(f"{call.purpose} {call.outcome}" for call in calls)),
        "prompt tokens a question": round(sum(call.prompt_tokens for call in calls) / len(questions), 1),
        "answer tokens a question": round(sum(call.answer_tokens for call in calls) / len(questions), 1),
        "seconds a call, median": round(float(np.median([call.seconds for call in calls])), 3) if calls else None,
        "cost": round(sum(call.cost for call in calls), 6),
        "phrased sentences": dict(sentences),
    }


def rates(snapshot: Snapshot, questions: list[EvaluationQuestion], settings: ModelSettings) -> dict[str, float]:
    """Measure how often the model says that a sentence answers."""
    attached = Attached(settings)
    assistant = Assistant(snapshot)
    said: dict[bool, list[bool]] = {True: [], False: []}
    for question in questions:
        asked, found, _ = assistant.consider(question.question, history=question.history)
        verdict = attached.verdict(asked, found, snapshot, attached.until())
        if asked.intent == "question" and verdict and verdict.says != "unclear":
            said[question.expected == "answer"].append(verdict.says == "answers")
    attached.close()
    told = {covered: (sum(yes) + SMOOTHED) / (len(yes) + 2 * SMOOTHED) for covered, yes in said.items()}
    return {"yes_when_covered": round(told[True], 3), "yes_when_not": round(told[False], 3), "n": len(said[True] + said[False])}  # fmt: skip


def main() -> None:
    """Print the measures of the three ways, as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--questions", type=Path, default=STARTER)
    parser.add_argument("--most", type=int, default=100_000, help="ask so many of the questions, spread evenly")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    snapshot = SnapshotShelf(given.home).open()
    questions = list(read_questions(given.questions))
    questions = questions[:: max(1, -(-len(questions) // given.most))]
    modes: tuple[Mode, ...] = ("select", "compose")
    told: dict[str, Any] = {"questions": len(questions), "without": measured(snapshot, questions, None)}
    for mode in modes:
        told[mode] = measured(snapshot, questions, read_model_settings(mode=mode))
    told["verdict"] = rates(snapshot, questions, read_model_settings())
    text = json.dumps(told, indent=1)
    print(text)
    if given.json:
        given.json.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
