"""all-MiniLM-L6-v2 behind OpenAI's embeddings protocol on loopback, for a peer that has no way to a local folder."""

import sys

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from sentence_transformers import SentenceTransformer


class Wanted(BaseModel):
    """What is asked for."""

    input: str | list[str]
    model: str


def application(folder: str) -> FastAPI:
    """Serve the model of a folder."""
    model = SentenceTransformer(folder, device="cpu")
    app = FastAPI()

    @app.post("/v1/embeddings")
    def embeddings(wanted: Wanted) -> dict[str, object]:
        texts = [wanted.input] if isinstance(wanted.input, str) else wanted.input
        data = [
            {"object": "embedding", "index": row, "embedding": vector.tolist()}
            for row, vector in enumerate(model.encode(texts, show_progress_bar=False))
        ]
        usage = {"prompt_tokens": 0, "total_tokens": 0}
        return {"object": "list", "data": data, "model": wanted.model, "usage": usage}

    return app


if __name__ == "__main__":
    uvicorn.run(application(sys.argv[1]), host="127.0.0.1", port=int(sys.argv[2]), log_level="warning")
