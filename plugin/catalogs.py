"""Catalogs behind an alias: loading into them, rebuilding them, going back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prodsim.loaders.catalog import Catalog
from prodsim.loaders.copy import copy_products
from prodsim.loaders.load import Account, Target, load_rows
from prodsim.loaders.readers import Source
from prodsim.loaders.rejects import RejectsFile
from prodsim.mappings.bundle import TextModel, index_body

from . import indexes
from .config import Settings
from .errors import CatalogError, EngineError, NotFound
from .setup import prepare_index, setup

if TYPE_CHECKING:
    from opensearchpy import OpenSearch

    from prodsim.embedder.client import EmbedderClient

Progress = Callable[[Account], None]


@dataclass(frozen=True)
class Shop:
    """What every operation on a catalog needs at hand."""

    client: OpenSearch
    settings: Settings
    embedder: EmbedderClient
    model: TextModel

    def target(self, index: str) -> Target:
        return Target(self.client, index, self.embedder, self.model)


@dataclass(frozen=True)
class Outcome:
    """`index` is the one behind the alias now, `previous` the one that was, if it changed."""

    index: str
    previous: str | None
    account: Account
    rejects: Path | None = None


@dataclass(frozen=True)
class Rows:
    """A source with the way to read it."""

    source: Source
    catalog: Catalog
    rejects: RejectsFile


def embedder_model(embedder: EmbedderClient, settings: Settings) -> TextModel:
    """The model that catalogs are embedded with.

    Raises:
        EmbedderUnreachable, EmbedderNotReady: no embedder to ask. EmbedderError: it does not serve that model.
    """
    embedder.require_ready()
    served = embedder.model(settings.model)
    return TextModel(served.id, served.revision, served.dimension)


def load(shop: Shop, rows: Rows, progress: Progress) -> Outcome:
    """Loads rows into the alias's index; a catalog that does not exist yet is made, and shown once it is complete.

    Raises:
        EngineError: the index was made with another model.
    """
    serving = indexes.find_serving_index(shop.client, shop.settings.alias)
    if serving is None:
        setup(shop.client, shop.settings, shop.model)
        return build(shop, None, progress, rows)
    if serving.model != shop.model:
        raise EngineError(
            f"{serving.name} behind {shop.settings.alias} holds {serving.model.dimension}-d vectors of "
            f"{serving.model.stamp}, the embedder serves {shop.model.stamp} ({shop.model.dimension}-d): serve the old "
            f"model, or rebuild with 'prodsim-admin reindex --alias {shop.settings.alias}'"
        )
    account = load_rows(rows.source, rows.catalog, shop.target(serving.name), rows.rejects, progress)
    indexes.count_products(shop.client, serving.name)  # refreshes: what was loaded can be searched from here on
    return Outcome(serving.name, None, account, rejects_of(rows))


def reindex(shop: Shop, progress: Progress, rows: Rows | None = None, keep: int = 1) -> Outcome:
    """Builds a new index, from rows or from the old one, checks its count, and swaps the alias in one call.

    The newest `keep` earlier indexes stay for `rollback`.
    """
    serving = indexes.serving_index(shop.client, shop.settings.alias)
    outcome = build(shop, serving.name, progress, rows)
    for name in to_remove(shop, outcome.index, serving.name, keep):
        indexes.delete_index(shop.client, name)
    return outcome


def build(shop: Shop, replaces: str | None, progress: Progress, rows: Rows | None) -> Outcome:
    """The new index and the swap; whatever goes wrong before the swap leaves no index behind."""
    alias = shop.settings.alias
    name = indexes.next_index_name(shop.client, alias)
    prepare_index(shop.client, shop.settings, name, shop.model)
    indexes.create_index(shop.client, name, index_body(shop.model))
    try:
        if rows:
            account = load_rows(rows.source, rows.catalog, shop.target(name), rows.rejects, progress)
        elif replaces:
            account = copy_products(replaces, shop.target(name), progress)
        indexes.open_index(shop.client, name)
        check_count(shop, name, account, replaces if not rows else None)
        indexes.swap(shop.client, alias, name, replaces)
    except BaseException:
        indexes.delete_index(shop.client, name)
        raise
    return Outcome(name, replaces, account, rejects_of(rows) if rows else None)


def check_count(shop: Shop, name: str, account: Account, copied: str | None) -> None:
    """Raises where the new index does not hold what was sent, or holds nothing."""
    count = indexes.count_products(shop.client, name)
    sent = account.indexed + account.unchanged
    if count != sent:
        raise EngineError(f"{name} holds {count} products where {sent} were sent: the alias stays as it was")
    if not count and account.read:
        raise CatalogError(
            f"none of the {account.read} rows became a product: the alias stays as it was; see the rejects"
        )
    if copied and count != (now := indexes.count_products(shop.client, copied)):
        raise EngineError(
            f"{copied} holds {now} products and its copy {count}: it was written to meanwhile; run reindex again"
        )


def rejects_of(rows: Rows) -> Path | None:
    return rows.rejects.path if rows.rejects.count else None


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
        "products": indexes.count_products(shop.client, serving.name),
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
        if index.name < serving.name and not index.aliases
    ]
    if not earlier:
        raise NotFound(f"{alias} has no earlier index than {serving.name} to go back to")
    if not dry_run:
        indexes.swap(client, alias, earlier[-1], serving.name)
    return earlier[-1], serving.name
