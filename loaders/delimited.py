"""Comma-, semicolon-, tab- and pipe-separated rows."""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path

from prodsim.plugin.errors import CatalogError

from .source import SourceRow, text_lines

DELIMITERS = (",", ";", "\t", "|")
SAMPLE_LINES = 50
CELL_LIMIT = 1 << 20  # characters; a quote that is never closed would otherwise swallow the rest of the file


class LineFeed:
    """Lines for a CSV parser, which remembers those of the record being parsed so that they can be given back."""

    def __init__(self, lines: Iterator[str]) -> None:
        self.lines = lines
        self.returned: deque[str] = deque()
        self.taken: list[str] = []

    def __iter__(self) -> LineFeed:
        return self

    def __next__(self) -> str:
        line = self.returned.popleft() if self.returned else next(self.lines)
        self.taken.append(line)
        return line

    def give_back_all_but_first(self) -> str:
        first, *rest = self.taken
        self.returned.extendleft(reversed(rest))
        self.taken = [first]
        return first


def read_delimited(path: Path) -> tuple[tuple[str, ...], Iterator[SourceRow]]:
    """The column names, and the rows as they are asked for; every cell is text.

    A row that can't be parsed becomes one broken row, whatever it is broken by: a quote that is left open costs its own
    line and no other. A row with fewer cells than columns has none for the last ones (spreadsheets leave them out).

    Raises:
        CatalogError: the file can't be read, is not UTF-8, or its first row names no columns or one twice.
    """
    lines = text_lines(path)
    sample = list(islice(lines, SAMPLE_LINES))
    records = parse_records(chain(sample, lines), detect_delimiter(sample))
    for line, cells, _ in records:
        if isinstance(cells, str):
            raise CatalogError(f"{path} line {line} should name the columns, but can't be read: {cells}")
        if any(cell.strip() for cell in cells):
            header = tuple(cell.strip() for cell in cells)
            check_header(path, line, header)
            return tuple(filter(None, header)), read_rows_under(header, records)
    raise CatalogError(f"{path} holds no rows")


def check_header(path: Path, line: int, header: tuple[str, ...]) -> None:
    twice = sorted({name for name in header if name and header.count(name) > 1})
    if twice:
        names = ", ".join(map(repr, twice))
        raise CatalogError(f"{path} line {line} names a column twice ({names}): rename or remove one of them")


def read_rows_under(
    header: tuple[str, ...], records: Iterator[tuple[int, list[str] | str, str]]
) -> Iterator[SourceRow]:
    for line, cells, text in records:
        if isinstance(cells, str):
            yield SourceRow(line, {}, cells, text)
        elif any(map(str.strip, cells[len(header) :])):
            problem = f"{len(cells)} cells under {len(header)} columns: quote the cell that holds the delimiter"
            yield SourceRow(line, {}, problem, text)
        elif any(map(str.strip, cells)):
            yield SourceRow(line, {name: cell for name, cell in zip(header, cells, strict=False) if name})


def parse_records(lines: Iterator[str], delimiter: str) -> Iterator[tuple[int, list[str] | str, str]]:
    """For each record its first line's number, its cells, or why it has none, and its text."""
    csv.field_size_limit(CELL_LIMIT)
    feed = LineFeed(lines)
    reader = csv.reader(feed, delimiter=delimiter, strict=True)
    line = 1
    while True:
        feed.taken = []
        try:
            cells: list[str] | str = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            cells = explain(error, delimiter)
            feed.give_back_all_but_first()
            reader = csv.reader(feed, delimiter=delimiter, strict=True)
        yield line, cells, "".join(feed.taken).rstrip("\r\n")
        line += len(feed.taken)


def explain(error: csv.Error, delimiter: str) -> str:
    message = str(error)
    if "unexpected end of data" in message or "field larger than" in message:
        return f"a quote is opened and not closed within {CELL_LIMIT:,} characters"
    if "expected after" in message:
        name = {"\t": "a tab"}.get(delimiter, repr(delimiter))
        return f'a quoted cell goes on after its closing quote: double the quotes inside it ("") or end it with {name}'
    return message


def detect_delimiter(sample: list[str]) -> str:
    """The delimiter that splits the first row into columns and most of the sampled rows into as many cells."""
    return max(DELIMITERS, key=lambda delimiter: score(sample, delimiter))


def score(sample: list[str], delimiter: str) -> tuple[bool, float, int]:
    records = [cells for _, cells, _ in parse_records(iter(sample), delimiter) if cells]
    if not records or isinstance(records[0], str):
        return False, 0.0, 0
    columns, rows = len(records[0]), records[1:]
    fitting = sum(isinstance(cells, list) and len(cells) == columns for cells in rows) / len(rows) if rows else 1.0
    return columns > 1, round(fitting, 1), columns
