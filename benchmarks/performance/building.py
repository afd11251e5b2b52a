"""How fast the build embeds, beside SentenceTransformer in float32, and whether its memory grows with the corpus."""

import itertools
import json
import multiprocessing
import random
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.performance.question import Row
from index.build import CACHED_BATCH
from index.dense import DenseIndex
from index.encoder import OnnxEncoder
from index.passages import PassageList
from index.snapshot import SnapshotShelf
from index.vectors import VectorCache
from index.weights import exported

ENCODERS = ("e5", "minilm")
# The help pages are cut into passages of so many words, as large as citedesk's may be.
WORDS = 120
# Of the words of a varied passage, those that another passage's take the place of.
TAKEN = 1 / 3


@dataclass(frozen=True, slots=True)
class Amount:
    """How much is measured.

    :ivar passages: That both encode, ``rounds`` times, each round by both.
    :ivar sizes: Passages of the corpora whose embedding's memory is measured.
    """

    passages: int = 128
    rounds: int = 3
    sizes: tuple[int, ...] = (1_000, 10_000)


def measure(home: Path, cache: Path, data: Path | None, amount: Amount, tell: Callable[[str], None]) -> Row:
    """Measure speed and memory.

    :param cache: Where the exported encoders are.
    :param data: The folder of the data sets, for more real passages.
    """
    real = passages(home, data)
    chosen = random.Random(1).sample(real, min(amount.passages, len(real)))
    told: Row = {
        "passages": len(chosen),
        "of": len(real),
        "words": float(np.mean([len(text.split()) for text in chosen])),
    }
    speed: Row = {}
    for name in ENCODERS:
        tell(f"{name}: {len(chosen)} passages, {amount.rounds} rounds")
        speed[name] = _apart(_speed, name, exported(name, cache), chosen, amount.rounds)
    memory: list[Row] = []
    for size in amount.sizes:
        tell(f"memory of embedding {size:,} passages")
        memory.append({"passages": size, **_apart(_memory, exported("minilm", cache), real, size)})
    return told | {"speed": speed, "memory": memory}


def passages(home: Path, data: Path | None) -> list[str]:
    """Read what there is of real passages: those of a home, as the build encodes them, and help pages, cut."""
    snapshot = SnapshotShelf(home).open()
    texts = [text for text, _ in PassageList(snapshot.folder / "passages.sqlite").passage_inputs()]
    pages = data / "help_questions" / "pages.jsonl" if data else None
    if pages and pages.exists():
        for line in pages.read_text(encoding="utf-8").splitlines():
            page = json.loads(line)
            words = page["text"].split()
            cut = (" ".join(words[start : start + WORDS]) for start in range(0, len(words), WORDS))
            texts += [f"{page['title']}\n{part}" for part in cut]
    return texts


def varied(real: Sequence[str], size: int) -> Iterator[str]:
    """Give so many passages: the real ones, and then those with a third of their words another's, so that none is there twice."""
    chance = random.Random(1)
    yield from itertools.islice(real, size)
    for number in range(len(real), size):
        own, other = real[number % len(real)].split(), chance.choice(real).split()
        words = [other[at] if at < len(other) and chance.random() < TAKEN else word for at, word in enumerate(own)]
        yield f"{' '.join(words)} {number}"


def _speed(name: str, folder: Path, texts: Sequence[str], rounds: int) -> Row:
    """Encode the same texts by both, round by round; the best round of each counts, since other work may run beside."""
    from index.export import load

    model, encoder = load(name), OnnxEncoder(folder)
    floats = [encoder.card.document_prompt + text for text in texts]
    taken: dict[str, list[tuple[float, float]]] = {"sentence_transformers": [], "citedesk": []}
    vectors = {}
    for _ in range(rounds):
        wall, cpu = time.perf_counter(), time.process_time()
        vectors["sentence_transformers"] = model.encode(floats, normalize_embeddings=True, show_progress_bar=False)
        taken["sentence_transformers"].append((time.perf_counter() - wall, time.process_time() - cpu))
        wall, cpu = time.perf_counter(), time.process_time()
        vectors["citedesk"] = np.concatenate(list(_as_built(encoder, texts)))
        taken["citedesk"].append((time.perf_counter() - wall, time.process_time() - cpu))
    told: Row = {
        system: {
            "per_second": len(texts) / min(wall for wall, _ in times),
            "cpu_ms": 1000 * min(cpu for _, cpu in times) / len(texts),
        }
        for system, times in taken.items()
    }
    cosines = (vectors["citedesk"] * np.asarray(vectors["sentence_transformers"])).sum(axis=1)
    own, plain = told["citedesk"], told["sentence_transformers"]
    return told | {
        "ratio": own["per_second"] / plain["per_second"], "cpu_ratio": plain["cpu_ms"] / own["cpu_ms"],
        "cosine": float(cosines.mean()), "tokens": float(np.mean([len(ids) for ids in encoder._tokenize(floats)])),
    }  # fmt: skip


def _as_built(encoder: OnnxEncoder, texts: Iterable[str]) -> Iterator[np.ndarray]:
    """Encode as `index.build` does: batch by batch, through a new cache on the disk."""
    with tempfile.TemporaryDirectory() as folder, VectorCache(Path(folder) / "vectors.sqlite", encoder) as cache:
        rest = iter(texts)
        while batch := list(itertools.islice(rest, CACHED_BATCH)):
            yield cache.encode(batch)


def _memory(folder: Path, real: Sequence[str], size: int) -> Row:
    """Embed a corpus of a size into a file of vectors; give the seconds and the most memory of its own that was taken."""
    encoder = OnnxEncoder(folder)
    encoder.encode_document(real[:CACHED_BATCH])
    begun, before = time.perf_counter(), _peak()
    with tempfile.TemporaryDirectory() as work:
        # Sentences' length: the memory goes with the batch and the longest text, and this takes less time.
        texts = (text[-200:] for text in varied(real, size))
        DenseIndex.write_rows(Path(work) / "vectors.faiss", _as_built(encoder, texts), encoder.dimension)
    return {"seconds": time.perf_counter() - begun, "peak_mb": _peak(), "before_mb": before}


def _peak() -> float:
    """Give the most megabytes that were resident at once in this process."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


def _apart(work: Callable[..., Row], *given: object) -> Row:
    """Call in a process of its own, whose memory and threads are then its own."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(work, *given).result()
