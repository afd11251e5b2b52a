"""How fast a help centre is ingested, and what a second run costs after some of it changed.

    python -m benchmarks.crawl [--pages 5000] [--rounds 3] [--concurrency 8] [--build-pages 300 | --no-build] [--json FILE]

The site is generated and served on loopback. Compared are a plain Scrapy spider that saves bodies, citedesk's crawl alone
(archive and crawl state) and the whole `citedesk ingest`; all as processes that are started and waited for. Then 1 % of the pages
change, 0.5 % are deleted and 0.5 % move, and the ingest runs again: once trusting the sitemap's `lastmod`, and, after another such
day, with ``recheck_days = 0``, which asks for every page with its validators as if there were no `lastmod`. On a smaller site the
same day is followed by a build. Exits with 1 where a count is wrong or a second run takes more than a tenth of the first.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.memory import Taken, Watch
from benchmarks.site import Counters, HelpCentre, ServedSite, served
from ingest.crawl import start_crawl
from ingest.sources import WebSource
from ingest.state import settings_text
from ingest.store import CorpusStore

ROOT = Path(__file__).parents[1]
CHANGED, DELETED, MOVED = 0.01, 0.005, 0.005
#: The share of the first run's time that a second one may take.
TARGET = 0.1
LONGEST = 3_600


@dataclass(frozen=True, slots=True)
class Crawled:
    """A run over all pages.

    :ivar seconds: From starting the process to its end.
    :ivar ratio: Pages a second, against plain Scrapy's median.
    """

    what: str
    pages: int
    seconds: float
    taken: Taken
    ratio: float = 1.0


@dataclass(frozen=True, slots=True)
class Second:
    """A run after a day of changes.

    :ivar asked: What the site was asked for, as it counted it.
    :ivar told: Events by kind that the store has of this run.
    :ivar wanted: What the day did: articles changed, gone and moved.
    :ivar share: Its seconds, of the first run's.
    """

    what: str
    seconds: float
    share: float
    asked: Counters
    cleaned: int
    told: dict[str, int]
    wanted: dict[str, int]
    taken: Taken


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """A build after a day of changes.

    :ivar texts: Passages and sentences in the snapshot; ``encoded`` of them were encoded anew.
    :ivar passages: Those of ``texts`` that are passages.
    :ivar changed_passages: Passages that the snapshot before does not hold, by their text with title and headings.
    """

    pages: int
    articles: int
    split: int
    passages: int
    changed_passages: int
    texts: int
    encoded: int
    first_seconds: float
    seconds: float


@dataclass(slots=True)
class Results:
    """All that was measured."""

    machine: str
    crawled: list[Crawled] = field(default_factory=list)
    second: list[Second] = field(default_factory=list)
    rebuilt: Rebuilt | None = None
    faults: list[str] = field(default_factory=list)


def source_of(site: ServedSite, concurrency: int, *, recheck_days: int = 7) -> WebSource:
    """Give the source that all runs read."""
    return WebSource(
        name="site", kind="sitemap", start=(site.sitemap,), delay=0.0, concurrency=concurrency, allow_private=True,
        recheck_days=recheck_days,
    )  # fmt: skip


def write_sources(path: Path, source: WebSource) -> Path:
    """Write a source as a sources.toml."""
    path.write_text(
        f'[[source]]\nname = "{source.name}"\nsitemap = "{source.start[0]}"\nallow_private = true\ndelay = {source.delay}\n'
        f"concurrency = {source.concurrency}\nrecheck_days = {source.recheck_days}\n",
        encoding="utf-8",
    )
    return path


def plain(site: ServedSite, folder: Path, concurrency: int, pages: int) -> Crawled:
    """Crawl with plain Scrapy."""
    command = ["benchmarks.plain_spider", site.sitemap, str(folder), "--concurrency", str(concurrency)]
    seconds, taken, _ = _run(command, "scrapy")
    return Crawled("plain Scrapy, bodies into files", _counted(len(list(folder.iterdir())), pages), seconds, taken)


def crawl_alone(site: ServedSite, home: Path, concurrency: int, pages: int) -> Crawled:
    """Crawl with citedesk into the archive and the crawl state, and clean nothing."""
    source = source_of(site, concurrency)
    with CorpusStore(home / "corpus.sqlite") as store:
        state = store.state()
        run = state.begin(source.name, settings_text(source.scope()), settings_text(asdict(source)))
        began = time.perf_counter()
        crawl = start_crawl(source, home, run)
        with Watch(crawl.process.pid, "crawler") as watch:
            code = crawl.process.wait(LONGEST)
        seconds = time.perf_counter() - began
        if code:
            raise RuntimeError(crawl.problem())
        fetched = state.progress(run).get("fetched", 0)
    return Crawled("citedesk's crawl alone", _counted(fetched, pages), seconds, watch.taken())


def whole(sources: Path, home: Path, pages: int) -> Crawled:
    """Ingest: crawl, clean and store."""
    seconds, taken, report = _ingest(sources, home)
    if report["new"] != pages or report["problem_count"]:
        raise RuntimeError(f"of {pages} pages {report['new']} were read; {report['problems'][:3]} {report['notes']}")
    return Crawled("citedesk ingest", pages, seconds, taken)


def second(what: str, site: ServedSite, sources: Path, home: Path, first: float) -> Second:
    """Let a day go by and ingest again."""
    day = site.mutate(CHANGED, DELETED, MOVED)
    site.reset()
    with CorpusStore(home / "corpus.sqlite") as store:
        last = _last_event(store)
    seconds, taken, report = _ingest(sources, home)
    asked = site.counters()
    told: dict[str, int] = {}
    with CorpusStore(home / "corpus.sqlite") as store:
        for (kind,) in store.database.connection.execute("SELECT kind FROM events WHERE id > ?", (last,)):
            told[kind] = told.get(kind, 0) + 1
    wanted = {
        name: len(getattr(day, at)) for name, at in (("changed", "changed"), ("gone", "deleted"), ("moved", "moved"))
    }
    return Second(what, seconds, seconds / first, asked, int(report["cleaned"]), told, wanted, taken)


def rebuilt(pages: int, work: Path, concurrency: int) -> Rebuilt:
    """Build, let a day go by, ingest and build again, with the fast encoder."""
    from index.build import build
    from index.weights import exported
    from ingest.exchanges import shipped_path
    from service.settings import read_settings

    home, encoder = work / "built", exported("minilm", read_settings().cache)
    directory = shipped_path().read_text(encoding="utf-8")
    with served(HelpCentre(pages, seed=2)) as site:
        sources = write_sources(work / "built.toml", source_of(site, concurrency))
        _ingest(sources, home)
        began = time.perf_counter()
        build(home, encoder, directory)
        first = time.perf_counter() - began
        before = _passages(home)
        site.mutate(CHANGED, DELETED, MOVED)
        _ingest(sources, home)
        began = time.perf_counter()
        built = build(home, encoder, directory)
        seconds = time.perf_counter() - began
    after, counts = _passages(home), built.manifest.counts
    return Rebuilt(
        pages, counts["articles"], built.split, counts["passages"], len(after - before), counts["passages"] + counts["sentences"],
        built.encoded, first, seconds,
    )  # fmt: skip


def faults(results: Results) -> list[str]:
    """Say what is not as it should be."""
    found = []
    for run in results.second:
        if run.share > TARGET:
            found.append(f"{run.what}: takes {run.share:.1%} of the first run, more than {TARGET:.0%}")
        told = {kind: run.told.get(kind, 0) for kind in run.wanted}
        if told != run.wanted or run.told.get("added"):
            found.append(f"{run.what}: the site's day was {run.wanted}, the store tells of {run.told}")
        if run.cleaned != run.wanted["changed"] + run.wanted["moved"]:
            found.append(f"{run.what}: {run.cleaned} pages were cleaned again")
    return found


# Running


def _run(command: Sequence[str], root: str) -> tuple[float, Taken, str]:
    began = time.perf_counter()
    with tempfile.TemporaryFile("w+") as errors, subprocess.Popen(
        [sys.executable, "-m", *command], cwd=ROOT, stdout=subprocess.PIPE, stderr=errors, text=True
    ) as process:  # fmt: skip
        with Watch(process.pid, root) as watch:
            output = process.communicate(timeout=LONGEST)[0]
        seconds = time.perf_counter() - began
        if process.returncode:
            errors.seek(0)
            raise RuntimeError(
                f"{' '.join(command)}: exit code {process.returncode}\n{errors.read()[-2_000:]}\n{output[-2_000:]}"
            )
    return seconds, watch.taken(), output


def _ingest(sources: Path, home: Path) -> tuple[float, Taken, dict[str, Any]]:
    seconds, taken, output = _run(["service.cli", "ingest", str(sources), "--home", str(home), "--json"], "parent")
    return seconds, taken, json.loads(output)


def _counted(found: int, pages: int) -> int:
    if found != pages:
        raise RuntimeError(f"{found} of {pages} pages came in")
    return pages


def _last_event(store: CorpusStore) -> int:
    return int(store.database.connection.execute("SELECT coalesce(max(id), 0) FROM events").fetchone()[0])


def _passages(home: Path) -> set[str]:
    """Give what was encoded for the passages of the published snapshot."""
    from index.passages import PassageList

    current = (home / "snapshots" / "CURRENT").read_text(encoding="utf-8").strip()
    return {text for text, _ in PassageList(home / "snapshots" / current / "passages.sqlite").passage_inputs()}


def measure(pages: int, rounds: int, concurrency: int, build_pages: int, work: Path) -> Results:
    """Measure all; ``build_pages`` of 0 leaves the build out."""
    results = Results(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    with served(HelpCentre(pages)) as site:
        plains, alones = [], []
        for number in range(rounds):  # in turn, so that what else the machine does befalls both
            plains.append(plain(site, work / f"plain-{number}", concurrency, pages))
            alones.append(crawl_alone(site, work / f"alone-{number}", concurrency, pages))
            for name in ("plain", "alone"):
                shutil.rmtree(work / f"{name}-{number}")
        base = _median(plains)
        sources = write_sources(work / "sources.toml", source_of(site, concurrency))
        first = whole(sources, work / "home", pages)
        results.crawled = [_against(base, run) for run in (base, _median(alones), first)]
        results.second.append(second("by the sitemap's lastmod", site, sources, work / "home", first.seconds))
        write_sources(sources, source_of(site, concurrency, recheck_days=0))
        results.second.append(second("by conditional requests", site, sources, work / "home", first.seconds))
    if build_pages:
        results.rebuilt = rebuilt(build_pages, work, concurrency)
    results.faults = faults(results)
    return results


def _median(runs: Sequence[Crawled]) -> Crawled:
    """Give the run of the median time."""
    middle = statistics.median_low(run.seconds for run in runs)
    return next(run for run in runs if run.seconds == middle)


def _against(base: Crawled, run: Crawled) -> Crawled:
    return Crawled(run.what, run.pages, run.seconds, run.taken, base.seconds / run.seconds * run.pages / base.pages)


# Showing


def show(results: Results, console: Console) -> None:
    """Print the tables."""
    console.print(results.machine)
    table = _table("", "pages/s", "ratio", "seconds", "peak memory, MB", "CPU ms a page")
    for run in results.crawled:
        table.add_row(
            run.what, f"{run.pages / run.seconds:,.0f}", f"{run.ratio:.2f}", f"{run.seconds:.1f}", _memory(run.taken),
            _each(run.taken, run.pages),
        )  # fmt: skip
    console.print(table)
    table = _table("second run", "seconds", "of the first", "requests", "cleaned", "events", "CPU s")
    for again in results.second:
        statuses = ", ".join(f"{count} × {status}" for status, count in again.asked.by_status.items())
        told = ", ".join(f"{count} {kind}" for kind, count in again.told.items())
        table.add_row(
            again.what, f"{again.seconds:.1f}", f"{again.share:.1%}", f"{again.asked.requests}: {statuses}",
            str(again.cleaned), told, _each(again.taken, 1, 1.0),
        )  # fmt: skip
    console.print(table)
    if results.rebuilt:
        console.print(_told(results.rebuilt))
    for fault in results.faults:
        console.print(f"[red]missed[/red]: {fault}", highlight=False)


def _told(done: Rebuilt) -> str:
    return (
        f"build of {done.pages} pages after such a day: {done.split} of {done.articles} articles split, "
        f"{done.changed_passages} of {done.passages} passages are new, {done.encoded} of {done.texts} texts "
        f"(passages and sentences) encoded, {done.seconds:.1f} s against {done.first_seconds:.1f} s"
    )


def _table(*columns: str) -> Table:
    table = Table()
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left")
    return table


def _memory(taken: Taken) -> str:
    parts = ", ".join(f"{role} {size / 1e6:.0f}" for role, size in taken.peaks.items() if size)
    return f"{taken.peak / 1e6:.0f} ({parts})"


def _each(taken: Taken, pages: int, scale: float = 1e3) -> str:
    return ", ".join(f"{role} {seconds / pages * scale:.1f}" for role, seconds in taken.cpu.items() if seconds)


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.crawl", description=__doc__.split("\n")[0])
    parser.add_argument("--pages", type=int, default=5_000)
    parser.add_argument(
        "--rounds", type=int, default=3, help="of plain Scrapy and of the crawl alone; the median counts"
    )
    parser.add_argument("--concurrency", type=int, default=8, help="requests at the same time")
    parser.add_argument("--build-pages", type=int, default=300, help="pages of the site that is built from")
    parser.add_argument("--no-build", action="store_true")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all that was measured there")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        build_pages = 0 if given.no_build else given.build_pages
        results = measure(given.pages, given.rounds, given.concurrency, build_pages, Path(folder))
    show(results, Console(width=200 if not sys.stdout.isatty() else None))
    if given.json:
        given.json.write_text(json.dumps(asdict(results), indent=2) + "\n", encoding="utf-8")
    sys.exit(1 if results.faults else 0)


if __name__ == "__main__":
    main()
