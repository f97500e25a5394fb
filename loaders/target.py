"""The index that products go to, what it holds of them already, and when that is as good as what comes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from prodsim.mappings.bundle import TextModel
from prodsim.mappings.vector_fields import EVERY_VECTOR, VECTOR_PREFIXES
from prodsim.plugin.client import engine_errors

if TYPE_CHECKING:
    from opensearchpy import OpenSearch

    from prodsim.embedder.client import EmbedderClient

    from .legs import Leg

Document = dict[str, Any]
BOOKKEEPING = "prodsim"


@dataclass(frozen=True)
class Target:
    """Where products go, the model that they are embedded with, and their further vectors.

    `behind` is the alias that has to point at the index for products to go there.
    """

    client: OpenSearch
    index: str
    embedder: EmbedderClient
    model: TextModel
    legs: tuple[Leg, ...] = ()
    behind: str | None = None

    @property
    def vector(self) -> str:
        return self.model.field()


def stored_products(target: Target, skus: Sequence[str]) -> dict[str, Document]:
    """What the index holds at this moment by SKU, its vectors left out."""
    return get(target, skus, {"_source_excludes": ",".join(EVERY_VECTOR)})


def stored_vectors(target: Target, skus: Sequence[str]) -> dict[str, Document]:
    """The vector and the bookkeeping of products by SKU."""
    fields = [target.vector, BOOKKEEPING, *(leg.vector for leg in target.legs)]
    return get(target, skus, {"_source_includes": ",".join(fields)})


def get(target: Target, skus: Sequence[str], params: Mapping[str, str]) -> dict[str, Document]:
    if not skus:
        return {}
    with engine_errors(f"reading products of {target.index}"):
        answer = target.client.mget(index=target.index, body={"ids": list(skus)}, params=dict(params))
    return {found["_id"]: found["_source"] for found in answer["docs"] if found.get("found")}


def vector_fits(stored: Mapping[str, Any], target: Target, digest: str) -> bool:
    """Whether the stored vector was made from this text by this model; the field itself is not looked at."""
    book = stored.get(BOOKKEEPING) or {}
    return bool(book.get("model") == target.model.stamp and book.get("text_hash") == digest)


def same_product(document: Mapping[str, Any], stored: Mapping[str, Any]) -> bool:
    """Whether two documents agree in all but vectors and bookkeeping."""
    return without_derived(document) == without_derived(stored)


def without_derived(document: Mapping[str, Any]) -> Document:
    return {
        name: value for name, value in document.items() if name != BOOKKEEPING and not name.startswith(VECTOR_PREFIXES)
    }


def last_writes(client: OpenSearch, index: str) -> dict[str, int]:
    """The highest _seq_no of each shard: what is above it was written later."""
    with engine_errors(f"reading the shards of {index}"):
        answer = client.indices.stats(index=index, metric="indexing", params={"level": "shards"})
    shards = answer["indices"].get(index, {}).get("shards", {})
    return {number: max(copy["seq_no"]["max_seq_no"] for copy in copies) for number, copies in shards.items()}


def skus_untouched_since(
    client: OpenSearch, index: str, since: Mapping[str, int]
) -> Iterator[list[tuple[str, int, int]]]:
    """(SKU, _seq_no, _primary_term) of all products that were last written at or before `since`, in pages.

    A shard's _seq_no can be ranged over and sorted by with `preference=_shards:N`.
    """
    page_size = 1000
    with engine_errors(f"listing products of {index}"):
        client.indices.refresh(index=index)
    for shard, highest in since.items():
        after = -1
        while True:
            with engine_errors(f"listing products of {index}"):
                answer = client.search(
                    index=index,
                    body={
                        "size": page_size,
                        "_source": False,
                        "seq_no_primary_term": True,
                        "query": {"range": {"_seq_no": {"gt": after, "lte": highest}}},
                        "sort": [{"_seq_no": "asc"}],
                        "track_total_hits": False,
                    },
                    params={"preference": f"_shards:{shard}", "search_pipeline": "_none"},
                )
            hits = answer["hits"]["hits"]
            if not hits:
                break
            yield [(hit["_id"], hit["_seq_no"], hit["_primary_term"]) for hit in hits]
            after = hits[-1]["_seq_no"]


def count_products(client: OpenSearch, index: str) -> int:
    """After a refresh: what was written until now counts."""
    with engine_errors(f"counting products of {index}"):
        client.indices.refresh(index=index)
        return int(client.count(index=index)["count"])
