"""What quantization costs and gains: nDCG@10, speed, latency and size of each variant of an encoder.

    python -m benchmarks.quantization --data DIR [--encoder e5] [--json FILE]

`--data` is the folder that holds doc2dial_val and crypto_help. Documents are cut into passages of 120 words, and a
document scores as its best passage. Quality is over all documents and queries that have a judgement, unless
`--passages N` keeps only each document's first N passages. The variant that `index.weights.export` writes is marked *.
"""

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import onnxruntime

from index import graph, weights
from index.encoder import Encoder, OnnxEncoder
from index.graph import Recipe

WORDS = 120
SETS = {"doc2dial_val": "doc2dial_val/first_turn", "crypto_help": "crypto_help/headings"}
TIMED = 48
"""Passages timed; the best of three rounds counts, since other work may run beside."""

VARIANTS = {
    "float32": Recipe("float", "float"),
    "int8, table float32": Recipe("int8", "float"),
    "int8, table 8-bit": Recipe("int8", "blocks8"),
    "int8, table 4-bit": Recipe("int8", "blocks4"),
    "int8, a scale a matrix": Recipe("int8", "blocks8", per_channel=False),
    "int8, 7 bits": Recipe("int8", "blocks8", reduce_range=True),
    "int8, FFN outputs float32": Recipe("int8", "blocks8", keep=("narrowing",)),
    "8-bit blocks": Recipe("blocks8", "blocks8"),
    "4-bit blocks": Recipe("blocks4", "blocks4"),
}


@dataclass(frozen=True, slots=True)
class Judged:
    """A retrieval task: passages with their document's row, queries, and the relevant rows of each query."""

    passages: list[str]
    owners: list[int]
    queries: list[str]
    relevant: list[set[int]]


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. Speeds are of this machine, with all its cores and whatever else runs on them."""

    variant: str
    chosen: bool
    ndcg: dict[str, float]
    passages_per_second: float
    passage_core_ms: float
    query_core_ms: float
    """Processor time; a question uses one core, so this is its latency where nothing else runs."""
    megabytes: float
    cosine: float
    """Mean cosine of a passage's vector with that of float32."""


def read(folder: Path, most: int) -> Judged:
    """Read corpus.jsonl, queries.jsonl and qrels.tsv, and cut the documents into passages."""
    passages, owners, rows = [], [], {}
    for row, document in enumerate(_lines(folder / "corpus.jsonl")):
        rows[document["id"]] = row
        words = f"{document.get('title') or ''} {document['text']}".split()
        pieces = [" ".join(words[at : at + WORDS]) for at in range(0, max(len(words), 1), WORDS)][:most]
        passages += pieces
        owners += [row] * len(pieces)
    relevant: dict[str, set[int]] = {}
    for line in (folder / "qrels.tsv").read_text(encoding="utf-8").splitlines()[1:]:
        query, document_id, score = line.split("\t")
        if int(score) > 0:
            relevant.setdefault(query, set()).add(rows[document_id])
    texts = {query["id"]: query["text"] for query in _lines(folder / "queries.jsonl")}
    return Judged(passages, owners, [texts[query] for query in relevant], list(relevant.values()))


