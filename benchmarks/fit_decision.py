"""Fit the weights of service/decision.toml: `python -m benchmarks.fit_decision --home HOME QUESTIONS.jsonl`.

Logistic regression over the four features of `service.decide.Features`, on the questions that are expected to be
answered or refused; those about an exchange without any article are left out, since they need no weights. The AUROC and
the share of refusals are cross-validated (ten folds, five times); the printed weights are fitted on all of them.
"""

import argparse
from dataclasses import astuple
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import RepeatedStratifiedKFold

from index.snapshot import SnapshotShelf
from service.assistant import Assistant
from service.decide import Features, features
from service.evaluation.run import read_questions

# The share of the covered questions that the threshold keeps.
KEPT = 0.95


def main() -> None:
    """Fit and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("questions", type=Path)
    parser.add_argument("--home", type=Path, required=True)
    arguments = parser.parse_args()
    assistant = Assistant(SnapshotShelf(arguments.home).open())
    rows, covered = [], []
    for question in read_questions(arguments.questions):
        if question.expected not in {"answer", "abstain"}:
            continue
        asked, found, lead = assistant.consider(question.question, history=question.history)
        if asked.uncovered or not found:
            continue
        rows.append(astuple(features(found, bound=bool(asked.exchanges), ahead=lead)))
        covered.append(question.expected == "answer")
    measured, labels = np.array(rows), np.array(covered)
    held_out = np.zeros(len(labels))
    for train, test in RepeatedStratifiedKFold(n_splits=10, n_repeats=5, random_state=0).split(measured, labels):
        model = LogisticRegression().fit(measured[train], labels[train])
        held_out[test] += model.predict_proba(measured[test])[:, 1] / 5
    threshold = float(np.quantile(held_out[labels], 1 - KEPT))
    model = LogisticRegression().fit(measured, labels)
    print(
        f"# {len(labels)} questions, {labels.sum()} covered; AUROC {roc_auc_score(labels, held_out):.3f} cross-validated;"
    )
    print(
        f"# at the threshold {KEPT:.0%} of the covered are kept and {(held_out[~labels] < threshold).mean():.0%} of the rest refused"
    )
    print(f"bias = {model.intercept_[0]:.3f}")
    for name, weight in zip(Features.__slots__, model.coef_[0], strict=True):
        print(f"{name} = {weight:.3f}")
    print(f"least_confidence = {threshold:.3f}")


if __name__ == "__main__":
    main()
