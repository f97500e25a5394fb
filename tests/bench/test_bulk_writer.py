"""What our bulk writer costs beside opensearch-py's helpers, and beside the engine's own limit."""

from __future__ import annotations

import os
import socket
import statistics
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from opensearchpy import OpenSearch, helpers

from prodsim.loaders.bulk.writer import BulkWriter, index_write
from prodsim.mappings.bundle import TextModel, index_body
from prodsim.plugin.client import connect
from prodsim.plugin.config import load_settings
from prodsim.plugin.indexes import FILLING
from tests.bench.measure import report, save

if TYPE_CHECKING:
    from prodsim.loaders.bulk.writes import Write

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "5"))
DOCUMENTS = int(os.environ.get("BENCH_DOCUMENTS", "20000"))
DIMENSION = 384
VECTOR = f"text_vector_{DIMENSION}"
THREADS = 4
BATCH_DOCUMENTS = 512
MOST_WALL = 0.7
MOST_CPU = 0.2
LEAST_OF_LIMIT = 0.9

pytestmark = pytest.mark.timeout(3600)

WORDS = [f"{kind}{number}" for number in range(40) for kind in ("jacket", "lamp", "wireless", "oak", "bottle")]


@dataclass(frozen=True)
class Run:
    """Seconds on the clock, and of this process's CPUs, threads included."""

    wall_s: float
    cpu_s: float


def make_documents(count: int) -> list[dict[str, Any]]:
    """Products as a load has them once they are embedded. Their vectors lie in groups, as those of real texts do."""
    random = np.random.default_rng(7)
    centres = random.standard_normal((200, DIMENSION))
    vectors = centres[random.integers(0, len(centres), count)] + 0.7 * random.standard_normal((count, DIMENSION))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    words = random.choice(WORDS, (count, 60))
    prices = random.uniform(5, 500, count).round(2).tolist()
    stamp = {"model": "all-minilm-l6-v2@bench", "loaded_at": "2026-01-01T00:00:00.000Z"}
    return [
        {
            "sku": f"SKU-{number:07d}",
            "title": " ".join(words[number][:8]),
            "description": " ".join(words[number]),
            "brand": f"Brand {number % 300}",
            "category": ["Home", f"Department {number % 20}", f"Shelf {number % 200}"],
            "tags": words[number][:4].tolist(),
            "attributes": {"color": ["red", "blue", "green"][number % 3], "size": str(number % 50)},
            "price": prices[number],
            "list_price": round(prices[number] * 1.2, 2),
            "currency": "EUR",
            "stock": number % 40,
            "rating": round(1 + number % 41 / 10, 1),
            "rating_count": number % 900,
            "popularity": number % 1000 / 1000,
            "created_at": "2025-06-01T00:00:00Z",
            "updated_at": "2026-01-01T00:00:00Z",
            "image_url": f"https://shop.example/images/{number}.jpg",
            VECTOR: vectors[number],
            "prodsim": {**stamp, "text_hash": f"{number:032x}"},
        }
        for number in range(count)
    ]


def ours(client: OpenSearch, index: str, documents: Sequence[dict[str, Any]]) -> None:
    with BulkWriter(client, index) as writer, ThreadPoolExecutor(THREADS) as pool:

        def write(start: int) -> None:
            some = documents[start : start + BATCH_DOCUMENTS]
            done = writer.write([index_write(document, 1) for document in some])
            assert all(one.status == "written" for one in done)

        list(pool.map(write, range(0, len(documents), BATCH_DOCUMENTS)))


