"""What is left of an ingest that is killed with -9, again and again, and of one whose disk is full.

    python -m benchmarks.kill [--kills 50] [--pages 400] [--seed 1] [--build-kills 10] [--json FILE]

`citedesk ingest` runs over a generated site and is killed at random moments with all processes that it started; it is run again
and killed again, and once it ends by itself its home is compared with that of an undisturbed run. Then its crawler alone is killed,
a worker alone, and `citedesk build`; and it runs on a disk that is too small (a tmpfs where it may be mounted, else with a
limit on the size of files), then with more room. Exits with 1 on any fault.
"""

import argparse
import hashlib
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.memory import family, role_of
from benchmarks.site import HelpCentre, ServedSite, served
from ingest.archive import Archive
from ingest.article import IngestError
from ingest.store import CorpusStore
from ingest.warc import Capture, read_warc

ROOT = Path(__file__).parents[1]
#: Share of the kills that may fall while the ingest starts; all others fall once its crawler has started.
EARLY = 0.2
#: Seconds from the start within which an early kill falls, and a kill of a build.
FIRST, LAST = 0.2, 6.0
#: Share of the time of an undisturbed ingest within which a kill falls.
SPAN = 0.4
#: Pages of the site that is built from.
BUILD_PAGES = 30
#: Sizes of the disk in KiB; each fills at another place: in the archive, in the store, in grouping.
DISKS = (600, 1_500, 3_000, 4_500)
LONGEST = 900


@dataclass(slots=True)
class Trial:
    """One way of being disturbed.

    :ivar disturbed: How often it was.
    :ivar homes: Homes that were checked once it was over.
    :ivar faults: What was not as it should be.
    """

    name: str
    disturbed: int = 0
    homes: int = 0
    seconds: float = 0.0
    moments: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def check(self, right: bool, fault: str) -> bool:
        """Note a fault where something is not right."""
        if not right:
            self.faults.append(fault)
        return right


@dataclass(frozen=True, slots=True)
class Content:
    """What a home has to hold, by address: digests of the articles and of the pages' bodies."""

    articles: dict[str, str]
    pages: dict[str, str]


@dataclass(frozen=True, slots=True)
class Ended:
    """How a process ended."""

    code: int
    errors: str
    output: str
    seconds: float


# What a home holds


def content(home: Path) -> Content:
    """Read what a home holds."""
    with CorpusStore(home / "corpus.sqlite") as store:
        db = store.database.connection
        articles = dict(db.execute("SELECT url, digest FROM articles WHERE status = 'active'").fetchall())
        pages = dict(db.execute("SELECT url, digest FROM pages").fetchall())
    return Content(articles, pages)


def faults_of(home: Path, wanted: Content) -> Iterator[str]:
    """Say what is wrong with a home after an ingest that came to its end."""
    found = content(home)
    yield from _differences("article", wanted.articles, found.articles)
    yield from _differences("page", wanted.pages, found.pages)
    with CorpusStore(home / "corpus.sqlite") as store:
        db = store.database.connection
        whole = db.execute("PRAGMA integrity_check").fetchone()[0]
        if whole != "ok":
            yield f"integrity_check: {whole}"
        for question, right in _COUNTS.items():
            count = db.execute(question).fetchone()[0]
            if count != right(len(wanted.articles)):
                yield f"{question}: {count}"
        archive = Archive(home / "pages")
        for page in store.state().pages("site"):
            yield from _unreadable(archive, page.url, page.digest, page.location)
        known = store.state().archive_lengths()
    yield from _archive_faults(home / "pages", known, wanted)


_COUNTS: dict[str, Callable[[int], int]] = {
    "SELECT count(*) FROM articles": lambda pages: pages,
    "SELECT count(*) FROM events WHERE kind = 'added'": lambda pages: pages,
    "SELECT count(*) FROM events": lambda pages: pages,
    "SELECT count(*) FROM signatures": lambda pages: pages,
    "SELECT count(*) FROM ungrouped": lambda _: 0,
    "SELECT count(*) FROM frontier": lambda _: 0,
    "SELECT count(*) FROM runs WHERE finished IS NULL OR NOT complete": lambda _: 0,
}


def _differences(what: str, wanted: dict[str, str], found: dict[str, str]) -> Iterator[str]:
    for url in sorted(wanted.keys() | found.keys()):
        if wanted.get(url) != found.get(url):
            how = "is lost" if url not in found else "is too much" if url not in wanted else "is another"
            yield f"{what} {how}: {url}"


