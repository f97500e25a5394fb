"""Writes to an index that wait at the engine for a moment, and go through when it is over.

A write waits for the shard copies that `index.write.wait_for_active_shards` wants before it is carried out, as long as
its own `timeout` (a minute, if the client names none), and is tried again at every change of the cluster's state. So
an index that wants one copy more than it can have keeps its writers waiting, and shows them no error. A request that
itself asks for fewer copies goes through: that is how what was written elsewhere gets here first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from prodsim.plugin.client import engine_errors

if TYPE_CHECKING:
    from opensearchpy import OpenSearch

NO_FURTHER_COPIES = "primaries"  # the copy that is waited for is not to be made
CHANGED = ("number_of_replicas", "auto_expand_replicas", "routing.allocation.enable", "write.wait_for_active_shards")


def settings_before(client: OpenSearch, index: str) -> dict[str, Any]:
    """What `release` has to put back; None where the setting is not there."""
    names = ",".join(f"index.{name}" for name in CHANGED)
    with engine_errors(f"reading the settings of {index}"):
        answer = client.indices.get_settings(index=index, name=names, params={"flat_settings": "true"})
    settings = answer[index]["settings"]
    return {f"index.{name}": settings.get(f"index.{name}") for name in CHANGED}


def hold(client: OpenSearch, index: str, before: Mapping[str, Any]) -> None:
    """From here on writes to the index wait, until `release`. `before` is what `settings_before` found."""
    settings = {
        "index.auto_expand_replicas": "false",
        "index.number_of_replicas": int(before["index.number_of_replicas"]) + 1,
        "index.routing.allocation.enable": NO_FURTHER_COPIES,
        "index.write.wait_for_active_shards": "all",
    }
    with engine_errors(f"keeping writes to {index} waiting"):
        client.indices.put_settings(index=index, body=settings)


def release(client: OpenSearch, index: str, before: Mapping[str, Any]) -> None:
    """The writes that wait go through now."""
    with engine_errors(f"letting writes to {index} through"):
        client.indices.put_settings(index=index, body=dict(before))
