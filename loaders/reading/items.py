"""The list of products in a parsed JSON or YAML file, item by item."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from prodsim.plugin.errors import CatalogError

from .source import SourceRow

TEXT_LIMIT = 10_000  # characters of a broken row that are kept for the rejects file
KINDS = {dict: "an object", list: "a list", str: "text", bool: "true or false", type(None): "null"}


def find_list(path: Path, content: object) -> list[object]:
    """The list of products in parsed JSON or YAML: `content` itself, or the one list that it holds.

    Raises:
        CatalogError: it holds none, or several.
    """
    if isinstance(content, list):
        return content
    if not isinstance(content, dict):
        raise CatalogError(f"{path} holds {kind_of(content)}: it should hold a list of products")
    lists = {str(key): value for key, value in content.items() if isinstance(value, list)}
    if len(lists) > 1:
        raise CatalogError(f"{path} holds several lists ({', '.join(lists)}): keep the one of the products")
    if not lists:
        raise CatalogError(f"{path} holds one object with no list in it: it should hold a list of products")
    return next(iter(lists.values()))


def rows_of(items: list[object]) -> Iterator[SourceRow]:
    return (as_row(number, item) for number, item in enumerate(items, start=1))


def as_row(number: int, value: object, text: bytes | str | None = None) -> SourceRow:
    if not isinstance(value, dict):
        shown = text.decode(errors="replace") if isinstance(text, bytes) else text
        kept = repr(value)[:TEXT_LIMIT] if shown is None else shown.strip()[:TEXT_LIMIT]
        return SourceRow(number, {}, f"{kind_of(value)}, where an object of names and values should be", kept)
    if not all(type(name) is str for name in value):  # YAML's names may be anything
        value = {str(name): part for name, part in value.items()}
    return SourceRow(number, value)


def kind_of(value: object) -> str:
    return KINDS.get(type(value), "a number" if isinstance(value, int | float) else type(value).__name__)
