"""Whatever happens during a load, it ends whole: at once, or when the same command is given again."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from prodsim.loaders.checkpoint import Checkpoint
from prodsim.loaders.request import default_checkpoint_path
from prodsim.mappings.text import embedding_text
from prodsim.plugin.client import connect
from prodsim.plugin.config import Settings, default_home, load_settings
from prodsim.plugin.engine import start_engine, stop_engine
from prodsim.plugin.errors import CatalogError, ExitCode
from prodsim.plugin.indexes import product_indexes
from tests.chaos.shop_export import Export, check_nothing_lost, write_export
from tests.embedder_proxy import EmbedderProxy
from tests.tcp_proxy import TcpProxy

if TYPE_CHECKING:
    from opensearchpy import OpenSearch

    from prodsim.plugin.engine import Engine

WHOLE = os.environ.get("CHAOS") == "whole"
ROWS = 3000 if WHOLE else 1000
KILLS = 20 if WHOLE else 3
STOPPED_S = 30 if WHOLE else 8
PORT = 19460

pytestmark = pytest.mark.timeout(1800)


def engine_up(home: Path, slot: int) -> Engine:
    return start_engine(
        home / "chaos",
        port=PORT + slot,
        downloads=default_home() / "downloads",
        settings={"thread_pool.write.queue_size": "1"},
    )


@pytest.fixture(scope="module")
def engine(slot: int, home: Path) -> Iterator[Engine]:
    """An engine that tests may kill; its write queue is so short that it refuses writes now and then."""
    started = engine_up(home, slot)
    yield started
    stop_engine(home / "chaos", started.name, purge=True)


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Export:
    return write_export(tmp_path_factory.mktemp("shop"), ROWS)


@pytest.fixture
def embedder(embedder_url: str) -> Iterator[EmbedderProxy]:
    with EmbedderProxy(embedder_url) as proxy:
        proxy.delay_s = 0.3  # so that a load takes long enough for something to happen to it
        yield proxy


@pytest.fixture
def network(engine: Engine) -> Iterator[TcpProxy]:
    with TcpProxy(engine.url) as proxy:
        yield proxy


class Load:
    """`prodsim-admin load` of the export, in a process of its own that may be killed and started again."""

    def __init__(self, settings: Settings, export: Export, folder: Path) -> None:
        self.settings = settings
        self.folder = folder
        self.export = export
        self.rejects = folder / "export.rejects.ndjson"
        self.checkpoint = default_checkpoint_path(settings.home, settings.alias)
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        names = ("alias", "home", "engine_url", "embedder_url")
        environment = {f"PRODSIM_{name.upper()}": str(getattr(self.settings, name)) for name in names}
        self.process = subprocess.Popen(
            [str(Path(sys.executable).with_name("prodsim-admin")), "load", str(self.export.path)],
            env={**os.environ, **environment, "PRODSIM_EMBEDDER_TIMEOUT_S": "5"},
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def end(self, timeout_s: float = 600) -> tuple[int, str]:
        assert self.process is not None
        printed, _ = self.process.communicate(timeout=timeout_s)
        return self.process.returncode, printed

    def rows_done(self) -> int:
        if not self.checkpoint.exists():
            return 0
        try:
            checkpoint = Checkpoint.reopen(self.checkpoint)
        except CatalogError:  # it is being made
            return 0
        if checkpoint is None:
            return 0
        with checkpoint:
            return checkpoint.account.read

    def wait_until_under_way(self, timeout_s: float = 120) -> None:
        """Until a batch is settled and others are not."""
        deadline = time.monotonic() + timeout_s
        while not self.rows_done():
            assert self.process is not None
            assert self.process.poll() is None, self.process.communicate()[0]
            assert time.monotonic() < deadline
            time.sleep(0.05)


@pytest.fixture
def client(engine: Engine) -> OpenSearch:
    return connect(load_settings(engine_url=engine.url))


@pytest.fixture
def make_load(
    home: Path,
    alias: str,
    export: Export,
    tmp_path: Path,
    network: TcpProxy,
    embedder: EmbedderProxy,
    client: OpenSearch,
) -> Iterator[Callable[[], Load]]:
    made: list[Load] = []

    def make() -> Load:
        settings = load_settings(alias=alias, home=home, engine_url=network.url, embedder_url=embedder.url)
        made.append(Load(settings, export, tmp_path))
        return made[-1]

    yield make
    for load in made:
        if load.process is not None and load.process.poll() is None:
            load.kill()
    client.indices.delete(index=f"{alias}-0*", ignore=[404])


def under_way(make_load: Callable[[], Load]) -> Load:
    load = make_load()
    load.start()
    load.wait_until_under_way()
    return load


def ended_whole(load: Load, client: OpenSearch, alias: str) -> str:
    """Checks the load and returns what it printed."""
    code, printed = load.end()
    assert code == (ExitCode.PARTLY_LOADED if load.export.bad_lines else 0), printed
    check_nothing_lost(client, alias, load.export, load.rejects)
    assert not load.checkpoint.exists()
    [index] = product_indexes(client, alias)
    assert not index.unfinished
    return printed


def test_killed_at_random_moments_it_goes_on_and_embeds_no_settled_row_again(
    make_load: Callable[[], Load], client: OpenSearch, alias: str, embedder: EmbedderProxy
) -> None:
    load = make_load()
    moments = random.Random(7)
    settled: set[str] = set()
    counted = 0
    for _ in range(KILLS):
        load.start()
        time.sleep(moments.uniform(0.5, 6))
        load.kill()
        time.sleep(0.5)  # what the embedder is still answering is counted too
        assert not settled & set(embedder.texts[counted:])
        counted = len(embedder.texts)
        settled |= settled_texts(load)
    load.start()
    ended_whole(load, client, alias)
    assert not settled & set(embedder.texts[counted:])


def settled_texts(load: Load) -> set[str]:
    """What the products of settled rows are embedded by; all of them, where the load is through."""
    if not load.checkpoint.exists():
        return set()
    checkpoint = Checkpoint.reopen(load.checkpoint)
    assert checkpoint is not None
    with checkpoint:
        settled = checkpoint.among(load.export.expected)
    return {embedding_text(load.export.expected[sku]) for sku in settled}


def test_the_engine_killed_and_restarted(
    make_load: Callable[[], Load], client: OpenSearch, alias: str, engine: Engine, home: Path, slot: int
) -> None:
    load = under_way(make_load)
    os.kill(pid_of(engine, home), signal.SIGKILL)
    time.sleep(3)
    engine_up(home, slot)
    ended_whole(load, client, alias)


def test_the_engine_stopped_for_a_while(
    make_load: Callable[[], Load], client: OpenSearch, alias: str, engine: Engine, home: Path
) -> None:
    load = under_way(make_load)
    pid = pid_of(engine, home)
    os.kill(pid, signal.SIGSTOP)
    time.sleep(STOPPED_S)
    os.kill(pid, signal.SIGCONT)
    ended_whole(load, client, alias)


def pid_of(engine: Engine, home: Path) -> int:
    from prodsim.plugin.engine import list_engines

    [status] = [found for found in list_engines(home / "chaos") if found.name == engine.name]
    assert status.pid is not None
    return status.pid


def test_the_disk_full_for_a_while(
    make_load: Callable[[], Load], client: OpenSearch, alias: str, embedder: EmbedderProxy
) -> None:
    disk = "cluster.routing.allocation.disk"
    watched = {"cluster.info.update.interval": "10s", f"{disk}.threshold_enabled": True}
    marks = {
        f"{disk}.watermark.{mark}": share
        for mark, share in (("low", "0.1%"), ("high", "0.2%"), ("flood_stage", "0.3%"))
    }
    load = under_way(make_load)
    embedder.mode = "hang"
    client.cluster.put_settings(body={"transient": {**watched, **marks}})
    try:
        wait_for(lambda: is_blocked(client, alias), 60)
        embedder.mode = "pass"
        time.sleep(10)
        client.cluster.put_settings(body={"transient": dict.fromkeys(marks)})
        printed = ended_whole(load, client, alias)
    finally:
        blocks = {"cluster.blocks.create_index": None}  # above the high watermark the engine makes no index either
        client.cluster.put_settings(body={"transient": dict.fromkeys({**watched, **marks}), "persistent": blocks})
        client.indices.put_settings(index="_all", body={"index.blocks.read_only_allow_delete": None})
    assert "disk is full: free space" in printed


def is_blocked(client: OpenSearch, alias: str) -> bool:
    settings = client.indices.get_settings(index=f"{alias}-0*")
    return any(
        str(body["settings"]["index"].get("blocks", {}).get("read_only_allow_delete")) == "true"
        for body in settings.values()
    )


def wait_for(holds: Callable[[], Any], timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.2)


@pytest.mark.parametrize("mode", ["refuse", "hang", "slow", "busy"])
def test_the_embedder_away_for_a_while(
    make_load: Callable[[], Load], client: OpenSearch, alias: str, embedder: EmbedderProxy, mode: str
) -> None:
    load = under_way(make_load)
    embedder.mode = mode
    time.sleep(8)
    embedder.mode = "pass"
    ended_whole(load, client, alias)


@pytest.mark.parametrize("mode", ["nan", "wrong_dimension", "too_few", "html"])
def test_the_embedder_answering_nonsense_ends_the_load_which_goes_on_later(
    make_load: Callable[[], Load], client: OpenSearch, alias: str, embedder: EmbedderProxy, mode: str
) -> None:
    load = under_way(make_load)
    embedder.mode = mode
    code, printed = load.end()
    assert code == ExitCode.FAILED, printed
    assert "Traceback" not in printed
    assert "embedder" in printed
    assert "the same command goes on" in printed
    embedder.mode = "pass"
    load.start()
    assert "going on with an interrupted load" in ended_whole(load, client, alias)


def test_the_network_cut_and_back(
    make_load: Callable[[], Load], client: OpenSearch, alias: str, network: TcpProxy
) -> None:
    load = under_way(make_load)
    for mode in ("refuse", "hang", "refuse"):
        network.mode = mode
        time.sleep(2)
        network.mode = "pass"
        time.sleep(0.5)
    ended_whole(load, client, alias)


def test_writes_refused_for_a_full_queue(
    make_load: Callable[[], Load], client: OpenSearch, alias: str, engine: Engine
) -> None:
    """Others write at the same time, and the engine's queue holds one request."""
    load = under_way(make_load)
    crowd = Crowd(engine.url, f"{alias}-crowd")
    with crowd:
        ended_whole(load, client, alias)
    client.indices.delete(index=f"{alias}-crowd", ignore=[404])
    assert crowd.refused > 0


class Crowd:
    """Writers that fill the engine's write queue for as long as the block lasts."""

    def __init__(self, url: str, index: str) -> None:
        import threading

        self.url, self.index = url, index
        self.refused = 0
        self.ending = threading.Event()
        self.threads = [threading.Thread(target=self.write, daemon=True) for _ in range(12)]

    def write(self) -> None:
        import httpx

        body = ('{"index": {}}\n{"text": "' + "word " * 400 + '"}\n') * 40
        with httpx.Client(base_url=self.url, headers={"content-type": "application/x-ndjson"}) as http:
            while not self.ending.is_set():
                answer = http.post(f"/{self.index}/_bulk", content=body, timeout=60)
                self.refused += answer.status_code == 429 or '"status":429' in answer.text

    def __enter__(self) -> Crowd:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.ending.set()
        for thread in self.threads:
            thread.join(60)
