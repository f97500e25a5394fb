"""What signals and facets cost a query, and recommending beside similar products."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pytest

from prodsim.plugin.cluster import inspect_cluster
from prodsim.plugin.ranking.compile import compile_profile
from prodsim.plugin.ranking.files import default_profile
from prodsim.plugin.setup import template_legs
from tests.bench.measure import interleave, report, save
from tests.conftest import ROOT
from tests.judged import example_judgments

if TYPE_CHECKING:
    from prodsim.plugin.shop import Shop

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "5"))
MOST_FOR_SIGNALS = 1.25
MOST_FOR_RECOMMENDING = 2.0
FIVE_SIGNALS = {
    "signals.rating.strength": 0.4,
    "signals.popularity.strength": 0.3,
    "signals.recency.strength": 0.2,
    "signals.price.strength": 0.2,
}  # with stock, which the default has on
FACETS = ["brand", "category", "attributes.color"]
FILTERS = {"price_max": 150}
pytestmark = pytest.mark.timeout(1500)


def test_five_signals_cost_a_query_with_three_facets_little(example: Shop) -> None:
    """With and without a filter: with one, facets are counted by a script."""
    client, alias = example.client, example.settings.alias
    queries = example_judgments(ROOT / "examples" / "judgments.json").queries
    version, legs = inspect_cluster(client).version, template_legs(client)
    with_signals = default_profile().with_values(FIVE_SIGNALS)
    without = default_profile().with_values({"signals.stock.factor": 1})

    def stored(name: str, profile_source: str) -> str:
        client.put_script(id=name, body={"script": {"lang": "mustache", "source": profile_source}})
        return name

    names = {
        kind: stored(f"{alias}-bench-{kind}", compile_profile(profile, legs, version)["prodsim-search"])
        for kind, profile in (("signals", with_signals), ("plain", without))
    }

    def asking(kind: str, filters: Mapping[str, Any]) -> Any:
        def ask(query: str) -> None:
            params = {"q": query, "facets": FACETS, **filters}
            client.search_template(index=alias, body={"id": names[kind], "params": params})

        return ask

    try:
        found = {
            label: interleave({kind: asking(kind, filters) for kind in names}, queries, ROUNDS)
            for label, filters in (("no filter", {}), ("a filter", FILTERS))
        }
    finally:
        for name in names.values():
            client.delete_script(id=name)
    ratios = {label: timings["signals"].p50_ms / timings["plain"].p50_ms for label, timings in found.items()}
    report(
        f"three facets on {alias}, with and without five signals",
        [
            f"{label:10} {one['signals'].p50_ms:7.2f} ms against {one['plain'].p50_ms:7.2f} ms: {ratios[label]:.2f}"
            for label, one in found.items()
        ],
    )
    save("ranking_latency", {"ratios": ratios})
    assert max(ratios.values()) <= MOST_FOR_SIGNALS


def test_recommending_from_five_products_costs_at_most_two_similar_ones(example: Shop) -> None:
    client, alias = example.client, example.settings.alias
    hits = client.search(index=alias, body={"size": 60, "sort": ["sku"], "_source": False})["hits"]["hits"]
    skus = [hit["_id"] for hit in hits]
    after = dict(zip(skus, [skus[place : place + 5] for place in range(len(skus))], strict=True))

    def similar(sku: str) -> None:
        client.search_template(index=alias, body={"id": "prodsim-similar", "params": {"sku": sku}})

    def recommend(sku: str) -> None:
        client.search_template(index=alias, body={"id": "prodsim-recommend", "params": {"skus": after[sku]}})

    found = interleave({"similar": similar, "recommend": recommend}, skus[:-5], ROUNDS)
    ratio = found["recommend"].p50_ms / found["similar"].p50_ms
    report(
        f"recommending from 5 products on {alias}",
        [f"{name:10} p50 {timing.p50_ms:7.2f} ms" for name, timing in found.items()] + [f"ratio {ratio:.2f}"],
    )
    save("recommend_latency", {**found, "ratio": ratio})
    assert ratio <= MOST_FOR_RECOMMENDING
