"""An item of a parsed file as a row, or as a broken one."""

from __future__ import annotations

from .source import SourceRow

TEXT_LIMIT = 10_000  # characters of a broken row that are kept for the rejects file
KINDS = {dict: "an object", list: "a list", str: "text", bool: "true or false", type(None): "null"}


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
