"""What a catalog.yaml can do with the values of a row, and what is said of rows it can't use."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prodsim.loaders.preparing.catalog import Catalog, load_catalog
from prodsim.loaders.preparing.product import Problem, Product
from prodsim.plugin.errors import ConfigError


def catalog(folder: Path, lines: str, top: str = "") -> Catalog:
    path = folder / "catalog.yaml"
    path.write_text(f"{top}\nfields:\n  sku: id\n  title: name\n{lines}\n", encoding="utf-8")
    return load_catalog(path)


def document(shop: Catalog, **row: object) -> dict[str, Any]:
    made = shop.prepare({"id": "1", "name": "Boot", **row})
    assert isinstance(made, Product), made
    return made.document()


def problems(shop: Catalog, **row: object) -> list[str]:
    made = shop.prepare({"id": "1", "name": "Boot", **row})
    assert isinstance(made, list), made
    return [one.message for one in made]


def test_columns_are_joined_and_filled_into_templates(tmp_path: Path) -> None:
    shop = catalog(
        tmp_path,
        """
  brand: {column: [maker, line], join: " / "}
  variant_group: {template: "{maker}-{model}"}
""",
    )
    assert document(shop, maker="Acme", line="Pro", model=7)["brand"] == "Acme / Pro"
    assert document(shop, maker="Acme", line=" ", model=7)["variant_group"] == "Acme-7"
    assert "brand" not in document(shop)


def test_words_are_mapped_whatever_their_case(tmp_path: Path) -> None:
    shop = catalog(tmp_path, "  stock: {column: s, map: {In Stock: 10, sold out: 0, true: 5}, default: 1}")
    assert [document(shop, s=word)["stock"] for word in ("in  stock", "SOLD OUT", True, "3", 4, "")] == [
        10,
        0,
        5,
        3,
        4,
        1,
    ]
    assert problems(shop, s="soon") == ["stock: 'soon' is not a number"]
    strict = catalog(tmp_path, "  stock: {column: s, map: {sold out: 0}, other: reject}")
    assert problems(strict, s="soon") == ["stock: 'soon' is none of the words that its 'map' knows: sold out"]
    rest = catalog(tmp_path, "  stock: {column: s, map: {sold out: 0}, other: 99}")
    assert document(rest, s="plenty")["stock"] == 99


def test_prices_are_read_and_bring_their_currency(tmp_path: Path) -> None:
    shop = catalog(tmp_path, "  price: p\n  list_price: l\n  currency: {column: c, optional: true}")
    assert document(shop, p="€ 1.299,00")["price"] == 1299.0
    assert document(shop, p="€ 1.299,00")["currency"] == "EUR"
    assert document(shop, p="$12", l="CA$15")["currency"] == "CAD"
    assert document(shop, p="$12", c="aud")["currency"] == "AUD"
    assert "currency" not in document(shop, p="12 kr")
    assert problems(shop, p="12 €", c="USD") == ["price: is in EUR, but the product's currency is USD"]
    assert problems(shop, p="12 €", l="£15") == ["list_price: is in GBP, but the product's currency is EUR"]


def test_a_mark_that_is_declared_for_the_file_holds_for_every_number(tmp_path: Path) -> None:
    shop = catalog(tmp_path, "  price: p\n  rating: r\n  stock: s", 'decimal: ","')
    made = document(shop, p="1.299", r="4,5", s="1.200")
    assert (made["price"], made["rating"], made["stock"]) == (1299.0, 4.5, 1200)
    assert document(shop, p=1.299)["price"] == 1.299  # a number in JSON is exact


def test_numbers_are_computed_exactly(tmp_path: Path) -> None:
    shop = catalog(
        tmp_path,
        """
  price: {compute: "{net price} * 1.19"}
  list_price: {compute: (a.b + 1) / 2, round: 0}
  popularity: {compute: sales - returns}
