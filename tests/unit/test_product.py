"""What makes a row a product, and what a shop's people read when it is none."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prodsim.loaders.preparing.product import Problem, Product, to_product


def product(**values: object) -> Product:
    result = to_product({"sku": "A1", "title": "Boot", **values})
    assert isinstance(result, Product), result
    return result


def problems(**values: object) -> list[Problem]:
    result = to_product({"sku": "A1", "title": "Boot", **values})
    assert isinstance(result, list), result
    return result


def problem(**values: object) -> Problem:
    (only,) = problems(**values)
    return only


def test_the_least_product_is_a_sku_and_a_title() -> None:
    assert product().document() == {"sku": "A1", "title": "Boot", "variant_group": "A1"}


def test_empty_text_and_null_mean_absent() -> None:
    empty = product(
        description="", brand=None, category=[], tags=" ", attributes={"a": "", "b": None, "c": []}, price=""
    )
    assert empty.document() == {"sku": "A1", "title": "Boot", "variant_group": "A1"}


def test_all_problems_of_a_row_are_said_at_once() -> None:
    result = to_product({"sku": "", "price": "abc", "stock": -1, "rating": 7, "currency": "€", "attributes": {"x": {}}})
    assert isinstance(result, list)
    assert {(one.field, one.code, one.message) for one in result} == {
        ("sku", "missing_sku", "sku: missing"),
        ("title", "missing_title", "title: missing"),
        ("price", "bad_number", "price: 'abc' is not a number"),
        ("stock", "out_of_range", "stock: -1 is out of range: it should be 0 or more"),
        ("rating", "out_of_range", "rating: 7 is out of range: it should be from 0 to 5"),
        ("currency", "bad_currency", "currency: '€' is not a three-letter currency code such as EUR"),
        ("attributes.x", "bad_text", "attributes.x: a set of names and values is not text"),
    }


@pytest.mark.parametrize(("raw", "sku"), [(123, "123"), (" A 1 ", "A 1"), (12.0, "12"), ("0012", "0012"), (0, "0")])
def test_a_sku_is_kept_as_it_is_written(raw: object, sku: str) -> None:
    assert product(sku=raw).sku == sku


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        ("x" * 513, "too_long"),
        ("é" * 257, "too_long"),
        ("A\nB", "bad_sku"),
        ("A\x00", "bad_sku"),
        ("\ud800", "bad_sku"),
        (1.5, "bad_sku"),
        (1e20, "bad_sku"),
        (math.nan, "bad_sku"),
        (True, "bad_text"),
        (["A1"], "bad_text"),
    ],
)
def test_a_sku_that_cannot_be_an_id_is_refused(raw: object, code: str) -> None:
    assert problem(sku=raw).code == code
    assert product(sku="é" * 256).sku == "é" * 256


def test_text_is_composed_and_rid_of_stray_characters_and_spaces() -> None:
    cleaned = product(title=" Cafe\u0301\x00 \u00a0 \ufeffau\tlait\n", description="One  two\r\n\r\n \x07three \n")
    assert cleaned.title == "Café au lait"
    assert cleaned.description == "One two\nthree"
    assert product(title="Ｓｏｎｙ™ 5½ ﬁne m²").title == "Sony 5 1⁄2 fine m2"  # noqa: RUF001  fullwidth on purpose


def test_emoji_sequences_stay_whole() -> None:
    assert product(title="For 👩‍👩‍👧").title == "For 👩‍👩‍👧"


def test_a_title_that_cleans_to_nothing_is_missing() -> None:
    assert problem(title="\x00\u00a0") == Problem("title", "missing_title", "title: missing")


def test_texts_too_long_are_refused_and_descriptions_cut() -> None:
    assert problem(title="x" * 1_001).code == "too_long"
    assert len(product(description="x" * 200_000).description or "") == 100_000


def test_numbers_and_dates_can_stand_for_text_but_true_and_false_can_not() -> None:
    assert product(title=1984, brand=12.0).document()["brand"] == "12"
    assert product(title=Decimal("1E+3")).title == "1000"
    assert product(title=date(2024, 1, 31)).title == "2024-01-31"
    assert problem(title=False) == Problem("title", "bad_text", "title: false is not text")
    assert problem(brand=math.nan) == Problem("brand", "bad_text", "brand: NaN is not text")


@pytest.mark.parametrize(
    ("raw", "price"),
    [("12.50", 12.5), (" 1 ", 1.0), (0, 0.0), (-0.0, 0.0), ("1e3", 1000.0), (".5", 0.5), (Decimal("9.99"), 9.99)],
)
def test_plain_numbers_are_read(raw: object, price: float) -> None:
    found = product(price=raw).price
    assert found == price
    assert math.copysign(1, found) == 1  # no -0.0


@pytest.mark.parametrize(
    ("raw", "code", "message"),
    [
        ("1,299", "ambiguous_number", "price: '1,299' could mean 1299 or 1.299: write it without the comma"),
        ("12,50", "bad_number", "price: '12,50' is not a number: write a point for the comma"),
        ("$12.50", "bad_number", "price: '$12.50' is not a plain number such as 1299.00"),
        ("1.299,00", "bad_number", "price: '1.299,00' is not a plain number such as 1299.00"),
        ("1_000", "bad_number", "price: '1_000' is not a plain number such as 1299.00"),
        ("١٢", "bad_number", "price: '١٢' is not a plain number such as 1299.00"),
        ("nan", "bad_number", "price: 'nan' is not a number"),
        ("inf", "bad_number", "price: 'inf' is not a number"),
        ("1e999", "bad_number", "price: '1e999' is not a number"),
        (math.nan, "bad_number", "price: NaN is not a number"),
        (math.inf, "bad_number", "price: inf is not a number"),
        pytest.param(10**5000, "bad_number", "price: a number of more than 40 digits is not a number", id="huge"),
        (True, "bad_number", "price: true is not a number"),
        ([1], "bad_number", "price: a list is not a number"),
        (-1, "out_of_range", "price: -1 is out of range: it should be 0 or more"),
        ("{x}\n", "bad_number", "price: '{x}\ufffd' is not a number"),
    ],
)
def test_what_is_no_plain_number_is_refused_and_never_guessed(raw: object, code: str, message: str) -> None:
    assert problem(price=raw) == Problem("price", code, message)


def test_counts_are_whole_numbers() -> None:
    assert product(stock="10.0", rating_count=3).document()["stock"] == 10
    assert problem(stock=2.5) == Problem("stock", "not_whole", "stock: 2.5 is not a whole number")
    assert problem(rating_count="-1").code == "out_of_range"
    assert problem(stock=10**17).message.endswith("it should be at most 9,007,199,254,740,992")


def test_a_stock_and_a_price_of_zero_are_kept() -> None:
    document = product(stock=0, price=0).document()
    assert (document["stock"], document["price"]) == (0, 0.0)


def test_zero_stars_of_zero_ratings_mean_not_rated() -> None:
    assert product(rating=0, rating_count=0).rating is None
    assert product(rating=0, rating_count=2).rating == 0
    assert product(rating="4.6", rating_count=0).rating == 4.6


def test_categories_become_the_paths_of_every_ancestor() -> None:
    paths = ["Shoes", "Shoes > Running", "Shoes > Running > Trail"]
    assert product(category=["Shoes", "Running", " Trail "]).category == paths
    assert product(category="Shoes > Running >  > Trail").category == paths
    assert product(category=["Shoes", None, "", "Running"]).category == paths[:2]


def test_the_paths_of_a_stored_product_stay_as_they_are() -> None:
    paths = ["Shoes", "Shoes > Running", "Shoes > Running > Trail"]
    assert product(category=paths).category == paths


def test_a_list_of_paths_is_no_path() -> None:
    assert problem(category=["Shoes > Running", "Sale"]) == Problem(
        "category",
        "bad_category",
        "category: a list is one path from root to leaf, but 'Shoes > Running' is a path already",
    )


def test_tags_are_split_and_listed_once() -> None:
    assert product(tags="warm, dry,,warm").tags == ["warm", "dry"]
    assert product(tags=["warm, dry", 2024, True]).tags == ["warm, dry", "2024", "true"]
    assert problem(tags=[["warm"]]).code == "bad_text"


def test_attributes_hold_text_or_lists_of_text() -> None:
    found = product(attributes={"size": 42, "waterproof": True, " color ": ["red", "", "blue"]}).attributes
    assert found == {"size": "42", "waterproof": "true", "color": ["red", "blue"]}


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ("red", "attributes: 'red' is not a set of names and values"),
        ({"a.b": 1}, "attributes: 'a.b' can't name an attribute: it is blank, too long or holds a dot"),
        ({"": 1}, "attributes: '' can't name an attribute: it is blank, too long or holds a dot"),
        ({"a": 1, " a": 2}, "attributes: 'a' is given twice"),
    ],
)
def test_attributes_that_cannot_be_indexed_are_refused(raw: object, message: str) -> None:
    assert problem(attributes=raw) == Problem("attributes", "bad_attributes", message)


def test_currency_codes_are_upper_case() -> None:
    assert product(currency=" eur ").currency == "EUR"


@pytest.mark.parametrize(
    ("raw", "moment"),
    [
        (date(2024, 1, 31), "2024-01-31T00:00:00Z"),
        (datetime(2024, 1, 31, 10, 30), "2024-01-31T10:30:00Z"),
        (datetime(2024, 1, 31, 10, 30, tzinfo=timezone(timedelta(hours=2))), "2024-01-31T08:30:00Z"),
        (datetime(2024, 1, 31, 10, 30, 0, 5000, tzinfo=UTC), "2024-01-31T10:30:00.005000Z"),
        ("2024-01-31", "2024-01-31T00:00:00Z"),
        ("20240131", "2024-01-31T00:00:00Z"),
        ("2024-01-31 10:30:00+02:00", "2024-01-31T08:30:00Z"),
        ("31.01.2024", "2024-01-31T00:00:00Z"),
        ("31.01.2024 10:30 Uhr", "2024-01-31T10:30:00Z"),
        ("01/31/2024 2:05 PM", "2024-01-31T14:05:00Z"),
        ("31/01/2024", "2024-01-31T00:00:00Z"),
        ("3/3/2024", "2024-03-03T00:00:00Z"),
        ("31 January 2024", "2024-01-31T00:00:00Z"),
        ("Jan 31, 2024", "2024-01-31T00:00:00Z"),
        ("31. März 2024", "2024-03-31T00:00:00Z"),
        ("1er février 2024", "2024-02-01T00:00:00Z"),
        ("Wed, 31 Jan 2024 10:30:00 +0100", "2024-01-31T09:30:00Z"),
        ("2024-01-31T10:30:00.123Z", "2024-01-31T10:30:00.123000Z"),
        (1706697000000, "2024-01-31T10:30:00Z"),
        ("1706697000123", "2024-01-31T10:30:00.123000Z"),
        (1706697000000.0, "2024-01-31T10:30:00Z"),
    ],
)
def test_times_are_written_in_utc(raw: object, moment: str) -> None:
    assert product(created_at=raw).created_at == moment


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        ("31.13.2024", "bad_time"),
        ("01/02/2024", "ambiguous_time"),
        ("31.01.24", "ambiguous_time"),
        ("2024-02-30", "bad_time"),
        ("2024-W05", "bad_time"),
        (True, "bad_time"),
        (math.nan, "bad_time"),
        (1706697000, "ambiguous_time"),
        ("1706697000", "ambiguous_time"),
        (20240131, "ambiguous_time"),
        (-5, "out_of_range"),
        (10**15, "out_of_range"),
        ("0001-01-01T00:00:00+14:00", "out_of_range"),
    ],
)
def test_times_that_could_be_misread_are_refused(raw: object, code: str) -> None:
    assert problem(updated_at=raw).code == code


def test_a_value_for_no_product_field_is_a_problem() -> None:
    assert problem(colour="red") == Problem("colour", "unknown_field", "colour: there is no such product field")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(), max_size=8), inner, max_size=4)
    ),
    max_leaves=8,
)
FIELDS = st.sampled_from([*Product.model_fields, "colour"])


@settings(max_examples=200)
@given(st.dictionaries(FIELDS, JSON), st.booleans())
def test_any_row_is_a_product_that_can_be_indexed_or_has_problems(values: dict[str, Any], whole: bool) -> None:
    result = to_product({"sku": "A1", "title": "Boot", **values} if whole else values)
    if isinstance(result, Product):
        document = result.document()
        assert orjson.loads(orjson.dumps(document)) == document
        again = to_product(document)
        assert isinstance(again, Product)
        assert again.document() == document
        assert 1 <= len(result.sku.encode()) <= 512
    else:
        assert result
        assert all(one.message.startswith(f"{one.field}: ") and "\n" not in one.message for one in result)


@given(st.floats(min_value=0, allow_infinity=False))
def test_a_number_and_its_text_are_the_same_price(price: float) -> None:
    assert product(price=repr(price)).price == product(price=price).price == price


@given(st.lists(st.text("ab >", min_size=1, max_size=5).filter(lambda level: level.strip() and " > " not in level)))
def test_each_category_path_extends_the_one_before(levels: list[str]) -> None:
    result = to_product({"sku": "A1", "title": "Boot", "category": levels})
    assert isinstance(result, Product)
    for above, below in zip(result.category, result.category[1:], strict=False):
        assert below.startswith(f"{above} > ")
    assert len(result.category) == len(levels)
