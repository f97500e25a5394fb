"""What is installed against what should be, as readable differences."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

LONGEST_LINE = 200


@dataclass(frozen=True)
class Change:
    """One resource: what happens to it, and the lines that differ (`- installed`, `+ wanted`)."""

    kind: str
    name: str
    action: str  # create, update, delete, unchanged
    diff: tuple[str, ...] = ()


def compare(kind: str, name: str, installed: Mapping[str, Any] | None, wanted: Mapping[str, Any]) -> Change:
    """The change that turns the installed resource into the wanted one.

    Both are flattened first, as the engine gives settings back as strings and in an order of its own.
    """
    return compare_lines(kind, name, None if installed is None else flatten(installed), flatten(wanted))


def compare_lines(kind: str, name: str, installed: Sequence[str] | None, wanted: Sequence[str]) -> Change:
    """As `compare`, for what is text already."""
    if installed == wanted:
        return Change(kind, name, "unchanged")
    header_lines = 2  # ---, +++
    difference = list(difflib.unified_diff(installed or [], wanted, lineterm="", n=0))[header_lines:]
    lines = tuple(shortened(line) for line in difference if not line.startswith("@@"))
    return Change(kind, name, "create" if installed is None else "update", lines)


def shortened(line: str) -> str:
    """A line fit for a screen: a template's placeholder vector alone has hundreds of numbers."""
    return line if len(line) <= LONGEST_LINE else f"{line[: LONGEST_LINE - 1]}…"


def flatten(value: Any) -> list[str]:
    """Sorted `path: leaf` lines; null leaves are left out, as the engine drops them."""
    return sorted(f"{path}: {leaf}" for path, leaf in leaves(value, ""))


def leaves(value: Any, path: str) -> list[tuple[str, str]]:
    if isinstance(value, Mapping):
        return [found for key, item in value.items() for found in leaves(item, f"{path}.{key}" if path else str(key))]
    if isinstance(value, list | tuple):
        return [found for position, item in enumerate(value) for found in leaves(item, f"{path}[{position}]")]
    if value is None:
        return []
    if isinstance(value, bool):
        return [(path, str(value).lower())]
    if isinstance(value, float) and value.is_integer():
        return [(path, str(int(value)))]
    return [(path, str(value))]
