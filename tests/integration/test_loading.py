"""Loading, reindexing and products that others write, on the real engine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from prodsim.embedder import local
from prodsim.embedder.client import EmbedderClient
from prodsim.embedder.settings import ServerSettings
from prodsim.loaders.load import Options
from prodsim.loaders.preparing.catalog import load_catalog
from prodsim.loaders.request import Request
from prodsim.mappings.bundle import TextModel, ingest_pipeline
from prodsim.mappings.text import embedding_text, text_hash
from prodsim.plugin import catalogs, indexes, loads
from prodsim.plugin.errors import CatalogError, EngineError
from prodsim.plugin.moving import machine
from prodsim.plugin.moving.record import Operation
from prodsim.plugin.moving.record import Options as MoveOptions
from prodsim.plugin.shop import Shop, embedder_model
from tests.catalog_files import no_line, no_report
from tests.filled_catalog import unwatched

if TYPE_CHECKING:
    from prodsim.plugin.loads import Outcome


def request(folder: Path, products: list[dict[str, Any]], **others: Any) -> Request:
    file = folder / "products.ndjson"
    file.write_text("".join(json.dumps(product) + "\n" for product in products), encoding="utf-8")
    return Request([str(file)], load_catalog(None), folder / "products.rejects.ndjson", **others)


def load(shop: Shop, folder: Path, products: list[dict[str, Any]], **options: Any) -> Outcome:
    return loads.load(shop, request(folder, products, options=Options(**options)), no_report, no_line)


def rebuild(shop: Shop, asked: Request) -> Outcome:
    return catalogs.rebuild_from(shop, no_report, no_line, asked)


def move(shop: Shop) -> Operation:
    return machine.start(shop, "reindex", MoveOptions(), unwatched, no_line)


def product(number: int, **others: Any) -> dict[str, Any]:
    return {"sku": f"p{number}", "title": f"Product number {number}", "price": 10 + number, "stock": 1, **others}


def stored(shop: Shop) -> dict[str, dict[str, Any]]:
    shop.client.indices.refresh(index=shop.settings.alias)
    answer = shop.client.search(index=shop.settings.alias, body={"size": 1000})
    return {hit["_id"]: hit["_source"] for hit in answer["hits"]["hits"]}


def test_every_row_is_indexed_unchanged_rejected_or_a_duplicate(shop: Shop, tmp_path: Path) -> None:
    catalog = [product(1), product(2), product(3, price="abc"), product(1, title="Last wins"), {"title": "no sku"}]
    outcome = load(shop, tmp_path, catalog)
    account = outcome.account
    assert (account.read, account.indexed, account.rejected, account.duplicates) == (5, 2, 2, 1)
    assert account.adds_up
    assert stored(shop)["p1"]["title"] == "Last wins"
    assert outcome.rejects is not None
    rejected = [json.loads(line) for line in outcome.rejects.read_text().splitlines()]
    assert [(row["line"], row["sku"]) for row in rejected] == [(3, "p3"), (5, None)]
    assert "abc" in rejected[0]["problems"][0]["message"]


def test_only_new_and_changed_texts_are_embedded(shop: Shop, tmp_path: Path) -> None:
    products = [product(number) for number in range(20)]
    assert load(shop, tmp_path, products).account.embedded == 20
    again = load(shop, tmp_path, products).account
    assert (again.indexed, again.unchanged, again.embedded) == (0, 20, 0)
    products[3]["price"] = 99
    products[4]["title"] = "Another title"
    changed = load(shop, tmp_path, products).account
    assert (changed.indexed, changed.unchanged, changed.embedded) == (2, 18, 1)
    assert stored(shop)["p3"]["price"] == 99


def test_a_first_load_that_fails_leaves_nothing_behind(shop: Shop, tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match="none of the 2 rows became a product"):
        load(shop, tmp_path, [{"sku": "a", "title": ""}, {"sku": "b", "title": " "}])
    assert indexes.find_serving_index(shop.client, shop.settings.alias) is None
    assert indexes.product_indexes(shop.client, shop.settings.alias) == []


def test_reindex_from_a_file_replaces_the_catalog_and_keeps_one_index_for_a_rollback(
    shop: Shop, tmp_path: Path
) -> None:
    alias = shop.settings.alias
    load(shop, tmp_path, [product(1), product(2)])
    for number in (3, 4):
        rebuild(shop, request(tmp_path, [product(number)]))
        assert set(stored(shop)) == {f"p{number}"}
    left = [index.name for index in indexes.product_indexes(shop.client, alias)]
    assert left == [f"{alias}-000002", f"{alias}-000003"]
    pipelines = shop.client.ingest.get_pipeline()
    assert f"prodsim-{alias}-000001" not in pipelines


def test_a_reindex_that_finds_no_products_leaves_the_alias_as_it_was(shop: Shop, tmp_path: Path) -> None:
    load(shop, tmp_path, [product(1)])
    with pytest.raises(CatalogError, match="the alias stays as it was"):
        rebuild(shop, request(tmp_path, [{"sku": "x", "title": ""}]))
    assert set(stored(shop)) == {"p1"}
    assert len(indexes.product_indexes(shop.client, shop.settings.alias)) == 1


def test_a_catalog_of_another_model_is_not_mixed_with_new_vectors(shop: Shop, tmp_path: Path) -> None:
    load(shop, tmp_path, [product(1)])
    other = Shop(shop.client, shop.settings, shop.embedder, TextModel("other", "1", 512))
    with pytest.raises(EngineError, match=r"holds 384-d vectors of all-minilm-l6-v2@.*reindex"):
        load(other, tmp_path, [product(2)])
    assert set(stored(shop)) == {"p1"}


@pytest.fixture(scope="module")
def fake_embedder_url(home: Path, embedder_url: str) -> Iterator[str]:
    """A second embedder whose vectors have another length; it needs no model."""
    port = int(embedder_url.rpartition(":")[2]) + 1
    yield local.start(home / "fake", ServerSettings(model="fake-64", port=port)).running.url
    local.stop(home / "fake")


def test_a_reindex_changes_the_model_and_a_rollback_brings_the_old_one_back(
    shop: Shop, tmp_path: Path, fake_embedder_url: str
) -> None:
    alias = shop.settings.alias
    load(shop, tmp_path, [product(number) for number in range(10)])
    settings = shop.settings.model_copy(update={"embedder_url": fake_embedder_url})
    with EmbedderClient(fake_embedder_url) as embedder:
        other = Shop(shop.client, settings, embedder, embedder_model(embedder, settings))
        tally = move(other).tally
    assert (tally.copied, tally.embedded) == (10, 10)
    mapping = shop.client.indices.get_mapping(index=alias)[f"{alias}-000002"]["mappings"]["properties"]
    assert [name for name in mapping if name.startswith("text_vector_")] == ["text_vector_64"]
    assert all("text_vector_384" not in source for source in stored(shop).values())

    def explained() -> str:
        body = {"id": "prodsim-search", "params": {"q": "product number 7", "size": 1}, "explain": True}
        [hit] = shop.client.search_template(index=alias, body=body)["hits"]["hits"]
        assert hit["_id"] == "p7"
        return json.dumps(hit["_explanation"])

    def similar() -> int:
        body = {"id": "prodsim-similar", "params": {"sku": "p7", "size": 5}}
        return len(shop.client.search_template(index=alias, body=body)["hits"]["hits"])

    assert "prodsim text vectors" in explained()
    assert similar() == 5
    machine.rollback(shop, unwatched, no_line)
    assert "prodsim text vectors" in explained()
    assert similar() == 5


def test_a_product_that_others_write_is_embedded_by_the_engine_as_the_loader_would(shop: Shop, tmp_path: Path) -> None:
    load(shop, tmp_path, [product(1, brand="Acme", category=["Shoes", "Running"], description="Light.")])
    written = {
        name: value
        for name, value in stored(shop)["p1"].items()
        if name in ("title", "brand", "category", "description")
    }
    shop.client.index(index=shop.settings.alias, id="other", body=written, refresh=True)
    products = stored(shop)
    ours, theirs = products["p1"], products["other"]
    assert theirs["text_vector_384"] == pytest.approx(ours["text_vector_384"], abs=1e-4)
    assert theirs["prodsim"]["text_hash"] == ours["prodsim"]["text_hash"]
    assert theirs["prodsim"]["model"] == ours["prodsim"]["model"]
    assert theirs["sku"] == "other"
    assert theirs["variant_group"] == "other"
    assert theirs["prodsim"]["loaded_at"]


def test_a_partial_update_of_the_price_keeps_the_vector_and_one_of_the_title_renews_it(
    shop: Shop, tmp_path: Path
) -> None:
    load(shop, tmp_path, [product(1)])
    alias = shop.settings.alias
    before = stored(shop)["p1"]
    shop.client.update(index=alias, id="p1", body={"doc": {"price": 3}}, refresh=True)
    cheaper = stored(shop)["p1"]
    assert cheaper["text_vector_384"] == before["text_vector_384"]
    assert cheaper["price"] == 3
    shop.client.update(index=alias, id="p1", body={"doc": {"title": "Garden chair"}}, refresh=True)
    renamed = stored(shop)["p1"]
    assert renamed["prodsim"]["text_hash"] == text_hash(embedding_text(renamed))
    assert renamed["text_vector_384"] != before["text_vector_384"]
    assert load(shop, tmp_path, [product(1, title="Garden chair", price=3)]).account.embedded == 0


texts = st.one_of(st.none(), st.text(max_size=40), st.text(alphabet="a😀 \n\t\x00é中", min_size=280, max_size=320))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    document=st.fixed_dictionaries(
        {},
        optional={
            "title": texts,
            "brand": texts,
            "description": texts,
            "category": st.one_of(st.lists(texts, max_size=3), texts),
        },
    )
)
def test_the_engine_composes_the_same_text_as_the_loader(example: Shop, document: dict[str, Any]) -> None:
    pipeline = ingest_pipeline(example.model, None)
    body = {"pipeline": {"processors": pipeline["processors"][:1]}, "docs": [{"_id": "1", "_source": document}]}
    [outcome] = example.client.ingest.simulate(body=body)["docs"]
    source = outcome["doc"]["_source"]
    assert source["prodsim_hash"] == text_hash(embedding_text(document))
    assert source.get("prodsim_text", "") == embedding_text(document)
