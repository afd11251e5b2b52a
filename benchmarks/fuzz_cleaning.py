"""Clean thousands of broken pages: none may crash, hang, take too much memory or give a broken article.

    python -m benchmarks.fuzz_cleaning [--data DIR] [--pages 10000] [--seed 1] [--failures DIR]
    python -m benchmarks.fuzz_cleaning --replay FILE [--shrink]

The pages are those of corpus/ and tests/pages/, and with `--data` those of a folder of pages (also gzipped ones), each broken
in one to four ways (`benchmarks.mutations`), the same for the same seed. Two processes clean them as ingest does. Every page
that fails is saved as a file for `--replay`, which `--shrink` cuts down to what is needed to fail. Exit code 1 if any does.
"""

import argparse
import gzip
import json
import multiprocessing
import resource
import signal
import statistics
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from random import Random
from typing import Literal

from benchmarks.mutations import broken
from ingest.article import Article, IngestError
from ingest.articles import to_article
from ingest.exchanges import Directory, load_directory
from ingest.files import Document
from ingest.passages import split
from ingest.sources import FileSource

ROOT = Path(__file__).parents[1]
#: Seconds of processor time that one page may take.
LIMIT = 10.0
#: Seconds by the clock after which a process that waits for something is ended; other work may run beside.
PATIENCE = 120.0
#: Bytes of address space that a process may take.
MEMORY = 2 << 30
WORKERS = 2
SLOWEST = 10
_ADDRESS = "https://help.example/page"
Kind = Literal["cleaned", "refused", "crash", "hang", "memory", "invariant"]
_FAILED: tuple[Kind, ...] = ("crash", "hang", "memory", "invariant")


@dataclass(frozen=True, slots=True)
class Case:
    """One broken page, made again from this whenever it is needed."""

    page: str
    seed: str

    def data(self) -> tuple[bytes, tuple[str, ...]]:
        """Give the page's bytes and the names of the ways in which it is broken."""
        return broken(read_page(Path(self.page)), Random(self.seed))

    @property
    def name(self) -> str:
        """A name for a file."""
        return f"{Path(self.page).name.split('.')[0]}-{self.seed.replace(':', '-')}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a page.

    :ivar problem: What failed, in a line that is the same for the same fault; an empty string if nothing did.
    :ivar ms: Milliseconds of processor time that cleaning took.
    """

    kind: Kind
    problem: str
    ms: float
    broken_by: tuple[str, ...] = ()
    size: int = 0


def read_page(path: Path) -> bytes:
    """Read a page, gzipped or not."""
    data = path.read_bytes()
    return gzip.decompress(data) if path.suffix == ".gz" else data


def pages_of(data: Path | None) -> list[str]:
    """Find the pages to break: the project's own, and those of a folder."""
    found = [*sorted((ROOT / "corpus").glob("*.html")), *sorted((ROOT / "tests" / "pages").rglob("*.html"))]
    if data:
        found += sorted(path for path in data.rglob("*") if path.name.endswith((".html", ".html.gz", ".htm")))
    return [str(path) for path in found]


def cases(pages: Sequence[str], count: int, seed: int) -> Iterator[Case]:
    """Draw pages to break."""
    for number in range(count):
        yield Case(Random(f"{seed}:{number}:page").choice(pages), f"{seed}:{number}")


# One page


def clean(data: bytes, directory: Directory) -> Article:
    """Clean a page as ingest cleans one that was fetched.

    :raises IngestError: It is refused, as a page may be.
    """
    source = FileSource(name="broken pages", path=ROOT)
    return to_article(Document("html", data, _ADDRESS, _ADDRESS, ROOT / "page.html", source, url=_ADDRESS), directory)


def violations(article: Article) -> Iterator[str]:
    """Name what is wrong with an article and its passages."""
    passages = split(article)
    text = article.text
    if not article.title.strip() or not article.id.strip():
        yield "the title or the id is empty"
    if not passages:
        yield "no passages"
    if any(text[passage.start : passage.end] != passage.text for passage in passages):
        yield "a passage is not the slice of the article that it says"
    if any(not passage.text.strip() or not passage.id for passage in passages):
        yield "a passage's text or id is empty"
    if len({passage.id for passage in passages}) != len(passages):
        yield "two passages have the same id"
    stored = json.dumps([asdict(article), [asdict(passage) for passage in passages]], ensure_ascii=False)
    # A NUL is written as an escape; a text that holds a backslash, as two of them.
    if "\\u0000" in stored.replace("\\\\", ""):
        yield "a NUL in the text"
    try:
        stored.encode("utf-8")
    except UnicodeEncodeError:
        yield "a lone surrogate in the text"


