"""The corpus store: every article that was ingested, its earlier versions and what happened to it, in one SQLite file."""

import hashlib
import json
import zlib
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from ingest.article import Article, Section
from ingest.database import Database
from ingest.state import CrawlState, now

Change = Literal["new", "changed", "unchanged"]
#: active: it is searched; gone: its page left the site; duplicate: another article speaks for it; suspect: its site
#: looks like an official one and is not, and the operator has not let it in.
Status = Literal["active", "gone", "duplicate", "suspect"]
STATUSES: tuple[Status, ...] = ("active", "gone", "duplicate", "suspect")
EventKind = Literal["added", "changed", "moved", "gone", "returned", "duplicate", "speaks", "suspect", "let in"]


@dataclass(frozen=True, slots=True)
class StoredArticle:
    """An article with what the store knows of it.

    :ivar source: The file or address that it was read from.
    :ivar status: See `Status`.
    :ivar digest: sha256 of its content; the time of fetching does not count.
    :ivar max_age_days: After how many days without an update an answer from it may be outdated.
    :ivar why: Why it is not active, for people.
    :ivar speaker: The id of the article that speaks for it, where it is a duplicate.
    """

    article: Article
    source: str
    status: Status
    digest: str
    max_age_days: int | None
    why: str | None = None
    speaker: str | None = None


@dataclass(frozen=True, slots=True)
class ArticleRow:
    """A line of the list of articles.

    :ivar origin: The name of the source, see `ingest.sources.Source`; empty where it was read before names were kept.
    """

    id: str
    url: str
    source: str
    title: str
    exchange: str | None
    trust: str
    status: Status
    origin: str
    language: str


@dataclass(frozen=True, slots=True)
class Event:
    """What happened to an article, and when (ISO 8601, UTC)."""

    article_id: str
    at: str
    kind: EventKind
    detail: str


# The last finished run over each source, with the last event before it.
_LAST_RUNS = "(SELECT source, events FROM runs WHERE id IN (SELECT max(id) FROM runs WHERE finished IS NOT NULL GROUP BY source))"


