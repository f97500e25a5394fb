"""The real embedder: Ray Serve in front of the packaged MiniLM, and its life on this machine."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import numpy as np
import pytest

from prodsim.embedder.client import EmbedderClient
from prodsim.embedder.encoder import encode
from prodsim.embedder.loading import open_encoder
from prodsim.embedder.model_files import packaged_model_folder
from prodsim.embedder.processes import MARK, all_processes, environment, is_alive, marked, stop_marked
from prodsim.embedder.server import files_of_ray
from prodsim.embedder.settings import EmbedderSettings, ModelSettings
from prodsim.plugin.errors import EmbedderError

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

pytestmark = pytest.mark.embedder

BIN = Path(sys.executable).parent
TEXTS = [
    "warm jacket",
    "Waterproof hiking boots with a wide fit, made of full-grain leather",
    "naïve café crème brûlée",
    "防水外套",
    "x",
    "a text that is longer than the model reads " * 60,
    '"quotes" and \\backslashes\\ and ${parameters.input}\nnew lines',
]


@pytest.fixture(scope="module")
def client(embedder_url: str) -> Iterator[EmbedderClient]:
    with EmbedderClient(embedder_url) as client:
        yield client


@pytest.fixture(scope="module")
def bare() -> SentenceTransformer:
    """The same model without any server."""
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(packaged_model_folder()), device="cpu", local_files_only=True)


@pytest.fixture
def surroundings(tmp_path: Path) -> dict[str, str]:
    """An environment with a home of its own and everything that could lead Ray or HTTP astray."""
    return os.environ | {
        "PRODSIM_HOME": str(tmp_path),
        "PRODSIM_EMBEDDER_URL": "http://127.0.0.1:8951",
        "RAY_ADDRESS": "192.0.2.1:6379",
        "http_proxy": "http://127.0.0.1:1",
        "https_proxy": "http://127.0.0.1:1",
        "TMPDIR": str(tmp_path),
    }


def admin(surroundings: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(BIN / "prodsim-admin"), "embedder", *arguments]
    return subprocess.run(command, env=surroundings, capture_output=True, text=True, timeout=240, check=False)


def started_with(setting: str) -> list[int]:
    """Ids of the processes with this in their environment."""
    return [pid for pid in all_processes() if setting.encode() in environment(pid) and is_alive(pid)]


def get(url: str, path: str) -> tuple[int, str]:
    """Status and content; 0 where nothing answers."""
    try:
        response = httpx.get(url + path, trust_env=False, timeout=5)
    except httpx.TransportError:
        return 0, ""
    return response.status_code, response.text


def until(condition: Callable[[], bool], timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.1)


def test_vectors_are_those_of_the_bare_model(client: EmbedderClient, bare: SentenceTransformer) -> None:
    vectors, weights = client.embed(TEXTS, "passage")
    assert vectors == pytest.approx(bare.encode_document(TEXTS, normalize_embeddings=True), abs=1e-4)
    assert weights.tolist() == [1] * len(TEXTS)
    queries, weights = client.embed(TEXTS, "query")
    read = weights > 0
    assert [text for text, weight in zip(TEXTS, weights, strict=True) if not weight] == ["防水外套"]  # it knows English
    assert queries[read] == pytest.approx(bare.encode_query(TEXTS, normalize_embeddings=True)[read], abs=1e-4)


def test_the_model_says_what_it_is(client: EmbedderClient) -> None:
    model = client.model()
    assert (model.id, model.dimension, model.max_tokens) == ("all-minilm-l6-v2", 384, 256)
    assert len(model.revision) == 12


def test_of_a_matryoshka_model_the_leading_dimensions_are_kept_at_length_1_and_are_another_revision() -> None:
    whole, short = open_encoder(ModelSettings()), open_encoder(ModelSettings(dimension=128))
    assert (short.card.dimension, short.card.revision != whole.card.revision) == (128, True)
    leading = encode(whole, TEXTS, "passage").vectors[:, :128]
    expected = leading / np.linalg.norm(leading, axis=1, keepdims=True)
    assert encode(short, TEXTS, "passage").vectors == pytest.approx(expected, abs=1e-5)


def test_blank_text_weighs_nothing_and_has_a_unit_vector(client: EmbedderClient) -> None:
    vectors, weights = client.embed(["", "warm jacket", " \t\n\u200b"], "query")
    assert weights.tolist() == [0, 1, 0]
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-5)


def test_more_texts_than_one_request_takes_come_back_in_order(client: EmbedderClient) -> None:
    few = ["red scarf", "garden hose", "running shoes with a wide fit"]
    expected, _ = client.embed(few, "passage")
    vectors, _ = client.embed([few[i % 3] for i in range(600)], "passage")
    assert vectors == pytest.approx(expected[np.arange(600) % 3], abs=1e-5)


def test_64_queries_at_once_get_the_vectors_they_get_alone(client: EmbedderClient) -> None:
    texts = [f"{'very ' * (i % 7)}warm jacket number {i}" for i in range(64)]
    alone = np.concatenate([client.embed([text], "query")[0] for text in texts])
    with ThreadPoolExecutor(64) as pool:
        together = np.concatenate(list(pool.map(lambda text: client.embed([text], "query")[0], texts)))
    assert together == pytest.approx(alone, abs=1e-5)


def test_a_single_query_is_answered_without_a_network_stall(client: EmbedderClient, bare: SentenceTransformer) -> None:
    """An answer in two writes costs 40 ms more (Nagle's algorithm and delayed acknowledgements)."""

    def best_s(run: Callable[[], object]) -> float:
        times = []
        for _ in range(40):
            started = time.perf_counter()
            run()
            times.append(time.perf_counter() - started)
        return min(times)

    client.embed(["warm jacket"], "query")
    served = best_s(lambda: client.embed(["warm jacket"], "query"))
    assert served < best_s(lambda: bare.encode_query(["warm jacket"])) + 0.030


def test_hostile_bodies_are_refused_behind_the_proxy_too(embedder_url: str) -> None:
    bodies = [b"", b"{", b'{"input": "\\ud800"}', b'{"input": NaN}', b'{"input": [[1]]}', b"[" * 9000, b"\xff" * 100]
    for body in bodies:
        answer = httpx.post(f"{embedder_url}/v1/embeddings", content=body, trust_env=False)
        assert answer.status_code == 400, body
        assert answer.json()["error"]["type"] == "invalid_request_error"


def test_a_gpu_that_is_not_there_is_an_error_that_says_so() -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    with pytest.raises(EmbedderError, match="torch finds none"):
        open_encoder(EmbedderSettings(device="cuda"))


def test_up_status_logs_and_down(surroundings: dict[str, str], tmp_path: Path) -> None:
    assert admin(surroundings, "down").stdout == "no embedder of `up` is running\n"
    up = admin(surroundings, "up", "--model", "fake-32")
    assert up.returncode == 0, up.stderr
    assert "fake-32 ready at http://127.0.0.1:8951 after" in up.stdout
    mark = json.loads((tmp_path / "embedder" / "running.json").read_text())["mark"]
    try:
        again = admin(surroundings, "up", "--model", "fake-32")
        assert (again.returncode, "was up at" in again.stdout) == (0, True)
        other = admin(surroundings, "up", "--model", "fake-64")
        assert (other.returncode, "embedder down" in other.stderr) == (1, True)
        status = json.loads(admin(surroundings, "status", "--json").stdout)
        assert status["ready"]
        assert status["models"][0]["dimension"] == 32
        assert status["processes"] == len(marked(mark))
        assert "ready at http://127.0.0.1:8951" in admin(surroundings, "logs").stdout

        (encoder,) = [
            pid for pid in marked(mark) if b"model-fake-32:encoder" in Path(f"/proc/{pid}/cmdline").read_bytes()
        ]
        os.kill(encoder, signal.SIGKILL)
        with EmbedderClient("http://127.0.0.1:8951") as client:
            assert client.embed(["a killed replica is replaced"], "passage")[0].shape == (1, 32)
    finally:
        down = admin(surroundings, "down")
    assert down.stdout == "embedder at http://127.0.0.1:8951 stopped\n"
    assert started_with(f"PRODSIM_HOME={tmp_path}") == []
    assert not files_of_ray(mark).exists()
    assert get("http://127.0.0.1:8951", "/healthz") == (0, "")


def test_a_loading_embedder_is_alive_but_not_ready_and_one_that_fails_to_load_ends(
    surroundings: dict[str, str], tmp_path: Path
) -> None:
    model = tmp_path / "model"
    shutil.copytree(packaged_model_folder(), model)
    (model / "config.json").write_text('{"model_type": "no-such-architecture"}')
    command = [str(BIN / "prodsim-admin"), "embedder", "serve", "--model", str(model)]
    server = subprocess.Popen(command, env=surroundings, stderr=subprocess.PIPE, text=True)
    try:
        alive: list[int] = []
        seen: list[tuple[int, str]] = []
        while server.poll() is None:
            seen.append(get("http://127.0.0.1:8951", "/readyz"))
            alive.append(get("http://127.0.0.1:8951", "/healthz")[0])
            time.sleep(0.1)
        log = server.communicate()[1]
    finally:
        server.terminate()
    assert 200 in alive
    assert any(status == 503 and "is loading" in text for status, text in seen)
    assert not any(status == 200 for status, _ in seen)
    assert server.returncode == 1
    assert log.splitlines()[-1].startswith(f"prodsim-admin: the model in {model} can't be loaded: ")
    assert started_with(f"PRODSIM_HOME={tmp_path}") == []


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--model", "/no/such/folder"], "no model at /no/such/folder"),
        (["--model", "tests"], "no sentence-transformers model"),
        (["--model", "fake-32", "--port", "8953"], "can't listen on 127.0.0.1 port 8953"),
        (["--model", "fake-32", "--host", "192.0.2.77"], "can't listen on 192.0.2.77"),
    ],
)
def test_what_can_be_known_before_is_said_before_anything_starts(
    surroundings: dict[str, str], arguments: list[str], says: str
) -> None:
    with socket.create_server(("127.0.0.1", 8953)):
        for command in ("serve", "up"):
            started = time.monotonic()
            refused = admin(surroundings, command, *arguments)
            assert refused.returncode == 1
            assert says in refused.stderr.splitlines()[-1]
            assert time.monotonic() - started < 20


def test_a_serve_configuration_file_runs_the_application(tmp_path: Path) -> None:
    configuration = tmp_path / "serve.yaml"
    configuration.write_text(
        """
        http_options: {host: 127.0.0.1, port: 8952}
        applications:
          - name: embedder
            route_prefix: /
            import_path: prodsim.embedder.app:build_app
            args: {model: fake-24, max_items: 7}
        """
    )
    mark = secrets.token_hex(8)
    with tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp") as folder:
        ray = {
            "RAY_TMPDIR": folder,
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": mark * 4,
        }
        surroundings = os.environ | {MARK: mark} | ray
        command = [str(BIN / "serve"), "run", "--address", "local", str(configuration)]
        server = subprocess.Popen(
            command,
            env=surroundings,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            # a run of the tests in the background ignores Ctrl-C, and its children would inherit that
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        try:
            with EmbedderClient("http://127.0.0.1:8952") as client:
                until(lambda: server.poll() is not None or client.ready(), 240)
                model = client.model()
                assert (model.id, model.dimension, model.max_items) == ("fake-24", 24, 7)
        finally:
            server.send_signal(signal.SIGINT)
            try:
                server.wait(30)
            finally:
                stop_marked(mark)
                server.wait()
