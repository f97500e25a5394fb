"""Numbers in plain notation; whatever could be read in two ways is refused, never guessed."""

from __future__ import annotations

import math
import re
from decimal import Decimal

from .problem import refusal, shown

PLAIN_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
COMMA_NUMBER = re.compile(r"[+-]?[0-9]+,[0-9]+")
GROUPED_NUMBER = re.compile(r"[+-]?[0-9]{1,3},[0-9]{3}")
LARGEST_INTEGER = 2**53  # JSON readers, browsers among them, keep integers exactly up to here


def number(value: object, most: float | None = None) -> float:
    """A number from 0 to `most`, both included.

    Raises:
        PydanticCustomError: bad_number, ambiguous_number or out_of_range.
    """
    found = as_float(value)
    if found < 0 or (most is not None and found > most):
        limits = "0 or more" if most is None else f"from 0 to {most:g}"
        raise refusal("out_of_range", f"{shown(value)} is out of range: it should be {limits}")
    return found + 0.0  # -0.0 becomes 0.0


def whole_number(value: object) -> int:
    """An integer from 0 to 2^53; 3.0 and "3.0" are 3.

    Raises:
        PydanticCustomError: as `number`, or not_whole.
    """
    found = number(value)
    if not found.is_integer():
        raise refusal("not_whole", f"{shown(value)} is not a whole number")
    if found > LARGEST_INTEGER:
        raise refusal("out_of_range", f"{shown(value)} is out of range: it should be at most {LARGEST_INTEGER:,}")
    return int(found)


def as_float(value: object) -> float:
    found = math.nan
    match value:
        case bool():
            pass
        case int() | float() | Decimal():
            try:
                found = float(value)
            except (OverflowError, ValueError):  # an integer of hundreds of digits, a signalling NaN
                found = math.inf
        case str():
            text = value.strip()
            if PLAIN_NUMBER.fullmatch(text):
                found = float(text)
            else:
                refuse_notation(value, text)
    if not math.isfinite(found):
        raise refusal("bad_number", f"{shown(value)} is not a number")
    return found


def refuse_notation(value: str, text: str) -> None:
    if GROUPED_NUMBER.fullmatch(text):
        without, point = text.replace(",", ""), text.replace(",", ".")
        raise refusal("ambiguous_number", f"{shown(value)} could mean {without} or {point}: write it without the comma")
    if COMMA_NUMBER.fullmatch(text):
        raise refusal("bad_number", f"{shown(value)} is not a number: write a point for the comma")
    if any(letter.isdigit() for letter in text):
        raise refusal("bad_number", f"{shown(value)} is not a plain number such as 1299.00")