def try_page(data: bytes, directory: Directory) -> Outcome:
    """Clean a page and look at what comes out."""
    began = time.process_time()
    kind, problem = _try(data, directory)
    return Outcome(kind, problem, 1000 * (time.process_time() - began), size=len(data))


def _try(data: bytes, directory: Directory) -> tuple[Kind, str]:
    try:
        found = list(violations(clean(data, directory)))
    except IngestError:
        return "refused", ""
    except MemoryError:
        return "memory", f"more than {MEMORY >> 20} MiB"
    except Exception as error:
        return "crash", _signature(error)
    return ("invariant", "; ".join(found)) if found else ("cleaned", "")


def _signature(error: Exception) -> str:
    """Name a fault by its type and where in the project it came from, so that the same fault counts once."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if Path(frame.filename).is_relative_to(ROOT / "ingest")] or frames
    return f"{type(error).__name__}: {str(error)[:80]} ({Path(own[-1].filename).name}:{own[-1].lineno} {own[-1].name})"


# Many pages


def _work(pipe: Connection, limit: float) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    directory = load_directory()
    try_page(b"<h1>First</h1><p>The first page loads what the others need.</p>", directory)
    pipe.send(None)
    while (case := pipe.recv()) is not None:
        data, names = case.data()
        pipe.send("begin")
        # The system ends the process when its time is up, even in a library that heeds no signal.
        signal.setitimer(signal.ITIMER_PROF, limit)
        outcome = try_page(data, directory)
        signal.setitimer(signal.ITIMER_PROF, 0)
        pipe.send(Outcome(outcome.kind, outcome.problem, outcome.ms, names, len(data)))


class _Worker:
    """A process that cleans one page after the other, and is ended when one takes too long."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self._process = context.Process(target=_work, args=(theirs, LIMIT), daemon=True)
        self._process.start()
        theirs.close()
        self.case: Case | None = None
        self.began: float | None = None
        self.ended = False

    def end(self) -> None:
        """End it, whatever it does."""
        if self.ended:
            return
        self.ended = True
        self._process.kill()
        self._process.join()
        self._process.close()
        self.pipe.close()

    def take(self, case: Case) -> None:
        """Give it a page."""
        self.case, self.began = case, None
        self.pipe.send(case)

    def heard(self) -> Outcome | None:
        """Read what it says: that it has begun, or what became of the page; that it died, if it did."""
        try:
            said = self.pipe.recv()
        except (EOFError, ConnectionError):
            self._process.join()
            if self._process.exitcode == -signal.SIGPROF:
                return Outcome("hang", f"more than {LIMIT:g} s", 1000 * LIMIT)
            return Outcome("crash", f"the process died ({self._process.exitcode})", 0)
        if said == "begin":
            self.began = time.monotonic()
            return None
        assert isinstance(said, Outcome)
        return said

    @property
    def late(self) -> bool:
        """Whether its page takes too long."""
        return self.began is not None and time.monotonic() - self.began > PATIENCE


def run(todo: Iterator[Case], workers: int = WORKERS) -> Iterator[tuple[Case, Outcome]]:
    """Clean broken pages in processes of their own."""
    team = [_started() for _ in range(workers)]
    for worker in list(team):
        _next(worker, todo, team)
    try:
        while team:
            for ready in wait([worker.pipe for worker in team], timeout=0.5):
                worker = next(each for each in team if each.pipe is ready)
                outcome = worker.heard()
                if outcome:
                    yield from _done(worker, outcome, todo, team)
            for worker in [each for each in team if each.late]:
                yield from _done(worker, Outcome("hang", "waits for something", 1000 * LIMIT), todo, team)
    finally:
        for worker in team:
            worker.end()


def _started() -> _Worker:
    worker = _Worker()
    worker.pipe.recv()
    return worker


def _next(worker: _Worker, todo: Iterator[Case], team: list[_Worker]) -> None:
    """Give a worker its next page; one that was ended is replaced, and one for which there is nothing left ends."""
    case = next(todo, None)
    if case is None or worker.ended:
        team.remove(worker)
        worker.end()
    if case is not None:
        if worker.ended:
            worker = _started()
            team.append(worker)
        worker.take(case)


