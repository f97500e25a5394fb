"""The embedder beside others that serve the same model: the plain Serve app, and infinity-emb with its torch engine.

One client for all: the same texts in the same requests, a few at a time, each embedder in turn while the others wait.
"""

from __future__ import annotations

import gzip
import json
import statistics
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import httpx
import pytest

from prodsim.embedder import local
from prodsim.embedder.processes import memory_bytes
from prodsim.embedder.settings import ServerSettings
from tests.conftest import ROOT, SHARED_DATA

from . import rivals
from .measure import interleave_fresh, report, save

pytestmark = pytest.mark.embedder

PORT = 18996
PASSAGES = 512
TOGETHER = 64
AT_ONCE = 4
ROUNDS = 3
QUERIES = 60
OVER_PLAIN = 1.4
OVER_INFINITY = 2.5
QUERY_SHARE = 0.5
MEMORY_BYTES = 2.5e9
READY_S = 40.0


@dataclass(frozen=True)
class Speed:
    """`query_ms` is the median of one query at a time on an idle server."""

    passages_per_s: float
    query_ms: float


@pytest.fixture(scope="module")
def titles() -> list[str]:
    """Titles of ESCI products, or of the example shop where those are not there."""
    file = SHARED_DATA / "esci150" / "products.ndjson.gz"
    example = ROOT / "examples" / "products.ndjson"
    content = gzip.decompress(file.read_bytes()) if file.exists() else example.read_bytes()
    return [json.loads(line)["title"] for line in content.splitlines()[:4000]]


@contextmanager
def ours(folder: Path, backend: str, port: int) -> Iterator[str]:
    settings = ServerSettings.model_validate({"port": port, "backend": backend, "cache_bytes": 0})
    started = local.start(folder, settings)
    try:
        yield f"{started.running.url}/v1/embeddings"
    finally:
        local.stop(folder)


def ask(client: httpx.Client, url: str, texts: list[str]) -> None:
    answer = client.post(url, json={"input": texts})
    assert answer.status_code == 200, answer.text[:300]
    assert len(answer.json()["data"]) == len(texts)


def passages_per_s(url: str, texts: list[str]) -> float:
    """Of requests with TOGETHER texts, AT_ONCE of them at a time."""
    requests = [texts[start : start + TOGETHER] for start in range(0, len(texts), TOGETHER)]
    with httpx.Client(trust_env=False, timeout=300) as client, ThreadPoolExecutor(AT_ONCE) as pool:
        began = time.perf_counter()
        list(pool.map(lambda some: ask(client, url, some), requests))
        return len(texts) / (time.perf_counter() - began)


def measure_in_turn(urls: Mapping[str, str], titles: list[str]) -> dict[str, Speed]:
    """Of each, while the others wait; each in turn in every round, so that what disturbs the machine disturbs all."""
    rates: dict[str, list[float]] = {name: [] for name in urls}
    for number in range(ROUNDS + 1):  # the first warms them up
        texts = [f"{title} {number}" for title in (titles * 2)[number * 97 :][:PASSAGES]]
        for name, url in urls.items():
            rates[name].append(passages_per_s(url, texts))
    with httpx.Client(trust_env=False, timeout=300) as client:
        calls = {name: partial(query_of, client, url) for name, url in urls.items()}
        queries = (f"{' '.join(title.split()[:3])} {number}" for number, title in enumerate(titles))
        timings = interleave_fresh(calls, queries, QUERIES, warm_up=10)
    return {name: Speed(statistics.median(rates[name][1:]), timings[name].p50_ms) for name in urls}


def query_of(client: httpx.Client, url: str, text: str) -> None:
    ask(client, url, [text])


@pytest.mark.timeout(1800)
def test_passages_and_queries_beside_the_plain_app_and_infinity(tmp_path: Path, titles: list[str]) -> None:
    """Bars: torch 1.4 times the plain app; auto 2.5 times infinity, a single query at most half of its time."""
    with ExitStack() as servers:
        urls = {
            "prodsim torch": servers.enter_context(ours(tmp_path / "torch", "torch", PORT)),
            "prodsim auto": servers.enter_context(ours(tmp_path / "auto", "auto", PORT + 1)),
            "plain Serve app": servers.enter_context(rivals.plain_serve()),
            "infinity, torch": servers.enter_context(rivals.infinity()),
        }
        speeds = measure_in_turn(urls, titles)
    over_plain = speeds["prodsim torch"].passages_per_s / speeds["plain Serve app"].passages_per_s
    over_infinity = speeds["prodsim auto"].passages_per_s / speeds["infinity, torch"].passages_per_s
    query_share = speeds["prodsim auto"].query_ms / speeds["infinity, torch"].query_ms
    report(
        "embedders, in turn",
        [
            f"{name:16} {one.passages_per_s:6.0f} passages/s, query {one.query_ms:6.1f} ms"
            for name, one in speeds.items()
        ]
        + [
            f"torch over the plain app  {over_plain:.2f}  (bar {OVER_PLAIN})",
            f"auto over infinity        {over_infinity:.2f}  (bar {OVER_INFINITY})",
            f"query, of infinity's time {query_share:.2f}  (bar {QUERY_SHARE})",
        ],
    )
    save(
        "embedder-rivals",
        {name: vars(one) for name, one in speeds.items()}
        | {"over_plain": over_plain, "over_infinity": over_infinity, "query_share": query_share},
    )
    assert over_plain >= OVER_PLAIN
    assert over_infinity >= OVER_INFINITY
    assert query_share <= QUERY_SHARE


def test_a_server_at_rest_is_small_and_soon_ready(tmp_path: Path) -> None:
    """Bars: 2.5 GB in all processes together, ready in 40 s, on a quiet machine."""
    started = local.start(tmp_path, ServerSettings(port=PORT))
    try:
        httpx.post(f"{started.running.url}/v1/embeddings", json={"input": ["warm jacket"]}, trust_env=False)
        time.sleep(5)
        size_bytes = memory_bytes({started.running.pid, *started.running.process_ids()})
    finally:
        local.stop(tmp_path)
    report("a server at rest", [f"memory {size_bytes / 1e9:.2f} GB", f"ready after {started.seconds:.1f} s"])
    save("embedder-rest", {"memory_bytes": size_bytes, "ready_s": started.seconds})
    assert size_bytes < MEMORY_BYTES
    assert started.seconds < READY_S
