"""From a row to one field's value: columns are gathered, words mapped, markup taken off, notations read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal as ExactNumber

from .catalog_spec import COUNT_FIELDS, NUMBER_FIELDS, PRICE_FIELDS, TEXT_FIELDS, FieldSpec
from .checks import CATEGORY_SEPARATOR, TAG_SEPARATOR, is_blank
from .clean import one_line, scalar_text
from .columns import ABSENT, lookup
from .formula import REFERENCE, parse_formula
from .html import plain_text
from .notation import Decimal, read_number
from .numeric import PLAIN_NUMBER, as_float
from .prices import Money, read_price
from .problem import refusal, shown
from .time_formats import read_time
from .units import quantity
from .vocabulary import words

Row = Mapping[str, object]
Reader = Callable[[Row], object]
Change = Callable[[object], object]

SEPARATORS = {"category": CATEGORY_SEPARATOR, "tags": TAG_SEPARATOR}
LINES = frozenset({"title", "description"})
LARGEST_TERM = 1e15
TRUE_WORDS = words("true")
FALSE_WORDS = words("false")


def reader(name: str | None, spec: FieldSpec, decimal: Decimal | None, dates: Sequence[str] | None) -> Reader:
    """What gives a row's value for a product field, or for an attribute where `name` is None.

    `decimal` and `dates` are what the file declares for all its fields. The value is None where the row has none, and
    `Money` for a price in a common notation.
    """
    gather = gatherer(name, spec, spec.decimal or decimal)
    changes = changes_of(name, spec, spec.decimal or decimal, spec.date or dates)
    default = spec.default

    if not changes:
        return gather if default is None else lambda row: default if (found := gather(row)) is None else found

    def read(row: Row) -> object:
        value = gather(row)
        if value is None:
            if default is None:
                return None
            value = default
        for change in changes:
            if value is None:
                return None
            value = change(value)
        return value

    return read


def gatherer(name: str | None, spec: FieldSpec, decimal: Decimal | None) -> Reader:
    """What gives the raw value of a row; None for blank ones. The words of a `map` are replaced here, so that a
    default is not."""
    if spec.value is not None:
        return lambda row: spec.value
    mapped = mapper(spec)
    if spec.compute is not None:
        return computer(name, spec, decimal)
    if spec.template is not None:
        return templated(spec.template, mapped)
    if len(spec.column) == 1:
        column = spec.column[0]
        if spec.split is None:
            if "." not in column and mapped is None:
                return lambda row: None if (value := row.get(column)) is None or is_blank(value) else value
            return lambda row: found(row, column, mapped)
        separator = spec.split
        return lambda row: (
            None if (value := found(row, column, mapped)) is None else parts_of(value, separator, spec.html)
        )

    separator_of_many = spec.split or SEPARATORS.get(name or "")

    def several(row: Row) -> object:
        values = [value for column in spec.column if (value := found(row, column, mapped)) is not None]
        if not values:
            return None
        parts = [part for value in values for part in parts_of(value, separator_of_many, spec.html)]
        return parts if spec.join is None else joined(parts, spec.join)

    return several


def found(row: Row, column: str, mapped: Change | None) -> object:
    value = lookup(row, column)
    if mapped is not None and value is not None and value is not ABSENT:
        value = mapped(value)
    return None if value is ABSENT or is_blank(value) else value


def parts_of(value: object, separator: str | None, html: bool) -> list[object]:
    if isinstance(value, str) and separator is not None:  # in markup ">" is written "&gt;"
        return list((plain_text(value) if html else value).split(separator))
    return value if isinstance(value, list) else [value]


def joined(parts: list[object], separator: str) -> str:
    return separator.join(text for part in parts if part is not None and (text := one_line(scalar_text(part))))


def templated(template: str, mapped: Change | None) -> Reader:
    """The template filled; None where all its columns are blank."""

    def fill(row: Row) -> object:
        values = {name: found(row, name.strip(), None) for name in REFERENCE.findall(template)}
        if all(value is None for value in values.values()):
            return None
        text = REFERENCE.sub(lambda at: "" if (value := values[at[1]]) is None else scalar_text(value), template)
        text = one_line(text)
        return mapped(text) if mapped else text

    return fill


def computer(name: str | None, spec: FieldSpec, decimal: Decimal | None) -> Reader:
    """The formula's result; None where one of its columns is blank."""
    formula = parse_formula(spec.compute or "")
    places = spec.round if spec.round is not None else 2 if name in PRICE_FIELDS else None

    def compute(row: Row) -> object:
        numbers: dict[str, float] = {}
        for column in formula.columns:
            value = found(row, column, None)
            if value is None:
                return None
            read = read_price(value, decimal)
            number = read.amount if isinstance(read, Money) else as_float(read)
            if abs(number) > LARGEST_TERM:
                raise refusal("bad_number", f"{shown(value)} in {column!r} is too large to compute with")
            numbers[column] = number
        result = formula.result(numbers)
        return result if places is None else float(round(ExactNumber(repr(result)), places))

    return compute


