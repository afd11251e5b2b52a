"""Immutable snapshots: what the service reads, checked when it is opened, published by one atomic rename."""

import hashlib
import json
import os
import shutil
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from index.calibration import Calibration
from index.dense import DenseIndex
from index.filters import Filters
from index.lexical import LexicalIndex
from index.spread import Spread
from ingest.article import Article, Passage
from ingest.exchanges import Directory, parse_directory
from ingest.store import load_article

FORMAT = 3
CURRENT = "CURRENT"
MANIFEST = "manifest.json"
# Files that the service opens by name; a manifest that does not list them is none.
NEEDED = frozenset({
    "passages.sqlite", "vectors.faiss", "sentences.npy", "exchanges.toml", "encoder/encoder.json", "lexical/meta.json",
    "means.npy", "covariance.npy", "languages.txt",
})  # fmt: skip


class SnapshotError(Exception):
    """A snapshot is missing, damaged or of another format; the message names the file and the command that mends it."""


class HeldError(SnapshotError):
    """Nothing is built, because a source lost too much of its articles at once."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a snapshot is made of.

    :ivar encoder: Fingerprint of the encoder that made the vectors.
    :ivar counts: Articles, passages and sentences.
    :ivar corpus_digest: Digest of the corpus that it was built from, of the list of exchanges and of ``code``.
    :ivar code: Fingerprint of the code that made its passages, see `index.passages.code_fingerprint`.
    :ivar files: sha256 and size in bytes of every file, by its path in the snapshot.
    """

    format: int
    id: str
    created: str
    encoder: str
    counts: dict[str, int]
    corpus_digest: str
    code: str
    files: dict[str, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class StoredSentence:
    """A sentence of a passage: ``passage.text[start:end]``, and the row of its vector."""

    row: int
    start: int
    end: int


class Snapshot:
    """An opened snapshot. Vectors, index and encoder are mapped or loaded when they are first needed.

    :raises SnapshotError: A file is missing or is not what the manifest says.
    """

    def __init__(self, folder: Path, *, verify: bool = True) -> None:
        self.folder = folder
        self.manifest = read_manifest(folder)
        if verify:
            verify_files(folder, self.manifest)
        path = (folder / "passages.sqlite").absolute()
        # Any thread of the server may read; SQLite serialises the calls itself.
        self._db = sqlite3.connect(f"{path.as_uri()}?mode=ro&immutable=1", uri=True, check_same_thread=False)
        # Caches of this snapshot's own: one on the class would keep it alive when another has been published.
        self._cached_sentences = lru_cache(maxsize=4096)(self._read_sentences)
        self._cached_article = lru_cache(maxsize=1024)(self._read_article)
        self._cached_rows = lru_cache(maxsize=256)(self._read_rows)

    @property
    def id(self) -> str:
        """The snapshot's id."""
        return self.manifest.id

    @cached_property
    def encoder(self) -> Any:  # noqa: ANN401
        """The encoder that made the vectors."""
        from index.encoder import OnnxEncoder

        encoder = OnnxEncoder(self.folder / "encoder", verify=False)  # verified with the snapshot
        if encoder.fingerprint != self.manifest.encoder:
            raise SnapshotError(
                f"{self.folder / 'encoder'}: fingerprint {encoder.fingerprint} is not the manifest's "
                f"{self.manifest.encoder}; run `citedesk build`"
            )
        return encoder

    @cached_property
    def dense(self) -> DenseIndex:
        """The passages' vectors."""
        return DenseIndex.open(self.folder / "vectors.faiss")

    @cached_property
    def lexical(self) -> LexicalIndex:
        """The BM25 index of the passages."""
        return LexicalIndex.open(self.folder / "lexical")

    @cached_property
    def sentence_vectors(self) -> npt.NDArray[np.float16]:
        """Unit vectors of all sentences, shape (sentences, d), mapped."""
        vectors: npt.NDArray[np.float16] = np.load(self.folder / "sentences.npy", mmap_mode="r", allow_pickle=False)
        return vectors

    @cached_property
    def spread(self) -> Spread:
        """How the passages' vectors lie."""
        return Spread.open(self.folder)

    @cached_property
    def calibration(self) -> Calibration:
        """How near the passages come to what they do not answer; foretold from their number where it was not measured."""
        measured = Calibration.open(self.folder)
        return measured or Calibration.foretold(self.manifest.counts["passages"], len(self.exchanges))

    @cached_property
    def directory(self) -> Directory:
        """The exchanges that are known here: those of the operator's list and those of the articles."""
        text = (self.folder / "exchanges.toml").read_text(encoding="utf-8")
        return parse_directory(text, where=str(self.folder / "exchanges.toml")).with_names(self.exchanges)

    @cached_property
    def exchanges(self) -> tuple[str, ...]:
        """The exchanges that have articles here, by name."""
        return tuple(
            name for (name,) in self._rows("SELECT DISTINCT exchange FROM articles WHERE exchange != '' ORDER BY 1")
        )

    @cached_property
    def languages(self) -> tuple[str, ...]:
        """The languages that articles are written in, by code, the commonest first."""
        query = "SELECT language FROM articles GROUP BY language ORDER BY count(*) DESC, language"
        return tuple(code for (code,) in self._rows(query))

    def passage(self, row: int) -> Passage:
        """Give the passage of a row of the indexes."""
        return self._passages([row])[row]

    def sentences(self, passage_id: str) -> tuple[StoredSentence, ...]:
        """Give the sentences of a passage, in order."""
        return self._cached_sentences(passage_id)

    def _read_sentences(self, passage_id: str) -> tuple[StoredSentence, ...]:
        query = (
            "SELECT s.row, s.start, s.end FROM sentences s JOIN passages p ON p.row = s.passage WHERE p.id = ? "
            "ORDER BY s.row"
        )
        return tuple(StoredSentence(*row) for row in self._rows(query, (passage_id,)))

    def passages(self, rows: Sequence[int]) -> list[Passage]:
        """Give the passages of rows of the indexes, in the order asked for."""
        found = self._passages(rows)
        return [found[row] for row in rows]

    def passages_of(self, article_id: str) -> list[Passage]:
        """Give an article's passages in reading order."""
        return self.passages(self.rows_of(Filters(article=article_id)).tolist())

    def article(self, article_id: str) -> Article | None:
        """Give an article, or None where there is none of that id."""
        return self._cached_article(article_id)

    def _read_article(self, article_id: str) -> Article | None:
        rows = self._rows("SELECT article FROM articles WHERE id = ?", (article_id,))
        return load_article(json.loads(rows[0][0])) if rows else None

    def article_by_url(self, url: str) -> Article | None:
        """Give the article of a page's address, for a near-duplicate the one that speaks for it.

        Scheme, fragment, a final slash and unknown parameters do not count.
        """
        query = "SELECT id FROM articles WHERE address = ?1 UNION ALL SELECT article_id FROM aliases WHERE address = ?1"
        for wanted in (address(url), address(url.split("?", 1)[0])):
            rows = self._rows(query, (wanted,))
            if rows:
                return self.article(rows[0][0])
        return None

    def articles(
        self, *, after: str = "", exchange: str | None = None, language: str | None = None, limit: int
    ) -> list[Article]:
        """Give articles in the order of their ids, those after an id, of an exchange and a language if these are named."""
        query = (
            "SELECT article FROM articles WHERE id > ? AND (? IS NULL OR exchange = ?) AND (? IS NULL OR language = ?) "
            "ORDER BY id LIMIT ?"
        )
        rows = self._rows(query, (after, exchange, exchange, language, language, limit))
        return [load_article(json.loads(row[0])) for row in rows]

    def questions(self, most: int) -> list[tuple[str, str | None, str]]:
        """Give the questions that the corpus answers in its own words: FAQ questions, and titles that are questions.

        Each is the question, the article's exchange, and the article's id; in the order of the articles, ``most`` at most.
        """
        query = (
            "SELECT question, NULLIF(exchange, ''), article_id FROM ("
            " SELECT question, exchange, article_id, row FROM passages WHERE question IS NOT NULL"
            " UNION ALL SELECT title, exchange, id, -1 FROM articles"
            "  WHERE rtrim(title) LIKE '%?' OR rtrim(title) LIKE '%？' OR rtrim(title) LIKE '%؟'"
            ") ORDER BY article_id, row LIMIT ?"
        )
        return [(question, exchange, article) for question, exchange, article in self._rows(query, (most,))]

    def caches(self) -> dict[str, tuple[int, int, int]]:
        """Give entries, hits and misses of what is remembered, by name."""
        infos = {"sentences": self._cached_sentences, "articles": self._cached_article, "rows": self._cached_rows}
        return {name: (i.currsize, i.hits, i.misses) for name, cached in infos.items() for i in (cached.cache_info(),)}

    def max_age_days(self, article_id: str) -> int | None:
        """Give after how many days an article may be outdated; None for no limit."""
        rows = self._rows("SELECT max_age_days FROM articles WHERE id = ?", (article_id,))
        return rows[0][0] if rows else None

    def rows_of(self, filters: Filters) -> npt.NDArray[np.int64]:
        """Give the rows of the passages that pass the filters, ascending."""
        return self._cached_rows(filters)

    def rows_of_passages(self, ids: Sequence[str]) -> dict[str, int]:
        """Give the rows of passages by their ids; those that are not here are left out."""
        marks = ",".join("?" * len(ids))
        return dict(self._rows(f"SELECT id, row FROM passages WHERE id IN ({marks})", tuple(ids)))

    def _read_rows(self, filters: Filters) -> npt.NDArray[np.int64]:
        articles = "article_id IN (SELECT id FROM articles WHERE {} IN ({}))"
        article = None if filters.article is None else (filters.article,)
        products = None if filters.products is None else {product.casefold() for product in filters.products}
        conditions = (
            ("{} IN ({})", "article_id", article),
            ("{} IN ({})", "exchange", filters.exchanges),
            (articles, "language", filters.languages),
            (articles, "trust", filters.trusts),
            ("article_id IN (SELECT article_id FROM products WHERE {} IN ({}))", "product", products),
        )
        told = [
            (form.format(column, ",".join("?" * len(values))), values)
            for form, column, values in conditions
            if values is not None
        ]
        where = f"WHERE {' AND '.join(condition for condition, _ in told)}" if told else ""
        values = tuple(chain.from_iterable(values for _, values in told))
        found = self._rows(f"SELECT row FROM passages {where} ORDER BY row", values)
        return np.fromiter((row for (row,) in found), dtype=np.int64, count=len(found))

    def _passages(self, rows: Sequence[int]) -> dict[int, Passage]:
        marks = ",".join("?" * len(rows))
        query = f'SELECT row, id, article_id, heading_path, question, text, start, "end" FROM passages WHERE row IN ({marks})'
        return {
            row: Passage(id_, article, tuple(json.loads(path)), question, text, start, end)
            for row, id_, article, path, question, text, start, end in self._rows(query, tuple(rows))
        }

    def _rows(self, query: str, values: Sequence[object] = ()) -> list[Any]:
        try:
            return self._db.execute(query, values).fetchall()
        except sqlite3.DatabaseError as error:
            raise SnapshotError(
                f"{self.folder / 'passages.sqlite'}: damaged ({error}); run `citedesk snapshots rollback` or "
                "`citedesk build`"
            ) from error


class SnapshotShelf:
    """The snapshots of one home, and which of them is published."""

    def __init__(self, home: Path) -> None:
        self.folder = home / "snapshots"

    def ids(self) -> list[str]:
        """Give the ids of the finished snapshots, oldest first."""
        if not self.folder.is_dir():
            return []
        return sorted(path.parent.name for path in self.folder.glob(f"[!.]*/{MANIFEST}"))

    def current(self) -> str | None:
        """Give the id of the published snapshot, or None."""
        try:
            return (self.folder / CURRENT).read_text(encoding="ascii").strip() or None
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise SnapshotError(
                f"{self.folder / CURRENT}: not readable ({error}); run `citedesk snapshots rollback`"
            ) from error

    def open(self, snapshot_id: str | None = None) -> Snapshot:
        """Open a snapshot, the published one if no id is given.

        :raises SnapshotError: There is none, or it is damaged.
        """
        wanted = snapshot_id or self.current()
        if wanted is None:
            raise SnapshotError(
                f"{self.folder}: no snapshot yet; run `citedesk ingest SOURCE` and `citedesk build` with the same --home"
            )
        return Snapshot(self._folder_of(wanted))

    def publish(self, snapshot_id: str) -> None:
        """Make a snapshot the one that is served: CURRENT is replaced by an atomic rename.

        :raises SnapshotError: There is none of that id.
        """
        self._folder_of(snapshot_id)
        staged = self.folder / f".{CURRENT}.{os.getpid()}"
        with staged.open("w", encoding="ascii") as file:
            file.write(snapshot_id + "\n")
            file.flush()
            os.fsync(file.fileno())
        staged.replace(self.folder / CURRENT)
        fsync_folder(self.folder)

    def rollback(
        self, to: str | None = None, *, before_publishing: Callable[[Snapshot], object] = lambda _: None
    ) -> str:
        """Publish an earlier snapshot, the one before the published one if none is named; give its id.

        :param before_publishing: Called with that snapshot; where it fails, nothing is published.
        :raises SnapshotError: There is no earlier one, or it is damaged.
        """
        ids = self.ids()
        try:
            current = self.current()
        except SnapshotError:
            current = None  # CURRENT is damaged: this is what mends it
        earlier = [i for i in ids if i < current] if current in ids else ids
        target = to or (earlier[-1] if earlier else None)
        if target is None:
            raise SnapshotError(f"{self.folder}: no snapshot before {current}; nothing was changed")
        before_publishing(self.open(target))
        self.publish(target)
        return target

    def remove(self, snapshot_id: str) -> None:
        """Delete a snapshot that is not published.

        :raises SnapshotError: There is none of that id, or it is published.
        """
        folder = self._folder_of(snapshot_id)
        if snapshot_id == self.current():
            raise SnapshotError(f"{folder}: this snapshot is published; publish another one before removing it")
        shutil.rmtree(folder)

    def _folder_of(self, snapshot_id: str) -> Path:
        """Give the folder of a finished snapshot; an id is a name that is there, never a path."""
        if snapshot_id not in {path.name for path in self.folder.glob("[!.]*") if path.is_dir()}:
            raise SnapshotError(
                f"{self.folder}: no snapshot {snapshot_id[:80]!r}; `citedesk snapshots list` shows those that there "
                "are, `citedesk snapshots rollback` publishes one of them, `citedesk build` makes one"
            )
        return self.folder / snapshot_id


def read_manifest(folder: Path) -> Manifest:
    """Read and check a snapshot's manifest.

    :raises SnapshotError: It is missing, no JSON, or of another format.
    """
    path = folder / MANIFEST
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if data["format"] != FORMAT:
            raise SnapshotError(
                f"{path}: snapshot format {data['format']}, this citedesk reads format {FORMAT}; run `citedesk build`"
            )
        manifest = Manifest(**data)
        if manifest.id != folder.name:
            raise ValueError(f"it is that of snapshot {manifest.id}")
        if absent := sorted(NEEDED - set(manifest.files)):
            raise ValueError(f"it does not list {absent[0]}")
        if absent := sorted({"articles", "passages", "sentences"} - set(manifest.counts)):
            raise ValueError(f"it does not count the {absent[0]}")
        if any(not {"sha256", "bytes"} <= set(expected) for expected in manifest.files.values()):
            raise ValueError("it gives a file without its sha256 or its size")
        return manifest
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise SnapshotError(
            f"{path}: missing or damaged ({error}); run `citedesk snapshots rollback` or `citedesk build`"
        ) from error


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write a snapshot's manifest, the last of its files."""
    path = folder / MANIFEST
    path.write_text(json.dumps(asdict(manifest), indent=1, ensure_ascii=False), encoding="utf-8")


def verify_files(folder: Path, manifest: Manifest) -> None:
    """Compare every file with the manifest; several at once, since a large snapshot's are gigabytes.

    :raises SnapshotError: Names the first file that is missing, of another size, or of another content.
    """
    paths = [folder / name for name in manifest.files]
    with ThreadPoolExecutor() as pool:
        for path, problem in zip(paths, pool.map(_problem, paths, manifest.files.values()), strict=True):
            if problem:
                pool.shutdown(cancel_futures=True)
                raise SnapshotError(f"{path}: {problem}; run `citedesk snapshots rollback` or `citedesk build`")


def _problem(path: Path, expected: dict[str, Any]) -> str | None:
    """Say what is wrong with a file, or nothing."""
    try:
        size = path.stat().st_size
        if size != expected["bytes"]:
            return f"damaged: {size} bytes instead of {expected['bytes']}"
        return None if file_digest(path) == expected["sha256"] else "damaged: its sha256 is not the manifest's"
    except OSError as error:
        return f"missing from the snapshot ({error.strerror})"


def describe_files(folder: Path) -> dict[str, dict[str, Any]]:
    """Give sha256 and size of every file below a folder, by its path in it."""
    return {
        path.relative_to(folder).as_posix(): {"sha256": file_digest(path), "bytes": path.stat().st_size}
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def file_digest(path: Path) -> str:
    """Give the sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fsync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def address(url: str) -> str:
    """Fold what does not tell pages apart: scheme, a leading www., fragment, case and a final slash."""
    bare = url.split("#", 1)[0].rstrip("/")
    return bare.split("://", 1)[-1].removeprefix("www.").casefold()
