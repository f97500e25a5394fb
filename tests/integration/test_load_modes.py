"""What a load may do to products that are there: replace, remove, update, delete; and never undo what came later."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from prodsim.loaders import checkpoint
from prodsim.loaders.batch import BATCH_ROWS
from prodsim.loaders.load import Limit, Options, Report
from prodsim.loaders.preparing.catalog import load_catalog
from prodsim.loaders.request import Request
from prodsim.plugin import indexes, loads
from prodsim.plugin.errors import CatalogError, NotFound
from tests.catalog_files import no_line, no_report

if TYPE_CHECKING:
    from prodsim.plugin.loads import Outcome
    from prodsim.plugin.shop import Shop


def product(number: int, **others: Any) -> dict[str, Any]:
    return {"sku": f"p{number}", "title": f"Product number {number}", "price": 10 + number, "stock": 1, **others}


def load(shop: Shop, folder: Path, products: list[dict[str, Any]], asked: Options | None = None) -> Outcome:
    file = folder / "products.ndjson"
    file.write_text("".join(json.dumps(product) + "\n" for product in products), encoding="utf-8")
    request = Request([str(file)], load_catalog(None), folder / "products.rejects.ndjson", options=asked or Options())
    return loads.load(shop, request, no_report, no_line)


def stored(shop: Shop) -> dict[str, dict[str, Any]]:
    shop.client.indices.refresh(index=shop.settings.alias)
    answer = shop.client.search(index=shop.settings.alias, body={"size": 2000})
    return {hit["_id"]: hit["_source"] for hit in answer["hits"]["hits"]}


def test_a_full_load_removes_what_its_source_lacks_but_no_rejected_row_and_nothing_that_others_wrote_meanwhile(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(shop, tmp_path, [product(number) for number in range(20)])

    def someone_writes(report: object) -> None:
        shop.client.index(index=shop.settings.alias, id="theirs", body=product(99, sku="theirs"))

    rows = [product(number) for number in range(2, 19)] + [product(19, price="call us")]
    file = tmp_path / "full.ndjson"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    request = Request([str(file)], load_catalog(None), tmp_path / "r.ndjson", options=Options(mode="full"))
    account = loads.load(shop, request, someone_writes, no_line).account
    assert (account.unchanged, account.rejected, account.removed) == (17, 1, 2)
    assert set(stored(shop)) == {f"p{number}" for number in range(2, 20)} | {"theirs"}


def test_a_full_load_of_half_a_catalog_removes_nothing_unless_it_may(shop: Shop, tmp_path: Path) -> None:
    load(shop, tmp_path, [product(number) for number in range(20)])
    half = [product(number) for number in range(10)]
    with pytest.raises(CatalogError, match=r"10 of 20 products .* \(50%\), more than --max-delete-share 10%: nothing"):
        load(shop, tmp_path, half, Options(mode="full"))
    assert len(stored(shop)) == 20
    assert load(shop, tmp_path, half, Options(mode="full", max_delete_share=0.5)).account.removed == 10
    assert len(stored(shop)) == 10


def test_an_update_changes_the_named_fields_alone_and_makes_no_products(shop: Shop, tmp_path: Path) -> None:
    load(shop, tmp_path, [product(1), product(2), product(3)])
    before = stored(shop)
    rows = [{"sku": "p1", "price": 5, "stock": 0}, {"sku": "p2", "stock": 1, "price": 12}, {"sku": "new", "price": 1}]
    outcome = load(shop, tmp_path, rows, Options(mode="update"))
    account = outcome.account
    assert (account.indexed, account.unchanged, account.rejected, account.embedded) == (1, 1, 1, 0)
    assert outcome.rejects is not None
    assert "the catalog has no such product" in outcome.rejects.read_text()
    after = stored(shop)
    changed = {**before["p1"], "price": 5, "stock": 0, "prodsim": after["p1"]["prodsim"]}
    assert after["p1"] == changed
    assert after["p2"] == before["p2"]
    with pytest.raises(CatalogError, match="title can't be updated alone"):
        load(shop, tmp_path, rows, Options(mode="update", only=("title",)))


def test_a_delete_list_deletes_and_says_what_was_not_there(shop: Shop, tmp_path: Path) -> None:
    load(shop, tmp_path, [product(number) for number in range(5)])
    account = load(shop, tmp_path, [{"sku": "p1"}, {"sku": "p3"}, {"sku": "gone"}], Options(mode="delete")).account
    assert (account.indexed, account.unchanged) == (2, 1)
    assert set(stored(shop)) == {"p0", "p2", "p4"}


@pytest.mark.parametrize("mode", ["update", "delete"])
def test_nothing_is_updated_in_or_deleted_from_a_catalog_that_is_not_there(
    shop: Shop, tmp_path: Path, mode: Any
) -> None:
    with pytest.raises(NotFound, match="there is no catalog"):
        load(shop, tmp_path, [product(1)], Options(mode=mode))


def test_the_last_row_of_a_sku_wins_over_all_batches_and_every_replaced_one_is_listed(
    shop: Shop, tmp_path: Path
) -> None:
    rows = [product(number % 10, title=f"Title {number}") for number in range(3 * BATCH_ROWS)]
    outcome = load(shop, tmp_path, rows)
    account = outcome.account
    assert (account.read, account.indexed, account.duplicates) == (len(rows), 10, len(rows) - 10)
    assert account.adds_up
    last = {row["sku"]: row["title"] for row in rows}
    assert {sku: source["title"] for sku, source in stored(shop).items()} == last
    assert outcome.duplicates[0].line == 1


@pytest.mark.parametrize("mode", ["upsert", "update", "delete"])
def test_an_older_run_never_undoes_a_newer_one(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: Any
) -> None:
    older = checkpoint.new_version()
    load(shop, tmp_path, [product(1, price=1)])
    load(shop, tmp_path, [product(1, price=7)])
    monkeypatch.setattr(loads, "new_version", lambda: older)
    account = load(shop, tmp_path, [product(1, price=3)], Options(mode=mode)).account
    assert (account.indexed, account.unchanged, account.newer) == (0, 1, 1)
    assert stored(shop)["p1"]["price"] == 7


def test_rejects_are_taken_again_after_a_fix_and_those_that_pass_leave_the_file(shop: Shop, tmp_path: Path) -> None:
    first = load(shop, tmp_path, [product(1), product(2, price="12,5 EUR zzz"), product(3, stock=-4)])
    assert first.account.rejected == 2
    rejects = first.rejects
    assert rejects is not None
    rejects.write_text(rejects.read_text().replace("12,5 EUR zzz", "12.5"))
    request = Request([str(rejects)], load_catalog(None), rejects, retry=True)
    second = loads.load(shop, request, no_report, no_line)
    assert (second.account.read, second.account.indexed, second.account.rejected) == (2, 1, 1)
    [left] = [json.loads(line) for line in rejects.read_text().splitlines()]
    assert (left["sku"], left["line"], left["source"]) == ("p3", 3, str(tmp_path / "products.ndjson"))
    rejects.write_text(rejects.read_text().replace("-4", "4"))
    assert loads.load(shop, request, no_report, no_line).rejects is None
    assert not rejects.exists()
    assert set(stored(shop)) == {"p1", "p2", "p3"}


def test_a_hopeless_load_stops_early_and_a_new_catalog_is_not_shown(shop: Shop, tmp_path: Path) -> None:
    rows = [product(number, price="?") for number in range(10 * BATCH_ROWS)]
    with pytest.raises(CatalogError, match="rows were rejected, more than --max-rejects 100") as stopped:
        load(shop, tmp_path, rows, Options(max_rejects=Limit(count=100)))
    assert f"of {len(rows):,} rows" not in str(stopped.value)
    with pytest.raises(CatalogError, match="more than --max-rejects 5 %"):
        load(shop, tmp_path, [product(1), product(2, price="?")], Options(max_rejects=Limit(share=0.05)))
    assert indexes.product_indexes(shop.client, shop.settings.alias) == []


def test_a_new_index_has_its_replicas_and_refreshes_again_once_it_is_filled(shop: Shop, tmp_path: Path) -> None:
    name = load(shop, tmp_path, [product(1)]).index
    settings = shop.client.indices.get_settings(index=name)[name]["settings"]["index"]
    assert settings["auto_expand_replicas"] == "0-1"
    assert "refresh_interval" not in settings


def test_a_text_that_the_embedder_refuses_costs_its_row_and_no_other(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from prodsim.plugin.errors import EmbedderError

    embed = shop.embedder.embed

    def refuses_one(texts: Any, *others: Any, **named: Any) -> Any:
        if any("number 7" in text for text in texts):
            raise EmbedderError("item 3 is too strange")
        return embed(texts, *others, **named)

    monkeypatch.setattr(shop.embedder, "embed", refuses_one)
    outcome = load(shop, tmp_path, [product(number) for number in range(12)])
    assert (outcome.account.indexed, outcome.account.rejected) == (11, 1)
    assert outcome.rejects is not None
    [left] = [json.loads(line) for line in outcome.rejects.read_text().splitlines()]
    assert (left["sku"], left["problems"][0]["code"]) == ("p7", "not_embedded")


def test_an_interrupted_load_with_another_catalog_yaml_starts_over(shop: Shop, tmp_path: Path) -> None:
    file = tmp_path / "products.ndjson"
    file.write_text("".join(json.dumps(product(number)) + "\n" for number in range(3 * BATCH_ROWS)))
    request = Request(
        [str(file)], load_catalog(None), tmp_path / "r.ndjson", checkpoint=tmp_path / "products.checkpoint"
    )

    class Stopped(Exception):
        pass

    def stop(report: Report) -> None:
        if report.account.read:
            raise Stopped

    said: list[str] = []
    with pytest.raises(Stopped):
        loads.load(shop, request, stop, said.append)
    assert "the same command goes on after them" in said[-1]
    assert indexes.find_serving_index(shop.client, shop.settings.alias) is None
    (tmp_path / "catalog.yaml").write_text("fields: {sku: sku, title: title, price: price}\n")
    other = replace(request, catalog=load_catalog(tmp_path / "catalog.yaml"))
    outcome = loads.load(shop, other, no_report, said.append)
    assert any("an interrupted load is given up" in line for line in said)
    assert (outcome.account.read, outcome.account.adds_up) == (3 * BATCH_ROWS, True)
    assert all("stock" not in source for source in stored(shop).values())
    [index] = indexes.product_indexes(shop.client, shop.settings.alias)
    assert not index.unfinished
