"""Build a snapshot from the corpus store: split, encode, index, check, publish.

Everything is written into a hidden folder beside the finished snapshots. Only when all of it is on the disk is the
folder renamed and then CURRENT replaced, so that a crash at any byte leaves the published snapshot as it was.
"""

import fcntl
import hashlib
import json
import os
import re
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt

from index.dense import DenseIndex, Vectors
from index.encoder import Encoder, OnnxEncoder
from index.lexical import LexicalIndex, terms
from index.snapshot import (
    FORMAT,
    Manifest,
    Snapshot,
    SnapshotError,
    SnapshotShelf,
    address,
    describe_files,
    fsync_folder,
    write_manifest,
)
from index.spread import spread_of
from ingest.article import Article, Passage
from ingest.passages import sentences, split
from ingest.store import CorpusStore, StoredArticle

# Texts that are encoded between two commits of the vector cache: what a killed build loses at most.
CACHED_BATCH = 256
# Words up to which a sentence is joined with the next: "Yes.", "Not always.", "It depends.".
LITTLE = 3
# Snapshots kept for a rollback, the published one included.
KEPT = 3

# Lists of references at the end of a page name other pages; they answer nothing.
_REFERENCES = re.compile(
    r"^\W*(sources?|references?|further reading|see also|quellen\w*|fuentes|referencias|fontes|referências|sources et références|fonti|"
    r"источники|ссылки|kaynaklar|bronnen|nguồn|sumber|来源|參考資料|参考资料|出典|참고|المصادر)\b",
    re.IGNORECASE,
)
_LISTED = re.compile(r"\s*(?:[-*•]|\d+[.)])\s")

Progress = Callable[[str, int, int], None]

_SCHEMA = """
CREATE TABLE articles (
    id TEXT PRIMARY KEY, url TEXT NOT NULL, address TEXT NOT NULL, title TEXT NOT NULL, exchange TEXT NOT NULL,
    language TEXT NOT NULL, trust TEXT NOT NULL, max_age_days INTEGER, source TEXT NOT NULL, article TEXT NOT NULL
) STRICT;
CREATE INDEX articles_address ON articles (address);
CREATE TABLE passages (
    row INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, article_id TEXT NOT NULL, exchange TEXT NOT NULL,
    heading_path TEXT NOT NULL, question TEXT, text TEXT NOT NULL, start INTEGER NOT NULL, "end" INTEGER NOT NULL
) STRICT;
CREATE INDEX passages_article ON passages (article_id);
CREATE INDEX passages_exchange ON passages (exchange);
CREATE TABLE sentences (row INTEGER PRIMARY KEY, passage INTEGER NOT NULL, start INTEGER NOT NULL, "end" INTEGER NOT NULL)
STRICT;
CREATE INDEX sentences_passage ON sentences (passage);
"""


@dataclass(frozen=True, slots=True)
class _Row:
    """A passage on its way into the indexes, with its article and the offsets of its sentences."""

    stored: StoredArticle
    passage: Passage
    bounds: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Built:
    """What a build did: the snapshot, and how many of its texts were encoded anew."""

    manifest: Manifest
    encoded: int
    published: bool


def build(home: Path, encoder_folder: Path, directory_text: str, progress: Progress = lambda *_: None) -> Built:
    """Build a snapshot of the active articles of a home and publish it.

    Where the published snapshot was built from the same corpus by the same encoder, nothing is done.

    :param encoder_folder: An exported encoder, see `index.weights.exported`.
    :param directory_text: The exchanges.toml that the snapshot carries.
    :param progress: Called with (stage, done, total).
    :raises SnapshotError: The corpus has no articles, or another build is running.
    """
    shelf = SnapshotShelf(home)
    shelf.folder.mkdir(parents=True, exist_ok=True)
    with _only_build(shelf.folder), CorpusStore(home / "corpus.sqlite") as store:
        for left in shelf.folder.glob(".building-*"):
            shutil.rmtree(left)
        encoder = OnnxEncoder(encoder_folder)
        rows = list(_rows(store, progress))
        digest = _digest(rows, directory_text)
        same = _published_equal(shelf, digest, encoder.fingerprint)
        if same is not None:
            return Built(same, 0, published=False)
        if not rows:
            raise SnapshotError(
                f"{store.path}: no articles to build from; run `citedesk ingest SOURCE` with this --home"
            )
        now = datetime.now(UTC)
        # To the millisecond: ids sort by age, and two builds within one second are two snapshots.
        snapshot_id = f"{now:%Y%m%dT%H%M%S}{now.microsecond // 1000:03}-{digest[:8]}"
        work = shelf.folder / f".building-{snapshot_id}"
        with _work_folder(work):
            with _VectorCache(home / "cache" / "vectors.sqlite", encoder) as cache:
                _write_vectors(work, rows, cache, progress)
            progress("index", 0, 1)
            _write_passages(work / "passages.sqlite", rows)
            LexicalIndex.build(work / "lexical", (_lexical_document(row) for row in rows))
            (work / "exchanges.toml").write_text(directory_text, encoding="utf-8")
            _copy_files(encoder_folder, work / "encoder")
            counts = {
                "articles": len({row.stored.article.id for row in rows}),
                "passages": len(rows),
                "sentences": sum(len(row.bounds) for row in rows),
            }
            manifest = Manifest(
                FORMAT, snapshot_id, now.isoformat(timespec="seconds"), encoder.fingerprint, counts, digest,
                describe_files(work),
            )  # fmt: skip
            write_manifest(work, manifest)
            _settle(work)
            work.replace(shelf.folder / snapshot_id)
            fsync_folder(shelf.folder)
        Snapshot(shelf.folder / snapshot_id)
        shelf.publish(snapshot_id)
        progress("index", 1, 1)
        _remove_old(shelf)
        return Built(manifest, cache.encoded, published=True)


