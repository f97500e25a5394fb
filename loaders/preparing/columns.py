"""The columns of a source: reaching a nested one, and listing those that a file has."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

ABSENT: Final = object()
NESTING_LIMIT = 5  # levels of names that are listed


def lookup(row: Mapping[str, object], column: str) -> object:
    """The value under a column's name, or, where there is none, under the path that its dots describe; else ABSENT.

    A whole number in a path counts a list's items from 0: `images.0.url`.
    """
    if column in row or "." not in column:
        return row.get(column, ABSENT)
    value: object = row
    for name in column.split("."):
        if isinstance(value, dict):
            value = value.get(name, ABSENT)
        elif isinstance(value, list) and name.isdecimal() and int(name) < len(value):
            value = value[int(name)]
        else:
            return ABSENT
    return value


def column_names(rows: Iterable[Mapping[str, object]]) -> list[str]:
    """Every name in the rows, those of nested objects with dots, in the order in which they first come."""
    names: dict[str, None] = {}
    for row in rows:
        collect(row, "", names, NESTING_LIMIT)
    return list(names)


def collect(row: Mapping[str, object], prefix: str, names: dict[str, None], levels: int) -> None:
    for name, value in row.items():
        names[f"{prefix}{name}"] = None
        if isinstance(value, dict) and levels > 1:
            collect(value, f"{prefix}{name}.", names, levels - 1)
