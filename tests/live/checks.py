"""The end of a live test: the index equals the writers' ledger, and every vector is of its text."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from prodsim.loaders.target import without_derived
from prodsim.mappings.text import embedding_text, text_hash
from prodsim.plugin.indexes import indexes_behind, serving_index

if TYPE_CHECKING:
    from opensearchpy import OpenSearch

    from prodsim.embedder.client import EmbedderClient
    from tests.live.ledger import Ledger

MOST_SHOWN = 5
SAMPLED = 1500  # vectors that are made anew and compared
LEAST_COSINE = 0.999


def stored(client: OpenSearch, alias: str) -> dict[str, dict[str, Any]]:
    from opensearchpy import helpers

    client.indices.refresh(index=alias)
    return {hit["_id"]: hit["_source"] for hit in helpers.scan(client, index=alias, size=1000)}


def differences(client: OpenSearch, alias: str, ledger: Ledger) -> list[str]:
    """Where index and ledger are not the same, one line a product; the alias must be on one index."""
    behind = indexes_behind(client, alias)
    if len(behind) != 1:
        return [f"{alias} is on {', '.join(behind) or 'no index'}"]
    found = stored(client, alias)
    lines = [f"{sku} is lost" for sku in ledger.products if sku not in found]
    for sku in sorted(found.keys() - ledger.products.keys()):
        lines.append(f"{sku} is back from the dead" if sku in ledger.deleted else f"{sku} came from nowhere")
    for sku, document in ledger.products.items():
        if sku in found and without_derived(found[sku]) != document:
            there = without_derived(found[sku])
            fields = [name for name in {*there, *document} if there.get(name) != document.get(name)]
            shown = ", ".join(f"{name} {there.get(name)!r}, not {document.get(name)!r}" for name in sorted(fields))
            lines.append(f"{sku} has {shown}")
    return lines


def vector_problems(
    client: OpenSearch, alias: str, embedder: EmbedderClient, seed: int = 0, all_fresh: bool = True
) -> list[str]:
    """Vectors that are not of their text by the index's model; with `all_fresh` those that are missing or stale too.

    Bookkeeping is checked of all products, the vectors themselves of a sample that is embedded once more.
    """
    index = serving_index(client, alias)
    field = f"text_vector_{index.model.dimension}"
    found = stored(client, alias)
    lines: list[str] = []
    whole: dict[str, Mapping[str, Any]] = {}
    for sku, document in found.items():
        book = document.get("prodsim") or {}
        others = [name for name in document if name.startswith("text_vector_") and name != field]
        if others:
            lines.append(f"{sku} has {', '.join(others)} in an index of {index.model.stamp}")
        elif field not in document or book.get("text_hash") != text_hash(embedding_text(document)):
            if all_fresh:
                lines.append(f"{sku} has {'an old' if field in document else 'no'} vector")
        elif book.get("model") != index.model.stamp:
            lines.append(f"{sku} has a vector by {book.get('model')} in an index of {index.model.stamp}")
        else:
            whole[sku] = document
    chosen = random.Random(seed).sample(sorted(whole), min(SAMPLED, len(whole)))
    texts = sorted({embedding_text(whole[sku]) for sku in chosen})
    vectors = dict(zip(texts, embedder.embed(texts, "passage", index.model.name)[0], strict=True)) if texts else {}
    for sku in chosen:
        made = vectors[embedding_text(whole[sku])]
        there = np.asarray(whole[sku][field], dtype=np.float32)
        cosine = float(made @ there / max(1e-12, float(np.linalg.norm(made) * np.linalg.norm(there))))
        if cosine < LEAST_COSINE:
            lines.append(f"{sku} has a vector with a cosine of {cosine:.3f} with that of its text")
    return lines


def check(problems: list[str], what: str) -> None:
    shown = "\n  ".join(problems[:MOST_SHOWN])
    assert not problems, f"{what}: {len(problems)} problems\n  {shown}"
