"""Search in Milvus: the same lists as from a snapshot's own indexes, found by a server that many machines may ask.

Milvus holds, of each passage, its vectors, the numbers of its exchange and its article, and its id; of each kind of
vector in a collection of its own. Texts, sentences and all else stay in the snapshot. `index/milvus_store.py` writes
the collections and gives them aliases that name the snapshot; they are asked for by these aliases alone, so that whatever
becomes of a collection, a snapshot never gets another one's passages.
"""

import hashlib
import logging
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self
from urllib.parse import urlsplit

from index import second
from index.dense import EXACT, DenseIndex, Vectors
from index.encoder import Card
from index.filters import Filters
from index.search import HybridRetriever, Retriever
from index.second import SecondOpinion
from index.snapshot import Snapshot, SnapshotError
from index.sparse import SparseVector, query_vector

PartName = Literal["dense", "terms", "second"]

# Raised when what is written into Milvus, or how, changes.
LAYOUT = 1
PREFIX = "citedesk"
# Of one passage: an exchange, a language, how official the site is, and products, of which an article has a few.
MOST_MARKS = 64
# Milvus has sparse vectors from 2.4 on; before, words are looked up in the snapshot's own BM25 index.
SPARSE_SINCE = (2, 4)
# Of more than `index.dense.EXACT` vectors the lists of a segment, and how many of them are compared. Not a graph: of the ten nearest of
# 100,000, under a filter that lets a tenth through, Milvus 2.3.5 finds .42 with HNSW, and no more with a longer walk, and
# 1.000 so, at the same speed (docs/scale.md).
LISTS, PROBED = 1024, 128
# Seconds of one call for a question, and after one that was not answered until the next is tried: a thread that waits for a
# server that hangs answers nobody else.
PATIENCE, REST = 2.0, 1.0
# Seconds for connecting, however long calls may take afterwards.
CONNECTING = 5.0
# Milvus's codes: no connection; there is no such collection or alias; it is not loaded.
_AWAY, MISSING, _NOT_LOADED = 2, frozenset({100, 1600}), 101
_SHA = re.compile(r"[0-9a-f]{16}")


class MilvusError(SnapshotError):
    """Milvus cannot be reached, or does not hold what the snapshot needs; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Part:
    """One kind of vectors, which has a collection of its own.

    :ivar dimension: None for the sparse vectors of terms.
    :ivar lists: Whether vectors lie in lists of which the nearest are compared; otherwise all are.
    """

    name: PartName
    dimension: int | None
    lists: bool = False

    @property
    def metric(self) -> str:
        """How vectors are compared; all of them are of unit length, but for those of terms."""
        return "IP"

    @property
    def index_type(self) -> str:
        """Milvus's name of the index."""
        return "SPARSE_INVERTED_INDEX" if self.dimension is None else "IVF_FLAT" if self.lists else "FLAT"


