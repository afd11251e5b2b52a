"""The quality table: citedesk beside two baselines, what each part brings, and the plots.

    python -m benchmarks.quality --home var --data DIR [--sets starter,clapnq] [--ablate starter] [--json FILE]
                                 [--plots docs/quality] [--document docs/quality.md]

Each data set is ingested and built once, under --work. Tables are printed; with --document they are also put in their
places there. Without --data only the starter questions are measured.
"""

import argparse
import json
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.quality.ablation import ablate
from benchmarks.quality.baselines import Baselines
from benchmarks.quality.datasets import FITTED_ON, LOADERS, DataSet, Half, load
from benchmarks.quality.homes import assistant_for
from benchmarks.quality.plots import write_plots
from benchmarks.quality.tables import (
    Change,
    Systems,
    ablation_table,
    drop,
    groups_table,
    measures_table,
    refresh,
    summary_table,
)
from index.encoder import OnnxEncoder
from index.weights import exported
from service.assistant import Assistant
from service.evaluation.calibration import expected_calibration_error, reliability
from service.evaluation.run import Result, evaluate
from service.evaluation.scoring import Evaluated
from service.settings import read_settings

# Questions of a data set that the ablation asks, at most: it asks them once for every part.
ABLATION_QUESTIONS = 400


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print, and write what was asked for."""
    arguments = _arguments(argv)
    cache = read_settings().cache
    measured: dict[str, Systems] = {}
    ablated: dict[str, list[Change]] = {}
    thresholds: dict[str, dict[str, float]] = {}
    with Baselines(OnnxEncoder(exported("minilm", cache)), arguments.work) as baselines:
        for name in arguments.sets:
            data_set = load(name, arguments.data)
            assistant = assistant_for(data_set, arguments.work, cache, arguments.home)
            measured[name], thresholds[name] = _measured(assistant, data_set, baselines, arguments.half)
            if name in arguments.ablate:
                _tell(f"{name}: taking out one part after the other")
                questions = data_set.sample(arguments.half, ABLATION_QUESTIONS)
                ablated[name] = list(ablate(assistant.snapshot, questions))
    tables = _tables(measured, ablated)
    for title, content in tables.items():
        print(f"\n{title}\n{content}")
    if arguments.json:
        result = _as_json(measured, thresholds, ablated, arguments.half)
        arguments.json.write_text(json.dumps(result, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    if arguments.plots:
        for path in write_plots(arguments.plots, measured, ablated):
            _tell(f"wrote {path}")
    if arguments.document and (homeless := refresh(arguments.document, tables)):
        _tell(f"{arguments.document} has no place for: {', '.join(homeless)}")
    return 0


def _measured(
    assistant: Assistant, data_set: DataSet, baselines: Baselines, half: Half
) -> tuple[Systems, dict[str, float]]:
    """Measure one data set by every system."""
    others = baselines.over(assistant.snapshot, data_set.questions["fit"])
    systems: dict[str, Evaluated] = {"citedesk": assistant, **others}
    results: dict[str, Result] = {}
    for name, system in systems.items():
        _tell(f"{data_set.name}: {name}, {len(data_set.questions[half]):,} questions")
        results[name] = evaluate(system, data_set.questions[half])
    return results, {name: other.threshold for name, other in others.items()}


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _tables(measured: Mapping[str, Systems], ablated: Mapping[str, Sequence[Change]]) -> dict[str, str]:
    tables = {"summary": summary_table(measured), "drop": drop(measured, FITTED_ON)}
    for name, systems in measured.items():
        tables[name] = measures_table(systems)
        for by, groups in (("kind", systems["citedesk"].by_kind), ("language", systems["citedesk"].by_language)):
            if len(groups) > 1:
                tables[f"{name}, by {by}"] = groups_table(groups, by)
    return tables | {f"ablation, {name}": ablation_table(changes) for name, changes in ablated.items()}


def _as_json(
    measured: Mapping[str, Systems],
    thresholds: Mapping[str, Mapping[str, float]],
    ablated: Mapping[str, Sequence[Change]],
    half: str,
) -> dict[str, Any]:
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}",
        "half": half,
        "fitted_on": list(FITTED_ON),
        "drop": drop(measured, FITTED_ON),
        "sets": {
            name: {system: _system_as_json(result, thresholds[name].get(system)) for system, result in systems.items()}
            for name, systems in measured.items()
        },
        "ablation": {name: [asdict(change) for change in changes] for name, changes in ablated.items()},
    }


def _system_as_json(result: Result, threshold: float | None) -> dict[str, Any]:
    """Give the measures of one system; the questions themselves are left to `citedesk eval`."""
    told = {key: value for key, value in result.as_json().items() if key not in ("questions", "misses")}
    error = expected_calibration_error(reliability(result.outcomes))
    return told | {"expected_calibration_error": error, "threshold": threshold}


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.quality", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--home", type=Path, required=True, help="the home of the starter corpus, as `make ask` builds it"
    )
    parser.add_argument("--data", type=Path, help="the folder of the data sets")
    parser.add_argument("--sets", type=_names, help=f"some of {','.join(LOADERS)}; all that there are")
    parser.add_argument(
        "--ablate",
        type=_names,
        default=[],
        help="of the data sets that are measured, those on which parts are taken out",
    )
    parser.add_argument("--half", choices=("fit", "report"), default="report")
    parser.add_argument("--work", type=Path, default=Path("var/quality"), help="where homes are kept for the next run")
    parser.add_argument("--json", type=Path, help="write everything that was measured")
    parser.add_argument("--plots", type=Path, help="write the plots into this folder")
    parser.add_argument("--document", type=Path, help="put the tables in their places in this Markdown file")
    arguments = parser.parse_args(argv)
    if arguments.sets is None:
        arguments.sets = list(LOADERS) if arguments.data else ["starter"]
    if not arguments.data and arguments.sets != ["starter"]:
        parser.error("--data DIR is needed for all questions but the starter's")
    return arguments


def _names(text: str) -> list[str]:
    names = text.split(",")
    if unknown := [name for name in names if name not in LOADERS]:
        raise argparse.ArgumentTypeError(f"no data set {unknown[0]!r}; there are {', '.join(LOADERS)}")
    return names


if __name__ == "__main__":
    sys.exit(main())
