"""Who gets in, and what the operator sees."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from prodsim.embedder.api import create_api
from prodsim.embedder.cache import VectorCache
from prodsim.embedder.client import EmbedderClient
from prodsim.embedder.keys import KEYS_VARIABLE, Keys
from prodsim.embedder.metrics import Metrics
from prodsim.embedder.settings import EmbedderSettings
from prodsim.plugin.errors import EmbedderError

from .test_embedder_api import MODEL

ASK = {"input": "a very secret product"}


def api(keys: Path | None = None) -> TestClient:
    metrics = Metrics()
    metrics.watch({MODEL.id: MODEL}, VectorCache(0))
    settings = EmbedderSettings(model="fake-16", api_keys_file=keys)
    return TestClient(create_api(lambda: {MODEL.id: MODEL}, settings, lambda: metrics), raise_server_exceptions=False)


def status(client: TestClient, key: str | None, path: str = "/v1/embeddings") -> int:
    headers = {} if key is None else {"authorization": key}
    answer = client.post(path, json=ASK, headers=headers) if path == "/v1/embeddings" else client.get(path)
    return answer.status_code


@pytest.mark.parametrize("key", [None, "", "Bearer", "Bearer ", "Bearer wrong", "Basic alpha", "alpha", "Bearer alph"])
def test_without_one_of_the_keys_nothing_is_embedded(tmp_path: Path, key: str | None) -> None:
    file = tmp_path / "keys"
    file.write_text("# shop\nalpha\n\nbeta\n")
    client = api(file)
    assert status(client, key) == 401
    assert [status(client, f"Bearer {key}") for key in ("alpha", "beta")] == [200, 200]
    assert client.get("/v1/models").status_code == 401
    assert [client.get(path).status_code for path in ("/healthz", "/readyz", "/metrics")] == [200] * 3


def test_a_refusal_is_an_openai_error_that_names_no_key(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text("alpha\n")
    answer = api(file).post("/v1/embeddings", json=ASK, headers={"authorization": "Bearer wrong"})
    assert answer.json()["error"]["code"] == "invalid_api_key"
    assert answer.headers["www-authenticate"] == "Bearer"
    assert "alpha" not in answer.text


def test_keys_are_rotated_by_changing_the_file(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text("alpha\n")
    client = api(file)
    file.write_text("the-new-one\n")
    assert [status(client, f"Bearer {key}") for key in ("alpha", "the-new-one")] == [401, 200]
    file.unlink()
    assert status(client, "Bearer the-new-one") == 200


def test_keys_in_the_environment_count_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEYS_VARIABLE, "one, two")
    client = api()
    assert [status(client, key) for key in (None, "Bearer one", "bearer two", "Bearer one,")] == [401, 200, 200, 401]


@pytest.mark.parametrize("content", ["", "# nothing\n", None])
def test_a_key_file_without_keys_is_no_open_door(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "keys"
    if content is not None:
        file.write_text(content)
    with pytest.raises(EmbedderError, match="api_keys_file"):
        Keys(file)


def test_metrics_tell_of_requests_texts_latency_and_models_and_of_no_text() -> None:
    client = api()
    client.post("/v1/embeddings", json={"input": ["one", "two"], "input_type": "query"})
    client.post("/v1/embeddings", json={})
    text = client.get("/metrics").text
    assert 'prodsim_embedder_requests_total{status="200"} 1.0' in text
    assert 'prodsim_embedder_requests_total{status="400"} 1.0' in text
    assert 'prodsim_embedder_texts_total{input_type="query",model="fake-16"} 2.0' in text
    assert 'prodsim_embedder_seconds_count{input_type="query",stage="encode"} 1.0' in text
    assert f'revision="{MODEL.card.revision}"' in text if MODEL.card else False
    assert 'prodsim_embedder_queued_texts{input_type="passage",model="fake-16"} 0.0' in text


def test_a_log_line_of_a_failed_request_holds_no_text(caplog: pytest.LogCaptureFixture) -> None:
    records: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: records.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger("prodsim.embedder").addHandler(handler)
    try:
        api().post("/v1/embeddings", json={"input": ["poison", "a very secret product"]})
    finally:
        logging.getLogger("prodsim.embedder").removeHandler(handler)
    (line,) = records
    assert '"status":500' in line
    assert "secret" not in line


def test_the_api_describes_itself() -> None:
    described = api().get("/openapi.json").json()
    assert "/v1/embeddings" in described["paths"]
    assert described["paths"]["/v1/embeddings"]["post"]["requestBody"]["required"]


def test_the_client_sends_the_key_that_it_is_given_or_finds_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EMBEDDER_API_KEY", raising=False)
    with EmbedderClient("http://127.0.0.1:1") as plain, EmbedderClient("http://127.0.0.1:1", api_key="a") as told:
        assert "authorization" not in plain.transport.headers
        assert told.transport.headers["authorization"] == "Bearer a"
    monkeypatch.setenv("EMBEDDER_API_KEY", "b")
    with EmbedderClient("http://127.0.0.1:1") as found:
        assert found.transport.headers["authorization"] == "Bearer b"