class Milvus:
    """A connection. Calls take bounded time, and what goes wrong is said with the server's address, without its password.

    :param url: ``http://host:19530``, ``https://user:password@host/database``, ``unix:path``, or milvus-lite's ``path.db``.
    :param seconds: How long a call may take.
    :raises MilvusError: pymilvus is not installed, or nothing answers there.
    """

    def __init__(self, url: str, *, seconds: float = PATIENCE) -> None:
        self.place = f"Milvus at {without_password(url)}"
        self._seconds = seconds
        self._rest_until = 0.0
        try:
            import pymilvus
        except ImportError as error:
            raise MilvusError(
                f"{self.place}: the pymilvus package is not installed; run `pip install 'citedesk[milvus]'`"
            ) from error
        logging.getLogger("pymilvus").setLevel(logging.CRITICAL)  # it logs a trace of whatever is raised and told here
        with self._told("connecting", min(seconds, CONNECTING)):
            self._client = pymilvus.MilvusClient(url, timeout=min(seconds, CONNECTING), dedicated=True)
        self.has_sparse = _version(str(self.call("asking its version", "get_server_version"))) >= SPARSE_SINCE

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def call(self, doing: str, method: str, *values: Any, **named: Any) -> Any:  # noqa: ANN401
        """Call a method of pymilvus's client.

        :param doing: What it is for, as the error says it.
        :raises MilvusError: It failed, or did not answer in time.
        """
        with self._told(doing):
            return getattr(self._client, method)(*values, timeout=self._seconds, **named)

    def collection_of(self, alias: str) -> str | None:
        """Give the name of an alias's collection, or None where there is none."""
        described = self.described(alias)
        return str(described["collection_name"]) if described else None

    def described(self, name: str) -> dict[str, Any] | None:
        """Describe a collection by its name or an alias; None where there is none."""
        from pymilvus import MilvusException

        with self._told(f"looking for {name}"):
            try:
                found: dict[str, Any] = self._client.describe_collection(name, timeout=self._seconds)
                return found
            except MilvusException as error:
                if error.code in MISSING:
                    return None
                raise

    def count(self, name: str) -> int:
        """Count the rows of a collection, those that were just written included."""
        counted = self.call(f"counting {name}", "query", name, "", ["count(*)"], consistency_level="Strong")
        return int(counted[0]["count(*)"])

    def every(self, name: str, fields: Sequence[str], size: int) -> Iterator[list[dict[str, Any]]]:
        """Give fields of all rows of a collection, those that were just written included, some at a time."""
        doing = f"reading {name}"
        found = self.call(
            doing, "query_iterator", name, size, filter="", output_fields=[*fields], consistency_level="Strong"
        )
        while True:
            with self._told(doing):
                batch = found.next()
            if not batch:
                found.close()
                return
            yield batch

    def search(
        self, name: str, part: Part, vector: Vectors | SparseVector, k: int, where: str
    ) -> list[tuple[str, float]]:
        """Give the ids of the passages with the highest inner products, and these.

        A collection that is not loaded, as after a restart of milvus-lite, is loaded first.
        """
        parameters = {"nprobe": PROBED} if part.lists else {}

        def search() -> Any:  # noqa: ANN401
            return self.call(
                f"searching {name}", "search", name, [vector], where, k, ["passage"], anns_field="vector",
                search_params={"metric_type": part.metric, "params": parameters}, consistency_level="Bounded",
            )  # fmt: skip

        try:
            found = search()
        except MilvusError as error:
            if getattr(error.__cause__, "code", None) != _NOT_LOADED:
                raise
            self.call(f"loading {name}", "load_collection", name)
            found = search()
        return [(hit["entity"]["passage"], float(hit["distance"])) for hit in found[0]]

    @contextmanager
    def _told(self, doing: str, seconds: float | None = None) -> Iterator[None]:
        import grpc
        from pymilvus import MilvusException

        if time.monotonic() < self._rest_until:
            raise MilvusError(f"{self.place}: it did not answer just now, and is asked again in {REST:g} s")
        try:
            yield
        except (MilvusException, grpc.RpcError, grpc.FutureTimeoutError) as error:
            code = getattr(error, "code", None)
            if isinstance(code, int) and code != _AWAY:
                raise MilvusError(f"{self.place}: {doing} failed: {error}; its log says more") from error
            self._rest_until = time.monotonic() + REST
            raise MilvusError(
                f"{self.place}: {doing} got no answer within {seconds or self._seconds:g} s; see that it runs and can be reached from "
                "here, or unset CITEDESK_MILVUS to search the snapshot's own indexes"
            ) from error


