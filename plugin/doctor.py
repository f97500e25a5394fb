"""`doctor`: looks at every part of the query path, says what is wrong and what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from prodsim.embedder.client import EmbedderClient
from prodsim.mappings.bundle import TextModel

from . import ml
from .client import engine_errors
from .cluster import Cluster, inspect_cluster
from .config import Settings
from .errors import EngineError, NotFound, ProdsimError
from .indexes import ProductIndex, pipeline_name, serving_index
from .status import ask_embedder, bundle_state, catalog_state

if TYPE_CHECKING:
    from opensearchpy import OpenSearch


PIXEL = (  # a PNG
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4//8/AAX+Av4N70a4AAAAAElFTkSuQmCC"
)


@dataclass(frozen=True)
class Finding:
    """`state` is ok, warn (works, but less well than it could) or fail (searches or loads suffer)."""

    check: str
    state: str
    message: str


def doctor(client: OpenSearch, settings: Settings, embedder: EmbedderClient) -> list[Finding]:
    """All findings, in the order in which things depend on each other."""
    try:
        cluster = inspect_cluster(client)
    except ProdsimError as error:
        return [Finding("engine", "fail", str(error))]
    findings = [Finding("engine", "ok", f"OpenSearch {cluster.version} at {settings.engine_url}, {cluster.mode} mode")]
    model, state = ask_embedder(settings, embedder)
    findings.append(embedder_finding(state))
    index: ProductIndex | None = None
    checks: list[tuple[str, Callable[[], Iterator[Finding]]]] = [
        ("cluster", lambda: check_cluster(client)),
        ("bundle", lambda: check_bundle(client, settings, model)),
    ]
    try:
        index = serving_index(client, settings.alias)
    except NotFound as error:
        findings.append(Finding("catalog", "warn", str(error)))
    except ProdsimError as error:
        findings.append(Finding("catalog", "fail", str(error)))
    if index:
        serving = index
        checks.append(("catalog", lambda: check_catalog(client, serving, model)))
    if cluster.has_ml:
        checks.append(("query path", lambda: check_query_path(client, index)))
    else:
        findings.append(no_ml_commons(cluster))
    checks.append(("moves", lambda: check_moves(client, settings.alias)))
    for name, check in checks:
        try:
            findings += list(check())
        except ProdsimError as error:
            findings.append(Finding(name, "fail", str(error)))
    return findings


def embedder_finding(state: dict[str, Any]) -> Finding:
    if state["ready"]:
        served = f"{state['model']} ({state['dimension']}-d) at {state['url']}"
        return Finding("embedder", "ok", served)
    return Finding("embedder", "fail", f"{state['problem']}. Until then queries are answered on words alone")


def no_ml_commons(cluster: Cluster) -> Finding:
    return Finding(
        "query path",
        "warn",
        f"OpenSearch {cluster.version} has no ML Commons: callers pass params.vector (docs/clients.md), "
        "or queries run on words alone",
    )


def check_cluster(client: OpenSearch) -> Iterator[Finding]:
    with engine_errors("asking for the cluster's health"):
        health = client.cluster.health()
    state = {"green": "ok", "yellow": "warn"}.get(health["status"], "fail")
    nodes, missing = health["number_of_nodes"], health["unassigned_shards"]
    yield Finding("cluster", state, f"{health['status']}, {nodes} nodes, {missing} unassigned shards")


def check_bundle(client: OpenSearch, settings: Settings, model: TextModel | None) -> Iterator[Finding]:
    state = bundle_state(client, settings, model)
    repair = f"run 'prodsim-admin setup --alias {settings.alias}'"
    if state["state"] == "current":
        yield Finding("bundle", "ok", "installed and up to date")
    elif state["state"] in ("unknown", "blocked"):
        yield Finding("bundle", "fail" if state["state"] == "blocked" else "warn", state["problem"])
    else:
        names = ", ".join(f"{row['kind']} {row['name']}" for row in state["pending"])
        yield Finding(
            "bundle", "fail" if state["state"] == "missing" else "warn", f"{state['state']}: {names}; {repair}"
        )


def check_catalog(client: OpenSearch, index: ProductIndex, model: TextModel | None) -> Iterator[Finding]:
    state = catalog_state(client, index, model)
    where = f"{index.name}: {state['products']} products"
    if state["vectors"] == "stale" and model:
        yield Finding(
            "catalog",
            "fail",
            f"{where} with vectors of {index.model.stamp}, the embedder serves {model.stamp}: "
            "serve the old model, or run 'prodsim-admin reindex'",
        )
    elif state["without_vector"]:
        yield Finding("catalog", "warn", f"{where}, {state['without_vector']} without a vector: load them again")
    else:
        yield Finding("catalog", "ok" if state["products"] else "warn", where)
    blocks = index.settings.get("blocks", {})
    if str(blocks.get("read_only_allow_delete", "")).lower() == "true":
        yield Finding("disk", "fail", f"{index.name} takes no writes: a node is over its flood-stage disk watermark")


def check_moves(client: OpenSearch, alias: str) -> Iterator[Finding]:
    """A reindex or rollout that stopped, and above all one that keeps writers waiting (`moving.hold`)."""
    from .moving.machine import command, status

    move = status(client, alias)
    if move is None or move.ended or move.owner is not None:
        return
    go_on = f"go on with '{command(move, 'resume')}'"
    if move.held:
        yield Finding("moves", "fail", f"a stopped {move.kind} keeps writes to {alias} WAITING at the engine: {go_on}")
    elif not move.resting:
        yield Finding("moves", "warn", f"a {move.kind} to {move.target} stopped in phase {move.phase}: {go_on}")


def check_query_path(client: OpenSearch, index: ProductIndex | None) -> Iterator[Finding]:
    """Whether the engine itself reaches the embedder, and how its recent calls went.

    Looked at are the models that the index's queries use; those that only other indexes use may be out of service.
    """
    used = search_models(client, index.name) if index else None
    for model in ml.find(client, "models"):
        if used is not None and model.name.startswith("prodsim-stored-vector-") and model.id in used:
            yield try_similar(client, model, used[model.id])
        if used is not None and model.name.startswith("prodsim-photo-") and model.id in used:
            yield try_photo(client, model)
        if not model.name.startswith("prodsim-query-") or (used is not None and model.id not in used):
            continue
        if model.state != "DEPLOYED":
            yield Finding("query path", "fail", f"model {model.name} is {model.state}: run 'prodsim-admin setup'")
            continue
        yield try_query(client, model)
        yield from recent_calls(client, model)


def search_models(client: OpenSearch, index: str) -> dict[str, dict[str, Any]]:
    """The models that an index's search pipeline calls: by id, the parameters that it always gives them."""
    name = pipeline_name(index)
    with engine_errors(f"reading search pipeline {name}"):
        found = client.transport.perform_request("GET", f"/_search/pipeline/{name}")
    processors = found[name].get("request_processors", [])
    steps = [step["ml_inference"] for step in processors if "ml_inference" in step]
    return {step["model_id"]: step.get("model_config", {}) for step in steps}


