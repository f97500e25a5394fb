"""Images through the API: what is let in, what is told of what is not. Over the fake encoder, in this process."""

from __future__ import annotations

import base64
import io
import struct
import threading
import zlib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from prodsim.embedder.api import create_api
from prodsim.embedder.batching import Batcher
from prodsim.embedder.encoder import Encoded, InputType, encode
from prodsim.embedder.fake import FakeEncoder
from prodsim.embedder.fused_model import FusedModel
from prodsim.embedder.images.addresses import address_allowed, host_allowed
from prodsim.embedder.images.content import decode_image
from prodsim.embedder.served_model import ServedModel
from prodsim.embedder.settings import EmbedderSettings, ModelSettings, PartSettings
from tests.web_host import Host

LIMITS: dict[str, Any] = {
    "model": "fake-16",
    "max_items": 8,
    "max_queued_items": 64,
    "max_image_bytes": 20_000,
    "max_image_pixels": 1_000_000,
    "image_timeout_s": 1,
}


def served(name: str, kind: str, dimension: int = 64) -> ServedModel:
    encoder = FakeEncoder(name, dimension, kind)

    async def run(items: list[Any], input_type: InputType) -> Encoded:
        return encode(encoder, items, input_type)

    model = ServedModel(name, Batcher(run, max_batch_size=4, max_queued_items=64))
    model.card = encoder.card
    return model


def models(combine: str = "concatenate", **weights: float) -> dict[str, ServedModel]:
    here = {"photos": served("photos", "image"), "words": served("words", "text")}
    weights = weights or {"title": 1, "image": 1}
    parts = {
        part: PartSettings(model="photos" if part == "image" else "words", weight=weight)
        for part, weight in weights.items()
    }
    fused = ModelSettings.model_validate({"kind": "fused", "parts": parts, "combine": combine})
    here["product"] = FusedModel("product", fused, here)
    return here


def client(here: dict[str, ServedModel] | None = None, **limits: Any) -> TestClient:
    settings = EmbedderSettings(**LIMITS | limits)
    return TestClient(create_api(lambda: here or models(), settings), raise_server_exceptions=False)


def picture(colour: str = "red", size: tuple[int, int] = (40, 30), format: str = "PNG", **options: Any) -> bytes:
    content = io.BytesIO()
    Image.new(options.pop("mode", "RGB"), size, colour).save(content, format, **options)
    return content.getvalue()


def text(content: bytes) -> str:
    return base64.b64encode(content).decode()


def post(api: TestClient, input_: Any, model: str = "photos") -> Any:
    return api.post("/v1/embeddings", json={"input": input_, "model": model})


def vectors(api: TestClient, input_: Any, model: str = "photos") -> np.ndarray:
    answer = post(api, input_, model)
    assert answer.status_code == 200, answer.text
    return np.array([one["embedding"] for one in answer.json()["data"]])


def test_an_image_is_the_same_in_every_form_that_it_is_sent_in() -> None:
    data = f"data:image/png;base64,{text(picture())}"
    bare, uri, other = vectors(
        client(), [{"image": text(picture())}, {"image": data}, {"image": text(picture("blue"))}]
    )
    assert bare == pytest.approx(uri)
    assert bare @ other < 0.9


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "GIF"])
def test_usual_formats_are_read(format: str) -> None:
    (vector,) = vectors(client(), [{"image": text(picture(format=format))}])
    assert np.linalg.norm(vector) == pytest.approx(1)


def test_pixels_are_upright_and_transparent_ones_are_white() -> None:
    sideways = Image.new("RGB", (40, 20), "red")
    turned = Image.Exif()
    turned[0x0112] = 6
    content = io.BytesIO()
    sideways.save(content, "JPEG", exif=turned)
    assert decode_image(content.getvalue()).size == (20, 40)
    clear = decode_image(picture("#00000000", mode="RGBA"))
    assert clear.getpixel((0, 0)) == (255, 255, 255)
    grey = decode_image(picture(30_000, mode="I;16"))  # type: ignore[arg-type]  # a number is a colour of this mode
    assert grey.getpixel((0, 0)) == (116, 116, 116)


