"""The embedder's HTTP API over the fake encoder, in this process."""

from __future__ import annotations

import asyncio
import base64
import string
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from prodsim.embedder.api import create_api
from prodsim.embedder.batching import Batcher
from prodsim.embedder.encoder import Encoded, InputType, encode
from prodsim.embedder.fake import FakeEncoder
from prodsim.embedder.served_model import ServedModel
from prodsim.embedder.settings import EmbedderSettings
from prodsim.plugin.errors import EmbedderError, EmbedderNotReady

SETTINGS = EmbedderSettings(
    model="fake-16", max_items=8, max_characters=1000, max_body_bytes=20_000, max_queued_items=64, request_timeout_s=2
)
JSON = {"content-type": "application/json"}


def serve(encoder: FakeEncoder) -> ServedModel:
    async def run(texts: list[str], input_type: InputType) -> Encoded:
        if "dead" in texts[0]:
            raise EmbedderNotReady("no replica answers")
        if "poison" in " ".join(texts):
            raise EmbedderError("the model choked")
        return encode(encoder, texts, input_type)

    model = ServedModel(encoder.card.id, Batcher(run, max_batch_size=4, max_queued_items=SETTINGS.max_queued_items))
    model.card = encoder.card
    model.was_ready = True
    return model


MODEL = serve(FakeEncoder("fake-16", 16))
OTHER = serve(FakeEncoder("other", 8))


@pytest.fixture(scope="module")
def api() -> Iterator[TestClient]:
    with TestClient(create_api(lambda: {MODEL.id: MODEL}, SETTINGS), raise_server_exceptions=False) as client:
        yield client


def embed(api: TestClient, input_: Any, **fields: Any) -> list[dict[str, Any]]:
    response = api.post("/v1/embeddings", json={"input": input_, **fields})
    assert response.status_code == 200, response.text
    data: list[dict[str, Any]] = response.json()["data"]
    return data


def refusal(response: Any, status: int) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    error: dict[str, Any] = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["message"]
    return error


def test_a_text_is_answered_in_the_openai_shape_with_a_weight(api: TestClient) -> None:
    answer = api.post("/v1/embeddings", json={"input": "warm jacket"}).json()
    assert {key: answer[key] for key in ("object", "model", "usage")} == {
        "object": "list",
        "model": "fake-16",
        "usage": {"prompt_tokens": 2, "total_tokens": 2},
    }
    (item,) = answer["data"]
    assert (item["object"], item["index"], item["weight"]) == ("embedding", 0, 1.0)
    assert np.linalg.norm(item["embedding"]) == pytest.approx(1, abs=1e-6)


def test_texts_are_answered_in_their_order_whatever_their_length(api: TestClient) -> None:
    texts = ["a b c d e f g", "boots", "a red scarf", "b", "long " * 50, "warm jacket"]
    together = embed(api, texts)
    assert [item["index"] for item in together] == list(range(6))
    for text, item in zip(texts, together, strict=True):
        assert item["embedding"] == pytest.approx(embed(api, text)[0]["embedding"], abs=1e-6)


def test_texts_that_share_words_are_closer(api: TestClient) -> None:
    query, near, far = (
        np.array(item["embedding"]) for item in embed(api, ["warm jacket", "a warm winter jacket", "garden hose"])
    )
    assert query @ near > query @ far + 0.2


@pytest.mark.parametrize("blank", ["", "   ", "\t\n", "\u3000", "\u200b\ufeff", " \u00ad "])
def test_blank_text_weighs_nothing_and_still_has_a_valid_vector(api: TestClient, blank: str) -> None:
    blank_item, item = embed(api, [blank, "jacket"])
    assert (blank_item["weight"], item["weight"]) == (0.0, 1.0)
    assert (blank_item["found_by"], item["found_by"]) == ("sku", "embedding")
    assert len(blank_item["embedding"]) == 16
    assert np.linalg.norm(blank_item["embedding"]) == pytest.approx(1)


def test_text_in_which_the_model_finds_nothing_weighs_nothing(api: TestClient) -> None:
    (item,) = embed(api, "!?!")
    assert item["weight"] == 0.0
    assert np.linalg.norm(item["embedding"]) == pytest.approx(1)


def test_base64_holds_the_same_vector_as_little_endian_float32(api: TestClient) -> None:
    (plain,) = embed(api, "warm jacket")
    (packed,) = embed(api, "warm jacket", encoding_format="base64")
    vector = np.frombuffer(base64.b64decode(packed["embedding"]), dtype="<f4")
    assert vector.tolist() == pytest.approx(plain["embedding"], abs=1e-7)


def test_fields_of_openai_clients_are_accepted(api: TestClient) -> None:
    fields = {"model": "fake-16", "encoding_format": "float", "dimensions": 16, "user": "shop", "input_type": "query"}
    assert len(embed(api, ["warm jacket"], **fields)) == 1