def try_query(client: OpenSearch, model: ml.Found) -> Finding:
    with engine_errors("the engine calling the embedder"):
        answer = predict(client, model, {"input": "shoe"})
    return Finding("query path", "ok", f"the engine reaches the embedder ({dimension_in(answer)}-d vectors)")


def try_photo(client: OpenSearch, model: ml.Found) -> Finding:
    """Whether the engine gets a vector for a photo: one white pixel."""
    try:
        with engine_errors("the engine showing the embedder a photo"):
            answer = predict(client, model, {"input": PIXEL})
    except EngineError as error:
        return Finding("photos", "fail", f"{error}; searches by photo fail: does the embedder serve image_model?")
    return Finding("photos", "ok", f"the engine gets vectors for photos ({dimension_in(answer)}-d)")


def predict(client: OpenSearch, model: ml.Found, parameters: Mapping[str, Any]) -> dict[str, Any]:
    path = f"/_plugins/_ml/models/{model.id}/_predict"
    answer: dict[str, Any] = client.transport.perform_request("POST", path, body={"parameters": parameters})
    return answer


def dimension_in(answer: Mapping[str, Any]) -> int:
    data = answer["inference_results"][0]["output"][0]["dataAsMap"].get("data") or [{}]
    return len(data[0].get("embedding", []))


def try_similar(client: OpenSearch, model: ml.Found, always: Mapping[str, Any]) -> Finding:
    """Whether the cluster reaches itself, which similar-by-SKU needs; where not, what else there is.

    `always` are the parameters that the search pipeline gives with every call.
    """
    parameters = {**always, "liked": ["prodsim-doctor"], "disliked": [], "decay": 1.0}
    try:
        with engine_errors("the engine asking itself for a stored vector"):
            predict(client, model, parameters)
    except EngineError as error:
        ways = (
            "set reader_username and reader_password_file, and have each node's Java trust the cluster's certificate "
            "authority; or callers pass params.vector and params.variant_group, as the Python client's similar(sku, "
            "vector=…) does (docs/security.md)"
        )
        return Finding("similar", "warn", f"{error}; similar-by-SKU finds nothing so: {ways}")
    return Finding("similar", "ok", "the engine reaches its own stored vectors")


def recent_calls(client: OpenSearch, model: ml.Found) -> Iterator[Finding]:
    """Failed calls, each a query that was answered on words alone.

    ML Commons times every request in `predict_request_stats` but only those that were answered in
    `model_inference_stats`; it keeps the last 100 of each on every node.
    """
    with engine_errors("reading the engine's calls"):
        profile = client.transport.perform_request("GET", f"/_plugins/_ml/profile/models/{model.id}")
    calls = failed = 0
    for node in profile.get("nodes", {}).values():
        stats = node["models"].get(model.id, {})
        asked = stats.get("predict_request_stats", {}).get("count", 0)
        calls += asked
        failed += max(0, asked - stats.get("model_inference_stats", {}).get("count", 0))
    if failed:
        yield Finding(
            "fallbacks", "warn", f"{failed} of the last {calls} calls to the embedder failed: answered on words alone"
        )
    else:
        yield Finding("fallbacks", "ok", f"none of the last {calls} calls to the embedder failed")