class CorpusStore:
    """The articles of one home.

    :raises IngestError: The file is no corpus store, or of a format that this version does not know.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.database = Database(path)
        self._db = self.database.connection

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self.database.close()

    def transaction(self) -> AbstractContextManager[object]:
        """Do what is done inside it whole or not at all."""
        return self.database.transaction()

    def state(self) -> CrawlState:
        """Give the crawl state that is kept beside the articles, written in the same transactions."""
        return CrawlState(self.database)

    def put(
        self,
        article: Article,
        *,
        source: str,
        max_age_days: int | None = None,
        origin: str = "",
        suspect: str | None = None,
    ) -> tuple[Change, str]:
        """Store an article, keeping the version before it; give what changed and the id that it has here.

        The article that has the same address is replaced and keeps its id. An id that another address
        already has gets a suffix made from the address, so that neither is lost.

        :param origin: The name of the source.
        :param suspect: Why its site must not be trusted; the article is kept and not searched.
        """
        with self.database.transaction():
            row = self._db.execute(
                "SELECT id, digest, status, why FROM articles WHERE url = ?", (article.url,)
            ).fetchone()
            article_id = row[0] if row else self._free_id(article)
            stored = replace(article, id=article_id)
            digest = content_digest(stored)
            status = self._status(row, suspect)
            if row and row[1] == digest and row[2] == status:
                self._db.execute(
                    "UPDATE articles SET source = ?, origin = ?, max_age_days = ? WHERE id = ?",
                    (source, origin, max_age_days, article_id),
                )
                return "unchanged", article_id
            self._db.execute(
                "INSERT INTO articles (id, url, source, origin, status, why, title, exchange, language, trust, digest, "
                "max_age_days) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12) ON CONFLICT (id) DO UPDATE SET "
                "source = ?3, origin = ?4, status = ?5, why = CASE WHEN ?5 = 'duplicate' THEN why ELSE ?6 END, title = ?7, "
                "exchange = ?8, language = ?9, trust = ?10, digest = ?11, max_age_days = ?12",
                (article_id, stored.url, source, origin, status, suspect, stored.title, stored.exchange, stored.language,
                 stored.trust, digest, max_age_days),
            )  # fmt: skip
            self._db.execute(
                "INSERT OR REPLACE INTO versions VALUES (?, ?, ?, ?)", (article_id, digest, now(), _dump(stored))
            )
            self._tell_of_put(article_id, row, digest, status, suspect or article.url)
        return ("changed" if row else "new"), article_id

    def move(self, article_id: str, url: str) -> None:
        """Give an article another address: its page redirects there.

        Where another article has that address, this one is gone and that one stays.
        """
        with self.database.transaction():
            row = self._db.execute("SELECT url FROM articles WHERE id = ?", (article_id,)).fetchone()
            if row is None or row[0] == url:
                return
            other = self._db.execute("SELECT id FROM articles WHERE url = ?", (url,)).fetchone()
            if other:
                self.remove(article_id, f"moved to {url}, which is {other[0]}")
                return
            current = self.get(article_id)
            assert current is not None
            moved = replace(current.article, url=url)
            digest = content_digest(moved)
            self._db.execute("UPDATE articles SET url = ?, digest = ? WHERE id = ?", (url, digest, article_id))
            self._db.execute(
                "INSERT OR REPLACE INTO versions VALUES (?, ?, ?, ?)", (article_id, digest, now(), _dump(moved))
            )
            self.tell(article_id, "moved", f"from {row[0]} to {url}")

    def added_with_text_of(self, article_id: str, origin: str, after: int) -> str | None:
        """Give the id of an article that says the same as this one and was added to a source lately, if there is one.

        :param after: The number of the last event before.
        """
        row = self._db.execute(
            "SELECT a.id FROM signatures s JOIN signatures t ON t.text_digest = s.text_digest JOIN articles a ON a.id = "
            "t.article_id JOIN events e ON e.article_id = a.id WHERE s.article_id = ?1 AND a.id != ?1 AND a.origin = ?2 AND "
            "a.status != 'gone' AND e.kind = 'added' AND e.id > ?3 ORDER BY a.id LIMIT 1",
            (article_id, origin, after),
        ).fetchone()
        return row[0] if row else None

    def take_over(self, article_id: str, new_id: str) -> None:
        """Let an article go on at the address at which it was found as a new one; the new one's id is free again."""
        with self.database.transaction() as db:
            old, new = self.get(article_id), self.get(new_id)
            assert old is not None
            assert new is not None
            for table, column in (
                ("articles", "id"),
                ("versions", "article_id"),
                ("events", "article_id"),
                ("ungrouped", "article_id"),
            ):
                db.execute(f"DELETE FROM {table} WHERE {column} = ?", (new_id,))
            db.execute("UPDATE pages SET article_id = ? WHERE article_id = ?", (article_id, new_id))
            moved = replace(new.article, id=article_id)
            digest = content_digest(moved)
            db.execute(
                "UPDATE articles SET url = ?, source = ?, digest = ?, title = ?, exchange = ?, language = ?, trust = ? "
                "WHERE id = ?",
                (moved.url, new.source, digest, moved.title, moved.exchange, moved.language, moved.trust, article_id),
            )
            db.execute("INSERT OR REPLACE INTO versions VALUES (?, ?, ?, ?)", (article_id, digest, now(), _dump(moved)))
            self.tell(article_id, "moved", f"from {old.article.url} to {moved.url}")

    def remove(self, article_id: str, why: str) -> bool:
        """Take an article out of what is searched; its versions stay. Says whether it was in."""
        with self.database.transaction():
            done = self._db.execute(
                "UPDATE articles SET status = 'gone', why = ?, speaker = NULL WHERE id = ? AND status != 'gone'",
                (why, article_id),
            ).rowcount
            if done:
                self.tell(article_id, "gone", why)
        return bool(done)

    def restore(self, article_id: str, why: str) -> None:
        """Take an article in again whose page is back as it was."""
        with self.database.transaction():
            done = self._db.execute(
                "UPDATE articles SET status = 'active', why = NULL WHERE id = ? AND status = 'gone'", (article_id,)
            ).rowcount
            if done:
                self.tell(article_id, "returned", why)

    def silence(self, article_id: str, speaker: str | None) -> None:
        """Let another article speak for this one, or let it speak for itself again with None."""
        with self.database.transaction():
            if speaker is None:
                done = self._db.execute(
                    "UPDATE articles SET status = 'active', speaker = NULL, why = NULL WHERE id = ? AND status = 'duplicate'",
                    (article_id,),
                ).rowcount
            else:
                done = self._db.execute(
                    "UPDATE articles SET status = 'duplicate', speaker = ?1, why = ?2 WHERE id = ?3 "
                    "AND status IN ('active', 'duplicate') AND speaker IS NOT ?1",
                    (speaker, f"says the same as {speaker}", article_id),
                ).rowcount
            if done:
                self.tell(article_id, *(("speaks", "") if speaker is None else ("duplicate", f"of {speaker}")))

    def tell(self, article_id: str, kind: EventKind, detail: str) -> None:
        """Write down what happened to an article."""
        with self.database.transaction():
            self._db.execute(
                "INSERT INTO events (article_id, at, kind, detail) VALUES (?, ?, ?, ?)",
                (article_id, now(), kind, detail),
            )
            if kind not in ("duplicate", "speaks"):
                self._db.execute("INSERT OR IGNORE INTO ungrouped VALUES (?)", (article_id,))

    def ungrouped(self) -> list[str]:
        """Give the ids of the articles that changed since they were last compared with the others."""
        with self.database.errors_named():
            return [row[0] for row in self._db.execute("SELECT article_id FROM ungrouped ORDER BY article_id")]

    def grouped(self) -> None:
        """Note that all articles were compared."""
        with self.database.transaction():
            self._db.execute("DELETE FROM ungrouped")

    def spoken_for(self, article_id: str) -> list[str]:
        """Give the ids of the duplicates that an article speaks for."""
        rows = self._db.execute("SELECT id FROM articles WHERE speaker = ? ORDER BY id", (article_id,))
        return [row[0] for row in rows]

    def spoken_for_at(self) -> Iterator[tuple[str, str]]:
        """Give the address of each duplicate, and the id of the active article that speaks for it."""
        query = (
            "SELECT d.url, s.id FROM articles d JOIN articles s ON s.id = d.speaker "
            "WHERE d.status = 'duplicate' AND s.status = 'active' ORDER BY d.url"
        )
        with self.database.errors_named():
            yield from self._db.execute(query)

    def get(self, article_id: str) -> StoredArticle | None:
        """Give the current version of an article, or None."""
        return next(self._select("WHERE a.id = ?", (article_id,)), None)

    def at(self, url: str) -> StoredArticle | None:
        """Give the article that has an address, or None."""
        return next(self._select("WHERE a.url = ?", (url,)), None)

    def articles(self, *, status: Status | None = "active") -> Iterator[StoredArticle]:
        """Give the articles in the order of their ids; all of them where ``status`` is None."""
        if status is None:
            return self._select("ORDER BY a.id", ())
        return self._select("WHERE a.status = ? ORDER BY a.id", (status,))

    def rows(
        self, *, status: Status | None = None, origin: str | None = None, since: str | None = None, lately: bool = False
    ) -> Iterator[ArticleRow]:
        """Give a line an article in the order of their ids, without reading the articles.

        :param since: Only those to which something happened at this time (ISO 8601, UTC) or later.
        :param lately: Only those to which something happened in the last finished run over their source.
        """
        query = (
            "SELECT id, url, source, title, exchange, trust, status, origin, language FROM articles WHERE "
            "(?1 IS NULL OR status = ?1) AND (?2 IS NULL OR origin = ?2) AND (?3 IS NULL OR id IN (SELECT article_id "
            "FROM events WHERE at >= ?3)) AND (NOT ?4 OR id IN (SELECT e.article_id FROM events e JOIN articles a ON "
            f"a.id = e.article_id JOIN {_LAST_RUNS} r ON r.source = a.origin WHERE e.id > r.events)) ORDER BY id"
        )
        with self.database.errors_named():
            for row in self._db.execute(query, (status, origin, since, lately)):
                yield ArticleRow(*row)

    def present(self, article_id: str) -> bool:
        """Say whether an article is in the corpus and not gone."""
        row = self._db.execute("SELECT 1 FROM articles WHERE id = ? AND status != 'gone'", (article_id,)).fetchone()
        return row is not None

    def active_of(self, origin: str) -> int:
        """Count the articles of a source that are not gone."""
        query = "SELECT count(*) FROM articles WHERE origin = ? AND status != 'gone'"
        return int(self._db.execute(query, (origin,)).fetchone()[0])

    def say_the_same(self, origin: str) -> int:
        """Count the articles of a source that changed since it was last found in order and that all have one text now."""
        query = (
            "SELECT count(DISTINCT a.id) FROM articles a JOIN events e ON e.article_id = a.id JOIN signatures s ON "
            "s.article_id = a.id WHERE a.origin = ?1 AND a.status != 'gone' AND e.kind = 'changed' AND e.id > "
            "(SELECT settled FROM sources WHERE name = ?1) GROUP BY s.text_digest ORDER BY 1 DESC LIMIT 1"
        )
        row = self._db.execute(query, (origin,)).fetchone()
        return int(row[0]) if row else 0

    def count_of(self, kind: EventKind, origin: str, after: int) -> int:
        """Count the articles of a source to which something of a kind happened after an event."""
        query = (
            "SELECT count(DISTINCT e.article_id) FROM events e JOIN articles a ON a.id = e.article_id WHERE e.kind = ? AND "
            "a.origin = ? AND e.id > ?"
        )
        return int(self._db.execute(query, (kind, origin, after)).fetchone()[0])

    def counts(self) -> dict[str, int]:
        """Count the articles by status."""
        with self.database.errors_named():
            return dict(self._db.execute("SELECT status, count(*) FROM articles GROUP BY status").fetchall())

    def history(self, article_id: str, *, since: str = "", lately: bool = False) -> list[Event]:
        """Give what happened to an article, oldest first; see `rows` for the parameters."""
        query = (
            "SELECT article_id, at, kind, detail FROM events WHERE article_id = ?1 AND at >= ?2 AND (NOT ?3 OR id > "
            f"(SELECT r.events FROM {_LAST_RUNS} r JOIN articles a ON a.origin = r.source WHERE a.id = ?1)) ORDER BY id"
        )
        with self.database.errors_named():
            return [Event(*row) for row in self._db.execute(query, (article_id, since, lately))]

    def held(self) -> dict[str, str]:
        """Give the sources that are held back, with the reason: nothing is to be built before that is settled."""
        with self.database.errors_named():
            return dict(
                self._db.execute("SELECT name, held FROM sources WHERE held IS NOT NULL ORDER BY name").fetchall()
            )

    def digest(self) -> str:
        """Give the sha256 over what is searched: equal corpora, equal digests.

        That is the ids and contents of the active articles, and the addresses of the duplicates that they speak for.
        """
        query = "SELECT id, digest, max_age_days FROM articles WHERE status = 'active' ORDER BY id"
        total = hashlib.sha256()
        with self.database.errors_named():
            for row in chain(self._db.execute(query), self.spoken_for_at()):
                total.update(json.dumps(row).encode())
        return total.hexdigest()

    def _status(self, row: tuple[str, str, str, str] | None, suspect: str | None) -> Status:
        """Say which status an article that was read has now; a duplicate stays one until the groups are made again."""
        if suspect:
            return "suspect"
        return "duplicate" if row and row[2] == "duplicate" else "active"

    def _tell_of_put(
        self, article_id: str, row: tuple[str, str, str, str] | None, digest: str, status: Status, detail: str
    ) -> None:
        before = row[2] if row else None
        if status == "suspect" and before != "suspect":
            self.tell(article_id, "suspect", detail)
        elif row is None:
            self.tell(article_id, "added", detail)
        elif before == "gone":
            self.tell(article_id, "returned", detail)
        elif before == "suspect" and status != "suspect":
            self.tell(article_id, "let in", detail)
        elif row[1] != digest:
            self.tell(article_id, "changed", detail)

    def _free_id(self, article: Article) -> str:
        taken = self._db.execute("SELECT 1 FROM articles WHERE id = ?", (article.id,)).fetchone()
        return f"{article.id}-{hashlib.sha256(article.url.encode()).hexdigest()[:6]}" if taken else article.id

    def _select(self, where: str, values: Sequence[object]) -> Iterator[StoredArticle]:
        query = (
            "SELECT v.article, a.source, a.status, a.digest, a.max_age_days, a.why, a.speaker FROM articles a JOIN versions v "
            f"ON v.article_id = a.id AND v.digest = a.digest {where}"
        )
        with self.database.errors_named():
            for packed, *rest in self._db.execute(query, values):
                yield StoredArticle(load_article(json.loads(zlib.decompress(packed))), *rest)


def content_digest(article: Article) -> str:
    """Give the sha256 of an article without the time at which it was fetched."""
    data = _fields(article)
    del data["fetched"]
    return hashlib.sha256(json.dumps(data, ensure_ascii=False, sort_keys=True, default=_fields).encode()).hexdigest()


def load_article(data: dict[str, Any]) -> Article:
    """Make an article from the object that its fields were written as."""
    sections = tuple(Section(tuple(s["heading_path"]), s["anchor"], s["kind"], s["text"]) for s in data["sections"])
    lists = {"products": tuple(data["products"]), "sections": sections, "flags": tuple(data.get("flags", ()))}
    return Article(**{**data, **lists})


def _dump(article: Article) -> bytes:
    return zlib.compress(json.dumps(article, ensure_ascii=False, default=_fields).encode())


def _fields(part: Article | Section) -> dict[str, Any]:
    """Give an article or a section as an object; `dataclasses.asdict` copies all that it finds, and takes longer than the rest."""
    return {name: getattr(part, name) for name in part.__slots__}