def _unreadable(archive: Archive, url: str, digest: str | None, location: object) -> Iterator[str]:
    try:
        capture = archive.read(location)  # type: ignore[arg-type]
    except (IngestError, AttributeError) as error:
        yield f"{url}: {error}"
        return
    if capture.url != url or hashlib.sha256(capture.body).hexdigest() != digest:
        yield f"{url}: the archive holds something else there"


def _archive_faults(folder: Path, known: Mapping[str, int], wanted: Content) -> Iterator[str]:
    """Read the archive's files as WARC from end to end: each page once, nothing damaged.

    A file of which the database knows nothing is none of this archive's.
    """
    held: Counter[str] = Counter()
    for path in Archive(folder).files():
        if path.name not in known:
            continue
        for record in read_warc(path):
            if isinstance(record, Capture):
                held[record.url] += 1
            else:
                yield f"{path.name}: {record}"
    more = {url: count for url, count in held.items() if count != 1 or url not in wanted.pages}
    if more or len(held) != len(wanted.pages):
        yield f"the archive holds {len(held)} of {len(wanted.pages)} pages, {len(more)} of them more than once: {list(more)[:3]}"


# Running


class Running:
    """A citedesk command that runs."""

    def __init__(self, *command: str, home: Path, limit: Callable[[], None] | None = None) -> None:
        self._began = time.monotonic()
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115  (closed by `_close`)
        self._output = tempfile.TemporaryFile("w+")  # noqa: SIM115
        self.process = subprocess.Popen(
            [sys.executable, "-m", "service.cli", *command, "--home", str(home)],
            cwd=ROOT, stdout=self._output, stderr=self._errors, stdin=subprocess.DEVNULL, preexec_fn=limit,
        )  # fmt: skip

    def wait(self, seconds: float = LONGEST) -> Ended:
        """Wait for its end."""
        code = self.process.wait(seconds)
        said = []
        for file in (self._errors, self._output):
            file.seek(0)
            said.append(file.read())
        self._close()
        return Ended(code, said[0], said[1], time.monotonic() - self._began)

    def ends_within(self, seconds: float) -> bool:
        """Wait so long, and say whether it has ended by then."""
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(seconds)
        return self.process.poll() is not None

    def kill_all(self) -> int:
        """Kill it and all processes that it started; give how many."""
        pids = family(self.process.pid)
        for pid in pids:
            _kill(pid)
        for pid in pids[1:]:
            _wait_for_end(pid)
        self.process.wait()
        self._close()
        return len(pids)

    def _close(self) -> None:
        for file in (self._errors, self._output):
            file.close()

    def find(self, role: str, seconds: float) -> int | None:
        """Wait until it has a process of a role, and give the first of them; None if it ends, or the time is over."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and self.process.poll() is None:
            for pid in family(self.process.pid)[1:]:
                if role_of(pid) == role:
                    return pid
            time.sleep(0.02)
        return None

    def kill_one(self, role: str) -> bool:
        """Kill the first of its processes of a role; say whether there was one."""
        pid = self.find(role, LAST)
        if pid is not None:
            _kill(pid)
        return pid is not None


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _wait_for_end(pid: int) -> None:
    """Wait until a process that is not ours is gone or only waits to be collected."""
    for _ in range(500):
        try:
            state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
        except OSError:
            return
        if state in "ZX":
            return
        time.sleep(0.01)


def ingesting(sources: Path, home: Path, limit: Callable[[], None] | None = None) -> Running:
    """Start an ingest."""
    return Running("ingest", str(sources), home=home, limit=limit)


# The trials


def killed(
    trial: Trial, kills: int, sources: Path, work: Path, wanted: Content, draw: random.Random, seconds: float = LAST
) -> None:
    """Kill everything at random moments, and check each home once an ingest came to its end in it.

    :param seconds: That an ingest takes which is not killed.
    """
    home, had = work / "killed-0", 0
    while trial.disturbed < kills:
        running = ingesting(sources, home)
        if draw.random() < EARLY:
            over = running.ends_within(draw.uniform(FIRST, LAST / 3))
        else:
            running.find("crawler", LONGEST)
            over = running.ends_within(draw.uniform(0, SPAN * seconds))
        if over:
            _over(trial, running.wait(), home, wanted)
            home, had = work / f"killed-{trial.homes}", 0
            continue
        trial.moments[f"{running.kill_all()} processes"] += 1
        trial.disturbed += 1
        had = _kept(trial, home, had)
    _over(trial, ingesting(sources, home).wait(), home, wanted)


def _kept(trial: Trial, home: Path, had: int) -> int:
    """Check a home that was just left by a killed ingest: nothing that it had is missing."""
    path = home / "corpus.sqlite"
    if not path.exists():
        return 0
    with CorpusStore(path) as store:
        db = store.database.connection
        trial.check(db.execute("PRAGMA integrity_check").fetchone()[0] == "ok", f"{home.name}: damaged after a kill")
        count = int(db.execute("SELECT count(*) FROM articles WHERE status = 'active'").fetchone()[0])
    trial.check(count >= had, f"{home.name}: had {had} articles, and {count} after a kill")
    return count


def _over(trial: Trial, ended: Ended, home: Path, wanted: Content) -> None:
    trial.homes += 1
    if trial.check(ended.code == 0, f"{home.name}: exit code {ended.code}: {ended.errors[-500:]}{ended.output[-300:]}"):
        trial.faults += [f"{home.name}: {fault}" for fault in faults_of(home, wanted)]
    shutil.rmtree(home, ignore_errors=True)


def crawler_killed(trial: Trial, sources: Path, work: Path, wanted: Content, draw: random.Random) -> None:
    """Kill the crawler alone: the ingest ends and says so, and the next one goes on."""
    home = work / "crawler"
    running = ingesting(sources, home)
    running.find("crawler", LONGEST)
    time.sleep(draw.uniform(0.5, 1.0))
    trial.disturbed += running.kill_one("crawler")
    ended = running.wait()
    said = ended.output + ended.errors
    trial.check(ended.code != 0, "crawler killed: exit code 0")
    trial.check("again to go on" in said and "Traceback" not in said, f"crawler killed: it said {said[-300:]!r}")
    _over(trial, ingesting(sources, home).wait(), home, wanted)


def worker_killed(trial: Trial, sources: Path, work: Path, wanted: Content, draw: random.Random) -> None:
    """Kill a worker alone, several times: the ingest goes on with another one."""
    home = work / "worker"
    running = ingesting(sources, home)
    for _ in range(3):
        running.find("worker", LONGEST)
        time.sleep(draw.uniform(0.2, 1.5))
        trial.disturbed += running.kill_one("worker")
    _over(trial, running.wait(), home, wanted)


def build_killed(trial: Trial, kills: int, site: ServedSite, sources: Path, work: Path, draw: random.Random) -> None:
    """Kill builds at random moments: what is published stays whole, and a build that is not killed publishes the corpus."""
    from index.snapshot import SnapshotShelf

    home = work / "built"
    ingesting(sources, home).wait()
    Running("build", "--encoder", "minilm", home=home).wait()
    longest = LAST
    while trial.disturbed < kills:
        site.mutate(changed=0.1)
        ingesting(sources, home).wait()
        while True:
            began, running = time.monotonic(), Running("build", "--encoder", "minilm", home=home)
            over = running.ends_within(draw.uniform(FIRST, longest))
            if over or trial.disturbed >= kills:
                break
            trial.moments[f"{running.kill_all()} processes"] += 1
            trial.disturbed += 1
            _verified(trial, SnapshotShelf(home).folder.parent)
        ended = running.wait()
        longest = min(longest, 0.2 + time.monotonic() - began) if over else longest
        trial.homes += 1
        trial.check(ended.code == 0, f"build: exit code {ended.code}: {ended.errors[-500:]}")
        _verified(trial, home)


def _verified(trial: Trial, home: Path) -> None:
    ended = Running("snapshots", "verify", home=home).wait()
    trial.check(ended.code == 0, f"after a killed build: {ended.output[-300:]}{ended.errors[-300:]}")


def disk_full(trial: Trial, sources: Path, work: Path, wanted: Content) -> None:
    """Ingest where the disk is too small, then where there is room."""
    for size in DISKS:
        with small_disk(work / f"disk-{size}", size) as (home, limit, grow):
            ended = ingesting(sources, home, limit).wait()
            trial.disturbed += ended.code != 0
            said = ended.errors[-600:]
            trial.check(ended.code == 2, f"{size} KiB: exit code {ended.code}: {said}{ended.output[-300:]}")
            clear = "make room" in said or "check the disk" in said
            trial.check(clear and "Traceback" not in said, f"{size} KiB: it said {said!r}")
            grow()
            _over(trial, ingesting(sources, home).wait(), home, wanted)


@contextmanager
def small_disk(folder: Path, size: int) -> Iterator[tuple[Path, Callable[[], None] | None, Callable[[], None]]]:
    """Make a folder of so many KiB; give a home there, what limits a process where it is not the disk, and what makes room.

    Only root may mount; where it cannot be done, no file of the ingest may grow beyond half of that.
    """
    folder.mkdir()
    if not _mounted("-t", "tmpfs", "-o", f"size={size}k", "tmpfs", str(folder)):
        limit = size * 512

        def limited() -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

        yield folder / "home", limited, lambda: None
        return
    try:
        yield folder / "home", None, lambda: _room(folder)
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def _room(folder: Path) -> None:
    if not _mounted("-o", "remount,size=256m", str(folder)):
        raise RuntimeError(f"{folder}: could not be enlarged")


def _mounted(*options: str) -> bool:
    try:
        return subprocess.run(["mount", *options], capture_output=True).returncode == 0
    except OSError:
        return False


def measure(
    kills: int, pages: int, seed: int, build_kills: int, work: Path, told: Callable[[Trial], None] = lambda _: None
) -> list[Trial]:
    """Do all trials."""
    draw = random.Random(seed)
    trials = []

    @contextmanager
    def trial(name: str) -> Iterator[Trial]:
        began, made = time.perf_counter(), Trial(name)
        yield made
        made.seconds = time.perf_counter() - began
        trials.append(made)
        told(made)

    with served(HelpCentre(pages, seed)) as site:
        sources = _sources(work / "sources.toml", site)
        with trial("undisturbed") as done:
            ended = ingesting(sources, work / "reference").wait()
            wanted = content(work / "reference")
            live = {site.url + path for path in site.live()}
            done.check(
                ended.code == 0 and wanted.articles.keys() == live, f"exit code {ended.code}: {ended.errors[-500:]}"
            )
            done.faults += faults_of(work / "reference", wanted)
            done.homes = 1
            took = ended.seconds
        with trial("all killed") as done:
            killed(done, kills, sources, work, wanted, draw, took)
        with trial("the crawler killed") as done:
            crawler_killed(done, sources, work, wanted, draw)
        with trial("workers killed") as done:
            worker_killed(done, sources, work, wanted, draw)
        with trial("disk full") as done:
            disk_full(done, sources, work, wanted)
    if build_kills:
        with served(HelpCentre(BUILD_PAGES, seed)) as site, trial("the build killed") as done:
            build_killed(done, build_kills, site, _sources(work / "build.toml", site), work, draw)
    return trials


def _sources(path: Path, site: ServedSite) -> Path:
    path.write_text(
        f'[[source]]\nname = "site"\nsitemap = "{site.sitemap}"\nallow_private = true\ndelay = 0\n', encoding="utf-8"
    )
    return path


def show(trials: list[Trial], console: Console) -> None:
    """Print the table and every fault."""
    table = Table()
    for number, column in enumerate(("", "disturbed", "homes checked", "faults", "seconds")):
        table.add_column(column, justify="right" if number else "left")
    for trial in trials:
        cells = (trial.disturbed, trial.homes, len(trial.faults), round(trial.seconds))
        table.add_row(trial.name, *(str(cell) for cell in cells))
    console.print(table)
    for trial in trials:
        for fault in trial.faults[:20]:
            console.print(f"{trial.name}: {fault}", style="red", highlight=False, markup=False)


def main() -> None:
    """Parse, disturb, print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kill", description=__doc__.split("\n")[0])
    parser.add_argument("--kills", type=int, default=50, help="of whole ingests")
    parser.add_argument("--pages", type=int, default=400)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--build-kills", type=int, default=10, help="of builds; 0 leaves them out")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all that was found there")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        trials = measure(
            given.kills, given.pages, given.seed, given.build_kills, Path(folder),
            lambda trial: print(f"{trial.name}: {asdict(trial)}", file=sys.stderr, flush=True),
        )  # fmt: skip
    show(trials, Console(width=200 if not sys.stdout.isatty() else None))
    if given.json:
        given.json.write_text(json.dumps([asdict(trial) for trial in trials], indent=2) + "\n", encoding="utf-8")
    sys.exit(1 if any(trial.faults for trial in trials) else 0)


if __name__ == "__main__":
    main()
