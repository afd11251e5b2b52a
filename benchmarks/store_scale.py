"""How the corpus store scales: ingesting, listing and building a passage list, from ten thousand articles up.

    python -m benchmarks.store_scale [--articles 10000,100000] [--plot FILE.svg] [--json FILE]

The articles are recombined from the sentences of the starter corpus, each with figures of its own, about 350 words; 2 % of them are
reprints of an earlier one on another site. For each number of articles a JSONL file of them is ingested (`citedesk ingest`'s own way), ingested
again as it is, and again after 1 % changed; then the store is listed, compared and split, each in a process of its own, so that its
memory is its own. Above `--ingested` articles they are put into the store without being cleaned, since cleaning takes the same
for each and needs an hour for a million; at or below it this is done as well, into a second store.
"""

import argparse
import json
import multiprocessing
import os
import platform
import random
import re
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.memory import Taken, Watch
from ingest.article import Article, Section
from ingest.clean import parse_html
from ingest.exchanges import load_directory
from ingest.groups import group, remember
from ingest.pipeline import BATCH, Report, Step, ingest
from ingest.sentences import sentences
from ingest.sources import FileSource
from ingest.store import CorpusStore

STARTER = Path(__file__).parents[1] / "corpus"
SITES = 50
REPRINTS = 0.02
CHANGED = 0.01
PARAGRAPHS, SENTENCES = 5, 4
#: Articles of which the time is taken together.
GROUP = 1_000
_FIGURE = re.compile(r"\d+")


@dataclass(frozen=True, slots=True)
class Stage:
    """What one stage took.

    :ivar cpu: Seconds of processor time of the process itself; its workers' are not in it.
    :ivar memory: The highest resident memory of its process, in bytes.
    :ivar curve: Seconds of the process's processor time for each thousand articles, in order, where the stage goes on one by one.
    :ivar said: What it found: counts and times of its own.
    :ivar workers: Seconds of processor time of the processes that it started.
    :ivar load: How many processes of the whole machine wanted to run in its last minute, itself among them.
    """

    name: str
    seconds: float
    cpu: float
    memory: int
    curve: tuple[float, ...] = ()
    said: dict[str, float] | None = None
    workers: float = 0.0
    load: float = 0.0


@dataclass(frozen=True, slots=True)
class Scale:
    """All stages over so many articles; ``size`` is that of the ingested store's file in bytes."""

    articles: int
    size: int
    stages: list[Stage]


# The articles


def starter_sentences() -> list[str]:
    """Give the sentences of the starter corpus, those of more than five words."""
    found: dict[str, None] = {}
    for path in sorted(STARTER.glob("*.html")):
        page = parse_html(path.read_bytes(), url=path.name)
        for section in page.sections:
            for start, end in sentences(section.text, "en"):
                text = " ".join(section.text[start:end].split())
                if len(text.split()) > 5:
                    found.setdefault(text)
    return list(found)


def articles(count: int, *, day: int = 0) -> Iterator[dict[str, str]]:
    """Give articles as rows of a JSONL source, the same for the same number.

    :param day: 1 for those of the next day, of which `CHANGED` have another last paragraph.
    """
    pool = starter_sentences()
    originals = round(count * (1 - REPRINTS))
    changed = set(random.Random("changed").sample(range(originals), round(CHANGED * originals))) if day else set()
    for number in range(count):
        of = number if number < originals else (number - originals) * 7 % originals
        paragraphs = _paragraphs(random.Random(f"article {of}"), pool, PARAGRAPHS)
        if number in changed:
            paragraphs[-1:] = _paragraphs(random.Random(f"article {of}, day {day}"), pool, 1)
        site = of % SITES if number == of else SITES + number % 7
        name = "" if number == of else "-reprint"
        yield {
            "id": f"article-{number:07d}",
            "url": f"https://desk-{site}.example/articles/{of}{name}",
            "title": f"{pool[of % len(pool)].split(',')[0].rstrip('.?!')[:70]} ({of})",
            "text": "\n\n".join(paragraphs),
        }


