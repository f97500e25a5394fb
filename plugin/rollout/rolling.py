"""From one model to another: what is around the move itself (`prodsim.plugin.moving`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prodsim.plugin.errors import NotFound, UsageError
from prodsim.plugin.indexes import serving_index
from prodsim.plugin.moving import audit, machine
from prodsim.plugin.moving.record import Operation, Options
from prodsim.plugin.shop import Shop

from .canary import require_passed
from .candidates import record
from .live import close_alias
from .probe import probe

if TYPE_CHECKING:
    from opensearchpy import OpenSearch

    from prodsim.plugin.moving.surroundings import Say, Show


def start(shop: Shop, options: Options, show: Show, say: Say) -> Operation:
    """An index by `shop.model` beside the serving one, filled, checked and waiting for its canary.

    Raises:
        CheckFailed: the model can't be used, preflight or validation says no. UsageError: it is the catalog's model.
        LeaseHeld: another move goes on.
    """
    check_model(shop)
    return machine.start(shop, "rollout", options, show, say)


def check_model(shop: Shop, dry_run: bool = False) -> None:
    """Raises as `start`, where the model is not one to roll out."""
    serving = serving_index(shop.client, shop.settings.alias)
    if serving.model == shop.model:
        raise UsageError(f"{serving.name} behind {shop.settings.alias} is of {shop.model.stamp} already")
    found = probe(shop.embedder, shop.model.name)
    if not dry_run:
        record(shop.client, found)


def rollout_of(client: OpenSearch, alias: str) -> Operation:
    """The newest rollout of the alias, running or ended.

    Raises:
        NotFound: its newest move is none.
    """
    found = machine.status(client, alias)
    if found is None or found.kind != "rollout":
        raise NotFound(f"{alias} has no rollout: begin one with 'prodsim-admin model rollout start MODEL'")
    return found


def ready_rollout(client: OpenSearch, alias: str) -> Operation:
    """The rollout that waits for its canary.

    Raises:
        NotFound: there is none, or it is not ready.
    """
    found = rollout_of(client, alias)
    if found.phase != "ready":
        hint = "" if found.ended else ": go on with 'prodsim-admin model rollout resume'"
        raise NotFound(f"the rollout of {alias} to {found.target} is in phase {found.phase}, not ready{hint}")
    return found


def promote(shop: Shop, force: str | None, options: Options | None, show: Show, say: Say) -> Operation:
    """Swaps the alias to the candidate, after a canary that passed, or for the reason that is given.

    Raises:
        NotFound: no rollout is ready. CheckFailed: it had no canary, or the canary or the last validation failed.
    """
    alias, client = shop.settings.alias, shop.client
    rollout = ready_rollout(client, alias)
    if force is None:
        require_passed(client, alias, rollout.id)
    else:
        audit.note(client, alias, "promote without a passed canary", rollout.id, reason=force)
    close_alias(client, alias)
    return machine.promote(shop, show, say, options)


def abort(client: OpenSearch, alias: str, say: Say) -> Operation:
    """Gives the rollout up: the alias stays where it is, the candidate and what was made for it are removed."""
    rollout_of(client, alias)
    close_alias(client, alias)
    return machine.abort(client, alias, say)


def retire(client: OpenSearch, alias: str, say: Say) -> str | None:
    """Deletes the index that the ended rollout kept; its name."""
    rollout_of(client, alias)
    close_alias(client, alias)
    return machine.retire(client, alias, say)
