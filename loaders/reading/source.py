"""What rows come from: a file or stdin as bytes, opened and unpacked before any format is read."""

from __future__ import annotations

import io
import os
import stat
import sys
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from gzip import BadGzipFile
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Protocol, cast

from prodsim.plugin.errors import CatalogError

from .packed import CutOff, Damaged, unpacked

STDIN = "-"
ROW_LIMIT_BYTES = 16 << 20  # a longer row is rejected; no product needs so much, and it would have to be held in memory
HEAD_BYTES = 1 << 20  # what is looked at of a source that can be read only once
BUFFER_BYTES = 1 << 17
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class SourceRow(NamedTuple):
    """One row of a source.

    `line` is the 1-based line that the row starts on, or the row's number where the format has no lines (JSON, YAML,
    Parquet, SQL). A broken row has a `problem` that says why, no values, and in `text` the start of what the source
    holds there, if it is text.
    """

    line: int
    values: dict[str, object]
    problem: str | None = None
    text: str | None = None


def named_twice(columns: Iterable[str]) -> str:
    """The columns that are named more than once, as messages show them; "" where none is."""
    return ", ".join(repr(name) for name, times in sorted(Counter(columns).items()) if times > 1)


class CountedBytes(io.RawIOBase):
    """A stream's bytes after those that were read from it already; `count` is how many were taken."""

    def __init__(self, stream: Any, head: bytes = b"") -> None:
        self._stream = stream
        self._head = memoryview(head)
        self.count = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self._head:
            size = min(len(buffer), len(self._head))
            buffer[:size] = self._head[:size]
            self._head = self._head[size:]
        else:
            size = self._stream.readinto(buffer) or 0
        self.count += size
        return size


class Input:
    """A file, or stdin, that rows are read from.

    `again` tells whether it can be read a second time, which pipes can't. `position_bytes` is how far it was read, in
    bytes of the file as it lies there, packed or not.
    """

    def __init__(self, name: str | Path) -> None:
        self.path = None if str(name) == STDIN else Path(name)
        self.name = "stdin" if self.path is None else str(name)
        self.again = self.path is not None and is_regular(self.path)
        self._counted: CountedBytes | None = None
        self._once: BinaryIO | None = None
        self._head: bytes | None = None

    @property
    def position_bytes(self) -> int:
        return self._counted.count if self._counted else 0

    @contextmanager
    def raw(self) -> Iterator[io.BufferedReader]:
        """The bytes as they lie there.

        Raises:
            CatalogError: on opening or while reading: missing, a folder, unreadable, a pack that is cut off or damaged.
        """
        with named_errors(self.name), self._opened() as (stream, head):
            self._counted = CountedBytes(stream, head)
            yield io.BufferedReader(self._counted, BUFFER_BYTES)

    @contextmanager
    def open(self) -> Iterator[BinaryIO]:
        """The bytes, unpacked where they start as gzip or zstd does, whatever the file is called.

        Raises:
            CatalogError: as `raw`.
        """
        with self.raw() as stream:
            yield unpacked(stream)

    @contextmanager
    def open_head(self) -> Iterator[BinaryIO]:
        """The bytes for a look ahead, unpacked: all that can be read again, else the first HEAD_BYTES, still packed."""
        if self.again:
            with self.open() as stream:
                yield stream
        else:
            with named_errors(self.name):
                yield unpacked(io.BufferedReader(io.BytesIO(self._first_bytes())))

    def _first_bytes(self) -> bytes:
        if self._head is None:
            self._once = standard_input() if self.path is None else open(self.path, "rb", buffering=0)  # noqa: SIM115
            parts = []
            missing = HEAD_BYTES
            while missing and (part := self._once.read(missing)):
                parts.append(part)
                missing -= len(part)
            self._head = b"".join(parts)
        return self._head

    @contextmanager
    def _opened(self) -> Iterator[tuple[BinaryIO, bytes]]:
        if self.again and self.path is not None:
            with open(self.path, "rb", buffering=0) as file:
                yield file, b""
        else:
            head = self._first_bytes()
            assert self._once is not None
            yield self._once, head
            if self.path is not None:
                self._once.close()


