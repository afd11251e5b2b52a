"""Fit service/decision.toml: `python -m benchmarks.fit_decision --home HOME --data DIR`, and again `--without-reader`.

Logistic regression over `service.decide.Features`, on the starter questions and on the halves ``fit`` of two other data
sets, each set of the same weight. Every covered question is asked a second time without the article that answers it: as one
that is not covered, and worded no otherwise than a covered one. Questions about an exchange without any article are left
out, since they need no weights. Then the score is brought onto the starter questions as they are (their second time left
out), so that it is a probability there. What is told of the starter questions is cross-validated: ten folds, five times, a
question always in one fold with itself.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from benchmarks.quality.datasets import DataSet, load
from benchmarks.quality.homes import assistant_for
from service.assistant import Assistant
from service.decide import Features, features
from service.evaluation.questions import EvaluationQuestion
from service.settings import read_settings

# The sets of which a half may be fitted on and that have questions which are not covered.
OTHERS = ("clapnq", "help_questions_page")
# Questions of each of these sets.
MOST = 250
# What a question that is asked again without its article counts beside one that is asked once. With 1 the starter questions'
# own AUROC is .858, and .871 with their articles against without them; with 0.3 .866 and .840, with 0 .866 and .800.
AGAIN = 0.3
# The features that have a weight, with the reader and without it.
READ, UNREAD = ("nearness", "ahead", "answers"), ("nearness", "ahead")
# The risks of a wrong refusal for which a threshold is printed.
RISKS = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5)
FOLDS, REPEATS = 10, 5

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Row:
    """What was measured of a question.

    :ivar without: It was asked without the articles that answer it.
    """

    question: str
    values: Features
    covered: bool
    without: bool


@dataclass(frozen=True, slots=True)
class Table:
    """The rows of one data set as arrays."""

    questions: npt.NDArray[np.str_]
    values: Numbers
    covered: npt.NDArray[np.bool_]
    without: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, rows: Sequence[Row], names: Sequence[str]) -> "Table":
        """Put the named features side by side."""
        return cls(
            np.array([row.question for row in rows]),
            np.array([[getattr(row.values, name) for name in names] for row in rows], dtype=np.float64),
            np.array([row.covered for row in rows]),
            np.array([row.without for row in rows]),
        )

    def part(self, among: npt.NDArray[np.bool_]) -> "Table":
        """Give the rows of a mask."""
        return Table(self.questions[among], self.values[among], self.covered[among], self.without[among])


def main() -> None:
    """Fit and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--home", type=Path, required=True, help="the home of the starter corpus, as `make ask` builds it"
    )
    parser.add_argument("--data", type=Path, required=True, help="the folder of the other data sets")
    parser.add_argument("--work", type=Path, default=Path("var/quality"), help="where their homes are kept")
    parser.add_argument("--without-reader", action="store_true", help="fit the weights for encoders without a reader")
    arguments = parser.parse_args()
    names = UNREAD if arguments.without_reader else READ
    tables = []
    for name in ("starter", *OTHERS):
        data_set = load(name, arguments.data)
        assistant = assistant_for(data_set, arguments.work, read_settings().cache, arguments.home)
        assistant = Assistant(assistant.snapshot, reads=not arguments.without_reader)
        tables.append(Table.of(list(_rows(assistant, _questions(data_set))), names))
    print(
        "\n".join(fitted(tables[0], tables[1:], names, "without_reader" if arguments.without_reader else "with_reader"))
    )


def fitted(starter: Table, others: Sequence[Table], names: Sequence[str], title: str) -> Iterator[str]:
    """Fit, and give the lines of a table of decision.toml."""
    held_out = _held_out(starter, others)
    own = ~starter.without
    placed = LogisticRegression(C=100).fit(held_out[own][:, None], starter.covered[own])
    slope, bias = placed.coef_[0][0], placed.intercept_[0]
    sure = 1 / (1 + np.exp(-slope * held_out - bias))
    areas = [roc_auc_score(starter.covered[among], sure[among]) for among in (own, starter.covered | starter.without)]
    yield (
        f"# {own.sum()} questions, {(own & starter.covered).sum()} covered; AUROC {areas[0]:.3f} cross-validated; covered "
        f"against the same without their article {areas[1]:.3f}"
    )
    yield f"[{title}.weights]\nbias = {bias:.3f}"
    for name, weight in zip(names, _weights([starter, *others]), strict=True):
        yield f"{name} = {slope * weight:.3f}"
    yield f"\n[{title}.least_confidence]"
    for risk in RISKS:
        threshold = float(np.quantile(sure[starter.covered], risk))
        shares = [(sure[among & ~starter.covered] < threshold).mean() for among in (own, starter.without)]
        yield f'"{risk}" = {threshold:.3f}  # {shares[0]:.0%}, {shares[1]:.0%}'
    yield '"1.0" = 1.0'


def _questions(data_set: DataSet) -> Sequence[EvaluationQuestion]:
    """Give the questions to fit on: all of the starter set, some of the half ``fit`` of another."""
    whole = [question for half in data_set.questions.values() for question in half]
    return data_set.sample("fit", MOST) if data_set.articles else whole


def _rows(assistant: Assistant, questions: Sequence[EvaluationQuestion]) -> Iterator[Row]:
    for question in questions:
        if question.expected not in {"answer", "abstain"}:
            continue
        covered = question.expected == "answer"
        measured = _measured(assistant, question)
        if measured:
            yield Row(question.id, measured, covered, without=False)
        if measured and covered and (without := _measured(assistant, question, measured)):
            yield Row(question.id, without, covered=False, without=True)


def _measured(assistant: Assistant, question: EvaluationQuestion, before: Features | None = None) -> Features | None:
    """Measure a question, or measure it again without the articles that answer it.

    :param before: What was measured with them. They are still counted in how far the exchange asked about is ahead; by as
        much as its nearest passage is now less near, it is less ahead.
    """
    # Where no exchange is named, what another one's article says of the same thing is an answer too.
    twins = () if question.exchange else question.distractors
    asked, found, lead = assistant.consider(
        question.question, exchange=question.ask_exchange, page_url=question.page_url, history=question.history,
        without={*twins, *(span.article_id for span in question.gold)} if before else (),
    )  # fmt: skip
    if asked.uncovered or not found:
        return None
    usual = assistant.snapshot.calibration.usual(bound=bool(asked.exchanges))
    nearness = features(found, ahead=lead, usual=usual).nearness
    behind = before.nearness - nearness if before and lead else 0.0
    return features(found, ahead=lead - behind, usual=usual)


def _held_out(starter: Table, others: Sequence[Table]) -> Numbers:
    """Give each starter question the mean score that models had for it which were fitted without it."""
    scores = np.zeros(len(starter.covered))
    draw = np.random.default_rng(0)
    for _ in range(REPEATS):
        shuffled = draw.permutation(np.unique(starter.questions))
        for fold in range(FOLDS):
            tested = np.isin(starter.questions, shuffled[fold::FOLDS])
            scores[tested] += starter.values[tested] @ _weights([starter.part(~tested), *others]) / REPEATS
    return scores


def _weights(tables: Sequence[Table]) -> Numbers:
    """Fit the weights, one a feature, every table counting the same."""
    shares = [np.where(table.without, AGAIN, 1.0) for table in tables]
    counts = np.concatenate([share / share.sum() for share in shares])
    values = np.concatenate([table.values for table in tables])
    model = LogisticRegression(C=10)
    model.fit(values, np.concatenate([table.covered for table in tables]), sample_weight=counts / counts.mean())
    weights: Numbers = model.coef_[0]
    return weights


if __name__ == "__main__":
    main()
