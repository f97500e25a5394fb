"""Vectors of pictures and of fused parts: made once, taken over, told of where there is none. Over the real API with
fake encoders, in this process."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import uvicorn
from PIL import Image

from prodsim.embedder.api import create_api
from prodsim.embedder.batching import Batcher
from prodsim.embedder.client import EmbedderClient
from prodsim.embedder.encoder import Encoded, InputType, encode
from prodsim.embedder.fake import FakeEncoder
from prodsim.embedder.fused_model import FusedModel
from prodsim.embedder.served_model import ServedModel
from prodsim.embedder.settings import EmbedderSettings, ModelSettings, declared_card
from prodsim.loaders.embedding import complete
from prodsim.loaders.legs import Leg, check_parts
from prodsim.loaders.pictures import picture_of
from prodsim.loaders.target import Target
from prodsim.loaders.waiting import Waiting
from prodsim.mappings.bundle import TextModel, index_body
from prodsim.plugin.errors import ConfigError

FUSED = {
    "kind": "fused",
    "vectors": "int8",
    "parts": {"title": {"model": "words"}, "attributes": {"model": "words"}, "image": {"model": "photos"}},
}


def served(name: str, kind: str, dimension: int) -> ServedModel:
    encoder = FakeEncoder(name, dimension, kind)

    async def run(items: list[Any], input_type: InputType) -> Encoded:
        return encode(encoder, items, input_type)

    model = ServedModel(name, Batcher(run, max_batch_size=16, max_queued_items=512))
    model.card = declared_card(encoder.card, ModelSettings())
    model.was_ready = True
    return model


@pytest.fixture(scope="module")
def embedder() -> Iterator[EmbedderClient]:
    models = {"words": served("words", "text", 32), "photos": served("photos", "image", 64)}
    models["whole"] = FusedModel("whole", ModelSettings.model_validate(FUSED), models)
    config = uvicorn.Config(create_api(lambda: models, EmbedderSettings()), port=0, log_level="critical")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    with EmbedderClient(f"http://127.0.0.1:{port}", timeout_s=10) as client:
        yield client
    server.should_exit = True
    thread.join()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("red", "blue"):
        Image.new("RGB", (60, 80), name).save(tmp_path / f"{name}.png")
    (tmp_path / "broken.png").write_bytes(b"no picture")
    return tmp_path


@pytest.fixture
def target(embedder: EmbedderClient, folder: Path) -> Target:
    def model(name: str) -> TextModel:
        served = embedder.model(name)
        return TextModel(served.id, served.revision, served.dimension, served.vectors)

    legs = (
        Leg("image", model("photos"), folder),
        Leg("fused", model("whole"), folder, embedder.model("whole").takes),
    )
    client: Any = None  # nothing here asks the engine
    return Target(client, "products-000001", embedder, model("words"), legs)


def load(
    target: Target, *products: dict[str, Any], known: dict[str, Any] | None = None
) -> tuple[dict[str, dict[str, Any]], int]:
    waiting = Waiting(1, lambda line: None)
    completed, embedded = complete([dict(product) for product in products], target, known or {}, waiting, 1)
    assert all(isinstance(document, dict) for document in completed)
    return {document["sku"]: document for document in completed if isinstance(document, dict)}, embedded


def product(sku: str, image: str | None, **fields: Any) -> dict[str, Any]:
    return {"sku": sku, "title": f"{sku} shirt", **({"image_url": image} if image else {}), **fields}


def test_every_product_gets_what_can_be_made_of_it_and_a_reason_for_what_can_t(target: Target) -> None:
    done, _ = load(
        target,
        product("a", "red.png"),
        product("none", None),
        product("broken", "broken.png"),
        product("gone", "gone.png"),
        product("out", "../../etc/passwd"),
        product("far", "https://images.example.com/a.png"),
    )
    assert [sku for sku in done if "image_vector_64" in done[sku]] == ["a"]
    assert all("fused_vector_128_int8" in document and "text_vector_32" in document for document in done.values())
    problems = {sku: document["prodsim"].get("image_problem", "") for sku, document in done.items()}
    assert problems["a"] == problems["none"] == ""
    assert "is no image" in problems["broken"]
    assert "gone.png can't be read" in problems["gone"]
    assert "outside the image folder" in problems["out"]
    assert "fetching is off" in problems["far"]


def test_vectors_are_taken_over_until_the_picture_the_text_or_the_model_changes(target: Target, folder: Path) -> None:
    shirt = product("a", "red.png")
    first, _ = load(target, shirt)
    assert all(leg.fits(first["a"], shirt) for leg in target.legs)
    again, _ = load(target, shirt, known=first)
    assert again["a"]["image_vector_64"] is first["a"]["image_vector_64"]
    assert again["a"]["fused_vector_128_int8"] is first["a"]["fused_vector_128_int8"]

    priced, _ = load(target, shirt | {"price": 9.5}, known=first)
    assert priced["a"]["fused_vector_128_int8"] is first["a"]["fused_vector_128_int8"]
    renamed, _ = load(target, shirt | {"title": "blouse"}, known=first)
    assert renamed["a"]["image_vector_64"] is first["a"]["image_vector_64"]
    assert not np.allclose(renamed["a"]["fused_vector_128_int8"], first["a"]["fused_vector_128_int8"])
    Image.new("RGB", (60, 80), "green").save(folder / "red.png")
    repainted, _ = load(target, shirt, known=first)
    assert not np.allclose(repainted["a"]["image_vector_64"], first["a"]["image_vector_64"])
    newer = replace(target.legs[0], model=replace(target.legs[0].model, revision="newer"))
    assert not newer.fits(first["a"], shirt)


def test_where_the_pictures_are_not_their_vectors_are_taken_along(target: Target) -> None:
    shirt = product("a", "red.png")
    first, _ = load(target, shirt)
    away = replace(target, legs=tuple(replace(leg, folder=None) for leg in target.legs))
    moved, _ = load(away, shirt, known=first)
    for name in ("image_vector_64", "fused_vector_128_int8"):
        assert moved["a"][name] is first["a"][name]
    assert moved["a"]["prodsim"]["image_hash"] == first["a"]["prodsim"]["image_hash"]


def test_a_damaged_file_stays_damaged_and_a_url_may_answer_tomorrow(target: Target) -> None:
    broken, far = product("broken", "broken.png"), product("far", "https://images.example.com/a.png")
    done, _ = load(target, broken, far)
    assert all(leg.fits(done["broken"], broken) for leg in target.legs)
    assert not any(leg.fits(done["far"], far) for leg in target.legs)


def test_int8_vectors_are_whole_numbers_and_their_field_holds_bytes(target: Target) -> None:
    done, _ = load(target, product("a", "red.png", attributes={"colour": "red"}, brand="x", category=["a", "a > b"]))
    vector = done["a"]["fused_vector_128_int8"]
    assert all(type(value) is int and -127 <= value <= 127 for value in vector)
    fields = index_body(target.model, others=[leg.vector for leg in target.legs])["mappings"]["properties"]
    assert fields["fused_vector_128_int8"]["data_type"] == "byte"
    assert "data_type" not in fields["image_vector_64"]
    assert "image_vector_1280" not in fields


def test_a_picture_may_not_lead_out_of_its_folder_by_a_link(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    outside = tmp_path_factory.mktemp("outside") / "secret.png"
    outside.write_bytes(b"secret")
    (folder / "link.png").symlink_to(outside)
    assert picture_of({"image_url": "link.png"}, folder).content is None
    assert picture_of({"image_url": str(outside)}, folder).content is None
    assert picture_of({"image_url": "a\0b"}, folder).content is None
    assert picture_of({"image_url": "x" * 5000}, folder).content is None


def test_a_fused_model_of_parts_that_products_lack_is_refused() -> None:
    with pytest.raises(ConfigError, match="is made of smell, which products do not have"):
        check_parts("whole", ["title", "smell"])


def test_the_client_sends_files_and_urls_alike(embedder: EmbedderClient, folder: Path) -> None:
    content = io.BytesIO()
    Image.open(folder / "red.png").save(content, "PNG")
    vectors, weights = embedder.embed_images([content.getvalue()] * 3, "query", "photos")
    assert vectors.shape == (3, 64)
    assert weights.tolist() == [1, 1, 1]
    assert embedder.model().id == "words"