def png(width: int, height: int, rows: bytes = b"") -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("content", "status", "says"),
    [
        ("%%%", 400, "is no image: give base64"),
        ("", 400, "is an empty image"),
        (text(b"GIF89a"), 400, "is no image, or a damaged one"),
        (text(b"<svg xmlns='http://www.w3.org/2000/svg'/>"), 400, "is no image, or a damaged one"),
        (text(picture("red", (300, 300), "BMP")), 413, "more than 20000 bytes"),
        (text(picture("red", (30, 30), "BMP")), 400, "JPEG, PNG, WEBP, GIF, AVIF can be read"),
        (text(picture()[:60]), 400, "is a damaged image"),
        (text(png(50_000, 50_000)), 413, "pixels"),
        (text(png(2**31 - 1, 2**31 - 1)), 413, "pixels"),
        (text(png(1, 9_000)), 400, "too narrow"),
        (text(png(100, 100, b"\0" * 50)), 400, "is a damaged image"),
        ("http://example.com/a.png", 400, "fetching is off"),
    ],
)
def test_a_bad_image_is_refused_by_its_place(content: str, status: int, says: str) -> None:
    good = {"image": text(picture())}
    answer = post(client(), [good, {"image": content}, good])
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert says in error["message"]
    assert error["param"] in ("input[1].image", "input[1]")


def test_texts_and_images_of_one_model_are_in_one_space_and_in_order() -> None:
    answer = vectors(client(), ["a red thing", {"image": text(picture())}, {"text": "a red thing"}])
    assert answer[0] == pytest.approx(answer[2])
    assert answer.shape == (3, 64)


def test_a_model_of_texts_refuses_an_image_and_one_of_images_alone_takes_plain_strings_for_images() -> None:
    here = models()
    assert post(client(here), {"image": text(picture())}, "words").json()["error"]["param"] == "input"
    card = here["photos"].card
    assert card is not None
    here["photos"].card = card.__class__(**vars(card) | {"modalities": ("image",)})
    assert vectors(client(here), text(picture())) == pytest.approx(vectors(client(), {"image": text(picture())}))
    assert "is no image" in post(client(here), "warm jacket!").json()["error"]["message"]


def test_equal_images_are_encoded_once() -> None:
    here = models()
    vectors(client(here), [{"image": text(picture())}] * 5)
    assert len(here["photos"].flights.airborne) == 0
    answer = vectors(client(here), [{"image": text(picture(colour))} for colour in ("red", "blue", "red")])
    assert answer[0] == pytest.approx(answer[2])


def test_a_fused_vector_of_parts_side_by_side_has_the_weighted_mean_of_their_cosines() -> None:
    api = client(models(title=3, image=1))
    red, blue = {"image": text(picture())}, {"image": text(picture("blue"))}
    one, other = vectors(api, [{"title": "warm jacket", **red}, {"title": "warm coat", **blue}], "product")
    titles = vectors(api, ["warm jacket", "warm coat"], "words")
    images = vectors(api, [red, blue])
    assert one @ other == pytest.approx(0.75 * (titles[0] @ titles[1]) + 0.25 * (images[0] @ images[1]), abs=1e-5)
    assert one @ one == pytest.approx(1)


def test_missing_parts_of_a_fused_vector_cost_only_themselves() -> None:
    api = client(models(title=3, image=1))
    answer = post(api, [{"title": "warm jacket"}, {"title": "warm jacket", "image": None}, {"title": " "}], "product")
    first, second, nothing = answer.json()["data"]
    assert first == second | {"index": 0}
    assert np.linalg.norm(first["embedding"]) == pytest.approx(1)
    assert nothing["weight"] == 0
    assert nothing["embedding"][-1] == 1


def test_the_mean_of_parts_needs_parts_of_one_length() -> None:
    here = models("mean", title=1, image=1)
    api = client(here)
    red = {"image": text(picture())}
    (fused,) = vectors(api, {"title": "warm jacket", **red}, "product")
    expected = vectors(api, "warm jacket", "words")[0] + vectors(api, red)[0]
    assert fused == pytest.approx(expected / np.linalg.norm(expected), abs=1e-5)
    here["photos"] = served("photos", "image", 32)
    assert api.post("/v1/embeddings", json={"input": {"title": "a"}, "model": "product"}).status_code == 503
    assert "different lengths" in api.get("/readyz").json()["error"]["message"]


def test_a_fused_revision_changes_with_weights_and_parts_and_with_nothing_else() -> None:
    revisions = [
        fused.card.revision
        for fused in (models(title=3)["product"], models(title=3)["product"], models(title=2)["product"])
        if fused.card
    ]
    assert revisions[0] == revisions[1] != revisions[2]


@pytest.mark.parametrize(
    ("input_", "param"),
    [
        ("warm jacket", "input"),
        ([{"titel": "a"}], "input[0].titel"),
        ([{"title": "a"}, {"image": "%"}], "input[1].image"),
        ([{"title": 3}], "input[0]"),
        ([{"title": {"a": "b"}}], "input[0]"),
        ([{}], "input[0]"),
    ],
)
def test_parts_that_can_t_be_read_are_named(input_: Any, param: str) -> None:
    answer = post(client(), input_, "product")
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == param


