"""What a blended query costs beside the plain query and the embedder call that it is made of."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import httpx
import pytest

from prodsim.plugin.measuring.opening import open_ring
from prodsim.plugin.measuring.searching import timed
from tests.bench.measure import interleave, report, save
from tests.conftest import ROOT, SHARED_DATA
from tests.judged import esci_judgments, example_judgments

if TYPE_CHECKING:
    from prodsim.plugin.shop import Shop

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "5"))
MOST_OVERHEAD = 1.3


pytestmark = pytest.mark.timeout(1500)


@pytest.fixture(scope="module")
def catalog(request: pytest.FixtureRequest) -> tuple[Shop, list[str]]:
    """ESCI-150 with its queries; where that is not there, the example shop with its own."""
    if (SHARED_DATA / "esci150").is_dir():
        return request.getfixturevalue("esci"), esci_judgments(SHARED_DATA / "esci150" / "judgments.json").queries
    judgments = example_judgments(ROOT / "examples" / "judgments.json")
    return request.getfixturevalue("example"), judgments.queries


def test_a_blended_query_costs_little_more_than_its_parts(catalog: tuple[Shop, list[str]]) -> None:
    shop, queries = catalog
    client, alias = shop.client, shop.settings.alias
    with httpx.Client(base_url=shop.settings.embedder_url) as embedder, open_ring(shop.settings) as ring:
        words, blended = ring.contender("bm25"), ring.contender("installed")

        def embed(query: str) -> None:
            body = {"input": query, "model": shop.model.name, "input_type": "query"}
            embedder.post("/v1/embeddings", json=body).raise_for_status()

        found = interleave(
            {
                "BM25 query": lambda query: timed(client, alias, words.ask(query, 10)),
                "embedder call": embed,
                "blended query": lambda query: timed(client, alias, blended.ask(query, 10)),
            },
            queries,
            ROUNDS,
        )
    parts_ms = found["BM25 query"].p50_ms + found["embedder call"].p50_ms
    ratio = found["blended query"].p50_ms / parts_ms
    products = client.count(index=alias)["count"]
    report(
        f"query overhead on {alias}, {products} products, {len(queries)} queries, {ROUNDS} rounds, one at a time",
        [f"{name:14} p50 {timing.p50_ms:7.2f} ms   p95 {timing.p95_ms:7.2f} ms" for name, timing in found.items()]
        + [f"blended / (BM25 + embedder): {ratio:.2f} (at most {MOST_OVERHEAD})"],
    )
    save("query_overhead", {**found, "products": products, "queries": len(queries), "ratio": round(ratio, 3)})
    assert ratio <= MOST_OVERHEAD