def _lines(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def ndcg_at_10(judged: Judged, documents: np.ndarray, queries: np.ndarray) -> float:
    """Mean nDCG@10, binary gains (Järvelin and Kekäläinen, 2002); a document scores as its best passage.

    :param documents: (passages, d) unit rows.
    :param queries: (queries, d) unit rows.
    """
    best = np.full((len(queries), max(judged.owners) + 1), -1.0, np.float32)
    for owner, scores in zip(judged.owners, documents @ queries.T, strict=True):
        np.maximum(best[:, owner], scores, out=best[:, owner])
    discounts = 1 / np.log2(np.arange(2, 12))
    total = 0.0
    for scores, relevant in zip(best, judged.relevant, strict=True):
        ranked = np.argsort(-scores, kind="stable")[:10]
        total += sum(discounts[i] for i, row in enumerate(ranked) if row in relevant) / discounts[: len(relevant)].sum()
    return total / len(queries)


def _timed(work: Callable[[], object], rounds: int) -> tuple[float, float]:
    """Return the best wall and the best processor seconds of some rounds."""
    walls, cores = [], []
    for _ in range(rounds):
        wall, core = time.perf_counter(), time.process_time()
        work()
        walls.append(time.perf_counter() - wall)
        cores.append(time.process_time() - core)
    return min(walls), min(cores)


def measure(
    name: str, chosen: bool, folder: Path, tasks: dict[str, Judged], base: list[np.ndarray] | None
) -> tuple[Row, list[np.ndarray]]:
    """Measure one exported variant; return its row and its passage vectors."""
    encoder = OnnxEncoder(folder)
    ndcg, vectors = {}, []
    for task, judged in tasks.items():
        vectors.append(_documents(encoder, judged.passages))
        ndcg[task] = ndcg_at_10(judged, vectors[-1], encoder.encode_query(judged.queries))
    first = next(iter(tasks.values()))
    full = [passage for passage in first.passages if passage.count(" ") == WORDS - 1][:TIMED]
    wall, core = _timed(lambda: encoder.encode_document(full), 3)
    _, query = _timed(lambda: [encoder.encode_query([text]) for text in first.queries[:20]], 5)
    pairs = zip(vectors, base or vectors, strict=True)
    cosine = float(np.mean(np.concatenate([(ours * theirs).sum(1) for ours, theirs in pairs])))
    size = sum(path.stat().st_size for path in folder.iterdir()) / 1e6
    row = Row(name, chosen, ndcg, len(full) / wall, core / len(full) * 1e3, query / 20 * 1e3, size, cosine)
    return row, vectors


def _documents(encoder: Encoder, passages: Sequence[str]) -> np.ndarray:
    done = 0

    def progress(count: int) -> None:
        nonlocal done
        done += count
        if sys.stderr.isatty() and done % 50 == 0:
            print(f"\r{done}/{len(passages)}", end="", file=sys.stderr)

    return encoder.encode_document(passages, progress)


def table(rows: list[Row], tasks: dict[str, Judged]) -> str:
    """Render the rows as a Markdown table."""
    heads = ["variant", *(f"nDCG@10 {task} ({len(judged.queries)})" for task, judged in tasks.items())]
    heads += ["cosine", "passages/s", "core ms a passage", "core ms a query", "MB"]
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for row in rows:
        cells = [row.variant + (" *" if row.chosen else ""), *(f"{row.ndcg[task]:.4f}" for task in tasks)]
        cells += [f"{row.cosine:.4f}", f"{row.passages_per_second:.0f}", f"{row.passage_core_ms:.1f}"]
        cells += [f"{row.query_core_ms:.1f}", f"{row.megabytes:.0f}"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quantization", description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with doc2dial_val and crypto_help")
    parser.add_argument("--encoder", default="e5", help="e5, minilm, or a sentence-transformers id or folder")
    parser.add_argument("--passages", type=int, default=10_000, help="keep a document's first N passages")
    parser.add_argument("--only", nargs="*", default=list(VARIANTS), choices=list(VARIANTS), metavar="VARIANT")
    parser.add_argument("--json", type=Path, help="write the rows to this file too")
    given = parser.parse_args()
    tasks = {task: read(given.data / path, given.passages) for task, path in SETS.items()}
    model = weights.load(given.encoder)
    floats = graph.to_onnx(model)
    chosen = weights.recipe_of(given.encoder)
    rows: list[Row] = []
    base: list[np.ndarray] | None = None
    for name in given.only:
        recipe = VARIANTS[name]
        with tempfile.TemporaryDirectory() as folder:
            work = Path(folder) / "encoder"
            weights.write(given.encoder, model, graph.quantize(floats, recipe), recipe, work)
            row, vectors = measure(name, recipe == chosen, work, tasks, base)
        base = base or vectors
        rows.append(row)
        print(f"{name}: {row}", file=sys.stderr)
    machine = f"{platform.machine()}, {os.cpu_count()} cores, onnxruntime {onnxruntime.__version__}"
    print(f"{given.encoder}, {sum(len(task.passages) for task in tasks.values())} passages; {machine}\n")
    print(table(rows, tasks))
    if given.json:
        given.json.write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
