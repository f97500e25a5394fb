"""`status`: what is installed, what it serves, and what is stale."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from prodsim.embedder.client import EmbedderClient
from prodsim.mappings.bundle import TextModel

from .changes import Change
from .client import engine_errors
from .cluster import inspect_cluster
from .config import Settings
from .errors import EmbedderError, EngineError
from .indexes import ProductIndex, find_serving_index, product_indexes
from .setup import setup
from .shop import embedder_model

if TYPE_CHECKING:
    from opensearchpy import OpenSearch


def status(client: OpenSearch, settings: Settings, embedder: EmbedderClient) -> dict[str, Any]:
    """Engine, embedder, bundle and catalogs as plain values; what can't be reached says why.

    Raises:
        EngineUnreachable, EngineError: there is no engine to ask.
    """
    cluster = inspect_cluster(client)
    model, embedder_state = ask_embedder(settings, embedder)
    return {
        "engine": {
            "url": settings.engine_url,
            "cluster": cluster.name,
            "version": cluster.version,
            "mode": cluster.mode,
        },
        "embedder": embedder_state,
        "bundle": bundle_state(client, settings, model),
        "catalogs": [catalog_state(client, index, model) for index in product_indexes(client)],
    }


def ask_embedder(settings: Settings, embedder: EmbedderClient) -> tuple[TextModel | None, dict[str, Any]]:
    try:
        model = embedder_model(embedder, settings)
    except EmbedderError as error:
        return None, {"url": settings.embedder_url, "ready": False, "problem": str(error)}
    return model, {
        "url": settings.embedder_url,
        "ready": True,
        "model": model.name,
        "revision": model.revision,
        "dimension": model.dimension,
    }


def bundle_state(client: OpenSearch, settings: Settings, model: TextModel | None) -> dict[str, Any]:
    """How what is installed differs from what `setup` would install.

    Without an embedder the model is taken from the index that serves; with neither, nothing can be said.
    """
    try:
        serving = find_serving_index(client, settings.alias)
        model = model or (serving.model if serving else None)
        if model is None:
            return {"state": "unknown", "problem": "no embedder and no catalog to tell the model by"}
        changes = setup(client, settings, model, dry_run=True)
    except EngineError as error:
        return {"state": "blocked", "problem": str(error)}
    pending = [change for change in changes if change.action != "unchanged"]
    if not pending:
        return {"state": "current", "pending": []}
    installed = any(change.kind == "search template" and change.action != "create" for change in changes)
    return {"state": "stale" if installed else "missing", "pending": [as_row(change) for change in pending]}


def as_row(change: Change) -> dict[str, str]:
    return {"kind": change.kind, "name": change.name, "action": change.action}


def catalog_state(client: OpenSearch, index: ProductIndex, model: TextModel | None) -> dict[str, Any]:
    """One index: its products, and how many of them have no vector of its model."""
    freshness = "unknown" if model is None else "current" if model == index.model else "stale"
    with engine_errors(f"counting products of {index.name}"):
        products = int(client.count(index=index.name)["count"])
        without = {"query": {"bool": {"must_not": [{"term": {"prodsim.model": index.model.stamp}}]}}}
        without_vector = int(client.count(index=index.name, body=without)["count"])
    return {
        "index": index.name,
        "aliases": sorted(index.aliases),
        "products": products,
        "without_vector": without_vector,
        "model": index.model.stamp,
        "dimension": index.model.dimension,
        "vectors": freshness,
    }
