"""Connectors and remote models of ML Commons: found by name, made once, removed whole.

A connector's name carries a digest of its body, so an equal name is an equal connector: a connector can't be updated
while its model is deployed, and a changed one gets a new name beside the old.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from prodsim.mappings.bundle import PREFIX

from .client import engine_errors
from .errors import EngineError

if TYPE_CHECKING:
    from opensearchpy import OpenSearch

MODEL_GROUP = "prodsim"
BASE = "/_plugins/_ml"
DEPLOY_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class Found:
    """A resource of ML Commons; `state` is a model's deployment state, `connector` the id of its connector."""

    id: str
    name: str
    state: str = ""
    connector: str = ""


def find(client: OpenSearch, kind: str) -> list[Found]:
    """prodsim's own connectors, models or model_groups."""
    query = {
        "size": 1000,
        "query": {"bool": {"should": [{"prefix": {"name.keyword": PREFIX}}, {"term": {"name.keyword": MODEL_GROUP}}]}},
    }
    from opensearchpy.exceptions import NotFoundError

    with engine_errors(f"listing ML Commons {kind}"):
        try:
            answer = client.transport.perform_request("POST", f"{BASE}/{kind}/_search", body=query)
        except NotFoundError:  # the system index is made with the first connector
            return []
    return [
        Found(
            hit["_id"],
            hit["_source"]["name"],
            hit["_source"].get("model_state", ""),
            hit["_source"].get("connector_id", ""),
        )
        for hit in answer["hits"]["hits"]
    ]


def ensure_model(client: OpenSearch, connector: Mapping[str, Any]) -> str:
    """The id of a deployed remote model over that connector, made where it is missing.

    Raises:
        EngineError: ML Commons refuses the connector, or does not deploy the model in time.
    """
    name = connector["name"]
    known = [model for model in find(client, "models") if model.name == name]
    if known:
        model_id = known[0].id
        if known[0].state != "DEPLOYED":
            with engine_errors(f"deploying model {name}"):
                client.transport.perform_request("POST", f"{BASE}/models/{model_id}/_deploy")
    else:
        connectors = [found.id for found in find(client, "connectors") if found.name == name]
        connector_id = connectors[0] if connectors else create_connector(client, connector)
        with engine_errors(f"registering model {name}"):
            model_id = client.transport.perform_request(
                "POST",
                f"{BASE}/models/_register?deploy=true",
                body={
                    "name": name,
                    "function_name": "remote",
                    "description": connector["description"],
                    "connector_id": connector_id,
                    "model_group_id": ensure_group(client),
                },
            )["model_id"]
    wait_deployed(client, model_id, name)
    return str(model_id)


def create_connector(client: OpenSearch, connector: Mapping[str, Any]) -> str:
    """Creates it; a 503 just after a cold start means that ML Commons still prepares its key, and is waited out."""
    from opensearchpy.exceptions import TransportError

    deadline = time.monotonic() + DEPLOY_TIMEOUT_S
    with engine_errors(f"creating connector {connector['name']}"):
        while True:
            try:
                made = client.transport.perform_request("POST", f"{BASE}/connectors/_create", body=dict(connector))
                return str(made["connector_id"])
            except TransportError as error:
                if error.status_code != 503 or time.monotonic() > deadline:
                    raise
                time.sleep(1)


def ensure_group(client: OpenSearch) -> str:
    groups = [group.id for group in find(client, "model_groups") if group.name == MODEL_GROUP]
    if groups:
        return groups[0]
    with engine_errors("registering the model group"):
        made = client.transport.perform_request(
            "POST",
            f"{BASE}/model_groups/_register",
            body={"name": MODEL_GROUP, "description": "prodsim: remote models of the query and ingest path"},
        )
    return str(made["model_group_id"])


def wait_deployed(client: OpenSearch, model_id: str, name: str) -> None:
    deadline = time.monotonic() + DEPLOY_TIMEOUT_S
    state = ""
    while time.monotonic() < deadline:
        with engine_errors(f"looking at model {name}"):
            model = client.transport.perform_request("GET", f"{BASE}/models/{model_id}")
        state = model.get("model_state", "")
        if state == "DEPLOYED":
            return
        if state == "DEPLOY_FAILED":
            break
        time.sleep(0.1)
    raise EngineError(f"model {name} is {state or 'unknown'}, not deployed: see the engine's log, then run setup again")


def wait_found(client: OpenSearch, names: Collection[str]) -> None:
    """Until `find` sees new models: their index refreshes once a second, and setup must not make them twice."""
    deadline = time.monotonic() + DEPLOY_TIMEOUT_S
    while time.monotonic() < deadline:
        states = {model.name: model.state for model in find(client, "models")}
        if all(states.get(name) == "DEPLOYED" for name in names):
            return
        time.sleep(0.1)


def remove(client: OpenSearch, model: Found | None, connector: Found | None) -> None:
    """Undeploys and deletes a model, then deletes its connector."""
    if model:
        with engine_errors(f"removing model {model.name}"):
            client.transport.perform_request("POST", f"{BASE}/models/{model.id}/_undeploy")
            client.transport.perform_request("DELETE", f"{BASE}/models/{model.id}")
    if connector:
        with engine_errors(f"removing connector {connector.name}"):
            client.transport.perform_request("DELETE", f"{BASE}/connectors/{connector.id}")


def remove_group(client: OpenSearch) -> None:
    for group in find(client, "model_groups"):
        with engine_errors("removing the model group"):
            client.transport.perform_request("DELETE", f"{BASE}/model_groups/{group.id}")
