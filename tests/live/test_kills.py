"""A rollout whose commands are killed anywhere: resumed, given up, promoted and taken back, it loses no write.

With LIVE=whole 25 kills each of two seeds; else a short form of the same.
"""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from prodsim.embedder.client import EmbedderClient
from prodsim.plugin.config import Settings
from prodsim.plugin.indexes import indexes_behind, product_indexes
from prodsim.plugin.moving import machine
from prodsim.plugin.moving.record import Operation
from tests.live.checks import check, differences, vector_problems
from tests.live.conftest import NEW_MODEL
from tests.live.ledger import Ledger
from tests.live.moves import admin, begin
from tests.live.traffic import Traffic

if TYPE_CHECKING:
    from opensearchpy import OpenSearch

WHOLE = os.environ.get("LIVE") == "whole"
KILLS = 25 if WHOLE else 4
PRODUCTS = 3000 if WHOLE else 800
FILLS_S, SWITCHES_S = 14.0, 7.0  # about, from start to end of a command that fills an index and of one that swaps
GIVEN_UP = 0.2  # share of the stops after which the rollout is aborted
LEFT_ALONE = 0.5  # share of the fillings that come to their end, so that there is something to swap
LONGEST_WAIT_S = 120.0  # a writer's, while nobody goes on with a swap that was killed

pytestmark = pytest.mark.timeout(3600)
FORCED = ("--force", "the canary has tests of its own")


def next_command(rollout: Operation | None) -> tuple[tuple[str, ...], float]:
    """What an operator would do next, and how long that takes at most."""
    if rollout is None or rollout.phase in ("aborted", "rolled_back"):
        speed = ("--max-docs-per-second", str(PRODUCTS / 6))
        return ("model", "rollout", "start", NEW_MODEL, *speed), FILLS_S
    if rollout.phase == "ready":
        return ("model", "promote", *FORCED), SWITCHES_S
    if rollout.phase == "done":
        return ("model", "rollback"), SWITCHES_S
    return ("model", "rollout", "resume"), FILLS_S


@pytest.mark.parametrize("seed", range(1, 3 if WHOLE else 2))
def test_killed_anywhere_a_rollout_loses_nothing_and_leaves_the_alias_on_one_index(
    client: OpenSearch,
    embedder: EmbedderClient,
    live_settings: Settings,
    load_shop: Callable[[int, int], Ledger],
    monkeypatch: pytest.MonkeyPatch,
    seed: int,
) -> None:
    monkeypatch.setenv("PRODSIM_LEASE_S", "5")
    alias, chance = live_settings.alias, random.Random(seed)
    ledger = load_shop(PRODUCTS, seed)
    killed_in: Counter[str] = Counter()

    def stands() -> Operation | None:
        return machine.status(client, alias)

    with Traffic(client, alias, ledger, seed) as traffic:
        while killed_in.total() < KILLS:
            rollout = stands()
            if rollout is not None and rollout.phase == "rolled_back":
                admin(live_settings, "model", "retire", "--yes")
            arguments, lasts_s = next_command(rollout)
            process = begin(live_settings, *arguments)
            moment_s = chance.uniform(1.0, lasts_s)
            if lasts_s == FILLS_S and chance.random() < LEFT_ALONE:
                process.wait(300)
            else:
                time.sleep(moment_s)
            running = process.poll() is None
            process.kill()
            printed, _ = process.communicate()
            assert process.returncode in (0, -9), printed
            stopped = stands()
            if running:
                killed_in[stopped.phase if stopped else "preflight"] += 1
            before = indexes_behind(client, alias)
            assert len(before) == 1
            if stopped is not None and not stopped.ended and chance.random() < GIVEN_UP:
                printed = admin(live_settings, "model", "rollout", "abort", "--yes", code=None)
                given_up = stands()
                assert given_up is not None
                assert given_up.ended or "already: finish with" in printed, printed
                assert indexes_behind(client, alias) == before
        last = stands()
        if last is not None and not last.ended:
            admin(live_settings, "model", "rollout", "resume")
    print(dict(killed_in), traffic.describe())  # noqa: T201  figures of the run
    check(traffic.problems(LONGEST_WAIT_S), "seen by services and customers")
    check(differences(client, alias, ledger), "index and ledger")
    check(vector_problems(client, alias, embedder, seed, all_fresh=False), "vectors")
    admin(live_settings, "refresh")
    check(vector_problems(client, alias, embedder, seed), "vectors after a refresh")
    left = [index.name for index in product_indexes(client, alias)]
    assert len(left) <= 2, left
