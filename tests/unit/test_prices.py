"""Prices as shops write them: read where there is one meaning, refused with the reason where not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import PydanticCustomError

from prodsim.loaders.preparing.notation import Decimal, read_number
from prodsim.loaders.preparing.prices import Money, read_price


def money(text: str, decimal: Decimal | None = None) -> tuple[float, str | None]:
    read = read_price(text, decimal)
    if isinstance(read, Money):
        return read.amount, read.currencies[0] if read.currencies else None
    assert isinstance(read, str)
    return float(read), None


def refusal(text: str, decimal: Decimal | None = None) -> tuple[str, str]:
    with pytest.raises(PydanticCustomError) as caught:
        read_price(text, decimal)
    return caught.value.type, caught.value.message()


@pytest.mark.parametrize(
    ("text", "amount", "currency"),
    [
        ("€ 1.299,00", 1299.0, "EUR"),
        ("$12.5", 12.5, "USD"),
        ("1,299", 1299.0, None),
        ("1 299,00 kr", 1299.0, None),
        ("12,50 EUR", 12.5, "EUR"),
        ("1'299.00", 1299.0, None),
        ("CHF 1’299.–", 1299.0, "CHF"),  # noqa: RUF001  as Swiss shops write it
        ("1.299", 1.299, None),
        ("1.299.000", 1299000.0, None),
        ("1.299,- €", 1299.0, "EUR"),
        ("12,-", 12.0, None),
        ("Rs. 1,29,900.50", 129900.5, None),
        ("1\u00a0299,00\u00a0€", 1299.0, "EUR"),
        ("１２．５０", 12.5, None),  # noqa: RUF001  fullwidth digits
        ("kr 12 SEK", 12.0, "SEK"),
        ("$12 CAD", 12.0, "CAD"),
        ("US$ 1,299.00", 1299.0, "USD"),
        ("12,50 € *", 12.5, "EUR"),
        ("0,999", 0.999, None),
        ("1234,567", 1234.567, None),
        ("1e3", 1000.0, None),
        ("0,00 €", 0.0, "EUR"),
    ],
)
def test_common_notations_are_read(text: str, amount: float, currency: str | None) -> None:
    assert money(text) == (amount, currency)


@pytest.mark.parametrize(
    ("text", "decimal", "amount"),
    [
        ("1.299", ",", 1299.0),
        ("€ 1.299", ",", 1299.0),
        ("€ 1.299", ".", 1.299),
        ("1,299", ",", 1.299),
        ("1,299", ".", 1299.0),
    ],
)
def test_a_declared_decimal_mark_settles_what_could_mean_two_things(text: str, decimal: Decimal, amount: float) -> None:
    assert money(text, decimal)[0] == amount


@pytest.mark.parametrize(
    ("text", "code", "part"),
    [
        ("€ 1.299", "ambiguous_number", "could mean 1299 or 1.299"),
        ("-5", "", ""),
        ("-5 €", "out_of_range", "it should be 0 or more"),
        ("10-20", "price_range", "is a range: give one price"),
        ("10 – 20 €", "price_range", "is a range: give one price"),  # noqa: RUF001  a dash as shops write it
        ("from 10", "price_range", "is not an exact price"),
        ("ab 10 €", "price_range", "is not an exact price"),
        ("free", "no_price", "give such words one with 'map'"),
        ("call us", "no_price", "leave it blank"),
        ("€12 USD", "bad_currency", "names two currencies"),
        ("12 €/kg", "bad_number", "is not a price in a common notation"),
        ("1,2.3", "bad_number", "is not a number in a common notation"),
        ("12 50", "bad_number", "is not a number in a common notation"),
        ("5%", "bad_number", "is not a price in a common notation"),
    ],
)
def test_what_is_no_single_price_is_refused_with_the_reason(text: str, code: str, part: str) -> None:
    if not code:  # a plain number: its range is checked with the product's
        assert read_price(text) == text
        return
    found, message = refusal(text)
    assert (found, part in message) == (code, True), message


def test_a_number_that_does_not_fit_the_declared_mark_is_refused() -> None:
    assert refusal("12.50", ",") == (
        "bad_number",
        "'12.50' does not have its fraction after ',', as 'decimal' declares",
    )
    assert refusal("12,50", ".")[0] == "bad_number"


@given(st.decimals(min_value=0, max_value=10**9, places=2))
def test_every_amount_comes_back_from_every_notation(amount: object) -> None:
    english = f"{amount:,}"
    german = english.translate(str.maketrans(",.", ".,"))
    expected = float(str(amount))
    for text in (english, german, english.replace(",", "'"), german.replace(".", " "), f"€ {german}", f"{english} USD"):
        assert money(text)[0] == expected, text
    assert read_number(german, ",") == read_number(english, ".") == expected


@given(st.text(st.sampled_from("0123456789.,' -€$kreEUR%/*"), max_size=12))
def test_any_text_is_a_price_or_refused(text: str) -> None:
    try:
        read = read_price(text)
    except PydanticCustomError as error:
        message = error.message()
    else:
        message = ""
        assert isinstance(read, str) or (isinstance(read, Money) and read.amount >= 0)
    assert "\n" not in message
