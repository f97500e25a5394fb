"""A file of products as bytes and lines: what is opened, unpacked and decoded before any format is read."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NoReturn, cast

from prodsim.plugin.errors import CatalogError

GZIP_MAGIC = b"\x1f\x8b"
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True, slots=True)
class SourceRow:
    """One row of a source.

    `line` is the 1-based line that the row starts on, or the item's number where the format has no lines (JSON, YAML).
    A broken row has a `problem` that says why, no values, and in `text` what the source holds there, if it is text.
    """

    line: int
    values: dict[str, object]
    problem: str | None = None
    text: str | None = None


@contextmanager
def open_source(path: Path) -> Iterator[BinaryIO]:
    """The file's bytes, unpacked where they start as gzip does, whatever the file is called.

    Raises:
        CatalogError: on opening or while reading: missing, a folder, unreadable, or a gzip that is cut off or damaged.
    """
    try:
        with open(path, "rb") as raw:
            if raw.peek(2)[:2] == GZIP_MAGIC:
                # GzipFile hands out lines slowly unless it is buffered
                with io.BufferedReader(gzip.GzipFile(fileobj=raw), 1 << 18) as unpacked:
                    yield cast(BinaryIO, unpacked)
            else:
                yield raw
    except FileNotFoundError:
        raise CatalogError(f"{path} does not exist: check the name, relative to {Path.cwd()}") from None
    except IsADirectoryError:
        raise CatalogError(f"{path} is a folder: name the files in it") from None
    except EOFError:
        raise CatalogError(f"{path} is a gzip file that is cut off: copy or download it again") from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise CatalogError(f"{path} is a damaged gzip file ({error}): copy or download it again") from None
    except OSError as error:
        raise CatalogError(f"{path} can't be read: {error.strerror or error}") from None


def read_text(path: Path) -> str:
    """The whole file, decoded, without a byte order mark.

    Raises:
        CatalogError: as `open_source`, or the file is not UTF-8.
    """
    with open_source(path) as source:
        content = source.read()
    try:
        return content.removeprefix(BYTE_ORDER_MARK).decode()
    except UnicodeDecodeError as error:
        refuse_encoding(path, error.object.count(b"\n", 0, error.start) + 1, error.object)


def byte_lines(path: Path) -> Iterator[bytes]:
    """The file's lines, split at line feeds, without a byte order mark; read as they are asked for."""
    with open_source(path) as source:
        for number, line in enumerate(source):
            yield line if number else line.removeprefix(BYTE_ORDER_MARK)


def text_lines(path: Path) -> Iterator[str]:
    """The file's lines with their ends (LF, CR LF or CR), decoded, no byte order mark; read as they are asked for.

    Raises:
        CatalogError: as `open_source`, or a line is not UTF-8.
    """
    with open_source(path) as source:
        # surrogateescape keeps the reader going past a bad byte, so that its line can be named
        text = io.TextIOWrapper(source, encoding="utf-8", errors="surrogateescape", newline="")
        for number, line in enumerate(text, start=1):
            if not line.isascii():
                try:
                    line.encode()
                except UnicodeEncodeError:
                    refuse_encoding(path, number, line.encode(errors="surrogateescape"))
            yield line.removeprefix("\ufeff") if number == 1 else line


def refuse_encoding(path: Path, line: int, content: bytes) -> NoReturn:
    found = "UTF-16" if content.startswith(UTF16_MARKS) else "not UTF-8"
    raise CatalogError(f"{path} line {line} is {found}: save the file as UTF-8")
