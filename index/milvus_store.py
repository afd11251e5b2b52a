"""Write a snapshot's passages into Milvus: only what changed is sent, what is gone is deleted, and aliases change at once.

There are two sets of collections, a and b. One holds the published snapshot and is left alone; the other one, which holds
the one before it, is brought from that to the new snapshot: its aliases are taken off, rows that are new or others are
sent, rows that are gone are deleted, and only when all is there the new snapshot's aliases are put on. So the published
snapshot is found as it was whatever happens meanwhile, and the one before it, for a rollback, until the next build begins.
"""

import hashlib
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from index import second
from index.dense import DenseIndex, Rows
from index.milvus import (
    LISTS,
    MISSING,
    MOST_MARKS,
    PREFIX,
    Milvus,
    MilvusError,
    Part,
    PartName,
    alias_of,
    check,
    fields_of,
    layout_of,
    parts_of,
    schema_problem,
    tag,
)
from index.passages import PassageList, Progress
from index.second import SecondVectors
from index.snapshot import Snapshot, SnapshotError, SnapshotShelf
from index.sparse import document_vector, mean_length

# Seconds that one call may take: loading a collection and flushing wait for the server to be done.
PATIENCE = 300.0
# Rows that are sent or read at once: vectors of 384 components make 1.5 MB, of 1,024 components 4 MB, and a server takes 64 MB.
BATCH = 1_000
_OURS = re.compile(rf"{PREFIX}_[0-9a-f]{{16}}_[ab]_(dense|terms|second)")

Keys = npt.NDArray[np.bytes_]
Digests = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Sent:
    """What was done.

    :ivar upserted: Rows that were sent, of all collections; ``deleted`` likewise.
    :ivar kept: Rows that were there already.
    """

    upserted: int = 0
    deleted: int = 0
    kept: int = 0

    def __add__(self, other: "Sent") -> "Sent":
        return Sent(self.upserted + other.upserted, self.deleted + other.deleted, self.kept + other.kept)


def put(snapshot: Snapshot, shelf: SnapshotShelf, url: str, progress: Progress = lambda *_: None) -> Sent:
    """Bring a snapshot into Milvus and point the aliases ``citedesk_dense``, ``…_terms`` and ``…_second`` at it.

    What the shelf's published snapshot is found in is left as it is. Where all is there, nothing is sent.

    :param progress: Called with ("send to Milvus", rows looked at, rows in all).
    :raises MilvusError: Milvus cannot be reached or refuses, or holds another home's passages; the published snapshot is
        served as before.
    """
    with Milvus(url, seconds=PATIENCE) as milvus:
        published = _published(shelf)
        _refuse_another_home(milvus, {snapshot.id, *shelf.ids()})
        parts = parts_of(snapshot, sparse=milvus.has_sparse)
        layout = layout_of(snapshot, parts)
        sent = Sent()
        if not _is_there(snapshot, milvus):
            names = _free_names(milvus, layout, parts, published)
            sent = _filled(snapshot, milvus, dict(zip(names, parts, strict=True)), progress)
            _drop_earlier(
                milvus, {_set_of(milvus.collection_of(alias_of(id, "dense"))) for id in (snapshot.id, published)}
            )
        for part in parts:
            _point(milvus, f"{PREFIX}_{part.name}", str(milvus.collection_of(alias_of(snapshot.id, part.name))))
        return sent


class _Source(Protocol):
    """Where the vectors of a part come from."""

    #: The snapshot's rows that may have one, ascending.
    rows: Rows

    def digests(self) -> Iterator[bytes]:
        """Give what changes with the vector, for each of the rows; empty where it has none."""
        ...

    def vectors(self, places: Rows) -> Sequence[Any]:
        """Give the vectors at some places among the rows."""
        ...


class _Dense:
    def __init__(self, rows: Rows, index: DenseIndex) -> None:
        self.rows = rows
        self._index = index

    def digests(self) -> Iterator[bytes]:
        for start in range(0, len(self.rows), BATCH):
            stop = min(start + BATCH, len(self.rows))
            for vector in self._index.vectors(np.arange(start, stop)):
                yield vector.tobytes()

    def vectors(self, places: Rows) -> Sequence[Any]:
        return list(self._index.vectors(places))


class _Terms:
    def __init__(self, rows: Rows, listed: PassageList) -> None:
        self.rows = rows
        self._listed = listed
        tokens = sum(text.count(" ") + bool(text) for text, _ in listed.lexical_documents())
        self._mean = mean_length(tokens, len(rows))

    def digests(self) -> Iterator[bytes]:
        return (f"{self._mean:.6g} {text}".encode() if text else b"" for text, _ in self._listed.lexical_documents())

    def vectors(self, places: Rows) -> Sequence[Any]:
        terms = self._listed.documents_of(self.rows[places].tolist())
        return [document_vector(terms[row], self._mean) for row in self.rows[places].tolist()]


