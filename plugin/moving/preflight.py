"""What has to be right before a move begins: everything that is wrong, told at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from prodsim.plugin.client import engine_errors
from prodsim.plugin.cluster import inspect_cluster
from prodsim.plugin.errors import CheckFailed, EmbedderError, ProdsimError
from prodsim.plugin.indexes import ProductIndex
from prodsim.plugin.shop import Shop

if TYPE_CHECKING:
    from opensearchpy import OpenSearch

ROOM = 1.3  # times what the source takes: merges need room of their own
FULL = 0.85  # the engine's low watermark
# Values of the first can't be read as the second.
TEXTS = frozenset({"text", "keyword", "search_as_you_type", "wildcard", "match_only_text"})
NUMBERS = frozenset({"long", "integer", "short", "byte", "double", "float", "half_float", "scaled_float", "date"})


def preflight(shop: Shop, source: ProductIndex) -> None:
    """Raises CheckFailed that names all problems at once."""
    problems = list(find_problems(shop, source))
    if problems:
        raise CheckFailed(f"{source.name} can't be moved now: {'; '.join(problems)}")


def find_problems(shop: Shop, source: ProductIndex) -> Iterator[str]:
    looks: tuple[Callable[[Shop, ProductIndex], Iterator[str]], ...] = (
        versions,
        source_health,
        disk,
        shards,
        mapping,
        routing,
        embedder,
    )
    for look in looks:
        try:
            yield from look(shop, source)
        except ProdsimError as error:
            yield str(error)


def versions(shop: Shop, source: ProductIndex) -> Iterator[str]:
    inspect_cluster(shop.client)
    with engine_errors("reading the nodes' versions"):
        nodes = shop.client.nodes.info(metric="plugins", filter_path="nodes.*.version")["nodes"]
    found = sorted({node["version"] for node in nodes.values()})
    if len(found) > 1:
        yield f"nodes run different versions ({', '.join(found)}): finish the upgrade first"


def source_health(shop: Shop, source: ProductIndex) -> Iterator[str]:
    with engine_errors(f"looking at {source.name}"):
        health = shop.client.cluster.health(index=source.name)
    if health["status"] == "red":
        yield f"{source.name} is not whole: a primary shard is missing"
    blocks = [name for name in source.settings.get("blocks", {}) if str(source.settings["blocks"][name]) == "true"]
    if blocks:
        yield f"{source.name} is blocked ({', '.join(blocks)}): lift that first"


def disk(shop: Shop, source: ProductIndex) -> Iterator[str]:
    needed = size_bytes(shop.client, source.name) * ROOM
    with engine_errors("reading the disks' room"):
        disks = shop.client.transport.perform_request("GET", "/_cluster/stats", params={"filter_path": "nodes.fs"})[
            "nodes"
        ]["fs"]
    total, free = disks["total_in_bytes"], disks["available_in_bytes"]
    usable = free - total * (1 - FULL)
    if needed > usable:
        yield (
            f"the disks have room for {max(0, usable) / 1e9:.1f} GB before the watermark and the copy takes about "
            f"{needed / 1e9:.1f} GB: free space or add a node"
        )


def size_bytes(client: OpenSearch, index: str) -> int:
    """Of all copies of an index on the disks."""
    with engine_errors(f"measuring {index}"):
        stats = client.indices.stats(index=index, metric="store")
    return int(stats["indices"][index]["total"]["store"]["size_in_bytes"])


def shards(shop: Shop, source: ProductIndex) -> Iterator[str]:
    with engine_errors("counting shards"):
        health = shop.client.cluster.health()
        settings = shop.client.cluster.get_settings(params={"include_defaults": "true", "flat_settings": "true"})
    limit = 1000
    for kind in ("defaults", "persistent", "transient"):
        limit = int(settings.get(kind, {}).get("cluster.max_shards_per_node", limit))
    wanted = int(shop.index_body()["settings"]["index"]["number_of_shards"]) * (
        1 + min(1, health["number_of_nodes"] - 1)
    )
    room = limit * health["number_of_data_nodes"] - health["active_shards"] - health["unassigned_shards"]
    if wanted > room:
        yield f"the cluster may hold {max(0, room)} more shards (cluster.max_shards_per_node {limit}), not {wanted}"


def mapping(shop: Shop, source: ProductIndex) -> Iterator[str]:
    with engine_errors(f"reading the mapping of {source.name}"):
        old = shop.client.indices.get_mapping(index=source.name)[source.name]["mappings"].get("properties", {})
    new = shop.index_body()["mappings"]["properties"]
    yield from incompatible(old, new)


def incompatible(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    """Fields whose values the new mapping may refuse."""
    for name in sorted(old.keys() & new.keys()):
        was, becomes = (str(fields[name].get("type", "object")) for fields in (old, new))
        narrowed = was in TEXTS and becomes in NUMBERS
        if narrowed or ("object" in (was, becomes) and was != becomes):
            yield f"field {name} is {was} and becomes {becomes}, which refuses such values"


def routing(shop: Shop, source: ProductIndex) -> Iterator[str]:
    with engine_errors(f"looking at {source.name}"):
        found = shop.client.count(index=source.name, body={"query": {"exists": {"field": "_routing"}}})["count"]
    if found:
        yield f"{found} products were written with a routing of their own, which prodsim does not move"


def embedder(shop: Shop, source: ProductIndex) -> Iterator[str]:
    """Ready, and with vectors as long as the model says."""
    try:
        vectors, _ = shop.embedder.embed(["a"], input_type="passage", model=shop.model.name)
    except EmbedderError as error:
        yield str(error)
        return
    if vectors.shape[1] != shop.model.dimension:
        yield f"{shop.model.name} should make {shop.model.dimension}-d vectors and makes {vectors.shape[1]}-d ones"