def test_another_dimension_is_refused_by_name(api: TestClient) -> None:
    error = refusal(api.post("/v1/embeddings", json={"input": "x", "dimensions": 8}), 400)
    assert error["param"] == "dimensions"
    assert "16" in error["message"]


def test_an_unknown_model_is_answered_404_with_the_known_ones(api: TestClient) -> None:
    error = refusal(api.post("/v1/embeddings", json={"input": "x", "model": "gpt"}), 404)
    assert error["code"] == "model_not_found"
    assert "fake-16" in error["message"]
    refusal(api.get("/v1/models/gpt"), 404)


def test_a_model_must_be_named_where_there_are_several() -> None:
    with TestClient(create_api(lambda: {MODEL.id: MODEL, OTHER.id: OTHER}, SETTINGS)) as api:
        error = refusal(api.post("/v1/embeddings", json={"input": "x"}), 400)
        assert "fake-16, other" in error["message"]
        assert len(embed(api, "x", model="other")[0]["embedding"]) == 8
        assert [model["id"] for model in api.get("/v1/models").json()["data"]] == ["fake-16", "other"]


def test_models_tell_dimension_revision_and_limits(api: TestClient) -> None:
    (model,) = api.get("/v1/models").json()["data"]
    assert model["id"] == "fake-16"
    assert (model["object"], model["owned_by"], model["similarity"]) == ("model", "prodsim", "cosine")
    assert (model["dimension"], model["max_tokens"], model["max_items"]) == (16, 256, 8)
    assert len(model["revision"]) == 12
    assert api.get("/v1/models/fake-16").json() == model


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "input"),
        ({"input": None}, "input"),
        ({"input": []}, "input"),
        ({"input": {}}, "input"),
        ({"input": 3}, "input"),
        ({"input": True}, "input"),
        ({"input": [1, 2, 3]}, "input[0]"),
        ({"input": [[1, 2]]}, "input[0]"),
        ({"input": ["a", None]}, "input[1]"),
        ({"input": ["a", ["b"]]}, "input[1]"),
        ({"input": "a\0b"}, "input"),
        ({"input": ["a", "\0"]}, "input[1]"),
        ({"input": "a", "model": 3}, "model"),
        ({"input": "a", "user": {}}, "user"),
        ({"input": "a", "input_type": "document"}, "input_type"),
        ({"input": "a", "input_type": ["query"]}, "input_type"),
        ({"input": "a", "encoding_format": "int8"}, "encoding_format"),
        ({"input": "a", "dimensions": "16"}, "dimensions"),
        ({"input": "a", "dimensions": True}, "dimensions"),
        ({"input": "a", "dimensions": -1}, "dimensions"),
        ({"input": "a", "inputs": "b"}, "inputs"),
    ],
)
def test_a_wrong_field_is_refused_by_its_name(api: TestClient, body: dict[str, Any], param: str) -> None:
    assert refusal(api.post("/v1/embeddings", json=body), 400)["param"] == param


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b'"text"',
        b"{",
        b'{"input": NaN}',
        b'{"input": "a", "dimensions": 1e999}',
        b'{"input": "\\ud800"}',
        b'{"input": "\\udc00 tail"}',
        b'{"input": "\xff\xfe"}',
        b'{"input": "\xed\xa0\x80"}',
        b'{"input": "a\0"}',
        b'{"input": ' + b"[" * 5000 + b"]" * 5000 + b"}",
        b'{"input": ' + b'{"a":' * 3000 + b"1" + b"}" * 3000 + b"}",
        b'{"input": "a"} {"input": "b"}',
    ],
    ids=lambda body: repr(body[:24]),
)
def test_a_broken_body_is_refused(api: TestClient, body: bytes) -> None:
    refusal(api.post("/v1/embeddings", content=body, headers=JSON), 400)


def test_too_much_is_refused_with_413(api: TestClient) -> None:
    assert refusal(api.post("/v1/embeddings", json={"input": ["a"] * 9}), 413)["param"] == "input"
    assert refusal(api.post("/v1/embeddings", json={"input": ["a", "b" * 1001]}), 413)["param"] == "input[1]"
    refusal(api.post("/v1/embeddings", json={"input": ["a" * 999] * 30}), 413)


def test_a_body_without_a_declared_length_is_held_to_the_limit_too(api: TestClient) -> None:
    endless = (b" " * 1000 for _ in range(100))
    refusal(api.post("/v1/embeddings", content=endless, headers=JSON), 413)


@pytest.mark.parametrize(
    "headers",
    [
        {"content-type": "application/x-www-form-urlencoded"},
        {"content-type": "text/plain"},
        {"content-type": "application/json; charset=latin-1"},
        {"content-type": "application/json", "content-encoding": "gzip"},
    ],
)
def test_other_media_types_are_refused(api: TestClient, headers: dict[str, str]) -> None:
    refusal(api.post("/v1/embeddings", content=b'{"input": "a"}', headers=headers), 415)


