"""Dates as people write them: 31.01.2024, 01/31/2024 2:05 PM, 31 January 2024, Jan 31, 2024, 2024/01/31."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Literal

from .problem import refusal, shown
from .vocabulary import vocabulary

Order = Literal["day-first", "month-first"]

# the months' names by number, in a dozen languages
MONTHS: dict[str, int] = {
    name: number for number, names in enumerate(vocabulary()["months"], start=1) for name in names.split()
}
CLOCK = (
    r"(?:[T ,]+(?:at )?(?P<hour>[0-9]{1,2}):(?P<minute>[0-9]{2})"
    r"(?::(?P<second>[0-9]{2})(?:[.,](?P<fraction>[0-9]{1,6}))?)?"
    r"(?: ?(?P<half>[aApP])\.?[mM]\.?)?(?: ?Uhr)?(?: ?(?P<zone>Z|UTC|GMT|[+-][0-9]{2}:?[0-9]{2}))?)?"
)
NUMERIC = re.compile(
    r"(?P<first>[0-9]{1,4})(?P<mark>[./-]) ?(?P<middle>[0-9]{1,2})(?P=mark) ?(?P<last>[0-9]{1,4})" + CLOCK
)
WEEKDAY = r"(?:[^\W\d_]{2,10}(?:,|\.,?) +)?"
DAY_MONTH = re.compile(
    WEEKDAY
    + r"(?P<day>[0-9]{1,2})(?:\.|st|nd|rd|th|er|º)?[ -](?:de )?(?P<month>[^\W\d_]{3,10})"
    + r"\.?,?[ -](?:de )?(?P<year>[0-9]{4})"
    + CLOCK
)
MONTH_DAY = re.compile(
    WEEKDAY + r"(?P<month>[^\W\d_]{3,10})\.? (?P<day>[0-9]{1,2})(?:st|nd|rd|th)?,? (?P<year>[0-9]{4})" + CLOCK
)


def written_date(text: str, order: Order | None = None) -> datetime | None:
    """The moment that a text names, None where it names none; with a time zone only where the text has one.

    Undeclared, the day comes first where points are used; with slashes or dashes the order is the only possible one.

    Raises:
        PydanticCustomError: ambiguous_time for 03/04/2024, and for a year of two digits.
    """
    if len(text) > 60:
        return None
    if found := NUMERIC.fullmatch(text):
        return numeric(found, order, text)
    for pattern in (DAY_MONTH, MONTH_DAY):
        if (found := pattern.fullmatch(text)) and (month := MONTHS.get(found["month"].casefold())):
            return moment(int(found["year"]), month, int(found["day"]), found)
    return None


def numeric(found: re.Match[str], order: Order | None, text: str) -> datetime | None:
    first, middle, last = found["first"], found["middle"], found["last"]
    if len(first) == 4 and len(last) <= 2:
        return moment(int(first), int(middle), int(last), found)
    if len(first) > 2 or len(last) not in (2, 4):
        return None
    if len(last) == 2:
        raise refusal(
            "ambiguous_time", f"{shown(text)} has a year of two digits: write four, or declare its 'date' format"
        )
    year, one, two = int(last), int(first), int(middle)
    day_first, month_first = moment(year, two, one, found), moment(year, one, two, found)
    if order is not None or found["mark"] == ".":
        return month_first if order == "month-first" else day_first
    if day_first and month_first and day_first != month_first:
        raise refusal(
            "ambiguous_time",
            f"{shown(text)} could mean {day_first:%Y-%m-%d} or {month_first:%Y-%m-%d}: say which with "
            "'date: day-first' or 'date: month-first' in a catalog.yaml",
        )
    return day_first or month_first


def moment(year: int, month: int, day: int, found: re.Match[str]) -> datetime | None:
    hour, minute, second = (int(found[name] or 0) for name in ("hour", "minute", "second"))
    if found["half"]:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if found["half"] in "pP" else 0)
    micros = int((found["fraction"] or "0").ljust(6, "0"))
    try:
        return datetime(year, month, day, hour, minute, second, micros, zone_of(found["zone"]))
    except ValueError:
        return None


def zone_of(written: str | None) -> timezone | None:
    if written is None or written in ("Z", "UTC", "GMT"):
        return UTC if written else None
    hours, minutes = int(written[1:3]), int(written[-2:])
    return timezone((-1 if written[0] == "-" else 1) * timedelta(hours=hours, minutes=minutes))
