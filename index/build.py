"""Build a snapshot from the corpus store: split, encode, index, check, publish.

Everything is written into a hidden folder beside the finished snapshots. Only when all of it is on the disk is the
folder renamed and then CURRENT replaced, so that a crash at any byte leaves the published snapshot as it was.

Nothing is held for all articles, passages or sentences at once: each stage reads the passage list in batches and
writes as it goes.
"""

import fcntl
import hashlib
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import chain, compress, islice
from pathlib import Path
from typing import TypeVar

import numpy as np

from index import calibration, second
from index.cluster_encoding import fill
from index.dense import DenseIndex, Rows, Vectors
from index.encoder import Card, Encoder, OnnxEncoder
from index.lexical import LexicalIndex
from index.passages import Counts, PassageList, Progress, code_fingerprint, passage_list
from index.snapshot import (
    FORMAT,
    HeldError,
    Manifest,
    Snapshot,
    SnapshotError,
    SnapshotShelf,
    describe_files,
    fsync_folder,
    write_manifest,
)
from index.spread import SpreadMeasure
from index.vectors import VectorCache
from index.vocabulary import Vocabulary
from ingest.cluster import Cluster
from ingest.exchanges import parse_directory
from ingest.store import CorpusStore

# Texts that are encoded between two commits of the vector cache: what a killed build loses at most.
CACHED_BATCH = 256
# How many times the vectors that a snapshot needs the cache may hold, before those that it does not need are dropped.
CACHED_MOST = 3
# Snapshots kept for a rollback, the published one included.
KEPT = 3

Item = TypeVar("Item")
# What is called with (done, total), and the total.
Told = tuple[Callable[[int, int], None], int]


@dataclass(frozen=True, slots=True)
class Addition:
    """What a layer above this one wants in the snapshot besides.

    :ivar fingerprint: Names what decides what is written, besides the passages and the encoder; another one asks for another
        snapshot.
    :ivar write: Called with the snapshot's folder, in which everything else is, its passages, the folder of the published
        snapshot if that has the same encoder, and what is told of the progress.
    """

    fingerprint: str
    write: Callable[[Path, PassageList, Path | None, Progress], None]


@dataclass(frozen=True, slots=True)
class Built:
    """What a build did.

    :ivar encoded: How many of its texts were encoded anew.
    :ivar split: How many of its articles were split anew.
    """

    manifest: Manifest
    encoded: int
    published: bool
    split: int = 0


