"""The corpus store: every article that was ingested, with its earlier versions, in one SQLite file."""

import hashlib
import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from ingest.article import Article, IngestError, Section

FORMAT = 1
Change = Literal["new", "changed", "unchanged"]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS articles (
    id TEXT PRIMARY KEY, url TEXT NOT NULL UNIQUE, source TEXT NOT NULL, status TEXT NOT NULL DEFAULT 'active',
    title TEXT NOT NULL, exchange TEXT, language TEXT NOT NULL, trust TEXT NOT NULL,
    digest TEXT NOT NULL, max_age_days INTEGER, article TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS versions (
    article_id TEXT NOT NULL, digest TEXT NOT NULL, seen TEXT, article TEXT NOT NULL,
    PRIMARY KEY (article_id, digest)
) STRICT;
"""


@dataclass(frozen=True, slots=True)
class StoredArticle:
    """An article with what the store knows of it.

    :ivar source: The file or address that it was read from.
    :ivar status: ``active``, or ``gone`` where its page is.
    :ivar digest: sha256 of its content; the time of fetching does not count.
    :ivar max_age_days: After how many days without an update an answer from it may be outdated.
    """

    article: Article
    source: str
    status: str
    digest: str
    max_age_days: int | None


class CorpusStore:
    """The articles of one home.

    :raises IngestError: The file is no corpus store, or of a format that this version does not know.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        with _errors_named(path):
            self._db = sqlite3.connect(path, timeout=30)
            version = self._db.execute("PRAGMA user_version").fetchone()[0]
            if version not in (0, FORMAT):
                raise IngestError(
                    f"{path}: corpus store of format {version}, this citedesk reads format {FORMAT}; use the citedesk "
                    "that wrote it, or move it away and run `citedesk ingest` again"
                )
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.executescript(_SCHEMA)
            self._db.execute(f"PRAGMA user_version = {FORMAT}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def put(self, article: Article, *, source: str, max_age_days: int | None = None) -> tuple[Change, str]:
        """Store an article, keeping the version before it; give what changed and the id that it has here.

        The article that has the same address is replaced and keeps its id. An id that another address
        already has gets a suffix made from the address, so that neither is lost.
        """
        with _errors_named(self.path), self._db:
            row = self._db.execute("SELECT id, digest, status FROM articles WHERE url = ?", (article.url,)).fetchone()
            article_id = row[0] if row else self._free_id(article)
            stored = _with_id(article, article_id)
            text, digest = _dump(stored), content_digest(stored)
            if row and row[1] == digest and row[2] == "active":
                self._db.execute(
                    "UPDATE articles SET source = ?, max_age_days = ? WHERE id = ?", (source, max_age_days, article_id)
                )
                return "unchanged", article_id
            self._db.execute(
                "INSERT OR REPLACE INTO articles VALUES (?, ?, ?, 'active', ?, ?, ?, ?, ?, ?, ?)",
                (article_id, stored.url, source, stored.title, stored.exchange, stored.language, stored.trust,
                 digest, max_age_days, text),
            )  # fmt: skip
            self._db.execute(
                "INSERT OR REPLACE INTO versions VALUES (?, ?, ?, ?)", (article_id, digest, stored.fetched, text)
            )
        return ("changed" if row else "new"), article_id

    def get(self, article_id: str) -> StoredArticle | None:
        """Give the current version of an article, or None."""
        rows = self._select("WHERE id = ?", (article_id,))
        return next(rows, None)

    def articles(self, *, status: str | None = "active") -> Iterator[StoredArticle]:
        """Give the articles in the order of their ids; all of them where ``status`` is None."""
        return self._select("WHERE ?1 IS NULL OR status = ?1 ORDER BY id", (status,))

    def digest(self) -> str:
        """Give the sha256 over the ids and contents of the active articles: equal corpora, equal digests."""
        query = "SELECT id, digest, max_age_days FROM articles WHERE status = 'active' ORDER BY id"
        with _errors_named(self.path):
            return hashlib.sha256(json.dumps(self._db.execute(query).fetchall()).encode()).hexdigest()

    def _free_id(self, article: Article) -> str:
        taken = self._db.execute("SELECT 1 FROM articles WHERE id = ?", (article.id,)).fetchone()
        return f"{article.id}-{hashlib.sha256(article.url.encode()).hexdigest()[:6]}" if taken else article.id

    def _select(self, where: str, values: Sequence[object]) -> Iterator[StoredArticle]:
        query = f"SELECT article, source, status, digest, max_age_days FROM articles {where}"
        with _errors_named(self.path), closing(self._db.execute(query, values)) as rows:
            for text, source, status, digest, max_age_days in rows:
                yield StoredArticle(load_article(json.loads(text)), source, status, digest, max_age_days)


@contextmanager
def _errors_named(path: Path) -> Iterator[None]:
    """Say what to do where SQLite cannot go on: the file is in use or cannot be written, or it is damaged."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise IngestError(
            f"{path}: cannot be used ({error}); wait for another citedesk to end, or check the disk's space and rights"
        ) from error
    except sqlite3.DatabaseError as error:
        raise IngestError(
            f"{path}: not a readable corpus store ({error}); move it away and run `citedesk ingest` again"
        ) from error


def content_digest(article: Article) -> str:
    """Give the sha256 of an article without the time at which it was fetched."""
    data = asdict(article)
    del data["fetched"]
    return hashlib.sha256(json.dumps(data, ensure_ascii=False, sort_keys=True).encode()).hexdigest()


def load_article(data: dict[str, Any]) -> Article:
    """Make an article from the object that `dataclasses.asdict` made of one."""
    sections = tuple(Section(tuple(s["heading_path"]), s["anchor"], s["kind"], s["text"]) for s in data["sections"])
    return Article(**{**data, "products": tuple(data["products"]), "sections": sections})


def _dump(article: Article) -> str:
    return json.dumps(asdict(article), ensure_ascii=False)


def _with_id(article: Article, article_id: str) -> Article:
    return load_article({**asdict(article), "id": article_id})
