"""What a move records, and what is decided without an engine."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import replace

from prodsim.loaders.bulk.write_alias import fence_alias, is_write_alias
from prodsim.loaders.sync.asking import as_line, parsed
from prodsim.loaders.sync.moved import Moved
from prodsim.mappings.bundle import TextModel
from prodsim.plugin.moving.lease import held_by_other
from prodsim.plugin.moving.preflight import incompatible
from prodsim.plugin.moving.record import ABORTABLE, ENDED, NEXT, Operation, Options, Owner, as_document, as_operation

MODEL = TextModel("m", "1", 4)
OPERATION = Operation("shop", "1", "reindex", "backfill", "shop-000001", "shop-000002", MODEL, MODEL)


def test_a_recorded_move_is_read_back_as_it_was() -> None:
    operation = replace(
        OPERATION,
        owner=Owner.this_process(),
        options=Options(5, False, "list.csv", "a reason", 2),
        checkpoints={"0": 7},
        model=TextModel("m", "2", 8, "int8"),
    )
    stored = json.loads(json.dumps(as_document(operation)))
    assert as_operation({**stored, "of_a_later_release": 1}) == operation


def test_every_phase_ends_somewhere_and_none_after_the_swap_can_be_given_up() -> None:
    for phase in NEXT:
        reached = {phase}
        while phase in NEXT:
            phase = NEXT[phase]
            assert phase not in reached
            reached.add(phase)
        assert phase in ENDED
    assert not {"drain", "done", "back_drain"} & ABORTABLE


def test_a_lease_is_held_until_it_runs_out_or_its_process_is_dead() -> None:
    owner = Owner.this_process()
    held = replace(OPERATION, owner=owner, expires_at=time.time() + 60)
    assert held_by_other(held)
    assert not held_by_other(replace(held, expires_at=time.time() - 1))
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    assert not held_by_other(replace(held, owner=replace(owner, pid=ended.pid)))
    assert held_by_other(replace(held, owner=replace(owner, pid=ended.pid, host="another")))


def test_names_that_only_prodsim_writes_through_are_told_from_customers_aliases() -> None:
    assert is_write_alias(fence_alias("shop-000002", 7), "shop-000002")
    assert is_write_alias("shop-000002-WRITE", "shop-000002")
    assert not is_write_alias("shop", "shop-000002")
    assert not is_write_alias("shop-canary", "shop-000002")


def test_a_document_with_half_a_surrogate_pair_is_carried_over_as_it_is() -> None:
    text = '{"title":"\\ud83d"}'
    assert json.loads(as_line(parsed(text))) == json.loads(text)


def test_a_field_that_becomes_a_number_is_told() -> None:
    assert list(incompatible({"a": {"type": "text"}, "b": {"type": "long"}}, {"a": {"type": "long"}})) == [
        "field a is text and becomes long, which refuses such values"
    ]
    assert list(incompatible({"a": {"type": "long"}}, {"a": {"type": "double"}})) == []


def test_what_was_moved_adds_up() -> None:
    assert Moved(copied=1, kept=2) + Moved(copied=3, removed=4) == Moved(copied=4, removed=4, kept=2)
