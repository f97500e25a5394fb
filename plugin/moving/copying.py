"""The phases that fill the target: create, backfill, catch up; and the copying of a rollback."""

from __future__ import annotations

import time
from dataclasses import replace

from prodsim.loaders.sync.sync import Sync
from prodsim.loaders.target import count_products
from prodsim.plugin import indexes
from prodsim.plugin.client import engine_errors
from prodsim.plugin.setup import prepare_index
from prodsim.plugin.shop import Shop

from .surroundings import Move, Recorder
from .throttle import Throttle

FEW = 50  # changes in a round: the next rounds will not be much shorter
SHORT_S = 1.0
MOST_ROUNDS = 30


def owner_of(operation_id: str) -> str:
    """What the index that a move made says of who made it."""
    return f"move {operation_id}"


def create(move: Move) -> None:
    """The target with its pipelines, empty and not behind the alias; one that is there from an earlier try stays."""
    operation = move.operation
    shop = of_model(move.shop, move)
    mine = owner_of(operation.id)
    while True:
        operation = move.operation
        with engine_errors(f"looking for {operation.target}"):
            found = move.client.indices.get(index=operation.target, ignore=[404]).get(operation.target)
        there = found and indexes.as_product_index(operation.target, found)
        if there and there.owner == mine:
            break
        if found:
            move.lease.update(target=indexes.next_index_name(move.client, operation.alias))
            continue
        body = shop.index_body()
        prepare_index(move.client, shop.settings, operation.target, operation.model, body)
        move.lease.check()
        indexes.create_index(move.client, operation.target, body, mine)
    move.lease.adopt(move.operation.target)
    total = move.waiting.outlast(lambda: count_products(move.client, operation.source))
    move.lease.update(tally=replace(move.operation.tally, total=total))


def of_model(shop: Shop, move: Move) -> Shop:
    return replace(shop, model=move.operation.model)


def backfill(move: Move) -> None:
    """One round over all that the source holds."""
    operation = move.operation
    options = operation.options
    throttle = Throttle(
        move.client, operation.source, options.max_docs_per_s, options.adapt, move.say, move.lease.check
    )
    with move.route(operation.source, operation.target, throttle) as route:
        recorder = Recorder(move, "checkpoints")
        Sync(route, operation.checkpoints, recorder).round()
        recorder.record()


def catch_up(move: Move) -> None:
    """Rounds until one is short, then a comparison for what was deleted, then rounds again."""
    follow(move, "checkpoints")


def back_copy(move: Move) -> None:
    """The old index gets what was written to the new one since the swap; only this writes to it."""
    operation = move.operation
    with engine_errors(f"opening {operation.source} for writes"):
        move.client.indices.put_settings(index=operation.source, body={"index.blocks.write": None})
    follow(move, "back_checkpoints")


def follow(move: Move, checkpoints: str) -> None:
    operation = move.operation
    with move.route(operation.copies_from, operation.copies_to) as route:
        recorder = Recorder(move, checkpoints)
        sync = Sync(route, getattr(operation, checkpoints), recorder)
        until_short(sync)
        sync.remove_gone()
        until_short(sync)
        recorder.record()


def until_short(sync: Sync) -> None:
    """Rounds until one has little to copy, or is over in no time."""
    for _ in range(MOST_ROUNDS):
        began = time.monotonic()
        moved = sync.round()
        if moved.copied <= FEW or time.monotonic() - began < SHORT_S:
            return
