"""The same products in two shops: one shop's catalog loaded, the other's records as queries (Abt-Buy)."""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import pytest

from prodsim.plugin.config import Settings
from prodsim.plugin.measuring.evaluation import evaluate
from prodsim.plugin.measuring.judgments import JudgmentList
from prodsim.plugin.measuring.opening import open_ring
from prodsim.plugin.query import ProductSearch
from tests.catalog_files import load_file, load_products
from tests.conftest import ROOT, open_shop, require_shared

if TYPE_CHECKING:
    from prodsim.plugin.shop import Shop

FIRST, FIRST_TEN = 0.87, 0.985  # the least shares of queries whose product is first, and among the first ten

pytestmark = pytest.mark.timeout(900)


def rows(name: str) -> list[dict[str, str]]:
    with require_shared(f"abt_buy/{name}").open(encoding="utf-8", errors="replace", newline="") as file:
        return list(csv.DictReader(file, delimiter="|"))


@pytest.fixture(scope="module")
def pairs() -> dict[str, set[str]]:
    """Ids at Buy by those at Abt."""
    found: dict[str, set[str]] = {}
    for row in rows("gtclean.csv"):
        found.setdefault(row["D1"], set()).add(row["D2"])
    return found


@pytest.fixture(scope="module")
def buy(settings_for: Callable[..., Settings]) -> Iterator[Shop]:
    with open_shop(settings_for("abt-buy")) as shop:
        load_file(shop, require_shared("abt_buy/buyclean.csv"), ROOT / "examples" / "catalogs" / "abt_buy.yaml")
        yield shop


def test_titles_of_the_other_shop_find_their_products(
    buy: Shop, pairs: Mapping[str, set[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    titles = {row["id"]: row["name"] for row in rows("abtclean.csv")}
    grades: dict[str, dict[str, float]] = {}
    for one, others in pairs.items():
        grades.setdefault(titles[one], {}).update(dict.fromkeys(others, 1.0))
    with open_ring(buy.settings) as ring:
        contenders = [ring.contender(name) for name in ("bm25", "bm25:best_fields", "vectors", "installed")]
        found = evaluate(ring, contenders, JudgmentList("abt-buy", grades), ["hit@1", "hit@10"])
    with capsys.disabled():
        for measured in found:
            means = "  ".join(f"{name} {mean.mean:.4f}" for name, mean in measured.means.items())
            sys.stdout.write(f"\n{measured.contender:18} {means}  ({len(grades)} titles)")
    figures = {name: mean.mean for name, mean in found[-1].means.items()}
    assert figures["hit@1"] >= FIRST
    assert figures["hit@10"] >= FIRST_TEN


@pytest.fixture(scope="module")
def both(settings_for: Callable[..., Settings]) -> Iterator[Shop]:
    with open_shop(settings_for("abt-and-buy")) as shop:
        load_products(shop, [*records("abt", rows("abtclean.csv")), *records("buy", rows("buyclean.csv"))])
        yield shop


@pytest.mark.parametrize(("one_shop", "other"), [("abt", "buy"), ("buy", "abt")])
def test_products_like_a_record_of_the_other_shop_are_the_same_one_first(
    both: Shop, pairs: Mapping[str, set[str]], one_shop: str, other: str, capsys: pytest.CaptureFixture[str]
) -> None:
    same: dict[str, set[str]] = {}
    for abt, found_at_buy in pairs.items():
        for buy in found_at_buy:
            ids = {"abt": f"abt-{abt}", "buy": f"buy-{buy}"}
            same.setdefault(ids[one_shop], set()).add(ids[other])
    search = ProductSearch(both.client, both.settings.alias)
    places = []
    for sku, others in same.items():
        hits = search.similar(sku, filters=[{"field": "attributes.shop", "values": [other]}]).hits
        found = [place for place, hit in enumerate(hits, 1) if hit.sku in others]
        places.append(found[0] if found else sys.maxsize)
    first, first_ten = (sum(place <= most for place in places) / len(places) for most in (1, 10))
    with capsys.disabled():
        sys.stdout.write(
            f"\nsimilar, {one_shop} to {other}  hit@1 {first:.4f}  hit@10 {first_ten:.4f}  ({len(places)} records)\n"
        )
    assert first >= FIRST
    assert first_ten >= FIRST_TEN


def records(shop: str, found: Sequence[Mapping[str, str]]) -> list[dict[str, object]]:
    return [
        {
            "sku": f"{shop}-{row['id']}",
            "title": row["name"],
            "description": row["description"],
            "price": row["price"] or None,
            "attributes": {"shop": shop},
        }
        for row in found
    ]
