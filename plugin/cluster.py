"""What the cluster is: version and plugins, and whether prodsim can work with it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .client import engine_errors
from .errors import EngineError

if TYPE_CHECKING:
    from opensearchpy import OpenSearch

# 2.19 is the first with everything the query path relies on, and the oldest that the tests run against.
OLDEST_VERSION = (2, 19)
KNN_PLUGIN = "opensearch-knn"
ENGINE_MODE_PLUGINS = {"opensearch-ml", "opensearch-neural-search"}


@dataclass(frozen=True)
class Cluster:
    """`mode` is `engine` where the cluster calls the embedder itself, `client` where callers pass `params.vector`."""

    name: str
    version: str
    plugins: frozenset[str]

    @property
    def has_ml(self) -> bool:
        return self.plugins >= ENGINE_MODE_PLUGINS

    @property
    def mode(self) -> str:
        return "engine" if self.has_ml else "client"


def inspect_cluster(client: OpenSearch) -> Cluster:
    """Version and plugins of a cluster that prodsim can work with.

    Raises:
        EngineUnreachable: nothing answers.
        EngineError: it is not OpenSearch, is too old, or has no k-NN plugin.
    """
    with engine_errors("looking at the engine"):
        info = client.info()
    about = info.get("version") if isinstance(info, dict) else None
    about = about if isinstance(about, dict) else {}
    number = str(about.get("number", ""))
    if about.get("distribution") != "opensearch" or not re.match(r"\d+\.\d+", number):
        raise EngineError(f"what answers is not OpenSearch but {describe(about)}; check engine_url")
    if tuple(map(int, number.split(".")[:2])) < OLDEST_VERSION:
        oldest = ".".join(map(str, OLDEST_VERSION))
        raise EngineError(f"OpenSearch {number} is too old: prodsim needs {oldest} or newer; upgrade the cluster")
    with engine_errors("listing the engine's plugins"):
        nodes = client.nodes.info(metric="plugins", filter_path="nodes.*.plugins.name,nodes.*.roles")["nodes"]
    on_every_node = [{plugin["name"] for plugin in node.get("plugins", [])} for node in nodes.values()]
    cluster = Cluster(
        name=str(info.get("cluster_name", "")),
        version=number,
        plugins=frozenset(set.intersection(*on_every_node) if on_every_node else set()),
    )
    if KNN_PLUGIN not in cluster.plugins:
        raise EngineError(
            f"OpenSearch {number} has no k-NN plugin on every node: install {KNN_PLUGIN} "
            f"('bin/opensearch-plugin install {KNN_PLUGIN}') and restart"
        )
    return cluster


def describe(about: dict[str, object]) -> str:
    if about.get("number"):
        return f"{about.get('distribution') or 'Elasticsearch'} {about['number']}"
    return "something else"
