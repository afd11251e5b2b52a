"""How fast citedesk is: one question, the build, answers a second, and how all of it grows with the corpus.

    python -m benchmarks.performance --home var [--only question,build,throughput] [--data DIR] [--scale FILE] [--quick] [--without haiku]
                                     [--json FILE] [--plots docs/performance] [--document docs/performance.md]

What is measured is put into the JSON file, where parts of an earlier run stay; tables and plots are made of the file, so that one
part can be measured again. `question` asks peers beside citedesk, each from an environment of its own, which is made
under the cache once (some minutes and four gigabytes; what cannot be installed is skipped, and said so). `growth` is
the file that `python -m benchmarks.scale --json` wrote. Nothing else should run on the machine.
"""

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks import figures
from benchmarks.performance import building, question, throughput
from benchmarks.performance.plots import plots
from benchmarks.performance.systems import KINDS
from benchmarks.performance.tables import tables
from benchmarks.quality.tables import refresh
from service.settings import read_settings

MEASURED = ("question", "build", "throughput")
_PEERS = tuple(kind.name for kind in KINDS if kind.environment)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure what was asked for, and write tables and plots of all that was measured so far."""
    given = _arguments(argv)
    measured = json.loads(given.json.read_text(encoding="utf-8")) if given.json.exists() else {}
    for name in given.only:
        _tell(f"{name} …")
        begun, load = time.monotonic(), os.getloadavg()[0]
        section = _sections(given)[name]()
        section |= {
            "date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC", "machine": _machine(), "load": load,
            "took_s": time.monotonic() - begun,
        }  # fmt: skip
        measured[name] = section
        _write(given.json, measured)
    if given.scale:
        measured["growth"] = json.loads(given.scale.read_text(encoding="utf-8"))
        _write(given.json, measured)
    made = tables(measured)
    for title, content in made.items():
        print(f"\n{title}\n{content}")
    if given.plots:
        figures.write(given.plots, plots(measured))
    if given.document and (homeless := refresh(given.document, made)):
        _tell(f"{given.document} has no place for: {', '.join(homeless)}")
    return 0


def _sections(given: argparse.Namespace) -> dict[str, Callable[[], dict[str, Any]]]:
    cache = read_settings().cache
    asked = question.Amount(4, 8, 1, given.without) if given.quick else question.Amount(without=given.without)
    built = building.Amount(16, 1, (300, 600)) if given.quick else building.Amount()
    levels = throughput.Amount(8, 6) if given.quick else throughput.Amount()
    return {
        "question": lambda: question.measure(given.home, given.work, cache / "peers", asked, _tell),
        "build": lambda: building.measure(given.home, cache, given.data, built, _tell),
        "throughput": lambda: throughput.measure(given.home, levels, _tell),
    }


def _write(path: Path, measured: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(measured, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def _machine() -> str:
    return f"{os.cpu_count()} cores, {platform.machine()}"


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.performance",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--home", type=Path, required=True, help="the home of the starter corpus, as `make ask` builds it"
    )
    parser.add_argument("--only", type=_names, default=list(MEASURED), help=f"some of {','.join(MEASURED)}, or none")
    parser.add_argument("--data", type=Path, help="the folder of the data sets, for more passages to encode")
    parser.add_argument("--scale", type=Path, help="what `python -m benchmarks.scale --json` wrote")
    parser.add_argument(
        "--without",
        type=_systems,
        default=(),
        help=f"peers that are left out, of {','.join(_PEERS)}; `question` asks them",
    )
    parser.add_argument("--quick", action="store_true", help="a little of each, to see that it runs")
    parser.add_argument(
        "--work", type=Path, default=Path("var/performance"), help="a folder for the peers' indexes and for logs"
    )
    parser.add_argument(
        "--json", type=Path, default=Path("var/performance.json"), help="where what was measured is kept"
    )
    parser.add_argument("--plots", type=Path, help="write the plots into this folder")
    parser.add_argument("--document", type=Path, help="put the tables in their places in this Markdown file")
    return parser.parse_args(argv)


def _systems(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    if unknown := [name for name in names if name not in _PEERS]:
        raise argparse.ArgumentTypeError(f"no peer {unknown[0]!r}; there are {', '.join(_PEERS)}")
    return names


def _names(text: str) -> list[str]:
    names = [] if text == "none" else text.split(",")
    if unknown := [name for name in names if name not in MEASURED]:
        raise argparse.ArgumentTypeError(f"no part {unknown[0]!r}; there are {', '.join(MEASURED)}, and none")
    return names


if __name__ == "__main__":
    sys.exit(main())
