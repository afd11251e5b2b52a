"""The passage list: articles → `passages.sqlite`, in one pass, and the texts that are encoded and indexed read back.

Nothing here holds more than one article at a time, so that a list of any length is written and read in little memory.
An article that the list before it holds as it is now is copied instead of being split again.
"""

import hashlib
import inspect
import json
import re
import sqlite3
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from index import lexical
from index.filters import marks_of
from index.snapshot import address
from ingest import article, labels, passages, shapes
from ingest import sentences as sentence_rules
from ingest.passages import sentences, split
from ingest.store import CorpusStore, StoredArticle

Progress = Callable[[str, int, int], None]
Bounds = tuple[tuple[int, int], ...]

# Words up to which a sentence is joined with the next: "Yes.", "Not always.", "It depends.".
LITTLE = 3
# Articles between two calls of the progress; at 700 articles a second, several calls a second.
TOLD = 100

# What decides which passages, sentences and terms an article has, besides this module.
CODE = (article, passages, sentence_rules, shapes, labels, lexical)
PACKAGES = ("sentencex", "PyStemmer")

# Lists of references at the end of a page name other pages; they answer nothing.
_REFERENCES = re.compile(
    r"^\W*(sources?|references?|further reading|see also|quellen\w*|fuentes|referencias|fontes|referências|sources et références|fonti|"
    r"источники|ссылки|kaynaklar|bronnen|nguồn|sumber|来源|參考資料|参考资料|出典|참고|المصادر)\b",
    re.IGNORECASE,
)
_LISTED = re.compile(r"\s*(?:[-*•]|\d+[.)])\s")

_TABLES = """
CREATE TABLE articles (
    id TEXT PRIMARY KEY, url TEXT NOT NULL, address TEXT NOT NULL, title TEXT NOT NULL, exchange TEXT NOT NULL,
    language TEXT NOT NULL, trust TEXT NOT NULL, max_age_days INTEGER, source TEXT NOT NULL, digest TEXT NOT NULL,
    article TEXT NOT NULL
) STRICT;
CREATE TABLE passages (
    row INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, article_id TEXT NOT NULL, exchange TEXT NOT NULL,
    heading_path TEXT NOT NULL, question TEXT, text TEXT NOT NULL, start INTEGER NOT NULL, "end" INTEGER NOT NULL
) STRICT;
CREATE TABLE sentences (row INTEGER PRIMARY KEY, passage INTEGER NOT NULL, start INTEGER NOT NULL, "end" INTEGER NOT NULL)
STRICT;
CREATE TABLE products (product TEXT NOT NULL, article_id TEXT NOT NULL) STRICT;
CREATE TABLE aliases (address TEXT NOT NULL, article_id TEXT NOT NULL) STRICT;
"""
# Made when the tables are full, which is faster than keeping them while they grow.
_INDEXES = """
CREATE INDEX articles_address ON articles (address);
CREATE INDEX articles_language ON articles (language);
CREATE INDEX articles_trust ON articles (trust);
CREATE INDEX products_product ON products (product);
CREATE INDEX aliases_address ON aliases (address);
CREATE INDEX products_article ON products (article_id);
CREATE INDEX passages_article ON passages (article_id);
CREATE INDEX passages_exchange ON passages (exchange);
CREATE INDEX sentences_passage ON sentences (passage);
"""


@dataclass(frozen=True, slots=True)
class Counts:
    """What a passage list holds.

    :ivar articles: Articles that have a passage.
    :ivar split: Articles that were split anew; all others were copied from the list before.
    """

    articles: int
    passages: int
    sentences: int
    split: int


def passage_list(
    store: CorpusStore, path: Path, progress: Progress = lambda *_: None, *, before: Path | None = None
) -> Counts:
    """Split the active articles of a store into passages and sentences, and write them in the order of their ids.

    The file is not put on the disk: that is the caller's, once, when all files of a snapshot are written.

    :param path: The file to write; must not exist.
    :param progress: Called with ("split", articles done, articles in all).
    :param before: An earlier list that code of the same `code_fingerprint` wrote. Articles whose digest is the same are
        copied from it.
    :raises sqlite3.OperationalError: The disk is full, or the file cannot be written.
    """
    with closing(sqlite3.connect(path)) as db, _Before(before) as earlier:
        # A file that is begun anew when its writing fails needs no journal.
        db.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;" + _TABLES)
        writer = _Writer(db)
        total = store.counts().get("active", 0)
        new = 0
        for number, stored in enumerate(store.articles(), 1):
            pieces = earlier.pieces(stored)
            if pieces is None:
                pieces, new = _pieces(stored), new + 1
            writer.add(stored, pieces)
            if number % TOLD == 0 or number == total:
                progress("split", number, total)
        db.executemany(
            "INSERT INTO aliases VALUES (?, ?)", ((address(url), speaker) for url, speaker in store.spoken_for_at())
        )
        db.executescript(_INDEXES)
        db.commit()
    return Counts(writer.articles, writer.passages, writer.sentences, new)


