"""The swap and what follows it, forward and back alike.

Writers go over with the alias. A write that was on its way to the old index when that happened is carried over, and
until all of those are, writes to the new index wait (`hold`): so nobody builds on a product whose newest write is not
there yet, and the order in which a service writes is the order in which its writes count.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from prodsim.loaders.bulk.write_alias import write_alias
from prodsim.loaders.sync.changes import NOTHING_YET, refresh, stands
from prodsim.loaders.sync.stale import mend
from prodsim.loaders.sync.sync import Sync
from prodsim.plugin import indexes
from prodsim.plugin.client import engine_errors
from prodsim.plugin.errors import EngineBusy, EngineError

from . import audit, hold
from .copying import until_short
from .surroundings import Move, Recorder

if TYPE_CHECKING:
    from opensearchpy import OpenSearch

LOOK_EVERY_S = 0.02
SEEN_EMPTY = 2  # times in a row: a write that was just taken in is listed a moment later
LONGEST_DRAIN_S = 60.0
LONGEST_WAIT_S = 1.0  # while writers to the new index wait
WRITES_TO_SHARDS = "indices:data/write/bulk[s]*"


def swap(move: Move) -> None:
    """Last changes, then the alias and with it all writers go over, in one call."""
    operation = move.operation
    source, target = operation.copies_from, operation.copies_to
    behind = move.waiting.outlast(lambda: indexes.indexes_behind(move.client, operation.alias))
    if behind == [target]:  # done by an earlier try, which could not record it
        return
    if behind != [source]:
        raise EngineError(
            f"alias {operation.alias} points at {', '.join(behind) or 'nothing'} and not at {source}: somebody else "
            "moved it; give this move up with 'prodsim-admin reindex --abort'"
        )
    checkpoints = "back_checkpoints" if operation.goes_back else "checkpoints"
    with move.route(source, target) as route:
        recorder = Recorder(move, checkpoints)
        sync = Sync(route, getattr(operation, checkpoints), recorder)
        until_short(sync)
        sync.remove_gone()
        loads = write_alias(source) in aliases_of(move, source)
        recorder.record()
        keep_waiting(move, target)
        sync.round()
        at_swap = highest(move, target)
        noted = "back_at_swap" if operation.goes_back else "at_swap"
        move.lease.update(**{noted: at_swap, checkpoints: dict(sync.checkpoints)})
        fence = move.lease.fenced_name(target)
        actions: list[dict[str, Any]] = [
            {"remove": {"index": target, "alias": fence, "must_exist": True}},
            {"add": {"index": target, "alias": fence}},
            {"remove": {"index": source, "alias": operation.alias, "must_exist": True}},
            {"add": {"index": target, "alias": operation.alias, "is_write_index": True}},
        ]
        if loads:  # a load that is under way has to look where it writes
            actions.insert(0, {"remove": {"index": source, "alias": write_alias(source), "must_exist": False}})
        if not move.lease.change_aliases(actions):
            move.lease.adopt(target)  # raises where another owner is there
            raise EngineError(f"alias {operation.alias} was moved by somebody else: look with 'reindex --status'")
    audit.note(move.client, operation.alias, "swap", operation.id, source=source, target=target)


def drain(move: Move) -> None:
    """Carries over what still reached the old index, which then takes no writes, and lets the writers through."""
    operation = move.operation
    source, target = operation.copies_from, operation.copies_to
    checkpoints = "back_checkpoints" if operation.goes_back else "checkpoints"
    at_swap = operation.back_at_swap if operation.goes_back else operation.at_swap
    with move.route(source, target) as route:
        recorder = Recorder(move, checkpoints)
        sync = Sync(route, getattr(operation, checkpoints), recorder, embeds=False)
        if operation.held:
            sync.round()
            wait_for_writes_to(move, source)
            block_writes(move.client, source)
            to_the_end(move, sync)
            if not operation.at_release:  # who goes on after a kill must not take what writers wrote since for ours
                move.lease.update(at_release=highest(move, target), **{checkpoints: dict(sync.checkpoints)})
            let_through(move, target)
        sync.remove_gone(move.operation.at_release)
        recorder.record()
    with move.route(target, target) as route:  # what was carried over, or came with the old index's pipeline behind it
        recorder = Recorder(move, checkpoints)
        mend(route, at_swap, lambda _, moved: recorder(sync.checkpoints, moved))
        recorder.record()
    with engine_errors(f"opening {target} as usual"):
        refresh(move.client, target)
    move.lease.release(target)


def keep_waiting(move: Move, index: str) -> None:
    """Writers of the index wait from here on. What is to be put back is recorded before: whoever goes on knows it."""
    if not move.operation.held:
        move.lease.update(held=hold.settings_before(move.client, index), at_release={})
    move.lease.check()
    hold.hold(move.client, index, move.operation.held)


def let_through(move: Move, index: str) -> None:
    hold.release(move.client, index, move.operation.held)
    operation = move.lease.update(held={})
    if operation.swapped_at:
        waited = datetime.now(UTC) - datetime.fromisoformat(operation.swapped_at)
        audit.note(move.client, operation.alias, "release", operation.id, waited_s=round(waited.total_seconds(), 3))


def highest(move: Move, index: str) -> dict[str, int]:
    """The highest _seq_no of each shard."""
    found = move.waiting.outlast(lambda: stands(move.client, index))
    return {shard: stand.highest for shard, stand in found.items()}


def wait_for_writes_to(move: Move, index: str) -> None:
    """Until no node has a write to the index in hand."""
    deadline = time.monotonic() + LONGEST_WAIT_S
    empty = 0
    while empty < SEEN_EMPTY:
        if time.monotonic() > deadline:
            move.say(f"something still writes to {index} by its own name: it takes no more writes from now on")
            return
        empty = 0 if writes_in_hand(move.client, index) else empty + 1
        move.pause(LOOK_EVERY_S)


def writes_in_hand(client: OpenSearch, index: str) -> int:
    with engine_errors(f"listing writes to {index}"):
        answer = client.tasks.list(params={"actions": WRITES_TO_SHARDS, "detailed": "true", "group_by": "none"})
    return sum(f"index[{index}]" in task.get("description", "") for task in answer.get("tasks", []))


def aliases_of(move: Move, index: str) -> set[str]:
    with engine_errors(f"reading the aliases of {index}"):
        return set(move.client.indices.get_alias(index=index)[index]["aliases"])


def block_writes(client: OpenSearch, index: str) -> None:
    """Returns when what was under way is through; later writes are refused."""
    with engine_errors(f"closing {index} for writes"):
        client.indices.add_block(index=index, block="write")


def to_the_end(move: Move, sync: Sync) -> None:
    """Rounds until all that the old index holds is carried over: its last writes may not be on its disk yet."""
    deadline = time.monotonic() + LONGEST_DRAIN_S
    while True:
        sync.round()
        now = sync.stands()
        if all(sync.checkpoints.get(shard, NOTHING_YET) >= stand.highest for shard, stand in now.items()):
            return
        if time.monotonic() > deadline:
            raise EngineBusy(f"the last writes to {sync.route.source} do not get to its disks: go on with --resume")
        move.pause(LOOK_EVERY_S)
