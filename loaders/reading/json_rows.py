"""JSON: one object a line, or one array of objects."""

from __future__ import annotations

import json
from collections.abc import Iterator

import orjson

from prodsim.plugin.errors import CatalogError

from .encoding import Encoding, open_utf8, undecoded_problem
from .items import TEXT_LIMIT, as_row, kind_of
from .json_items import JsonText, TooLong
from .source import ROW_LIMIT_BYTES, Input, LongLine, SourceRow, after_line_feed, line_blocks

LIMIT = f"{ROW_LIMIT_BYTES >> 20} MiB"


def read_ndjson(source: Input, encoding: Encoding) -> Iterator[SourceRow]:
    """The rows, one a line, as they are asked for; blank lines are skipped.

    Raises:
        CatalogError: the file can't be read.
    """
    number = 0
    with open_utf8(source, encoding) as stream:
        for block in line_blocks(stream, after_line_feed):
            if isinstance(block, LongLine):
                number += 1
                yield too_long(number, block.start, block.size_bytes, "line")
                continue
            for line in block.removesuffix(b"\n").split(b"\n"):
                number += 1
                if line and (row := read_value(number, line, encoding.name)) is not None:
                    yield row


def read_value(number: int, content: bytes, encoding: str) -> SourceRow | None:
    try:
        value = orjson.loads(content)
    except orjson.JSONDecodeError:
        return None if not content or content.isspace() else read_uncommon(number, content, encoding)
    return SourceRow(number, value) if type(value) is dict else as_row(number, value, content)


def read_uncommon(number: int, content: bytes, encoding: str) -> SourceRow:
    """What orjson refuses: broken, or with NaN, Infinity or a lone surrogate, which Python's parser reads."""
    shown = content[:TEXT_LIMIT].decode(errors="backslashreplace").strip()
    try:
        text = content.decode().strip()
    except UnicodeDecodeError:
        return SourceRow(number, {}, undecoded_problem(encoding, content.decode(errors="surrogateescape")), shown)
    try:
        return as_row(number, json.loads(text), text)
    except RecursionError:
        problem = "not valid JSON: nested too deeply"
    except json.JSONDecodeError as error:
        line = f"line {error.lineno} " if error.lineno > 1 else ""
        problem = f"not valid JSON at {line}column {error.colno}: {error.msg}"
    except ValueError as error:
        problem = f"not valid JSON: {error}"
    return SourceRow(number, {}, problem, shown)


def too_long(number: int, start: bytes, size_bytes: int, what: str) -> SourceRow:
    problem = f"the {what} has {size_bytes:,} bytes, and a row may have {LIMIT}: shorten it"
    return SourceRow(number, {}, problem, start[:TEXT_LIMIT].decode(errors="backslashreplace"))


def read_json(source: Input, encoding: Encoding) -> Iterator[SourceRow]:
    """The objects of the file's array, or of the one list in the file's object, as they are asked for.

    An item that is not valid JSON within its braces is a broken row, and the others are read.

    Raises:
        CatalogError: the file can't be read, is not JSON between its items, or holds no list or several. Of several
            lists, and of what follows the first one, a source that can be read only once tells when it gets there.
    """
    if source.again:
        with open_utf8(source, encoding) as stream:
            text = JsonText(stream, source.name)
            if text.next_byte() == b"{":
                for _ in lists_of(text, source.name):
                    for _ in values_of(text):
                        pass
    with open_utf8(source, encoding) as stream:
        text = JsonText(stream, source.name)
        first = text.next_byte()
        if first == b"[":
            yield from items(text, encoding.name)
            refuse_rest(text)
        elif first == b"{":
            for _ in lists_of(text, source.name):
                yield from items(text, encoding.name)
        elif first:
            place, content = text.place(), text.value()
            kind = "text" if isinstance(content, TooLong) else scalar_kind(place, content)
            raise CatalogError(f"{source.name} holds {kind}: it should hold a list of products")


def lists_of(text: JsonText, name: str) -> Iterator[str]:
    """Stops at the start of the one list of an object, which has to be read on before going on, and checks the rest.

    Raises:
        CatalogError: there are several, or none.
    """
    found: list[str] = []
    end = text.take(b"{")
    if text.next_byte() == b"}":
        end = text.take(b"}")
    while end != b"}":
        key = key_of(text)
        text.take(b":")
        if text.next_byte() == b"[":
            found.append(key)
        if found == [key]:
            yield key
        else:
            text.value()
        end = text.take(b",}")
    refuse_rest(text, b"{")
    if len(found) > 1:
        raise CatalogError(f"{name} holds several lists ({', '.join(found)}): keep the one of the products")
    if not found:
        raise CatalogError(f"{name} holds one object with no list in it: it should hold a list of products")


def key_of(text: JsonText) -> str:
    if text.next_byte() != b'"':
        text.take(b'"')
    content = text.value()
    try:
        return "…" if isinstance(content, TooLong) else str(json.loads(content))
    except ValueError:
        return content.decode(errors="backslashreplace") if isinstance(content, bytes) else "…"


def items(text: JsonText, encoding: str) -> Iterator[SourceRow]:
    for number, content in enumerate(values_of(text), start=1):
        if isinstance(content, TooLong):
            yield too_long(number, *content, "item")
        elif (row := read_value(number, content, encoding)) is not None:
            yield row


def values_of(text: JsonText) -> Iterator[bytes | TooLong]:
    """The values of a list, as they stand there; goes behind its end."""
    end = text.take(b"[")
    if text.next_byte() == b"]":
        end = text.take(b"]")
    while end != b"]":
        yield text.value()
        end = text.take(b",]")


def refuse_rest(text: JsonText, first: bytes = b"") -> None:
    following = text.next_byte()
    if following and following == first:
        raise CatalogError(f"{text.place()}: a second JSON value starts: read it as format ndjson")
    if following:
        text.refuse("it goes on after its end")


def scalar_kind(place: str, content: bytes) -> str:
    try:
        return kind_of(json.loads(content))
    except ValueError:
        shown = content[:40].decode(errors="backslashreplace")
        raise CatalogError(f"{place} is not valid JSON: {shown!r} is no value") from None
