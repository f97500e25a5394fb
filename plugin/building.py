"""A new index for an alias, from its making to the check before the swap."""

from __future__ import annotations

from prodsim.loaders.account import Account
from prodsim.loaders.target import count_products

from . import indexes
from .errors import CatalogError, EngineError
from .setup import prepare_index
from .shop import Shop


def new_index(shop: Shop, owner: str | None = None) -> str:
    """Makes the alias's next index, empty and not behind the alias, and returns its name."""
    name = indexes.next_index_name(shop.client, shop.settings.alias)
    body = shop.index_body()
    prepare_index(shop.client, shop.settings, name, shop.model, body)
    indexes.create_index(shop.client, name, body, owner)
    return name


def open_checked(shop: Shop, name: str, account: Account) -> None:
    """Opens a filled index for searches.

    Raises:
        EngineError: it does not hold what was sent. CatalogError: it holds nothing.
    """
    indexes.open_index(shop.client, name, shop.index_body())
    count = count_products(shop.client, name)
    sent = account.indexed + account.unchanged
    if count != sent:
        raise EngineError(f"{name} holds {count} products where {sent} were sent: the alias stays as it was")
    if not count and account.read:
        raise CatalogError(
            f"none of the {account.read} rows became a product: the alias stays as it was; see the rejects"
        )
