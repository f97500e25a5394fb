"""Rows as shop systems export them at their worst: loaded, or refused in words that a shop understands."""

from __future__ import annotations

import json
import math
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from prodsim.loaders.preparing.catalog import Catalog, load_catalog
from prodsim.loaders.preparing.product import Product

CATALOG = """
fields:
  sku: id
  title: name
  description: text
  brand: brand
  category: {column: path, split: "/"}
  tags: {column: tags, split: ";"}
  price: price
  list_price: rrp
  currency: currency
  stock: {column: stock, map: {auf Lager: 10, ausverkauft: 0}}
  rating: stars
  rating_count: ratings
  created_at: created
  image_url: image
  gtin: ean
attributes:
  weight: {column: weight, unit: g}
"""


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    path = tmp_path_factory.mktemp("shop") / "catalog.yaml"
    path.write_text(CATALOG, encoding="utf-8")
    return load_catalog(path)


NO_NUMBER = " holds no number: leave it blank, or give such words one with 'map' in a catalog.yaml"
SAY_DECIMAL = ": say which with 'decimal' in a catalog.yaml"
SAY_ORDER = ": say which with 'date: day-first' or 'date: month-first' in a catalog.yaml"
NO_DATE = " is not a date or time: write it as 2024-01-31 or 2024-01-31T10:30:00Z"
X60 = "x" * 60

NESTED: dict[str, Any] = {}
NESTED["deep"] = [[[{"x": [1, {"y": None}]}]]]

LOADED: dict[str, tuple[dict[str, object], dict[str, object]]] = {
    "the least": ({}, {}),
    "a price for people": ({"price": "€ 1.299,00"}, {"price": 1299.0, "currency": "EUR"}),
    "a price with an apostrophe": ({"price": "CHF 1'299.00"}, {"price": 1299.0, "currency": "CHF"}),
    "a price of nothing": ({"price": "0,00 €"}, {"price": 0.0, "currency": "EUR"}),
    "spaces and blanks everywhere": ({"name": " \u00a0Boot\t\u2003red ", "brand": "  "}, {"title": "Boot red"}),
    "control characters": ({"name": "Bo\x00ot\x07\x1b"}, {"title": "Boot"}),
    "a byte order mark": ({"name": "\ufeffBoot"}, {"title": "Boot"}),
    "half a surrogate pair": ({"name": "Boot\ud83d"}, {"title": "Boot"}),
    "emoji": ({"name": "Boot 👢👩‍👩‍👧"}, {"title": "Boot 👢👩‍👩‍👧"}),
    "letters apart from their accents": ({"name": "Cafe\u0301"}, {"title": "Café"}),
    "fullwidth letters": ({"name": "\uff22\uff4f\uff4f\uff54"}, {"title": "Boot"}),
    "HTML": ({"text": "<p>Warm &amp; dry</p><script>x()</script>"}, {"description": "Warm & dry"}),
    "escaped HTML": ({"text": "&lt;b&gt;Warm&lt;/b&gt;"}, {"description": "Warm"}),
    "cut HTML": ({"text": "<p>Warm <b>dry"}, {"description": "Warm dry"}),
    "a description that is too long": ({"text": "x" * 200_000}, {"description": "x" * 100_000}),
    "a number for a title": ({"name": 1984}, {"title": "1984"}),
    "a float for a SKU": ({"id": 12.0}, {"sku": "12"}),
    "a stock word": ({"stock": "AUSVERKAUFT"}, {"stock": 0}),
    "a stock with thousands": ({"stock": "1,299"}, {"stock": 1299}),
    "a whole stock with decimals": ({"stock": "3.00"}, {"stock": 3}),
    "a rating with a comma": ({"stars": "4,5"}, {"rating": 4.5}),
    "not rated": ({"stars": 0, "ratings": 0}, {"rating_count": 0}),
    "an ISO date": ({"created": "2024-01-31"}, {"created_at": "2024-01-31T00:00:00Z"}),
    "a German date": ({"created": "31.01.2024"}, {"created_at": "2024-01-31T00:00:00Z"}),
    "an American date": ({"created": "01/31/2024 2:05 PM"}, {"created_at": "2024-01-31T14:05:00Z"}),
    "a date in words": ({"created": "31 January 2024"}, {"created_at": "2024-01-31T00:00:00Z"}),
    "a date in milliseconds": ({"created": 1706697000000}, {"created_at": "2024-01-31T10:30:00Z"}),
    "a date of a database": ({"created": date(2024, 1, 31)}, {"created_at": "2024-01-31T00:00:00Z"}),
    "an empty path and tags": ({"path": "//", "tags": ";;"}, {}),
    "a path with gaps": ({"path": " Shoes // Boots "}, {"category": ["Shoes", "Shoes > Boots"]}),
    "a weight with a comma": ({"weight": "1,2 kg"}, {"attributes": {"weight": "1200 g"}, "measures": ["weight:1200g"]}),
    "an EAN with spaces": ({"ean": "4 006381 333931"}, {"gtin": ["04006381333931"]}),
    "junk in columns that feed nothing": ({"extra": NESTED, "": [math.nan]}, {}),
}

