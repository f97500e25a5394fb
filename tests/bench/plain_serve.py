"""The plain Ray Serve embedder that one would write from its documentation, as a baseline.

`python plain_serve.py PORT MODEL_FOLDER` serves until it is stopped.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import Any

from ray import serve
from sentence_transformers import SentenceTransformer
from starlette.requests import Request


@serve.deployment
class Embedder:
    def __init__(self, folder: str) -> None:
        self.model = SentenceTransformer(folder, device="cpu")

    @serve.batch(max_batch_size=32, batch_wait_timeout_s=0.01)
    async def encode(self, texts: list[str]) -> list[list[float]]:
        vectors: list[list[float]] = self.model.encode(texts, normalize_embeddings=True).tolist()
        return vectors

    async def __call__(self, request: Request) -> dict[str, Any]:
        body = await request.json()
        texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
        vectors = await asyncio.gather(*(self.encode(text) for text in texts))
        data = [{"index": index, "embedding": vector} for index, vector in enumerate(vectors)]
        return {"object": "list", "data": data}


if __name__ == "__main__":
    port, folder = int(sys.argv[1]), sys.argv[2]
    serve.start(http_options={"host": "127.0.0.1", "port": port})
    serve.run(Embedder.bind(folder), route_prefix="/")  # type: ignore[attr-defined]  # what the decorator returns
    signal.pause()
