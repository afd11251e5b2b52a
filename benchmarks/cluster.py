"""What a cluster brings to a build: `python -m benchmarks.cluster --home var --passages 500`.

Articles are those of a home, each with a word of its own in every sentence, so that no two texts are the same, as many as hold
the passages. They are built from scratch without a cluster, then on 1 and 2 workers of one thread each, which are processes
of this machine, and on 2 of which one is killed with -9 when a third of the texts is encoded; and the snapshots are compared.
Exits with 1 where one of them is not byte for byte the first.
"""

import argparse
import json
import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.memory import Watch
from index.build import build
from index.snapshot import SnapshotShelf
from index.weights import exported
from ingest.article import Article
from ingest.cluster import Cluster
from ingest.exchanges import shipped_path
from ingest.passages import split
from ingest.store import CorpusStore
from service.settings import read_settings

#: The share of the texts after which a worker is killed.
KILLED_AT = 1 / 3


@dataclass(frozen=True, slots=True)
class Measured:
    """What one way of building took.

    :ivar seconds: From the start of the build to the published snapshot; the workers were there before.
    :ivar cpu: Seconds of processor time of all processes.
    :ivar split: Seconds of it until all articles were split, which is done here.
    :ivar memory: Megabytes of this process at their highest.
    :ivar same: The snapshot is byte for byte that of the first way, but for the BM25 files, named by chance.
    """

    way: str
    passages: int
    texts: int
    seconds: float
    cpu: float
    split: float
    memory: float
    same: bool


def main() -> int:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument("--home", type=Path, required=True, help="a home with articles")
    parser.add_argument("--passages", type=int, default=500)
    parser.add_argument("--encoder", default="e5")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    encoder = exported(given.encoder, read_settings().cache)
    with tempfile.TemporaryDirectory() as folder:
        corpus = Path(folder, "corpus")
        write_corpus(given.home, corpus, given.passages)
        first: dict[str, object] = {}
        measured = []
        for way, workers, kill in (
            ("no cluster", 0, False),
            ("1 worker", 1, False),
            ("2 workers", 2, False),
            ("2, one killed", 2, True),
        ):
            home = Path(folder, way)
            shutil.copytree(corpus, home)
            one = measure(way, home, encoder, workers, kill=kill)
            files = _files(home)
            first = first or files
            measured.append(replace(one, same=files == first))
            print(table(measured[-1:]), flush=True)
    print(f"\n{given.encoder}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}\n\n{table(measured)}")
    if given.json:
        given.json.write_text(json.dumps([asdict(one) for one in measured], indent=1), encoding="utf-8")
    return 0 if all(one.same for one in measured) else 1


def write_corpus(home: Path, to: Path, passages: int) -> None:
    """Write articles that hold so many passages into a new home."""
    with CorpusStore(home / "corpus.sqlite") as store:
        articles = [stored.article for stored in store.articles()]
    to.mkdir()
    with CorpusStore(to / "corpus.sqlite") as store, store.transaction():
        held = number = 0
        while held < passages:
            article = _varied(articles[number % len(articles)], number)
            held += len(split(article))
            store.put(article, source="benchmark")
            number += 1


def _varied(article: Article, number: int) -> Article:
    """Give an article that is another one."""
    sections = tuple(
        replace(
            section, text=section.text.replace(" the ", f" the {_word(number)} ").replace(". ", f" {_word(number)}. ")
        )
        for section in article.sections
    )
    return replace(
        article, id=f"{article.id}-{number}", url=f"{article.url}?{number}", title=f"{article.title} {_word(number)}",
        sections=sections,
    )  # fmt: skip


def _word(number: int) -> str:
    """Give a pronounceable word for a number."""
    syllables = [a + b for a in "bdfgklmnprst" for b in "aeiou"]
    word = ""
    while True:
        word += syllables[number % len(syllables)]
        number //= len(syllables)
        if not number:
            return f"{word}x"


def measure(way: str, home: Path, encoder: Path, workers: int, *, kill: bool) -> Measured:
    """Build a home from scratch."""
    split_at = 0.0
    killed = not kill

    with _cluster(workers) as (cluster, pids), Watch(os.getpid()) as watch:
        before = sum(watch.taken().cpu.values())
        began = time.monotonic()

        def progress(stage: str, done: int, total: int) -> None:
            nonlocal split_at, killed
            if stage == "split" and done == total:
                split_at = time.monotonic() - began
            if not killed and stage.startswith("encode") and done > KILLED_AT * total:
                os.kill(pids()[0], signal.SIGKILL)
                killed = True

        built = build(home, encoder, shipped_path().read_text(encoding="utf-8"), progress, cluster=cluster)
        seconds = time.monotonic() - began
        time.sleep(0.2)  # the watch looks ten times a second
        taken = watch.taken()
    counts = built.manifest.counts
    return Measured(
        way, counts["passages"], counts["passages"] + counts["sentences"], round(seconds, 1),
        round(sum(taken.cpu.values()) - before, 1), round(split_at, 2), round(taken.peaks["parent"] / 1e6), same=True,
    )  # fmt: skip


@contextmanager
def _cluster(workers: int) -> Iterator[tuple[Cluster | None, Any]]:
    """Give a cluster of local processes, and a function that gives their process ids."""
    if not workers:
        yield None, list
        return
    from distributed import LocalCluster

    with (
        LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=":0", host="127.0.0.1") as local,  # type: ignore[no-untyped-call]
        Cluster(local.scheduler_address) as cluster,
    ):
        yield cluster, lambda: [worker.pid for worker in local.workers.values()]


def _files(home: Path) -> dict[str, object]:
    files = SnapshotShelf(home).open().manifest.files
    return {name: file for name, file in files.items() if not name.startswith("lexical/")}


def table(measured: list[Measured]) -> str:
    """Give a Markdown table."""
    lines = [
        "| | passages | texts | seconds | CPU seconds | passages/s | split | memory here | same snapshot |",
        "|---" * 9 + "|",
    ]
    for one in measured:
        lines.append(
            f"| {one.way} | {one.passages} | {one.texts} | {one.seconds} | {one.cpu} | {one.passages / one.seconds:.1f} | "
            f"{one.split} s | {one.memory:.0f} MB | {'yes' if one.same else 'NO'} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    multiprocessing.freeze_support()
    sys.exit(main())
