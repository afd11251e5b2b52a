"""The tables of docs/quality.md, as Markdown, and how they are put in their places."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from service.evaluation.calibration import expected_calibration_error, reliability
from service.evaluation.intervals import Measure
from service.evaluation.measures import NOTES, MeasureNote
from service.evaluation.run import Measures, Result
from service.evaluation.tables import GROUP_KEYS

# A result by system: citedesk first, then the baselines.
Systems = Mapping[str, Result]
NAMES = {"citedesk": "citedesk", "chunks": "chunks, MiniLM", "bm25": "chunks, BM25"}
# The measures of the table that has all data sets in it, and of the line that compares kinds of data.
SUMMARY_KEYS = ("answered_right", "lead_right", "refused_right", "refused_wrongly", "auroc", "span_recall_at_5")
_BY_KEY = {note.key: note for note in NOTES}


@dataclass(frozen=True, slots=True)
class Change:
    """What became of the measures when a part was taken out.

    :ivar part: Its name.
    :ivar differences: Measured without it less measured with it, by key; None where it is not measured.
    :ivar better: Questions that only went right without it; ``worse`` those that only went right with it.
    :ivar p_value: Of the sign test of the two; None where both are 0.
    """

    part: str
    differences: dict[str, float | None]
    better: int
    worse: int
    p_value: float | None


def measures_table(systems: Systems) -> str:
    """Write every measure of one data set, the systems beside each other, with intervals."""
    names = [NAMES[system] for system in systems]
    rows = []
    for note in NOTES:
        measures = [result.measures[note.key] for result in systems.values()]
        if any(measure.value is not None for measure in measures):
            counts = dict.fromkeys(f"{measure.n:,}" for measure in measures)
            rows.append([note.name, *(_with_interval(measure, note) for measure in measures), ", ".join(counts)])
    rows.append(["expected calibration error", *(_ece(result) for result in systems.values()), ""])
    rows.append(["words of an answer, median", *(_words(result) for result in systems.values()), ""])
    return table(["measure", *names, "n"], rows)


def groups_table(groups: Mapping[str, Measures], heading: str) -> str:
    """Write the main measures by kind of question or by language, each with its count."""
    notes = [_BY_KEY[key] for key in GROUP_KEYS if any(group[key].n for group in groups.values())]
    rows = [[name, *(_with_count(measures[note.key], note) for note in notes)] for name, measures in groups.items()]
    return table([heading, *(note.name for note in notes)], rows)


def summary_table(measured: Mapping[str, Systems]) -> str:
    """Write the main measures of every data set and system."""
    notes = [_BY_KEY[key] for key in SUMMARY_KEYS]
    rows = [
        [name, NAMES[system], *(shown(result.measures[note.key].value, note) for note in notes)]
        for name, systems in measured.items()
        for system, result in systems.items()
    ]
    return table(["questions", "system", *(note.name for note in notes)], rows)


def drop(measured: Mapping[str, Systems], fitted: Sequence[str]) -> str:
    """Say in one line what the measures of citedesk are on the data sets that it was fitted on, and on the others.

    :param fitted: Names of data sets whose half ``fit`` was used to fit anything.
    """
    on = [systems["citedesk"].measures for name, systems in measured.items() if name in fitted]
    off = [systems["citedesk"].measures for name, systems in measured.items() if name not in fitted]
    told = []
    for key in SUMMARY_KEYS:
        here, there = _mean_of(on, key), _mean_of(off, key)
        if here is not None and there is not None:
            note = _BY_KEY[key]
            told.append(f"{note.name} {shown(here, note)} → {shown(there, note)} ({signed(there - here)})")
    if not told:
        return "Every data set that was measured was fitted on, or none was: no drop can be told."
    return f"Data fitted on → data not fitted on, means over the data sets: {', '.join(told)}."


def ablation_table(changes: Sequence[Change]) -> str:
    """Write what the measures lose without each part."""
    keys = list(changes[0].differences) if changes else []
    rows = [
        [
            change.part,
            *(signed(change.differences[key]) for key in keys),
            f"{change.worse} / {change.better}{_chance(change.p_value)}",
        ]
        for change in changes
    ]
    return table(["without", *(_BY_KEY[key].name for key in keys), "questions lost / won"], rows)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Write a Markdown table; all columns but the first stand to the right."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def refresh(path: Path, tables: Mapping[str, str]) -> list[str]:
    """Put tables in their places: between ``<!-- table: NAME -->`` and ``<!-- end -->``. Nothing else is changed.

    :return: The names of tables that have no place in the file.
    """
    text = path.read_text(encoding="utf-8")
    homeless = []
    for name, content in tables.items():
        before, opening, rest = text.partition(f"<!-- table: {name} -->\n")
        _, closing, after = rest.partition("<!-- end -->")
        if closing:
            text = f"{before}{opening}{content}\n{closing}{after}"
        else:
            homeless.append(name)
    path.write_text(text, encoding="utf-8")
    return homeless


def shown(value: float | None, note: MeasureNote) -> str:
    """Write a share as .813, milliseconds as 41.5 ms."""
    if value is None:
        return "–"
    return f"{value:,.1f} ms" if note.unit == "ms" else _share(value)


def signed(difference: float | None) -> str:
    """Write a difference of shares as −.012; what rounds to nothing is 0."""
    if difference is None:
        return "–"
    if round(difference, 3) == 0:
        return "0"
    return f"{'+' if difference > 0 else '−'}{_share(abs(difference))}"


def _share(value: float) -> str:
    return f"{value:.3f}".removeprefix("0")


def _with_interval(measure: Measure, note: MeasureNote) -> str:
    if measure.value is None or measure.low is None or measure.high is None:
        return shown(measure.value, note)
    ends = [f"{end:,.1f}" if note.unit == "ms" else _share(end) for end in (measure.low, measure.high)]
    return f"{shown(measure.value, note)} [{'–'.join(ends)}]"


def _with_count(measure: Measure, note: MeasureNote) -> str:
    return f"{shown(measure.value, note)} ({measure.n:,})" if measure.n else "–"


def _chance(p_value: float | None) -> str:
    if p_value is None:
        return ""
    return ", p < .001" if p_value < 0.001 else f", p = {_share(p_value)}"


def _ece(result: Result) -> str:
    error = expected_calibration_error(reliability(result.outcomes))
    # Where every question is answerable, any high confidence is calibrated.
    return "–" if error is None or result.measures["auroc"].value is None else _share(error)


def _words(result: Result) -> str:
    said = [outcome.said_words for outcome in result.outcomes if outcome.answered]
    return f"{np.median(said):.0f}" if said else "–"


def _mean_of(measures: Sequence[Measures], key: str) -> float | None:
    values = [value for group in measures if (value := group[key].value) is not None]
    return sum(values) / len(values) if values else None
