"""JSON: one object a line, or one array of objects."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from prodsim.plugin.errors import CatalogError

from .items import TEXT_LIMIT, as_row, find_list, rows_of
from .source import SourceRow, byte_lines, read_text, refuse_encoding


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
    """A line that orjson refuses: broken, or with NaN, Infinity or a lone surrogate, which Python's parser reads."""
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
