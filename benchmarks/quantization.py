"""What quantization costs and gains: nDCG@10, speed, latency and size of each variant of an encoder.

    python -m benchmarks.quantization --data DIR [--encoder e5] [--json FILE]

`--data` is the folder that holds doc2dial_val and crypto_help. Documents are cut into passages of 120 words, and a
document scores as its best passage. Quality is over all documents and queries that have a judgement, unless
`--passages N` keeps only each document's first N passages. The variant that `index.export.export` writes is marked *.
"""

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import onnxruntime

from index import export, graph, weights
from index.encoder import Encoder, OnnxEncoder, Vectors
from index.recipe import FFN, Recipe, Shape

WORDS = 120
SETS = {"doc2dial_val": "doc2dial_val/first_turn", "crypto_help": "crypto_help/headings"}
TIMED = 48
"""Passages timed; the best of three rounds counts, since other work may run beside."""


def variants(table: Literal["float", "blocks4", "blocks8"]) -> dict[str, Recipe]:
    """Name the recipes to compare, float32 first; all but a few hold the word table as the chosen one does."""
    int8 = Recipe("int8", table, reduce_range=False, by_token=())
    everywhere: tuple[Shape, ...] = (*FFN, "square")
    return {
        "float32": Recipe("float", "float"),
        "int8": int8,
        "int8, a scale a token for FFN outputs": replace(int8, by_token=("narrowing",)),
        "int8, a scale a token for the FFN": replace(int8, by_token=FFN),
        "int8, a scale a token everywhere": replace(int8, by_token=everywhere),
        "7 bits, a scale a token for the FFN": replace(int8, by_token=FFN, reduce_range=True),
        "7 bits, a scale a token everywhere": replace(int8, by_token=everywhere, reduce_range=True),
        "7 bits": replace(int8, reduce_range=True),
        "int8, FFN outputs float32": replace(int8, keep=("narrowing",)),
        "int8, a scale a matrix": replace(int8, per_channel=False),
        "int8, table float32": replace(int8, embeddings="float"),
        "int8, table 8-bit": replace(int8, embeddings="blocks8"),
        "int8, table 4-bit": replace(int8, embeddings="blocks4"),
        "8-bit blocks": replace(int8, matmul="blocks8"),
        "4-bit blocks": replace(int8, matmul="blocks4"),
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
    change: dict[str, tuple[float, float]]
    """Mean difference from float32, and half of its 95 % interval over the queries."""
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


def ndcg_at_10(judged: Judged, documents: Vectors, queries: Vectors) -> npt.NDArray[np.float64]:
    """Return each query's nDCG@10, binary gains (Järvelin and Kekäläinen, 2002); a document scores as its best passage.

    :param documents: (passages, d) unit rows.
    :param queries: (queries, d) unit rows.
    """
    best = np.full((len(queries), max(judged.owners) + 1), -1.0, np.float32)
    for owner, scores in zip(judged.owners, documents @ queries.T, strict=True):
        np.maximum(best[:, owner], scores, out=best[:, owner])
    discounts = 1 / np.log2(np.arange(2, 12))
    values = np.zeros(len(queries))
    for query, relevant in enumerate(judged.relevant):
        ranked = np.argsort(-best[query], kind="stable")[:10]
        gained = sum(discounts[place] for place, row in enumerate(ranked) if row in relevant)
        values[query] = gained / discounts[: len(relevant)].sum()
    return values


def _timed(work: Callable[[], object], rounds: int) -> tuple[float, float]:
    """Return the best wall and the best processor seconds of some rounds."""
    walls, cores = [], []
    for _ in range(rounds):
        wall, core = time.perf_counter(), time.process_time()
        work()
        walls.append(time.perf_counter() - wall)
        cores.append(time.process_time() - core)
    return min(walls), min(cores)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one variant made of a task."""

    vectors: Vectors
    ndcg: npt.NDArray[np.float64]


def outcome(encoder: Encoder, judged: Judged) -> Outcome:
    """Encode a task and score it."""
    vectors = encoder.encode_document(judged.passages)
    return Outcome(vectors, ndcg_at_10(judged, vectors, encoder.encode_query(judged.queries)))


def measure(name: str, chosen: bool, folder: Path, tasks: dict[str, Judged], base: dict[str, Outcome]) -> Row:
    """Measure one exported variant against float32; `base` is filled by the first."""
    encoder = OnnxEncoder(folder)
    found = {task: outcome(encoder, judged) for task, judged in tasks.items()}
    base.update({task: found[task] for task in tasks if task not in base})
    first = next(iter(tasks.values()))
    full = [passage for passage in first.passages if passage.count(" ") == WORDS - 1][:TIMED]
    wall, core = _timed(lambda: encoder.encode_document(full), 3)
    _, query = _timed(lambda: [encoder.encode_query([text]) for text in first.queries[:20]], 5)
    apart = {task: found[task].ndcg - base[task].ndcg for task in tasks}
    cosines = [(found[task].vectors * base[task].vectors).sum(axis=1) for task in tasks]
    return Row(
        variant=name,
        chosen=chosen,
        ndcg={task: float(found[task].ndcg.mean()) for task in tasks},
        change={task: (float(d.mean()), float(1.96 * d.std(ddof=1) / len(d) ** 0.5)) for task, d in apart.items()},
        passages_per_second=len(full) / wall,
        passage_core_ms=core / len(full) * 1e3,
        query_core_ms=query / 20 * 1e3,
        megabytes=sum(path.stat().st_size for path in folder.iterdir()) / 1e6,
        cosine=float(np.concatenate(cosines).mean()),
    )


def table(rows: list[Row], tasks: dict[str, Judged]) -> str:
    """Render the rows as a Markdown table."""
    heads = ["variant", *(f"nDCG@10 {task} ({len(judged.queries)})" for task, judged in tasks.items())]
    heads += ["cosine", "passages/s", "core ms a passage", "core ms a query", "MB"]
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for row in rows:
        cells = [row.variant + (" *" if row.chosen else ""), *(_cell(row, task) for task in tasks)]
        cells += [f"{row.cosine:.4f}", f"{row.passages_per_second:.0f}", f"{row.passage_core_ms:.1f}"]
        cells += [f"{row.query_core_ms:.1f}", f"{row.megabytes:.0f}"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(row: Row, task: str) -> str:
    mean, half = row.change[task]
    return f"{row.ndcg[task]:.4f} ({mean:+.4f} ± {half:.4f})" if half else f"{row.ndcg[task]:.4f}"


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quantization", description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with doc2dial_val and crypto_help")
    parser.add_argument("--encoder", default="e5", help="e5, minilm, or a sentence-transformers id or folder")
    parser.add_argument("--passages", type=int, default=10_000, help="keep a document's first N passages")
    parser.add_argument("--only", nargs="*", metavar="VARIANT", help="measure float32 and these alone")
    parser.add_argument("--json", type=Path, help="write the rows to this file too")
    given = parser.parse_args()
    tasks = {task: read(given.data / path, given.passages) for task, path in SETS.items()}
    model = export.load(given.encoder)
    floats = graph.to_onnx(model)
    chosen = weights.recipe_of(given.encoder)
    rows: list[Row] = []
    base: dict[str, Outcome] = {}
    for name, recipe in variants(chosen.embeddings).items():
        if given.only and name not in ("float32", *given.only):
            continue
        with tempfile.TemporaryDirectory() as folder:
            work = Path(folder) / "encoder"
            export.write(given.encoder, model, graph.quantize(floats, recipe), recipe, work)
            rows.append(measure(name, recipe == chosen, work, tasks, base))
        print(table(rows[-1:], tasks), file=sys.stderr, flush=True)
    machine = f"{platform.machine()}, {os.cpu_count()} cores, onnxruntime {onnxruntime.__version__}"
    print(f"{given.encoder}, {sum(len(task.passages) for task in tasks.values())} passages; {machine}\n")
    print(table(rows, tasks))
    if given.json:
        given.json.write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
