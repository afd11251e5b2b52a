"""haiku.rag's search: SQLite with sqlite-vec and its full-text index, fused by rank, without a reranker.

Its embeddings come from an endpoint that speaks OpenAI's protocol (`minilm_endpoint.py`, on loopback), by its own provider
of that name: it has none for a local folder. When it is imported, tiktoken would load the tokens of gpt-4o from the network; an
encoding whose tokens are bytes stands for them, and a chunk is 1,024 bytes where it would be 256 tokens. It loads sqlite-vec as
an extension, which not every Python's sqlite3 can; pysqlite3 can.
"""

import asyncio
import os
import shutil
import sys
import time
from functools import partial
from typing import Any

import pysqlite3
import tiktoken

sys.modules["sqlite3"] = pysqlite3
BYTES = 1024
_BYTES = tiktoken.Encoding(
    "bytes", pat_str=r"\S+|\s+", mergeable_ranks={bytes([n]): n for n in range(256)}, special_tokens={}
)
tiktoken.encoding_for_model = lambda _: _BYTES
os.environ |= {
    "EMBEDDINGS_PROVIDER": "openai", "EMBEDDINGS_MODEL": "all-MiniLM-L6-v2", "EMBEDDINGS_VECTOR_DIM": "384",
    "RERANK_PROVIDER": "", "OPENAI_API_KEY": "none", "CHUNK_SIZE": str(BYTES),
}  # fmt: skip

from haiku.rag.client import HaikuRAG  # noqa: E402

from benchmarks.performance.peers.lines import FOUND, Search, arguments, articles, serve  # noqa: E402


def _open() -> tuple[Search, dict[str, Any]]:
    given = arguments()
    done = given.index / "done"
    if not done.exists():
        shutil.rmtree(given.index, ignore_errors=True)
        given.index.mkdir(parents=True)
    loop = asyncio.new_event_loop()
    client = HaikuRAG(given.index / "haiku.rag.sqlite")
    built = 0.0
    if not done.exists():
        begun = time.perf_counter()
        for row in articles(given.articles):
            loop.run_until_complete(client.create_document(row["text"], uri=row["id"]))
        done.touch()
        built = time.perf_counter() - begun
    return partial(_search, loop, client), {"built_s": built}


def _search(loop: asyncio.AbstractEventLoop, client: Any, question: str) -> dict[str, Any]:  # noqa: ANN401
    found = loop.run_until_complete(client.search(question, limit=FOUND))
    return {"hits": [chunk.document_uri for chunk, _ in found]}


if __name__ == "__main__":
    serve(_open)
