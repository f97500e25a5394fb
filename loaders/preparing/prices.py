"""Prices in the notations that shops write: an amount, and the currency where the text names it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from .clean import one_line
from .currencies import currencies_of
from .notation import Decimal, read_number
from .numeric import PLAIN_NUMBER
from .problem import refusal, shown

# a number between two words that may be currencies: "€ 1.299,00", "12,50 EUR", "Fr. 12.-", "-$5"
PRICE = re.compile(
    r"(?P<sign>[-+]?) ?(?P<front>[^\d\s.,'+-]{1,5}\.?)? ?(?P<inner>[-+]?) ?"
    r"(?P<amount>[0-9](?:[0-9.,']| (?=[0-9]))*?|[.,][0-9]+)(?P<dash>[.,]?-{1,2})? ?(?P<back>[^\d\s.,'+-]{1,5}\.?)? ?\*?"
)
DASHES = str.maketrans("\u2010\u2011\u2012\u2013\u2014\u2212\u2019\u00b4`", "------'''")
TWO_AMOUNTS = re.compile(
    r"[0-9][^0-9]*?(?:-|/|~|\b(?:to|bis|à|a|till|tot|hasta|until|or|oder)\b)[^0-9]*[0-9]", re.IGNORECASE
)
STARTING = re.compile(
    r"(?:from|as low as|starting|starts|up to|about|approx|ab|bis|ca|circa|à partir|a partir|dès|desde|vanaf|da|od|från"
    r"|fra)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Money:
    """An amount, and the currencies that its text can mean: () where it names none, `currencies[0]` the likeliest."""

    amount: float
    currencies: tuple[str | None, ...] = ()


def read_price(value: object, decimal: Decimal | None = None) -> Money | object:
    """The money that a text names; what is no text as it is, because JSON's numbers are exact.

    With a currency beside it a single point before three digits is refused, because people write thousands so:
    "€ 1.299". A bare "1.299" is a plain number.

    Raises:
        PydanticCustomError: no_price, price_range, ambiguous_number, bad_number, bad_currency or out_of_range.
    """
    if not isinstance(value, str) or (decimal != "," and PLAIN_NUMBER.fullmatch(value)):
        return value
    text = one_line(value.translate(DASHES)).translate(DASHES)
    found = PRICE.fullmatch(text)
    words = [word for word in (found["front"], found["back"]) if word] if found else []
    meant = [currencies_of(word) for word in words]
    if found is None or not all(meant) or (found["sign"] and found["inner"]):
        if found is None and PLAIN_NUMBER.fullmatch(text) and decimal != ",":
            return value
        raise why_not(value, text)
    shared = tuple(code for code in meant[0] if code in meant[-1]) if meant else ()
    if meant and not shared:
        raise refusal("bad_currency", f"{shown(value)} names two currencies")
    if len(meant) == 2 and shared:
        shared = tuple(code for code in shared if code is not None)
    if decimal is None and found["dash"] and found["dash"][0] in ".,":  # "1.299,-"
        decimal = "," if found["dash"][0] == "," else "."
    amount = read_amount(value, found["amount"], decimal, bool(meant))
    if amount and (found["sign"] or found["inner"]) == "-":
        raise refusal("out_of_range", f"{shown(value)} is out of range: it should be 0 or more")
    return Money(amount, shared)


def read_amount(value: str, amount: str, decimal: Decimal | None, with_currency: bool) -> float:
    whole, point, fraction = amount.partition(".")
    thousands = point and re.fullmatch("[0-9]{3}", fraction) and re.fullmatch("[1-9][0-9]{0,2}", whole)
    if thousands and with_currency and decimal is None:
        raise refusal(
            "ambiguous_number",
            f"{shown(value)} could mean {whole}{fraction} or {amount}: say which with 'decimal' in a catalog.yaml",
        )
    return read_number(amount, decimal, quoted=value)


def why_not(value: str, text: str) -> Exception:
    if not any(letter.isdigit() for letter in text):
        return refusal(
            "no_price",
            f"{shown(value)} holds no number: leave it blank, or give such words one with 'map' in a catalog.yaml",
        )
    if TWO_AMOUNTS.search(text):
        return refusal("price_range", f"{shown(value)} is a range: give one price")
    if STARTING.match(text):
        return refusal("price_range", f"{shown(value)} is not an exact price: give the number alone")
    return refusal("bad_number", f"{shown(value)} is not a price in a common notation such as 1299.00 or € 1.299,00")
