"""From a name to rows: the formats that can be loaded, how each is told apart, and sources one after another."""

from __future__ import annotations

import codecs
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from prodsim.loaders.closest import did_you_mean
from prodsim.plugin.errors import CatalogError, UsageError

from .encoding import Encoding, find_encoding, label, read_what_there_is
from .source import STDIN, Input, SourceRow
from .source_names import ReadOptions, expand, fingerprint, size_bytes, sources_of
from .sql_rows import is_sql_url, read_sql, without_password

__all__ = [
    "FORMATS",
    "ReadOptions",
    "Source",
    "SourceRow",
    "fingerprint",
    "format_of",
    "open_sources",
    "read_rows",
    "size_bytes",
    "sources_of",
]

Header = tuple[str, ...] | None
PARQUET_MAGIC = b"PAR1"
START_BYTES = 1 << 20
PACKED_SUFFIXES = (".gz", ".zst", ".zstd")


@dataclass
class Source:
    """A source being read: an iterator over its rows.

    `name` is what messages and rejects call it: the file's path, "stdin", or an SQL URL without its password. `header`
    holds the column names where the format fixes them (CSV, Parquet, SQL), else None. `encoding` and `delimiter` are
    what its text is read with, None where it is no text, or no CSV.
    """

    path: Path
    format: str
    header: Header
    rows: Iterator[SourceRow]
    name: str = ""
    encoding: str | None = None
    delimiter: str | None = None
    position: Callable[[], int | None] = lambda: None

    def __post_init__(self) -> None:
        self.name = self.name or str(self.path)

    def __iter__(self) -> Iterator[SourceRow]:
        return self.rows  # what is left of them, as `next` takes them: faster than going through it

    def __next__(self) -> SourceRow:
        return next(self.rows)

    def position_bytes(self) -> int | None:
        """How much of `size_bytes` was read so far, None for a database."""
        return self.position()


class Content(NamedTuple):
    """What a format finds in a source."""

    rows: Iterator[SourceRow]
    header: Header = None
    encoding: str | None = None
    delimiter: str | None = None
    position: Callable[[], int | None] | None = None


def csv_content(source: Input, options: ReadOptions) -> Content:
    from .delimited import read_delimited

    encoding = find_encoding(source, options.encoding)
    header, rows, dialect = read_delimited(source, encoding, options.delimiter, options.quote)
    return Content(rows, header, label(encoding.name), dialect.delimiter)


def ndjson_content(source: Input, options: ReadOptions) -> Content:
    from .json_rows import read_ndjson

    encoding = find_encoding(source, options.encoding)
    return Content(read_ndjson(source, encoding), encoding=label(encoding.name))


def json_content(source: Input, options: ReadOptions) -> Content:
    from .json_rows import read_json

    encoding = find_encoding(source, options.encoding)
    return Content(read_json(source, encoding), encoding=label(encoding.name))


def yaml_content(source: Input, options: ReadOptions) -> Content:
    from .yaml_rows import read_yaml

    encoding = find_encoding(source, options.encoding)
    return Content(read_yaml(source, encoding), encoding=label(encoding.name))


def parquet_content(source: Input, options: ReadOptions) -> Content:
    from .parquet_rows import read_parquet

    header, rows, position = read_parquet(source)
    return Content(rows, header, position=position)


FORMATS: dict[str, Callable[[Input, ReadOptions], Content]] = {
    "csv": csv_content,  # any delimiter
    "ndjson": ndjson_content,
    "json": json_content,
    "yaml": yaml_content,
    "parquet": parquet_content,
}
SUFFIXES = {
    ".csv": "csv",
    ".tsv": "csv",
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
    ".json": "json",
    ".yaml": "yaml",
    ".yml": "yaml",
    ".parquet": "parquet",
}


