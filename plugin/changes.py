"""What is installed against what should be, as readable differences."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


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
    after = flatten(wanted)
    before = flatten(installed) if installed is not None else []
    if before == after:
        return Change(kind, name, "unchanged")
    lines = tuple(line for line in difflib.unified_diff(before, after, lineterm="", n=0) if is_content(line))
    return Change(kind, name, "update" if installed is not None else "create", lines)


def is_content(line: str) -> bool:
    return not line.startswith(("---", "+++", "@@"))


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