def code_fingerprint() -> str:
    """Give the sha256 of the code that splits articles and cuts terms: a change of it asks for another snapshot.

    It changes with a comment as well, and then a build does more than it needs to, but never less.
    """
    digest = hashlib.sha256(" ".join(f"{name} {version(name)}" for name in PACKAGES).encode())
    for module in (*CODE, sys.modules[__name__]):
        digest.update(inspect.getsource(module).encode())
    return digest.hexdigest()


def passage_input(title: str, heading_path: Sequence[str], text: str) -> str:
    """Give the text that is encoded for a passage: its title and headings in front, so that it can be told apart."""
    return "\n".join((title, " > ".join(heading_path), text))


def sentence_input(title: str, heading_path: Sequence[str], sentence: str) -> str:
    """Give the text that is encoded for a sentence: the title and the nearest heading (in a FAQ, the question) in front.

    With the title the leading sentence is right for .684 of the starter questions, without it for .658, without the
    heading for .613.
    """
    return "\n".join((title, *heading_path[-1:], sentence))


def answer_units(text: str, bounds: Sequence[tuple[int, int]]) -> Bounds:
    """Join a sentence that says nothing by itself ("No.", "It depends.") with the one after it.

    >>> answer_units("No. Funds stay.", [(0, 3), (4, 15)])
    ((0, 15),)
    """
    units: list[tuple[int, int]] = []
    open_start: int | None = None
    for start, end in bounds:
        begin = start if open_start is None else open_start
        says_little = len(text[begin:end].split()) <= LITTLE and not _LISTED.match(text[begin:end])
        if says_little and text[begin:end].isascii() and end != bounds[-1][1] and "\n" not in text[end : end + 1]:
            open_start = begin
            continue
        units.append((begin, end))
        open_start = None
    return tuple(units)


class PassageList:
    """A written list, read back row by row."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def passage_inputs(self) -> Iterator[tuple[str, str]]:
        """Give what is encoded for each passage, and the language of its article, in the order of the rows."""
        for title, path, text, language in self._passages():
            yield passage_input(title, json.loads(path), text), language

    def sentence_inputs(self) -> Iterator[str]:
        """Give what is encoded for each sentence, in the order of the rows."""
        query = (
            'SELECT a.title, p.heading_path, p.text, s.start, s."end" FROM sentences s JOIN passages p ON p.row = s.passage '
            "JOIN articles a ON a.id = p.article_id ORDER BY s.row"
        )
        for title, path, text, start, end in self._rows(query):
            yield sentence_input(title, json.loads(path), text[start:end])

    def lexical_documents(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        """Give each passage's terms and its marks, as `LexicalIndex.build` takes them."""
        for (title, path, text, language), marks in zip(self._passages(), self.marks(), strict=True):
            yield " ".join(lexical.terms(passage_input(title, json.loads(path), text), language)), marks

    def count(self) -> int:
        """Count the passages."""
        return int(next(self._rows("SELECT count(*) FROM passages"))[0])

    def readings(self) -> Iterator[tuple[str, tuple[str, ...], str, Bounds]]:
        """Give each passage's title, headings, text and the bounds of its sentences, in the order of the rows."""
        query = (
            "SELECT a.title, p.heading_path, p.text, (SELECT json_group_array(json_array(start, end)) FROM "
            '(SELECT s.start, s."end" AS end FROM sentences s WHERE s.passage = p.row ORDER BY s.row)) '
            "FROM passages p JOIN articles a ON a.id = p.article_id ORDER BY p.row"
        )
        for title, path, text, bounds in self._rows(query):
            yield title, tuple(json.loads(path)), text, tuple((start, end) for start, end in json.loads(bounds))

    def marks(self, rows: Sequence[int] | None = None) -> Iterator[tuple[str, ...]]:
        """Give what passages may be found by besides words, see `index.filters`, in the order of the rows.

        :param rows: The passages' rows, ascending; None for all.
        """
        of_rows = "" if rows is None else f"WHERE p.row IN ({','.join('?' * len(rows))})"
        query = (
            "SELECT p.exchange, a.language, a.trust, (SELECT json_group_array(product) FROM products WHERE article_id = a.id) "
            f"FROM passages p JOIN articles a ON a.id = p.article_id {of_rows} ORDER BY p.row"
        )
        for exchange, language, trust, products in self._rows(query, rows or ()):
            yield marks_of(exchange, language, trust, json.loads(products))

    def documents_of(self, rows: Sequence[int]) -> dict[int, list[str]]:
        """Give the terms of some passages, by row."""
        marks = ",".join("?" * len(rows))
        query = (
            "SELECT p.row, a.title, p.heading_path, p.text, a.language FROM passages p "
            f"JOIN articles a ON a.id = p.article_id WHERE p.row IN ({marks})"
        )
        return {
            row: lexical.terms(passage_input(title, json.loads(path), text), language)
            for row, title, path, text, language in self._rows(query, rows)
        }

    def names(self) -> Iterator[tuple[str, str]]:
        """Give each passage's id and its article's, in the order of the rows."""
        return self._rows("SELECT id, article_id FROM passages ORDER BY row")

    def _passages(self) -> Iterator[tuple[str, str, str, str]]:
        query = (
            "SELECT a.title, p.heading_path, p.text, a.language FROM passages p "
            "JOIN articles a ON a.id = p.article_id ORDER BY p.row"
        )
        return self._rows(query)

    def _rows(self, query: str, values: Sequence[object] = ()) -> Iterator[Any]:
        with closing(sqlite3.connect(self._path)) as db:
            yield from db.execute(query, values)