""",
    )
    made = document(shop, **{"net price": "19,99 €", "a": {"b": 4}, "sales": 3, "returns": "1"})
    assert (made["price"], made["list_price"], made["popularity"]) == (23.79, 2.0, 2.0)
    assert "price" not in document(shop, sales=1)
    assert problems(shop, **{"net price": "cheap"}) == [
        "price: 'cheap' holds no number: leave it blank, or give such words one with 'map' in a catalog.yaml"
    ]
    divided = catalog(tmp_path, "  price: {compute: a / b}")
    assert problems(divided, a=1, b=0) == ["price: can't be computed: it divides by zero or is too large"]


@pytest.mark.parametrize(
    "formula",
    [
        "__import__('os')",
        "a ** 9",
        "a.real()",
        "[a]",
        "a if b else c",
        "a; b",
        "1 + 1",
        "",
        "lambda: a",
        "a" * 300,
        "a @ b",
        "'a' + b",
    ],
)
def test_a_formula_is_a_sum_and_nothing_else(tmp_path: Path, formula: str) -> None:
    with pytest.raises(ConfigError, match=r"fields\.price: its formula"):
        catalog(tmp_path, f"  price: {{compute: {orjson.dumps(formula).decode()}}}")


@pytest.mark.parametrize(
    ("declared", "written"),
    [
        ("'%d.%m.%Y'", "04.03.2024"),
        ("'%d.%m.%y'", "04.03.24"),
        ("day-first", "04/03/2024"),
        ("month-first", "03/04/2024"),
        ("['%Y%m%d', '%d %b %Y']", "04 Mar 2024"),
        ("epoch", 1709510400),
        ("epoch", "1709510400"),
    ],
)
def test_dates_are_read_as_declared(tmp_path: Path, declared: str, written: object) -> None:
    for top, spec in (("", f"{{column: d, date: {declared}}}"), (f"date: {declared}", "d")):
        shop = catalog(tmp_path, f"  created_at: {spec}\nattributes:\n  since: {{column: d, date: {declared}}}", top)
        made = document(shop, d=written)
        assert (made["created_at"], made["attributes"]) == ("2024-03-04T00:00:00Z", {"since": "2024-03-04"})


def test_a_date_that_means_two_days_is_refused_until_its_order_is_declared(tmp_path: Path) -> None:
    shop = catalog(tmp_path, "  created_at: d")
    (message,) = problems(shop, d="03/04/2024")
    assert "'03/04/2024' could mean 2024-04-03 or 2024-03-04" in message
    assert "date: day-first" in message
    declared = catalog(tmp_path, "  created_at: {column: d, date: '%d.%m.%Y'}")
    assert problems(declared, d="2024-01-31") == ["created_at: '2024-01-31' does not look like '%d.%m.%Y'"]


def test_attributes_take_units_and_yes_or_no(tmp_path: Path) -> None:
    shop = catalog(
        tmp_path,
        """
attributes:
  weight: {column: w, unit: g}
  waterproof: {column: wp, boolean: true}
  sizes: {column: sizes, split: "/"}
