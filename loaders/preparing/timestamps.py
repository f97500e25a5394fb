"""Points in time, all as ISO 8601 in UTC."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time

from .dates import Order, written_date
from .problem import refusal, shown

# a stricter form than datetime.fromisoformat, which also takes week dates
ISO_TIME = re.compile(r"[0-9]{4}(-?)[0-9]{2}\1[0-9]{2}(?:[T ][0-9:.,]+ ?(?:Z|z|[+-][0-9:]+)?)?")
DIGITS = re.compile(r"[0-9]{10,}")
EARLIEST_MILLIS, LATEST_MILLIS = 10**11, 10**14  # 1973 to 5138; below, the number is likely to be seconds


def timestamp(value: object, order: Order | None = None) -> str:
    """The time as `2024-01-15T10:30:00Z`, with a fraction where it has one; a date is its midnight.

    Taken are dates, datetimes, ISO 8601 text, epoch milliseconds and the notations of `written_date`. A time without a
    zone is UTC.

    Raises:
        PydanticCustomError: bad_time, ambiguous_time for a number that looks like seconds, or out_of_range.
    """
    try:
        moment = as_datetime(value, order)
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError:
        raise refusal("out_of_range", f"{shown(value)} is outside the years 1 to 9999") from None
    return moment.isoformat().removesuffix("+00:00") + "Z"


def as_datetime(value: object, order: Order | None = None) -> datetime:
    match value:
        case datetime():
            return value
        case date():
            return datetime.combine(value, time())
        case bool():
            pass
        case int():
            return from_millis(value, value)
        case float() if value.is_integer():
            return from_millis(int(value), value)
        case str():
            text = value.strip()
            if DIGITS.fullmatch(text) and len(text) < 20:
                return from_millis(int(text), value)
            if ISO_TIME.fullmatch(text):
                try:
                    return datetime.fromisoformat(text.replace(" Z", "Z").replace(" +", "+").replace(" -", "-"))
                except ValueError:
                    pass
            elif (written := written_date(text, order)) is not None:
                return written
    raise refusal("bad_time", f"{shown(value)} is not a date or time: write it as 2024-01-31 or 2024-01-31T10:30:00Z")


def from_millis(millis: int, value: object) -> datetime:
    if 0 < millis < EARLIEST_MILLIS:
        raise refusal("ambiguous_time", f"{shown(value)} looks like seconds: write milliseconds or 2024-01-31")
    if not EARLIEST_MILLIS <= millis < LATEST_MILLIS:
        raise refusal("out_of_range", f"{shown(value)} is not a time in milliseconds since 1970")
    return datetime.fromtimestamp(millis / 1000, UTC)
