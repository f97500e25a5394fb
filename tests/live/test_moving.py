"""A catalog moves while services write to it and customers search it, and nobody notices.

With LIVE=whole 20,000 products and ten seeds; else a short form of the same.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from prodsim.embedder.client import EmbedderClient
from prodsim.plugin.config import Settings
from prodsim.plugin.indexes import indexes_behind, serving_index
from prodsim.plugin.moving.audit import entries
from tests.live.checks import check, differences, vector_problems
from tests.live.conftest import NEW_MODEL, OLD_MODEL
from tests.live.ledger import Ledger
from tests.live.moves import admin
from tests.live.traffic import LONGEST_PAUSE_S, Traffic

if TYPE_CHECKING:
    from opensearchpy import OpenSearch

WHOLE = os.environ.get("LIVE") == "whole"
PRODUCTS = 20_000 if WHOLE else 800
SEEDS = range(1, 11) if WHOLE else range(1, 2)
CALM_S = 5.0 if WHOLE else 1.0

pytestmark = pytest.mark.timeout(3600)
LoadShop = Callable[[int, int], Ledger]


def longest_wait_s(client: OpenSearch, alias: str) -> float:
    """How long writers were kept waiting at a swap."""
    return max(float(entry["details"]["waited_s"]) for entry in entries(client, alias) if entry["action"] == "release")


def settled(client: OpenSearch, settings: Settings, embedder: EmbedderClient, ledger: Ledger, traffic: Traffic) -> None:
    """The promises of a move, after its traffic has ended."""
    waited_s = longest_wait_s(client, settings.alias)
    print(json.dumps(traffic.describe() | {"waited_at_a_swap_s": waited_s}))  # noqa: T201  figures of the run
    assert waited_s < LONGEST_PAUSE_S
    check(traffic.problems(), "seen by services and customers")
    check(differences(client, settings.alias, ledger), "index and ledger")
    check(vector_problems(client, settings.alias, embedder, traffic.seed, all_fresh=False), "vectors")
    admin(settings, "refresh")
    check(differences(client, settings.alias, ledger), "index and ledger after a refresh")
    check(vector_problems(client, settings.alias, embedder, traffic.seed), "vectors after a refresh")


@pytest.mark.parametrize("seed", SEEDS)
def test_a_reindex_under_traffic_loses_nothing_and_shows_nothing(
    client: OpenSearch, embedder: EmbedderClient, live_settings: Settings, load_shop: LoadShop, seed: int
) -> None:
    alias = live_settings.alias
    ledger = load_shop(PRODUCTS, seed)
    before = indexes_behind(client, alias)
    with Traffic(client, alias, ledger, seed) as traffic:
        time.sleep(CALM_S)
        admin(live_settings, "reindex", "--alias", alias)
        time.sleep(CALM_S)
    assert indexes_behind(client, alias) != before
    settled(client, live_settings, embedder, ledger, traffic)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_rollout_to_longer_vectors_its_promotion_and_the_way_back_lose_nothing_and_show_nothing(
    client: OpenSearch, embedder: EmbedderClient, live_settings: Settings, load_shop: LoadShop, seed: int
) -> None:
    alias = live_settings.alias
    ledger = load_shop(PRODUCTS, seed)
    old = serving_index(client, alias)
    with Traffic(client, alias, ledger, seed) as traffic:
        admin(live_settings, "model", "rollout", "start", NEW_MODEL)
        assert indexes_behind(client, alias) == [old.name]
        admin(live_settings, "model", "promote", "--force", "the canary has tests of its own")
        new = serving_index(client, alias)
        assert (new.model.name, new.model.dimension) == (NEW_MODEL, 512)
        time.sleep(CALM_S)
        admin(live_settings, "model", "rollback")
        assert indexes_behind(client, alias) == [old.name]
        time.sleep(CALM_S)
    assert old.model.name == OLD_MODEL
    settled(client, live_settings, embedder, ledger, traffic)
    admin(live_settings, "model", "retire", "--yes")
    assert not client.indices.exists(index=new.name)
    assert indexes_behind(client, alias) == [old.name]
