"""What the embedder costs on top of the bare model, and what a bulk load does to a query.

The embedder that is measured runs with `auto`; the bare model runs in this process on the same back end and threads.
"""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from prodsim.embedder import local
from prodsim.embedder.client import EmbedderClient
from prodsim.embedder.encoder import Encoder, encode
from prodsim.embedder.loading import open_encoder
from prodsim.embedder.settings import ModelSettings, ServerSettings

from .measure import report, save, timing

if TYPE_CHECKING:
    from .measure import Timing

pytestmark = pytest.mark.embedder

PORT = 18991
QUERIES = 120
PASSAGES = 512
ROUNDS = 9
BATCH = 32
ADDED_MS = 5.0
CACHED_MS = 4.0
BULK_FACTOR = 3.0
THROUGHPUT = 0.95


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbedderClient]:
    home: Path = tmp_path_factory.mktemp("embedder")
    started = local.start(home, ServerSettings(port=PORT, backend="auto"))
    try:
        with EmbedderClient(started.running.url) as client:
            yield client
    finally:
        local.stop(home)


@pytest.fixture(scope="module")
def bare() -> Encoder:
    return open_encoder(ModelSettings(backend="auto"))


def passages(prefix: str) -> list[str]:
    words = "waterproof hiking boots with a wide fit, made of full grain leather, for men and women, size 9, black"
    return [f"{prefix} {number} {words[: 20 + 6 * (number % 14)]}" for number in range(PASSAGES)]


def measure_ms(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return (time.perf_counter() - began) * 1000


def timed_queries(client: EmbedderClient, prefix: str, seconds: float) -> Timing:
    times: list[float] = []
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        times.append(measure_ms(lambda: client.embed([f"{prefix} {len(times)}"], "query")))
    return timing(times)


def test_a_query_costs_little_more_than_the_bare_model(client: EmbedderClient, bare: Encoder) -> None:
    """Bar: p50 of bare + 5 ms; a query that was asked before 4 ms. Calls take turns, so noise hits all alike."""
    names = ("bare", "served", "asked before")
    times: dict[str, list[float]] = {name: [] for name in names}
    client.embed(["warm jacket"], "query")
    for number in range(QUERIES + 20):
        text = f"warm jacket {number}"
        measured = (
            measure_ms(lambda text=text: encode(bare, [text], "query")),  # type: ignore[misc]  # a lambda with a default
            measure_ms(lambda text=text: client.embed([text], "query")),  # type: ignore[misc]
            measure_ms(lambda: client.embed(["warm jacket"], "query")),
        )
        if number >= 20:
            for name, value in zip(names, measured, strict=True):
                times[name].append(value)
    timings = {name: timing(values) for name, values in times.items()}
    added_ms = timings["served"].p50_ms - timings["bare"].p50_ms
    report(
        "one query at a time",
        [f"{name:13} p50 {value.p50_ms} ms  p95 {value.p95_ms} ms" for name, value in timings.items()]
        + [f"added         p50 {added_ms:.1f} ms"],
    )
    save("embedder-query", {**timings, "added_ms": added_ms})
    assert added_ms <= ADDED_MS
    assert timings["asked before"].p50_ms <= CACHED_MS


def test_passages_go_nearly_as_fast_as_the_bare_model(client: EmbedderClient, bare: Encoder) -> None:
    """Bar: .95 of a bare length-sorted loop with the same batches, as `SentenceTransformer.encode` makes them."""
    rates: dict[str, list[float]] = {"bare": [], "served": []}
    for number in range(ROUNDS):
        texts = passages(f"round {number}")
        ordered = sorted(texts, key=len)
        batches = [ordered[start : start + BATCH] for start in range(0, len(ordered), BATCH)]

        def run_bare(batches: list[list[str]] = batches) -> None:
            for batch in batches:
                encode(bare, batch, "passage")

        rates["bare"].append(PASSAGES / measure_ms(run_bare) * 1000)
        rates["served"].append(PASSAGES / measure_ms(lambda: client.embed(texts, "passage")) * 1000)  # noqa: B023 - called at once
    ratio = statistics.median(served / alone for served, alone in zip(rates["served"], rates["bare"], strict=True))
    report(
        "passages a second",
        [f"{name:7} {statistics.median(values):.0f}" for name, values in rates.items()] + [f"ratio   {ratio:.2f}"],
    )
    save("embedder-passages", {**rates, "ratio": ratio})
    assert ratio >= THROUGHPUT


def test_a_bulk_load_slows_a_query_by_less_than_three_times(client: EmbedderClient) -> None:
    idle = timed_queries(client, "idle", 6)
    stop = threading.Event()

    def load() -> None:
        with EmbedderClient(client.url) as loader:
            number = 0
            while not stop.is_set():
                loader.embed(passages(f"load {number}"), "passage")
                number += 1

    loader = threading.Thread(target=load)
    loader.start()
    try:
        time.sleep(1)
        loaded = timed_queries(client, "loaded", 10)
    finally:
        stop.set()
        loader.join()
    factor = loaded.p95_ms / idle.p95_ms
    report(
        "queries beside a bulk load",
        [
            f"idle   p50 {idle.p50_ms} p95 {idle.p95_ms} ms",
            f"loaded p50 {loaded.p50_ms} p95 {loaded.p95_ms} ms",
            f"factor of p95 {factor:.2f}",
        ],
    )
    save("embedder-bulk", {"idle": idle, "loaded": loaded, "factor_p95": factor})
    assert factor <= BULK_FACTOR
