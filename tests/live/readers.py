"""Shop pages that search through the alias while it moves."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.live.shop import ANCHORS, LOOKS, THINGS

if TYPE_CHECKING:
    from opensearchpy import OpenSearch

PROVENANCE = ["sku", "prodsim.model", "text_vector_*"]


@dataclass
class Read:
    """What a reader saw. `indexes` are those that answered; `times_s` are of searches that went through."""

    times_s: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)
    mixed: list[str] = field(default_factory=list)
    indexes: set[str] = field(default_factory=set)


class Reader(threading.Thread):
    """Searches by template, by plain query and by SKU; every one of them has an answer, whatever writers do."""

    def __init__(self, client: OpenSearch, alias: str, name: str, seed: int, per_s: float) -> None:
        super().__init__(name=name, daemon=True)
        self.client, self.alias = client, alias
        self.chance = random.Random(f"{seed} {name}")
        self.wait_s = 1 / per_s
        self.read = Read()
        self.models: dict[str, tuple[str, int]] = {}
        self.ending = threading.Event()

    def run(self) -> None:
        while not self.ending.wait(self.chance.uniform(0, 2 * self.wait_s)):
            what = self.chance.choice(("template", "plain", "count", "anchor"))
            began = time.monotonic()
            try:
                hits = getattr(self, what)()
            except Exception as error:  # whatever a page sees counts
                self.read.errors.append(f"{self.name} {what}: {type(error).__name__} {error}"[:400])
                continue
            self.read.times_s.append(time.monotonic() - began)
            if not hits:
                self.read.empty.append(f"{self.name} {what}")
            for hit in hits:
                self.look_at(hit)

    def template(self) -> list[dict[str, Any]]:
        words = f"{self.chance.choice(LOOKS)} {self.chance.choice(THINGS)}"
        params = {"q": words, "size": 5, "fields": ["*"]}
        body = {"id": "prodsim-search", "params": params}
        found: list[dict[str, Any]] = self.client.search_template(index=self.alias, body=body)["hits"]["hits"]
        return found

    def plain(self) -> list[dict[str, Any]]:
        query = {"match": {"title": self.chance.choice(THINGS)}}
        body = {"size": 5, "query": query, "_source": PROVENANCE}
        found: list[dict[str, Any]] = self.client.search(index=self.alias, body=body)["hits"]["hits"]
        return found

    def count(self) -> list[dict[str, Any]]:
        """An aggregation over everything, and the newest product."""
        body = {
            "size": 1,
            "sort": [{"prodsim.loaded_at": "desc"}],
            "_source": PROVENANCE,
            "aggs": {"brands": {"terms": {"field": "brand"}}},
        }
        answer = self.client.search(index=self.alias, body=body)
        if not answer["aggregations"]["brands"]["buckets"]:
            return []
        found: list[dict[str, Any]] = answer["hits"]["hits"]
        return found

    def anchor(self) -> list[dict[str, Any]]:
        sku = f"anchor-{self.chance.randrange(ANCHORS)}"
        return [self.client.get(index=self.alias, id=sku, params={"_source_includes": ",".join(PROVENANCE)})]

    def look_at(self, hit: Mapping[str, Any]) -> None:
        """A product's vector must be by the model of the index that it came from, and be the only one."""
        index = str(hit["_index"])
        self.read.indexes.add(index)
        source = hit.get("_source", {})
        vectors = {name: value for name, value in source.items() if name.startswith("text_vector_")}
        said = source.get("prodsim", {}).get("model")
        stamp, dimension = self.model_of(index)
        wrong = [name for name in vectors if name != f"text_vector_{dimension}"]
        if wrong or (vectors and said not in (None, stamp)):
            self.read.mixed.append(f"{hit['_id']} in {index}: {', '.join(vectors)} by {said}, the index is {stamp}")

    def model_of(self, index: str) -> tuple[str, int]:
        if index not in self.models:
            body = self.client.indices.get_mapping(index=index)[index]
            about = body["mappings"]["_meta"]["prodsim"]
            self.models[index] = (about["model"], about["dimension"])
        return self.models[index]


def percentile(times_s: list[float], share: float) -> float:
    ordered = sorted(times_s)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def all_of(readers: list[Reader], what: str) -> Iterator[Any]:
    for reader in readers:
        yield from getattr(reader.read, what)
