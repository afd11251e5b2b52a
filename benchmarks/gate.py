"""The quality gate: `python -m benchmarks.gate --home HOME [--data DIR]`. Exits with 1 where a measure misses its floor.

The floors are in floors.toml, each a little under what was measured on the day that is given there, because rounding in
int8 arithmetic differs between processors and moves a question or two. A floor is lowered only by saying so in
CHANGELOG.md. The starter questions are always asked; samples of other data sets are asked where their folder is given,
over few enough articles to be ingested and built anew within some three minutes on two cores.
"""

import argparse
import sys
import time
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from benchmarks.quality.datasets import LOADERS, load, sampled
from benchmarks.quality.homes import assistant_for
from service.evaluation.calibration import expected_calibration_error, reliability
from service.evaluation.intervals import Measure
from service.evaluation.measures import NOTES
from service.evaluation.run import Result, evaluate
from service.settings import read_settings

FLOORS = Path(__file__).with_name("floors.toml")


@dataclass(frozen=True, slots=True)
class Floor:
    """What a measure may not fall below, or for ``<=`` not rise above."""

    key: str
    sign: Literal[">=", "<="]
    limit: float

    def holds(self, measured: Measure) -> bool:
        """Tell whether a measure keeps it; what was not measured does not."""
        if measured.value is None:
            return False
        # What is printed decides: a share of .8095 is .810 and keeps a floor of .81.
        value = round(measured.value, 3)
        return value >= self.limit if self.sign == ">=" else value <= self.limit


@dataclass(frozen=True, slots=True)
class Floors:
    """The floors of one data set.

    :ivar articles: How many of its articles are built, at most; ``questions`` how many of its questions are asked. Neither
        is used for the starter questions, which are all asked.
    """

    name: str
    articles: int
    questions: int
    floors: tuple[Floor, ...]


def read_floors(path: Path) -> list[Floors]:
    """Read the floors, in the order of the file.

    :raises ValueError: A data set or a measure is not known, or a limit is not in [0, 1].
    """
    data: dict[str, dict[str, Any]] = tomllib.loads(path.read_text(encoding="utf-8"))["sets"]
    return [_floors(name, table, path) for name, table in data.items()]


def missed(floors: Floors, result: Result) -> Iterator[Floor]:
    """Print each measure beside its floor, then the reliability of the confidence; give the floors that do not hold."""
    for floor in floors.floors:
        measured = result.measures[floor.key]
        holds = floor.holds(measured)
        value = "–" if measured.value is None else f"{measured.value:.3f}"
        print(
            f"  {'ok  ' if holds else 'MISS'} {floor.key:<20} {value} {floor.sign} {floor.limit:.3f}  (n = {measured.n})"
        )
        if not holds:
            yield floor
    bins = reliability(result.outcomes)
    error = expected_calibration_error(bins)
    if error is not None and result.measures["auroc"].value is not None:  # there are covered and uncovered questions
        told = "  ".join(
            f"{group.mean:.2f}: {group.covered.value:.2f} of {group.covered.n}"
            for group in bins
            if group.mean is not None and group.covered.value is not None
        )
        print(f"       expected calibration error {error:.3f}; confidence: share answerable\n       {told}")


def main(argv: Sequence[str] | None = None) -> int:
    """Measure every data set that is there, and say whether all floors hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--home", type=Path, required=True, help="the home of the starter corpus, as `make ask` builds it"
    )
    parser.add_argument("--data", type=Path, help="the folder of the other data sets")
    parser.add_argument("--work", type=Path, default=Path("var/quality"), help="where their homes are kept")
    parser.add_argument("--floors", type=Path, default=FLOORS, help="the file of the floors")
    arguments = parser.parse_args(argv)
    misses = 0
    for floors in read_floors(arguments.floors):
        if floors.name != "starter" and not (arguments.data and arguments.data.is_dir()):
            print(f"{floors.name}: skipped, there is no folder {arguments.data or 'given with --data'}")
            continue
        begun = time.monotonic()
        part = sampled(load(floors.name, arguments.data), articles=floors.articles, questions=floors.questions)
        # The starter questions are all asked; of another data set `sampled` keeps the half that nothing was fitted on.
        questions = part.questions["fit"] + part.questions["report"]
        assistant = assistant_for(part, arguments.work, read_settings().cache, arguments.home)
        built = time.monotonic()
        result = evaluate(assistant, questions)
        print(
            f"{floors.name}: {len(questions)} questions over {assistant.snapshot.manifest.counts['articles']} articles, "
            f"opened in {built - begun:.0f} s, asked in {time.monotonic() - built:.0f} s"
        )
        misses += len(list(missed(floors, result)))
    print(f"{misses} floors missed" if misses else "every floor holds")
    return int(misses > 0)


def _floors(name: str, table: Mapping[str, Any], path: Path) -> Floors:
    if name not in LOADERS:
        raise ValueError(f"{path}: no data set {name!r}; there are {', '.join(LOADERS)}")
    signs: tuple[tuple[str, Literal[">=", "<="]], ...] = (("at_least", ">="), ("at_most", "<="))
    floors = tuple(
        Floor(key, sign, float(limit)) for group, sign in signs for key, limit in table.get(group, {}).items()
    )
    known = {note.key for note in NOTES if note.unit == "share"}
    if name != "starter" and not {"articles", "questions"} <= set(table):
        raise ValueError(f"{path}: {name}: articles and questions have to say how large the sample is")
    for floor in floors:
        if floor.key not in known or not 0 <= floor.limit <= 1:
            raise ValueError(f"{path}: {name}: {floor.key} = {floor.limit} is no measure with a share as its limit")
    return Floors(name, int(table.get("articles", 0)), int(table.get("questions", 0)), floors)


if __name__ == "__main__":
    sys.exit(main())
