"""A catalog of many products with vectors of the right stamp, made without asking an embedder."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from prodsim.loaders.bulk.writer import BulkWriter, index_write
from prodsim.mappings.text import embedding_text, text_hash
from prodsim.plugin import indexes
from prodsim.plugin.building import new_index
from prodsim.plugin.moving.record import Operation

if TYPE_CHECKING:
    from prodsim.plugin.shop import Shop

BATCH = 500
GROUPS = 200


def made_up(shop: Shop, number: int, **others: Any) -> dict[str, Any]:
    """A product as the loader would write it, but for a vector that stands for nothing."""
    product: dict[str, Any] = {
        "sku": f"p{number}",
        "title": f"Product number {number}",
        "description": "A thing to be bought and sold. " * 8,
        "brand": f"Brand {number % 17}",
        "category": ["Things", f"Kind {number % 29}"],
        "price": 1.0 + number % 1000,
        "stock": number % 50,
        "variant_group": f"p{number}",
        **others,
    }
    product[f"text_vector_{shop.model.dimension}"] = made_up_vector(number, shop.model.dimension)
    product["prodsim"] = {"model": shop.model.stamp, "text_hash": text_hash(embedding_text(product)), "run": 1}
    return product


def made_up_vector(number: int, dimension: int) -> NDArray[np.float32]:
    """Of length 1. They lie in groups, as those of real texts do: neighbours in a mere noise are hard to find."""
    centre = np.random.default_rng(number % GROUPS).standard_normal(dimension)
    vector = centre + 0.7 * np.random.default_rng([1, number]).standard_normal(dimension)
    return np.round(vector / np.linalg.norm(vector), 7).astype(np.float32)


def fill(shop: Shop, count: int, versions: Iterable[int] | None = None) -> str:
    """The alias on a new index with `count` made-up products; its name."""
    name = new_index(shop)
    numbers = iter(versions) if versions is not None else None
    with BulkWriter(shop.client, name) as writer:
        for start in range(0, count, BATCH):
            products = [made_up(shop, number) for number in range(start, min(count, start + BATCH))]
            writes = [index_write(product, next(numbers) if numbers else None) for product in products]
            assert all(done.status == "written" for done in writer.write(writes))
    indexes.open_index(shop.client, name, shop.index_body())
    indexes.swap(shop.client, shop.settings.alias, name)
    return name


def contents(shop: Shop, index: str | None = None) -> dict[str, dict[str, Any]]:
    """All products by SKU."""
    from opensearchpy import helpers

    name = index or shop.settings.alias
    shop.client.indices.refresh(index=name)
    hits = helpers.scan(shop.client, index=name, size=1000, params={"search_pipeline": "_none"})
    return {hit["_id"]: hit["_source"] for hit in hits}


def unwatched(operation: Operation) -> None:
    """For moves that nobody watches."""
