"""The values of a JSON text one after another: where each ends, without building it and without holding the others."""

from __future__ import annotations

import re
from typing import BinaryIO, NamedTuple, NoReturn

from prodsim.plugin.errors import CatalogError

from .source import ROW_LIMIT_BYTES

BLOCK_BYTES = 1 << 16
DEPTH_LIMIT = 1024  # as orjson's
SPACE = re.compile(rb"[ \t\r\n]*")
STRING = rb'"(?:[^"\\]++|\\.)*+"'
# An object or list whose parts hold no further ones: nearly every product, found in one go.
FLAT = rb'(?:\{(?:[^{}\[\]"]++|' + STRING + rb")*+\}|\[(?:[^{}\[\]\"]++|" + STRING + rb")*+\])"
PRODUCT = re.compile(rb'\{(?:[^{}\[\]"]++|' + STRING + rb"|" + FLAT + rb")*+\}", re.DOTALL)
TOKEN = re.compile(STRING + rb'|["{}\[\]]', re.DOTALL)
SCALAR = re.compile(rb'[^\s,:{}\[\]"]+')
STRING_REST = re.compile(rb'(?:[^"\\]++|\\.)*+', re.DOTALL)
CLOSING = {ord("{"): ord("}"), ord("["): ord("]")}


class TooLong(NamedTuple):
    """A value above the limit, of which only the start was kept."""

    start: bytes
    size_bytes: int


class JsonText:
    """A JSON text that is read value by value; `name` is what messages call it."""

    def __init__(self, stream: BinaryIO, name: str) -> None:
        self._stream = stream
        self._name = name
        self._buffer = b""
        self._at = 0
        self._lines_before = 0
        self._column_before = 0

    def next_byte(self) -> bytes:
        """The next byte that is no white space, not yet taken; b"" at the end."""
        while True:
            self._at = SPACE.match(self._buffer, self._at).end()  # type: ignore[union-attr]  # matches always
            if self._at < len(self._buffer):
                return self._buffer[self._at : self._at + 1]
            if not self._more():
                return b""

    def take(self, expected: bytes) -> bytes:
        """Takes the next byte, which has to be one of those expected."""
        found = self.next_byte()
        if not found:
            raise CatalogError(f"{self._name} is cut off: it ends at line {self._line()} within the list of products")
        if found not in expected:
            self.refuse(f"{found.decode(errors='backslashreplace')!r} where {' or '.join(expected.decode())} should be")
        self._at += 1
        return found

    def value(self) -> bytes | TooLong:
        """Takes the next value, which may be no valid JSON within its braces, brackets or quotes."""
        first = self.next_byte()
        if first == b"{" and (match := PRODUCT.match(self._buffer, self._at)):
            return self._taken(match.end())
        if first in (b"{", b"[", b'"'):
            return self._composite()
        while (match := SCALAR.match(self._buffer, self._at)) and match.end() == len(self._buffer) and self._more():
            if len(self._buffer) > ROW_LIMIT_BYTES:
                self.refuse("a word without an end")
        if match is None:
            if not first:
                self.take(b"]")
            self.refuse(f"{first.decode(errors='backslashreplace')!r} where a value should be")
        return self._taken(match.end())

    def refuse(self, what: str) -> NoReturn:
        raise CatalogError(f"{self.place()} is not valid JSON: {what}")

    def place(self) -> str:
        start = self._buffer.rfind(b"\n", 0, self._at) + 1
        column = self._at - start + 1 + (0 if start else self._column_before)
        return f"{self._name} line {self._line()} column {column}"

    def _line(self) -> int:
        return self._lines_before + self._buffer.count(b"\n", 0, self._at) + 1

    def _taken(self, end: int) -> bytes:
        value = self._buffer[self._at : end]
        self._at = end
        return value

    def _composite(self) -> bytes | TooLong:
        open_brackets = bytearray()
        position = self._at
        while True:
            match = TOKEN.search(self._buffer, position)
            if match is None or match.group() == b'"':  # more to come, at the most a string that has begun
                position = (match.start() if match else len(self._buffer)) - self._at
                held = len(self._buffer) - self._at
                if held > ROW_LIMIT_BYTES:
                    return self._skip(open_brackets, position + self._at, self._line())
                if not self._more(max(BLOCK_BYTES, min(held, ROW_LIMIT_BYTES - held))):  # to search no byte often
                    raise CatalogError(f"{self._name} is cut off: what starts at line {self._line()} has no end")
                position += self._at
                continue
            position = match.end()
            self._follow(match.group()[0], open_brackets)
            if not open_brackets:
                size = position - self._at
                value = self._taken(position)
                return value if size <= ROW_LIMIT_BYTES else TooLong(value[:BLOCK_BYTES], size)

    def _follow(self, token: int, open_brackets: bytearray) -> None:
        if token in CLOSING:
            open_brackets.append(token)
            if len(open_brackets) > DEPTH_LIMIT:
                raise CatalogError(f"{self._name} is nested too deeply to be a list of products (line {self._line()})")

        elif token != ord('"'):
            if CLOSING[open_brackets[-1]] != token:
                raise CatalogError(
                    f"{self._name} line {self._line()} is not valid JSON: what is opened there with "
                    f"{chr(open_brackets[-1])!r} is closed with {chr(token)!r}"
                )
            open_brackets.pop()

    def _skip(self, open_brackets: bytearray, position: int, line: int) -> TooLong:
        """Goes on to the end of a value that is too long to be held."""
        start = self._buffer[self._at : self._at + BLOCK_BYTES]
        size = 0
        self._at, begun = position, self._at
        size += position - begun
        while True:
            match = TOKEN.search(self._buffer, self._at)
            if match is not None and match.group() != b'"':
                size += match.end() - self._at
                self._at = match.end()
                self._follow(match.group()[0], open_brackets)
            elif match is not None:
                size += match.start() + 1 - self._at
                self._at = match.start() + 1
                size += self._skip_string(line)
            else:
                size += len(self._buffer) - self._at
                self._at = len(self._buffer)
                if not self._more():
                    raise CatalogError(f"{self._name} is cut off: what starts at line {line} has no end")
                continue
            if not open_brackets:
                return TooLong(start, size)

    def _skip_string(self, line: int) -> int:
        """Goes behind the quote that ends the string within which the reader stands; returns how many bytes that is."""
        size = 0
        while True:
            end = STRING_REST.match(self._buffer, self._at).end()  # type: ignore[union-attr]  # matches always
            size += end - self._at
            self._at = end
            if self._buffer[end : end + 1] == b'"':
                self._at += 1
                return size + 1
            if not self._more():
                raise CatalogError(f"{self._name} is cut off: what starts at line {line} has no end")

    def _more(self, size: int = BLOCK_BYTES) -> bool:
        """Reads on and drops what was taken; False at the end."""
        content = self._stream.read(size)
        if not content:
            return False
        self._lines_before += self._buffer.count(b"\n", 0, self._at)
        start = self._buffer.rfind(b"\n", 0, self._at) + 1
        self._column_before = self._at - start + (0 if start else self._column_before)
        self._buffer = self._buffer[self._at :] + content
        self._at = 0
        return True