""",
    )
    made = document(shop, w="1,2 kg", wp="Ja", sizes="40/41 /42")
    assert made["attributes"] == {"weight": "1200 g", "waterproof": "true", "sizes": ["40", "41", "42"]}
    assert document(shop, w=900, wp=False)["attributes"] == {"weight": "900 g", "waterproof": "false"}
    assert problems(shop, w="5 l", wp="maybe") == [
        "attributes.weight: '5 l' is no weight, so it can't be converted to g",
        "attributes.waterproof: 'maybe' is neither yes nor no: say what it means with 'map' in a catalog.yaml",
    ]


def test_html_is_taken_off_text_unless_it_is_meant(tmp_path: Path) -> None:
    shop = catalog(tmp_path, "  description: [a, b]\n  category: path\n  tags: {column: t, split: ';'}")
    made = document(
        shop, a="<p>Warm</p><p>Dry</p>", b="x &amp; y", path="Shoes &gt; Boots", t="a &lt; b; c", name="<b>Boot</b>"
    )
    assert made["title"] == "Boot"
    assert made["description"] == "Warm\nDry\nx & y"
    assert made["category"] == ["Shoes", "Shoes > Boots"]
    assert made["tags"] == ["a < b", "c"]
    kept = catalog(tmp_path, "  description: {column: a, html: false}")
    assert document(kept, a="<b>x</b>")["description"] == "<b>x</b>"


def test_a_field_whose_bad_values_are_dropped_does_not_cost_the_row(tmp_path: Path) -> None:
    shop = catalog(
        tmp_path,
        "  gtin: {column: ean, invalid: drop}\n  price: {column: p, invalid: drop}\n  stock: s\n"
        "attributes:\n  weight: {column: w, unit: g, invalid: drop}",
    )
    assert document(shop, ean="n/a", p="call us", w="heavy", s=1) == {
        "sku": "1", "title": "Boot", "stock": 1, "variant_group": "1",
    }  # fmt: skip
    assert problems(shop, ean="n/a", p="call us", s=-1) == ["stock: -1 is out of range: it should be 0 or more"]


def test_all_problems_of_a_row_are_said_at_once_in_the_order_of_the_fields(tmp_path: Path) -> None:
    shop = catalog(tmp_path, "  price: p\n  stock: s\n  created_at: d\nattributes:\n  weight: {column: w, unit: g}")
    row = {"id": "", "name": None, "p": "free", "s": -1, "d": "soon", "w": "red"}
    made = shop.prepare(row)
    assert isinstance(made, list)
    assert [one.field for one in made] == ["sku", "title", "attributes.weight", "price", "stock", "created_at"]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("  price: {column: a, decimal: ';'}", "fields.price.decimal"),
        ("  title2: x", "no product field 'title2': did you mean 'title'?"),
        ("  brand: {column: a, decimal: ','}", "fields.brand: 'decimal' is for numbers"),
        ("  brand: {column: a, date: day-first}", "fields.brand: 'date' is for times and attributes"),
        ("  created_at: {column: a, date: '%H'}", "'%H' is not day-first, month-first, epoch or a format"),
        ("  price: {column: a, unit: g}", "fields.price: 'unit' is for attributes"),
        ("attributes:\n  w: {column: a, unit: stone}", "attributes.w.unit: no unit 'stone'"),
        ("  stock: {column: a, boolean: true}", "'boolean' is for attributes: 'map' gives its words values"),
        ("  brand: {compute: a * 2}", "fields.brand: 'compute' is for numbers"),
        ("  brand: {template: plain}", "fields.brand: its template names no column in braces"),
        ("  stock: {column: a, other: 3}", "fields.stock: 'other' needs a 'map'"),
        ("  price: {column: a, round: 2}", "fields.price: 'round' needs 'compute'"),
        ("  brand: {column: a, join: x}", "fields.brand: 'join' needs several columns"),
        ("  price: {column: a, html: false}", "fields.price: 'html' is for text"),
        ("  price: {column: a, compute: b}", "needs a column or a value, and not both"),
        ("attributes:\n  w: {column: a, unit: g, boolean: true}", "can't be 'unit' and 'boolean' at once"),
        ("  brand: [a, b]", "is read from one column, not 2: or say how to 'join' them"),
    ],
)
def test_what_means_nothing_is_refused_with_its_place(tmp_path: Path, lines: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        catalog(tmp_path, lines)
    assert message in str(caught.value)


def test_a_sku_cannot_be_dropped(tmp_path: Path) -> None:
    path = tmp_path / "catalog.yaml"
    path.write_text("fields: {sku: {column: id, invalid: drop}, title: name}")
    with pytest.raises(ConfigError, match=r"fields\.sku: every product needs it"):
        load_catalog(path)


def test_columns_of_templates_and_formulas_are_checked_like_others(tmp_path: Path) -> None:
    shop = catalog(tmp_path, "  brand: {template: '{maker} {line}'}\n  price: {compute: net * 1.19}")
    assert [use.column for use in shop.uses()] == ["id", "name", "maker", "line", "net"]
    assert shop.unused_columns(["id", "net", "other"]) == ["other"]


def test_a_sku_is_told_even_of_a_bad_row(tmp_path: Path) -> None:
    shop = catalog(tmp_path, "  price: p")
    assert shop.sku_of({"id": " A 1 ", "p": "x"}) == "A 1"
    assert shop.sku_of({"id": ["x"]}) is None
    assert shop.sku_of({}) is None


def test_the_fingerprint_changes_with_what_is_declared_and_with_nothing_else(tmp_path: Path) -> None:
    one = catalog(tmp_path, "  price: p")
    (tmp_path / "other").mkdir()
    same = catalog(tmp_path / "other", "  price: {column: p}   # as before")
    assert same.fingerprint == one.fingerprint
    others = [
        catalog(tmp_path, "  price: q"),
        catalog(tmp_path, "  price: p", 'decimal: ","'),
        catalog(tmp_path, "  price: p\nattributes: {a: b}"),
        load_catalog(None),
    ]
    assert len({one.fingerprint, *(other.fingerprint for other in others)}) == 5


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.sampled_from(
        ["€ 1.299", "12,50", "10-20", "<b>x</b>", "&lt;p&gt;", "03/04/2024", "1 TB", "6 x", "Ja", "4006381333931"]
    ),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)  # fmt: skip
EVERYTHING = """
  description: [a, b]
  brand: {column: [c, d], join: " "}
  category: {column: e, split: "/"}
  tags: {column: f, split: ";"}
  price: {compute: g * 2}
  list_price: h
  currency: {column: i, map: {euro: EUR}}
  stock: {column: j, map: {in stock: 1}, other: reject}
  rating: k
  created_at: {column: l, date: day-first}
  image_url: {template: "{m}/{n}"}
  identifiers: o
  gtin: {column: p, invalid: drop}
  measures: q
  attributes: r