def _source(part: PartName, snapshot: Snapshot, listed: PassageList) -> _Source:
    rows = np.arange(snapshot.manifest.counts["passages"])
    if part == "second":
        vectors = SecondVectors.open(snapshot.folder / second.FOLDER)
        return _Dense(vectors.rows, vectors.index)
    return _Dense(rows, snapshot.dense) if part == "dense" else _Terms(rows, listed)


def _filled(snapshot: Snapshot, milvus: Milvus, parts: dict[str, Part], progress: Progress) -> Sent:
    """Bring collections to what the snapshot has, and then give them its aliases, that of the passages' vectors last."""
    listed = PassageList(snapshot.folder / "passages.sqlite")
    for name in parts:
        _take_off(milvus, name)
    sent = Sent()
    for done, (name, part) in enumerate(parts.items()):
        make_collection(milvus, name, part)
        told = partial(_told, progress, done, len(parts))
        sent += _brought(snapshot, milvus, name, _source(part.name, snapshot, listed), listed, told)
        milvus.call(f"loading {name}", "load_collection", name)
    for name, part in reversed(parts.items()):
        _point(milvus, alias_of(snapshot.id, part.name), name)
    return sent


def _told(progress: Progress, before: int, parts: int, done: int, total: int) -> None:
    progress("send to Milvus", before * total + done, parts * total)


def _brought(
    snapshot: Snapshot,
    milvus: Milvus,
    name: str,
    source: _Source,
    listed: PassageList,
    told: Callable[[int, int], None],
) -> Sent:
    """Send the rows of one collection that are new or others, and delete those that are gone.

    In memory: 64 bytes a row. What was there is read from the server, so that it does not matter what happened to it.
    """
    keys, digests, articles = _described(source, listed)
    there, their_digests = _held(milvus, name)
    at = np.minimum(np.searchsorted(there, keys), max(len(there) - 1, 0))
    same = (there[at] == keys) & (their_digests[at] == digests) if len(there) else np.zeros(len(keys), dtype=bool)
    has_vector = keys != b""
    changed = np.flatnonzero(has_vector & ~same)
    gone = there[~np.isin(there, keys)]
    for start in range(0, len(gone), BATCH):
        ids = [key.decode() for key in gone[start : start + BATCH].tolist()]
        milvus.call(f"deleting from {name}", "delete", name, ids=ids)
    for start in range(0, len(changed), BATCH):
        places = changed[start : start + BATCH]
        rows = source.rows[places]
        entries = [
            {
                "key": keys[place].decode(), "passage": passage.id, "marks": marks, "article": int(articles[place]),
                "digest": int(digests[place]), "vector": vector,
            }
            for place, passage, marks, vector in zip(
                places.tolist(), snapshot.passages(rows.tolist()), _tags(listed.marks(rows.tolist())),
                source.vectors(places), strict=True,
            )
        ]  # fmt: skip
        milvus.call(f"sending to {name}", "upsert", name, entries)
        told(int(rows[-1]), snapshot.manifest.counts["passages"])
    if len(changed) or len(gone):
        milvus.call(f"writing {name} to its disk", "flush", name)
    wanted = int(has_vector.sum())
    if (held := milvus.count(name)) != wanted:
        raise MilvusError(f"{milvus.place}: {name} has {held} rows after {wanted} were put there; run the same again")
    return Sent(len(changed), len(gone), wanted - len(changed))


def _tags(marks: Iterable[Sequence[str]]) -> Iterator[list[int]]:
    return ([tag(mark) for mark in own[:MOST_MARKS]] for own in marks)


def _described(source: _Source, listed: PassageList) -> tuple[Keys, Digests, Digests]:
    """Give each row's key (empty for none), the digest of all that is stored of it, and the tag of its article."""
    count = len(source.rows)
    keys = np.zeros(count, dtype="S24")
    digests, articles = (np.zeros(count, dtype=np.int64) for _ in range(2))
    own = iter(enumerate(zip(source.rows.tolist(), source.digests(), strict=True)))
    place, (row, told) = next(own, (0, (-1, b"")))
    for number, ((passage, article), marks) in enumerate(zip(listed.names(), listed.marks(), strict=True)):
        if number != row:
            continue
        if told:
            keys[place] = hashlib.blake2b(passage.encode(), digest_size=12).hexdigest()
            articles[place] = tag(article)
            stored = b"\0".join((article.encode(), *(mark.encode() for mark in marks), told))
            digests[place] = int.from_bytes(hashlib.blake2b(stored, digest_size=8).digest(), "big", signed=True)
        place, (row, told) = next(own, (0, (-1, b"")))
    return keys, digests, articles


