"""The file corpus.sqlite: its tables, opened and brought to this format, and errors that say what to do."""

import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ingest.article import IngestError

FORMAT = 2

_SCHEMA = """
CREATE TABLE articles (
    id TEXT PRIMARY KEY, url TEXT NOT NULL UNIQUE, source TEXT NOT NULL, origin TEXT NOT NULL DEFAULT '',
    status TEXT NOT NULL DEFAULT 'active', why TEXT, speaker TEXT, title TEXT NOT NULL, exchange TEXT,
    language TEXT NOT NULL, trust TEXT NOT NULL, digest TEXT NOT NULL, max_age_days INTEGER
) STRICT;
CREATE INDEX articles_status ON articles (status, id);
CREATE INDEX articles_origin ON articles (origin, status);
CREATE INDEX articles_speaker ON articles (speaker) WHERE speaker IS NOT NULL;
CREATE TABLE versions (
    article_id TEXT NOT NULL, digest TEXT NOT NULL, seen TEXT, article BLOB NOT NULL,
    PRIMARY KEY (article_id, digest)
) STRICT;
CREATE TABLE events (
    id INTEGER PRIMARY KEY, article_id TEXT NOT NULL, at TEXT NOT NULL, kind TEXT NOT NULL, detail TEXT NOT NULL
) STRICT;
CREATE INDEX events_article ON events (article_id);
CREATE INDEX events_at ON events (at);
CREATE TABLE signatures (
    id INTEGER PRIMARY KEY, article_id TEXT NOT NULL UNIQUE, digest TEXT NOT NULL, text_digest TEXT NOT NULL,
    data BLOB NOT NULL
) STRICT;
CREATE INDEX signatures_text ON signatures (text_digest);
CREATE TABLE ungrouped (article_id TEXT PRIMARY KEY) STRICT;
CREATE TABLE bands (
    band INTEGER NOT NULL, site INTEGER NOT NULL, signature INTEGER NOT NULL, PRIMARY KEY (band, site, signature)
) STRICT, WITHOUT ROWID;
CREATE TABLE sources (name TEXT PRIMARY KEY, settings TEXT NOT NULL, held TEXT,
    settled INTEGER NOT NULL DEFAULT 0) STRICT;
CREATE TABLE runs (
    id INTEGER PRIMARY KEY, source TEXT NOT NULL, settings TEXT NOT NULL, started TEXT NOT NULL, finished TEXT,
    complete INTEGER NOT NULL DEFAULT 0, reason TEXT, events INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX runs_source ON runs (source, id);
CREATE TABLE frontier (
    id INTEGER PRIMARY KEY, run INTEGER NOT NULL, url TEXT NOT NULL, kind TEXT NOT NULL, depth INTEGER NOT NULL,
    lastmod TEXT, outcome TEXT, UNIQUE (run, url)
) STRICT;
CREATE INDEX frontier_waiting ON frontier (run, id) WHERE outcome IS NULL;
CREATE TABLE pages (
    source TEXT NOT NULL, url TEXT NOT NULL, run INTEGER NOT NULL, status INTEGER, error TEXT, failures INTEGER NOT NULL
    DEFAULT 0, moved_to TEXT, etag TEXT, modified TEXT, lastmod TEXT, fetched TEXT, digest TEXT, file TEXT,
    "offset" INTEGER, length INTEGER, cleaned TEXT, article_id TEXT, problem TEXT, gone INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (source, url)
) STRICT;
CREATE TABLE archive (file TEXT PRIMARY KEY, length INTEGER NOT NULL) STRICT;
CREATE INDEX pages_article ON pages (article_id) WHERE article_id IS NOT NULL;
CREATE INDEX pages_moved ON pages (source, moved_to) WHERE moved_to IS NOT NULL;
CREATE INDEX pages_run ON pages (source, run);
CREATE INDEX pages_uncleaned ON pages (source) WHERE cleaned IS NULL AND file IS NOT NULL;
"""


class Database:
    """The connection to one corpus.sqlite.

    :raises IngestError: The file is no corpus store, or of a format that this version does not know.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        with self.errors_named():
            # Autocommit: transactions begin where the code says so.
            self.connection = sqlite3.connect(path, timeout=60, isolation_level=None)
            self.connection.execute("PRAGMA journal_mode = WAL")
            # A commit is safe from a killed process; a power cut may take the last ones, never the file.
            self.connection.execute("PRAGMA synchronous = NORMAL")
            self._bring_up_to_date()

    def close(self) -> None:
        """Close the file."""
        self.connection.close()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Do all of it or nothing; inside another transaction it is a part of that one."""
        with self.errors_named():
            if self.connection.in_transaction:
                yield self.connection
                return
            self.connection.execute("BEGIN IMMEDIATE")
            try:
                yield self.connection
            except BaseException:
                if self.connection.in_transaction:  # SQLite itself takes it back where the disk is full
                    self.connection.execute("ROLLBACK")
                raise
            self.connection.execute("COMMIT")

    @contextmanager
    def errors_named(self) -> Iterator[None]:
        """Say what to do where SQLite cannot go on: the file is in use or cannot be written, or it is damaged."""
        try:
            yield
        except sqlite3.OperationalError as error:
            raise IngestError(
                f"{self.path}: cannot be used ({error}); wait for another citedesk to end, or check the disk's space "
                "and rights"
            ) from error
        except sqlite3.DatabaseError as error:
            raise IngestError(
                f"{self.path}: not a readable corpus store ({error}); move it away and run `citedesk ingest` again"
            ) from error

    def _bring_up_to_date(self) -> None:
        version = self.connection.execute("PRAGMA user_version").fetchone()[0]
        if version == FORMAT:
            return
        if version not in (0, 1):
            raise IngestError(
                f"{self.path}: corpus store of format {version}, this citedesk reads format {FORMAT}; use the citedesk "
                "that wrote it, or move it away and run `citedesk ingest` again"
            )
        with self.transaction() as connection:
            # Asked again inside the transaction: another process may have done it meanwhile.
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if version == FORMAT:
                return
            if version == 1:
                connection.execute("ALTER TABLE articles RENAME TO articles_1")
                connection.execute("ALTER TABLE versions RENAME TO versions_1")
            for statement in _SCHEMA.split(";"):
                connection.execute(statement)
            if version == 1:
                _from_format_1(connection)
            connection.execute(f"PRAGMA user_version = {FORMAT}")


def _from_format_1(connection: sqlite3.Connection) -> None:
    connection.execute(
        "INSERT INTO articles (id, url, source, status, title, exchange, language, trust, digest, max_age_days) "
        "SELECT id, url, source, status, title, exchange, language, trust, digest, max_age_days FROM articles_1"
    )
    for row in connection.execute("SELECT article_id, digest, seen, article FROM versions_1"):
        connection.execute("INSERT INTO versions VALUES (?, ?, ?, ?)", (*row[:3], zlib.compress(row[3].encode())))
    connection.execute("DROP TABLE articles_1")
    connection.execute("DROP TABLE versions_1")
