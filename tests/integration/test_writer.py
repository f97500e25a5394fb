"""The bulk writer against real engines, healthy and in trouble."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from opensearchpy import OpenSearch

from prodsim.loaders.bulk import patience
from prodsim.loaders.bulk.write_alias import write_alias
from prodsim.loaders.bulk.writer import BulkWriter, Done, Write, index_write
from prodsim.mappings.bundle import TextModel, index_body
from prodsim.plugin.client import connect
from prodsim.plugin.config import default_home, load_settings
from prodsim.plugin.engine import Engine, list_engines, start_engine, stop_engine
from prodsim.plugin.engine.ports import is_free
from prodsim.plugin.errors import EngineError, EngineUnreachable
from tests.conftest import HEAP
from tests.tcp_proxy import TcpProxy

OWN_PORT = 19420
TIMEOUT_S = 3
DOCUMENTS = 3_000
MAPPING = {
    "settings": {"number_of_replicas": 0},
    "mappings": {"dynamic": False, "properties": {"price": {"type": "double"}, "sku": {"type": "keyword"}}},
}


def connected(url: str, timeout_s: float = TIMEOUT_S) -> OpenSearch:
    return connect(load_settings(engine_url=url, engine_timeout_s=timeout_s))


@pytest.fixture(params=["2.19.1", "3.5.0"])
def any_engine_url(request: pytest.FixtureRequest) -> str:
    url: str = request.getfixturevalue("engine_url" if request.param == "2.19.1" else "engine_3_url")
    return url


@pytest.fixture
def index(alias: str) -> str:
    return f"{alias}-000001"


@pytest.fixture
def client(engine_url: str, index: str) -> Iterator[OpenSearch]:
    with prepared(engine_url, index) as opened:
        yield opened


@pytest.fixture
def any_client(any_engine_url: str, index: str) -> Iterator[OpenSearch]:
    with prepared(any_engine_url, index) as opened:
        yield opened


@contextmanager
def prepared(url: str, index: str) -> Iterator[OpenSearch]:
    """A client, and an empty index that goes away."""
    opened = connected(url, 30)
    opened.indices.create(index=index, body=MAPPING)
    yield opened
    opened.indices.delete(index=index, ignore=[404])
    opened.close()


def documents(count: int = DOCUMENTS, start: int = 0) -> list[Write]:
    numbers = range(start, start + count)
    return [index_write({"sku": f"p{n}", "price": n, "text": "x" * 500}, 10) for n in numbers]


def stored(client: OpenSearch, index: str) -> dict[str, dict[str, Any]]:
    client.indices.refresh(index=index)
    found = client.search(index=index, body={"size": 10_000, "version": True})
    return {hit["_id"]: {**hit["_source"], "version": hit["_version"]} for hit in found["hits"]["hits"]}


def indexes_named(client: OpenSearch, name: str) -> list[str]:
    return sorted(client.indices.get(index=f"{name}*", params={"allow_no_indices": "true", "expand_wildcards": "all"}))


def statuses(done: list[Done]) -> list[str]:
    return [one.status for one in done]


def write_from_threads(writer: BulkWriter, writes: list[Write], threads: int = 4, batch: int = 100) -> list[Done]:
    with ThreadPoolExecutor(threads) as pool:
        parts = [writes[start : start + batch] for start in range(0, len(writes), batch)]
        return [done for part in pool.map(writer.write, parts) for done in part]


def assert_all_there(client: OpenSearch, index: str, writes: list[Write], done: list[Done]) -> None:
    assert statuses(done) == ["written"] * len(writes)
    assert [one.sku for one in done] == [write.sku for write in writes]
    there = stored(client, index)
    assert len(there) == len(writes)
    assert all(there[write.sku]["version"] == write.version for write in writes)
    assert all(there[write.sku]["price"] == orjson.loads(write.body)["price"] for write in writes)


def test_what_became_of_each_write_comes_back_in_order(any_client: OpenSearch, index: str) -> None:
    script = b'{"script":{"source":"ctx._source.price = params.price","params":{"price":9}}}'
    with BulkWriter(any_client, index) as writer:
        writer.write([index_write({"sku": sku, "price": 1}, 5) for sku in ("old", "gone", "kept")])
        done = writer.write(
            [
                index_write({"sku": "new", "price": 1}, 5),
                index_write({"sku": "broken", "price": "abc"}, 5),
                index_write({"sku": "old", "price": 2}, 4),
                Write("delete", "gone", version=6),
                Write("delete", "never-was", version=6),
                Write("delete", "kept", version=4),
                Write("update", "kept", script),
                Write("update", "never-was", script),
                Write("update", "kept", b'{"doc":{"price":9}}'),
                index_write({"sku": "x" * 600}, 5),
                index_write({"sku": "último & <b>", "price": 3}, 5),
            ]
        )
    assert statuses(done) == [
        "written",
        "refused",
        "superseded",
        "written",
        "missing",
        "superseded",
        "written",
        "missing",
        "written",
        "refused",
        "written",
    ]
    assert done[1].code == "mapper_parsing_exception"
    assert 'For input string: "abc"' in done[1].message
    assert done[8].code == "noop"
    assert done[9].message.startswith("Validation Failed: 1: id [xxx")
    there = stored(any_client, index)
    assert {sku: product["price"] for sku, product in there.items()} == {
        "old": 1,
        "kept": 9,
        "new": 1,
        "último & <b>": 3,
    }


def test_an_older_run_never_overwrites_a_newer_one_and_the_same_again_is_no_conflict(
    client: OpenSearch, index: str
) -> None:
    newer, older = index_write({"sku": "a", "price": 2}, 20), index_write({"sku": "a", "price": 1}, 10)
    with BulkWriter(client, index) as writer:
        assert statuses(writer.write([newer])) == ["written"]
        assert statuses(writer.write([older, Write("delete", "a", version=19)])) == ["superseded"] * 2
        assert statuses(writer.write([newer, newer])) == ["written"] * 2
        assert stored(client, index)["a"]["price"] == 2
        assert statuses(writer.write([Write("delete", "a", version=21), newer])) == ["written", "superseded"]
        assert stored(client, index) == {}


def test_vectors_arrive_as_float32_in_a_product_index(engine_url: str, index: str) -> None:
    client = connected(engine_url)
    client.indices.create(index=index, body=index_body(TextModel("any", "1", 384)))
    vectors = np.random.default_rng(3).standard_normal((50, 384)).astype(np.float32)
    writes = [index_write({"sku": f"p{n}", "text_vector_384": vector}, 1) for n, vector in enumerate(vectors)]
    with BulkWriter(client, index) as writer:
        assert statuses(writer.write(writes)) == ["written"] * 50
    there = stored(client, index)
    for number, vector in enumerate(vectors):
        assert np.array_equal(np.array(there[f"p{number}"]["text_vector_384"], dtype=np.float32), vector)
    client.indices.delete(index=index)


def test_one_write_that_spoils_a_whole_request_is_found_among_many(client: OpenSearch, index: str) -> None:
    writes = documents(300)
    writes[123:123] = [index_write({"sku": "y" * 513}, 10), Write("update", "p1", b'{"dox":{}}')]
    with BulkWriter(client, index) as writer:
        done = writer.write(writes)
        assert writer.statistics.requests < 50
    assert [place for place, one in enumerate(done) if one.status != "written"] == [123, 124]
    assert done[124].message == "[1:2] [UpdateRequest] unknown field [dox] did you mean [doc]?"
    assert len(stored(client, index)) == 300


def test_an_index_that_is_not_there_is_not_made(any_engine_url: str, index: str) -> None:
    client = connected(any_engine_url)
    with BulkWriter(client, index) as writer:
        for write in (
            index_write({"sku": "a"}, 1),
            Write("delete", "a", version=1),
            Write("update", "a", b'{"doc":{}}'),
        ):
            with pytest.raises(EngineError, match=f"index {index} does not exist"):
                BulkWriter(client, index).write([write])
        with pytest.raises(EngineError):
            writer.write([index_write({"sku": "a"}, 1)])
    assert indexes_named(client, index) == []


def test_an_index_that_is_deleted_meanwhile_is_not_made_again(any_client: OpenSearch, index: str) -> None:
    for write in (index_write({"sku": "a"}, 1), Write("delete", "a", version=1), Write("update", "a", b'{"doc":{}}')):
        with BulkWriter(any_client, index) as writer:
            writer.write([index_write({"sku": "a"}, 1)])
            any_client.indices.delete(index=index)
            with pytest.raises(EngineError, match=f"index {index} is gone: someone deleted it"):
                writer.write([write])
            assert indexes_named(any_client, index) == []
            any_client.indices.create(index=index, body=MAPPING)
            with pytest.raises(EngineError, match="is gone"):
                writer.write([write])
        assert stored(any_client, index) == {}


def test_an_index_that_was_made_anew_is_not_mistaken_for_the_old_one(client: OpenSearch, index: str) -> None:
    with BulkWriter(client, index) as writer:
        writer.write([index_write({"sku": "a"}, 1)])
        client.indices.delete(index=index)
        client.indices.create(index=index, body=MAPPING)
        with pytest.raises(EngineError, match="deleted and made anew"):
            writer.write([index_write({"sku": "b"}, 1)])
    assert stored(client, index) == {}


def test_the_alias_of_the_writer_is_restored_when_someone_removes_it_and_goes_with_the_writer(
    client: OpenSearch, index: str
) -> None:
    with BulkWriter(client, index) as writer:
        writer.write([index_write({"sku": "a"}, 1)])
        client.indices.delete_alias(index=index, name=write_alias(index))
        assert (
            statuses(writer.write([index_write({"sku": "b"}, 1), Write("delete", "a", version=2)])) == ["written"] * 2
        )
        assert list(client.indices.get_alias(index=index)[index]["aliases"]) == [write_alias(index)]
    assert client.indices.get_alias(index=index)[index]["aliases"] == {}
    assert list(stored(client, index)) == ["b"]


@pytest.mark.parametrize(
    ("break_it", "mend_it", "message"),
    [
        ({"index.blocks.read_only": True}, {"index.blocks.read_only": None}, "index read-only"),
        ({"index.blocks.write": True}, {"index.blocks.write": None}, "index write"),
    ],
)
def test_a_block_that_a_person_set_stops_the_load_in_one_line(
    any_client: OpenSearch, index: str, break_it: dict[str, Any], mend_it: dict[str, Any], message: str
) -> None:
    with BulkWriter(any_client, index) as writer:
        writer.write([index_write({"sku": "a"}, 1)])
        any_client.indices.put_settings(index=index, body=break_it)
        began = time.monotonic()
        with pytest.raises(EngineError, match=rf"writing to {index}: index \[{index}\] blocked by: .*{message}"):
            writer.write([index_write({"sku": "b"}, 1)])
        assert time.monotonic() - began < 5
        any_client.indices.put_settings(index=index, body=mend_it)


def test_a_closed_index_stops_the_load(client: OpenSearch, index: str) -> None:
    with BulkWriter(client, index) as writer:
        writer.write([index_write({"sku": "a"}, 1)])
        client.indices.close(index=index)
        with pytest.raises(EngineError, match=f"writing to {index}: .*closed"):
            writer.write([index_write({"sku": "b"}, 1)])


class LossyProxy(TcpProxy):
    """Passes requests on; while `lose` is above zero, closes the connection in place of an answer to a bulk request."""

    lose = 0

    async def pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, counts: bool) -> None:
        while data := await source.read(65536):
            if not counts and b'"items"' in data and self.lose:
                self.lose -= 1
                break
            sink.write(data)
            await sink.drain()
        sink.close()


def test_writes_whose_answer_was_lost_come_out_as_written(client: OpenSearch, index: str, engine_url: str) -> None:
    with LossyProxy(engine_url) as proxy, BulkWriter(connected(proxy.url), index) as writer:
        writer.write([index_write({"sku": sku}, 1) for sku in ("a", "b", "d")])
        seen = client.get(index=index, id="d")
        for write in (
            index_write({"sku": "a", "price": 2}, 2),
            Write("delete", "b", version=2),
            index_write({"sku": "c"}, None),
            Write("update", "a", b'{"doc":{"price":3}}'),
            Write("delete", "d", seen_at=(seen["_seq_no"], seen["_primary_term"])),
        ):
            proxy.lose = 2
            done = writer.write([write])
            assert statuses(done) == ["written"]
            assert proxy.lose == 0
        assert writer.statistics.retries == 10
    assert {sku: product.get("price") for sku, product in stored(client, index).items()} == {"a": 3, "c": None}


def test_a_cut_network_is_waited_out_and_nothing_is_lost_or_written_twice(
    client: OpenSearch, index: str, engine_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "SAY_AFTER_S", 1.0)
    said: list[str] = []
    writes = documents()
    with TcpProxy(engine_url) as proxy, BulkWriter(connected(proxy.url), index, say=said.append) as writer:

        def cut() -> None:
            time.sleep(4)
            for mode in ("hang", "refuse", "pass"):
                proxy.mode = mode
                time.sleep(2)

        proxy.mode = "refuse"
        trouble = threading.Thread(target=cut)
        trouble.start()
        done = write_from_threads(writer, writes[: len(writes) // 2])
        trouble.join()
        done += write_from_threads(writer, writes[len(writes) // 2 :])
        found = writer.statistics
    assert_all_there(client, index, writes, done)
    assert found.retries > 0
    assert 3 < found.waited_s < 25
    assert any("not reachable" in line or "not answer" in line for line in said)
    assert "takes writes again" in said[-1]
    assert len(said) <= 6


def test_an_engine_that_stands_still_is_waited_for(client: OpenSearch, index: str, home: Path, engine_url: str) -> None:
    pid = next(engine.pid for engine in list_engines(home) if engine.url == engine_url)
    assert pid is not None
    writes = documents()
    with BulkWriter(connected(engine_url), index) as writer:
        done = writer.write(writes[:100])
        os.kill(pid, signal.SIGSTOP)
        revival = threading.Timer(8, os.kill, (pid, signal.SIGCONT))
        revival.start()
        done += write_from_threads(writer, writes[100:])
        revival.join()
        assert writer.statistics.retries > 0
    assert_all_there(client, index, writes, done)


def test_patience_ends_where_the_engine_stays_away(client: OpenSearch, index: str, engine_url: str) -> None:
    with TcpProxy(engine_url) as proxy, BulkWriter(connected(proxy.url), index, give_up_after_s=2) as writer:
        writer.write([index_write({"sku": "a"}, 1)])
        proxy.mode = "refuse"
        began = time.monotonic()
        with pytest.raises(EngineUnreachable, match=f"writing to {index}: .*Gave up after 2 s"):
            writer.write([index_write({"sku": "b"}, 1)])
        assert 1.5 < time.monotonic() - began < 8
        proxy.mode = "pass"


def test_stopping_the_writer_ends_every_wait_at_once(client: OpenSearch, index: str, engine_url: str) -> None:
    with TcpProxy(engine_url) as proxy:
        writer = BulkWriter(connected(proxy.url), index)
        writer.write([index_write({"sku": "a"}, 1)])
        proxy.mode = "refuse"
        with ThreadPoolExecutor(3) as pool:
            waiting = [pool.submit(writer.write, [index_write({"sku": f"b{n}"}, 1)]) for n in range(3)]
            time.sleep(3)
            began = time.monotonic()
            writer.stop()
            for one in waiting:
                with pytest.raises(EngineError, match="was stopped"):
                    one.result()
        assert time.monotonic() - began < 2
        proxy.mode = "pass"
        writer.close()


@pytest.mark.filterwarnings("ignore:this request accesses system indices")
def test_a_full_disk_is_waited_for_and_said(any_client: OpenSearch, index: str) -> None:
    said: list[str] = []
    disk = "cluster.routing.allocation.disk"
    marks = {f"{disk}.watermark.low": "0.1%", f"{disk}.watermark.high": "0.2%", f"{disk}.watermark.flood_stage": "0.3%"}
    watched = {"cluster.info.update.interval": "10s", f"{disk}.threshold_enabled": True}

    def set_transient(settings: dict[str, Any]) -> None:
        any_client.cluster.put_settings(body={"transient": settings})

    with BulkWriter(any_client, index, say=said.append, give_up_after_s=20) as writer:
        writer.write([index_write({"sku": "a"}, 1)])
        set_transient({**watched, **marks})
        try:
            wait_for(lambda: "read_only_allow_delete" in str(any_client.indices.get_settings(index=index)), 60)
            space = threading.Timer(3, set_transient, [dict.fromkeys(marks)])
            space.start()
            done = writer.write([index_write({"sku": "b"}, 1)])
            space.join()
        finally:
            blocks = {"cluster.blocks.create_index": None}  # above the high watermark it makes no index either
            reset = {"transient": dict.fromkeys({**watched, **marks}) | blocks, "persistent": blocks}
            any_client.cluster.put_settings(body=reset)
            any_client.indices.put_settings(index="_all", body={"index.blocks.read_only_allow_delete": None})
    assert statuses(done) == ["written"]
    assert "disk is full: free space" in said[0]
    assert "takes writes again" in said[-1]
    assert len(said) == 2
    assert set(stored(any_client, index)) == {"a", "b"}


def wait_for(condition: Callable[[], bool], timeout_s: float) -> None:
    until = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.5)


@pytest.fixture(scope="module")
def small_engine(home: Path, slot: int) -> Iterator[Engine]:
    """OpenSearch 2.19.1 that takes requests up to 1 MB, two at a time, and keeps one waiting."""
    purge_small(home, slot)
    yield start_small(home, slot)
    purge_small(home, slot)


def purge_small(home: Path, slot: int) -> None:
    for engine in list_engines(home, OWN_PORT + slot):
        stop_engine(home, engine.name, purge=True)


def start_small(home: Path, slot: int) -> Engine:
    return start_engine(
        home,
        "2.19.1",
        OWN_PORT + slot,
        heap=HEAP,
        downloads=default_home() / "downloads",
        settings={"thread_pool.write.queue_size": "1", "http.max_content_length": "1mb"},
    )


@pytest.fixture
def small_client(small_engine: Engine, index: str) -> Iterator[OpenSearch]:
    with prepared(small_engine.url, index) as opened:
        yield opened


def test_a_busy_engine_gets_its_time_and_every_write(small_client: OpenSearch, index: str) -> None:
    writes = documents(6_000)
    with BulkWriter(small_client, index) as writer:
        done = write_from_threads(writer, writes, threads=12, batch=50)
        found = writer.statistics
    assert_all_there(small_client, index, writes, done)
    assert found.retries > 0, "the engine refused nothing, so nothing was tested"


def test_requests_that_are_too_large_are_split_and_a_document_that_is_is_refused(
    small_client: OpenSearch, index: str
) -> None:
    writes = [index_write({"sku": f"p{n}", "price": n, "text": "x" * 90_000}, 10) for n in range(60)]
    huge = index_write({"sku": "huge", "text": "x" * 1_100_000}, 10)
    with BulkWriter(small_client, index) as writer:
        done = writer.write([*writes[:30], huge, *writes[30:]])
        requests = writer.statistics.requests
        done_again = writer.write(writes)
        assert writer.statistics.requests - requests < 20  # what was learnt is kept
    assert done.pop(30).status == "refused"
    assert_all_there(small_client, index, writes, done)
    assert statuses(done_again) == ["written"] * 60


def test_a_document_that_is_refused_for_its_size_says_so(small_client: OpenSearch, index: str) -> None:
    with BulkWriter(small_client, index) as writer:
        [done] = writer.write([index_write({"sku": "huge", "text": "x" * 1_100_000}, 10)])
    assert (done.status, done.code) == ("refused", "too_large")
    assert "its 1,100,124 bytes are too many, even alone: no request may be so large (HTTP 413)" in done.message


def test_an_engine_that_is_killed_and_started_again_is_waited_for(
    small_client: OpenSearch, index: str, small_engine: Engine, home: Path, slot: int
) -> None:
    writes = documents()
    said: list[str] = []
    with BulkWriter(connected(small_engine.url), index, say=said.append, give_up_after_s=300) as writer:
        done = writer.write(writes[:100])

        def restart() -> None:
            os.kill(small_engine.pid, signal.SIGKILL)
            wait_for(lambda: is_free(OWN_PORT + slot), 30)
            start_small(home, slot)

        trouble = threading.Timer(0.2, restart)
        trouble.start()
        while len(done) < len(writes):
            done += write_from_threads(writer, writes[len(done) :][:400], threads=2)
            time.sleep(0.1)
        trouble.join()
        assert writer.statistics.waited_s > 5
    assert_all_there(small_client, index, writes, done)
    assert "not reachable" in said[0]
    assert "takes writes again" in said[-1]
