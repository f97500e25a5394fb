"""A move from phase to phase, each recorded before it begins, so that any machine can go on where one stopped."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from prodsim.plugin import catalogs, indexes
from prodsim.plugin.client import engine_errors
from prodsim.plugin.errors import EngineError, LeaseLost, NotFound, ProdsimError, UsageError
from prodsim.plugin.shop import Shop

from . import audit, copying, hold, store, switching
from .ending import remove_index
from .lease import LEASE_S, Lease, take
from .preflight import preflight
from .record import ABORTABLE, NEXT, Kind, Operation, Options, Phase, Tally
from .surroundings import Move, Say, Show
from .validation import validate
from .warming import warm_up

if TYPE_CHECKING:
    from opensearchpy import OpenSearch


def nothing(move: Move) -> None:
    """A phase in which nothing is done."""


STEPS: dict[Phase, Callable[[Move], None]] = {
    "create": copying.create,
    "backfill": copying.backfill,
    "catch_up": copying.catch_up,
    "validate": validate,
    "warm_up": warm_up,
    "ready": nothing,
    "swap": switching.swap,
    "drain": switching.drain,
    "back_copy": copying.back_copy,
    "back_swap": switching.swap,
    "back_drain": switching.drain,
}


def start(shop: Shop, kind: Kind, options: Options, show: Show, say: Say) -> Operation:
    """A move of the alias into a new index for `shop.model`: a reindex to its end, a rollout until it is `ready`.

    Raises:
        CheckFailed: preflight (everything wrong at once) or validation says no. LeaseHeld: another move goes on.
    """
    alias = shop.settings.alias
    serving = indexes.serving_index(shop.client, alias)
    preflight(shop, serving)

    def plan(before: Operation | None) -> Operation:
        if before is not None and not before.ended:
            raise UsageError(
                f"the move of {alias} to {before.target} stopped in phase {before.phase}: go on with "
                f"'{command(before, 'resume')}', or give it up with '{command(before, 'abort')}'"
            )
        return Operation(
            alias=alias,
            id=uuid.uuid4().hex[:12],
            kind=kind,
            phase="create",
            source=serving.name,
            target=indexes.next_index_name(shop.client, alias),
            model=shop.model,
            source_model=serving.model,
            options=options,
            resting=kind == "rollout",
            started_at=audit.now(),
        )

    with take(shop.client, alias, plan) as lease:
        operation = lease.operation
        audit.note(shop.client, alias, f"start {kind}", operation.id, source=operation.source, target=operation.target)
        return run(lease, shop, show, say)


def resume(shop: Shop, show: Show, say: Say, options: Options | None = None) -> Operation:
    """Goes on with the alias's unfinished move, whoever began it, from the phase that it stopped in.

    A rollout that is `ready` is brought up to date and rests again. `options` replace the recorded ones.

    Raises:
        NotFound: nothing is unfinished. LeaseHeld: its owner is alive.
    """

    def plan(before: Operation | None) -> Operation:
        operation = unfinished(before, shop.settings.alias)
        phase: Phase = "catch_up" if operation.phase == "ready" else operation.phase
        return replace(operation, phase=phase, error=None, options=options or operation.options)

    with take(shop.client, shop.settings.alias, plan, wait_s=LEASE_S) as lease:
        audit.note(shop.client, lease.operation.alias, "resume", lease.operation.id, phase=lease.operation.phase)
        return run(lease, shop, show, say)


def promote(shop: Shop, show: Show, say: Say, options: Options | None = None) -> Operation:
    """A rollout that is `ready`: catches up, validates anew, swaps, drains.

    Raises:
        NotFound: no rollout is ready.
    """

    def plan(before: Operation | None) -> Operation:
        if before is None or before.phase != "ready":
            raise NotFound(f"no rollout of {shop.settings.alias} is ready to be promoted")
        return replace(before, resting=False, phase="catch_up", options=options or before.options)

    with take(shop.client, shop.settings.alias, plan) as lease:
        audit.note(shop.client, lease.operation.alias, "promote", lease.operation.id)
        return run(lease, shop, show, say)


def abort(client: OpenSearch, alias: str, say: Say) -> Operation:
    """Gives an unfinished move up: the alias stays as it was, the target and its pipelines are removed.

    A rollback that is given up before its swap leaves the catalog on the new index.

    Raises:
        UsageError: it has swapped already (finish it with resume, or roll it back). NotFound: nothing is unfinished.
    """

    def plan(before: Operation | None) -> Operation:
        operation = unfinished(before, alias)
        behind = indexes.indexes_behind(client, alias)
        if operation.copies_to in behind or operation.phase not in (*ABORTABLE, "back_copy", "back_swap"):
            raise UsageError(
                f"{alias} is on {operation.copies_to} already: finish with '{command(operation, 'resume')}', "
                f"and go back with '{command(operation, 'rollback')}'"
            )
        return replace(operation, phase="back_copy" if operation.goes_back else "abort", error=None)

    with take(client, alias, plan, wait_s=LEASE_S) as lease:
        operation = lease.operation
        audit.note(client, alias, "abort", operation.id, target=operation.target)
        if operation.goes_back:
            lease.adopt(operation.source)  # a late write of an earlier owner is refused from here on
            lease.release(operation.source)
            switching.block_writes(client, operation.source)
            if operation.held:
                hold.release(client, operation.source, operation.held)
            return lease.update(phase="done", error=None, held={})
        if remove_index_of(client, operation):
            say(f"{operation.target} is removed; {alias} is on {operation.source} as before")
        return lease.update(phase="aborted", error=None)


def remove_index_of(client: OpenSearch, operation: Operation) -> bool:
    """Deletes the target, where this operation made it: the name may have gone to somebody else before it could."""
    with engine_errors(f"reading index {operation.target}"):
        found = client.indices.get(index=operation.target, ignore=[404]).get(operation.target)
    about = indexes.as_product_index(operation.target, found) if found else None
    if found and (about is None or about.owner != copying.owner_of(operation.id)):
        return False
    return remove_index(client, operation.alias, operation.target, operation.id)


def rollback(shop: Shop, show: Show, say: Say, options: Options | None = None) -> Operation:
    """Back to the index before the last swap, with all that was written since.

    Raises:
        NotFound: there is no move to go back from, or its old index is gone.
    """
    alias, client = shop.settings.alias, shop.client

    def plan(before: Operation | None) -> Operation:
        if before is None or before.phase != "done":
            raise NotFound(f"{alias} has no finished move to go back from")
        if indexes.indexes_behind(client, alias) != [before.target]:
            raise NotFound(f"{alias} is not on {before.target} any more, where its last move took it")
        if not client.indices.exists(index=before.source):
            raise NotFound(f"{before.source} is gone: there is nothing to go back to")
        return replace(
            before,
            phase="back_copy",
            back_checkpoints=dict(before.at_swap),
            back_at_swap={},
            tally=Tally(),
            error=None,
            options=options or before.options,
        )

    with take(client, alias, plan) as lease:
        audit.note(
            client, alias, "rollback", lease.operation.id, source=lease.operation.target, target=lease.operation.source
        )
        return run(lease, shop, show, say)


def retire(client: OpenSearch, alias: str, say: Say) -> str | None:
    """Deletes the index that an ended move kept (the old one, or after a rollback the new one); its name, or None."""
    before = store.find(client, alias)
    if before is None or before.operation.phase not in ("done", "rolled_back"):
        raise NotFound(f"{alias} has no finished move whose other index could be removed")
    with take(client, alias, lambda found: still_ended(found, alias)) as lease:
        operation = lease.operation
        kept = operation.source if operation.phase == "done" else operation.target
        removed = remove_index(client, alias, kept, operation.id)
    if removed:
        say(f"{kept} is removed")
    return kept if removed else None


def status(client: OpenSearch, alias: str) -> Operation | None:
    """The newest move of the alias, running or ended."""
    found = store.find(client, alias)
    return found.operation if found else None


def run(lease: Lease, shop: Shop, show: Show, say: Say) -> Operation:
    """Runs phases until the operation has ended or rests.

    Raises:
        ProdsimError: why it stopped; it is recorded too, and `resume` goes on.
    """
    move = Move(lease, shop, show, say)
    try:
        while not move.operation.ended and not (move.operation.phase == "ready" and move.operation.resting):
            phase = move.operation.phase
            show(move.operation)
            STEPS[phase](move)
            ended_at = {"swapped_at": audit.now()} if phase in ("swap", "back_swap") else {}
            lease.update(phase=NEXT[phase], error=None, **ended_at)
    except LeaseLost:
        raise
    except ProdsimError as error:
        record_error(lease, error)
        raise
    show(move.operation)
    if move.operation.phase == "done":
        remove_earlier(move)
    return move.operation


def record_error(lease: Lease, error: ProdsimError) -> None:
    with suppress(EngineError):
        lease.update(error=str(error))


def remove_earlier(move: Move) -> None:
    """Indexes before the one that a rollback would go to, but for as many as are to be kept."""
    operation = move.operation
    for name in catalogs.to_remove(
        move.client, operation.alias, operation.target, operation.source, operation.options.keep
    ):
        remove_index(move.client, operation.alias, name, operation.id)


def unfinished(before: Operation | None, alias: str) -> Operation:
    if before is None or before.ended:
        raise NotFound(f"no move of {alias} is unfinished")
    return before


def still_ended(before: Operation | None, alias: str) -> Operation:
    if before is None or not before.ended:
        raise UsageError(f"a move of {alias} goes on")
    return before


def command(operation: Operation, action: str) -> str:
    """The command for resume, abort or rollback of this move."""
    if operation.kind == "reindex":
        return f"prodsim-admin reindex --alias {operation.alias} --{action}"
    group = "model" if action == "rollback" else "model rollout"
    return f"prodsim-admin {group} {action} --alias {operation.alias}"
