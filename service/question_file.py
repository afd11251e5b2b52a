"""The file questions.sqlite: what was asked and how it was answered, appended by several processes at once.

**Deleting leaves nothing.** ``secure_delete`` alone does not do that: when SQLite takes a row out it may move other
rows to another page, and what it leaves of them where they stood survives their own deletion (5 of 2,000 conversations
were still found in the file). So a row is never taken out. Its texts are overwritten where they stand, by blanks of the same
length, and it is marked as gone; when a quarter of the rows are gone, those that are left are copied to a new table.
The write-ahead log is emptied each time.
"""

import fcntl
import hashlib
import json
import logging
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from service.answer import Status

FORMAT = 1
# Seconds that one process waits for another to end its transaction.
PATIENCE = 10.0
# Rows that are read, or blanked, at a time: a reader never holds the write-ahead log back for long.
PAGE = 1000
# Rows that are gone before the tables are copied: fewer are not worth it. Then a quarter of them has to be.
FEW_GONE = 1000
# A conversation that was deleted is refused for so long, in case another process still has a question of it.
REFUSED = timedelta(days=1)

_LOGGER = logging.getLogger(__name__)

Verdict = Literal["up", "down"]


class QuestionLogError(Exception):
    """The question log cannot be used; the message says why, and what to do."""


class DamagedError(QuestionLogError):
    """The file is no database, or one that is broken; whoever writes it next sets it aside."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A question as it was answered, without anything that is private.

    :ivar at: When it was asked, as `stamp` writes it: UTC, ISO 8601 with milliseconds.
    :ivar key_id: The key that it was asked with, never the key itself.
    :ivar conversation: The conversation's id; the file has its digest only, and reading it gives that.
    :ivar question: The redacted text.
    :ivar exchanges: Those that the answer is bound to.
    :ivar page: Id of the article that the asker stood on.
    :ivar confidence: In [0, 1].
    :ivar articles: Ids of the cited articles, none twice, in the order of the citations.
    :ivar notices: Codes of the answer's notices.
    :ivar related: Ids of the articles that were named as near.
    :ivar milliseconds: How long the answer took.
    """

    answer_id: str
    at: str
    door: str
    key_id: str
    conversation: str | None
    question: str
    language: str
    exchanges: tuple[str, ...]
    page: str | None
    status: Status
    confidence: float
    snapshot_id: str
    articles: tuple[str, ...]
    notices: tuple[str, ...]
    related: tuple[str, ...]
    milliseconds: float


@dataclass(frozen=True, slots=True)
class Vote:
    """What an asker said of an answer.

    :ivar reason: In the asker's words, redacted; may be empty.
    """

    answer_id: str
    at: str
    verdict: Verdict
    reason: str


@dataclass(frozen=True, slots=True)
class Logged:
    """An entry as it is read, with the last vote on it."""

    entry: Entry
    vote: Vote | None


_QUESTIONS = """
CREATE TABLE questions (
    id INTEGER PRIMARY KEY, answer_id TEXT NOT NULL, at TEXT NOT NULL, door TEXT NOT NULL, key_id TEXT NOT NULL,
    conversation TEXT, question TEXT NOT NULL, language TEXT NOT NULL, exchanges TEXT NOT NULL, page TEXT,
    status TEXT NOT NULL, confidence REAL NOT NULL, snapshot_id TEXT NOT NULL, articles TEXT NOT NULL,
    notices TEXT NOT NULL, related TEXT NOT NULL, milliseconds REAL NOT NULL, gone INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE UNIQUE INDEX questions_answer ON questions (answer_id) WHERE gone = 0;
CREATE INDEX questions_gone ON questions (gone) WHERE gone = 1;
CREATE INDEX questions_at ON questions (at) WHERE gone = 0;
CREATE INDEX questions_conversation ON questions (conversation) WHERE gone = 0 AND conversation IS NOT NULL;
"""
_FEEDBACK = """
CREATE TABLE feedback (
    id INTEGER PRIMARY KEY, answer_id TEXT NOT NULL, at TEXT NOT NULL, verdict TEXT NOT NULL, reason TEXT NOT NULL,
    gone INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX feedback_gone ON feedback (gone) WHERE gone = 1;
CREATE INDEX feedback_answer ON feedback (answer_id) WHERE gone = 0;
"""
_FORGOTTEN = "CREATE TABLE forgotten (conversation TEXT PRIMARY KEY, at TEXT NOT NULL) STRICT"
_TABLES = {"questions": _QUESTIONS, "feedback": _FEEDBACK}
_PERSONAL = {
    "questions": ("answer_id", "door", "key_id", "conversation", "question", "language", "exchanges", "page", "status",
                  "snapshot_id", "articles", "notices", "related"),
    "feedback": ("answer_id", "verdict", "reason"),
}  # fmt: skip
_APPEND = """
INSERT OR IGNORE INTO questions (answer_id, at, door, key_id, conversation, question, language, exchanges, page, status,
    confidence, snapshot_id, articles, notices, related, milliseconds)
SELECT :answer_id, :at, :door, :key_id, :conversation, :question, :language, :exchanges, :page, :status, :confidence,
    :snapshot_id, :articles, :notices, :related, :milliseconds
WHERE NOT EXISTS (SELECT 1 FROM forgotten WHERE conversation = :conversation)
"""
_VOTE = """
INSERT INTO feedback (answer_id, at, verdict, reason) SELECT :answer_id, :at, :verdict, :reason
WHERE EXISTS (SELECT 1 FROM questions WHERE answer_id = :answer_id AND gone = 0)
"""
_READ = """
SELECT q.id, q.answer_id, q.at, q.door, q.key_id, q.conversation, q.question, q.language, q.exchanges, q.page, q.status,
    q.confidence, q.snapshot_id, q.articles, q.notices, q.related, q.milliseconds, f.at, f.verdict, f.reason
FROM questions q LEFT JOIN feedback f ON f.id = (
    SELECT max(id) FROM feedback WHERE answer_id = q.answer_id AND gone = 0)
WHERE q.gone = 0 AND (q.at, q.id) > (?, ?) AND q.at < ? ORDER BY q.at, q.id LIMIT ?
"""
_LISTS = ("exchanges", "articles", "notices", "related")
_CORRUPT = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


