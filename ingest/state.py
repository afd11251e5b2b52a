"""The crawl state: what a run has found and still has to fetch, and what is known of every page.

Two queues make a run safe from being killed: ``frontier`` holds what is to be fetched, and a page without
``cleaned`` what is to be cleaned. Both are emptied in the transaction that stores the outcome.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from ingest.archive import Location
from ingest.database import Database

#: What a queued address is expected to be: a page of the corpus, or a list that names pages.
QueueKind = Literal["page", "start", "sitemap", "feed", "zendesk"]
#: fetched: a new or changed body; unchanged: as it was; moved: a redirect; missing: 404 or 410; failed: an error that
#: may pass; refused: not to be fetched (robots.txt, a private address, a bound); listed: a list was read.
Outcome = Literal["fetched", "unchanged", "moved", "missing", "failed", "refused", "listed"]


@dataclass(frozen=True, slots=True)
class Run:
    """One run over one source.

    :ivar started: ISO 8601 time, UTC.
    :ivar events: The number of the last event before it.
    :ivar resumed: The run before was stopped or killed, and this goes on with it.
    """

    id: int
    source: str
    started: str
    resumed: bool
    events: int = 0


@dataclass(frozen=True, slots=True)
class Found:
    """An address to be fetched in this run.

    :ivar depth: Links or lists between the start and it.
    :ivar lastmod: When the site's own list says that it changed last.
    """

    url: str
    kind: QueueKind = "page"
    depth: int = 0
    lastmod: str | None = None


@dataclass(frozen=True, slots=True)
class Queued:
    """An address that waits, with its number in the queue."""

    number: int
    found: Found


@dataclass(frozen=True, slots=True)
class PageState:
    """What is known of a page of a source.

    :ivar run: The last run that met it.
    :ivar status: Its last HTTP status; None for a file, 0 where there was no answer.
    :ivar failures: Runs in a row that could not read it.
    :ivar lastmod: What the site's list said when it was last fetched.
    :ivar location: Where its body is in the archive; None for a file.
    :ivar cleaned: What the article was made from (digest of the body) and with (fingerprint of the cleaning), or None.
    :ivar problem: Why no article came of it.
    """

    source: str
    url: str
    run: int
    status: int | None = None
    error: str | None = None
    failures: int = 0
    moved_to: str | None = None
    etag: str | None = None
    modified: str | None = None
    lastmod: str | None = None
    fetched: str | None = None
    digest: str | None = None
    location: Location | None = None
    cleaned: str | None = None
    article_id: str | None = None
    problem: str | None = None
    gone: bool = False


_COLUMNS = (
    'source, url, run, status, error, failures, moved_to, etag, modified, lastmod, fetched, digest, file, "offset", '
    "length, cleaned, article_id, problem, gone"
)

_FIELDS = (
    "source", "url", "run", "status", "error", "failures", "moved_to", "etag", "modified", "lastmod", "fetched", "digest",
)  # fmt: skip
# A page that answers, but of which no article could be made, goes on failing while it stays as it is.
_FAILURES = "CASE WHEN problem IS NULL THEN 0 ELSE failures + 1 END"


class CrawlState:
    """The crawl state of one home; every method that writes is a transaction, or a part of the one around it."""

    def __init__(self, database: Database) -> None:
        self.database = database

    # Runs

    def begin(self, source: str, scope: str, settings: str) -> Run:
        """Begin a run over a source, or go on with the one that was not finished, if it reads the same.

        :param scope: The settings that decide what a run reads, as text.
        :param settings: All settings, as text; kept so that the source can be cleaned again without being named.
        """
        with self.database.transaction() as db:
            db.execute(
                "INSERT INTO sources (name, settings) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET settings = ?2",
                (source, settings),
            )
            row = db.execute(
                "SELECT id, settings, finished, started, events FROM runs WHERE source = ? ORDER BY id DESC LIMIT 1",
                (source,),
            ).fetchone()
            if row and row[2] is None and row[1] == scope:
                return Run(row[0], source, row[3], resumed=True, events=row[4])
            db.execute("DELETE FROM frontier WHERE run IN (SELECT id FROM runs WHERE source = ?)", (source,))
            started = now()
            events = db.execute("SELECT coalesce(max(id), 0) FROM events").fetchone()[0]
            number = db.execute(
                "INSERT INTO runs (source, settings, started, events) VALUES (?, ?, ?, ?)",
                (source, scope, started, events),
            ).lastrowid
        assert number is not None
        return Run(number, source, started, resumed=False, events=events)

    def archived_sources(self) -> dict[str, str]:
        """Give the sources that have pages in the archive, with their settings as text."""
        return dict(
            self.database.connection.execute(
                "SELECT name, settings FROM sources WHERE name IN (SELECT source FROM pages WHERE file IS NOT NULL)"
            ).fetchall()
        )

    def finish(self, run: Run, *, complete: bool, reason: str = "") -> None:
        """End a run.

        :param complete: All that the source has was listed, so that what was not met is gone.
        :param reason: Why it is not complete.
        """
        with self.database.transaction() as db:
            db.execute(
                "UPDATE runs SET finished = ?, complete = ?, reason = ? WHERE id = ?",
                (now(), complete, reason, run.id),
            )
            db.execute("DELETE FROM frontier WHERE run = ?", (run.id,))

    def judge(self, run: Run, *, complete: bool, reason: str = "") -> None:
        """Note whether the run listed all that the source has, and if not why; the run is not finished by that."""
        with self.database.transaction() as db:
            db.execute("UPDATE runs SET complete = ?, reason = ? WHERE id = ?", (complete, reason, run.id))

    def verdict(self, run: Run) -> tuple[bool, str]:
        """Give what `judge` noted: whether all was listed, and the reason if not."""
        row = self.database.connection.execute("SELECT complete, reason FROM runs WHERE id = ?", (run.id,)).fetchone()
        return bool(row[0]), row[1] or ""

    def hold(self, source: str, why: str | None) -> None:
        """Hold a source back, so that nothing is built, or let it go with None."""
        with self.database.transaction() as db:
            db.execute("UPDATE sources SET held = ? WHERE name = ?", (why, source))
            if why is None:
                db.execute(
                    "UPDATE sources SET settled = (SELECT coalesce(max(id), 0) FROM events) WHERE name = ?", (source,)
                )

    # The queue of what is to be fetched

    def add(self, run: Run, found: Iterable[Found]) -> int:
        """Queue addresses; those that the run has met already are passed over. Gives how many are new."""
        before = self.database.connection.total_changes
        with self.database.transaction() as db:
            db.executemany(
                "INSERT OR IGNORE INTO frontier (run, url, kind, depth, lastmod) VALUES (?, ?, ?, ?, ?)",
                ((run.id, f.url, f.kind, f.depth, f.lastmod) for f in found),
            )
        return self.database.connection.total_changes - before

    def waiting(self, run: Run, *, after: int, most: int) -> list[Queued]:
        """Give what waits in the queue behind the number ``after``, in order."""
        rows = self.database.connection.execute(
            "SELECT id, url, kind, depth, lastmod FROM frontier WHERE run = ? AND id > ? AND outcome IS NULL "
            "ORDER BY id LIMIT ?",
            (run.id, after, most),
        )
        return [Queued(number, Found(url, kind, depth, lastmod)) for number, url, kind, depth, lastmod in rows]

    def settle(self, run: Run, url: str, outcome: Outcome) -> None:
        """Take an address out of the queue."""
        with self.database.transaction() as db:
            db.execute("UPDATE frontier SET outcome = ? WHERE run = ? AND url = ?", (outcome, run.id, url))

    def progress(self, run: Run) -> dict[str, int]:
        """Count the addresses of a run by outcome; ``waiting`` are those without one."""
        rows = self.database.connection.execute(
            "SELECT coalesce(outcome, 'waiting'), count(*) FROM frontier WHERE run = ? GROUP BY 1", (run.id,)
        )
        return dict(rows.fetchall())

    def errors(self, run: Run) -> Iterator[str]:
        """Give a line for every page that this run could not read, or was not allowed to."""
        rows = self.database.connection.execute(
            "SELECT p.url, p.error FROM frontier f JOIN pages p ON p.source = ? AND p.url = f.url WHERE f.run = ? "
            "AND f.outcome IN ('failed', 'refused') ORDER BY f.id",
            (run.source, run.id),
        )
        for url, error in rows:
            yield error if error and url in error else f"{url}: {error}"

    # What is known of the pages

    def page(self, source: str, url: str) -> PageState | None:
        """Give what is known of a page."""
        return next(self._pages("WHERE source = ? AND url = ?", (source, url)), None)

    def pages(self, source: str) -> Iterator[PageState]:
        """Give all pages of a source in the order of their addresses."""
        return self._pages("WHERE source = ? ORDER BY url", (source,))

    def pages_of(self, article_id: str) -> list[PageState]:
        """Give the pages that an article was made from."""
        return list(self._pages("WHERE article_id = ? ORDER BY source, url", (article_id,)))

    def uncleaned(self, source: str, most: int) -> list[PageState]:
        """Give pages whose archived body is to be cleaned."""
        return list(self._pages("WHERE source = ? AND cleaned IS NULL AND file IS NOT NULL LIMIT ?", (source, most)))

    def moved_here(self, source: str, url: str) -> list[PageState]:
        """Give the pages that redirect to an address."""
        return list(self._pages("WHERE source = ? AND moved_to = ?", (source, url)))

    def captured(
        self, run: Run, url: str, *, status: int | None, digest: str, fetched: str, etag: str | None = None,
        modified: str | None = None, lastmod: str | None = None, location: Location | None = None,
    ) -> bool:  # fmt: skip
        """Note that a page's body was read; a body of another digest is to be cleaned. Says whether it is another."""
        with self.database.transaction() as db:
            old = db.execute(
                "SELECT digest FROM pages WHERE source = ? AND url = ? AND (file IS NOT NULL OR ?)",
                (run.source, url, location is None),
            ).fetchone()
            changed = old is None or old[0] != digest
            self._clean_if_gone(db, run.source, url)
            values = (run.id, status, etag, modified, lastmod, fetched, digest)
            db.execute(
                "INSERT INTO pages (source, url, run, status, etag, modified, lastmod, fetched, digest) "
                "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT DO UPDATE SET run = ?3, status = ?4, etag = ?5, "
                "modified = ?6, lastmod = ?7, fetched = ?8, digest = ?9, error = NULL, moved_to = NULL, gone = 0, failures = "
                f"{_FAILURES}",
                (run.source, url, *values),
            )
            if changed:
                where = (location.file, location.offset, location.length) if location else (None, None, None)
                db.execute(
                    'UPDATE pages SET file = ?, "offset" = ?, length = ?, cleaned = NULL WHERE source = ? AND url = ?',
                    (*where, run.source, url),
                )
            if location:
                db.execute(
                    "INSERT INTO archive VALUES (?1, ?2) ON CONFLICT DO UPDATE SET length = max(length, ?2)",
                    (location.file, location.offset + location.length),
                )
            self.settle(run, url, "fetched" if changed else "unchanged")
        return changed

    def unchanged(self, run: Run, url: str, *, lastmod: str | None = None, fetched: str | None = None) -> None:
        """Note that a page is as it was: the server says so, or its list (then ``fetched`` is None)."""
        with self.database.transaction() as db:
            self._clean_if_gone(db, run.source, url)
            db.execute(
                "UPDATE pages SET run = ?, lastmod = coalesce(?, lastmod), fetched = coalesce(?, fetched), "
                f"failures = {_FAILURES}, error = NULL, "
                "moved_to = NULL, gone = 0 WHERE source = ? AND url = ?",
                (run.id, lastmod, fetched, run.source, url),
            )
            self.settle(run, url, "unchanged")

    def _clean_if_gone(self, db: sqlite3.Connection, source: str, url: str) -> None:
        """Have a page cleaned that is back, so that its article comes back, too."""
        db.execute("UPDATE pages SET cleaned = NULL WHERE source = ? AND url = ? AND gone", (source, url))

    def moved(self, run: Run, url: str, to: str, *, status: int) -> None:
        """Note that a page redirects; what it redirects to is queued beside."""
        self._note(run, url, "moved", status=status, moved_to=to)

    def missing(self, run: Run, url: str, *, status: int) -> None:
        """Note that a page is not there: 404 or 410."""
        self._note(run, url, "missing", status=status, error=f"HTTP {status}")

    def failed(self, run: Run, url: str, *, status: int, error: str) -> None:
        """Note that a page could not be read, which may pass."""
        self._note(run, url, "failed", status=status, error=error)

    def refused(self, run: Run, url: str, *, error: str) -> None:
        """Note that a page may not be fetched: robots.txt, a private address, a bound."""
        self._note(run, url, "refused", status=0, error=error)

    def _note(
        self,
        run: Run,
        url: str,
        outcome: Outcome,
        *,
        status: int,
        error: str | None = None,
        moved_to: str | None = None,
    ) -> None:
        with self.database.transaction() as db:
            db.execute(
                "INSERT INTO pages (source, url, run, status, error, moved_to, failures) VALUES (?1, ?2, ?3, ?4, ?5, ?6, "
                "?7) ON CONFLICT DO UPDATE SET failures = CASE WHEN run = ?3 THEN failures ELSE failures + ?7 END, "
                "run = ?3, status = ?4, error = ?5, moved_to = ?6",
                (run.source, url, run.id, status, error, moved_to, int(outcome in ("failed", "refused"))),
            )
            self.settle(run, url, outcome)

    def cleaned(self, page: PageState, by: str, *, article_id: str | None, problem: str | None = None) -> None:
        """Note what came of cleaning a page: an article, or a problem.

        :param by: The fingerprint of the cleaning.
        """
        with self.database.transaction() as db:
            db.execute(
                "UPDATE pages SET cleaned = ?, article_id = coalesce(?, article_id), problem = ?, failures = CASE "
                "WHEN ? IS NULL THEN 0 ELSE failures + 1 END WHERE source = ? AND url = ? AND digest = ?",
                (f"{page.digest}:{by}", article_id, problem, problem, page.source, page.url, page.digest),
            )

    def clean_again(self, source: str, by: str | None = None) -> int:
        """Queue every archived page of a source; with a fingerprint, those that were cleaned by another one."""
        with self.database.transaction() as db:
            return db.execute(
                "UPDATE pages SET cleaned = NULL WHERE source = ?1 AND file IS NOT NULL AND cleaned IS NOT NULL "
                "AND NOT gone AND (?2 IS NULL OR cleaned != digest || ':' || ?2)",
                (source, by),
            ).rowcount

    def missed(self, page: PageState) -> int:
        """Note that a complete run did not meet a page; give in how many runs in a row that was so."""
        with self.database.transaction() as db:
            db.execute("UPDATE pages SET failures = failures + 1 WHERE source = ? AND url = ?", (page.source, page.url))
        return page.failures + 1

    def standing(self, run: Run) -> int:
        """Count the pages that a run met and that have an article."""
        row = self.database.connection.execute(
            "SELECT count(DISTINCT article_id) FROM pages WHERE source = ? AND run = ? AND article_id IS NOT NULL AND NOT "
            "gone AND problem IS NULL AND error IS NULL AND moved_to IS NULL",
            (run.source, run.id),
        ).fetchone()
        return int(row[0])

    def lost_capture(self, page: PageState) -> None:
        """Forget a capture that cannot be read, so that the page is fetched again."""
        with self.database.transaction() as db:
            db.execute(
                "UPDATE pages SET file = NULL, digest = NULL, etag = NULL, modified = NULL, lastmod = NULL, cleaned = NULL "
                "WHERE source = ? AND url = ?",
                (page.source, page.url),
            )

    def sources(self) -> list[tuple[str, str | None, str | None, int]]:
        """Give each source's name, when it was last read whole or in part, why it is held back, and its articles."""
        rows = self.database.connection.execute(
            "SELECT s.name, (SELECT max(finished) FROM runs r WHERE r.source = s.name), s.held, (SELECT count(*) FROM "
            "articles a WHERE a.origin = s.name AND a.status != 'gone') FROM sources s ORDER BY s.name"
        )
        return rows.fetchall()

    def forget(self, source: str) -> None:
        """Forget a source: its pages, its runs and its settings. Its articles and the archive stay as they are."""
        with self.database.transaction() as db:
            db.execute("DELETE FROM frontier WHERE run IN (SELECT id FROM runs WHERE source = ?)", (source,))
            for table, column in (("pages", "source"), ("runs", "source"), ("sources", "name")):
                db.execute(f"DELETE FROM {table} WHERE {column} = ?", (source,))

    def lost_captures(self, file: str, length: int) -> int:
        """Forget the captures that a file of the archive no longer has, so that they are fetched again.

        :param length: Bytes that the file has.
        """
        with self.database.transaction() as db:
            db.execute("UPDATE archive SET length = ? WHERE file = ?", (length, file))
            return db.execute(
                "UPDATE pages SET file = NULL, digest = NULL, etag = NULL, modified = NULL, lastmod = NULL, cleaned = NULL "
                'WHERE file = ? AND "offset" + length > ?',
                (file, length),
            ).rowcount

    def gone(self, source: str, urls: Sequence[str]) -> None:
        """Note that pages have left the site."""
        with self.database.transaction() as db:
            db.executemany("UPDATE pages SET gone = 1 WHERE source = ? AND url = ?", ((source, url) for url in urls))

    def archive_lengths(self) -> dict[str, int]:
        """Give up to where each file of the archive is in use: what lies behind was left by a killed run."""
        return dict(self.database.connection.execute("SELECT file, length FROM archive").fetchall())

    def expect_file(self, file: str) -> None:
        """Note a file of the archive before anything is in it."""
        with self.database.transaction() as db:
            db.execute("INSERT OR IGNORE INTO archive VALUES (?, 0)", (file,))

    def _pages(self, where: str, values: Sequence[object]) -> Iterator[PageState]:
        with self.database.errors_named():
            for row in self.database.connection.execute(f"SELECT {_COLUMNS} FROM pages {where}", values):
                location = Location(*row[12:15]) if row[12] is not None else None
                cleaned, article_id, problem, gone = row[15:]
                known = dict(zip(_FIELDS, row, strict=False))
                yield PageState(
                    **known, location=location, cleaned=cleaned, article_id=article_id, problem=problem, gone=bool(gone)
                )


def now() -> str:
    """Give the time as ISO 8601 in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def settings_text(settings: object) -> str:
    """Write settings so that equal ones give equal texts."""
    return json.dumps(settings, sort_keys=True, default=str)
