"""A crawl of one web source in a process of its own.

`start_crawl` starts it; all that it finds goes into the home's database and archive, where `CrawlState.progress` and
`CrawlState.uncleaned` show it while the crawl goes on. A process of its own, since Twisted's reactor runs once in a
process, and since what a hostile site does to it then happens to it alone.
"""

import asyncio
import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TextIO

from ingest.archive import Archive
from ingest.article import IngestError
from ingest.database import Database
from ingest.guard import Guard, table_lookup
from ingest.politeness import Patience, user_agent
from ingest.sources import WebSource
from ingest.state import CrawlState, Run

#: Bytes of log that one crawl may write, and above which the file is begun anew.
LARGEST_LOG = 5_000_000
#: Seconds between two looks whether the process that started the crawl still lives.
_LOOK = 0.5
#: Seconds that a crawl gets to end when it is asked to, before it is killed.
_LONGEST_END = 10.0
#: Exit codes: the crawl could not go on, or it was asked to stop.
BROKEN, STOPPED = 1, 143

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Network:
    """What a crawl may do on the network beside what its source says; only tests say anything here.

    :ivar exempt: (IP address, port) of services that may be reached though they are not public.
    :ivar names: Addresses of hosts, asked for rather than the system's resolver.
    """

    exempt: tuple[tuple[str, int], ...] = ()
    names: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Crawl:
    """A crawl that was started.

    :ivar log: Where its process writes what is worth a look.
    """

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def returncode(self) -> int | None:
        """The exit code; None while the crawl goes on."""
        return self.process.returncode

    def poll(self) -> int | None:
        """Look whether the crawl has ended, and give its exit code; None while it goes on."""
        return self.process.poll()

    def stop(self) -> None:
        """Have it ended, within some seconds; what was under way is asked for again by the next run."""
        if self.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(_LONGEST_END)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def problem(self) -> str | None:
        """Say why it ended before its time; None while it runs and where it ended by itself."""
        code = self.poll()
        if not code:
            return None
        if code == BROKEN:
            with suppress(OSError):
                last = self.log.read_text(encoding="utf-8", errors="replace")[-2_000:].strip().rpartition("\n")[2]
                if last:
                    return last.partition(" ERROR ")[2] or last
            return f"the crawl could not go on, nor write into {self.log}; make room on the disk, then run again"
        how = "was stopped" if code == STOPPED else f"ended with code {code}"
        return f"the crawl {how}; run again to go on with it, {self.log} may say more"


def start_crawl(
    source: WebSource, home: Path, run: Run, *, patience: Patience | None = None, network: Network | None = None
) -> Crawl:
    """Start a crawl of a source, or go on with one, and return at once.

    The process ends by itself with exit code 0 when the queue is empty or a bound is reached: `CrawlState.verdict` then
    says whether all was listed. Any other code says that it ended early, `BROKEN` and `STOPPED` among them; the run
    can be gone on with. It ends too when its parent does.

    :param home: The folder with corpus.sqlite and pages/.
    :param run: As `CrawlState.begin` gave it.
    :raises IngestError: The source's contact cannot be sent, there is no browser for it, or the log cannot be written.
    """
    try:
        user_agent(source.contact)
        if source.javascript:
            from ingest.javascript import find_browser

            find_browser()
    except (ValueError, IngestError) as error:
        raise IngestError(f"{source.name}: {error}") from error
    task = {
        "home": str(home.resolve()), "parent": os.getpid(), "run": asdict(run),
        "source": asdict(source), "patience": asdict(patience or Patience()), "network": asdict(network or Network()),
    }  # fmt: skip
    path = home / "logs" / "crawl.log"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_file() and path.stat().st_size > LARGEST_LOG:
            path.replace(path.with_suffix(".log.1"))
        with path.open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "ingest.crawl"],
                stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=output,
                cwd=Path(__file__).parents[1], start_new_session=True,
            )  # fmt: skip
    except OSError as error:
        raise IngestError(
            f"{path}: cannot be written ({error.strerror}); make room or choose another --home"
        ) from error
    assert process.stdin
    with suppress(BrokenPipeError):  # it ended at once: `Crawl.problem` says why
        process.stdin.write(json.dumps(task).encode())
        process.stdin.close()
    return Crawl(process, path)


def main() -> int:
    """Do the crawl that stands on standard input."""
    task = json.load(sys.stdin)
    try:
        return 0 if _crawl(task) else STOPPED
    except IngestError as error:
        log.error("%s", error)
        return BROKEN
    except Exception as error:
        log.exception("the crawl of %s broke", task["source"]["name"])
        log.error("%s: %s", type(error).__name__, error)
        return BROKEN


def _crawl(task: dict[str, Any]) -> bool:
    """Do a crawl; say whether it came to its end rather than being stopped."""
    from scrapy.crawler import AsyncCrawlerProcess  # loads Twisted, which the parent need not

    from ingest.fetch import Connection, settings_of
    from ingest.javascript import browser_settings
    from ingest.walk import Walk

    source, run, home = _source(task["source"]), Run(**task["run"]), Path(task["home"])
    patience = Patience(**task["patience"])
    network = task["network"]
    guard = Guard(
        allow_private=source.allow_private,
        exempt=[(address, port) for address, port in network["exempt"]],
        lookup=table_lookup(network["names"]) if network["names"] else None,
    )
    database = Database(home / "corpus.sqlite")
    ended: list[bool | Exception] = []
    with Archive(home / "pages") as archive:
        walk = Walk(source, run, CrawlState(database), archive, guard, patience)

        async def work(crawler: Any) -> None:  # noqa: ANN401  (Scrapy's type would load it)
            try:
                ended.append(await _until_stopped(walk(crawler), task["parent"]))
            except Exception as error:
                ended.append(error)

        settings = settings_of(source, patience) | (browser_settings() if source.javascript else {})
        process = AsyncCrawlerProcess(settings)
        _log_to(sys.stderr)  # after Scrapy has set up its own
        process.crawl(Connection, work)
        process.start(install_signal_handlers=False)
    database.close()
    if not ended:
        raise RuntimeError("Scrapy did not start")
    if isinstance(ended[0], Exception):
        raise ended[0]
    return ended[0]


async def _until_stopped(work: Coroutine[Any, Any, None], parent: int) -> bool:
    """Work until it is done, a signal asks to stop, or the parent is gone; say whether it is done."""
    task = asyncio.ensure_future(work)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)

    def look() -> None:
        if os.getppid() != parent:
            task.cancel()
        elif not task.done():
            loop.call_later(_LOOK, look)

    look()
    try:
        await task
    except asyncio.CancelledError:
        return False
    return True


def _source(fields: dict[str, Any]) -> WebSource:
    """Make a source of what came as JSON, which knows no tuples."""
    values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in fields.items()}
    return WebSource(**values)


def _log_to(stream: TextIO) -> None:
    """Write warnings of the crawl, and errors of Scrapy, up to the largest log."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    written = 0

    def fits(record: logging.LogRecord) -> bool:
        nonlocal written
        written += len(record.getMessage()) + 100
        return written < LARGEST_LOG

    handler.addFilter(fits)
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    for name in ("scrapy", "scrapy-playwright", "twisted"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # a hostile answer is no news, and `Answer.error` names it


if __name__ == "__main__":
    sys.exit(main())
