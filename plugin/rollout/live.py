"""The second alias, `ALIAS-canary`: through it a share of the shop's own searches tries a candidate index."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prodsim.plugin.client import engine_errors
from prodsim.plugin.errors import EngineError
from prodsim.plugin.indexes import indexes_behind

if TYPE_CHECKING:
    from opensearchpy import OpenSearch


def canary_alias(alias: str) -> str:
    return f"{alias}-canary"


def open_alias(client: OpenSearch, alias: str, index: str) -> str:
    """Points the canary alias at the index, and returns its name. Nobody can write through it.

    Raises:
        EngineError: it points at something else.
    """
    name = canary_alias(alias)
    others = [found for found in indexes_behind(client, name) if found != index]
    if others:
        raise EngineError(f"alias {name} points at {', '.join(others)} already: remove it there first")
    with engine_errors(f"pointing alias {name} at {index}"):
        client.indices.put_alias(index=index, name=name, body={"is_write_index": False})
    return name


def close_alias(client: OpenSearch, alias: str) -> bool:
    """Takes the canary alias away; whether it was there."""
    name = canary_alias(alias)
    behind = indexes_behind(client, name)
    for index in behind:
        with engine_errors(f"removing alias {name}"):
            client.indices.delete_alias(index=index, name=name, ignore=[404])
    return bool(behind)
