"""citedesk itself, asked as the peers are: the whole way to an answer, with its reader or without."""

import argparse
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.performance.peers.lines import FOUND, Search, serve
from index.snapshot import SnapshotShelf
from service.assistant import Assistant


def _open() -> tuple[Search, dict[str, Any]]:
    parser = argparse.ArgumentParser()
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--no-reader", action="store_true")
    given = parser.parse_args()
    assistant = Assistant(SnapshotShelf(given.home).open(), reads=not given.no_reader)
    assistant.warm()
    return partial(_search, assistant), {"pieces": assistant.snapshot.manifest.counts["passages"]}


def _search(assistant: Assistant, question: str) -> dict[str, Any]:
    trace = assistant.trace(question)
    hits = [hit.passage.article_id for hit in trace.hits[:FOUND]]
    return {"hits": hits, "stages": trace.answer.timings, "status": trace.answer.status}


if __name__ == "__main__":
    serve(_open)