class MilvusIndexes:
    """What a snapshot's own indexes find, found by Milvus; see `index.search.Indexes`.

    :raises MilvusError: Milvus cannot be reached, or does not hold this snapshot's passages.
    """

    def __init__(self, snapshot: Snapshot, milvus: Milvus) -> None:
        self._snapshot = snapshot
        self._milvus = milvus
        self._parts = {part.name: part for part in parts_of(snapshot, sparse=milvus.has_sparse)}
        check(snapshot, milvus)

    def nearest(self, query: Vectors, k: int, filters: Filters) -> list[tuple[int, float]]:
        """Search as `Indexes.nearest` says."""
        return self._search("dense", query, k, filters)

    def worded(self, words: Sequence[str], k: int, filters: Filters) -> list[tuple[int, float]]:
        """Search as `Indexes.worded` says. How rare a word is, is the snapshot's to say: its own index counts exactly."""
        lexical = self._snapshot.lexical
        if "terms" not in self._parts:
            return lexical.search(words, k, filters.marks())
        asked = query_vector(words, lexical.document_frequency, self._snapshot.manifest.counts["passages"])
        return self._search("terms", asked, k, filters) if asked else []

    def nearest_by_second(self, opinion: SecondOpinion, k: int, filters: Filters) -> list[int]:
        """Search as `Indexes.nearest_by_second` says."""
        return [row for row, _ in self._search("second", opinion.query, k, filters)]

    def _search(
        self, name: PartName, vector: Vectors | SparseVector, k: int, filters: Filters
    ) -> list[tuple[int, float]]:
        if k <= 0 or filters.is_shut:
            return []
        alias = alias_of(self._snapshot.id, name)
        found = self._milvus.search(alias, self._parts[name], vector, k, _condition(filters))
        rows = self._snapshot.rows_of_passages([passage for passage, _ in found])
        if foreign := [passage for passage, _ in found if passage not in rows]:
            raise MilvusError(
                f"{self._milvus.place}: {alias} has passage {foreign[0][:80]!r}, which snapshot {self._snapshot.id} does not; "
                "drop that collection and run `citedesk build`, which sends what is missing there"
            )
        # Equal scores in the order of the rows, as everywhere; the last digits of a float depend on who adds them up.
        return sorted(((rows[passage], score) for passage, score in found), key=_best_first)


def parts_of(snapshot: Snapshot, *, sparse: bool) -> tuple[Part, ...]:
    """Give the parts of a snapshot; a server without sparse vectors has none of terms."""
    of_terms = [Part("terms", None)] if sparse else []
    return (_vectors("dense", snapshot.dense), *of_terms, *_second_part(snapshot.folder / second.FOLDER))


def _second_part(folder: Path) -> list[Part]:
    return [_vectors("second", DenseIndex.open(folder / second.VECTORS))] if folder.is_dir() else []


def _vectors(name: PartName, index: DenseIndex) -> Part:
    return Part(name, index.dimension, len(index) > EXACT)


def layout_of(snapshot: Snapshot, parts: Iterable[Part]) -> str:
    """Give what tells collections apart that a snapshot's passages cannot lie in together: 16 hexadecimal digits."""
    card = snapshot.folder / second.FOLDER / second.ENCODER
    encoders = [snapshot.manifest.encoder, Card.read(card).fingerprint if card.is_dir() else ""]
    told = [str(LAYOUT), *encoders, *(f"{part.name} {part.index_type} {part.dimension}" for part in parts)]
    return hashlib.blake2b("\n".join(told).encode(), digest_size=8).hexdigest()


def check(snapshot: Snapshot, milvus: Milvus) -> None:
    """See that Milvus holds a snapshot's passages as this code reads them.

    :raises MilvusError: It does not.
    """
    parts = parts_of(snapshot, sparse=milvus.has_sparse)
    wanted = layout_of(snapshot, parts)
    mend = "run `citedesk build` with this CITEDESK_MILVUS, which sends what is missing there"
    for part in parts:
        alias = alias_of(snapshot.id, part.name)
        described = milvus.described(alias)
        if described is None:
            raise MilvusError(f"{milvus.place}: no alias {alias}: it does not hold snapshot {snapshot.id}; {mend}")
        name = str(described["collection_name"])
        layout = _SHA.search(name)
        if not layout or layout.group() != wanted:
            raise MilvusError(
                f"{milvus.place}: {name}, which {alias} stands for, was written by another encoder or another version than "
                f"the snapshot's, whose is {wanted}; {mend}"
            )
        if problem := schema_problem(part, described):
            raise MilvusError(f"{milvus.place}: {name} has another schema: {problem}; drop that collection and {mend}")
        milvus.call(f"loading {name}", "load_collection", name)
    held, there = milvus.count(alias_of(snapshot.id, "dense")), snapshot.manifest.counts["passages"]
    if held != there:
        raise MilvusError(
            f"{milvus.place}: {alias_of(snapshot.id, 'dense')} holds {held} of the {there} passages of snapshot "
            f"{snapshot.id}; drop that collection and {mend}"
        )


