"""txtai over pieces of 200 words: its embeddings database with all-MiniLM-L6-v2 and its default index, Faiss."""

import time
from functools import partial
from typing import Any

from txtai import Embeddings

from benchmarks.performance.peers.lines import FOUND, Search, arguments, articles, pieces, serve


def _open() -> tuple[Search, dict[str, Any]]:
    given = arguments()
    built = 0.0
    embeddings = Embeddings(path=str(given.model), content=True)
    if given.index.exists():
        embeddings.load(str(given.index))
    else:
        begun = time.perf_counter()
        rows = (
            (f"{row['id']}#{number}", piece)
            for row in articles(given.articles)
            for number, piece in enumerate(pieces(row["text"]))
        )
        embeddings.index(rows)
        embeddings.save(str(given.index))
        built = time.perf_counter() - begun
    return partial(_search, embeddings), {"built_s": built, "pieces": embeddings.count()}


def _search(embeddings: Any, question: str) -> dict[str, Any]:  # noqa: ANN401
    return {"hits": [found["id"].rpartition("#")[0] for found in embeddings.search(question, FOUND)]}


if __name__ == "__main__":
    serve(_open)
