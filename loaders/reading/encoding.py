"""How a source's text is encoded: told from all of it before the first row, and handed on as UTF-8."""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, BinaryIO, NamedTuple

from prodsim.plugin.errors import CatalogError, UsageError

from .source import Input, LongLine, buffered, line_blocks

UTF8 = "utf-8"
MARKS = (  # the longer ones first: UTF-32's begins as UTF-16's does
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, UTF8),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
BINARY = (
    (b"PK\x03\x04", "a zip archive or an Excel workbook: save the sheet as CSV"),
    (b"\xd0\xcf\x11\xe0", "an Excel workbook: save the sheet as CSV"),
    (b"SQLite format 3\x00", "an SQLite database: name it as sqlite:///FILE, with a query"),
    (b"PAR1", "a Parquet file: read it as format parquet"),
    (b"BZh", "packed with bzip2: unpack it, or use gzip or zstd"),
    (b"\xfd7zXZ", "packed with xz: unpack it, or use gzip or zstd"),
    (b"%PDF", "a PDF: export the products as CSV"),
    (b"\x89PNG", "a picture"),
    (b"\xff\xd8\xff", "a picture"),
)
SUPERSETS = {"ascii": UTF8, "iso8859-1": "cp1252"}  # what is called Latin-1 is Windows-1252, as in browsers
NO_TEXT_CODECS = ("idna", "punycode", "undefined", "unicode_escape", "raw_unicode_escape", "utf_7", "mbcs", "oem")
CELL_ENDS = re.compile(rb'[,;"]')  # none of which is half of a character in any encoding that is told here
BEYOND_ASCII = bytes(range(128, 256))
CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
PROBE_BYTES = 1 << 16
SURVEY_BYTES = 1 << 16
EVIDENCE_BYTES = 1 << 14
TELLING_CELLS = 1_000  # so many cells of one kind and hardly any of the other settle it
MIXED_RATIO = 10
UNDECODED = re.compile("[\udc80-\udcff]")  # what surrogateescape makes of a byte that can't be decoded


class Encoding(NamedTuple):
    """A codec's name, and how many bytes of byte order mark come before the text."""

    name: str
    mark_bytes: int = 0


@dataclass
class Survey:
    """How many cells hold text beyond ASCII that is UTF-8, and that is not; `evidence` is some of the latter."""

    lines: int = 0
    utf8: int = 0
    other: int = 0
    first_utf8: int = 0
    first_other: int = 0
    evidence: bytearray = field(default_factory=bytearray)

    def add(self, block: bytes) -> None:
        before = self.lines
        self.lines += block.count(b"\n")
        if block.isascii():
            return
        for number, line in enumerate(block.split(b"\n"), before + 1):
            if not line.isascii():
                for cell in CELL_ENDS.split(line):
                    if not cell.isascii():
                        self._add_cell(number, cell)

    def _add_cell(self, line: int, cell: bytes) -> None:
        try:
            cell.decode()
        except UnicodeDecodeError:
            self.other += 1
            self.first_other = self.first_other or line
            if len(self.evidence) < EVIDENCE_BYTES:
                self.evidence += cell[:EVIDENCE_BYTES] + b"\n"
        else:
            self.utf8 += 1
            self.first_utf8 = self.first_utf8 or line

    @property
    def settled(self) -> bool:
        return max(self.utf8, self.other) >= TELLING_CELLS * (1 + min(self.utf8, self.other))


def check_encoding(name: str) -> str:
    """The codec's plain name.

    Raises:
        UsageError: Python knows no such text encoding.
    """
    try:
        codec = codecs.lookup(name).name
        "a".encode(name)
    except (LookupError, ValueError, UnicodeError):
        codec = ""
    if not codec or codec.replace("-", "_") in NO_TEXT_CODECS:
        raise UsageError(f"unknown encoding {name!r}: name one such as utf-8, windows-1252, iso-8859-2 or utf-16-le")
    return SUPERSETS.get(codec, codec)


def find_encoding(source: Input, named: str | None = None) -> Encoding:
    """How the source is encoded: as named, by its byte order mark, or told from what is in it.

    A file is looked through as far as it takes, of what can be read only once the first mebibyte.

    Raises:
        CatalogError: it is no text, or can't be told with certainty.
    """
    with source.open_head() as stream:
        head = stream.read(PROBE_BYTES) if source.again else read_what_there_is(stream, PROBE_BYTES)
        mark = next(((mark, name) for mark, name in MARKS if head.startswith(mark)), None)
        if mark is not None and not (mark[1] == "utf-16-le" and named and named.startswith("utf-16-be")):
            size, found = len(mark[0]), mark[1]
            if named is not None and not same_family(named, found):
                raise CatalogError(
                    f"{source.name} starts with the mark of {label(found)}, but is to be read as {label(named)}"
                )
            return Encoding(found, size)
        if named is not None:
            return Encoding(named)
        check_binary(source.name, head)
        if wide := unmarked_utf16(head):
            return Encoding(wide)
        survey = Survey()
        for block in line_blocks(Prepended(stream, head, source.again), after_ascii, block_bytes=SURVEY_BYTES):
            survey.add(block.start if isinstance(block, LongLine) else block)
            if survey.settled:
                break
    return Encoding(judge(source.name, survey))


