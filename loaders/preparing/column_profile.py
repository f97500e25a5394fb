"""What a column of a source holds, told from a sample of its values."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Literal

from pydantic_core import PydanticCustomError

from .checks import is_blank
from .columns import ABSENT, NESTING_LIMIT, lookup
from .dates import written_date
from .gtin import normal_gtin
from .html import TAG
from .numeric import PLAIN_NUMBER
from .prices import Money, read_price
from .problem import shown
from .timestamps import ISO_TIME

Kind = Literal[
    "whole number", "number", "price", "EAN or UPC", "date", "yes or no", "web address",
    "HTML", "text", "long text", "path", "list", "object", "nothing",
]  # fmt: skip

ADDRESS = re.compile(r"(?:https?:)?//[^\s/]+\S*", re.IGNORECASE)
DIGITS = re.compile(r"[0-9]{1,18}")
POINT_FRACTION = re.compile(r"\.[0-9]{1,2}(?![0-9.,])")
COMMA_FRACTION = re.compile(r",(?:[0-9]{1,2}(?![0-9.,])|-)")
SLASH_DATE = re.compile(r"([0-9]{1,2})[/-]([0-9]{1,2})[/-][0-9]{4}\b")
LONG = 120  # characters
EXAMPLES = 3
DISTINCT_LIMIT = 30
GENERAL: tuple[tuple[Kind, Kind], ...] = (
    ("number", "whole number"),
    ("price", "number"),
    ("long text", "text"),
    ("HTML", "long text"),
)
NUMBERS: tuple[Kind, ...] = ("whole number", "number", "price", "EAN or UPC")
YES_OR_NO = frozenset("true false yes no y n ja nein oui non si sí".split())  # noqa: SIM905  words read as words


@dataclass
class ColumnProfile:
    """`missing_share` and `unique_share` are from 0 to 1, the second of the values that are there.

    `distinct` holds the values by how often they come where they are few, `decimals` and `orders` what the notations of
    numbers and dates show: "," or ".", day-first or month-first.
    """

    name: str
    kind: Kind = "nothing"
    share: float = 0.0
    missing_share: float = 1.0
    unique_share: float = 0.0
    mean_length: float = 0.0
    examples: list[str] = field(default_factory=list)
    distinct: dict[str, int] = field(default_factory=dict)
    decimals: set[str] = field(default_factory=set)
    orders: set[str] = field(default_factory=set)
    currencies: set[str] = field(default_factory=set)
    absent: bool = False
    feeds: list[str] = field(default_factory=list)

    @property
    def numeric(self) -> bool:
        return self.kind in NUMBERS


def profile_columns(names: Iterable[str], rows: Sequence[Mapping[str, object]]) -> list[ColumnProfile]:
    return [profile_column(name, [lookup(row, name) for row in rows]) for name in names]


def leaf_names(rows: Iterable[Mapping[str, object]]) -> list[str]:
    """The names of all columns, those of objects with dots, and of objects that a list holds those of the first."""
    names: dict[str, None] = {}

    def collect(value: object, prefix: str, levels: int) -> None:
        if isinstance(value, Mapping) and levels and value:
            for name, part in value.items():
                collect(part, f"{prefix}.{name}" if prefix else str(name), levels - 1)
        elif isinstance(value, list) and levels and value and isinstance(value[0], Mapping):
            collect(value[0], f"{prefix}.0", levels - 1)
        elif prefix:
            names[prefix] = None

    for row in rows:
        collect(row, "", NESTING_LIMIT)
    return list(names)


def profile_column(name: str, values: list[object]) -> ColumnProfile:
    filled = [value for value in values if value is not ABSENT and not is_blank(value) and value not in ([], {})]
    column = ColumnProfile(name, absent=any(value is ABSENT for value in values))
    if not filled:
        return column
    kinds = Counter(kind_of(value, column) for value in filled)
    column.kind, column.share = prevailing(kinds, len(filled))
    texts = [as_text(value) for value in filled]
    counted = Counter(texts)
    column.missing_share = 1 - len(filled) / len(values)
    column.unique_share = len(counted) / len(filled)
    column.mean_length = sum(map(len, texts)) / len(texts)
    column.examples = list(counted)[:EXAMPLES]
    column.distinct = dict(counted.most_common()) if len(counted) <= DISTINCT_LIMIT else {}
    return column


def prevailing(kinds: Counter[Kind], total: int) -> tuple[Kind, float]:
    """The kind that tells most of a column's values, and how many share it; numbers of all kinds go together."""
    if "whole number" in kinds and "EAN or UPC" in kinds and kinds["EAN or UPC"] < 0.8 * total:
        kinds["whole number"] += kinds.pop("EAN or UPC")
    for general, special in GENERAL:
        if kinds[general] and kinds[special] and (general in NUMBERS or kinds[general] > 0.2 * total):
            kinds[general] += kinds.pop(special)
    kind, count = kinds.most_common(1)[0]
    return kind, count / total


def kind_of(value: object, column: ColumnProfile) -> Kind:
    match value:
        case bool():
            return "yes or no"
        case int():
            return "whole number"
        case float() | Decimal():
            return "number"
        case date():
            return "date"
        case list():
            return "list"
        case str():
            return kind_of_text(value.strip(), column)
    return "object"


def kind_of_text(text: str, column: ColumnProfile) -> Kind:
    if DIGITS.fullmatch(text):
        return "EAN or UPC" if len(text) > 11 and normal_gtin(text) else "whole number"
    if PLAIN_NUMBER.fullmatch(text):
        note_decimal(text, column)
        return "number"
    if text.casefold() in YES_OR_NO:
        return "yes or no"
    if len(text) <= 40 and any(letter.isdigit() for letter in text) and is_date(text, column):
        return "date"
    if ADDRESS.fullmatch(text):
        return "web address"
    if len(text) <= 30 and any(letter.isdigit() for letter in text):
        found = as_price(text, column)
        if found:
            return found
    if TAG.search(text):
        return "HTML"
    if len(text) > LONG:
        return "long text"
    return "path" if " > " in text else "text"


def as_price(text: str, column: ColumnProfile) -> Kind | None:
    try:
        money = read_price(text)
    except PydanticCustomError as error:
        return "price" if error.type == "ambiguous_number" else None
    note_decimal(text, column)
    if not isinstance(money, Money) or not money.currencies:
        return "number"
    column.currencies.update(code for code in money.currencies[:1] if code)
    return "price"


def note_decimal(text: str, column: ColumnProfile) -> None:
    if COMMA_FRACTION.search(text):
        column.decimals.add(",")
    elif POINT_FRACTION.search(text):
        column.decimals.add(".")


def is_date(text: str, column: ColumnProfile) -> bool:
    if found := SLASH_DATE.match(text):
        first, second = int(found[1]), int(found[2])
        if first > 12 or second > 12:
            column.orders.add("day-first" if first > 12 else "month-first")
        else:
            column.orders.add("ambiguous" if first != second else "either")
        return written_date(text, "day-first") is not None or written_date(text, "month-first") is not None
    try:
        return ISO_TIME.fullmatch(text) is not None or written_date(text) is not None
    except PydanticCustomError:  # a year of two digits
        column.orders.add("two digits")
        return True


def as_text(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(as_text(part) for part in value[:10])
    return " ".join(value.split()) if isinstance(value, str) else shown(value)
