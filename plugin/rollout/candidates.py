"""What is known of models and canaries: documents in `.prodsim-models`, so that any machine can go on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from prodsim.plugin.client import engine_errors
from prodsim.plugin.moving.audit import now
from prodsim.plugin.moving.hidden import MODELS, make_hidden
from prodsim.plugin.moving.record import user_name

from .probe import Probe

if TYPE_CHECKING:
    from opensearchpy import OpenSearch


@dataclass(frozen=True)
class Candidate:
    """A model that was looked at, by whom and when."""

    probe: Probe
    at: str
    user: str


def record(client: OpenSearch, found: Probe) -> Candidate:
    """Notes that the model passed its probe. A model that is looked at again replaces what was noted."""
    candidate = Candidate(found, now(), user_name())
    put(client, f"model:{found.stamp}", {"kind": "model", "model": found.stamp, **asdict(candidate)})
    return candidate


def candidates(client: OpenSearch) -> list[Candidate]:
    """All that were looked at, oldest first."""
    make_hidden(client, MODELS)
    with engine_errors("reading the candidates"):
        client.indices.refresh(index=MODELS)
        body = {"size": 1000, "query": {"term": {"kind": "model"}}, "sort": [{"at": "asc"}]}
        answer = client.search(index=MODELS, body=body)
    return [as_candidate(hit["_source"]) for hit in answer["hits"]["hits"]]


def as_candidate(document: Mapping[str, Any]) -> Candidate:
    about = dict(document["probe"])
    about["lengths"] = tuple(about["lengths"])
    return Candidate(Probe(**about), document["at"], document["user"])


def put(client: OpenSearch, name: str, document: Mapping[str, Any]) -> None:
    make_hidden(client, MODELS)
    with engine_errors(f"recording {name}"):
        client.index(index=MODELS, id=name, body=dict(document))


def get(client: OpenSearch, name: str) -> dict[str, Any] | None:
    make_hidden(client, MODELS)
    with engine_errors(f"reading {name}"):
        found = client.get(index=MODELS, id=name, ignore=[404])
    return dict(found["_source"]) if found.get("found") else None
