"""Questions in, milliseconds and what was found out, a JSON line each; for every Python that runs a peer, so standard library only."""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

# Passages that are asked for: what the plain stack gives to its model.
FOUND = 4
# Words of a piece, for those that cut no articles themselves.
PIECE_WORDS = 200

Search = Callable[[str], dict[str, Any]]


def arguments() -> argparse.Namespace:
    """Read what the benchmark says: the articles, where an index is kept between two starts, and the model's folder."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--articles", type=Path, required=True, help="a JSONL file of id, title and text")
    parser.add_argument("--index", type=Path, required=True, help="a folder; made and filled where it is not there")
    parser.add_argument("--model", type=Path, required=True, help="the folder of all-MiniLM-L6-v2")
    return parser.parse_args()


def articles(path: Path) -> list[dict[str, str]]:
    """Read the articles."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def pieces(text: str) -> Iterator[str]:
    """Cut a text every 200 words."""
    words = text.split()
    for start in range(0, len(words), PIECE_WORDS):
        yield " ".join(words[start : start + PIECE_WORDS])


def serve(open_search: Callable[[], tuple[Search, dict[str, Any]]]) -> None:
    """Open what searches, say so, and answer until the input ends.

    :param open_search: Gives what searches, and what is to be told of it. A search gives at least ``hits``, the ids of the
        articles that were found, best first.
    """
    # Whatever a library prints goes to standard error: the lines are the benchmark's alone.
    told = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    search, about = open_search()
    _tell(told, about)
    for line in sys.stdin:
        question = json.loads(line)["question"]
        begun = time.perf_counter()
        found = search(question)
        _tell(told, {"ms": 1000 * (time.perf_counter() - begun), **found})


def _tell(told: Any, what: dict[str, Any]) -> None:  # noqa: ANN401
    told.write(json.dumps(what) + "\n")
    told.flush()
