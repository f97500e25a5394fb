"""What a move would do, and about how long it would take."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from prodsim.loaders.target import count_products
from prodsim.mappings.text import embedding_text
from prodsim.plugin import catalogs, indexes
from prodsim.plugin.client import engine_errors
from prodsim.plugin.shop import Shop

from .preflight import find_problems, size_bytes
from .record import Options

if TYPE_CHECKING:
    from prodsim.plugin.indexes import ProductIndex

SAMPLE = 32
COPIED_PER_S = 1500.0  # of products with 384-d vectors, on two cores: docs/benchmarks.md


@dataclass(frozen=True)
class Plan:
    """`embeds` are the products whose vectors are not of the new model; `size_bytes` is what the index takes now, and
    about what the new one will. `estimated_s` leaves out what waits for others. `problems` is what preflight finds."""

    alias: str
    serving: str
    index: str
    products: int
    embeds: int
    size_bytes: int
    estimated_s: float
    model: str
    serving_model: str
    removes: list[str]
    problems: list[str]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def plan_move(shop: Shop, options: Options) -> Plan:
    alias = shop.settings.alias
    serving = indexes.serving_index(shop.client, alias)
    name = indexes.next_index_name(shop.client, alias)
    products = count_products(shop.client, serving.name)
    embeds = products - count_with_model(shop, serving)
    copied_per_s = min(COPIED_PER_S, options.max_docs_per_s or COPIED_PER_S)
    return Plan(
        alias=alias,
        serving=serving.name,
        index=name,
        products=products,
        embeds=embeds,
        size_bytes=size_bytes(shop.client, serving.name),
        estimated_s=products / copied_per_s + embeds * seconds_a_text(shop, serving, embeds),
        model=shop.model.stamp,
        serving_model=serving.model.stamp,
        removes=catalogs.to_remove(shop.client, alias, name, serving.name, options.keep),
        problems=list(find_problems(shop, serving)),
    )


def count_with_model(shop: Shop, serving: ProductIndex) -> int:
    body = {"query": {"term": {"prodsim.model": shop.model.stamp}}}
    with engine_errors(f"counting products of {serving.name}"):
        return int(shop.client.count(index=serving.name, body=body)["count"])


def seconds_a_text(shop: Shop, serving: ProductIndex, embeds: int) -> float:
    """Measured on a few products; 0 where there is nothing to embed."""
    if not embeds:
        return 0.0
    with engine_errors(f"sampling {serving.name}"):
        answer = shop.client.search(
            index=serving.name, body={"size": SAMPLE, "query": {"function_score": {"random_score": {}}}}
        )
    texts = [embedding_text(hit["_source"]) or "a" for hit in answer["hits"]["hits"]]
    began = time.perf_counter()
    shop.embedder.embed(texts, input_type="passage", model=shop.model.name)
    return (time.perf_counter() - began) / max(1, len(texts))