def _held(milvus: Milvus, name: str) -> tuple[Keys, Digests]:
    """Give the keys that a collection holds, ascending, and their digests."""
    milvus.call(f"loading {name}", "load_collection", name)
    keys: list[Keys] = [np.zeros(0, dtype="S24")]
    digests: list[Digests] = [np.zeros(0, dtype=np.int64)]
    for batch in milvus.every(name, ("key", "digest"), BATCH):
        keys.append(np.array([row["key"] for row in batch], dtype="S24"))
        digests.append(np.array([row["digest"] for row in batch], dtype=np.int64))
    all_keys, all_digests = np.concatenate(keys), np.concatenate(digests)
    order = np.argsort(all_keys)
    return all_keys[order], all_digests[order]


def make_collection(milvus: Milvus, name: str, part: Part) -> None:
    """Make a collection, unless it is there; one of another schema is made anew."""
    from pymilvus import DataType, MilvusClient

    described = milvus.described(name)
    if described and not schema_problem(part, described):
        return
    if described:
        milvus.call(f"dropping {name}", "drop_collection", name)
    schema = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=False)
    for field, (kind, details) in fields_of(part).items():
        if "element_type" in details:
            details = {**details, "element_type": DataType[details["element_type"]]}
        schema.add_field(field, DataType[kind], **details)
    indexes = MilvusClient.prepare_index_params()
    parameters = {"nlist": LISTS} if part.lists else {}
    indexes.add_index(
        "vector", index_type=part.index_type, index_name="vector", metric_type=part.metric, params=parameters
    )
    milvus.call(f"making {name}", "create_collection", name, schema=schema, index_params=indexes)


def _is_there(snapshot: Snapshot, milvus: Milvus) -> bool:
    try:
        check(snapshot, milvus)
    except MilvusError:
        return False
    return True


def _free_names(milvus: Milvus, layout: str, parts: Sequence[Part], published: str) -> list[str]:
    """Give the names of the collections that the published snapshot does not lie in."""
    taken = _set_of(milvus.collection_of(alias_of(published, "dense")))
    free = next(letter for letter in "ab" if f"{PREFIX}_{layout}_{letter}" != taken)
    return [f"{PREFIX}_{layout}_{free}_{part.name}" for part in parts]


def _set_of(collection: str | None) -> str:
    """Give what the names of a set of collections begin with."""
    return collection.rpartition("_")[0] if collection else ""


def _published(shelf: SnapshotShelf) -> str:
    try:
        return shelf.current() or "none"
    except SnapshotError:
        return "none"  # CURRENT is damaged, and about to be mended


def _refuse_another_home(milvus: Milvus, known: Collection[str]) -> None:
    name = milvus.collection_of(f"{PREFIX}_dense")
    if name is None:
        return
    aliases = set(_aliases(milvus, name)) - {f"{PREFIX}_dense"}
    if aliases and not aliases & {alias_of(snapshot_id, "dense") for snapshot_id in known}:
        raise MilvusError(
            f"{milvus.place}: {name} was put there by another home ({min(aliases)} is no snapshot of this one); give this "
            "home a database of its own (http://HOST:PORT/DATABASE), or drop the collections there if that home is no more"
        )


def _aliases(milvus: Milvus, name: str) -> list[str]:
    described = milvus.described(name) or {}
    if described.get("aliases"):
        return list(described["aliases"])
    try:  # milvus-lite describes a collection without them, and 2.3 can list those of the default database alone
        return list(milvus.call(f"asking for the aliases of {name}", "list_aliases", name)["aliases"])
    except MilvusError as error:
        if getattr(error.__cause__, "code", None) not in MISSING:
            raise
        return []


def _take_off(milvus: Milvus, name: str) -> None:
    """Take a collection's aliases off, so that nobody finds it while it changes."""
    if milvus.described(name):
        for alias in _aliases(milvus, name):
            milvus.call(f"taking {alias} off", "drop_alias", alias)


def _point(milvus: Milvus, alias: str, name: str) -> None:
    there = milvus.collection_of(alias)
    if there != name:
        milvus.call(f"pointing {alias} at {name}", "alter_alias" if there else "create_alias", name, alias)


def _drop_earlier(milvus: Milvus, sets: Collection[str]) -> None:
    """Drop the collections of other layouts than these sets have: nothing is found in them any more."""
    kept = {name.rpartition("_")[0] for name in sets}
    for name in milvus.call("listing collections", "list_collections"):
        if _OURS.fullmatch(name) and _set_of(name).rpartition("_")[0] not in kept:
            _take_off(milvus, name)
            milvus.call(f"dropping {name}", "drop_collection", name)
