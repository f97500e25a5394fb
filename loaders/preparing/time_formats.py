"""Dates in a declared notation: day-first, month-first, epoch, or a format such as %d.%m.%Y."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from .dates import Order
from .problem import refusal, shown
from .timestamps import timestamp

ORDERS: dict[str, Order] = {"day-first": "day-first", "month-first": "month-first"}
EPOCH = "epoch"  # seconds since 1970
SAMPLE = datetime(2034, 12, 31, 10, 30)
LATEST_SECONDS = 10**11


def check_date_format(written: str) -> str | None:
    """What is wrong with a declared notation; None where it can be used."""
    if written in ORDERS or written == EPOCH:
        return None
    try:
        read = datetime.strptime(SAMPLE.strftime(written), written)
    except ValueError:
        read = None
    if "%" not in written or read is None or read.date() != SAMPLE.date():
        return (
            f"{written!r} is not day-first, month-first, epoch or a format with day, month and year such as '%d.%m.%Y'"
        )
    return None


def read_time(value: object, formats: Sequence[str]) -> str:
    """The time by the first of the declared notations that fits; as `timestamp` where it is no text.

    Raises:
        PydanticCustomError: as `timestamp`, or bad_time where none fits.
    """
    order = next((ORDERS[one] for one in formats if one in ORDERS), None)
    patterns = [one for one in formats if "%" in one]
    if EPOCH in formats and (seconds := as_seconds(value)) is not None:
        return timestamp(datetime.fromtimestamp(seconds, UTC))
    if isinstance(value, str):
        text = " ".join(value.split())
        for pattern in patterns:
            try:
                return timestamp(datetime.strptime(text, pattern))
            except ValueError:
                continue
        if patterns and order is None:
            raise refusal("bad_time", f"{shown(value)} does not look like {' or '.join(map(repr, patterns))}")
    return timestamp(value, order)


def as_seconds(value: object) -> float | None:
    if isinstance(value, str) and value.strip().isascii() and value.strip().isdecimal() and len(value) < 12:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if 0 <= value < LATEST_SECONDS else None