class QuestionFile:
    """The connection of one writer; it is opened when it is first needed, and again when the file was replaced.

    A method that writes is called by one thread at a time: the caller sees to that.

    :raises QuestionLogError: From any method: the disk is full, another process does not let go of the file, or it
        cannot be opened. The next call tries again.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._db: sqlite3.Connection | None = None
        self._inode = 0
        self._damages = 0

    def append(self, items: Sequence[Entry | Vote]) -> None:
        """Store all of them or none.

        Left out are those of a conversation that was deleted, and votes on an answer that is not there.
        """
        before = self._damages
        try:
            self._append(items)
        except QuestionLogError:
            if self._damages == before:
                raise
            self._append(items)  # to the file that was begun in the place of the damaged one

    def _append(self, items: Sequence[Entry | Vote]) -> None:
        with self._transaction() as db:
            for item in items:
                db.execute(*(_entry_row(item) if isinstance(item, Entry) else _vote_row(item)))

    def forget(self, conversation: str) -> int:
        """Delete a conversation, with the votes on it, so that nothing of it is left; give how many questions."""
        name = digest(conversation)
        with self._transaction() as db:
            db.execute("INSERT OR REPLACE INTO forgotten VALUES (?, ?)", (name, stamp(datetime.now(UTC))))
            count = _blank(db, "conversation = ?", name)
        if not self._empty_wal():
            raise QuestionLogError(
                f"{self.path}: the conversation is deleted, but another process reads the file, so that traces are left in "
                f"{self.path.name}-wal; delete it again in a moment"
            )
        return count

    def purge(self, before: datetime) -> int:
        """Delete what was asked before a moment in the same way; give how many questions."""
        count, part = 0, PAGE
        while part == PAGE:  # in parts, so that the others come to write meanwhile
            with self._transaction() as db:
                where = "id IN (SELECT id FROM questions WHERE gone = 0 AND at < ? LIMIT 1000)"
                part = _blank(db, where, stamp(before))
                db.execute("DELETE FROM forgotten WHERE at < ?", (stamp(datetime.now(UTC) - REFUSED),))
            count += part
        with self._transaction() as db:
            for table in _TABLES:
                _compact(db, table)
        if count:
            self._empty_wal()
        return count

    def close(self) -> None:
        """Close the file."""
        if self._db:
            self._db.close()
            self._db = None

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """Do all of it or nothing, in a file that is whole: a damaged one is set aside before."""
        with _named_errors(self.path):
            try:
                db = self._connected()
            except DamagedError as damage:
                self._put_aside(damage)
                db = self._connected()
            try:
                db.execute("BEGIN IMMEDIATE")
                yield db
                db.execute("COMMIT")
            except BaseException as error:
                if db.in_transaction:  # SQLite itself takes it back where the disk is full
                    db.execute("ROLLBACK")
                if isinstance(error, sqlite3.DatabaseError) and _is_damage(error):
                    self._put_aside(error)
                raise

    def _connected(self) -> sqlite3.Connection:
        """Give the connection, a new one where the file was moved or replaced by somebody else."""
        if self._db and not self._is_ours():
            self.close()
        if not self._db:
            self._db = _open(self.path)
            self._inode = self.path.stat().st_ino
        return self._db

    def _is_ours(self) -> bool:
        try:
            return self.path.stat().st_ino == self._inode
        except FileNotFoundError:
            return False

    def _empty_wal(self) -> bool:
        """Write the log back into the file and cut it to nothing; tell whether that could be done."""
        with _named_errors(self.path):
            busy, _, _ = self._connected().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            return not busy

    def _put_aside(self, damage: Exception) -> None:
        """Keep a damaged file under another name, so that what can be saved is not lost, and let a new one begin."""
        self.close()
        self._damages += 1
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)  # one process does it; the others find the new file
            if not _is_damaged(self.path):
                return
            target = self.path.with_name(f"{self.path.name}.damaged-{datetime.now(UTC):%Y%m%dT%H%M%S%f}")
            for suffix in ("-wal", "-shm", ""):
                source = self.path.with_name(self.path.name + suffix)
                if source.exists():
                    source.rename(target.with_name(target.name + suffix))
        finally:
            os.close(folder)
        _LOGGER.error("%s: damaged (%s); it was set aside as %s, and a new one begun", self.path, damage, target)


def known(path: Path, answer_id: str) -> bool:
    """Tell whether the file has an answer.

    :raises QuestionLogError: It cannot be read.
    """
    if not path.exists():
        return False
    with _named_errors(path), closing(_open_to_read(path)) as db:
        query = "SELECT 1 FROM questions WHERE answer_id = ? AND gone = 0"
        return bool(_format(db, path)) and db.execute(query, (_text(answer_id),)).fetchone() is not None


def read(path: Path, since: datetime, until: datetime) -> Iterator[Logged]:
    """Give what was asked from a moment up to, not including, another, oldest first; nothing where there is no file.

    :param since: Aware of its time zone, as ``until`` is.
    :raises QuestionLogError: It cannot be read, or is damaged.
    """
    if not path.exists():
        return
    with _named_errors(path), closing(_open_to_read(path)) as db:
        at, row_id, last = stamp(since), 0, stamp(until)
        if not _format(db, path):
            return  # it was made this moment
        while rows := db.execute(_READ, (at, row_id, last, PAGE)).fetchall():
            yield from map(_logged, rows)
            row_id, at = rows[-1][0], rows[-1][2]


def remove(path: Path) -> bool:
    """Delete the whole file; tell whether there was one."""
    there = path.exists()
    for suffix in ("-wal", "-shm", ""):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    return there


def stamp(moment: datetime) -> str:
    """Write a moment as the file has it, so that the order of the texts is that of the times.

    >>> stamp(datetime(2026, 5, 1, 12, 30, tzinfo=UTC))
    '2026-05-01T12:30:00.000+00:00'
    """
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")


def digest(conversation: str) -> str:
    """Give the digest that stands for a conversation in the file: its id opens it, and is kept nowhere."""
    return hashlib.sha256(_text(conversation).encode()).hexdigest()[:32]


def _open(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    # What SQLite writes beside it gets the same rights.
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    db = sqlite3.connect(path, timeout=PATIENCE, isolation_level=None, check_same_thread=False)
    try:
        version = _format(db, path)  # what is not ours is not changed
        db.execute("PRAGMA journal_mode = WAL")
        # A commit is safe from a killed process; a power cut may take the last ones, never the file.
        db.execute("PRAGMA synchronous = NORMAL")
        db.execute("PRAGMA secure_delete = ON")
        db.create_function("blank", 1, _blanks, deterministic=True)
        if version != FORMAT:
            _make_tables(db, path)
    except sqlite3.DatabaseError as error:
        db.close()
        if _is_damage(error):
            raise DamagedError(str(error)) from error
        raise
    except BaseException:
        db.close()
        raise
    return db


def _make_tables(db: sqlite3.Connection, path: Path) -> None:
    db.execute("BEGIN IMMEDIATE")
    if _format(db, path) != FORMAT:  # asked again inside the transaction: another process may have done it meanwhile
        for statement in (*_QUESTIONS.split(";"), *_FEEDBACK.split(";"), _FORGOTTEN):
            db.execute(statement)
        db.execute(f"PRAGMA user_version = {FORMAT}")
    db.execute("COMMIT")


def _format(db: sqlite3.Connection, path: Path) -> int:
    # In one statement: between two the tables may be made.
    version, tables = db.execute(
        "SELECT user_version, (SELECT count(*) FROM sqlite_schema) FROM pragma_user_version"
    ).fetchone()
    if version not in (0, FORMAT) or (not version and tables):
        raise QuestionLogError(
            f"{path}: not a question log of format {FORMAT}, which this citedesk writes; move it away, or use the citedesk "
            "that wrote it"
        )
    return int(version)


def _open_to_read(path: Path) -> sqlite3.Connection:
    # Not mode=ro: beside a write-ahead log a reader writes the list of who reads what.
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=PATIENCE, check_same_thread=False)


@contextmanager
def _named_errors(path: Path) -> Iterator[None]:
    """Say what to do where the file cannot be used."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        if _is_damage(error):
            raise DamagedError(
                f"{path}: damaged ({error}); the server sets it aside when it next writes, as {path.name}.damaged-…"
            ) from error
        raise QuestionLogError(
            f"{path}: cannot be used ({error}); check the disk's space and the file's rights"
        ) from error
    except OSError as error:
        raise QuestionLogError(
            f"{path}: cannot be used ({error}); check the disk's space and the folder's rights"
        ) from error