def _done(
    worker: _Worker, outcome: Outcome, todo: Iterator[Case], team: list[_Worker]
) -> Iterator[tuple[Case, Outcome]]:
    assert worker.case
    case = worker.case
    if not outcome.broken_by:  # it has to be ended, or has ended itself
        data, names = case.data()
        outcome = Outcome(outcome.kind, outcome.problem, outcome.ms, names, len(data))
        worker.end()
    _next(worker, todo, team)
    yield case, outcome


# Shrinking


def shrink(data: bytes, fails: Callable[[bytes], bool], seconds: float = 60.0) -> bytes:
    """Take out of a page whatever it fails without, for so many seconds at most."""
    end = time.monotonic() + seconds
    size = max(1, len(data) // 2)
    while size >= 1 and time.monotonic() < end:
        at, before = 0, len(data)
        while at < len(data) and time.monotonic() < end:
            shorter = data[:at] + data[at + size :]
            if fails(shorter):
                data = shorter
            else:
                at += size
        # A round that took something out may have made room for another one of the same size.
        if len(data) == before or size > len(data):
            size //= 2
    return data


def replay(path: Path, *, smaller: bool) -> int:
    """Clean a saved page again; it is not ended when it takes long."""
    directory = load_directory()
    data = read_page(path)
    outcome = try_page(data, directory)
    print(f"{path.name}: {outcome.kind} {outcome.problem} {outcome.ms:.0f} ms, {len(data)} bytes")
    if outcome.kind not in _FAILED:
        return 0
    if smaller:
        data = shrink(data, lambda shorter: try_page(shorter, directory).problem == outcome.problem)
        target = path.with_suffix(".small.html")
        target.write_bytes(data)
        print(f"{len(data)} bytes fail in the same way: {target.name}\n{data[:500]!r}")
    return 1


# The report


def table(results: Sequence[tuple[Case, Outcome]], seconds: float) -> str:
    """Write the counts, the times, the slowest pages and the faults."""
    kinds = Counter(outcome.kind for _, outcome in results)
    times = sorted(outcome.ms for _, outcome in results)
    lines = [
        f"{len(results)} broken pages in {seconds:.0f} s with {WORKERS} processes",
        "",
        "| outcome | pages |",
        "|---|---|",
    ]
    lines += [f"| {kind} | {kinds[kind]} |" for kind in ("cleaned", "refused", *_FAILED)]
    lines += ["", f"p50 {statistics.median(times):.0f} ms, p99 {times[int(0.99 * (len(times) - 1))]:.0f} ms, "
              f"slowest {times[-1]:.0f} ms (limit {1000 * LIMIT:.0f} ms) of processor time"]  # fmt: skip
    lines += ["", "| slowest | ms | bytes | broken by |", "|---|---|---|---|"]
    for case, outcome in sorted(results, key=lambda result: -result[1].ms)[:SLOWEST]:
        lines.append(f"| {case.name} | {outcome.ms:.0f} | {outcome.size} | {', '.join(outcome.broken_by)} |")
    faults = Counter((outcome.kind, outcome.problem) for _, outcome in results if outcome.kind in _FAILED)
    if faults:
        lines += ["", "| fault | pages |", "|---|---|"]
        lines += [f"| {kind}: {problem} | {count} |" for (kind, problem), count in faults.most_common()]
    return "\n".join(lines)


def main() -> None:
    """Parse, break and clean, or clean one page again."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fuzz_cleaning", description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, help="a folder with more pages (.html, .html.gz)")
    parser.add_argument("--pages", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--failures", type=Path, default=ROOT / "benchmarks" / "results" / "fuzz", help="where failing pages are saved"
    )
    parser.add_argument("--replay", type=Path, metavar="FILE", help="clean a saved page again")
    parser.add_argument("--shrink", action="store_true", help="with --replay: cut the page down")
    given = parser.parse_args()
    if given.replay:
        sys.exit(replay(given.replay, smaller=given.shrink))
    began = time.monotonic()
    results: list[tuple[Case, Outcome]] = []
    for case, outcome in run(cases(pages_of(given.data), given.pages, given.seed)):
        results.append((case, outcome))
        if outcome.kind in _FAILED:
            given.failures.mkdir(parents=True, exist_ok=True)
            (given.failures / f"{outcome.kind}-{case.name}.html").write_bytes(case.data()[0])
            print(f"{outcome.kind}: {outcome.problem} [{case.name}]", file=sys.stderr)
        if len(results) % 500 == 0:
            print(f"{len(results)} pages, {time.monotonic() - began:.0f} s", file=sys.stderr)
    print(table(results, time.monotonic() - began))
    sys.exit(any(outcome.kind in _FAILED for _, outcome in results))


if __name__ == "__main__":
    main()
