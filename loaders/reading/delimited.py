"""Comma-, semicolon-, tab- and pipe-separated rows."""

from __future__ import annotations

import csv
import io
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import chain, islice

from prodsim.plugin.errors import CatalogError

from .dialect import SEPARATOR_LINE, Dialect, detect_dialect
from .encoding import UNDECODED, Encoding, open_utf8, readable, undecoded_problem
from .items import TEXT_LIMIT
from .source import ROW_LIMIT_BYTES, Input, LongLine, SourceRow, after_any_line_end, line_blocks, named_twice

OTHER_ENDS = "\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"
LIMIT = f"{ROW_LIMIT_BYTES >> 20} MiB"


@dataclass(slots=True)
class Block:
    """Lines of a file that were read together, from line `first` to before line `end`; their ends are kept."""

    text: str
    first: int
    end: int
    size_bytes: int
    _lines: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        if not self._lines:
            self._lines = list(split_lines(self.text))
        return self._lines


class Lines:
    """Lines for a CSV parser, and those of the record being parsed, so that they can be given back.

    Lines end for the parser where the file does, before an overlong line (`long`), and where one record takes up more
    than a row may (`crowded`).
    """

    def __init__(self, blocks: Iterator[bytes | LongLine]) -> None:
        self._blocks = blocks
        self._kept: deque[Block] = deque()
        self._next_line = 1
        self.record_line = 1
        self.long: LongLine | None = None
        self.undecoded = False
        self.crowded = False

    def from_line(self, line: int) -> Iterator[str]:
        self.crowded = False
        return chain.from_iterable(self._parts(line))

    def first_lines(self) -> list[str]:
        """Those of the first block; they are still to come."""
        if not self._kept:
            self._read_block()
        return self._kept[0].lines() if self._kept else []

    def text(self, start: int, end: int) -> str:
        """The lines from `start` to before `end`, as far as the rejects file takes them."""
        lines = (line for block in self._kept for line in islice(block.lines(), max(0, start - block.first), None))
        shown: list[str] = []
        for line in islice(lines, end - start):
            shown.append(line)
            if sum(map(len, shown)) > TEXT_LIMIT:
                break
        return readable("".join(shown)[:TEXT_LIMIT]).rstrip("\r\n")

    def drop_long(self) -> LongLine | None:
        """The overlong line that stopped the parser, if one did; lines go on after it."""
        long, self.long = self.long, None
        if long is not None:
            self._next_line += 1
        return long

    def _parts(self, line: int) -> Iterator[Iterable[str]]:
        for block in list(self._kept):
            if block.end > line:
                yield islice(block.lines(), max(0, line - block.first), None)
        while (read := self._read_block()) is not None:
            yield split_lines(read.text)

    def _read_block(self) -> Block | None:
        while self._kept and self._kept[0].end <= self.record_line:
            self._kept.popleft()
        self.undecoded = any(UNDECODED.search(block.text) for block in self._kept) if self.undecoded else False
        self.crowded = sum(block.size_bytes for block in self._kept) > ROW_LIMIT_BYTES
        if self.long is not None or self.crowded:
            return None
        content = next(self._blocks, None)
        if content is None:
            return None
        if isinstance(content, LongLine):
            self.long = content
            return None
        try:
            text = content.decode()
        except UnicodeDecodeError:
            text = content.decode(errors="surrogateescape")
            self.undecoded = True
        block = Block(text, self._next_line, self._next_line + count_lines(text), len(content))
        self._next_line = block.end
        self._kept.append(block)
        return block


def split_lines(text: str) -> Iterable[str]:
    """The lines with their ends: LF, CR LF or CR, and no others."""
    if any(end in text for end in OTHER_ENDS):
        return io.StringIO(text, newline="")
    return text.splitlines(keepends=True)  # faster, but ends lines at OTHER_ENDS too


def count_lines(text: str) -> int:
    ends = text.count("\n")
    if "\r" in text:
        ends += text.count("\r") - text.count("\r\n")
    return ends + (not text.endswith(("\n", "\r")))


