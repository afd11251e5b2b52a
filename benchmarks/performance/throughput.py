"""Answers a second by the number of askers, beside what one core could give at the very most."""

import itertools
import json
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import index.encoder
import service.reader
from benchmarks.performance.products import MultiplyAdds, ProductCounter, Speed, measured_speed
from benchmarks.performance.question import QUESTIONS, Row, percentiles
from index.encoder import MODEL
from index.snapshot import SnapshotShelf
from service.assistant import Assistant

ASKERS = (1, 2, 4, 8)
# How the reader reads: as served, with what it read before remembered; with nothing remembered; not at all.
READERS = ("on", "cold", "off")
Counters = dict[Path, ProductCounter]


@dataclass(frozen=True, slots=True)
class Amount:
    """How many questions are asked at each level, and how many before."""

    before: int = 60
    asked: int = 64


def measure(home: Path, amount: Amount, tell: Callable[[str], None]) -> Row:
    """Ask by more and more threads in one process, with the reader and without."""
    speed = measured_speed()
    texts = [json.loads(line)["question"] for line in QUESTIONS.read_text(encoding="utf-8").splitlines()]
    # No question is asked twice, so no vector of one is remembered.
    asked = (f"{text} (ref {number})" for number, text in enumerate(itertools.cycle(texts)))
    counters: Counters = {}
    levels: list[Row] = []
    for reader in READERS:
        with _remembering(0 if reader == "cold" else service.reader.REMEMBERED), _recording() as ran:
            assistant = Assistant(SnapshotShelf(home).open(), reads=reader != "off")
            for question in itertools.islice(asked, amount.before):
                assistant.ask(question)
            for askers in ASKERS:
                tell(f"reader {reader}, {askers} at the same time")
                for lengths in ran.values():
                    lengths.clear()
                level = _level(assistant, list(itertools.islice(asked, amount.asked)), askers)
                floor = _floor(ran, counters, amount.asked, speed)
                # Of the processor time that was taken, the share that the products take at the least.
                level["share"] = floor["floor_ms"] / level["cpu_ms"]
                levels.append({"reader": reader, "askers": askers, **level, **floor})
    return {"speed": asdict(speed), "levels": levels, "questions": amount.asked}


def _level(assistant: Assistant, questions: Sequence[str], askers: int) -> Row:
    def ask(question: str) -> float:
        begun = time.perf_counter()
        assistant.ask(question)
        return 1000 * (time.perf_counter() - begun)

    wall, cpu = time.perf_counter(), time.process_time()
    with ThreadPoolExecutor(askers) as pool:
        taken = list(pool.map(ask, questions))
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return {"answers_per_second": len(questions) / wall, "cpu_ms": 1000 * cpu / len(questions), **percentiles(taken)}


def _floor(ran: dict[Path, list[int]], counters: Counters, questions: int, speed: Speed) -> Row:
    """Give what the models multiplied for a question, on the mean, and how long one core takes for it at the least."""
    work = MultiplyAdds()
    for folder, lengths in ran.items():
        counter = counters.setdefault(folder, ProductCounter(folder / MODEL))
        work = sum((counter.count(length) for length in lengths), work)
    return {
        "int8": work.int8 / questions, "float32": work.float32 / questions,
        "texts": sum(map(len, ran.values())) / questions, "tokens": sum(map(sum, ran.values())) / questions,
        "floor_ms": 1000 * speed.seconds(work) / questions, "floor_per_second": questions / speed.seconds(work),
    }  # fmt: skip


class _Recorder:
    """Stands before a session and notes on how many tokens each text is run."""

    def __init__(self, session: Any, lengths: list[int]) -> None:  # noqa: ANN401
        self._session, self._lengths = session, lengths

    def run(self, outputs: Sequence[str], given: dict[str, Any]) -> Any:  # noqa: ANN401
        texts, tokens = given["input_ids"].shape
        self._lengths += [tokens] * texts
        return self._session.run(outputs, given)


@contextmanager
def _recording() -> Iterator[dict[Path, list[int]]]:
    """Note the tokens of every text that an encoder runs on which is opened while the context is open, by its folder."""
    ran: dict[Path, list[int]] = {}
    opened = index.encoder._open_model

    def noted(folder: Path, outputs: Sequence[str]) -> Any:  # noqa: ANN401
        return _Recorder(opened(folder, outputs), ran.setdefault(folder, []))

    with patch("index.encoder._open_model", noted):
        yield ran


@contextmanager
def _remembering(passages: int) -> Iterator[None]:
    """Have a reader remember so many passages while the context is open."""
    with patch("service.reader.REMEMBERED", passages):
        yield