def mapper(spec: FieldSpec) -> Change | None:
    """What replaces the words of a `map`, whatever their case; of a list each part."""
    if spec.map is None:
        return None
    words = {one_line(word).casefold(): value for word, value in spec.map.items()}
    known = ", ".join(list(spec.map)[:10])

    def mapped(value: object) -> object:
        if isinstance(value, list):
            return [mapped(part) for part in value]
        if isinstance(value, dict):
            return value
        text = str(value).lower() if isinstance(value, bool) else scalar_text(value)
        word = one_line(text).casefold()
        if word in words:
            return words[word]
        if spec.other == "reject" and word:
            raise refusal("unknown_word", f"{shown(value)} is none of the words that its 'map' knows: {known}")
        return value if spec.other in (None, "keep", "reject") or not word else spec.other

    return mapped


def changes_of(name: str | None, spec: FieldSpec, decimal: Decimal | None, dates: Sequence[str] | None) -> list[Change]:
    changes: list[Change] = []
    if (name is None or name in TEXT_FIELDS) and spec.html and spec.value is None:
        changes.append(lines_without_markup if name in LINES else without_markup)
    if name in PRICE_FIELDS:
        changes.append(lambda value: read_price(value, decimal))
    elif name in NUMBER_FIELDS:
        groups = name in COUNT_FIELDS
        changes.append(lambda value: number_of(value, decimal, groups))
    elif name is not None and name.endswith("_at") and dates:
        changes.append(lambda value: read_time(value, dates))
    elif spec.date:
        formats = spec.date
        changes.append(lambda value: read_time(value, formats).removesuffix("T00:00:00Z"))
    elif spec.unit:
        unit = spec.unit
        changes.append(lambda value: quantity(value, unit))
    elif spec.boolean:
        changes.append(true_or_false)
    return changes


def number_of(value: object, decimal: Decimal | None, comma_groups: bool) -> object:
    """A text's number; a plain one stays text, for messages to quote."""
    if not isinstance(value, str) or (decimal != "," and PLAIN_NUMBER.fullmatch(value.strip())):
        return value
    return read_number(value, decimal, comma_groups)


def lines_without_markup(value: object) -> object:
    if isinstance(value, list):
        parts = [without_markup(part) for part in value]
        if len(parts) > 1 and all(isinstance(part, str) for part in parts):
            return plain_text("\n".join(map(str, parts)))  # two parts can make a tag together
        return parts
    return without_markup(value)


def without_markup(value: object) -> object:
    if isinstance(value, str):
        return plain_text(value)
    if isinstance(value, list):
        return [plain_text(part) if isinstance(part, str) else part for part in value]
    if isinstance(value, dict):
        return {key: without_markup(part) if isinstance(part, str | list) else part for key, part in value.items()}
    return value


def true_or_false(value: object) -> object:
    if isinstance(value, bool):
        return value
    word = one_line(scalar_text(value)).casefold()
    if word in TRUE_WORDS or word in FALSE_WORDS:
        return word in TRUE_WORDS
    raise refusal(
        "bad_boolean", f"{shown(value)} is neither yes nor no: say what it means with 'map' in a catalog.yaml"
    )
