"""How a CSV separates and quotes its cells: as named, as a `sep=` line says, or as its first lines are read best."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, NamedTuple

from prodsim.plugin.errors import CatalogError

if TYPE_CHECKING:
    from _csv import Reader

DELIMITERS = (",", ";", "\t", "|")
SAMPLE_LINES = 100
NAMES = {"\t": "a tab", " ": "a space"}
SEPARATOR_LINE = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)  # Excel's


@dataclass(frozen=True, slots=True)
class Dialect:
    """Characters; `quote` is "" where nothing is quoted, `escape` where quotes inside cells are only doubled."""

    delimiter: str
    quote: str = '"'
    escape: str = ""

    def reader(self, lines: Iterable[str]) -> Reader:
        return csv.reader(
            lines,
            delimiter=self.delimiter,
            quotechar=self.quote or None,
            escapechar=self.escape or None,
            quoting=csv.QUOTE_MINIMAL if self.quote else csv.QUOTE_NONE,
            strict=True,
        )

    def describe(self) -> str:
        return NAMES.get(self.delimiter, repr(self.delimiter))


class Score(NamedTuple):
    several_columns: bool
    fitting: float
    columns: int


def detect_dialect(name: str, sample: list[str], delimiter: str | None = None, quote: str | None = None) -> Dialect:
    """The dialect that splits the first row into columns and most of the sampled rows into as many cells.

    Raises:
        CatalogError: two delimiters do so equally well.
    """
    sample = sample[:SAMPLE_LINES]
    delimiters = DELIMITERS if delimiter is None else (delimiter,)
    scored = []
    for delimiter in delimiters:
        quotes = [quote] if quote is not None else ['"', "'"] if wrapped_in_apostrophes(sample, delimiter) else ['"']
        escapes = ["", "\\"] if any('\\"' in line for line in sample) and quote != "" else [""]
        for dialect in (Dialect(delimiter, *rest) for rest in product(quotes, escapes)):
            scored.append((score(sample, dialect), dialect))
    best, dialect = max(scored, key=lambda found: found[0])
    for other, rival in scored:
        if other == best and best.several_columns and rival.delimiter != dialect.delimiter:
            both = f"{dialect.describe()} or {rival.describe()}"
            raise CatalogError(f"{name} can be read with {both} between its cells: name the delimiter")
    return dialect


def wrapped_in_apostrophes(sample: list[str], delimiter: str) -> bool:
    """Whether nearly every line has a cell in apostrophes, and none one in quotes."""
    edge = re.escape(delimiter)
    cell = re.compile(rf"(?:^|{edge})'[^']*'(?={edge}|\s*$)")
    quoted = re.compile(rf'(?:^|{edge})"')
    found = sum(bool(cell.search(line)) for line in sample)
    return found >= 0.8 * len(sample) and not any(quoted.search(line) for line in sample)


def score(sample: list[str], dialect: Dialect) -> Score:
    widths = record_widths(sample, dialect)
    if not widths or not widths[0]:
        return Score(False, 0.0, 0)
    columns, rows = widths[0], widths[1:]
    fitting = sum(width == columns for width in rows) / len(rows) if rows else 1.0
    return Score(columns > 1, round(fitting, 1), columns)


def record_widths(sample: list[str], dialect: Dialect) -> list[int]:
    """How many cells each record has, 0 for one that can't be parsed; blank lines are left out."""
    widths = []
    start = 0
    while start < len(sample):
        reader = dialect.reader(sample[start:])
        done = start
        try:
            for cells in reader:
                if cells:
                    widths.append(len(cells))
                done = start + reader.line_num
        except csv.Error as error:
            if "unexpected end of data" in str(error) and done and len(sample) == SAMPLE_LINES:
                break  # the sample ends within a quoted cell
            widths.append(0)
            start = done + 1  # as the reader does: a broken record costs its first line
        else:
            break
    return widths
