"""What changed in an index since a checkpoint, shard by shard.

Every write gives its document the next _seq_no of its shard, so a document has one, and what is above a checkpoint was
written later. It can be ranged over and sorted by with `preference=_shards:N`. What is deleted is not found: see
`removals`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from prodsim.plugin.client import engine_errors

from .asking import Asking

if TYPE_CHECKING:
    from opensearchpy import OpenSearch

NOTHING_YET = -1
PAGE_BYTES = 3 * 1024 * 1024
PAGE_MOST, PAGE_LEAST = 1000, 8
PAGE_START = 200
STATISTICS_GROUP = "prodsim-move"  # our searches are told apart from those of the shop by it
LONGEST_WINDOW = 1 << 24

Checkpoints = Mapping[str, int]


@dataclass(frozen=True)
class Stand:
    """How far a shard is.

    All writes up to `checkpoint` are in all its copies and will never be taken back; a write that is given a _seq_no
    from now on gets one above `highest`. `deletes` counts up, and starts over when the shard does.
    """

    checkpoint: int
    highest: int
    deletes: int


@dataclass(frozen=True, slots=True)
class Changed:
    """A document as it stands: its id, its external or internal version, its _seq_no and _primary_term."""

    sku: str
    source: dict[str, Any]
    version: int
    seq_no: int
    primary_term: int

    @property
    def seen_at(self) -> tuple[int, int]:
        return self.seq_no, self.primary_term


@dataclass(frozen=True)
class Page:
    """Documents of one shard in the order of their last writes; all up to `upto` are in this page or an earlier one."""

    shard: str
    upto: int
    documents: tuple[Changed, ...]


def stands(client: OpenSearch, index: str) -> dict[str, Stand]:
    """Where each shard of the index stands, as its primary knows it.

    Raises:
        EngineError: as `engine_errors`, and EngineBusy where a primary is not there.
    """
    from prodsim.plugin.errors import EngineBusy

    with engine_errors(f"reading the shards of {index}"):
        answer = client.indices.stats(index=index, metric="indexing", params={"level": "shards"})
    shards = answer["indices"].get(index, {}).get("shards", {})
    if not shards or answer["_shards"].get("failed"):
        raise EngineBusy(f"the shards of {index} are not all there")
    found: dict[str, Stand] = {}
    for number, copies in shards.items():
        for copy in copies:
            if copy["routing"]["primary"]:
                numbers = copy["seq_no"]
                deletes = int(copy["indexing"]["delete_total"])
                found[number] = Stand(numbers["global_checkpoint"], numbers["max_seq_no"], deletes)
    if len(found) != shard_count(client, index):
        raise EngineBusy(f"not all primary shards of {index} are there")
    return found


def shard_count(client: OpenSearch, index: str) -> int:
    with engine_errors(f"reading the settings of {index}"):
        settings = client.indices.get_settings(index=index, name="index.number_of_shards")
    return int(settings[index]["settings"]["index"]["number_of_shards"])


def refresh(client: OpenSearch, index: str) -> None:
    """So that searches find what was written."""
    with engine_errors(f"refreshing {index}"):
        client.indices.refresh(index=index)


def changed_since(
    asking: Asking, index: str, after: Checkpoints, upto: Checkpoints, *, contents: bool = True
) -> Iterator[Page]:
    """The documents whose last write is above `after` and not above `upto`, by shard; after a refresh.

    A document that is written while pages are read moves above `upto` and is left out. Without `contents` the
    documents' sources are empty.
    """
    for shard, bound in upto.items():
        yield from shard_pages(asking, index, shard, after.get(shard, NOTHING_YET), bound, contents)


def shard_pages(asking: Asking, index: str, shard: str, after: int, bound: int, contents: bool) -> Iterator[Page]:
    limit = PAGE_START if contents else PAGE_MOST
    window = limit  # of _seq_no: a narrow range is found without looking at all that is left
    while after < bound:
        top = min(bound, after + window)
        hits, size_bytes = search_range(asking, index, shard, after, top, limit, contents)
        after = hits[-1].seq_no if len(hits) == limit else top
        if hits or after == bound:
            yield Page(shard, after, tuple(hits))
        if contents and len(hits) >= PAGE_LEAST:
            limit = min(PAGE_MOST, max(PAGE_LEAST, PAGE_BYTES * len(hits) // max(1, size_bytes)))
        window = max(limit, window // 2) if len(hits) == limit else window
        window = min(LONGEST_WINDOW, window * 2) if len(hits) < limit // 2 else window


def search_range(
    asking: Asking, index: str, shard: str, after: int, top: int, limit: int, contents: bool
) -> tuple[list[Changed], int]:
    answer, size_bytes = asking.ask(
        f"reading products of {index}",
        "POST",
        f"/{quote(index)}/_search",
        {
            "size": limit,
            "_source": contents,
            "version": True,
            "seq_no_primary_term": True,
            "query": {"range": {"_seq_no": {"gt": after, "lte": top}}},
            "sort": [{"_seq_no": "asc"}],
            "track_total_hits": False,
            "stats": [STATISTICS_GROUP],
        },
        preference=f"_shards:{shard}|_primary",
        search_pipeline="_none",
        allow_partial_search_results="false",
        filter_path="hits.hits,_shards.failed,timed_out",
    )
    found = [
        Changed(hit["_id"], hit.get("_source") or {}, hit["_version"], hit["_seq_no"], hit["_primary_term"])
        for hit in answer.get("hits", {}).get("hits", [])
    ]
    return found, size_bytes