def read_rows(path: str | Path, format: str | None = None, options: ReadOptions | None = None) -> Source:
    """The rows of one source as they are asked for: a file, `-` for stdin, or an SQL URL (with a query in the options).

    `format` is one of FORMATS; without it the options', the file's suffix, or the first bytes of stdin decide. What is
    packed with gzip or zstd is unpacked, whatever its name. A row that can't be parsed comes as a row with a problem,
    and reading goes on. Reading a file twice gives the same rows with the same line numbers.

    Raises:
        CatalogError: the source can't be read as that format (missing, a folder, unreadable, of an unknown suffix, in
            an unknown encoding, cut off, not a list of rows) or holds no rows. What only shows further down is raised
            there.
        UsageError: a query for what is no database, or a database without one.
    """
    options = options or ReadOptions()
    name = str(path)
    if is_sql_url(name):
        header, rows = read_sql(name, options.query)
        shown = without_password(name)
        return started(Source(Path(shown), "sql", header, rows, shown))
    if options.query is not None:
        raise UsageError(f"{without_password(name)} is no database, and takes no query")
    known = format or options.format
    if known is not None and known not in FORMATS:
        raise CatalogError(f"unknown format {known!r}{did_you_mean(known, FORMATS)}")
    source = Input(name if name == STDIN or os.path.lexists(name) else without_password(name))
    known = known or (format_within(source) if name == STDIN else format_of(Path(name)))
    content = FORMATS[known](source, options)
    return started(
        Source(
            Path(source.name),
            known,
            content.header,
            content.rows,
            source.name,
            content.encoding,
            content.delimiter,
            content.position or (lambda: source.position_bytes),
        )
    )


def started(source: Source) -> Source:
    first = next(source.rows, None)
    if first is None:
        raise CatalogError(f"{source.name} holds no rows")
    source.rows = chain([first], source.rows)
    return source


def open_sources(names: Sequence[str | Path], options: ReadOptions | None = None) -> Iterator[Source]:
    """The sources that names and patterns stand for, each opened once the one before is left; read it before going on.

    A pattern's files come sorted; a source that is named twice is read once.

    Raises:
        CatalogError: at once: a file that is not there, a pattern that matches none, an unknown format; as `read_rows`
            when a source's turn comes.
        UsageError: as `read_rows`.
    """
    options = options or ReadOptions()
    found = expand(names)
    if not found:
        raise UsageError("no source is named: name a file, - for stdin, or the URL of a database")
    databases = [name for name in found if is_sql_url(name)]
    if databases and options.query is None:
        raise UsageError(
            f"{without_password(databases[0])} is a database: say what to read with a query, such as "
            "SELECT * FROM products"
        )
    if options.query is not None and len(databases) < len(found):
        other = next(name for name in found if name not in databases)
        raise UsageError(f"{other} is no database, and takes no query")
    if options.format is None:
        for name in found:
            if name != STDIN and name not in databases:
                format_of(Path(name))
    elif options.format not in FORMATS:
        raise CatalogError(f"unknown format {options.format!r}{did_you_mean(options.format, FORMATS)}")
    return (read_rows(name, None, options) for name in found)


def format_of(path: Path) -> str:
    """The format that a file's suffix stands for, `.gz`, `.zst` and `.zstd` aside.

    Raises:
        CatalogError: an unknown suffix, or none.
    """
    bare = path.with_suffix("") if path.suffix.lower() in PACKED_SUFFIXES else path
    try:
        return SUFFIXES[bare.suffix.lower()]
    except KeyError:
        known = ", ".join(SUFFIXES)
        what = f"suffix {bare.suffix}" if bare.suffix else "no suffix"
        raise CatalogError(
            f"{path} has {'an unknown ' if bare.suffix else ''}{what}: known are {known} (each also with .gz or .zst); "
            f"or name the format: {', '.join(FORMATS)}"
        ) from None


def format_within(source: Input) -> str:
    """The format that a source's first bytes show.

    Raises:
        CatalogError: they fit none, or the source is empty or no text.
    """
    with source.open_head() as stream:
        if stream.read(len(PARQUET_MAGIC)) == PARQUET_MAGIC:
            return "parquet"
    encoding = find_encoding(source)
    start = first_text(source, encoding).lstrip()
    line = start.partition("\n")[0].strip()
    if not start:
        raise CatalogError(f"{source.name} holds no rows")
    if start.startswith("["):
        return "json"
    if start.startswith("{"):
        return "ndjson" if is_object(line) else "json"
    if start.startswith(("- ", "-\n", "---", "%YAML")):
        return "yaml"
    if any(delimiter in line for delimiter in ",;\t|"):
        return "csv"
    raise CatalogError(f"{source.name} is of no format that its start tells: name it, one of {', '.join(FORMATS)}")


def first_text(source: Input, encoding: Encoding) -> str:
    """The start of a source's text, to tell its format by."""
    with source.open_head() as stream:
        stream.read(encoding.mark_bytes)
        start = read_what_there_is(stream, START_BYTES)
    return codecs.getincrementaldecoder(encoding.name)("replace").decode(start)


def is_object(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False