def build(
    home: Path,
    encoder_folder: Path,
    directory_text: str,
    progress: Progress = lambda *_: None,
    *,
    second_folder: Path | None = None,
    before_publishing: Callable[[Snapshot], object] = lambda _: None,
    addition: Addition | None = None,
    cluster: Cluster | None = None,
) -> Built:
    """Build a snapshot of the active articles of a home and publish it.

    Where the published snapshot was built from the same corpus by the same encoders and code, nothing is done.

    :param encoder_folder: An exported encoder, see `index.weights.exported`.
    :param directory_text: The exchanges.toml that the snapshot carries.
    :param progress: Called with (stage, done, total).
    :param second_folder: Another exported encoder, for a second opinion on the passages in its languages.
    :param before_publishing: Called with the finished snapshot; where it fails, that is removed and nothing is published.
    :param addition: What else is to be in it.
    :param cluster: Encode on its workers; the snapshot is the same.
    :raises ClusterError: The workers cannot go on. What they have encoded is kept, and the next build goes on from there.
    :raises HeldError: A source lost too much at once, see `CorpusStore.held`.
    :raises SnapshotError: The corpus has no articles, another build is running, or the disk is full.
    """
    shelf = SnapshotShelf(home)
    shelf.folder.mkdir(parents=True, exist_ok=True)
    with _only_build(shelf.folder), CorpusStore(home / "corpus.sqlite") as store:
        for left in shelf.folder.glob(".building-*"):
            shutil.rmtree(left)
        _refuse_what_is_held(store)
        code = code_fingerprint()
        inputs = [directory_text] + ([Card.read(second_folder).fingerprint] if second_folder else [])
        inputs += [addition.fingerprint] if addition else []
        digest = _digest(store, code, inputs)
        published = _published(shelf)
        if published and _made_of(published.manifest) == (digest, Card.read(encoder_folder).fingerprint):
            return Built(published.manifest, 0, published=False)
        now = datetime.now(UTC)
        # To the millisecond: ids sort by age, and two builds within one second are two snapshots.
        snapshot_id = f"{now:%Y%m%dT%H%M%S}{now.microsecond // 1000:03}-{digest[:8]}"
        work = shelf.folder / f".building-{snapshot_id}"
        with _work_folder(work), _cache(home, encoder_folder) as cache:
            same_code = published is not None and published.manifest.code == code
            before = published.folder / "passages.sqlite" if published and same_code else None
            counts = passage_list(store, work / "passages.sqlite", progress, before=before)
            if not counts.passages:
                raise SnapshotError(
                    f"{store.path}: no articles to build from; run `citedesk ingest SOURCE` with this --home"
                )
            after = _digest(store, code, inputs)
            if after != digest:  # an ingest wrote meanwhile: what was read is neither, and the next build reads again
                digest = hashlib.sha256(f"between {digest} and {after}".encode()).hexdigest()
            listed = PassageList(work / "passages.sqlite")
            if cluster:
                needed = chain((text for text, _ in listed.passage_inputs()), listed.sentence_inputs())
                told = partial(progress, "encode on the cluster"), counts.passages + counts.sentences
                fill(cache, encoder_folder, needed, cluster, told)
            _write_vectors(work, listed, counts, cache, progress)
            encoded = cache.encoded
            if second_folder:
                encoded += _write_second(work, listed, home, second_folder, progress, cluster)
            progress("index", 0, 1)
            LexicalIndex.build(work / "lexical", listed.lexical_documents())
            Vocabulary.of(listed.passage_inputs()).write(work)
            (work / "exchanges.toml").write_text(directory_text, encoding="utf-8")
            _copy_files(encoder_folder, work / "encoder")
            _calibrate(work, cache.encoder, directory_text)
            if addition:
                same = published is not None and published.manifest.encoder == cache.encoder.fingerprint
                addition.write(work, listed, published.folder if published and same else None, progress)
            manifest = Manifest(
                FORMAT, snapshot_id, now.isoformat(timespec="seconds"), cache.encoder.fingerprint,
                {"articles": counts.articles, "passages": counts.passages, "sentences": counts.sentences}, digest, code,
                describe_files(work),
            )  # fmt: skip
            write_manifest(work, manifest)
            _settle(work)
            work.replace(shelf.folder / snapshot_id)
            fsync_folder(shelf.folder)
            _publish(shelf, snapshot_id, before_publishing)
            progress("index", 1, 1)
            _remove_old(shelf)
            listed = PassageList(shelf.folder / snapshot_id / "passages.sqlite")
            texts = (text for text, _ in listed.passage_inputs())
            _shrink(cache, texts, listed.sentence_inputs(), counts.passages + counts.sentences)
        return Built(manifest, encoded, published=True, split=counts.split)


def _publish(shelf: SnapshotShelf, snapshot_id: str, before: Callable[[Snapshot], object]) -> None:
    try:
        before(Snapshot(shelf.folder / snapshot_id))
    except BaseException:
        shutil.rmtree(shelf.folder / snapshot_id, ignore_errors=True)
        raise
    shelf.publish(snapshot_id)


def _refuse_what_is_held(store: CorpusStore) -> None:
    if held := store.held():
        reasons = "; ".join(f"{name}: {why}" for name, why in held.items())
        raise HeldError(
            f"{store.path}: nothing is built, because of {reasons}; run `citedesk ingest` again when the site is well, or "
            "with --accept-loss if this is as it should be; what was published is served as before"
        )


def _digest(store: CorpusStore, code: str, inputs: Sequence[str]) -> str:
    """Give the sha256 of all that a snapshot is made from, without reading the articles' texts.

    It changes with the articles, the list of exchanges, the code that splits, the second encoder, and how it is calibrated.
    """
    made_by = (str(FORMAT), code, store.digest(), f"calibration {calibration.VERSION}")
    return hashlib.sha256("\n".join((*made_by, *inputs)).encode()).hexdigest()


def _made_of(manifest: Manifest) -> tuple[str, str]:
    return manifest.corpus_digest, manifest.encoder


def _published(shelf: SnapshotShelf) -> Snapshot | None:
    try:
        return shelf.open()
    except SnapshotError:
        return None  # none yet, or a damaged one: build


@contextmanager
def _cache(home: Path, encoder_folder: Path) -> Iterator[VectorCache]:
    with VectorCache(home / "cache" / "vectors.sqlite", OnnxEncoder(encoder_folder)) as cache:
        yield cache


def _write_vectors(work: Path, listed: PassageList, counts: Counts, cache: VectorCache, progress: Progress) -> None:
    measure = SpreadMeasure(cache.encoder.dimension)
    told = partial(progress, "encode passages"), counts.passages
    passages = _encoded_passages(listed.passage_inputs(), cache, measure, told)
    DenseIndex.write_rows(work / "vectors.faiss", passages, cache.encoder.dimension)
    measure.spread().write(work)
    told = partial(progress, "encode sentences"), counts.sentences
    _write_sentences(work / "sentences.npy", listed.sentence_inputs(), cache, told)