def standard_input() -> BinaryIO:
    if sys.stdin is None or sys.stdin.closed:
        raise CatalogError("stdin is closed: name a file, or pipe one in")
    if sys.stdin.isatty():
        raise CatalogError("stdin is a terminal: pipe a file in, or name one")
    return sys.stdin.buffer


def is_regular(path: Path, name: str = "") -> bool:
    """Whether there is a file that can be read more than once; messages call it `name`.

    Raises:
        CatalogError: nothing is there, or a folder, or it can't be looked at.
    """
    with named_errors(name or str(path)):
        mode = os.stat(path).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError
        return stat.S_ISREG(mode)


@contextmanager
def named_errors(name: str) -> Iterator[None]:
    """Turns what goes wrong with a file inside of it into one line about the file called `name`."""
    try:
        yield
    except FileNotFoundError:
        raise CatalogError(f"{name} does not exist: check the name, relative to {Path.cwd()}") from None
    except IsADirectoryError:
        raise CatalogError(f"{name} is a folder: name the files in it") from None
    except (EOFError, CutOff) as error:
        kind = error.kind if isinstance(error, CutOff) else "gzip"
        raise CatalogError(f"{name} is a {kind} file that is cut off: copy or download it again") from None
    except (BadGzipFile, zlib.error) as error:
        raise CatalogError(f"{name} is a damaged gzip file ({error}): copy or download it again") from None
    except Damaged as error:
        raise CatalogError(f"{name} is a damaged zstd file ({error}): copy or download it again") from None
    except OSError as error:
        raise CatalogError(f"{name} can't be read: {error.strerror or error}") from None
    except ValueError as error:
        if "embedded null" not in str(error):  # a name that no file can have
            raise
        raise CatalogError(f"{name!r} can't be a file's name: it holds a NUL") from None


def read_text(path: Path) -> str:
    """The whole file, decoded, without a byte order mark.

    Raises:
        CatalogError: as `Input.raw`, or the file is not UTF-8.
    """
    with Input(path).open() as stream:
        content = stream.read()
    try:
        return content.removeprefix(BYTE_ORDER_MARK).decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise CatalogError(f"{path} line {line} is not UTF-8: save the file as UTF-8") from None


class Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


class LongLine(NamedTuple):
    """A line above the limit, of which only the start was kept."""

    start: bytes
    size_bytes: int


def line_blocks(
    stream: Readable, last_end: Callable[[bytes], int], limit_bytes: int = ROW_LIMIT_BYTES, block_bytes: int = 1 << 16
) -> Iterator[bytes | LongLine]:
    """The bytes in blocks that each end with a line, and lines above the limit on their own, their rest not kept.

    `last_end` gives the position after the last line end in a block of bytes, 0 where there is none.
    """
    parts: list[bytes] = []
    size = 0
    while chunk := stream.read(block_bytes):
        cut = last_end(chunk)
        if not cut:
            parts.append(chunk)
            size += len(chunk)
            if size > limit_bytes:
                line, chunk = skip_line(stream, b"".join(parts), block_bytes)
                yield line
                parts = [chunk]
                size = len(chunk)
                continue
        else:
            yield b"".join((*parts, chunk[:cut]))
            parts = [chunk[cut:]]
            size = len(parts[0])
    if size:
        yield b"".join(parts)


def skip_line(stream: Readable, start: bytes, block_bytes: int) -> tuple[LongLine, bytes]:
    """The line that begins with `start`, and what was read after it."""
    size = len(start)
    start = start[:block_bytes]
    while chunk := stream.read(block_bytes):
        end = first_end(chunk)
        if end:
            return LongLine(start, size + end), chunk[end:]
        size += len(chunk)
    return LongLine(start, size), b""


def first_end(chunk: bytes) -> int:
    return chunk.find(b"\n") + 1


def after_line_feed(chunk: bytes) -> int:
    return chunk.rfind(b"\n") + 1


def after_any_line_end(chunk: bytes) -> int:
    """After the last LF or CR; a CR at the very end may be half of a CR LF and does not count."""
    return max(chunk.rfind(b"\n"), chunk.rfind(b"\r", 0, -1)) + 1


def buffered(raw: io.RawIOBase) -> BinaryIO:
    return cast(BinaryIO, io.BufferedReader(raw, BUFFER_BYTES))
