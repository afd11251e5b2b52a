"""The plain stack: LangChain, all-MiniLM-L6-v2 by sentence-transformers, FAISS, four pieces of 1,000 characters."""

import time
from functools import partial
from typing import Any

from langchain_community.vectorstores import FAISS
from langchain_core.documents import Document
from langchain_huggingface import HuggingFaceEmbeddings
from langchain_text_splitters import RecursiveCharacterTextSplitter

from benchmarks.performance.peers.lines import FOUND, Search, arguments, articles, serve

# As LangChain's own tutorial of retrieval cuts.
SIZE, OVERLAP = 1000, 200


def _open() -> tuple[Search, dict[str, Any]]:
    given = arguments()
    embeddings = HuggingFaceEmbeddings(model_name=str(given.model), model_kwargs={"device": "cpu"})
    built = 0.0
    if given.index.exists():
        store = FAISS.load_local(str(given.index), embeddings, allow_dangerous_deserialization=True)
    else:
        begun = time.perf_counter()
        documents = [Document(row["text"], metadata={"id": row["id"]}) for row in articles(given.articles)]
        cut = RecursiveCharacterTextSplitter(chunk_size=SIZE, chunk_overlap=OVERLAP).split_documents(documents)
        store = FAISS.from_documents(cut, embeddings)
        store.save_local(str(given.index))
        built = time.perf_counter() - begun
    return partial(_search, store), {"built_s": built, "pieces": store.index.ntotal}


def _search(store: FAISS, question: str) -> dict[str, Any]:
    return {"hits": [document.metadata["id"] for document in store.similarity_search(question, k=FOUND)]}


if __name__ == "__main__":
    serve(_open)
