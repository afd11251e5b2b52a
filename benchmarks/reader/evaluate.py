"""How well a reader tells the answered questions from the others, and finds the answering passage and sentence."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from sklearn.metrics import roc_auc_score

from benchmarks.reader.data import Asked
from service.reader import Reading

Measures = dict[str, float]

COLUMNS = ("answered", "not", "auroc", "refused at .93 kept", "span@1", "span@5", "sentence@1")


def measure(asked: Sequence[Asked], readings: Sequence[Sequence[Reading]]) -> Measures:
    """Measure the readings of each question's own page.

    ``auroc`` and ``refused at .93 kept`` (the share of the unanswered questions refused where 93 % of the answered are
    kept) are of the page's best passage; ``span@k`` is the share of the answered questions with an answering passage
    among the page's best k, ``sentence@1`` with an answering sentence as the page's best.

    :param readings: For each question, those of its page's passages, in order.
    """
    best = np.array([max(reading.answers for reading in of_page) for of_page in readings])
    answered = np.array([bool(one.gold) for one in asked])
    found: Measures = {"answered": float(answered.sum()), "not": float((~answered).sum())}
    if 0 < answered.sum() < len(asked):
        found["auroc"] = float(roc_auc_score(answered, best))
        found["refused at .93 kept"] = float((best[~answered] < np.quantile(best[answered], 0.07)).mean())
    pairs = [(one, of_page) for one, of_page in zip(asked, readings, strict=True) if one.gold]
    for most in (1, 5):
        found[f"span@{most}"] = float(np.mean([_passage_rank(*pair) < most for pair in pairs]))
    found["sentence@1"] = float(np.mean([_best_sentence(of_page) in one.gold for one, of_page in pairs]))
    return found


def table(measured: Mapping[str, Mapping[str, Measures]]) -> str:
    """Lay out measures as a Markdown table, a row for each reader and kind of question."""
    rows = [["reader", "questions", *COLUMNS], ["---"] * (2 + len(COLUMNS))]
    for reader, by_kind in measured.items():
        for kind, found in by_kind.items():
            rows.append([reader, kind, *(_cell(column, found.get(column)) for column in COLUMNS)])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def by_kind(asked: Sequence[Asked]) -> dict[str, list[int]]:
    """Group the numbers of the questions by where they come from, those of help_questions by language too."""
    groups: dict[str, list[int]] = {}
    for number, one in enumerate(asked):
        groups.setdefault(one.source, []).append(number)
        if one.source == "help_questions":
            groups.setdefault("— English" if one.language == "en" else "— other languages", []).append(number)
    return groups


def _passage_rank(one: Asked, of_page: Sequence[Reading]) -> int:
    order = np.argsort([-reading.answers for reading in of_page], kind="stable").tolist()
    return int(min(order.index(number) for number in {number for number, _ in one.gold}))


def _best_sentence(of_page: Iterable[Reading]) -> tuple[int, int]:
    scored = (
        (score, (number, place))
        for number, reading in enumerate(of_page)
        for place, score in enumerate(reading.sentences)
    )
    return max(scored, key=lambda pair: pair[0])[1]


def _cell(column: str, value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.0f}" if column in {"answered", "not"} else f"{value:.3f}".removeprefix("0")