def passage_input(article: Article, passage: Passage) -> str:
    """Give the text that is encoded for a passage: its title and headings in front, so that it can be told apart."""
    return "\n".join((article.title, " > ".join(passage.heading_path), passage.text))


def sentence_input(article: Article, passage: Passage, sentence: str) -> str:
    """Give the text that is encoded for a sentence: the title and the nearest heading (in a FAQ, the question) in front.

    With the title the leading sentence is right for .684 of the starter questions, without it for .658, without the
    heading for .613.
    """
    return "\n".join((article.title, *passage.heading_path[-1:], sentence))


def answer_units(text: str, bounds: Sequence[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
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


def _rows(store: CorpusStore, progress: Progress) -> Iterator[_Row]:
    articles = list(store.articles())
    for number, stored in enumerate(articles, 1):
        for passage in split(stored.article):
            if not (passage.heading_path and _REFERENCES.match(passage.heading_path[0])):
                bounds = sentences(passage.text, stored.article.language)
                yield _Row(stored, passage, answer_units(passage.text, bounds))
        progress("split", number, len(articles))


def _digest(rows: Sequence[_Row], directory_text: str) -> str:
    """Give the sha256 of all that the snapshot is made from: it changes with the articles and with the code that splits."""
    digest = hashlib.sha256(f"{FORMAT}\n{directory_text}".encode())
    for row in rows:
        article, passage = row.stored.article, row.passage
        parts = [row.stored.digest, row.stored.max_age_days, passage.start, passage.end, row.bounds]
        parts += [passage_input(article, passage), sentence_input(article, passage, "")]
        digest.update(json.dumps(parts, ensure_ascii=False).encode())
    return digest.hexdigest()


def _lexical_document(row: _Row) -> tuple[str, str]:
    article = row.stored.article
    words = terms(passage_input(article, row.passage), article.language)
    return " ".join(words), article.exchange or ""


def _write_vectors(work: Path, rows: Sequence[_Row], cache: "_VectorCache", progress: Progress) -> None:
    texts = [passage_input(row.stored.article, row.passage) for row in rows]
    vectors = cache.encode(texts, lambda done: progress("encode passages", done, len(texts)))
    DenseIndex.build(vectors).write(work / "vectors.faiss")
    spread_of(vectors, [row.stored.article.language for row in rows]).write(work)
    texts = [
        sentence_input(row.stored.article, row.passage, row.passage.text[start:end])
        for row in rows
        for start, end in row.bounds
    ]
    vectors = cache.encode(texts, lambda done: progress("encode sentences", done, len(texts)))
    # Half precision halves the file; cosines of unit vectors change by less than 0.001.
    np.save(work / "sentences.npy", vectors.astype(np.float16), allow_pickle=False)


def _write_passages(path: Path, rows: Sequence[_Row]) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.executescript(_SCHEMA)
        sentence_row = 0
        for number, row in enumerate(rows):
            article, passage = row.stored.article, row.passage
            db.execute(
                "INSERT OR IGNORE INTO articles VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (article.id, article.url, address(article.url), article.title, article.exchange or "",
                 article.language, article.trust, row.stored.max_age_days, row.stored.source,
                 json.dumps(asdict(article), ensure_ascii=False)),
            )  # fmt: skip
            db.execute(
                "INSERT INTO passages VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (number, passage.id, passage.article_id, article.exchange or "",
                 json.dumps(passage.heading_path, ensure_ascii=False), passage.question, passage.text, passage.start,
                 passage.end),
            )  # fmt: skip
            for start, end in row.bounds:
                db.execute("INSERT INTO sentences VALUES (?, ?, ?, ?)", (sentence_row, number, start, end))
                sentence_row += 1
        db.commit()


