"""How the indexes hold up as a corpus grows: `python -m benchmarks.scale --home var --sizes 1000,10000,100000`.

The passages and their vectors are those of a home, made more. A vector is made of two: that of a passage or sentence, moved
as another one lies from one of its five nearest, and made of unit length again; so that the new ones lie among the real
ones as those do among themselves, and none twice. A text is a passage's, of which a third of the words are taken
from another one, at the same places. The questions are the starter questions, encoded as they are asked.
"""

import argparse
import json
import multiprocessing
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from index.dense import DenseIndex, Rows, Vectors, graph_of
from index.lexical import LexicalIndex, terms
from index.snapshot import SnapshotShelf

# Passages that are made at once.
BATCH = 20_000
# Among how many of its nearest a vector's move is measured, how much of the move is made, and how many are measured.
NEAREST, LEAST_MOVE, MOVES = 5, 0.5, 2_000
# Shares of the passages that a filter lets through: the passages that have the tag, drawn by chance.
SHARES = {"half": 0.5, "tenth": 0.1, "hundredth": 0.01, "thousandth": 0.001}
# Passages made from the first so many of the real ones, so that what is let through lies together; likewise a filter.
TOGETHER = 0.3
K, DEPTH, ASKED = 10, 50, 200

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Found:
    """What searching took under one filter.

    :ivar passages: How many the filter lets through.
    :ivar recall: The share of the ten nearest that is among the first ten found.
    :ivar p50: Milliseconds of one search, the median; ``p95`` of one in twenty at least.
    :ivar lexical_p50: Likewise of BM25 with the question's words.
    """

    filter: str
    passages: int
    recall: float
    p50: float
    p95: float
    lexical_p50: float
    lexical_p95: float


@dataclass(frozen=True, slots=True)
class Measured:
    """What one size took.

    :ivar vectors_s: Seconds to write the vectors and the graph beside them, ``lexical_s`` for BM25.
    :ivar vectors_mb: Megabytes on the disk, likewise.
    :ivar own_mb: Megabytes of memory of the process that searched, which are its own, above those before opening.
    :ivar mapped_mb: Those of mapped files, which all processes share and the system may take back.
    """

    passages: int
    graph: bool
    vectors_s: float
    lexical_s: float
    vectors_mb: float
    graph_mb: float
    lexical_mb: float
    own_mb: float
    mapped_mb: float
    found: tuple[Found, ...]


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument("--home", type=Path, required=True, help="a built home, the more passages the better")
    parser.add_argument("--vectors", type=Path, help="an .npy file of more real vectors of the same encoder")
    parser.add_argument("--sizes", default="1000,10000,100000")
    parser.add_argument("--work", type=Path, default=Path("scale"), help="a folder for the indexes; they are removed")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    measured = []
    for size in map(int, given.sizes.split(",")):
        measured.append(measure(given.home, size, given.work / str(size), given.vectors))
        print(table(measured[-1:]), flush=True)
    print(table(measured))
    if given.json:
        given.json.write_text(json.dumps([asdict(one) for one in measured], indent=1), encoding="utf-8")


def measure(home: Path, size: int, work: Path, more: Path | None = None) -> Measured:
    """Build indexes of a size and search them, each in a process of its own."""
    work.mkdir(parents=True)
    try:
        times = _apart(_build, home, size, work, more)
        own, mapped, found = _apart(_search, home, size, work)
        path = work / "vectors.faiss"
        graph = graph_of(path)
        return Measured(
            size, graph.exists(), *times, _megabytes(path), _megabytes(graph) if graph.exists() else 0.0,
            sum(map(_megabytes, (work / "lexical").iterdir())), own, mapped, tuple(found),
        )  # fmt: skip
    finally:
        shutil.rmtree(work)


def table(measured: list[Measured]) -> str:
    """Give a Markdown table, a line for each size and filter."""
    lines = [
        "| passages | vectors + BM25 built | disk: vectors + graph + BM25 | memory: own + mapped | filter | lets through | "
        "recall@10 | dense p50 / p95 | BM25 p50 / p95 |",
        "|---" * 9 + "|",
    ]
    for one in measured:
        head = (
            f"{one.passages:,} | {one.vectors_s:.1f} + {one.lexical_s:.1f} s | {one.vectors_mb:.0f} + {one.graph_mb:.0f} + "
            f"{one.lexical_mb:.0f} MB | {one.own_mb:.0f} + {one.mapped_mb:.0f} MB"
        )
        for row in one.found:
            lines.append(
                f"| {head} | {row.filter} | {row.passages:,} | {row.recall:.3f} | {row.p50:.1f} / {row.p95:.1f} ms | "
                f"{row.lexical_p50:.1f} / {row.lexical_p95:.1f} ms |"
            )
            head = " | | | "
    return "\n".join(lines)


def more_vectors(real: Vectors, size: int, seed: int = 1) -> Iterator[tuple[Vectors, Rows]]:
    """Make vectors out of real ones, a batch at a time, with the rows of the real ones that they were made of."""
    random = np.random.default_rng(seed)
    moves = _moves(real, random)
    for start in range(0, size, BATCH):
        count = min(BATCH, size - start)
        of, moved = random.integers(0, len(real), count), random.integers(0, len(moves), count)
        share = random.uniform(LEAST_MOVE, 1.0, (count, 1)).astype(np.float32)
        made = real[of] + share * moves[moved]
        yield made / np.linalg.norm(made, axis=1, keepdims=True), of