@dataclass(frozen=True, slots=True)
class _Piece:
    """A passage as its table holds it, without its row, its article and its exchange, and the bounds of its sentences."""

    values: tuple[str, str, str | None, str, int, int]
    bounds: Bounds


class _Writer:
    """Number articles' passages and sentences, and write them."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self.articles = self.passages = self.sentences = 0

    def add(self, stored: StoredArticle, pieces: Sequence[_Piece]) -> None:
        """Write an article, unless it has no passage."""
        if not pieces:
            return
        about = stored.article
        self._db.execute(
            "INSERT INTO articles VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (about.id, about.url, address(about.url), about.title, about.exchange or "", about.language, about.trust,
             stored.max_age_days, stored.source, stored.digest, _json(about)),
        )  # fmt: skip
        self._db.executemany(
            "INSERT INTO products VALUES (?, ?)", [(product.casefold(), about.id) for product in about.products]
        )
        self._db.executemany(
            'INSERT INTO passages (row, article_id, exchange, id, heading_path, question, text, start, "end") '
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [(row, about.id, about.exchange or "", *piece.values) for row, piece in enumerate(pieces, self.passages)],
        )
        units = [(row, *unit) for row, piece in enumerate(pieces, self.passages) for unit in piece.bounds]
        self._db.executemany(
            "INSERT INTO sentences VALUES (?, ?, ?, ?)",
            [(number, *unit) for number, unit in enumerate(units, self.sentences)],
        )
        self.articles += 1
        self.passages += len(pieces)
        self.sentences += len(units)


class _Before:
    """An earlier list, or none."""

    def __init__(self, path: Path | None) -> None:
        self._db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True) if path else None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._db:
            self._db.close()

    def pieces(self, stored: StoredArticle) -> list[_Piece] | None:
        """Give the passages that an article had, or None where it was not there or was another."""
        if self._db is None:
            return None
        wanted = (stored.article.id, stored.digest)
        if not self._db.execute("SELECT 1 FROM articles WHERE id = ? AND digest = ?", wanted).fetchone():
            return None
        bounds: dict[int, list[tuple[int, int]]] = {}
        for row, start, end in self._db.execute(
            'SELECT p.row, s.start, s."end" FROM passages p JOIN sentences s ON s.passage = p.row '
            "WHERE p.article_id = ? ORDER BY s.row",
            wanted[:1],
        ):
            bounds.setdefault(row, []).append((start, end))
        query = (
            'SELECT row, id, heading_path, question, text, start, "end" FROM passages WHERE article_id = ? ORDER BY row'
        )
        return [_Piece(values, tuple(bounds.get(row, ()))) for row, *values in self._db.execute(query, wanted[:1])]


def _pieces(stored: StoredArticle) -> list[_Piece]:
    return [
        _Piece(
            (passage.id, _json(passage.heading_path), passage.question, passage.text, passage.start, passage.end),
            answer_units(passage.text, sentences(passage.text, stored.article.language)),
        )
        for passage in split(stored.article)
        if not (passage.heading_path and _REFERENCES.match(passage.heading_path[0]))
    ]


# Dataclasses as objects: `dataclasses.asdict` copies all that it finds, and takes longer than the rest.
_json = json.JSONEncoder(
    ensure_ascii=False, default=lambda part: {name: getattr(part, name) for name in part.__slots__}
).encode
