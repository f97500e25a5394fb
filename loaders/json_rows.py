"""JSON: one object a line, or one array of objects."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from prodsim.plugin.errors import CatalogError

from .source import SourceRow, byte_lines, read_text, refuse_encoding

TEXT_LIMIT = 10_000  # characters of a broken line that are kept for the rejects file

NAMES = {dict: "an object", list: "a list", str: "text", bool: "true or false", type(None): "null"}


def read_ndjson(path: Path) -> Iterator[SourceRow]:
    """The rows, one a line, as they are asked for; blank lines are skipped.

    Raises:
        CatalogError: the file can't be read or a line is not UTF-8.
    """
    for number, line in enumerate(byte_lines(path), start=1):
        try:
            value = orjson.loads(line)
        except orjson.JSONDecodeError:
            if line.isspace():
                continue
            try:
                text = line.decode().strip()
            except UnicodeDecodeError:
                refuse_encoding(path, number, line)
            yield read_uncommon(number, text)
        else:
            yield as_row(number, value, line)


def read_uncommon(number: int, text: str) -> SourceRow:
    """A line that orjson refuses: broken, or with NaN, Infinity or a lone surrogate, which Python's own parser reads."""
    try:
        return as_row(number, json.loads(text), text)
    except RecursionError:
        problem = "not valid JSON: nested too deeply"
    except ValueError as error:
        at = f" at column {error.colno}" if isinstance(error, json.JSONDecodeError) else ""
        problem = f"not valid JSON{at}: {error.msg if isinstance(error, json.JSONDecodeError) else error}"
    return SourceRow(number, {}, problem, text[:TEXT_LIMIT])


def read_json(path: Path) -> Iterator[SourceRow]:
    """The objects of the file's array, or of the one list in the file's object; read whole.

    Raises:
        CatalogError: the file can't be read, is not UTF-8 or not JSON, or holds no list or several.
    """
    text = read_text(path)
    if text.isspace() or not text:
        return iter(())
    try:
        content = orjson.loads(text)
    except orjson.JSONDecodeError:
        content = load_uncommon(path, text)
    return rows_of(find_list(path, content))


def load_uncommon(path: Path, text: str) -> Any:
    try:
        return json.loads(text)
    except RecursionError:
        raise CatalogError(f"{path} is nested too deeply to be a list of products") from None
    except json.JSONDecodeError as error:
        place = f"{path} line {error.lineno} column {error.colno}"
        if error.msg == "Extra data" and text.lstrip().startswith("{"):
            raise CatalogError(f"{place}: a second JSON value starts: read it as format ndjson") from None
        raise CatalogError(f"{place} is not valid JSON: {error.msg}") from None
    except ValueError as error:
        raise CatalogError(f"{path} is not valid JSON: {error}") from None


def find_list(path: Path, content: object) -> list[object]:
    """The list of products in parsed JSON or YAML: `content` itself, or the one list that it holds.

    Raises:
        CatalogError: it holds none, or several.
    """
    if isinstance(content, list):
        return content
    if not isinstance(content, dict):
        raise CatalogError(f"{path} holds {name_of(content)}: it should hold a list of products")
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
        return SourceRow(number, {}, f"{name_of(value)}, where an object of names and values should be", kept)
    return SourceRow(number, value)


def name_of(value: object) -> str:
    return NAMES.get(type(value), "a number" if isinstance(value, int | float) else type(value).__name__)
