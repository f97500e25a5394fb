"""The client against a server that misbehaves in every way a network can."""

from __future__ import annotations

import base64
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import pytest

from prodsim.embedder.client import EmbedderClient
from prodsim.embedder.encoder import ModelCard
from prodsim.embedder.served_model import Embedded
from prodsim.embedder.transport import open_pool
from prodsim.embedder.wire import describe_model, parse_embeddings_request, render_embeddings, render_error
from prodsim.plugin.errors import EmbedderError, EmbedderNotReady, EmbedderUnreachable

CARD = ModelCard("fake-4", 4, 256, "abc123abc123", 0)
Answer = tuple[int, dict[str, str], bytes]
DROP: Answer = (0, {}, b"")


def good(body: bytes) -> Answer:
    """What the real server would say; the vector's first number is the text's length."""
    wanted = parse_embeddings_request(body, 3)
    vectors = np.array([[len(text), 0, 0, 1] for text in wanted.inputs], dtype=np.float32)
    weights = np.array([float(bool(text)) for text in wanted.inputs], dtype=np.float32)
    return 200, {}, render_embeddings("fake-4", Embedded(vectors, weights, 1), wanted.encoding_format)


class Server:
    """Answers the next of `script`, then as the real server does.

    `bodies` are the embedding requests that it got, `paths` those of its GETs.
    """

    def __init__(self) -> None:
        self.script: list[Answer | Callable[[bytes], Answer]] = []
        self.models = [describe_model(CARD, 3)]
        self.ready: Answer = (200, {}, b'{"status":"ready"}')
        self.bodies: list[dict[str, Any]] = []
        self.paths: list[str] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                server.paths.append(self.path)
                if self.path == "/readyz":
                    self.answer(server.ready)
                else:
                    self.answer((200, {}, json.dumps({"object": "list", "data": server.models}).encode()))

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                server.bodies.append(json.loads(body))
                step = server.script.pop(0) if server.script else good
                self.answer(step(body) if callable(step) else step)

            def answer(self, answer: Answer) -> None:
                status, headers, content = answer
                if status == 0:
                    self.connection.shutdown(socket.SHUT_RDWR)
                    self.close_connection = True
                    return
                self.send_response(status)
                for name, value in {"content-type": "application/json", **headers}.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    thread = threading.Thread(target=server.http.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.http.shutdown()
    server.http.server_close()
    thread.join()


@pytest.fixture
def client(server: Server) -> Iterator[EmbedderClient]:
    with EmbedderClient(server.url, timeout_s=5) as client:
        yield client


def body(**fields: Any) -> bytes:
    item = {"object": "embedding", "index": 0, "embedding": [1, 0, 0, 0], "weight": 1.0}
    return json.dumps({"data": [item | fields], "model": "fake-4"}).encode()


def test_vectors_and_weights_come_as_float32_in_order_of_the_texts(client: EmbedderClient) -> None:
    vectors, weights = client.embed(["aaa", "", "a"], "passage")
    assert vectors.dtype == weights.dtype == np.float32
    assert vectors[:, 0].tolist() == [3, 0, 1]
    assert weights.tolist() == [1, 0, 1]


def test_long_lists_are_split_by_the_limit_that_the_server_names(client: EmbedderClient, server: Server) -> None:
    vectors, _ = client.embed(["a" * n for n in range(1, 9)], "query")
    assert vectors[:, 0].tolist() == list(range(1, 9))
    assert [len(body["input"]) for body in server.bodies] == [3, 3, 2]
    assert {body["input_type"] for body in server.bodies} == {"query"}


def test_long_texts_travel_in_smaller_requests(client: EmbedderClient, server: Server) -> None:
    client.embed(["a" * 600_000] * 3, "passage")
    assert [len(body["input"]) for body in server.bodies] == [1, 1, 1]


def test_no_texts_are_no_request(client: EmbedderClient, server: Server) -> None:
    vectors, weights = client.embed([], "passage")
    assert vectors.shape == (0, 4)
    assert weights.shape == (0,)
    assert not server.bodies


def test_vectors_out_of_order_are_put_in_order(client: EmbedderClient, server: Server) -> None:
    def reversed_answer(content: bytes) -> Answer:
        status, headers, answer = good(content)
        return status, headers, json.dumps({"data": json.loads(answer)["data"][::-1]}).encode()

    server.script = [reversed_answer]
    assert client.embed(["a", "bb"], "passage")[0][:, 0].tolist() == [1, 2]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"{}", "wrong answer"),
        (b"[]", "wrong answer"),
        (b'{"data": {}}', "wrong answer"),
        (b'{"data": []}', "0 vectors for 1 texts"),
        (b'{"data": [{}]}', "wrong answer"),
        (b'{"data": [null]}', "wrong answer"),
        (body(index=1), "not numbered"),
        (body(index="0"), "wrong answer"),
        (body(embedding=[1, 0, 0]), "a vector has 3 dimensions, model fake-4 has 4"),
        (body(embedding=[1, 0, 0, None]), "wrong answer|not numbers"),
        (body(embedding=[1, 0, 0, "x"]), "wrong answer"),
        (body(embedding=[[1], [0], [0], [0]]), "wrong answer"),
        (body(embedding="%%%"), "wrong answer"),
        (body(embedding="AAAA"), "wrong answer"),
        (body(embedding=base64.b64encode(np.full(4, np.nan, "<f4").tobytes()).decode()), "not numbers"),
        (body(embedding=base64.b64encode(np.full(4, np.inf, "<f4").tobytes()).decode()), "not numbers"),
        (body(weight=None), "wrong answer"),
        (b'{"data": [', "broken JSON"),
        (b'{"data": [{"index": 0, "embedding": [NaN, 0, 0, 0], "weight": 1}]}', "broken JSON"),
    ],
)
def test_a_wrong_answer_is_an_error_in_one_line(
    client: EmbedderClient, server: Server, content: bytes, says: str
) -> None:
    server.script = [(200, {}, content)]
    with pytest.raises(EmbedderError, match=says) as caught:
        client.embed(["a"], "passage")
    assert server.url in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_web_page_is_no_embedder(client: EmbedderClient, server: Server) -> None:
    server.script = [(200, {"content-type": "text/html"}, b"<html><body>Welcome\nto nginx</body></html>")]
    with pytest.raises(EmbedderError, match=r"text/html starting '<html>"):
        client.embed(["a"], "passage")


