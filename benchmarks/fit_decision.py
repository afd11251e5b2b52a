"""Fit the weights of service/decision.toml: `python -m benchmarks.fit_decision --home HOME QUESTIONS.jsonl`.

Logistic regression over `service.decide.Features`, on the questions that are expected to be
answered or refused; those about an exchange without any article are left out, since they need no weights. The AUROC and
the thresholds are cross-validated (ten folds, five times); the printed weights are fitted on all of them.
"""

import argparse
from dataclasses import asdict
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import RepeatedStratifiedKFold

from index.snapshot import SnapshotShelf
from service.assistant import Assistant
from service.decide import Features, features
from service.evaluation.run import read_questions

# The risks of a wrong refusal for which a threshold is printed.
RISKS = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5)


def main() -> None:
    """Fit and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("questions", type=Path)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--without-reader", action="store_true", help="fit the weights for encoders without a reader")
    arguments = parser.parse_args()
    assistant = Assistant(SnapshotShelf(arguments.home).open(), reads=not arguments.without_reader)
    rows, covered = [], []
    for question in read_questions(arguments.questions):
        if question.expected not in {"answer", "abstain"}:
            continue
        asked, found, lead = assistant.consider(question.question, history=question.history)
        if asked.uncovered or not found:
            continue
        values = asdict(features(found, bound=bool(asked.exchanges), ahead=lead))
        rows.append([value for value in values.values() if value is not None])
        covered.append(question.expected == "answer")
    measured, labels = np.array(rows), np.array(covered)
    held_out = np.zeros(len(labels))
    for train, test in RepeatedStratifiedKFold(n_splits=10, n_repeats=5, random_state=0).split(measured, labels):
        model = LogisticRegression().fit(measured[train], labels[train])
        held_out[test] += model.predict_proba(measured[test])[:, 1] / 5
    model = LogisticRegression().fit(measured, labels)
    print(
        f"# {len(labels)} questions, {labels.sum()} covered; AUROC {roc_auc_score(labels, held_out):.3f} cross-validated;"
    )
    table = "without_reader" if arguments.without_reader else "with_reader"
    print(f"[{table}.weights]\nbias = {model.intercept_[0]:.3f}")
    for name, weight in zip(Features.__slots__, model.coef_[0], strict=False):
        print(f"{name} = {weight:.3f}")
    print(f"\n[{table}.least_confidence]  # by the risk of a wrong refusal")
    for risk in RISKS:
        threshold = float(np.quantile(held_out[labels], risk))
        refused = (held_out[~labels] < threshold).mean()
        print(f'"{risk}" = {threshold:.3f}  # refuses {refused:.0%} of the questions that are not covered')


if __name__ == "__main__":
    main()
