"""Values of typed sources as JSON would hold them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from uuid import UUID

PLAIN = frozenset({str, int, float, bool, type(None)})
EXACT_DIGITS = 15  # so many decimal digits survive as a float


def plain_row(row: Mapping[str, object]) -> dict[str, object]:
    return {name: value if type(value) in PLAIN else plain_value(value) for name, value in row.items()}


def plain_value(value: object) -> object:
    """The value as text, number, true or false, null, list or object.

    Dates and times become ISO 8601 text, decimals numbers, or text where a number would not be exact. Bytes become text
    where they are UTF-8, and stay bytes where they are not.
    """
    match value:
        case str() | int() | float() | None:
            return value
        case Decimal():
            return plain_decimal(value)
        case datetime() | date() | time():
            return value.isoformat()
        case bytes() | bytearray() | memoryview():
            content = bytes(value)
            try:
                return content.decode()
            except UnicodeDecodeError:
                return content
        case Mapping():
            return {str(key): plain_value(part) for key, part in value.items()}
        case list() | tuple() | set() | frozenset():
            return [plain_value(part) for part in value]
        case timedelta() | UUID():
            return str(value)
    return str(value)


def plain_decimal(value: Decimal) -> int | float | str:
    if not value.is_finite():
        return math.nan if value.is_nan() else float(value)
    digits, exponent = value.normalize().as_tuple()[1:]
    if not isinstance(exponent, int) or abs(exponent) > EXACT_DIGITS * 2:
        return str(value)
    if exponent >= 0:
        return int(value)
    return float(value) if len(digits) <= EXACT_DIGITS else str(value)