def test_a_refusal_is_passed_on_in_its_own_words_and_not_repeated(client: EmbedderClient, server: Server) -> None:
    server.script = [(400, {}, render_error(400, "input contains a NUL character", "input"))] * 2
    with pytest.raises(EmbedderError, match="400: input contains a NUL"):
        client.embed(["a\0"], "passage")
    assert len(server.bodies) == 1


def test_a_busy_embedder_is_asked_again_after_the_time_it_names(client: EmbedderClient, server: Server) -> None:
    server.script = [(503, {"retry-after": "1"}, render_error(503, "loading"))]
    started = time.monotonic()
    assert len(client.embed(["a"], "passage")[0]) == 1
    assert 1 <= time.monotonic() - started < 3


def test_dropped_connections_and_gateway_errors_are_tried_again(client: EmbedderClient, server: Server) -> None:
    server.script = [DROP, (502, {"content-type": "text/html"}, b"<h1>Bad gateway</h1>"), DROP, (500, {}, b"oops")]
    assert len(client.embed(["a"], "passage")[0]) == 1
    assert len(server.bodies) == 5


def test_an_embedder_that_stays_busy_is_given_up_at_the_deadline(server: Server) -> None:
    server.script = [(503, {}, render_error(503, "model is loading"))] * 100
    started = time.monotonic()
    with EmbedderClient(server.url, timeout_s=1) as client, pytest.raises(EmbedderNotReady, match="model is loading"):
        client.embed(["a"], "passage")
    assert time.monotonic() - started < 1.5
    assert len(server.bodies) > 2


def test_an_embedder_that_asks_to_wait_longer_than_the_deadline_is_given_up_at_once(server: Server) -> None:
    server.script = [(503, {"retry-after": "60"}, render_error(503, "overloaded"))]
    started = time.monotonic()
    with EmbedderClient(server.url, timeout_s=2) as client, pytest.raises(EmbedderNotReady, match="overloaded"):
        client.embed(["a"], "passage")
    assert time.monotonic() - started < 1


def test_a_failing_embedder_is_tried_three_times(client: EmbedderClient, server: Server) -> None:
    server.script = [(500, {}, render_error(500, "the model choked"))] * 9
    with pytest.raises(EmbedderError, match="choked"):
        client.embed(["a"], "passage")
    assert len(server.bodies) == 3