def test_int8_vectors_are_whole_numbers_with_the_same_cosines() -> None:
    here = models()
    words = here["words"].card
    assert words is not None
    phrases = ["warm jacket", "warm winter jacket", "garden hose", "a"]
    exact = vectors(client(here), phrases, "words")
    here["words"].card = words.__class__(**vars(words) | {"vectors": "int8"})
    answer = post(client(here), phrases, "words").json()["data"]
    assert all(type(value) is int and -127 <= value <= 127 for one in answer for value in one["embedding"])
    whole = np.array([one["embedding"] for one in answer], dtype=float)
    whole /= np.linalg.norm(whole, axis=1, keepdims=True)
    assert whole @ whole.T == pytest.approx(exact @ exact.T, abs=0.01)


@pytest.fixture
def host() -> Iterator[Host]:
    host = Host()
    yield host
    host.close()


def fetching(host: Host, **limits: Any) -> TestClient:
    return client(**{"image_hosts": (host.place,), "image_networks": ("127.0.0.0/8",)} | limits)


def message(api: TestClient, url: str) -> str:
    answer = post(api, {"image": url})
    assert answer.status_code in (400, 413), answer.text
    assert answer.json()["error"]["param"] == "input.image"
    said: str = answer.json()["error"]["message"]
    return said


def test_an_image_is_fetched_from_a_host_that_is_listed(host: Host) -> None:
    there = host.answer("/red.png", picture())
    moved = host.answer("/old.png", status=302, location="/red.png")
    api = fetching(host)
    assert vectors(api, [{"image": there}, {"image": moved}]) == pytest.approx(
        vectors(api, [{"image": text(picture())}] * 2)
    )


def test_no_url_reaches_a_private_address(host: Host) -> None:
    there = host.answer("/red.png", picture())
    closed = fetching(host, image_networks=())
    assert "private or reserved" in message(closed, there)
    assert "private or reserved" in message(
        fetching(host, image_hosts=("localhost",), image_networks=()), "http://localhost/"
    )
    for url in (
        "http://169.254.169.254/latest",
        "http://[::1]/",
        "http://10.0.0.1/a.png",
        "http://0x7f000001/",
        "http://2130706433/",
    ):
        assert "not in image_hosts" in message(fetching(host), url)


def test_every_redirect_passes_the_same_door(host: Host) -> None:
    api = fetching(host)
    away = host.answer("/away", status=302, location="http://127.0.0.2/red.png")
    metadata = host.answer("/metadata", status=301, location="http://169.254.169.254/latest/meta-data")
    file = host.answer("/file", status=307, location="file:///etc/passwd")
    loop = host.answer("/loop", status=302, location="/loop")
    assert "not in image_hosts" in message(api, away)
    assert "not in image_hosts" in message(api, metadata)
    assert "only plain http and https" in message(api, file)
    assert "redirected more than 3 times" in message(api, loop)


def test_what_a_host_sends_is_bounded_in_time_and_bytes(host: Host) -> None:
    api = fetching(host)
    large = host.answer("/large", b"a" * 30_000)
    bomb = host.answer("/bomb", zlib.compress(b"\0" * 10_000_000), content_encoding="deflate")
    nothing = host.answer("/nothing", status=404)
    page = host.answer("/page", b"<html>")
    hanging = threading.Event()

    def hang(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        hanging.wait(5)

    host.answers["/slow"] = hang
    assert "more than 20000 bytes" in message(api, large)
    assert "answers compressed" in message(api, bomb)
    assert "answers 404" in message(api, nothing)
    assert "is no image" in message(api, page)
    assert "no whole answer within 1 s" in message(api, f"http://{host.place}/slow")
    hanging.set()
    for odd in ("http://user:secret@" + host.place, "http://" + "a" * 300, "http://[", "http://a:b:c/", "http:///a"):
        message(api, odd)


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("93.184.215.14", True),
        ("2606:2800:21f:cb07:6820:80da:af6b:8b2c", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::1", False),
        ("fe80::1%eth0", False),
        ("fc00::1", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:8.8.8.8", True),
        ("2002:7f00:1::", False),
        ("64:ff9b::10.0.0.1", False),
        ("64:ff9b::8.8.8.8", True),
        ("nonsense", False),
    ],
)
def test_only_public_addresses_may_be_connected_to(address: str, allowed: bool) -> None:
    assert address_allowed(address) is allowed


def test_hosts_are_listed_whole_or_by_what_they_end_in() -> None:
    listed = ("cdn.shop.example", "*.img.example", "local.example:8443")
    assert host_allowed("CDN.shop.example.", None, listed)
    assert host_allowed("a.b.img.example", 443, listed)
    assert host_allowed("local.example", 8443, listed)
    for host, port in (
        ("img.example", None),
        ("evilimg.example", None),
        ("cdn.shop.example.evil.example", None),
        ("cdn.shop.example", 8443),
        ("local.example", None),
        ("", None),
    ):
        assert not host_allowed(host, port, listed)
