"""A move from phase to phase, each recorded before it begins, so that any machine can go on where one stopped."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from prodsim.plugin.errors import UsageError
from prodsim.plugin.shop import Shop

from .lease import Lease
from .record import Kind, Operation, Options

if TYPE_CHECKING:
    from opensearchpy import OpenSearch

Say = Callable[[str], None]
Show = Callable[[Operation], None]
# `shop` of these: engine, embedder, and as `shop.model` the model of the target (for the way back: any; the recorded
# models are asked for). `show` gets the operation whenever it got on, `say` a line for people.


def start(shop: Shop, kind: Kind, options: Options, show: Show, say: Say) -> Operation:
    """A move of the alias into a new index for `shop.model`: a reindex to its end, a rollout until it is `ready`.

    Raises:
        CheckFailed: preflight (everything wrong at once) or validation says no. LeaseHeld: another move goes on.
    """
    raise UsageError("not built yet")


def resume(shop: Shop, show: Show, say: Say, options: Options | None = None) -> Operation:
    """Goes on with the alias's unfinished move, whoever began it, from the phase that it stopped in.

    A rollout that is `ready` stays so. `options` replace the recorded ones.

    Raises:
        NotFound: nothing is unfinished. LeaseHeld: its owner is alive.
    """
    raise UsageError("not built yet")


def promote(shop: Shop, show: Show, say: Say, options: Options | None = None) -> Operation:
    """A rollout that is `ready`: catches up, validates anew, swaps, drains.

    Raises:
        NotFound: no rollout is ready.
    """
    raise UsageError("not built yet")


def abort(client: OpenSearch, alias: str, say: Say) -> Operation:
    """Gives an unfinished move up: the alias stays as it was, the target and its pipelines are removed.

    Raises:
        UsageError: it has swapped already (finish it with resume, or roll it back). NotFound: nothing is unfinished.
    """
    raise UsageError("not built yet")


def rollback(shop: Shop, show: Show, say: Say, options: Options | None = None) -> Operation:
    """Back to the index before the last swap, with all that was written since.

    Raises:
        NotFound: there is no move to go back from, or its old index is gone.
    """
    raise UsageError("not built yet")


def retire(client: OpenSearch, alias: str, say: Say) -> str | None:
    """Deletes the index that an ended move kept (the old one, or after a rollback the new one); its name, or None."""
    raise UsageError("not built yet")


def status(client: OpenSearch, alias: str) -> Operation | None:
    """The newest move of the alias, running or ended."""
    raise UsageError("not built yet")


def run(lease: Lease, shop: Shop, show: Show, say: Say) -> Operation:
    """Runs phases until the operation has ended or rests."""
    raise UsageError("not built yet")
