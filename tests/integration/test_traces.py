"""One load, followed from the loader to the embedder: by its spans at a collector, and by its id in both logs."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from prodsim.embedder.client import EmbedderClient
from prodsim.plugin.client import connect
from prodsim.plugin.config import Settings
from tests.conftest import drop

BIN = Path(sys.executable).parent
PORT = 8954


class Collector(ThreadingHTTPServer):
    """Takes traces as an OpenTelemetry collector does (OTLP over HTTP, protobuf)."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Takes)
        self.spans: list[tuple[str, Any]] = []
        """The sending service's name, and the span."""

    def named(self, service: str, name: str) -> list[Any]:
        return [span for sender, span in self.spans if (sender, span.name) == (service, name)]


class Takes(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        body = gzip.decompress(body) if self.headers.get("content-encoding") == "gzip" else body
        for group in ExportTraceServiceRequest.FromString(body).resource_spans:
            about = {item.key: item.value.string_value for item in group.resource.attributes}
            self.server.spans += [(about["service.name"], one) for part in group.scope_spans for one in part.spans]
        self.send_response(200 if self.path == "/v1/traces" else 404)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@pytest.fixture
def collector() -> Iterator[Collector]:
    server = Collector()
    Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def surroundings(collector: Collector, service: str, home: Path) -> dict[str, str]:
    return os.environ | {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.server_port}",
        "OTEL_SERVICE_NAME": service,
        "OTEL_BSP_SCHEDULE_DELAY": "200",
        "PRODSIM_HOME": str(home),
        "PRODSIM_LOG_FORMAT": "json",
        "PRODSIM_LOG_LEVEL": "debug",
    }


@pytest.fixture
def log(collector: Collector, tmp_path: Path) -> Iterator[Path]:
    """What a traced embedder writes."""
    path = tmp_path / "embedder.log"
    command = [str(BIN / "prodsim-admin"), "embedder", "serve", "--model", "fake-16", "--port", str(PORT)]
    with path.open("wb") as out:
        server = subprocess.Popen(
            command, env=surroundings(collector, "embedder", tmp_path / "served"), stdout=out, stderr=out
        )
    try:
        with EmbedderClient(f"http://127.0.0.1:{PORT}") as client:
            until(lambda: server.poll() is not None or client.ready(), 240)
        yield path
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(60)


def until(holds: Callable[[], object], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "did not happen in time"
        time.sleep(0.1)


def test_a_load_is_followed_to_the_embedder_by_its_spans_and_its_request_id(
    collector: Collector, log: Path, settings_for: Callable[..., Settings], alias: str, tmp_path: Path
) -> None:
    settings = settings_for(alias)
    file = tmp_path / "lamps.ndjson"
    file.write_text("".join(f'{{"sku": "L-{n}", "title": "brass lamp {n}"}}\n' for n in range(20)))
    places = {
        "PRODSIM_ENGINE_URL": settings.engine_url,
        "PRODSIM_EMBEDDER_URL": f"http://127.0.0.1:{PORT}",
        "PRODSIM_ALIAS": alias,
    }
    try:
        done = subprocess.run(
            [str(BIN / "prodsim-admin"), "load", str(file)],
            env=surroundings(collector, "loader", tmp_path / "loading") | places,
            capture_output=True,
            text=True,
            check=False,
            timeout=240,
        )
        assert done.returncode == 0, done.stderr
    finally:
        drop(connect(settings), alias)

    [batch] = [line for line in json_lines(done.stderr) if line["message"] == "batch"]
    run = batch["request_id"].partition(".")[0]
    assert run.startswith("prodsim-")
    request_id = f"{run}.batch-{batch['batch']}"

    def logged() -> list[dict[str, Any]]:
        return [line for line in json_lines(log.read_text()) if line.get("request_id") == request_id]

    until(lambda: logged() and collector.named("embedder", "embeddings"), 30)
    assert {(line["path"], line["status"]) for line in logged()} == {("/v1/embeddings", 200)}

    [sent] = collector.named("loader", "load batch")
    ours = [span for span in collector.named("embedder", "embeddings") if span.parent_span_id == sent.span_id]
    assert ours
    for span in ours:
        assert span.trace_id == sent.trace_id
        assert request_id in [item.value.string_value for item in span.attributes if item.key == "request_id"]
    assert "brass lamp" not in str(collector.spans), "traces hold no product"


def json_lines(text: str) -> list[dict[str, Any]]:
    """The JSON objects in a log; Ray writes lines of its own, and puts a process's name before ours."""
    found = []
    for line in text.splitlines():
        try:
            found.append(json.loads(line[line.index("{") :]))
        except ValueError:
            continue
    return found