class CsvRows:
    """Parses the rows below a header; `header` has "" for columns without a name, which are left out."""

    def __init__(self, lines: Lines, dialect: Dialect, encoding: str, header: tuple[str, ...], line: int) -> None:
        self._lines, self._dialect, self._encoding = lines, dialect, encoding
        self._header, self._first = header, line

    def read(self, opened: ExitStack) -> Iterator[SourceRow]:
        """The rows; closes what was opened after the last one."""
        csv.field_size_limit(ROW_LIMIT_BYTES)
        header, width, nameless = self._header, len(self._header), "" in self._header
        lines, line = self._lines, self._first
        make_row = tuple.__new__  # SourceRow(…) takes half as long again, and this is the loop that all rows go through
        with opened:
            while True:
                base = lines.record_line = line
                reader = self._dialect.reader(lines.from_line(line))
                try:
                    for cells in reader:
                        if len(cells) == width and cells[0].strip() and not lines.undecoded:  # nearly all rows
                            values = dict(zip(header, cells, strict=True))
                            if nameless:
                                del values[""]
                            yield make_row(SourceRow, (line, values, None, None))
                        elif any(map(str.strip, cells)):
                            yield self._unusual_row(line, cells, base + reader.line_num)
                        lines.record_line = line = base + reader.line_num
                    problem = unclosed(self._dialect) if lines.crowded else None
                except csv.Error as error:
                    problem = explain(error, self._dialect)
                if (broken := self._broken_row(line, problem)) is None:
                    return
                yield broken
                line += 1  # it costs its first line only: the others are read again

    def _broken_row(self, line: int, problem: str | None) -> SourceRow | None:
        """The row at which the parser stopped, for that problem or before a line that is too long; None at the end."""
        if problem is not None:
            return SourceRow(line, {}, problem, self._lines.text(line, line + 1))
        if (long := self._lines.drop_long()) is not None:
            problem = f"the line has {long.size_bytes:,} bytes, and a row may have {LIMIT}: shorten it"
            return SourceRow(line, {}, problem, long.start[:TEXT_LIMIT].decode(errors="backslashreplace"))
        return None

    def _unusual_row(self, line: int, cells: list[str], end: int) -> SourceRow:
        width, problem = len(self._header), None
        if UNDECODED.search(text := "\n".join(cells)):
            problem = undecoded_problem(self._encoding, text)
        elif any(map(str.strip, cells[width:])):
            problem = f"{len(cells)} cells under {width} columns: quote the cell that holds the delimiter"
        if problem is not None:
            return SourceRow(line, {}, problem, self._lines.text(line, end))
        return SourceRow(line, {name: cell for name, cell in zip(self._header, cells, strict=False) if name})


def explain(error: csv.Error, dialect: Dialect) -> str:
    message = str(error)
    if "unexpected end of data" in message or "field larger than" in message:
        return unclosed(dialect)
    if "expected after" in message:
        return (
            f"a quoted cell goes on after its closing quote: double the quotes inside it ({dialect.quote * 2}) "
            f"or end it with {dialect.describe()}"
        )
    return message


def unclosed(dialect: Dialect) -> str:
    return f"a quote ({dialect.quote}) is opened and not closed within {LIMIT}"


def read_delimited(
    source: Input, encoding: Encoding, delimiter: str | None = None, quote: str | None = None
) -> tuple[tuple[str, ...], Iterator[SourceRow], Dialect]:
    """The column names, the rows as they are asked for, and the dialect; every cell is text.

    A row that can't be parsed becomes one broken row, whatever it is broken by: a quote that is left open costs its own
    line and no other. A row with fewer cells than columns has none for the last ones (spreadsheets leave them out).
    A column without a name is left out.

    Raises:
        CatalogError: the file can't be read, its delimiter can't be told, or its first row names no columns or one
            twice.
    """
    with ExitStack() as opening:
        stream = opening.enter_context(open_utf8(source, encoding))
        lines = Lines(line_blocks(stream, after_any_line_end))
        first = lines.first_lines()
        marked = SEPARATOR_LINE.fullmatch(first[0]) if first else None
        named = delimiter or (marked[1] if marked else None)
        dialect = detect_dialect(source.name, first[1:] if marked else first, named, quote)
        header, line = find_header(source.name, lines, dialect, 2 if marked else 1)
        rows = CsvRows(lines, dialect, encoding.name, header, line)
        return tuple(filter(None, header)), rows.read(opening.pop_all()), dialect


def find_header(name: str, lines: Lines, dialect: Dialect, line: int) -> tuple[tuple[str, ...], int]:
    """The column names, and the line after them."""
    csv.field_size_limit(ROW_LIMIT_BYTES)
    reader = dialect.reader(lines.from_line(line))
    start = line
    problem = None
    try:
        for cells in reader:
            if any(map(str.strip, cells)):
                header = tuple(map(str.strip, cells))
                check_header(f"{name} line {start}", header)
                return header, line + reader.line_num
            lines.record_line = start = line + reader.line_num
    except csv.Error as error:
        problem = explain(error, dialect)
    if lines.long is not None:
        problem = f"it is longer than {LIMIT}"
    if problem is not None:
        raise CatalogError(f"{name} line {start} should name the columns, but can't be read: {problem}")
    raise CatalogError(f"{name} holds no rows")


def check_header(place: str, header: tuple[str, ...]) -> None:
    if UNDECODED.search(text := " ".join(header)):
        raise CatalogError(f"{place} should name the columns, but holds {readable(text)!r}: save the file as UTF-8")
    if twice := named_twice(filter(None, header)):
        raise CatalogError(f"{place} names a column twice ({twice}): rename or remove one of them")
