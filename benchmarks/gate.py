"""The quality gate: `python -m benchmarks.gate --home HOME`. Exits with 1 where a measure is below its floor.

A floor stands a little under what was measured in November 2026 (README), because rounding in int8 arithmetic differs
between processors and moves a question or two. A floor is lowered only by saying so here.
"""

import argparse
import sys
from pathlib import Path

from index.snapshot import SnapshotShelf
from service.assistant import Assistant
from service.evaluation.run import evaluate, read_questions

QUESTIONS = Path(__file__).parents[1] / "corpus" / "questions.jsonl"
# Measured on corpus/questions.jsonl with the starter corpus and the e5 encoder.
AT_LEAST = {
    "verbatim": 1.0,
    "answered_right": 0.79,
    "lead_right": 0.65,
    "citation_precision": 0.79,
    "refused_right": 0.44,
    "auroc": 0.80,
    "declined_right": 0.90,
    "span_recall_at_10": 0.89,
}
AT_MOST = {"wrong_exchange": 0.0, "refused_wrongly": 0.07}


def main() -> int:
    """Measure, print each measure beside its floor, and say whether all hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, required=True)
    assistant = Assistant(SnapshotShelf(parser.parse_args().home).open())
    measures = evaluate(assistant, read_questions(QUESTIONS)).measures
    missed = 0
    for sign, limits in ((">=", AT_LEAST), ("<=", AT_MOST)):
        for key, limit in limits.items():
            value = measures[key].value
            holds = value is not None and (value >= limit if sign == ">=" else value <= limit)
            missed += not holds
            print(f"{'ok  ' if holds else 'MISS'} {key:<20} {value:.3f} {sign} {limit:.3f}  (n = {measures[key].n})")
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
