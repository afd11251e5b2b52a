"""The same questions through the embedded indexes and through Milvus: `python -m benchmarks.milvus --home var`.

A snapshot's passages are sent to milvus-lite and to the standalone server of the wheel `milvus`, both of which are
started on loopback and ended. Then each of the starter questions is searched over all three, unfiltered and under the exchange that
it names (with articles about none; where it names none, under that of every article in turn). Vectors of questions are
remembered before anything is timed, so that a time is that of the search alone: looking up, fusing, reading the passages.

With `--rows N` the standalone server is filled with N vectors made of the snapshot's as `benchmarks.scale` makes them, and asked for
the nearest of the same questions.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import cycle
from pathlib import Path

import numpy as np

from benchmarks.milvus_servers import MilvusServer, ServerError, lite, standalone
from benchmarks.scale import more_vectors
from index.dense import EXACT
from index.filters import Filters
from index.milvus import Milvus, Part, retrievers
from index.milvus_store import BATCH, PATIENCE, Sent, make_collection, put
from index.search import DEPTH, HybridRetriever, Retriever
from index.snapshot import Snapshot, SnapshotShelf
from service.evaluation.questions import read_questions
from service.question import Question, understand

SERVERS: dict[str, Callable[[Path], MilvusServer]] = {"milvus-lite": lite, "milvus-standalone": standalone}
K = 10
#: How many passages an answer reads.
READ = 40
#: Values of the field that is filtered by.
GROUPS = 10


@dataclass(frozen=True, slots=True)
class Searched:
    """How an engine searched under one kind of filter.

    :ivar overlap: The mean share of the embedded indexes' first ten that is among its first ten.
    :ivar same: The share of the questions whose first ten are the same in the same order.
    :ivar p50: Milliseconds of a search, the median; ``p95`` of one in twenty at least.
    """

    engine: str
    filter: str
    questions: int
    overlap: float
    same: float
    p50: float
    p95: float


@dataclass(frozen=True, slots=True)
class Filled:
    """What sending a snapshot took.

    :ivar seconds: For all rows into empty collections; ``again_s`` once more, when nothing has changed.
    :ivar memory_mb: Of the server, afterwards.
    """

    engine: str
    sent: Sent
    seconds: float
    again_s: float
    memory_mb: float


@dataclass(frozen=True, slots=True)
class Held:
    """How the standalone server holds up.

    :ivar sent_s: Seconds until all rows were sent and written, ``indexed_s`` until they were indexed as well.
    :ivar recall: The share of the ten nearest that is among the first ten found.
    """

    rows: int
    filter: str
    sent_s: float
    indexed_s: float
    memory_mb: float
    disk_mb: float
    recall: float
    p50: float
    p95: float


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print two tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.milvus", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--home", type=Path, required=True, help="the home of the starter corpus")
    parser.add_argument("--questions", type=Path, default=Path("corpus/questions.jsonl"))
    parser.add_argument("--most", type=int, help="how many questions are asked (default: all)")
    parser.add_argument("--engine", action="append", choices=SERVERS, dest="engines", help="one of them (repeatable)")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--rows", type=int, help="instead: how the standalone server holds up with so many vectors")
    chosen = parser.parse_args(arguments)
    shelf = SnapshotShelf(chosen.home)
    snapshot = shelf.open()
    asked = [
        understand(one.question, snapshot, exchange=one.ask_exchange, page_url=one.page_url, history=one.history)
        for one in read_questions(chosen.questions)[: chosen.most]
    ]
    if chosen.rows:
        print("\n".join(held_table(hold(snapshot, asked, chosen.rows))))
        return
    filled: list[Filled] = []
    embedded = HybridRetriever(snapshot)
    expected = {name: found(embedded, asked, filters) for name, filters in filters_of(asked, snapshot).items()}
    searched = [measured("embedded", name, times, lists, lists) for name, (times, lists) in expected.items()]
    for engine in chosen.engines or SERVERS:
        with tempfile.TemporaryDirectory(prefix=engine) as folder:
            try:
                server = SERVERS[engine](Path(folder))
            except ServerError as error:
                print(f"{engine} is left out: {error}")
                continue
            with server:
                filled.append(fill(engine, snapshot, shelf, server))
                retriever = retrievers(server.url)(snapshot)
                for name, filters in filters_of(asked, snapshot).items():
                    times, lists = found(retriever, asked, filters)
                    searched.append(measured(engine, name, times, lists, expected[name][1]))
    print("\n".join(("", *fill_table(filled), "", *search_table(searched))))
    if chosen.json:
        rows = {"filled": [asdict(one) for one in filled], "searched": [asdict(one) for one in searched]}
        chosen.json.write_text(json.dumps(rows, indent=1), encoding="utf-8")


def filters_of(asked: Sequence[Question], snapshot: Snapshot) -> dict[str, list[Filters]]:
    """Give the filters of each question, by the name of their kind."""
    others = cycle(snapshot.exchanges)
    named = [frozenset((*one.exchanges, "")) if one.exchanges else frozenset((next(others), "")) for one in asked]
    return {"none": [Filters()] * len(asked), "exchange": [Filters(names) for names in named]}


def found(
    retriever: Retriever, asked: Sequence[Question], filters: Sequence[Filters]
) -> tuple[list[float], list[list[str]]]:
    """Search each question; give milliseconds, and the ids of the first ten passages."""
    times, lists = [], []
    for one, wanted in zip(asked, filters, strict=True):
        retriever.search(
            one.neutral, wanted, READ, language=one.language
        )  # remembers vectors, loads what is loaded once
        begun = time.perf_counter()
        hits = retriever.search(one.neutral, wanted, READ, language=one.language)
        times.append(1000 * (time.perf_counter() - begun))
        lists.append([hit.passage.id for hit in hits[:K]])
    return times, lists


def measured(
    engine: str, name: str, times: Sequence[float], lists: Sequence[Sequence[str]], expected: Sequence[Sequence[str]]
) -> Searched:
    """Compare what an engine found with what was expected of it."""
    pairs = [(set(own), set(right)) for own, right in zip(lists, expected, strict=True)]
    overlap = float(np.mean([len(own & right) / max(len(right), 1) if right else 1.0 for own, right in pairs]))
    same = float(np.mean([own == right for own, right in zip(lists, expected, strict=True)]))
    p50, p95 = np.percentile(times, [50, 95])
    return Searched(engine, name, len(times), overlap, same, float(p50), float(p95))


def fill(engine: str, snapshot: Snapshot, shelf: SnapshotShelf, server: MilvusServer) -> Filled:
    """Send a snapshot, twice."""
    begun = time.perf_counter()
    sent = put(snapshot, shelf, server.url)
    between = time.perf_counter()
    put(snapshot, shelf, server.url)
    return Filled(engine, sent, between - begun, time.perf_counter() - between, server.memory_mb())


def hold(snapshot: Snapshot, asked: Sequence[Question], rows: int) -> list[Held]:
    """Fill the standalone server and search it, unfiltered and under a filter that lets a tenth through."""
    passages = snapshot.dense.vectors(np.arange(len(snapshot.dense)))
    real = np.concatenate([passages, snapshot.sentence_vectors.astype(np.float32)])
    real /= np.linalg.norm(real, axis=1, keepdims=True)
    made = np.concatenate([vectors for vectors, _ in more_vectors(real, rows)])
    questions = snapshot.encoder.encode_query([one.neutral for one in asked])
    part = Part("dense", made.shape[1], rows > EXACT)
    with tempfile.TemporaryDirectory(prefix="milvus") as folder, standalone(Path(folder)) as server:
        client = Milvus(server.url, seconds=PATIENCE)
        make_collection(client, "rows", part)
        begun = time.perf_counter()
        for start in range(0, rows, BATCH):
            entries = [
                {
                    "key": f"{row:024x}", "passage": str(row), "exchange": row % GROUPS, "article": row, "digest": row,
                    "vector": vector,
                }
                for row, vector in enumerate(made[start : start + BATCH], start)
            ]  # fmt: skip
            client.call("sending", "upsert", "rows", entries)
        client.call("writing", "flush", "rows")
        sent_s = time.perf_counter() - begun
        while client.call("indexing", "describe_index", "rows", "vector")["pending_index_rows"]:
            time.sleep(1.0)
        client.call("loading", "load_collection", "rows")
        indexed_s = time.perf_counter() - begun
        files = [path for path in Path(folder).rglob("*") if path.is_file() and "bin" not in path.parts]
        disk = sum(path.stat().st_size for path in files) / 1e6
        held = []
        for name, where, among in (
            ("none", "", np.arange(rows)),
            ("tenth", "exchange == 3", np.arange(3, rows, GROUPS)),
        ):
            nearest = [set(among[np.argsort(-(made[among] @ question))[:K]].tolist()) for question in questions]
            times, recalls = [], []
            for question, right in zip(questions, nearest, strict=True):
                start_s = time.perf_counter()
                found = client.search("rows", part, question, DEPTH, where)
                times.append(1000 * (time.perf_counter() - start_s))
                recalls.append(len({int(row) for row, _ in found[:K]} & right) / K)
            p50, p95 = map(float, np.percentile(times, [50, 95]))
            recall = float(np.mean(recalls))
            held.append(Held(rows, name, sent_s, indexed_s, server.memory_mb(), disk, recall, p50, p95))
    return held


def held_table(held: Sequence[Held]) -> list[str]:
    """Give a Markdown table of how the server holds up."""
    rows = [
        f"| {one.rows:,} | {one.filter} | {one.sent_s:.0f} / {one.indexed_s:.0f} s | {one.memory_mb:.0f} MB | {one.disk_mb:.0f} MB | "
        f"{one.recall:.3f} | {one.p50:.1f} / {one.p95:.1f} ms |"
        for one in held
    ]
    return ["| rows | filter | sent / indexed | memory | disk | recall@10 | p50 / p95 |", "|---" * 7 + "|", *rows]


def fill_table(filled: Sequence[Filled]) -> list[str]:
    """Give a Markdown table of what was sent."""
    rows = [
        f"| {one.engine} | {one.sent.upserted:,} | {one.seconds:.1f} s | {one.again_s:.1f} s | {one.memory_mb:.0f} MB |"
        for one in filled
    ]
    return [
        "| engine | rows sent | into empty collections | again, unchanged | memory of the server |",
        "|---" * 5 + "|",
        *rows,
    ]


def search_table(searched: Sequence[Searched]) -> list[str]:
    """Give a Markdown table of what was found."""
    rows = [
        f"| {one.engine} | {one.filter} | {one.questions} | {one.overlap:.3f} | {one.same:.3f} | {one.p50:.1f} / {one.p95:.1f} ms |"
        for one in searched
    ]
    head = "| engine | filter | questions | overlap of the first ten | the same ten in the same order | p50 / p95 |"
    return [head, "|---" * 6 + "|", *rows]


if __name__ == "__main__":
    main()