def more_texts(real: list[str], of: Rows, seed: int = 1) -> Iterator[str]:
    """Make a text for each row: that row's, with a third of its words those of another text."""
    random = np.random.default_rng(seed)
    words = [text.split() for text in real]
    for row in of.tolist():
        own, other = words[row % len(words)], words[int(random.integers(0, len(words)))]
        taken = random.random(len(own)) < 1 / 3
        yield " ".join(other[at] if taken[at] and at < len(other) else word for at, word in enumerate(own))


def _moves(real: Vectors, random: np.random.Generator) -> Vectors:
    """Give how some vectors lie from one of their nearest."""
    rows = random.choice(len(real), min(MOVES, len(real)), replace=False)
    cosines = real[rows] @ real.T
    cosines[np.arange(len(rows)), rows] = -1.0
    near = np.argpartition(-cosines, NEAREST, axis=1)[:, :NEAREST]
    chosen = near[np.arange(len(rows)), random.integers(0, NEAREST, len(rows))]
    moves: Vectors = real[rows] - real[chosen]
    return moves


def _real(home: Path, more: Path | None) -> tuple[Vectors, list[str]]:
    snapshot = SnapshotShelf(home).open()
    rows = range(len(snapshot.dense))
    passages = np.stack([snapshot.dense.vector(row) for row in rows])
    others = [np.load(more)] if more else []
    vectors = np.concatenate([passages, snapshot.sentence_vectors.astype(np.float32), *others])
    texts = [passage.text for passage in snapshot.passages(rows)]
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True), texts


def _build(home: Path, size: int, work: Path, more: Path | None) -> tuple[float, float]:
    real, texts = _real(home, more)
    of: list[Rows] = []

    def vectors() -> Iterator[Vectors]:
        for made, rows in more_vectors(real, size):
            of.append(rows)
            yield made

    begun = time.perf_counter()
    DenseIndex.write_rows(work / "vectors.faiss", vectors(), real.shape[1])
    vectors_s = time.perf_counter() - begun
    sources = np.concatenate(of)
    together = sources < TOGETHER * len(real)
    documents = (
        (" ".join(terms(text)), (str(int(group)),))
        for text, group in zip(more_texts(texts, sources), together, strict=True)
    )
    begun = time.perf_counter()
    LexicalIndex.build(work / "lexical", documents)
    lexical_s = time.perf_counter() - begun
    np.save(work / "together.npy", np.flatnonzero(together))
    return vectors_s, lexical_s


def _search(home: Path, size: int, work: Path) -> tuple[float, float, list[Found]]:
    snapshot = SnapshotShelf(home).open()
    lines = Path("corpus/questions.jsonl").read_text(encoding="utf-8").splitlines()[:ASKED]
    questions = [json.loads(line)["question"] for line in lines]
    queries = snapshot.encoder.encode_query(questions)
    random = np.random.default_rng(2)
    filters: dict[str, Rows | None] = {"none": None}
    filters |= {name: np.flatnonzero(random.random(size) < share) for name, share in SHARES.items()}
    filters["together"] = np.load(work / "together.npy")
    before = _memory()
    index, lexical = DenseIndex.open(work / "vectors.faiss"), LexicalIndex.open(work / "lexical")
    found = [_measured(name, among, index, lexical, queries, questions) for name, among in filters.items()]
    own, mapped = (now - then for now, then in zip(_memory(), before, strict=True))
    exact = np.stack(queries) @ index._vectors.T  # after the memory was read: this looks at every vector
    return own, mapped, [_with_recall(one, filters[one.filter], exact, hits) for one, hits in found]


def _measured(
    name: str, among: Rows | None, index: DenseIndex, lexical: LexicalIndex, queries: Vectors, questions: list[str]
) -> tuple[Found, list[list[int]]]:
    marks = [frozenset({"1"})] if name == "together" else []
    hits: list[list[int]] = []

    def ask(query: Vectors) -> None:
        hits.append([row for row, _ in index.search(query, DEPTH, among)])

    dense = _milliseconds(ask, queries)
    bm25 = _milliseconds(lambda words: lexical.search(words, DEPTH, marks), [terms(text) for text in questions])
    count = len(index) if among is None else len(among)
    return Found(name, count, 0.0, *_percentiles(dense), *_percentiles(bm25)), hits


def _with_recall(one: Found, among: Rows | None, exact: Vectors, hits: list[list[int]]) -> Found:
    rows = np.arange(exact.shape[1]) if among is None else among
    shares = []
    for cosines, found in zip(exact, hits, strict=True):
        nearest = rows[np.argsort(-cosines[rows])[:K]]
        shares.append(len(set(nearest.tolist()) & set(found[:K])) / max(1, len(nearest)))
    return Found(one.filter, one.passages, float(np.mean(shares)), one.p50, one.p95, one.lexical_p50, one.lexical_p95)


def _milliseconds(call: Callable[[Any], object], asked: Iterable[Any]) -> npt.NDArray[np.float64]:
    taken = []
    for given in asked:
        begun = time.perf_counter()
        call(given)
        taken.append(1000 * (time.perf_counter() - begun))
    return np.array(taken)


def _percentiles(taken: npt.NDArray[np.float64]) -> tuple[float, float]:
    return float(np.percentile(taken, 50)), float(np.percentile(taken, 95))


def _memory() -> tuple[float, float]:
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines())
    own, mapped = (int(status[name].split()[0]) / 1024 for name in ("RssAnon", "RssFile"))
    return own, mapped


def _megabytes(path: Path) -> float:
    return path.stat().st_size / 1e6


def _apart(work: Callable[..., Result], *given: object) -> Result:
    """Call in a process of its own, whose memory is then its own."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(work, *given).result()


if __name__ == "__main__":
    main()
