"""prodsim's own small indexes: hidden, one shard, a replica where there is a second node."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prodsim.mappings.render import render_json
from prodsim.plugin.client import engine_errors

if TYPE_CHECKING:
    from opensearchpy import OpenSearch

OPERATIONS = ".prodsim-operations"
AUDIT = ".prodsim-audit"
MODELS = ".prodsim-models"
BODIES = {OPERATIONS: "operations.json", AUDIT: "audit.json", MODELS: "candidates.json"}


def make_hidden(client: OpenSearch, name: str) -> None:
    """Makes the index where it is not there."""
    from opensearchpy.exceptions import RequestError

    with engine_errors(f"creating index {name}"):
        if client.indices.exists(index=name):
            return
        try:
            client.indices.create(index=name, body=render_json(BODIES[name]))
        except RequestError as error:
            if error.error != "resource_already_exists_exception":  # somebody was faster
                raise
