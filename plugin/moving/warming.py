"""Queries to the target before customers' come, so that its files are in memory."""

from __future__ import annotations

from contextlib import suppress

from prodsim.mappings.bundle import SEARCH_TEMPLATE
from prodsim.plugin.client import engine_errors
from prodsim.plugin.errors import EngineError

from .surroundings import Move
from .validation import looked_up, sampled

TITLES = 30


def warm_up(move: Move) -> None:
    """Searches for the titles of some products, through the template and the target's own pipeline.

    A query that fails is no reason to stop: what the target answers was looked at before.
    """
    index = move.operation.target
    for product in looked_up(move, index, sampled(move, index, TITLES)).values():
        body = {"id": SEARCH_TEMPLATE, "params": {"q": str(product.get("title") or "a"), "size": 10}}
        with suppress(EngineError), engine_errors(f"searching {index}"):
            move.client.search_template(index=index, body=body)
