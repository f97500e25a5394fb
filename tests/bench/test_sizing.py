"""The formula for an index's size against indexes of three sizes on a real engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from prodsim.loaders.bulk.writer import BulkWriter, index_write
from prodsim.mappings.bundle import index_body
from prodsim.mappings.vector_fields import VectorField
from prodsim.plugin.client import connect
from prodsim.plugin.sizing import Workload, primary_bytes

from .measure import report, save

if TYPE_CHECKING:
    from prodsim.plugin.shop import Shop

SIZES = (2_000, 8_000, 20_000)
WORDS = [f"word{number}" for number in range(5_000)]


@pytest.mark.parametrize("count", SIZES)
def test_an_index_is_as_large_as_the_formula_says(shop: Shop, count: int) -> None:
    client = connect(shop.settings)
    with_vectors, without = (stored_bytes(client, shop, count, vectors) for vectors in (True, False))
    workload = Workload(count, 1, dimension=shop.model.dimension, document_bytes=round(without / count))
    ratio = with_vectors / primary_bytes(workload)
    figures = {"products": count, "bytes": with_vectors, "bytes_without_vectors": without, "ratio": round(ratio, 3)}
    report(f"index of {count} products", [f"{name} {value}" for name, value in figures.items()])
    save(f"sizing_{count}", figures)
    assert 0.8 < ratio < 1.25


def stored_bytes(client: Any, shop: Shop, count: int, vectors: bool) -> int:
    """The primary's bytes of `count` products, merged into one segment."""
    name = f"{shop.settings.alias}-00000{2 if vectors else 1}"
    body = index_body(shop.model, image_dimension=None)
    client.indices.delete(index=name, ignore=[404])
    client.indices.create(index=name, body={**body, "aliases": {}})
    made = np.random.default_rng(7)
    dimension = shop.model.dimension if vectors else 0
    with BulkWriter(client, name) as writer:  # the digits of a vector in _source are its
        for start in range(0, count, 500):
            some = [product(made, number, dimension) for number in range(start, min(count, start + 500))]
            done = writer.write([index_write(one, 1) for one in some])
            assert {one.status for one in done} == {"written"}
    client.indices.forcemerge(index=name, max_num_segments=1, request_timeout=300)
    client.indices.refresh(index=name)  # or searches go on holding the segments that were merged
    client.indices.flush(index=name, force=True)
    size: int = client.indices.stats(index=name, metric="store")["indices"][name]["primaries"]["store"]["size_in_bytes"]
    client.indices.delete(index=name)
    return size


def product(made: np.random.Generator, number: int, dimension: int) -> dict[str, Any]:
    document: dict[str, Any] = {
        "sku": f"S-{number}",
        "title": " ".join(made.choice(WORDS, 8)),
        "description": " ".join(made.choice(WORDS, 60)),
        "price": number / 7,
        "stock": number,
    }
    if dimension:
        vector = made.normal(size=dimension).astype(np.float32)
        document[VectorField("text", dimension).name] = vector / np.linalg.norm(vector)
    return document