def after_ascii(chunk: bytes) -> int:
    return len(chunk.rstrip(BEYOND_ASCII))


def read_what_there_is(stream: BinaryIO, size: int) -> bytes:
    """Up to `size` bytes of a pack of which only the start is at hand."""
    from .packed import CutOff

    parts: list[bytes] = []
    while size > 0:
        try:
            part = stream.read(min(size, 1 << 12))
        except (EOFError, CutOff):
            break
        if not part:
            break
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


class Prepended:
    """What was read of a stream already, then the rest of it."""

    def __init__(self, stream: BinaryIO, head: bytes, whole: bool) -> None:
        self._stream, self._head, self._whole = stream, head, whole

    def read(self, size: int) -> bytes:
        if self._head:
            head, self._head = self._head, b""
            return head
        return self._stream.read(size) if self._whole else read_what_there_is(self._stream, size)


def same_family(named: str, found: str) -> bool:
    return found.startswith(named.removesuffix("-sig").replace("_", "-"))


def check_binary(name: str, head: bytes) -> None:
    for magic, what in BINARY:
        if head.startswith(magic):
            raise CatalogError(f"{name} is {what}")
    if len(CONTROL.findall(head)) > max(30, len(head) // 10) and not unmarked_utf16(head):
        raise CatalogError(f"{name} is no text: it holds binary data")


def unmarked_utf16(head: bytes) -> str | None:
    """UTF-16 without a mark shows in that every other byte is 0, as long as most of the text is ASCII."""
    pairs = len(head) // 2
    if pairs < 4:
        return None
    first, second = head[: 2 * pairs : 2].count(0), head[1 : 2 * pairs : 2].count(0)
    for name, zeros, others in (("utf-16-le", second, first), ("utf-16-be", first, second)):
        if zeros > 0.8 * pairs and others < 0.02 * pairs:
            return name
    return None


def judge(name: str, survey: Survey) -> str:
    if survey.other <= survey.utf8:  # stray bytes in a file that is UTF-8: their rows are rejected
        return UTF8
    if survey.other >= MIXED_RATIO * survey.utf8:
        from .legacy import legacy_encoding

        if found := legacy_encoding(bytes(survey.evidence)):
            return found
    if not survey.utf8 and survey.other <= max(1, survey.lines // 10):
        return UTF8
    if survey.utf8:
        raise CatalogError(
            f"{name} mixes UTF-8 (line {survey.first_utf8}) with another encoding (line {survey.first_other}): "
            "save it as UTF-8, or name the encoding"
        )
    raise CatalogError(
        f"{name} is not UTF-8 (line {survey.first_other}), and what else it is can't be told with certainty: save it "
        "as UTF-8, or name the encoding"
    )


@contextmanager
def open_utf8(source: Input, encoding: Encoding) -> Iterator[BinaryIO]:
    """The source's text as UTF-8 without a mark; what can't be decoded stays as bytes that are no UTF-8.

    Raises:
        CatalogError: as `Input.raw`.
    """
    with source.open() as stream:
        stream.read(encoding.mark_bytes)
        yield stream if encoding.name in (UTF8, "ascii") else buffered(Transcoded(stream, encoding.name))


class Transcoded(io.RawIOBase):
    """A stream in another encoding, as UTF-8."""

    def __init__(self, stream: BinaryIO, encoding: str) -> None:
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder(encoding)("prodsim.undecoded")
        self._pending = memoryview(b"")
        self._ended = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._pending and not self._ended:
            chunk = self._stream.read(PROBE_BYTES)
            self._ended = not chunk
            text = self._decoder.decode(chunk, self._ended)
            self._pending = memoryview(text.encode(UTF8, "surrogateescape"))
        size = min(len(buffer), len(self._pending))
        buffer[:size] = self._pending[:size]
        self._pending = self._pending[size:]
        return size


def as_undecoded(error: UnicodeError) -> tuple[str, int]:
    """A codec error handler that puts one character which UNDECODED finds in place of what can't be decoded."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return "\udcff", error.end


codecs.register_error("prodsim.undecoded", as_undecoded)


def undecoded_problem(encoding: str, text: str) -> str:
    """Why a row with such a text is rejected; `text` was decoded with surrogateescape."""
    found = UNDECODED.search(text)
    at = found.start() if found else 0
    near = " ".join(readable(text[max(0, at - 20) : at + 20]).split())
    return f"not {label(encoding)} near '{near}': correct these characters, or name the file's encoding"


def label(encoding: str) -> str:
    """The name that people know a codec by."""
    return encoding.upper() if encoding.startswith("utf") else re.sub(r"^cp125", "windows-125", encoding)


def readable(text: str) -> str:
    r"""The text with `\xe9` in place of each byte that could not be decoded."""
    if not UNDECODED.search(text):
        return text
    return text.encode(UTF8, "surrogateescape").decode(UTF8, "backslashreplace")