def _is_damage(error: sqlite3.DatabaseError) -> bool:
    return (getattr(error, "sqlite_errorcode", 0) & 0xFF) in _CORRUPT


def _is_damaged(path: Path) -> bool:
    if not path.exists():
        return False
    try:
        with closing(sqlite3.connect(path, timeout=PATIENCE)) as db:
            return bool(db.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok")
    except sqlite3.DatabaseError as error:
        return _is_damage(error)


def _blank(db: sqlite3.Connection, where: str, *values: str) -> int:
    """Overwrite questions and the votes on them, and mark them as gone."""
    of_them = f"answer_id IN (SELECT answer_id FROM questions WHERE gone = 0 AND {where})"
    for table, condition in (("feedback", of_them), ("questions", where)):
        blanks = ", ".join(f"{name} = blank({name})" for name in _PERSONAL[table])
        done = db.execute(f"UPDATE {table} SET gone = 1, {blanks} WHERE gone = 0 AND {condition}", values)
    return done.rowcount


def _compact(db: sqlite3.Connection, table: str) -> None:
    """Copy the rows that are left to a new table, if enough are gone; the old pages are overwritten."""
    gone, left = (db.execute(f"SELECT count(*) FROM {table} WHERE gone = {marked}").fetchone()[0] for marked in (1, 0))
    if gone < FEW_GONE or 3 * gone < left:
        return
    columns = ", ".join(name for _, name, *_ in db.execute(f"PRAGMA table_info({table})"))
    db.execute(f"ALTER TABLE {table} RENAME TO old_{table}")
    query = "SELECT name FROM sqlite_schema WHERE type = 'index' AND tbl_name = ?"
    for (index,) in db.execute(query, (f"old_{table}",)).fetchall():
        db.execute(f"DROP INDEX {index}")
    create, *indexes = _TABLES[table].split(";")
    db.execute(create)
    db.execute(f"INSERT INTO {table} ({columns}) SELECT {columns} FROM old_{table} WHERE gone = 0 ORDER BY id")
    db.execute(f"DROP TABLE old_{table}")
    for index in indexes:
        db.execute(index)


def _blanks(text: str | None) -> str | None:
    return None if text is None else " " * len(text.encode())


def _entry_row(entry: Entry) -> tuple[str, dict[str, Any]]:
    values = {name: getattr(entry, name) for name in Entry.__slots__}
    values |= {name: json.dumps([_text(part) for part in values[name]], ensure_ascii=False) for name in _LISTS}
    values = {name: _text(value) if isinstance(value, str) else value for name, value in values.items()}
    if entry.conversation is not None:
        values["conversation"] = digest(entry.conversation)
    return _APPEND, values


def _vote_row(vote: Vote) -> tuple[str, dict[str, Any]]:
    return _VOTE, {name: _text(getattr(vote, name)) for name in Vote.__slots__}


def _logged(row: Sequence[Any]) -> Logged:
    _, *values, voted, verdict, reason = row
    fields = dict(zip(Entry.__slots__, values, strict=True))
    fields |= {name: tuple(json.loads(fields[name])) for name in _LISTS}
    return Logged(Entry(**fields), Vote(fields["answer_id"], voted, verdict, reason) if verdict else None)


def _text(text: str) -> str:
    """Replace halves of surrogate pairs, which JSON can bring and UTF-8 cannot spell."""
    return text.encode("utf-8", "replace").decode()
