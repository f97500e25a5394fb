"""Copying against the engine's own _reindex, and what queries feel of a throttled one."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from prodsim.plugin import indexes
from prodsim.plugin.building import new_index
from prodsim.plugin.moving import machine
from prodsim.plugin.moving.record import Options
from prodsim.plugin.shop import Shop
from tests.catalog_files import no_line
from tests.filled_catalog import fill, unwatched

from .measure import report, save

PRODUCTS = 20_000
ROUNDS = 3
LEAST_RATE = 0.8
MOST_SLOWDOWN = 1.5
CALM_S = 20.0

pytestmark = pytest.mark.timeout(3600)


def timed(call: Callable[[], Any]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def engines_own(shop: Shop, source: str) -> None:
    """`_reindex` into an index with the same settings that a move fills one with."""
    target = new_index(shop)
    body = {"source": {"index": source}, "dest": {"index": target, "pipeline": "_none"}}
    shop.client.reindex(body=body, params={"refresh": "true", "request_timeout": 1200})
    indexes.delete_index(shop.client, target)


def ours(shop: Shop) -> float:
    """Seconds of the backfill of a move, which is then given up."""
    took: list[float] = []
    step = machine.STEPS["backfill"]

    class Enough(Exception):
        pass

    def measured(move: Any) -> None:
        took.append(timed(lambda: step(move)))
        shop.client.indices.refresh(index=move.operation.target)
        raise Enough

    machine.STEPS["backfill"] = measured
    try:
        machine.start(shop, "reindex", Options(adapt=False), unwatched, no_line)
    except Enough:
        machine.abort(shop.client, shop.settings.alias, no_line)
    finally:
        machine.STEPS["backfill"] = step
    return took[0]


def test_a_copy_is_nearly_as_fast_as_the_engines_own_reindex(shop: Shop) -> None:
    source = fill(shop, PRODUCTS)
    rounds = [(timed(lambda: engines_own(shop, source)), ours(shop)) for _ in range(ROUNDS)]
    own_s, ours_s = (statistics.median(times) for times in zip(*rounds, strict=True))
    figures = {"own_s": own_s, "ours_s": ours_s, "ratio": own_s / ours_s, "products": PRODUCTS}
    report("a copy against _reindex", [f"_reindex {own_s:.1f} s, a move {ours_s:.1f} s, ratio {own_s / ours_s:.2f}"])
    save("reindex_throughput", figures)
    assert own_s / ours_s >= LEAST_RATE


def test_queries_are_hardly_slower_during_a_throttled_reindex(shop: Shop) -> None:
    fill(shop, PRODUCTS // 4)
    times: list[float] = []
    ending = threading.Event()

    def search() -> None:
        number = 0
        while not ending.wait(0.02):
            number += 1
            body = {"id": "prodsim-search", "params": {"q": f"product number {number % 500}", "size": 10}}
            times.append(timed(partial(shop.client.search_template, index=shop.settings.alias, body=body)))

    thread = threading.Thread(target=search)
    thread.start()
    try:
        time.sleep(CALM_S / 4)
        times.clear()
        time.sleep(CALM_S)
        calm = list(times)
        times.clear()
        said: list[str] = []
        machine.start(shop, "reindex", Options(max_docs_per_s=200), unwatched, said.append)
        during = list(times)
    finally:
        ending.set()
        thread.join()
    before, after = p95(calm), p95(during)
    report("queries during a move", [f"p95 calm {before:.4f} s, during {after:.4f} s, {after / before:.2f}", *said])
    save("reindex_queries", {"calm_p95_s": before, "during_p95_s": after, "ratio": after / before, "said": said})
    assert after <= MOST_SLOWDOWN * before or any("times as long" in line for line in said)


def p95(seconds: list[float]) -> float:
    return statistics.quantiles(seconds, n=20)[-1]
