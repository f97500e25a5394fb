"""The formula for an index's size against indexes of three sizes on a real engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from prodsim.mappings.bundle import index_body, text_vector_field
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
    for start in range(0, count, 500):
        lines: list[Any] = []
        for number in range(start, min(count, start + 500)):
            title = " ".join(made.choice(WORDS, 8))
            text = " ".join(made.choice(WORDS, 60))
            product = {"sku": f"S-{number}", "title": title, "description": text, "price": number / 7, "stock": number}
            if vectors:
                vector = made.normal(size=shop.model.dimension).astype(np.float32)
                product[text_vector_field(shop.model.dimension)] = (vector / np.linalg.norm(vector)).tolist()
            lines += [{"index": {"_id": product["sku"]}}, product]
        answer = client.bulk(index=name, body=lines, params={"pipeline": "_none", "timeout": "60s"})
        assert not answer["errors"]
    client.indices.forcemerge(index=name, max_num_segments=1, request_timeout=300)
    client.indices.flush(index=name)
    size: int = client.indices.stats(index=name, metric="store")["indices"][name]["primaries"]["store"]["size_in_bytes"]
    client.indices.delete(index=name)
    return size
