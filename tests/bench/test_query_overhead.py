"""What a blended query costs beside the plain query and the embedder call that it is made of."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import httpx
import pytest

from prodsim.plugin.config import Settings
from tests import contenders
from tests.bench.measure import interleave, report, save
from tests.catalog_files import load_file
from tests.conftest import ROOT, SHARED_DATA, open_shop
from tests.judged import esci_judgments, example_judgments

if TYPE_CHECKING:
    from prodsim.plugin.catalogs import Shop

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "5"))
MOST_OVERHEAD = 1.3


@pytest.fixture(scope="module")
def catalog(settings_for: Callable[..., Settings]) -> Iterator[tuple[Shop, list[str]]]:
    """ESCI-150 with its queries; where that is not there, the example shop with its own, and the report says so."""
    products = SHARED_DATA / "esci150" / "products.ndjson.gz"
    if products.exists():
        mapping, queries = ROOT / "examples/catalogs/esci150.yaml", esci_judgments(products.parent / "judgments.json")
    else:
        products, mapping = ROOT / "examples/products.ndjson", None
        queries = example_judgments(ROOT / "examples/judgments.json")
    with open_shop(settings_for("bench")) as shop:
        load_file(shop, products, mapping)
        yield shop, list(queries)


def test_a_blended_query_costs_little_more_than_its_parts(catalog: tuple[Shop, list[str]]) -> None:
    shop, queries = catalog
    client, alias = shop.client, shop.settings.alias
    with httpx.Client(base_url=shop.settings.embedder_url) as embedder:

        def embed(query: str) -> None:
            body = {"input": query, "model": shop.model.name, "input_type": "query"}
            embedder.post("/v1/embeddings", json=body).raise_for_status()

        found = interleave(
            {
                "BM25 query": contenders.bm25(client, alias, "cross_fields"),
                "embedder call": embed,
                "blended query": contenders.blended(client, alias),
            },
            queries,
            ROUNDS,
        )
    parts_ms = found["BM25 query"].p50_ms + found["embedder call"].p50_ms
    ratio = found["blended query"].p50_ms / parts_ms
    products = client.count(index=alias)["count"]
    report(
        f"query overhead on {products} products, {len(queries)} queries, {ROUNDS} rounds, one at a time",
        [f"{name:14} p50 {timing.p50_ms:7.2f} ms   p95 {timing.p95_ms:7.2f} ms" for name, timing in found.items()]
        + [f"blended / (BM25 + embedder): {ratio:.2f} (at most {MOST_OVERHEAD})"],
    )
    save("query_overhead", {**found, "products": products, "queries": len(queries), "ratio": round(ratio, 3)})
    assert ratio <= MOST_OVERHEAD
