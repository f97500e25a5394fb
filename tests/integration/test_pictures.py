"""Products with pictures, from the file to the k-NN fields of a real engine."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from opensearchpy.exceptions import RequestError
from PIL import Image

from prodsim.embedder import local
from prodsim.embedder.models_file import read_models
from prodsim.embedder.settings import ServerSettings
from prodsim.plugin.doctor import doctor
from prodsim.plugin.errors import EmbedderError, EngineError
from prodsim.plugin.moving import machine
from prodsim.plugin.moving.record import Options
from prodsim.plugin.query import ProductSearch
from prodsim.plugin.setup import setup
from prodsim.plugin.shop import Shop, embedder_legs
from tests.catalog_files import load_file, no_line
from tests.conftest import EMBEDDER_PORT, STEP, open_shop
from tests.filled_catalog import unwatched

if TYPE_CHECKING:
    from collections.abc import Callable

    from prodsim.plugin.config import Settings

pytestmark = [pytest.mark.engine, pytest.mark.embedder]

MODELS = """
models:
  words: {model: fake-32}
  photos: {model: fake-64, kind: image}
  whole:
    kind: fused
    vectors: int8
    parts:
      title: {model: words, weight: 2}
      attributes: {model: words}
      image: {model: photos, weight: 2}
"""


@pytest.fixture(scope="module")
def embedder_of_images(tmp_path_factory: pytest.TempPathFactory, slot: int) -> Iterator[str]:
    home = tmp_path_factory.mktemp("embedder")
    (home / "models.yaml").write_text(MODELS)
    port = EMBEDDER_PORT + STEP * slot + 1
    started = local.start(home, ServerSettings(models=read_models(home / "models.yaml"), port=port))
    yield started.running.url
    local.stop(home)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name, colour in {"red": "red", "crimson": "#e01010", "blue": "blue"}.items():
        Image.new("RGB", (60, 80), colour).save(folder / f"{name}.png")
    (folder / "broken.png").write_bytes(b"no picture")
    (tmp_path / "outside.png").write_bytes((folder / "red.png").read_bytes())
    return folder


@pytest.fixture
def shop(settings_for: Callable[..., Settings], embedder_of_images: str, alias: str, folder: Path) -> Iterator[Shop]:
    settings = settings_for(
        alias,
        embedder_url=embedder_of_images,
        image_model="photos",
        fused_model="whole",
        image_folder=folder,
    )
    with open_shop(settings) as opened:
        yield replace(opened, legs=embedder_legs(opened.embedder, settings))


def write(path: Path, products: dict[str, str | None]) -> Path:
    rows = [
        {"sku": sku, "title": f"{sku} shirt", **({"image_url": image} if image else {})}
        for sku, image in products.items()
    ]
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return path


def stored(shop: Shop) -> dict[str, dict[str, Any]]:
    answer = shop.client.search(
        index=shop.settings.alias, body={"size": 100, "query": {"match_all": {}}}, params={"search_pipeline": "_none"}
    )
    return {hit["_id"]: hit["_source"] for hit in answer["hits"]["hits"]}


def nearest(shop: Shop, field: str, vector: list[float], count: int = 2) -> list[str]:
    body = {"size": count, "query": {"knn": {field: {"vector": vector, "k": count}}}}
    answer = shop.client.search(index=shop.settings.alias, body=body, params={"search_pipeline": "_none"})
    return [hit["_id"] for hit in answer["hits"]["hits"]]


def test_pictures_and_fused_parts_get_vectors_once_and_what_is_wrong_with_one_is_told(
    shop: Shop, folder: Path, tmp_path: Path
) -> None:
    file = write(
        tmp_path / "products.ndjson",
        {
            "a": "red.png",
            "b": "crimson.png",
            "c": "blue.png",
            "none": None,
            "broken": "broken.png",
            "gone": "gone.png",
            "out": "../outside.png",
        },
    )
    account = load_file(shop, file).account
    assert (account.indexed, account.rejected, account.pictureless) == (7, 0, 3)
    products = stored(shop)
    assert all("text_vector_32" in product for product in products.values())
    assert {sku for sku, product in products.items() if "image_vector_64" in product} == {"a", "b", "c"}
    assert all("fused_vector_128_int8" in product for product in products.values())
    problems = {sku: product["prodsim"].get("image_problem", "") for sku, product in products.items()}
    assert "is a damaged" in problems["broken"] or "is no image" in problems["broken"]
    assert "can't be read" in problems["gone"]
    assert "outside the image folder" in problems["out"]
    assert problems["none"] == problems["a"] == ""
    assert nearest(shop, "image_vector_64", products["a"]["image_vector_64"]) == ["a", "b"]
    fused = products["a"]["fused_vector_128_int8"]
    assert all(float(value).is_integer() and -127 <= value <= 127 for value in fused)
    assert nearest(shop, "fused_vector_128_int8", fused, 1) == ["a"]

    again = load_file(shop, file).account
    assert (again.unchanged, again.embedded, again.pictureless) == (7, 0, 0)

    before = products["c"]["image_vector_64"]
    Image.new("RGB", (60, 80), "green").save(folder / "blue.png")
    changed = load_file(shop, file).account
    assert (changed.indexed, changed.unchanged) == (1, 6)
    after = stored(shop)["c"]
    assert not np.allclose(after["image_vector_64"], before)
    assert after["text_vector_32"] == products["c"]["text_vector_32"]


def test_a_reindex_takes_pictures_vectors_along_even_where_the_files_are_not(
    shop: Shop, folder: Path, tmp_path: Path
) -> None:
    load_file(shop, write(tmp_path / "products.ndjson", {"a": "red.png", "b": None}))
    before = stored(shop)
    away = replace(shop, legs=tuple(replace(leg, folder=None) for leg in shop.legs))
    machine.start(away, "reindex", Options(), unwatched, no_line)
    after = stored(shop)
    for sku in before:
        vectors = {name for name in before[sku] if "_vector_" in name}
        assert {name: after[sku].get(name) for name in vectors} == {name: before[sku][name] for name in vectors}
        assert after[sku]["prodsim"].get("image_hash") == before[sku]["prodsim"].get("image_hash")


def test_a_picture_by_url_that_can_t_be_fetched_is_tried_again_at_the_next_load(shop: Shop, tmp_path: Path) -> None:
    file = write(tmp_path / "products.ndjson", {"a": "https://images.example.com/a.png"})
    for _ in range(2):
        account = load_file(shop, file).account
        assert (account.indexed, account.pictureless) == (1, 1)
    product = stored(shop)["a"]
    assert "fetching is off" in product["prodsim"]["image_problem"]
    assert "fused_vector_128_int8" in product


def test_a_search_shows_neither_vectors_nor_bookkeeping(shop: Shop, tmp_path: Path) -> None:
    load_file(shop, write(tmp_path / "products.ndjson", {"a": "red.png"}))
    answer = shop.client.search_template(
        index=shop.settings.alias, body={"id": "prodsim-search", "params": {"q": "shirt"}}
    )
    (hit,) = answer["hits"]["hits"]
    assert not [name for name in hit["_source"] if "vector" in name or name == "prodsim"]


def picture(colour: str) -> bytes:
    content = io.BytesIO()
    Image.new("RGB", (30, 30), colour).save(content, "PNG")
    return content.getvalue()


def test_images_and_products_travel_through_the_client(shop: Shop) -> None:
    vectors, weights = shop.embedder.embed_images([picture("red"), picture("blue")], "query", "photos")
    assert vectors.shape == (2, 64)
    assert weights.tolist() == [1, 1]
    vectors, weights = shop.embedder.embed_products([{"title": "a", "image": picture("red")}, {}], "passage", "whole")
    assert vectors.shape == (2, 128)
    assert weights.tolist() == [1, 0]
    assert shop.embedder.model().id == "words"


def test_a_photo_finds_the_products_that_look_like_it(
    settings_for: Callable[..., Settings], embedder_of_images: str, alias: str, folder: Path, tmp_path: Path
) -> None:
    settings = settings_for(alias, embedder_url=embedder_of_images, image_model="photos", image_folder=folder)
    with open_shop(settings) as opened:
        shop = replace(opened, legs=embedder_legs(opened.embedder, settings))
        load_file(shop, write(tmp_path / "shirts.ndjson", {"r": "red.png", "b": "blue.png", "none": None}))
        search = ProductSearch(shop.client, alias, shop.embedder)
        [hit, *_] = search.similar_photo((folder / "blue.png").read_bytes(), model="photos").hits
        assert hit.sku == "b"
        with pytest.raises(EmbedderError):
            search.similar_photo(b"no picture", model="photos")


def test_the_cluster_itself_asks_the_embedder_what_a_photo_looks_like(shop: Shop, folder: Path, tmp_path: Path) -> None:
    load_file(shop, write(tmp_path / "shirts.ndjson", {"r": "red.png", "b": "blue.png", "none": None}))
    search = ProductSearch(shop.client, shop.settings.alias)
    content = (folder / "blue.png").read_bytes()
    found = search.similar_photo(content)
    assert found.hits[0].sku == "b"
    by_vector = search.similar_image(shop.embedder.embed_images([content], "query", "photos")[0][0].tolist())
    assert {hit.sku: hit.score for hit in found} == pytest.approx({hit.sku: hit.score for hit in by_vector})
    [finding] = [one for one in doctor(shop.client, shop.settings, shop.embedder) if one.check == "photos"]
    assert (finding.state, finding.message) == ("ok", "the engine gets vectors for photos (64-d)")
    large = io.BytesIO()
    noise = np.random.default_rng(1).integers(0, 256, (1000, 1000, 3), dtype=np.uint8)
    Image.fromarray(noise).save(large, "PNG")
    assert large.tell() > 2_000_000
    assert search.similar_photo(large.getvalue()).hits
    with pytest.raises(EngineError, match=r"input\[0\].image is no image"):
        search.similar_photo(b"no picture")
    with pytest.raises(EngineError, match="fetching is off"):
        search.similar_photo("https://images.example.com/a.png")
    body = {"id": "prodsim-similar-image", "params": {"photo": "bm8gcGljdHVyZQ=="}}
    with pytest.raises(RequestError):
        shop.client.search_template(index=shop.settings.alias, body=body)
    setup(shop.client, shop.settings.model_copy(update={"image_model": None}), shop.model)
    with pytest.raises(EngineError, match="nothing here looks at photos: send image_vector, or set image_model"):
        search.similar_photo(content)


@pytest.mark.parametrize("leg", ["image", "fused"])
def test_a_sku_finds_what_looks_like_it_by_pictures_and_by_fused_vectors(
    shop: Shop, tmp_path: Path, leg: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cluster looks the vectors up itself; where it can't, the client does. Those of the fused model are bytes."""
    load_file(shop, write(tmp_path / "shirts.ndjson", {"a": "red.png", "b": "crimson.png", "c": "blue.png"}))
    search = ProductSearch(shop.client, shop.settings.alias)
    weights = {name: float(name == leg) for name in ("text", "image", "fused", "words", "attributes")}
    found = {hit.sku: hit.score for hit in search.similar("a", weights=weights)}
    assert next(iter(found)) == "b"
    monkeypatch.setattr(ProductSearch, "mode", "client")
    assert {hit.sku: hit.score for hit in search.similar("a", weights=weights)} == pytest.approx(found, abs=0.01)


def test_a_catalog_without_a_field_for_pictures_says_so_before_anything_is_written(shop: Shop, tmp_path: Path) -> None:
    file = write(tmp_path / "shirts.ndjson", {"a": "red.png"})
    wordy = replace(shop, legs=())
    load_file(wordy, file)
    with pytest.raises(EngineError, match=r"no field image_vector_64 of model photos .*: rebuild with"):
        load_file(shop, file)
    machine.start(shop, "reindex", Options(), unwatched, no_line)
    assert load_file(shop, file).account.unchanged == 1
    assert "image_vector_64" in stored(shop)["a"]
