"""What each product field takes, and what it becomes: each check returns the clean value or raises a refusal."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise
from typing import TypeGuard

from .clean import many_lines, one_line, scalar_text
from .numeric import number
from .problem import refusal, shown

SKU_LIMIT_BYTES = 512  # OpenSearch refuses a longer _id
LINE_LIMIT = 1_000  # characters; also below the keyword fields' ignore_above, so what is stored can be filtered by
ATTRIBUTE_LIMIT = 8_000
DESCRIPTION_LIMIT = 100_000
CATEGORY_SEPARATOR = " > "
TAG_SEPARATOR = ","
CURRENCY = re.compile(r"[A-Za-z]{3}")
UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff\ud800-\udfff]")


def line(value: object, limit: int = LINE_LIMIT) -> str:
    text = one_line(scalar_text(value))
    if len(text) > limit:
        raise refusal("too_long", f"{len(text):,} characters are more than the {limit:,} that fit: {shown(text)}")
    return text


def title(value: object) -> str:
    """A text, or several that follow each other."""
    return line(joined(value))


def description(value: object) -> str:
    """A text, or several, each on lines of its own; cut at DESCRIPTION_LIMIT."""
    return many_lines(joined(value))[:DESCRIPTION_LIMIT].rstrip()


def joined(value: object) -> str:
    parts = value if isinstance(value, list) else [value]
    return "\n".join(scalar_text(part) for part in parts if part is not None)


def address(value: object) -> str:
    return line(value, ATTRIBUTE_LIMIT)


def identifier(value: object) -> str:
    if isinstance(value, float) and not (value.is_integer() and abs(value) < 2**53):
        raise refusal("bad_sku", f"{shown(value)} is not exact as a number: write it as text, in quotes")
    text = scalar_text(value).strip()
    if UNPRINTABLE.search(text):
        raise refusal("bad_sku", f"{shown(text)} holds a line break or an unprintable character")
    if (size_bytes := len(text.encode())) > SKU_LIMIT_BYTES:
        raise refusal("too_long", f"{size_bytes:,} bytes are more than the {SKU_LIMIT_BYTES} that fit: {shown(text)}")
    return text


def required(check: Callable[[object], str]) -> Callable[[object], str]:
    def checked(value: object) -> str:
        text = check(value)
        if not text:
            raise refusal("missing", "missing")
        return text

    return checked


def optional(check: Callable[[object], str]) -> Callable[[object], str | None]:
    return lambda value: check(value) or None


def split_text(value: object, separator: str) -> list[object]:
    """The parts of a text; a list as it is; anything else as its only part."""
    if isinstance(value, str):  # cleaning can bring a separator to light: other kinds of blanks become spaces
        return [piece for part in value.split(separator) for piece in one_line(part).split(separator)]
    return value if isinstance(value, list) else [value]


def plain_value(value: object, limit: int) -> str:
    return line(("false", "true")[value] if isinstance(value, bool) else value, limit)


def tags(value: object) -> list[str]:
    parts = split_text(value, TAG_SEPARATOR)
    return list(dict.fromkeys(tag for part in parts if part is not None and (tag := plain_value(part, LINE_LIMIT))))


def each(check: Callable[[object], str | list[str]]) -> Callable[[object], list[str]]:
    """The check for each part of a list or of a text with commas, every result once."""

    def checked(value: object) -> list[str]:
        results: list[str] = []
        for part in split_text(value, TAG_SEPARATOR):
            if not is_blank(part):
                result = check(part)
                results += [result] if isinstance(result, str) else result
        return list(dict.fromkeys(results))

    return checked


def category_paths(value: object) -> list[str]:
    """`["Shoes", "Running"]` or `"Shoes > Running"` becomes `["Shoes", "Shoes > Running"]`."""
    if is_stored_path(value):
        return [str(path) for path in value]
    levels = [level for part in split_text(value, CATEGORY_SEPARATOR) if part is not None and (level := line(part))]
    for level in levels:
        if CATEGORY_SEPARATOR in level:
            raise refusal("bad_category", f"a list is one path from root to leaf, but {shown(level)} is a path already")
    paths = [CATEGORY_SEPARATOR.join(levels[: depth + 1]) for depth in range(len(levels))]
    if paths and len(paths[-1]) > LINE_LIMIT:
        raise refusal("too_long", f"a path of {len(paths[-1]):,} characters is more than the {LINE_LIMIT:,} that fit")
    return paths


def is_stored_path(value: object) -> TypeGuard[list[str]]:
    """Whether a list holds the path of every ancestor already: what a product's document has."""
    if not isinstance(value, list) or len(value) < 2 or not all(isinstance(path, str) for path in value):
        return False
    if CATEGORY_SEPARATOR in value[0] or len(value[-1]) > LINE_LIMIT or any(line(path) != path for path in value):
        return False
    steps = [(f"{above}{CATEGORY_SEPARATOR}", below) for above, below in pairwise(value)]
    ends = [below.removeprefix(start) for start, below in steps if below.startswith(start)]
    return bool(value[0]) and len(ends) == len(steps) and all(end and CATEGORY_SEPARATOR not in end for end in ends)


def named_values(value: object) -> dict[str, object]:
    """The attributes that hold something, under cleaned names."""
    if not isinstance(value, dict):
        raise refusal("bad_attributes", f"{shown(value)} is not a set of names and values")
    attributes: dict[str, object] = {}
    for key, part in value.items():
        if is_blank(part):
            continue
        name = one_line(str(key))
        if not name or "." in name or len(name) > LINE_LIMIT:
            raise refusal(
                "bad_attributes", f"{shown(name)} can't name an attribute: it is blank, too long or holds a dot"
            )
        if name in attributes:
            raise refusal("bad_attributes", f"{shown(name)} is given twice")
        attributes[name] = part
    return attributes


def without_empty(attributes: dict[str, str | list[str]]) -> dict[str, str | list[str]]:
    return {name: value for name, value in attributes.items() if value}


def attribute(value: object) -> str | list[str]:
    if isinstance(value, list):
        return [text for part in value if part is not None and (text := plain_value(part, ATTRIBUTE_LIMIT))]
    return plain_value(value, ATTRIBUTE_LIMIT)


def currency(value: object) -> str:
    code = value.strip() if isinstance(value, str) else ""
    if not CURRENCY.fullmatch(code):
        raise refusal("bad_currency", f"{shown(value)} is not a three-letter currency code such as EUR")
    return code.upper()


def rating(value: object) -> float:
    return number(value, most=5)


def share(value: object) -> float:
    return number(value, most=1)


def amount(value: object) -> float:
    return number(value)


def is_blank(value: object) -> bool:
    return value is None or (isinstance(value, str) and (not value or value.isspace()))
