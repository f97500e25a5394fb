"""Catalogs behind an alias: rebuilding them, going back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from prodsim.loaders.copy import copy_products
from prodsim.loaders.load import Progress
from prodsim.loaders.request import Request
from prodsim.loaders.target import count_products

from . import indexes
from .building import new_index, open_checked
from .errors import EngineError, NotFound
from .loads import Outcome, Say, rebuild
from .shop import Shop

if TYPE_CHECKING:
    from opensearchpy import OpenSearch


def reindex(shop: Shop, progress: Progress, say: Say, request: Request | None = None, keep: int = 1) -> Outcome:
    """Builds a new index, from a source or from the old one, checks its count, and swaps the alias in one call.

    The newest `keep` earlier indexes stay for `rollback`.
    """
    serving = indexes.serving_index(shop.client, shop.settings.alias)
    if request is None:
        outcome = copy(shop, serving.name, progress, say)
    else:
        outcome = rebuild(shop, request, serving.name, progress, say)
    for name in to_remove(shop, outcome.index, serving.name, keep):
        indexes.delete_index(shop.client, name)
    return outcome


def copy(shop: Shop, replaces: str, progress: Progress, say: Say) -> Outcome:
    """The new index as a copy, and the swap; whatever goes wrong before the swap leaves no index behind."""
    name = new_index(shop)
    try:
        account = copy_products(replaces, shop.target(name), progress, say)
        open_checked(shop, name, account)
        if account.read != (now := count_products(shop.client, replaces)):
            raise EngineError(
                f"{replaces} holds {now} products and its copy {account.read}: it was written to meanwhile; "
                "run reindex again"
            )
        indexes.swap(shop.client, shop.settings.alias, name, replaces)
    except BaseException:
        indexes.delete_index(shop.client, name)
        raise
    return Outcome(name, replaces, account)


def to_remove(shop: Shop, serving: str, replaced: str, keep: int) -> list[str]:
    """The earlier indexes that no alias points at, but for the newest `keep`, the replaced one first among them."""
    earlier = [
        index.name
        for index in indexes.product_indexes(shop.client, shop.settings.alias)
        if index.name not in (serving, replaced) and not (index.aliases - {shop.settings.alias})
    ]
    by_worth = [replaced, *sorted(earlier, reverse=True)]
    return sorted(by_worth[keep:])


def plan_reindex(shop: Shop, keep: int = 1) -> dict[str, Any]:
    """What `reindex` would do: index, serving, products, model, alias, and the indexes it removes."""
    serving = indexes.serving_index(shop.client, shop.settings.alias)
    name = indexes.next_index_name(shop.client, shop.settings.alias)
    return {
        "alias": shop.settings.alias,
        "index": name,
        "serving": serving.name,
        "products": count_products(shop.client, serving.name),
        "model": shop.model.stamp,
        "removes": to_remove(shop, name, serving.name, keep),
    }


def rollback(client: OpenSearch, alias: str, dry_run: bool = False) -> tuple[str, str]:
    """Points the alias back at the index before; returns (index now, index left).

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
        indexes.swap(client, alias, earlier[-1], serving.name)
    return earlier[-1], serving.name
