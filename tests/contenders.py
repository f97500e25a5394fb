"""What a search engineer writes without prodsim, to measure beside it: plain BM25, and the engine's own hybrid."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from opensearchpy import OpenSearch

from prodsim.plugin.ranking.files import default_profile

SIZE = 10
HYBRID_PIPELINE = "contender-min-max"


def multi_match(query: str, kind: str) -> dict[str, Any]:
    return {"multi_match": {"query": query, "type": kind, "fields": default_profile().weighted_fields}}


def bm25(client: OpenSearch, alias: str, kind: str) -> Callable[[str], dict[str, Any]]:
    """BM25 over the profile's own fields and weights; `kind` is best_fields, most_fields or cross_fields."""

    def search(query: str) -> dict[str, Any]:
        body = {"size": SIZE, "_source": False, "query": multi_match(query, kind)}
        answer: dict[str, Any] = client.search(index=alias, body=body)
        return answer

    return search


def blended(client: OpenSearch, alias: str) -> Callable[[str], dict[str, Any]]:
    """prodsim's stored template in engine mode."""

    def search(query: str) -> dict[str, Any]:
        body = {"id": "prodsim-search", "params": {"q": query, "size": SIZE, "fields": ["sku"]}}
        answer: dict[str, Any] = client.search_template(index=alias, body=body)
        return answer

    return search


def vectors_alone(
    client: OpenSearch, alias: str, field: str, embed: Callable[[str], list[float]]
) -> Callable[[str], Any]:
    def search(query: str) -> Any:
        body = {"size": SIZE, "_source": False, "query": {"knn": {field: {"vector": embed(query), "k": 100}}}}
        return client.search(index=alias, body=body)

    return search


@contextmanager
def hybrid(
    client: OpenSearch, alias: str, field: str, embed: Callable[[str], list[float]]
) -> Iterator[Callable[[str], Any]]:
    """The engine's `hybrid` query: min-max normalisation, arithmetic mean, half and half."""
    combination = {"technique": "arithmetic_mean", "parameters": {"weights": [0.5, 0.5]}}
    processor = {"normalization": {"technique": "min_max"}, "combination": combination}
    path = f"/_search/pipeline/{HYBRID_PIPELINE}"
    client.transport.perform_request(
        "PUT", path, body={"phase_results_processors": [{"normalization-processor": processor}]}
    )

    def search(query: str) -> Any:
        legs = [multi_match(query, "best_fields"), {"knn": {field: {"vector": embed(query), "k": 100}}}]
        body = {"size": SIZE, "_source": False, "query": {"hybrid": {"queries": legs}}}
        return client.search(index=alias, body=body, params={"search_pipeline": HYBRID_PIPELINE})

    try:
        yield search
    finally:
        client.transport.perform_request("DELETE", path)