def test_unknown_paths_and_methods_get_error_objects(api: TestClient) -> None:
    refusal(api.get("/v2/anything"), 404)
    refused = api.get("/v1/embeddings")
    refusal(refused, 405)
    assert refused.headers["allow"] == "POST"


def test_a_loading_model_is_alive_and_not_ready() -> None:
    loading = ServedModel("fake-16", MODEL.batcher)
    with TestClient(create_api(lambda: {loading.id: loading}, SETTINGS)) as api:
        assert api.get("/healthz").status_code == 200
        for response in (api.get("/readyz"), api.get("/v1/models"), api.post("/v1/embeddings", json={"input": "a"})):
            assert "loading" in refusal(response, 503)["message"]
            assert int(response.headers["retry-after"]) >= 1


def test_a_loaded_model_is_ready(api: TestClient) -> None:
    assert api.get("/healthz").status_code == 200
    assert api.get("/readyz").status_code == 200


def test_a_lost_replica_is_answered_503_and_a_failing_model_500(api: TestClient) -> None:
    lost = api.post("/v1/embeddings", json={"input": "dead"})
    assert "no replica" in refusal(lost, 503)["message"]
    assert "retry-after" in lost.headers
    assert "choked" in refusal(api.post("/v1/embeddings", json={"input": "poison"}), 500)["message"]


async def slow(texts: list[str], input_type: InputType) -> Encoded:
    await asyncio.sleep(0.3)
    return encode(FakeEncoder("fake-16", 16), texts, input_type)


@pytest.mark.parametrize("limit", [{"max_ongoing_requests": 3}, {"max_items": 3, "max_queued_items": 3}])
def test_more_than_can_be_held_is_answered_429_at_once_and_the_rest_is_answered(limit: dict[str, int]) -> None:
    limits = EmbedderSettings(model="fake-16", **limit)  # type: ignore[arg-type]  # the fields in `limit` are all int
    model = ServedModel("fake-16", Batcher(slow, max_batch_size=1, max_queued_items=limits.max_queued_items))
    model.card, model.was_ready = MODEL.card, True

    async def ask() -> list[httpx.Response]:
        transport = httpx.ASGITransport(create_api(lambda: {model.id: model}, limits))
        async with httpx.AsyncClient(transport=transport, base_url="http://embedder") as client:
            posts = [client.post("/v1/embeddings", json={"input": f"text {i}"}, timeout=30) for i in range(6)]
            return await asyncio.gather(*posts)

    answers = asyncio.run(ask())
    refused = [answer for answer in answers if answer.status_code == 429]
    assert len(answers) - len(refused) == sum(answer.status_code == 200 for answer in answers) >= 3
    assert len(refused) >= 2
    assert all(answer.headers["retry-after"] and answer.json()["error"]["message"] for answer in refused)


def test_a_request_that_takes_too_long_is_answered_503() -> None:
    hasty = EmbedderSettings(model="fake-16", request_timeout_s=0.05)
    model = ServedModel("fake-16", Batcher(slow, max_batch_size=1, max_queued_items=9))
    model.card, model.was_ready = MODEL.card, True
    with TestClient(create_api(lambda: {model.id: model}, hasty)) as api:
        late = api.post("/v1/embeddings", json={"input": "a"})
        assert "0.05 s" in refusal(late, 503)["message"]
        assert late.headers["retry-after"]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
fields = st.sampled_from(["input", "model", "input_type", "encoding_format", "dimensions", "user", "x"])


@settings(deadline=None, max_examples=100)
@given(body=st.dictionaries(fields, json_values, max_size=6) | json_values)
def test_no_json_makes_the_embedder_fail(api: TestClient, body: Any) -> None:
    try:
        content = orjson.dumps(body)
    except orjson.JSONEncodeError:  # surrogates and huge numbers, which only a hand-made body can hold
        content = repr(body).encode("utf-8", "surrogatepass")
    response = api.post("/v1/embeddings", content=content, headers=JSON)
    assert response.status_code in {200, 400, 404, 413}, response.text
    orjson.loads(response.content)


@settings(deadline=None, max_examples=100)
@given(prefix=st.sampled_from([b"", b'{"input": "', b'{"input": [', b'{"input":']), body=st.binary(max_size=60))
def test_no_bytes_make_the_embedder_fail(api: TestClient, prefix: bytes, body: bytes) -> None:
    response = api.post("/v1/embeddings", content=prefix + body, headers=JSON)
    assert response.status_code in {200, 400, 413}, response.text


@settings(deadline=None, max_examples=50)
@given(
    name=st.sampled_from(["content-type", "content-encoding", "content-length", "transfer-encoding", "accept"]),
    value=st.text(string.ascii_letters + string.digits + " ;=/-\"'", max_size=30),
)
def test_no_header_makes_the_embedder_fail(api: TestClient, name: str, value: str) -> None:
    response = api.post("/v1/embeddings", content=b'{"input": "a"}', headers={**JSON, name: value})
    assert response.status_code in {200, 400, 413, 415}, response.text
