"""Where the time of one question goes: `python -m benchmarks.stages --home HOME [--questions FILE] [--most N] [--json FILE]`.

Each question is asked in one process in three ways, in turns, so that what else the machine does falls on all of them: with the
passages read ahead, with each passage encoded when it is first read, and without the reader. Milliseconds by stage come from
the answer's own timings; beside them stands the processor time, which tells more on a machine that is not idle.
"""

import argparse
import json
import time
from pathlib import Path
from statistics import quantiles
from unittest.mock import patch

# Not numpy: loaded before `index`, as the order of imports would have it, it shares small products out among threads.
from index.snapshot import SnapshotShelf
from service.assistant import Assistant
from service.evaluation.questions import EvaluationQuestion, read_questions
from service.reader import LateInteractionReader

STARTER = Path(__file__).parents[1] / "corpus" / "questions.jsonl"
STAGES = ("question", "search", "read", "decide", "answer", "total", "processor")
PERCENTILES = (50, 95, 99)
AHEAD, COLD, WITHOUT = "as built", "encoded when read", "without the reader"

Taken = dict[str, list[float]]
"""Milliseconds of each question by stage; only the questions that came so far are in a stage's."""


def assistants(home: Path) -> dict[str, Assistant]:
    """Open the published snapshot once for each way, so that none remembers what another one was asked."""
    opened = {way: SnapshotShelf(home).open() for way in (AHEAD, COLD, WITHOUT)}
    ways = {way: Assistant(snapshot, reads=way != WITHOUT) for way, snapshot in opened.items()}
    for way, assistant in ways.items():
        if way == COLD:
            with patch("service.assistant.open_reader", lambda snapshot: LateInteractionReader(snapshot.encoder)):
                assistant.warm()
        else:
            assistant.warm()
    return ways


def measured(home: Path, questions: list[EvaluationQuestion]) -> dict[str, Taken]:
    """Ask every question in every way, each time another way first."""
    ways = assistants(home)
    taken: dict[str, Taken] = {way: {stage: [] for stage in STAGES} for way in ways}
    names = list(ways)
    for number, question in enumerate(questions):
        turn = number % len(names)
        for way in names[turn:] + names[:turn]:
            begun = time.process_time()
            answer = ways[way].ask(question.question, exchange=question.ask_exchange, history=question.history)
            timings = {**answer.timings, "processor": 1000 * (time.process_time() - begun)}
            for stage in timings.keys() & taken[way].keys():
                taken[way][stage].append(timings[stage])
    return taken


def percentiles(taken: Taken) -> dict[str, list[float]]:
    """Give the percentiles of each stage, in milliseconds."""
    found = {stage: quantiles(values, n=100, method="inclusive") for stage, values in taken.items() if len(values) > 1}
    return {stage: [round(cuts[at - 1], 2) for at in PERCENTILES] for stage, cuts in found.items()}


def table(ways: dict[str, dict[str, list[float]]]) -> str:
    """Give a Markdown table of p50 / p95 / p99 by stage, in milliseconds."""
    lines = ["| stage | " + " | ".join(ways) + " |", "|---" * (len(ways) + 1) + "|"]
    for stage in STAGES:
        cells = (
            " / ".join(f"{value:.1f}" for value in found[stage]) if stage in found else "" for found in ways.values()
        )
        lines.append(f"| {stage} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--home", type=Path, required=True, help="a home that was built with e5")
    parser.add_argument("--questions", type=Path, default=STARTER)
    parser.add_argument("--most", type=int, default=100_000, help="ask so many of the questions, spread evenly")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    questions = list(read_questions(given.questions))
    questions = questions[:: max(1, -(-len(questions) // given.most))]
    ways = {way: percentiles(taken) for way, taken in measured(given.home, questions).items()}
    print(f"{len(questions)} questions, p50 / p95 / p99 in milliseconds\n\n{table(ways)}")
    if given.json:
        given.json.write_text(json.dumps(ways, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
