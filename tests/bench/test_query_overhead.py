"""What a blended query costs beside the plain query and the embedder call that it is made of."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import httpx
import pytest
from opensearchpy import helpers

from prodsim.plugin.measuring.opening import open_ring
from prodsim.plugin.measuring.searching import timed
from prodsim.plugin.ranking.files import default_profile
from tests.bench.measure import Timing, interleave, interleave_fresh, report, save
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
    """Over texts that nobody asked before, so that each is embedded; beside it the catalog's own queries, asked again
    and again, whose vectors the embedder keeps."""
    shop, queries = catalog
    client, alias = shop.client, shop.settings.alias
    with httpx.Client(base_url=shop.settings.embedder_url) as embedder, open_ring(shop.settings) as ring:
        blended = ring.contender("installed")

        def plain(query: str) -> None:
            words = {"query": query, "type": "cross_fields", "fields": default_profile().weighted_fields}
            client.search(index=alias, body={"size": 10, "_source": ["sku"], "query": {"multi_match": words}})

        def embed(query: str) -> None:
            body = {"input": query, "model": shop.model.name, "input_type": "query"}
            embedder.post("/v1/embeddings", json=body).raise_for_status()

        runners: dict[str, Callable[[str], object]] = {
            "BM25 query": plain,
            "embedder call": embed,
            "blended query": lambda query: timed(client, alias, blended.ask(query, 10)),
        }
        calls = ROUNDS * len(queries)
        fresh = interleave_fresh(runners, unasked_texts(shop), calls, warm_up=max(len(queries), 150))
        asked_again = interleave(runners, queries, ROUNDS)
    report(
        f"query overhead on {alias}, {client.count(index=alias)['count']} products, {calls} calls each, one at a time",
        [*lines("texts that nobody asked before", fresh), *lines("the same queries again and again", asked_again)],
    )
    save(
        "query_overhead",
        {
            "queries": len(queries),
            **{f"fresh {name}": timing for name, timing in fresh.items()},
            **{f"asked again {name}": timing for name, timing in asked_again.items()},
            "ratio": round(ratio(fresh), 3),
            "ratio_asked_again": round(ratio(asked_again), 3),
        },
    )
    assert ratio(fresh) <= MOST_OVERHEAD


def unasked_texts(shop: Shop) -> Iterator[str]:
    """Two to four words of a product's title, in any order, without end."""
    found = helpers.scan(shop.client, index=shop.settings.alias, _source_includes=["title"])
    titles = sorted(words for hit in found if len(words := hit["_source"]["title"].split()) >= 4)
    chance, given = random.Random(20), set()
    while True:
        text = " ".join(chance.sample(chance.choice(titles), chance.choice([2, 3, 4])))
        if text not in given:
            given.add(text)
            yield text


def ratio(found: dict[str, Timing]) -> float:
    return found["blended query"].p50_ms / (found["BM25 query"].p50_ms + found["embedder call"].p50_ms)


def lines(texts: str, found: dict[str, Timing]) -> list[str]:
    return [
        f"{texts}:",
        *(f"  {name:14} p50 {timing.p50_ms:7.2f} ms   p95 {timing.p95_ms:7.2f} ms" for name, timing in found.items()),
        f"  blended / (BM25 + embedder): {ratio(found):.2f}",
    ]