def _paragraphs(draw: random.Random, pool: list[str], count: int) -> list[str]:
    return [
        " ".join(_FIGURE.sub(lambda _: str(draw.randint(1, 9_999)), draw.choice(pool)) for _ in range(SENTENCES))
        for _ in range(count)
    ]


def write_rows(path: Path, count: int, *, day: int = 0) -> Path:
    """Write the articles as a JSONL source."""
    with path.open("w", encoding="utf-8") as file:
        for row in articles(count, day=day):
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
    return path


# The stages: each runs in a process of its own and gives its curve and what it found


Outcome = tuple[tuple[float, ...], dict[str, float]]


def ingesting(home: Path, rows: Path) -> Outcome:
    """Ingest the file."""
    curve = _Curve()
    with CorpusStore(home / "corpus.sqlite") as store:
        report = ingest([FileSource(name="rows", path=rows)], store, load_directory(), curve)
    return curve.seconds(), _counts(report)


def putting(home: Path, rows: Path) -> Outcome:
    """Put articles into the store with what finds their near-duplicates, without cleaning them, and group them."""
    times: list[float] = []
    with CorpusStore(home / "corpus.sqlite") as store, rows.open(encoding="utf-8") as file:
        made = (_article(json.loads(line)) for line in file)
        began, done = time.process_time(), 0
        while batch := list(islice(made, BATCH)):
            with store.transaction():
                for article in batch:
                    _, article_id = store.put(article, source="rows", origin="rows")
                    remember(store, article_id)
            done += len(batch)
            while done >= GROUP * (len(times) + 1):
                now = time.process_time()
                times.append(now - began)
                began = now
        began = time.perf_counter()
        group(store)
        return tuple(times), {"group_seconds": time.perf_counter() - began, **_status(store)}


def listing(home: Path, _: Path) -> Outcome:
    """List all articles as `citedesk articles list` does."""
    with CorpusStore(home / "corpus.sqlite") as store:
        return (), _timed_rows(store.rows())


def listing_changed(home: Path, _: Path) -> Outcome:
    """List what changed in the last ingest."""
    with CorpusStore(home / "corpus.sqlite") as store:
        return (), _timed_rows(store.rows(lately=True))


def digesting(home: Path, _: Path) -> Outcome:
    """Give the digest of the corpus."""
    with CorpusStore(home / "corpus.sqlite") as store:
        store.digest()
    return (), {}


def reading(home: Path, _: Path) -> Outcome:
    """Read every article."""
    with CorpusStore(home / "corpus.sqlite") as store:
        return (), {"articles": sum(1 for _ in store.articles())}


def grouping(home: Path, _: Path) -> Outcome:
    """Compare every article with all others, as if all had changed."""
    with CorpusStore(home / "corpus.sqlite") as store:
        store.database.connection.execute("INSERT OR IGNORE INTO ungrouped SELECT id FROM articles")
        group(store)
        return (), _status(store)


def splitting(home: Path, _: Path) -> Outcome:
    """Build a passage list."""
    from index.passages import passage_list

    path = home / "passages.sqlite"
    with CorpusStore(home / "corpus.sqlite") as store:
        counts = passage_list(store, path)
    size = path.stat().st_size
    path.unlink()
    return (), {"passages": counts.passages, "sentences": counts.sentences, "bytes": size}


class _Curve:
    """Takes the time of each thousand that an ingest cleaned."""

    def __init__(self) -> None:
        self._marks = [time.process_time()]

    def __call__(self, step: Step) -> None:
        while step.cleaned >= GROUP * len(self._marks):
            self._marks.append(time.process_time())

    def seconds(self) -> tuple[float, ...]:
        return tuple(after - before for before, after in zip(self._marks, self._marks[1:], strict=False))


def _article(row: dict[str, str]) -> Article:
    parts = tuple(Section((), "", "prose", text) for text in row["text"].split("\n\n"))
    return Article(
        id=row["id"], url=row["url"], title=row["title"], exchange=None, products=(), language="en", trust="unknown",
        published=None, updated=None, fetched="2026-01-01", sections=parts,
    )  # fmt: skip


