"""Catalogs behind an alias: rebuilding them from a source, going back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prodsim.loaders.load import Progress
from prodsim.loaders.request import Request

from . import indexes
from .client import engine_errors
from .errors import LeaseHeld, NotFound
from .loads import Outcome, Say, rebuild
from .moving import store
from .shop import Shop

if TYPE_CHECKING:
    from opensearchpy import OpenSearch


def rebuild_from(shop: Shop, progress: Progress, say: Say, request: Request, keep: int = 1) -> Outcome:
    """Builds a new index from a source, checks its count, and swaps the alias in one call.

    The newest `keep` earlier indexes stay for `rollback`.
    """
    serving = indexes.serving_index(shop.client, shop.settings.alias)
    moved = store.find(shop.client, shop.settings.alias)
    if moved is not None and not moved.operation.ended:
        raise LeaseHeld(
            f"{shop.settings.alias} is being moved to {moved.operation.target} ({moved.operation.phase}): finish that "
            "with 'prodsim-admin reindex --resume', or give it up with --abort"
        )
    outcome = rebuild(shop, request, serving.name, progress, say)
    for name in to_remove(shop.client, shop.settings.alias, outcome.index, serving.name, keep):
        indexes.delete_index(shop.client, name)
    return outcome


def to_remove(client: OpenSearch, alias: str, serving: str, replaced: str, keep: int) -> list[str]:
    """The earlier indexes that no alias points at, but for the newest `keep`, the replaced one first among them."""
    earlier = [
        index.name
        for index in indexes.product_indexes(client, alias)
        if index.name not in (serving, replaced) and not (index.aliases - {alias})
    ]
    by_worth = [replaced, *sorted(earlier, reverse=True)]
    return sorted(by_worth[keep:])


def rollback(client: OpenSearch, alias: str, dry_run: bool = False) -> tuple[str, str]:
    """Points the alias back at the index before a rebuild from a source; returns (index now, index left).

    What was written since is not carried over: the two were built from different sources.

    Raises:
        NotFound: there is none to go back to.
    """
    serving = indexes.serving_index(client, alias)
    earlier = [
        index.name
        for index in indexes.product_indexes(client, alias)
        if index.name < serving.name and not index.aliases and not index.unfinished
    ]
    if not earlier:
        raise NotFound(f"{alias} has no earlier index than {serving.name} to go back to")
    if not dry_run:
        with engine_errors(f"opening {earlier[-1]} for writes"):
            client.indices.put_settings(index=earlier[-1], body={"index.blocks.write": None})
        indexes.swap(client, alias, earlier[-1], serving.name)
    return earlier[-1], serving.name