attributes:
  weight: {column: s, unit: g}
  dry: {column: t, boolean: true}
  since: {column: u, date: '%d.%m.%Y'}
  sizes: {column: v, split: ","}
"""
COLUMNS = st.sampled_from([*"abcdefghijklmnopqrstuv", "id", "name"])


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    return catalog(tmp_path_factory.mktemp("any"), EVERYTHING)


@settings(max_examples=200)
@given(row=st.dictionaries(COLUMNS, JSON), whole=st.booleans())
def test_any_row_is_a_product_or_has_problems(row: dict[str, Any], whole: bool, everything: Catalog) -> None:
    shop = everything
    made = shop.prepare({**row, "id": "1", "name": "Boot"} if whole else row)
    if isinstance(made, Product):
        assert orjson.loads(orjson.dumps(made.document())) == made.document()
    else:
        assert made
        assert all(isinstance(one, Problem) and "\n" not in one.message for one in made)
    sku = shop.sku_of(row)
    assert sku is None or 0 < len(sku.encode()) <= 512


FIELDS = st.sampled_from([*Product.model_fields, "colour", "attributes.color"])


@settings(max_examples=200)
@given(st.dictionaries(FIELDS, JSON))
def test_a_prepared_product_prepares_to_itself(row: dict[str, Any]) -> None:
    plain = load_catalog(None)
    made = plain.prepare({"sku": "A1", "title": "Boot", **row})
    if isinstance(made, Product):
        again = plain.prepare(made.document())
        assert isinstance(again, Product), again
        assert again.document() == made.document()


def test_a_price_that_is_no_number_at_all_is_refused(tmp_path: Path) -> None:
    shop = catalog(tmp_path, "  price: p")
    assert problems(shop, p=math.nan) == ["price: NaN is not a number"]