def _timed_rows(rows: Iterator[Any]) -> dict[str, float]:
    began = time.perf_counter()
    next(rows, None)
    first = time.perf_counter() - began
    return {"first_row_seconds": first, "rows": sum(1 for _ in rows) + 1}


def _counts(report: Report) -> dict[str, float]:
    if report.problem_count:
        raise RuntimeError(f"{report.problem_count} rows could not be read: {report.problems[:3]}")
    names = ("new", "changed", "unchanged", "gone", "cleaned", "duplicates")
    return {name: getattr(report, name) for name in names}


def _status(store: CorpusStore) -> dict[str, float]:
    return {name: float(count) for name, count in store.counts().items()}


# Running


def run(name: str, work: Callable[[Path, Path], Outcome], home: Path, rows: Path) -> tuple[Stage, Taken]:
    """Run a stage in a process of its own."""
    context = multiprocessing.get_context("spawn")
    receiving, sending = context.Pipe(duplex=False)
    process = context.Process(target=_in_process, args=(work, home, rows, sending))
    process.start()
    sending.close()
    assert process.pid is not None
    with Watch(process.pid) as watch:
        try:
            seconds, cpu, workers, peak, (curve, said) = receiving.recv()
        except EOFError:
            raise RuntimeError(f"{name}: its process ended before it was done") from None
        finally:
            receiving.close()
            process.join()
    return Stage(name, seconds, cpu, peak, curve, said, workers, os.getloadavg()[0]), watch.taken()


def _in_process(work: Callable[[Path, Path], Outcome], home: Path, rows: Path, sending: Any) -> None:  # noqa: ANN401
    began, used = time.perf_counter(), time.process_time()
    outcome = work(home, rows)
    seconds, cpu = time.perf_counter() - began, time.process_time() - used
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    peak = int(status.partition("VmHWM:")[2].split()[0]) * 1024
    sending.send((seconds, cpu, ended.ru_utime + ended.ru_stime, peak, outcome))
    sending.close()


def measure(count: int, work: Path, told: Callable[[str], None] = lambda _: None, *, ingested: bool = True) -> Scale:
    """Measure all stages over so many articles, ingested or only put."""
    home, rows = work / "home", work / "rows.jsonl"
    home.mkdir(parents=True)
    write_rows(rows, count)
    stages: list[Stage] = []

    def stage(name: str, what: Callable[[Path, Path], Outcome], where: Path = home) -> None:
        done, taken = run(name, what, where, rows)
        stages.append(replace(done, said={**(done.said or {}), "with_workers": taken.peak}))
        told(
            f"{count:,} articles: {name}: {done.seconds:.1f} s, CPU {done.cpu:.1f} s and {done.workers:.1f} s of workers, "
            f"{done.memory / 1e6:.0f} MB, load {done.load:.1f}, {done.said}"
        )

    if ingested:
        stage("ingest", ingesting)
        stage("ingest, nothing changed", ingesting)
        write_rows(rows, count, day=1)
        stage("ingest, 1 % changed", ingesting)
        write_rows(rows, count)
        stage("put alone", putting, work / "alone")
    else:
        stage("put alone", putting)
    for name, what in OVER_ALL.items():
        if ingested or what is not listing_changed:  # only an ingest is a run whose changes can be asked for
            stage(name, what)
    return Scale(count, _size(home), stages)


OVER_ALL: dict[str, Callable[[Path, Path], Outcome]] = {
    "articles list": listing, "articles list --changed": listing_changed, "digest": digesting, "read all": reading,
    "group all": grouping, "passage list": splitting,
}  # fmt: skip


def _size(home: Path) -> int:
    return sum(path.stat().st_size for path in home.iterdir() if path.name.startswith("corpus.sqlite"))


# Showing