REFUSED: dict[str, tuple[dict[str, object], list[str]]] = {
    "nothing at all": ({"id": None, "name": ""}, ["sku: missing", "title: missing"]),
    "a title of blanks": ({"name": " \u00a0"}, ["title: missing"]),
    "a title of markup": ({"name": "<br>"}, ["title: missing"]),
    "a NaN price": ({"price": math.nan}, ["price: NaN is not a number"]),
    "a NaN price in words": ({"price": "NaN"}, [f"price: 'NaN'{NO_NUMBER}"]),
    "an endless price": ({"price": math.inf}, ["price: inf is not a number"]),
    "a price on request": ({"price": "auf Anfrage"}, [f"price: 'auf Anfrage'{NO_NUMBER}"]),
    "a negative price": ({"price": "-5,00 €"}, ["price: '-5,00 €' is out of range: it should be 0 or more"]),
    "a range of prices": ({"price": "10 - 20 €"}, ["price: '10 - 20 €' is a range: give one price"]),
    "a price from": ({"price": "ab 10 €"}, ["price: 'ab 10 €' is not an exact price: give the number alone"]),
    "a price that means two": ({"price": "1.299 €"}, [f"price: '1.299 €' could mean 1299 or 1.299{SAY_DECIMAL}"]),
    "two currencies": ({"price": "5 €", "currency": "USD"}, ["price: is in EUR, but the product's currency is USD"]),
    "a sign for a currency": ({"currency": "€"}, ["currency: '€' is not a three-letter currency code such as EUR"]),
    "a negative stock": ({"stock": -1}, ["stock: -1 is out of range: it should be 0 or more"]),
    "half a piece": ({"stock": "2.5"}, ["stock: '2.5' is not a whole number"]),
    "an unknown stock word": ({"stock": "bald"}, ["stock: 'bald' is not a number"]),
    "more stars than there are": ({"stars": 7}, ["rating: 7 is out of range: it should be from 0 to 5"]),
    "a date that means two": (
        {"created": "03/04/2024"},
        [f"created_at: '03/04/2024' could mean 2024-04-03 or 2024-03-04{SAY_ORDER}"],
    ),
    "a date that never was": ({"created": "31.02.2024"}, [f"created_at: '31.02.2024'{NO_DATE}"]),
    "a date of a short year": (
        {"created": "31.01.24"},
        ["created_at: '31.01.24' has a year of two digits: write four, or declare its 'date' format"],
    ),
    "a date in seconds": (
        {"created": 1706697000},
        ["created_at: 1706697000 looks like seconds: write milliseconds or 2024-01-31"],
    ),
    "a date of zeros": ({"created": "0000-00-00"}, [f"created_at: '0000-00-00'{NO_DATE}"]),
    "nested junk in a text": ({"brand": NESTED}, ["brand: a set of names and values is not text"]),
    "nested junk in a price": ({"price": [NESTED]}, ["price: a list is not a number"]),
    "true for a title": ({"name": True}, ["title: true is not text"]),
    "a SKU with a line break": ({"id": "A\nB"}, ["sku: 'A\ufffdB' holds a line break or an unprintable character"]),
    "a SKU that is too long": ({"id": "x" * 600}, [f"sku: 600 bytes are more than the 512 that fit: '{X60}…'"]),
    "a SKU from a spreadsheet": (
        {"id": 1.5e20},
        ["sku: 1.5e+20 is not exact as a number: write it as text, in quotes"],
    ),
    "a title that is too long": (
        {"name": "x" * 1_001},
        [f"title: 1,001 characters are more than the 1,000 that fit: '{X60}…'"],
    ),
    "a wrong check digit": (
        {"ean": "4006381333932"},
        ["gtin: '4006381333932' is no EAN, UPC or GTIN: its check digit is wrong"],
    ),
    "an EAN from a spreadsheet": (
        {"ean": "4.00638E+12"},
        ["gtin: '4.00638E+12' is no EAN, UPC or GTIN: it is not digits alone"],
    ),
    "a weight in litres": ({"weight": "5 l"}, ["attributes.weight: '5 l' is no weight, so it can't be converted to g"]),
    "many at once": (
        {"id": "", "price": "free", "stock": -1, "created": "soon"},
        [
            "sku: missing",
            f"price: 'free'{NO_NUMBER}",
            "stock: -1 is out of range: it should be 0 or more",
            f"created_at: 'soon'{NO_DATE}",
        ],
    ),
}


@pytest.mark.parametrize("name", LOADED)
def test_what_can_be_read_is_loaded(shop: Catalog, name: str) -> None:
    row, expected = LOADED[name]
    made = shop.prepare({"id": "1", "name": "Boot", **row})
    assert isinstance(made, Product), made
    document = made.document()
    assert document == {"sku": "1", "title": "Boot", "variant_group": document["sku"], **expected}


@pytest.mark.parametrize("name", REFUSED)
def test_what_can_not_is_refused_in_plain_words(shop: Catalog, name: str) -> None:
    row, messages = REFUSED[name]
    made = shop.prepare({"id": "1", "name": "Boot", **row})
    assert isinstance(made, list), made
    assert [problem.message for problem in made] == messages
    assert all(problem.code for problem in made)


def test_the_example_catalog_loads_without_a_reject() -> None:
    plain = load_catalog(None)
    lines = (Path(__file__).parents[2] / "examples" / "products.ndjson").read_text(encoding="utf-8").splitlines()
    assert all(isinstance(plain.prepare(json.loads(line)), Product) for line in lines)