def actions(index: str, documents: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """As the helpers take them; json has no numpy arrays."""
    for document in documents:
        yield {"_index": index, "_id": document["sku"], "_source": {**document, VECTOR: document[VECTOR].tolist()}}


def parallel(threads: int, chunk: int) -> Callable[[OpenSearch, str, Sequence[dict[str, Any]]], None]:
    def run(client: OpenSearch, index: str, documents: Sequence[dict[str, Any]]) -> None:
        wide = OpenSearch(client.transport.hosts, pool_maxsize=threads, timeout=120)
        given = helpers.parallel_bulk(wide, actions(index, documents), thread_count=threads, chunk_size=chunk)
        assert all(written for written, _ in given)
        wide.close()

    return run


def streaming(client: OpenSearch, index: str, documents: Sequence[dict[str, Any]]) -> None:
    assert all(written for written, _ in helpers.streaming_bulk(client, actions(index, documents)))


CONTENDERS = {
    "ours": ours,
    "parallel_bulk": parallel(4, 500),  # its defaults
    "parallel_bulk, 2 x 1000": parallel(2, 1000),
    "streaming_bulk": streaming,
}
HELPERS = [name for name in CONTENDERS if name != "ours"]
LIMIT = "bare sockets"


def requests_for(url: str, index: str, writes: Sequence[Write]) -> list[bytes]:
    """Whole HTTP requests of about the size that the writer starts with."""
    host = urlsplit(url).netloc
    lines = (b'{"index":{"_id":"%s"}}\n%s\n' % (write.sku.encode(), write.body) for write in writes)
    requests = []
    while body := b"".join(islice(lines, 330)):
        head = (
            f"POST /{index}/_bulk?filter_path=errors HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/x-ndjson\r\n"
        )
        requests.append(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    return requests


def post_all(url: str, requests: deque[bytes]) -> None:
    place = urlsplit(url)
    with socket.create_connection((place.hostname, place.port), timeout=120) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while True:
            try:
                request = requests.popleft()
            except IndexError:
                return
            connection.sendall(request)
            answer = b""
            while b'"errors":' not in answer or not answer.endswith(b"}"):
                part = connection.recv(65536)
                assert part, answer
                answer += part
            assert b"200 OK" in answer[:20]
            assert b'"errors":false' in answer


def post_from_sockets(url: str, requests: Sequence[bytes]) -> None:
    queue = deque(requests)
    threads = [threading.Thread(target=post_all, args=(url, queue)) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not queue


@pytest.fixture
def client(engine_url: str) -> Iterator[OpenSearch]:
    opened = connect(load_settings(engine_url=engine_url, engine_timeout_s=120))
    yield opened
    opened.indices.delete(index="bench-writer-*", ignore=[404])
    opened.close()


def product_index() -> dict[str, Any]:
    """As a load of a new index has it."""
    body = index_body(TextModel("bench", "1", DIMENSION))
    body["settings"]["index"] |= FILLING
    return body


def without_graph() -> dict[str, Any]:
    """The same, its vectors stored and not linked into a graph: an engine that has CPU to spare."""
    body = product_index()
    body["settings"]["index"]["knn"] = False
    for field in body["mappings"]["properties"].values():
        if field.get("type") == "knn_vector":
            del field["method"]
    return body


INDEXES = {"product index": product_index, "product index without its vector graph": without_graph}


def timed(client: OpenSearch, body: dict[str, Any], run: Callable[[str], None], number: int) -> Run:
    """One contender into a fresh index."""
    index = f"bench-writer-{number:06d}"
    client.indices.create(index=index, body=body)
    wall, cpu = time.perf_counter(), time.process_time()
    run(index)
    found = Run(time.perf_counter() - wall, time.process_time() - cpu)
    client.indices.refresh(index=index)
    assert client.count(index=index)["count"] == DOCUMENTS
    client.indices.delete(index=index)
    time.sleep(1)
    return found


def measure(client: OpenSearch, engine_url: str, body: dict[str, Any]) -> dict[str, list[Run]]:
    """Every contender in turn, ROUNDS times after a first one that warms the engine up."""
    documents = make_documents(DOCUMENTS)
    serialised = [index_write(document, None) for document in documents]
    runs: dict[str, list[Run]] = {name: [] for name in (*CONTENDERS, LIMIT)}
    for round_number in range(ROUNDS + 1):
        for place, (name, found) in enumerate(runs.items()):

            def run(index: str, name: str = name) -> None:
                if name == LIMIT:
                    post_from_sockets(engine_url, requests_for(engine_url, index, serialised))
                else:
                    CONTENDERS[name](client, index, documents)

            one = timed(client, body, run, round_number * len(runs) + place)
            if round_number:
                found.append(one)
    return runs


@pytest.mark.parametrize("kind", list(INDEXES))
def test_the_bulk_writer_outruns_the_clients_helpers_and_keeps_up_with_the_engine(
    client: OpenSearch, engine_url: str, kind: str
) -> None:
    runs = measure(client, engine_url, INDEXES[kind]())
    wall_s = {name: statistics.median(run.wall_s for run in found) for name, found in runs.items()}
    cpu_s = {name: statistics.median(run.cpu_s for run in found) for name, found in runs.items()}
    fastest = min(HELPERS, key=lambda name: wall_s[name])
    wall_ratio, cpu_ratio = wall_s["ours"] / wall_s[fastest], cpu_s["ours"] / cpu_s[fastest]
    of_limit, least_wall = wall_s[LIMIT] / wall_s["ours"], wall_s[LIMIT] / wall_s[fastest]
    report(
        f"bulk writing into the {kind}: {DOCUMENTS} documents with ready {DIMENSION}-d vectors, {ROUNDS} rounds, "
        f"{THREADS} threads",
        [
            f"{name:24} {wall_s[name]:6.2f} s {DOCUMENTS / wall_s[name]:7.0f} docs/s   client CPU {cpu_s[name]:6.2f} s"
            for name in runs
        ]
        + [
            f"wall, ours / {fastest}: {wall_ratio:.2f} (at most {MOST_WALL})",
            f"wall, {LIMIT} / {fastest}: {least_wall:.2f} (what the engine alone takes: no client gets below)",
            f"client CPU, ours / {fastest}: {cpu_ratio:.2f} (at most {MOST_CPU})",
            f"rate, ours / {LIMIT}: {of_limit:.2f} (at least {LEAST_OF_LIMIT})",
        ],
    )
    save(
        f"bulk_writer_{'graph' if kind == 'product index' else 'no_graph'}",
        {
            "index": kind,
            "documents": DOCUMENTS,
            "rounds": ROUNDS,
            "wall_s": {name: round(value, 3) for name, value in wall_s.items()},
            "client_cpu_s": {name: round(value, 3) for name, value in cpu_s.items()},
            "fastest_helper": fastest,
            "wall_ratio": round(wall_ratio, 3),
            "least_wall_ratio": round(least_wall, 3),
            "cpu_ratio": round(cpu_ratio, 3),
            "share_of_engine_limit": round(of_limit, 3),
        },
    )
    assert cpu_ratio <= MOST_CPU
    assert of_limit >= LEAST_OF_LIMIT
    assert wall_ratio <= MOST_WALL, f"bare sockets with ready bytes reach {least_wall:.2f}"
