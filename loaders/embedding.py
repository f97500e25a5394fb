"""Vectors for documents: taken over where text and model are the same, made where not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from prodsim.mappings.text import embedding_text, text_hash
from prodsim.plugin.errors import EmbedderError

from .halving import embed_request
from .legs import add_leg
from .target import BOOKKEEPING, Document, Target, vector_fits, without_derived
from .waiting import Waiting

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Vectors = list[NDArray[np.float32] | EmbedderError]

EMBEDDED_TOGETHER = 64  # a request stays well below the embedder's time limit, on two busy cores too
PROBE = "a"


def digest_of(document: Mapping[str, Any]) -> str:
    return text_hash(embedding_text(document))


def complete(
    documents: Sequence[Document], target: Target, known: Mapping[str, Document], waiting: Waiting, run: int
) -> tuple[list[Document | EmbedderError], int]:
    """Each document with vector and bookkeeping, or why it can have no vector; and how many had to be embedded.

    `known` holds stored products by SKU, whose vectors are taken over where model and text are the same.
    """
    texts = [embedding_text(document) for document in documents]
    digests = [text_hash(text) for text in texts]
    found: list[Any] = [None] * len(documents)
    for position, document in enumerate(documents):
        stored = known.get(document["sku"])
        if stored is not None and vector_fits(stored, target, digests[position]):
            found[position] = stored.get(target.vector)
    stale = [position for position, vector in enumerate(found) if vector is None]
    for position, vector in zip(stale, embed(target, [texts[position] for position in stale], waiting), strict=True):
        found[position] = vector
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    completed: list[Document | EmbedderError] = []
    for document, digest, vector in zip(documents, digests, found, strict=True):
        if isinstance(vector, EmbedderError):
            completed.append(vector)
            continue
        book = {"model": target.model.stamp, "text_hash": digest, "loaded_at": now, "run": run}
        completed.append({**without_derived(document), target.vector: vector, BOOKKEEPING: book})
    whole = [document for document in completed if isinstance(document, dict)]
    for leg in target.legs:
        add_leg(leg, target.embedder, whole, known, waiting)
    return completed, len(stale) - sum(isinstance(found[position], EmbedderError) for position in stale)


def embed(target: Target, texts: Sequence[str], waiting: Waiting) -> Vectors:
    """A vector for each text, or why it has none; similar lengths travel together, so that little is padded."""

    def call(batch: list[str]) -> Vectors:
        vectors = target.embedder.embed(batch, input_type="passage", model=target.model.name)[0]
        return list(vectors.astype(np.int8) if target.model.vectors == "int8" else vectors)

    order = sorted(range(len(texts)), key=lambda position: len(texts[position]))
    vectors: Vectors = [EmbedderError("not embedded")] * len(texts)
    for start in range(0, len(order), EMBEDDED_TOGETHER):
        waiting.pause(0)
        positions = order[start : start + EMBEDDED_TOGETHER]
        outcomes = embed_request(call, [texts[position] for position in positions], waiting, PROBE)
        for position, vector in zip(positions, outcomes, strict=True):
            vectors[position] = vector
    return vectors
