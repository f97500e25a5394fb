"""docs/catalogs.md: its examples do what it says."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from prodsim.loaders.preparing.catalog import Catalog, checked_rows, load_catalog
from prodsim.loaders.preparing.product import Product, to_product
from prodsim.loaders.reading.readers import read_rows

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "catalogs.md").read_text(encoding="utf-8")


def block(name: str) -> str:
    found = re.search(rf"<!-- test: {name} -->\n```\w+\n(.*?)```", PAGE, re.DOTALL)
    assert found, name
    return found[1]


def table(name: str) -> list[list[str]]:
    lines = PAGE.split(f"<!-- test: {name} -->\n")[1].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    path = tmp_path_factory.mktemp("docs") / "export.csv"
    path.write_text(block("export.csv"), encoding="utf-8")
    shop = load_catalog(ROOT / "examples" / "catalogs" / "german_export.yaml")
    return {str(row.values["Artikelnummer"]): shop.prepare(row.values) for row in checked_rows(shop, read_rows(path))}


def test_the_first_row_of_the_example_becomes_the_product_that_is_shown(made: dict[str, object]) -> None:
    first, second = made["A-1"], made["A-2"]
    assert isinstance(first, Product)
    assert first.document() == json.loads(block("product A-1"))
    assert isinstance(second, Product)
    assert (second.price, second.list_price, second.stock) == (1299.0, None, 0)
    assert second.created_at == "2024-04-03T00:00:00Z"


def test_the_third_row_of_the_example_is_rejected_as_is_shown(made: dict[str, object]) -> None:
    third = made["A-3"]
    assert isinstance(third, list)
    assert [problem.message for problem in third] == block("problems A-3").splitlines()


def test_the_table_of_prices_is_true(tmp_path: Path) -> None:
    shop: Catalog = load_catalog(None)
    for written, price, currency in table("prices"):
        outcome = shop.prepare({"sku": "1", "title": "Boot", "price": written.strip("`")})
        if price == "refused":
            assert isinstance(outcome, list), written
        else:
            assert isinstance(outcome, Product), written
            assert (outcome.price, outcome.currency or "") == (float(price), currency)


def test_the_table_of_identifiers_is_true() -> None:
    for field, writings, normal in table("identifiers"):
        for written in re.findall("`(.+?)`", writings):
            outcome = to_product({"sku": "1", "title": f"Thing {written}"})
            assert isinstance(outcome, Product)
            assert normal.strip("`") in getattr(outcome, field.strip("`")), written