def show(scales: list[Scale], console: Console) -> None:
    """Print a table a number of articles."""
    console.print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    for scale in scales:
        table = Table(
            title=f"{scale.articles:,} articles, {scale.size / 1e6:,.0f} MB, {scale.size / scale.articles:,.0f} bytes each"
        )
        for number, column in enumerate(
            ("stage", "seconds", "CPU s", "workers' CPU s", "load", "ms an article", "first thousand, CPU s", "last, s",
             "memory, MB", "found")
        ):  # fmt: skip
            table.add_column(column, justify="right" if 0 < number < 9 else "left")
        for stage in scale.stages:
            first, last = (f"{stage.curve[at]:.2f}" if stage.curve else "" for at in (0, -1))
            said = stage.said or {}
            found = ", ".join(f"{name} {value:,.4g}" if value < 10 else f"{name} {value:,.0f}" for name, value in said.items()
                              if name != "with_workers")  # fmt: skip
            memory = f"{stage.memory / 1e6:.0f} ({said.get('with_workers', 0) / 1e6:.0f} with workers)"
            table.add_row(
                stage.name,
                f"{stage.seconds:.2f}",
                f"{stage.cpu:.2f}",
                f"{stage.workers:.1f}",
                f"{stage.load:.1f}",
                f"{stage.seconds / scale.articles * 1e3:.3f}",
                first,
                last,
                memory,
                found,
            )
        console.print(table)


def plot(scale: Scale) -> str:
    """Draw the processor seconds of each thousand articles over the articles that the store holds, as an SVG."""
    curves = {stage.name: stage.curve for stage in scale.stages if len(stage.curve) > 1}
    if not curves:
        return ""
    width, height, left, bottom = 640, 280, 50, 40
    most = max(max(curve) for curve in curves.values())
    longest = max(len(curve) for curve in curves.values())
    parts = [f'<path d="M{left} 10V{height - bottom}H{width - 10}" fill="none" stroke="#666"/>']
    parts += [
        f'<text x="{left - 6}" y="{10 + (1 - part) * (height - bottom - 10) + 4:.0f}" text-anchor="end">{part * most:.1f}</text>'
        for part in (0, 0.5, 1)
    ]
    parts += [
        f'<text x="{left + part * (width - left - 10):.0f}" y="{height - bottom + 16}" text-anchor="middle">'
        f"{part * longest * GROUP:,.0f}</text>"
        for part in (0, 0.5, 1)
    ]
    parts.append(f'<text x="{width / 2}" y="{height - 6}" text-anchor="middle">articles in the store</text>')
    parts.append(f'<text x="{left + 6}" y="18">CPU seconds a thousand</text>')
    for number, (name, curve) in enumerate(curves.items()):
        points = " ".join(
            f"{left + (at + 0.5) / longest * (width - left - 10):.1f},{10 + (1 - value / most) * (height - bottom - 10):.1f}"
            for at, value in enumerate(curve)
        )
        colour = ("#1f5fa8", "#2a8c4a", "#b3541e", "#7a4b9b")[number % 4]
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
        parts.append(f'<text x="{width - 14}" y="{18 + 16 * number}" text-anchor="end" fill="{colour}">{name}</text>')
    title = f"<title>Seconds of each thousand articles, up to {scale.articles:,}</title>"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">'
        f"{title}{''.join(parts)}</svg>\n"
    )


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.store_scale", description=__doc__.split("\n")[0])
    parser.add_argument("--articles", default="10000,100000", help="how many, a number or several with commas")
    parser.add_argument(
        "--ingested",
        type=int,
        default=20_000,
        metavar="N",
        help="above so many, articles are put into the store uncleaned",
    )
    parser.add_argument("--plot", type=Path, metavar="FILE.svg", help="draw the largest one's seconds a thousand there")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all that was measured there")
    given = parser.parse_args()
    scales = []
    for count in sorted(int(part) for part in given.articles.split(",")):
        with tempfile.TemporaryDirectory() as folder:
            told = lambda line: print(line, file=sys.stderr, flush=True)  # noqa: E731
            scales.append(measure(count, Path(folder), told, ingested=count <= given.ingested))
    show(scales, Console(width=200 if not sys.stdout.isatty() else None))
    if given.plot:
        given.plot.write_text(plot(scales[-1]), encoding="utf-8")
    if given.json:
        given.json.write_text(json.dumps([asdict(scale) for scale in scales], indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