def _published_equal(shelf: SnapshotShelf, digest: str, fingerprint: str) -> Manifest | None:
    try:
        manifest = shelf.open().manifest
    except SnapshotError:
        return None  # none yet, or a damaged one: build
    return manifest if (manifest.corpus_digest, manifest.encoder) == (digest, fingerprint) else None


@contextmanager
def _work_folder(path: Path) -> Iterator[None]:
    """Make the folder that a snapshot is written into; what is left of it when writing fails is removed.

    :raises SnapshotError: The disk is full or cannot be written.
    """
    try:
        path.mkdir()
        yield
    except (OSError, sqlite3.OperationalError) as error:
        raise SnapshotError(
            f"{path}: cannot be written ({error}); free space there and run `citedesk build` again; "
            "what was published is served as before"
        ) from error
    finally:
        shutil.rmtree(path, ignore_errors=True)  # a finished snapshot has another name by now


def _copy_files(folder: Path, to: Path) -> None:
    to.mkdir()
    for path in sorted(folder.iterdir()):
        shutil.copy2(path, to / path.name)


def _settle(folder: Path) -> None:
    """Put every file on the disk before the folder gets its final name."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
        else:
            fsync_folder(path)
    fsync_folder(folder)


def _remove_old(shelf: SnapshotShelf) -> None:
    for snapshot_id in shelf.ids()[:-KEPT]:
        if snapshot_id != shelf.current():
            shelf.remove(snapshot_id)


@contextmanager
def _only_build(folder: Path) -> Iterator[None]:
    """Hold the lock that keeps two builds of one home apart; the system frees it when the process ends."""
    with (folder / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise SnapshotError(f"{folder}: another build of this home is running; wait until it has ended") from error
        yield


class _VectorCache:
    """Vectors by (encoder fingerprint, sha256 of the text), so that a rebuild encodes only what changed."""

    def __init__(self, path: Path, encoder: Encoder) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.encoder = encoder
        self.encoded = 0
        self._db = sqlite3.connect(path)
        try:
            self._db.execute(
                "CREATE TABLE IF NOT EXISTS vectors (encoder TEXT, text BLOB, vector BLOB, PRIMARY KEY (encoder, text)) "
                "STRICT, WITHOUT ROWID"
            )
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError as error:
            raise SnapshotError(
                f"{path}: no cache of vectors ({error}); delete it and run `citedesk build` again"
            ) from error

    def __enter__(self) -> "_VectorCache":
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()

    def encode(self, texts: Sequence[str], progress: Callable[[int], None]) -> Vectors:
        """Give the documents' vectors, from the cache where they are there."""
        keys = [hashlib.sha256(text.encode()).digest() for text in texts]
        vectors: npt.NDArray[np.float32] = np.empty((len(texts), self.encoder.dimension), dtype=np.float32)
        missing: dict[bytes, str] = {}
        known: dict[bytes, Vectors] = {}
        for key, text in zip(keys, texts, strict=True):
            found = self._db.execute(
                "SELECT vector FROM vectors WHERE encoder = ? AND text = ?", (self.encoder.fingerprint, key)
            ).fetchone()
            if found:
                known[key] = np.frombuffer(found[0], dtype=np.float32)
            else:
                missing[key] = text
        # Texts of like length share a batch, so that little is spent on padding.
        wanted = sorted(missing, key=lambda key: len(missing[key]))
        done = len(texts) - len(missing)
        progress(done)
        for start in range(0, len(wanted), CACHED_BATCH):
            batch = wanted[start : start + CACHED_BATCH]
            fresh = self.encoder.encode_document([missing[key] for key in batch])
            known.update(zip(batch, fresh, strict=True))
            with self._db:
                self._db.executemany(
                    "INSERT OR REPLACE INTO vectors VALUES (?, ?, ?)",
                    [
                        (self.encoder.fingerprint, key, vector.tobytes())
                        for key, vector in zip(batch, fresh, strict=True)
                    ],
                )
            self.encoded += len(batch)
            done += len(batch)
            progress(done)
        for position, key in enumerate(keys):
            vectors[position] = known[key]
        return vectors