def test_a_hung_embedder_costs_the_timeout(server: Server) -> None:
    def hang(content: bytes) -> Answer:
        time.sleep(1)
        return good(content)

    server.script = [hang]
    with EmbedderClient(server.url, timeout_s=0.3) as client, pytest.raises(EmbedderUnreachable, match="in time"):
        client.embed(["a"], "passage")


def test_nothing_listening_is_said_at_once_with_what_to_do() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    started = time.monotonic()
    with EmbedderClient(url, timeout_s=30) as client:
        assert not client.ready()
        for call in (client.require_ready, client.models, lambda: client.embed(["a"], "query")):
            with pytest.raises(EmbedderUnreachable, match=f"{url} is not reachable: start it with 'prodsim-admin"):
                call()
    assert time.monotonic() - started < 2


@pytest.mark.parametrize("url", ["127.0.0.1:8901", "ftp://embedder", "http://", "http://[::1", "embedder", ""])
def test_what_is_no_url_is_refused_by_name(url: str) -> None:
    with pytest.raises(EmbedderError, match=r"embedder_url .* is no URL"):
        EmbedderClient(url)


def test_a_path_in_the_url_comes_before_those_of_the_api(server: Server) -> None:
    with EmbedderClient(f"{server.url}/behind/a/proxy/") as client:
        client.models()
    assert server.paths[-1] == "/behind/a/proxy/v1/models"


def test_a_key_that_no_header_can_carry_is_refused_without_showing_it() -> None:
    with pytest.raises(EmbedderError, match="API key") as caught:
        EmbedderClient("http://127.0.0.1:1", api_key="sec\nret")
    assert "ret" not in str(caught.value).replace("secret", "")


def test_an_embedder_that_answered_before_is_given_time_to_come_back(server: Server) -> None:
    with EmbedderClient(server.url, timeout_s=1) as client:
        client.models()
        server.http.shutdown()
        server.http.server_close()
        client.transport.close()
        client.transport.pool, _ = open_pool(server.url, None)
        started = time.monotonic()
        with pytest.raises(EmbedderUnreachable):
            client.embed(["a"], "passage")
    assert 0.3 < time.monotonic() - started < 1.5


def test_a_loading_embedder_is_not_ready_and_says_why(client: EmbedderClient, server: Server) -> None:
    assert client.ready()
    client.require_ready()
    server.ready = (503, {}, render_error(503, "model fake-4 is loading"))
    assert not client.ready()
    with pytest.raises(EmbedderNotReady, match="fake-4 is loading"):
        client.require_ready()


def test_another_web_server_is_not_ready(client: EmbedderClient, server: Server) -> None:
    server.ready = (200, {"content-type": "text/html"}, b"<html>")
    assert not client.ready()


def test_models_are_listed_with_dimension_and_revision(client: EmbedderClient) -> None:
    (model,) = client.models()
    assert (model.id, model.dimension, model.revision, model.max_tokens) == ("fake-4", 4, "abc123abc123", 256)
    assert client.model() == client.model("fake-4") == model


def test_an_unknown_model_is_refused_with_the_ones_there_are(client: EmbedderClient, server: Server) -> None:
    server.models.append(describe_model(ModelCard("clip", 512, 77, "r", 0), 3))
    with pytest.raises(EmbedderError, match="does not serve model 'gpt': there is fake-4, clip"):
        client.model("gpt")
    with pytest.raises(EmbedderError, match="several models, name one: fake-4, clip"):
        client.embed(["a"], "query")
    assert client.embed(["a"], "query", "fake-4")[0].shape == (1, 4)


@pytest.mark.parametrize("models", [None, [{}], [{"id": "x"}], [3], [{"id": "x", "dimension": 0}]])
def test_another_openai_server_is_no_prodsim_embedder(client: EmbedderClient, server: Server, models: Any) -> None:
    server.models = models
    with pytest.raises(EmbedderError, match="does not answer as a prodsim embedder"):
        client.models()


def test_a_proxy_in_the_environment_is_not_asked(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with EmbedderClient(server.url) as client:
        assert client.ready()


@pytest.mark.parametrize("text", ["\ud800", 3, None])
def test_what_is_no_text_is_an_error_before_anything_is_sent(client: EmbedderClient, server: Server, text: Any) -> None:
    with pytest.raises(EmbedderError, match="text"):
        client.embed([text], "passage")