def fields_of(part: Part) -> dict[str, tuple[str, dict[str, Any]]]:
    """Give the fields of a part's collection: Milvus's type, and what else it wants to know."""
    vector = ("SPARSE_FLOAT_VECTOR", {}) if part.dimension is None else ("FLOAT_VECTOR", {"dim": part.dimension})
    return {
        "key": ("VARCHAR", {"is_primary": True, "max_length": 24}),
        "passage": ("VARCHAR", {"max_length": 65_535}),
        "marks": ("ARRAY", {"element_type": "INT64", "max_capacity": MOST_MARKS}),
        "article": ("INT64", {}),
        "digest": ("INT64", {}),
        "vector": vector,
    }


def schema_problem(part: Part, described: dict[str, Any]) -> str | None:
    """Say what of a collection's description is not as the part's, or nothing."""
    there = {field["name"]: field for field in described["fields"]}
    for name, (kind, details) in fields_of(part).items():
        if name not in there:
            return f"no field {name}"
        if (found := there[name]["type"].name) != kind:
            return f"field {name} is {found} instead of {kind}"
        if "dim" in details and int(there[name]["params"]["dim"]) != details["dim"]:
            return f"vectors of {there[name]['params']['dim']} components instead of {details['dim']}"
    return None


def alias_of(snapshot_id: str, part: PartName) -> str:
    """Give the alias of a part of a snapshot.

    >>> alias_of("20261123T032214609-b3a1de67", "dense")
    'citedesk_20261123T032214609_b3a1de67_dense'
    """
    return f"{PREFIX}_{re.sub('[^0-9A-Za-z]', '_', snapshot_id)}_{part}"


def tag(text: str) -> int:
    """Give the number that stands for a name in a filter: no text of anybody's gets into one.

    >>> tag("Kraken") == tag("Kraken") != tag("")
    True
    """
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big", signed=True)


def without_password(url: str) -> str:
    """Give an address as it may be shown.

    >>> without_password("https://root:secret@milvus.example:19530/desk")
    'https://milvus.example:19530/desk'
    """
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def retrievers(url: str | None) -> Callable[[Snapshot], Retriever]:
    """Give what makes a snapshot's retriever: over its own indexes, or with an address over Milvus.

    What it gives raises `MilvusError` where Milvus cannot be reached or does not hold the snapshot's passages. All that it
    makes share one connection.
    """
    if url is None:
        return HybridRetriever
    connected: list[Milvus] = []

    def retriever(snapshot: Snapshot) -> Retriever:
        if not connected:
            connected.append(Milvus(url))
        return HybridRetriever(snapshot, MilvusIndexes(snapshot, connected[0]))

    return retriever


def _condition(filters: Filters) -> str:
    conditions = [f"array_contains_any(marks, {sorted(map(tag, marks))})" for marks in filters.marks()]
    if filters.article is not None:
        conditions.append(f"article == {tag(filters.article)}")
    return " and ".join(conditions)


def _best_first(row: tuple[int, float]) -> tuple[float, int]:
    return -float(f"{row[1]:.6g}"), row[0]


def _version(text: str) -> tuple[int, ...]:
    found = re.search(r"(\d+)\.(\d+)", text)
    return tuple(map(int, found.groups())) if found else (0, 0)
