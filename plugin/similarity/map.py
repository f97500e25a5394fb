"""A catalog's vectors on a plane: products that mean the same lie together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from prodsim.mappings.vector_fields import Kind, of_kind
from prodsim.plugin.client import engine_errors
from prodsim.plugin.errors import CatalogError
from prodsim.plugin.indexes import ProductIndex
from prodsim.plugin.measuring.extra import require

if TYPE_CHECKING:
    from opensearchpy import OpenSearch

Float32 = NDArray[np.float32]
FIELDS = ("title", "price", "currency", "brand", "category", "image_url")
PAGE = 500
SEVERAL_THREADS_FROM = 2000
COMPONENTS = 50
COLOURS = 12


@dataclass(frozen=True)
class Point:
    """A product on the plane, `x` and `y` from 0 to 1; `group` is its category, or another field's value."""

    sku: str
    x: float
    y: float
    title: str
    group: str
    price: str
    image_url: str


@dataclass(frozen=True)
class Map:
    """`groups` are the most frequent ones, the largest first; `total` is how many products have such a vector."""

    points: Sequence[Point]
    groups: Sequence[str]
    total: int
    method: str


def catalog_map(
    client: OpenSearch,
    index: ProductIndex,
    most: int = 2000,
    method: str = "tsne",
    by: str = "category",
    seed: int = 0,
    vector: Kind = "text",
) -> Map:
    """The text, image or fused vectors of a catalog, at most `most` of them drawn at random.

    `method` is `tsne` (van der Maaten and Hinton 2008: neighbours stay neighbours, distances of groups mean little)
    or `pca` (the two directions with the largest variance: distances are true as far as two directions can show them).

    Raises:
        CatalogError: fewer than three products have such a vector.
    """
    field = next((found.name for found in of_kind(index.vectors, vector)), None)
    if field is None:
        raise CatalogError(f"{index.name} has no field for {vector} vectors")
    total = count(client, index.name, field)
    if total < 3:
        raise CatalogError(f"{index.name} has {total} products with a {field}: a map needs three or more")
    products = list(draw(client, index.name, field, most, seed))
    vectors = np.array([product.pop(field) for _, product in products], dtype=np.float32)
    places = on_plane(vectors, method, seed)
    groups = [group_of(product, by) for _, product in products]
    return Map(
        [
            Point(sku, round(float(x), 4), round(float(y), 4), str(product.get("title", sku)), group, price_of(product),
                  str(product.get("image_url") or ""))
            for (sku, product), group, (x, y) in zip(products, groups, places, strict=True)
        ],
        [group for group, _ in Counter(groups).most_common(COLOURS)],
        total,
        method,
    )  # fmt: skip


def count(client: OpenSearch, index: str, field: str) -> int:
    with engine_errors(f"counting the vectors of {index}"):
        return int(client.count(index=index, body={"query": {"exists": {"field": field}}})["count"])


def draw(client: OpenSearch, index: str, field: str, most: int, seed: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """Products with their vector in an order that the seed draws, page by page."""
    body: dict[str, Any] = {
        "size": min(PAGE, most),
        "query": {
            "function_score": {
                "query": {"exists": {"field": field}},
                "random_score": {"seed": seed, "field": "_seq_no"},
                "boost_mode": "replace",
            }
        },
        "_source": [*FIELDS, field],
        "sort": [{"_score": "desc"}, {"sku": "asc"}],
    }
    taken = 0
    while taken < most:
        with engine_errors(f"reading the vectors of {index}"):
            hits = client.search(index=index, body=body)["hits"]["hits"]
        for hit in hits[: most - taken]:
            yield hit["_id"], hit["_source"]
        taken += len(hits)
        if len(hits) < body["size"]:
            return
        body["search_after"] = hits[-1]["sort"]


def on_plane(vectors: Float32, method: str, seed: int) -> Float32:
    """float32 (n, 2), each column from 0 to 1."""
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    flat = principal(unit, COMPONENTS if method == "tsne" else 2)
    if method == "tsne":
        require("sklearn")
        from sklearn.manifold import TSNE
        from threadpoolctl import threadpool_limits

        perplexity = min(30.0, (len(vectors) - 1) / 3)
        # its threads spin while they wait for each other: on few points and busy CPUs, that is most of the time
        with threadpool_limits(1 if len(vectors) < SEVERAL_THREADS_FROM else None):
            flat = TSNE(perplexity=perplexity, init="pca", random_state=seed, n_jobs=-1).fit_transform(flat)
    low, high = flat.min(axis=0), flat.max(axis=0)
    placed: Float32 = ((flat - low) / np.maximum(high - low, 1e-12)).astype(np.float32)
    return placed


def principal(vectors: Float32, components: int) -> Float32:
    """The coordinates along the directions with the largest variance, float32 (n, at most components)."""
    centred = vectors - vectors.mean(axis=0)
    left, sizes, _ = np.linalg.svd(centred, full_matrices=False)
    found: Float32 = (left[:, :components] * sizes[:components]).astype(np.float32)
    return found if found.shape[1] > 1 else np.hstack([found, np.zeros_like(found)])


def group_of(product: Mapping[str, Any], by: str) -> str:
    value = product.get(by)
    value = value[0] if isinstance(value, list) and value else value
    return str(value) if value not in (None, []) else "-"


def price_of(product: Mapping[str, Any]) -> str:
    price = product.get("price")
    return "" if price is None else f"{price:.2f} {product.get('currency') or ''}".strip()
