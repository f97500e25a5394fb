"""An embedder that a shop can leave running: models come and go, replicas die, strangers knock."""

from __future__ import annotations

import asyncio
import base64
import io
import os
import random
import signal
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import orjson
import pytest
from PIL import Image

from prodsim.embedder import local
from prodsim.embedder.client import EmbedderClient
from prodsim.embedder.models_file import read_models
from prodsim.embedder.processes import marked, memory_bytes
from prodsim.embedder.settings import ServerSettings
from tests.web_host import Host

pytestmark = pytest.mark.embedder

PORT = 18993
REQUESTS = 2000
IN_FLIGHT = 64
PHOTOS = "photos: {model: fake-48, kind: image}"
MODELS = f"models: {{minilm: {{replicas: 2}}, tiny: {{model: fake-32}}, {PHOTOS}}}"
OTHERS = f"models: {{minilm: {{replicas: 2}}, next: {{model: fake-64}}, {PHOTOS}}}"
KEY = "the-key-of-this-run"
AUTHORIZED = {"authorization": f"Bearer {KEY}"}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def file(home: Path) -> Path:
    file = home / "models.yaml"
    file.write_text(MODELS)
    return file


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    host = Host()
    yield host
    host.close()


@pytest.fixture(scope="module")
def running(home: Path, file: Path, host: Host) -> Iterator[local.Running]:
    """Asks for a key, and may fetch images from one host of this machine."""
    (home / "keys").write_text(KEY)
    settings = ServerSettings(
        models=read_models(file),
        models_file=file,
        port=PORT,
        api_keys_file=home / "keys",
        image_hosts=(host.place,),
        image_networks=("127.0.0.1/32",),
        image_timeout_s=2,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EMBEDDER_API_KEY", KEY)
        yield local.start(home, settings).running
        local.stop(home)


def replicas_of(running: local.Running, model: str) -> list[int]:
    wanted = f"model-{model}:encoder".encode()
    return [pid for pid in marked(running.mark) if wanted in Path(f"/proc/{pid}/cmdline").read_bytes()]


async def ask(client: httpx.AsyncClient, text: str) -> tuple[list[float], int]:
    """The vector, and how often it was asked for in vain; only a 503 may be asked again, once."""
    body = {"input": text, "model": "minilm", "input_type": "passage"}
    for tries in range(2):
        answer = await client.post("/v1/embeddings", json=body)
        if answer.status_code == 200:
            vector: list[float] = answer.json()["data"][0]["embedding"]
            return vector, tries
        assert answer.status_code == 503, answer.text
        await asyncio.sleep(float(answer.headers["retry-after"]))
    pytest.fail(f"not answered after a second try: {answer.text}")


async def ask_all(url: str, texts: list[str], victim: int | None = None) -> tuple[np.ndarray, int]:
    free = asyncio.Semaphore(IN_FLIGHT)
    answered = 0

    async def one(client: httpx.AsyncClient, text: str) -> tuple[list[float], int]:
        nonlocal answered
        async with free:
            answer = await ask(client, text)
        answered += 1
        if answered == len(texts) // 4 and victim is not None:
            os.kill(victim, signal.SIGKILL)
        return answer

    limits = httpx.Limits(max_connections=IN_FLIGHT)
    async with httpx.AsyncClient(
        base_url=url, trust_env=False, timeout=120, limits=limits, headers=AUTHORIZED
    ) as client:
        answers = await asyncio.gather(*(one(client, text) for text in texts))
    return np.array([vector for vector, _ in answers]), sum(tries for _, tries in answers)


def test_a_replica_that_is_killed_under_load_costs_no_answer(running: local.Running) -> None:
    texts = [f"{'very ' * (number % 5)}warm jacket number {number}" for number in range(REQUESTS)]
    victim = replicas_of(running, "minilm")[0]
    killed, asked_again = asyncio.run(ask_all(running.url, texts, victim))
    with EmbedderClient(running.url) as client:
        sample = random.Random(5).sample(range(REQUESTS), 300)
        # as queries: the model treats them alike, and the cache does not know them
        calm, _ = client.embed([texts[number] for number in sample], "query", "minilm")
    assert killed[sample] == pytest.approx(calm, abs=1e-5)
    assert asked_again <= 2 * IN_FLIGHT


def test_models_are_added_and_removed_while_the_others_answer(running: local.Running, home: Path, file: Path) -> None:
    before = set(replicas_of(running, "minilm"))
    file.write_text(OTHERS)
    assert local.reload(home, 120) == ["minilm", "next", "photos"]
    with EmbedderClient(running.url) as client:
        assert sorted(model.id for model in client.models()) == ["minilm", "next", "photos"]
        assert client.embed(["a"], "query", "next")[0].shape == (1, 64)
        assert client.embed(["a"], "query", "minilm")[0].shape == (1, 384)
    assert set(replicas_of(running, "minilm")) >= before - {min(before)}
    assert replicas_of(running, "next")


def test_a_file_that_can_t_be_used_changes_nothing(running: local.Running, home: Path, file: Path) -> None:
    file.write_text("models: {minilm: {replicas: 0}}")
    with pytest.raises(Exception, match=r"reload failed, the models stay as they were: .*replicas"):
        local.reload(home, 60)
    file.write_text(OTHERS)
    with EmbedderClient(running.url) as client:
        assert sorted(model.id for model in client.models()) == ["minilm", "next", "photos"]


def hostile_images(host: Host) -> list[bytes]:
    """Broken ones, bombs, and URLs that lead where they should not."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    def png(width: int, height: int, rows: bytes) -> bytes:
        header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
        packed = zlib.compress(rows, 9)
        return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")

    good = io.BytesIO()
    Image.effect_noise((64, 64), 80).save(good, "JPEG")
    chance = random.Random(9)
    files = [
        png(60_000, 60_000, b"\0" * 50_000_000),
        png(4_900, 4_900, b"\0" * 1_000_000),
        png(1, 16_000, b"\0" * 64_000),
        png(0, 0, b""),
        b"GIF89a" + b"\xff\xff" * 4 + b"\0" * 50,
        b"RIFF\xff\xff\xff\xffWEBPVP8X",
        b"<svg/>",
        b"\0" * 9_000_000,
    ]
    for _ in range(60):
        broken = bytearray(good.getvalue()[: chance.randint(10, len(good.getvalue()))])
        for _ in range(chance.randint(1, 8)):
            broken[chance.randrange(len(broken))] = chance.randrange(256)
        files.append(bytes(broken))
    urls = [
        host.answer("/loopback", status=302, location="http://127.0.0.2/"),
        host.answer("/metadata", status=302, location="http://169.254.169.254/latest/meta-data/"),
        host.answer("/file", status=302, location="file:///etc/passwd"),
        host.answer("/loop", status=302, location="/loop"),
        host.answer("/bomb.png", files[0]),
        host.answer("/page", b"<html>" * 1000),
        host.answer("/compressed", zlib.compress(b"\0" * 50_000_000), content_encoding="deflate"),
        f"http://localhost:{PORT}/metrics",
        "http://[::ffff:127.0.0.1]/",
        "http://user@127.0.0.1/",
        "http://\x00",
        "https://" + "a" * 5000,
    ]
    texts = [base64.b64encode(file).decode() for file in files] + urls
    return [orjson.dumps({"input": [{"image": text}], "model": "photos"}) for text in texts]


def hostile_requests(host: Host) -> list[tuple[bytes, dict[str, str]]]:
    chance = random.Random(7)
    good = b'{"input": "warm jacket", "model": "next"}'
    bodies = [
        b"",
        b"{",
        b"null",
        b"[" * 100_000,
        b'{"input":' + b"[" * 5000 + b"]" * 5000 + b"}",
        b'{"input": "\\ud800", "model": "next"}',
        b'{"input": [NaN], "model": "next"}',
        b'{"input": {"a": 1}, "model": "next"}',
        b'{"input": ["a", 3], "model": "next"}',
        b'{"input": [], "model": "next"}',
        b'{"input": "a", "model": 7}',
        b'{"input": "a", "model": "../../etc/passwd"}',
        b'{"input": "a", "dimensions": -1}',
        b'{"input": "a\\u0000b", "model": "next"}',
        b'{"input": "' + b"a" * 10_000_000 + b'", "model": "next"}',
        b'{"input": "' + b"a" * 20_000_000 + b'", "model": "next"}',
        b"\xff\xfe" * 1000,
        b'{"input": {"image": {"image": "a"}}, "model": "photos"}',
        b'{"input": [{"text": "a", "image": "b"}], "model": "photos"}',
        *hostile_images(host),
    ]
    while len(bodies) < 300:
        mutated = bytearray(good)
        for _ in range(chance.randint(1, 6)):
            mutated[chance.randrange(len(mutated))] = chance.randrange(256)
        bodies.append(bytes(mutated))
    kinds = ["application/json", "text/plain", "application/json; charset=latin-1", "multipart/form-data", ""]
    keys = [AUTHORIZED["authorization"]] * 15 + ["", "Bearer", "Bearer wrong", f"Basic {KEY}", "Bearer " + "k" * 9000]
    return [
        (body, {"content-type": chance.choice([kinds[0]] * 8 + kinds[1:]), "authorization": chance.choice(keys)})
        for body in bodies
    ]


def test_hostile_requests_break_nothing_and_leave_no_memory_behind(running: local.Running, host: Host) -> None:
    def memory() -> int:
        return memory_bytes({running.pid, *running.process_ids()})

    def replicas() -> set[int]:
        return {pid for model in ("next", "minilm", "photos") for pid in replicas_of(running, model)}

    there = replicas()
    before = memory()
    with httpx.Client(base_url=running.url, trust_env=False, timeout=30) as client:
        for body, headers in hostile_requests(host):
            answer = client.post("/v1/embeddings", content=body, headers=headers)
            assert answer.status_code in (200, 400, 401, 404, 413, 415), (answer.status_code, body[:80])
            if answer.status_code != 200:
                assert answer.json()["error"]["message"]
        assert client.get("/readyz").status_code == 200
    assert replicas() == there
    assert memory() < before + 200e6


def test_a_stop_answers_what_is_under_way(tmp_path: Path) -> None:
    """Requests that were taken before the stop are answered; none is cut off."""
    started = local.start(tmp_path, ServerSettings(port=PORT + 1, drain_s=120))

    async def load() -> list[int]:
        limits = httpx.Limits(max_connections=8)
        async with httpx.AsyncClient(
            base_url=started.running.url, trust_env=False, timeout=60, limits=limits
        ) as client:
            texts = [[f"a long text about boots {n} {m} " for m in range(24)] for n in range(8)]
            asked = [asyncio.create_task(client.post("/v1/embeddings", json={"input": one})) for one in texts]
            await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
            os.kill(started.running.pid, signal.SIGTERM)
            return [(await one).status_code for one in asked]

    assert asyncio.run(load()) == [200] * 8
    local.stop(tmp_path)
    assert not marked(started.running.mark)