def _encoded_passages(
    inputs: Iterable[tuple[str, str]], cache: VectorCache, measure: SpreadMeasure, told: Told
) -> Iterator[Vectors]:
    """Encode (text, language) pairs batch by batch, and measure their spread."""
    progress, total = told
    done = 0
    for batch in _batches(inputs):
        vectors = cache.encode([text for text, _ in batch])
        measure.add(vectors, [language for _, language in batch])
        done += len(batch)
        progress(done, total)
        yield vectors


def _write_sentences(path: Path, inputs: Iterable[str], cache: VectorCache, told: Told) -> None:
    """Encode sentences and write their vectors as a numpy file."""
    progress, total = told
    with path.open("wb") as file:
        # Half precision halves the file; cosines of unit vectors change by less than 0.001.
        header = {"descr": "<f2", "fortran_order": False, "shape": (total, cache.encoder.dimension)}
        np.lib.format.write_array_header_1_0(file, header)
        done = 0
        for batch in _batches(inputs):
            file.write(cache.encode(batch).astype("<f2").tobytes())
            done += len(batch)
            progress(done, total)


def _write_second(
    work: Path, listed: PassageList, home: Path, encoder_folder: Path, progress: Progress, cluster: Cluster | None
) -> int:
    """Write the second encoder's vectors of the passages in its languages and of their sentences, if there are any.

    :return: How many texts were encoded anew.
    """
    known = np.fromiter((language in second.LANGUAGES for _, language in listed.passage_inputs()), dtype=bool)
    if not known.any():
        return 0
    known_sentences = known[_owners(work / "passages.sqlite")]
    rows, sentence_rows = np.flatnonzero(known), np.flatnonzero(known_sentences)
    folder = work / second.FOLDER
    folder.mkdir()

    def passages() -> Iterator[tuple[str, str]]:
        return compress(listed.passage_inputs(), known)

    def sentences() -> Iterator[str]:
        return compress(listed.sentence_inputs(), known_sentences)

    # A file of its own: a cache drops the vectors of other encoders when it has grown.
    with VectorCache(home / "cache" / "second.sqlite", OnnxEncoder(encoder_folder)) as cache:
        if cluster:
            texts = chain((text for text, _ in passages()), sentences())
            told = partial(progress, "encode again on the cluster"), len(rows) + len(sentence_rows)
            fill(cache, encoder_folder, texts, cluster, told)
        measure = SpreadMeasure(cache.encoder.dimension)
        told = partial(progress, "encode passages again"), len(rows)
        vectors = _encoded_passages(passages(), cache, measure, told)
        DenseIndex.write_rows(folder / second.VECTORS, vectors, cache.encoder.dimension)
        measure.spread().write(folder)
        told = partial(progress, "encode sentences again"), len(sentence_rows)
        _write_sentences(folder / second.SENTENCES, sentences(), cache, told)
        _shrink(cache, (text for text, _ in passages()), sentences(), len(rows) + len(sentence_rows))
        encoded = cache.encoded
    np.save(folder / second.ROWS, rows, allow_pickle=False)
    np.save(folder / second.SENTENCE_ROWS, sentence_rows, allow_pickle=False)
    _copy_files(encoder_folder, folder / second.ENCODER)
    return encoded


def _owners(path: Path) -> Rows:
    """Give the row of each sentence's passage, in the order of the sentences."""
    with closing(sqlite3.connect(path)) as db:
        owners = db.execute("SELECT passage FROM sentences ORDER BY row")
        return np.fromiter((row for (row,) in owners), dtype=np.int64)


def _shrink(cache: VectorCache, passages: Iterable[str], sentences: Iterable[str], needed: int) -> None:
    """Drop what a snapshot does not need from a cache that has grown; if that fails, a later build does it."""
    with suppress(sqlite3.OperationalError):
        if len(cache) > CACHED_MOST * needed:
            cache.keep_only(chain(passages, sentences))


def _batches(items: Iterable[Item]) -> Iterator[list[Item]]:
    rest = iter(items)
    while batch := list(islice(rest, CACHED_BATCH)):
        yield batch


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


def _calibrate(work: Path, encoder: Encoder, directory_text: str) -> None:
    with closing(sqlite3.connect(work / "passages.sqlite")) as db:
        names = [
            name for (name,) in db.execute("SELECT DISTINCT exchange FROM articles WHERE exchange != '' ORDER BY 1")
        ]
    directory = parse_directory(directory_text, where="exchanges.toml").with_names(names)
    calibration.measure(work, encoder, directory).write(work)


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
