"""The questions that a reader is fitted on and judged by, in one shape: a question, its page, and what answers it.

Four folders of development data (`--data DIR`): help_questions, squad2_half_dev, clapnq_dev and doc2dial_val. Each is cut
into two halves by page, so that no page that is reported on was seen in fitting: help_questions by its own `split`,
doc2dial_val likewise for the documents that help_questions shares with it; the rest by a checksum of the page's name.
"""

import json
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any, Literal

from ingest.sentences import sentences
from ingest.shapes import word_count
from service.reader import Readable

Half = Literal["fit", "report"]

LONGEST_PASSAGE = 120
"""Words; a longer sentence is a passage of its own."""


@dataclass(frozen=True, slots=True)
class Page:
    """A page, cut into passages of whole sentences."""

    name: str
    language: str
    passages: tuple[Readable, ...]


@dataclass(frozen=True, slots=True)
class Asked:
    """A question about one page.

    :ivar source: The folder that it comes from.
    :ivar before: The question that it follows upon, or an empty string.
    :ivar gold: (passage, sentence) numbers of the page that answer it; empty where nothing does.
    """

    name: str
    source: str
    half: Half
    question: str
    before: str
    language: str
    page: Page
    gold: frozenset[tuple[int, int]]

    @property
    def text(self) -> str:
        """The question as it is read, after the one that it follows upon."""
        return f"{self.before} {self.question}".strip()


def load(data: Path) -> list[Asked]:
    """Read all questions of the four folders that are there.

    :param data: The folder that holds them.
    """
    readers = (_help_questions, _squad2, _clapnq, _doc2dial)
    return [asked for reader in readers for asked in reader(data)]


def cut(name: str, title: str, text: str, language: str = "en") -> Page:
    """Cut a text into passages of at most 120 words of whole sentences."""
    groups: list[list[tuple[int, int]]] = []
    words = 0
    for start, end in sentences(text, language):
        count = word_count(text[start:end])
        if not groups or words + count > LONGEST_PASSAGE:
            groups.append([])
            words = 0
        groups[-1].append((start, end))
        words += count
    passages = []
    for group in groups:
        first = group[0][0]
        passages.append(
            Readable(title, (), text[first : group[-1][1]], tuple((start - first, end - first) for start, end in group))
        )
    return Page(name, language, tuple(passages))


def _help_questions(data: Path) -> Iterator[Asked]:
    folder = data / "help_questions"
    pages = {line["id"]: line for line in _lines(folder / "pages.jsonl")}
    cuts: dict[str, Page] = {}
    for line in _lines(folder / "questions.jsonl"):
        source = pages[line["article_id"]]
        page = cuts.setdefault(source["id"], cut(source["id"], source["title"], source["text"]))
        gold = _covering(page, source["text"], [line["span"]] if line["answerable"] else [])
        before = " ".join((line.get("history") or [])[-1:])
        yield Asked(line["id"], "help_questions", line["split"], line["question"], before, line["language"], page, gold)


def _squad2(data: Path) -> Iterator[Asked]:
    folder = data / "squad2_half_dev"
    pages = {
        line["id"]: (line["title"], cut(line["id"], line["title"], line["text"]))
        for line in _lines(folder / "corpus.jsonl")
    }
    for line in _lines(folder / "qa.jsonl"):
        title, page = pages[line["context_id"]]
        gold = _holding(page, line["answers"])
        if bool(gold) == line["answerable"]:
            yield Asked(line["id"], "squad2", _half(title), line["question"], "", "en", page, gold)


def _clapnq(data: Path) -> Iterator[Asked]:
    for line in _lines(data / "clapnq_dev" / "qa.jsonl"):
        page = cut(line["id"], line["title"], line["context"])
        support = [sentence for answer in line["answers"] for sentence in answer.get("support", [])]
        gold = _covering(page, line["context"], support)
        if bool(gold) == line["answerable"]:
            yield Asked(line["id"], "clapnq", _half(line["id"]), line["question"], "", "en", page, gold)


def _doc2dial(data: Path) -> Iterator[Asked]:
    folder = data / "doc2dial_val"
    shared = {
        line["article_id"].removeprefix("doc2dial_val:"): line["split"]
        for line in _lines(data / "help_questions" / "questions.jsonl")
    }
    texts = {line["id"]: line for line in _lines(folder / "corpus.jsonl")}
    pages = {name: cut(f"doc2dial_val:{name}", line["title"], line["text"]) for name, line in texts.items()}
    history = {line["id"]: line["history"] for line in _lines(folder / "queries.jsonl")}
    for line in _lines(folder / "grounding.jsonl"):
        page = pages[line["doc"]]
        gold = _covering(page, texts[line["doc"]]["text"], line["spans"])
        said = [turn.removeprefix("user:") for turn in history.get(line["id"], []) if turn.startswith("user:")]
        half = shared.get(line["doc"], _half(line["doc"]))
        if gold and line["speaker"] == "user":
            yield Asked(line["id"], "doc2dial", half, line["question"], " ".join(said[:1]), "en", page, gold)


def _covering(page: Page, text: str, spans: Iterable[str]) -> frozenset[tuple[int, int]]:
    """Give the sentences that share at least half of themselves, or of a span, with a span of the text."""
    found = set()
    starts = _starts(page, text)
    for span in filter(None, (span.strip() for span in spans)):
        at = text.find(span)
        if at < 0:
            continue
        for number, passage in enumerate(page.passages):
            for place, (start, end) in enumerate(passage.sentences):
                left, right = starts[number] + start, starts[number] + end
                shared = min(right, at + len(span)) - max(left, at)
                if shared * 2 >= min(right - left, len(span)):
                    found.add((number, place))
    return frozenset(found)


def _starts(page: Page, text: str) -> list[int]:
    """Find where each passage starts in the page's text."""
    lengths = [len(passage.text) for passage in page.passages]
    starts: list[int] = []
    for passage, before in zip(page.passages, accumulate([0, *lengths]), strict=False):
        starts.append(text.index(passage.text, max(before, starts[-1] if starts else 0)))
    return starts


def _holding(page: Page, answers: Iterable[str]) -> frozenset[tuple[int, int]]:
    return frozenset(
        (number, place)
        for number, passage in enumerate(page.passages)
        for place, (start, end) in enumerate(passage.sentences)
        if any(answer in passage.text[start:end] for answer in answers)
    )


def _half(name: str) -> Half:
    return "fit" if zlib.crc32(name.encode()) & 1 else "report"


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    if path.exists():
        with path.open(encoding="utf-8") as file:
            for line in file:
                yield json.loads(line)
