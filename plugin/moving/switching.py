"""The swap and what follows it, forward and back alike."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from prodsim.loaders.bulk.write_alias import write_alias
from prodsim.loaders.sync.changes import NOTHING_YET, refresh, stands
from prodsim.loaders.sync.late import Late
from prodsim.loaders.sync.stale import mend
from prodsim.loaders.sync.sync import Sync
from prodsim.plugin import indexes
from prodsim.plugin.client import engine_errors
from prodsim.plugin.errors import EngineBusy, EngineError

from . import audit
from .copying import until_short
from .surroundings import Move, Recorder

if TYPE_CHECKING:
    from opensearchpy import OpenSearch

FORGETS_AFTER_S = 0.5  # the engine's clock for forgetting deletions ticks every 200 ms
REMEMBER_DELETIONS = "1h"
QUIET_S = 2.0
LOOK_EVERY_S = 0.2
LONGEST_DRAIN_S = 60.0


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
        forget_deletions(move, target)
        loads = write_alias(source) in aliases_of(move, source)
        recorder.record()
        # From here to the swap there are as few calls as can be: a product that is created meanwhile is seen only after
        # the first round of the drain.
        sync.round()
        at_swap = {shard: stand.highest for shard, stand in stands(move.client, target).items()}
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


def aliases_of(move: Move, index: str) -> set[str]:
    with engine_errors(f"reading the aliases of {index}"):
        return set(move.client.indices.get_alias(index=index)[index]["aliases"])


def forget_deletions(move: Move, index: str) -> None:
    """From here on the index remembers deletions, and none from before (see `prodsim.loaders.sync.late`)."""
    with engine_errors(f"preparing {index} for the swap"):
        move.client.indices.put_settings(index=index, body={"index.gc_deletes": "0s"})
        time.sleep(FORGETS_AFTER_S)
        move.client.indices.refresh(index=index)
        move.client.indices.put_settings(index=index, body={"index.gc_deletes": REMEMBER_DELETIONS})


def drain(move: Move) -> None:
    """Carries over what reached the old index after the swap, until nothing comes any more; then it takes no writes."""
    operation = move.operation
    source, target = operation.copies_from, operation.copies_to
    checkpoints = "back_checkpoints" if operation.goes_back else "checkpoints"
    at_swap = operation.back_at_swap if operation.goes_back else operation.at_swap
    with move.route(source, target) as route:
        recorder = Recorder(move, checkpoints)
        late = Late(route, getattr(operation, checkpoints), at_swap, recorder)
        late.round()
        until_quiet(move, late, source)
        block_writes(move.client, source)
        to_the_end(move, late, source)
        late.remove_gone()
        recorder.record()
    with move.route(target, target) as route:  # a write that was under way has the old index's pipeline behind it
        recorder = Recorder(move, checkpoints)
        mend(route, at_swap, lambda _, moved: recorder(late.checkpoints, moved))
        recorder.record()
    with engine_errors(f"opening {target} as usual"):
        move.client.indices.put_settings(index=target, body={"index.gc_deletes": None})
        refresh(move.client, target)
    move.lease.release(target)


def block_writes(client: OpenSearch, index: str) -> None:
    """Returns when what was under way is through; later writes are refused."""
    with engine_errors(f"closing {index} for writes"):
        client.indices.add_block(index=index, block="write")


def to_the_end(move: Move, late: Late, source: str) -> None:
    """Rounds until all that the old index holds is carried over: its last writes may not be on its disk yet."""
    deadline = time.monotonic() + LONGEST_DRAIN_S
    while True:
        late.round()
        now = move.waiting.outlast(lambda: stands(move.client, source))
        if all(late.checkpoints.get(shard, NOTHING_YET) >= stand.highest for shard, stand in now.items()):
            return
        if time.monotonic() > deadline:
            raise EngineBusy(f"the last writes to {source} do not get to its disks: go on with --resume")
        move.pause(LOOK_EVERY_S)


def until_quiet(move: Move, late: Late, source: str) -> None:
    """Until nothing was written to the old index for a while."""
    began = changed_at = time.monotonic()
    highest: dict[str, int] = {}
    while time.monotonic() - changed_at < QUIET_S:
        if time.monotonic() - began > LONGEST_DRAIN_S:
            move.say(f"something still writes to {source} by its own name: it takes no more writes from now on")
            return
        late.round()
        now = {
            shard: stand.highest for shard, stand in move.waiting.outlast(lambda: stands(move.client, source)).items()
        }
        if now != highest:
            highest, changed_at = now, time.monotonic()
        move.pause(LOOK_EVERY_S)
