"""A rollout in which the embedder goes away, the disk fills up or the engine restarts: it waits or stops with a clear
reason, goes on, and loses nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from prodsim.embedder.client import EmbedderClient
from prodsim.plugin.client import connect
from prodsim.plugin.config import Settings, default_home, load_settings
from prodsim.plugin.engine import list_engines, start_engine, stop_engine
from prodsim.plugin.indexes import indexes_behind
from tests.embedder_proxy import EmbedderProxy
from tests.live.checks import check, differences, vector_problems
from tests.live.conftest import NEW_MODEL, OLD_MODEL, LiveEmbedder, opened_ledger
from tests.live.ledger import Ledger
from tests.live.moves import admin, begin
from tests.live.traffic import Traffic

if TYPE_CHECKING:
    from opensearchpy import OpenSearch

    from prodsim.plugin.engine import Engine

pytestmark = pytest.mark.timeout(1800)
PRODUCTS = 400
PORT = 19480
DISK = "cluster.routing.allocation.disk"
MARKS = {
    f"{DISK}.watermark.low": "0.1%",
    f"{DISK}.watermark.high": "0.2%",
    f"{DISK}.watermark.flood_stage": "0.3%",
}


@pytest.fixture(scope="module")
def own_engine(slot: int, home: Path) -> Iterator[Engine]:
    """An engine that tests may kill."""
    yield engine_up(slot, home)
    for found in list_engines(home / "trouble"):
        stop_engine(home / "trouble", found.name, purge=True)


def engine_up(slot: int, home: Path) -> Engine:
    return start_engine(home / "trouble", port=PORT + slot, downloads=default_home() / "downloads", heap="1g")


@pytest.fixture
def slow_embedder(live_embedder: LiveEmbedder) -> Iterator[EmbedderProxy]:
    with EmbedderProxy(live_embedder.url) as proxy:
        yield proxy


@pytest.fixture
def settings(own_engine: Engine, slow_embedder: EmbedderProxy, live_embedder: LiveEmbedder, alias: str) -> Settings:
    """The operator's embedder is the proxy; the engine asks the real one."""
    return load_settings(
        alias=alias,
        engine_url=own_engine.url,
        embedder_url=slow_embedder.url,
        embedder_url_from_engine=live_embedder.url,
        model=OLD_MODEL,
    )


@pytest.fixture
def client(settings: Settings) -> Iterator[OpenSearch]:
    found = connect(settings)
    yield found
    found.indices.delete(index=f"{settings.alias}-0*", ignore=[404])


@pytest.fixture
def ledger(client: OpenSearch, settings: Settings, live_embedder: LiveEmbedder, tmp_path: Path) -> Ledger:
    with EmbedderClient(live_embedder.url) as embedder:
        return opened_ledger(client, settings, embedder, tmp_path, PRODUCTS, 1)


def copying(settings: Settings, embedder: EmbedderProxy) -> subprocess.Popen[str]:
    """A rollout that is in the middle of embedding."""
    embedder.delay_s = 1.5
    process = begin(settings, "model", "rollout", "start", NEW_MODEL)
    deadline = time.monotonic() + 120
    while "backfill" not in admin(settings, "model", "rollout", "status", code=None):
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
    time.sleep(2)
    assert process.poll() is None, process.communicate()[0]
    return process


def ended(process: subprocess.Popen[str], settings: Settings, embedder: EmbedderProxy) -> str:
    """Waits, and has the rollout go on until it is ready, should it have stopped; what was said before that."""
    embedder.mode, embedder.delay_s = "pass", 0.0
    printed, _ = process.communicate(timeout=600)
    assert "Traceback" not in printed
    if process.returncode:
        admin(settings, "model", "rollout", "resume")
    assert ": ready" in admin(settings, "model", "rollout", "status")
    return printed


def promoted(client: OpenSearch, settings: Settings, ledger: Ledger, live_embedder: LiveEmbedder) -> None:
    admin(settings, "model", "promote", "--force", "the canary has tests of its own")
    assert len(indexes_behind(client, settings.alias)) == 1
    check(differences(client, settings.alias, ledger), "index and ledger")
    admin(settings, "refresh")
    with EmbedderClient(live_embedder.url) as embedder:
        check(vector_problems(client, settings.alias, embedder), "vectors")


@pytest.mark.parametrize("mode", ["refuse", "hang"])
def test_the_embedder_away_in_the_middle(
    client: OpenSearch,
    settings: Settings,
    ledger: Ledger,
    live_embedder: LiveEmbedder,
    slow_embedder: EmbedderProxy,
    mode: str,
) -> None:
    with Traffic(client, settings.alias, ledger, seed=1) as traffic:
        process = copying(settings, slow_embedder)
        slow_embedder.mode = mode
        time.sleep(8)
        ended(process, settings, slow_embedder)
    check(traffic.problems(), "seen by services and customers")
    promoted(client, settings, ledger, live_embedder)


def test_the_disk_full_in_the_middle(
    client: OpenSearch, settings: Settings, ledger: Ledger, live_embedder: LiveEmbedder, slow_embedder: EmbedderProxy
) -> None:
    watched = {"cluster.info.update.interval": "10s", f"{DISK}.threshold_enabled": True}
    process = copying(settings, slow_embedder)
    slow_embedder.mode = "hang"  # until the disk is full, however fast the machine is
    client.cluster.put_settings(body={"transient": {**watched, **MARKS}})
    block = "index.blocks.read_only_allow_delete"
    every = {"expand_wildcards": "all"}
    try:
        deadline = time.monotonic() + 60
        while block not in str(
            client.indices.get_settings(index=f"{settings.alias}-*", params={"flat_settings": "true"})
        ):
            assert time.monotonic() < deadline
            time.sleep(1)
        slow_embedder.mode = "pass"
        time.sleep(15)
    finally:
        blocks = {"cluster.blocks.create_index": None}
        client.cluster.put_settings(body={"transient": dict.fromkeys({**watched, **MARKS}), "persistent": blocks})
        client.indices.put_settings(index="_all", body={block: None}, params=every)
    printed = ended(process, settings, slow_embedder)
    assert "disk" in printed
    promoted(client, settings, ledger, live_embedder)


def test_the_engine_killed_and_started_again_in_the_middle(
    client: OpenSearch,
    settings: Settings,
    ledger: Ledger,
    live_embedder: LiveEmbedder,
    slow_embedder: EmbedderProxy,
    home: Path,
    slot: int,
) -> None:
    process = copying(settings, slow_embedder)
    [status] = list_engines(home / "trouble")
    assert status.pid is not None
    os.kill(status.pid, signal.SIGKILL)
    time.sleep(3)
    engine_up(slot, home)
    ended(process, settings, slow_embedder)
    promoted(client, settings, ledger, live_embedder)
