"""From a file to rows: the formats that can be loaded, and how each is told apart."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from prodsim.plugin.errors import CatalogError

from .closest import did_you_mean
from .source import SourceRow

__all__ = ["FORMATS", "Source", "SourceRow", "format_of", "read_rows"]

Header = tuple[str, ...] | None


@dataclass
class Source:
    """A file being read: an iterator over its rows.

    `header` holds the column names where the format fixes them (CSV), else None.
    """

    path: Path
    format: str
    header: Header
    rows: Iterator[SourceRow]

    def __iter__(self) -> Iterator[SourceRow]:
        return self

    def __next__(self) -> SourceRow:
        return next(self.rows)


def csv_rows(path: Path) -> tuple[Header, Iterator[SourceRow]]:
    from .delimited import read_delimited

    return read_delimited(path)


def ndjson_rows(path: Path) -> tuple[Header, Iterator[SourceRow]]:
    from .json_rows import read_ndjson

    return None, read_ndjson(path)


def json_rows(path: Path) -> tuple[Header, Iterator[SourceRow]]:
    from .json_rows import read_json

    return None, read_json(path)


def yaml_rows(path: Path) -> tuple[Header, Iterator[SourceRow]]:
    from .yaml_rows import read_yaml

    return None, read_yaml(path)


FORMATS: dict[str, Callable[[Path], tuple[Header, Iterator[SourceRow]]]] = {
    "csv": csv_rows,  # any delimiter
    "ndjson": ndjson_rows,
    "json": json_rows,
    "yaml": yaml_rows,
}
SUFFIXES = {
    ".csv": "csv",
    ".tsv": "csv",
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
    ".json": "json",
    ".yaml": "yaml",
    ".yml": "yaml",
}


def read_rows(path: str | Path, format: str | None = None) -> Source:
    """The rows of a file; CSV and NDJSON are read as they are asked for, JSON and YAML whole.

    `format` is one of FORMATS; without it the file's suffix decides. A gzipped file is unpacked, whatever its name.
    A row that can't be parsed comes as a row with a problem, and reading goes on.

    Raises:
        CatalogError: the file can't be read as that format (missing, a folder, unreadable, of an unknown suffix, not
            UTF-8, cut off, not a list of rows) or holds no rows. What only shows further down is raised there.
    """
    path = Path(path)
    name = format or format_of(path)
    if name not in FORMATS:
        raise CatalogError(f"unknown format {name!r}{did_you_mean(name, FORMATS)}")
    header, rows = FORMATS[name](path)
    first = next(rows, None)
    if first is None:
        raise CatalogError(f"{path} holds no rows")
    return Source(path, name, header, chain([first], rows))


def format_of(path: Path) -> str:
    """The format that a file's suffix stands for, `.gz` aside.

    Raises:
        CatalogError: an unknown suffix, or none.
    """
    bare = path.with_suffix("") if path.suffix.lower() == ".gz" else path
    try:
        return SUFFIXES[bare.suffix.lower()]
    except KeyError:
        known = ", ".join(SUFFIXES)
        what = f"suffix {bare.suffix}" if bare.suffix else "no suffix"
        raise CatalogError(
            f"{path} has {'an unknown ' if bare.suffix else ''}{what}: known are {known} (each also with .gz); "
            f"or name the format: {', '.join(FORMATS)}"
        ) from None
