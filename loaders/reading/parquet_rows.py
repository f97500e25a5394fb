"""Parquet, a batch of rows at a time."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from prodsim.plugin.errors import CatalogError

from .items import TEXT_LIMIT
from .plain import plain_row, plain_value
from .source import BUFFER_BYTES, ROW_LIMIT_BYTES, Input, SourceRow, named_twice

BATCH_ROWS = 1_000
MAGIC = b"PAR1"
LIMIT = f"{ROW_LIMIT_BYTES >> 20} MiB"


def read_parquet(source: Input) -> tuple[tuple[str, ...] | None, Iterator[SourceRow], Callable[[], int]]:
    """The column names (parts of structs with a dot), the rows as they are asked for, and the bytes read so far.

    There are no column names where a column is a map, whose names are in the rows. What can't be read at will (stdin,
    a packed file) goes through a temporary file.

    Raises:
        CatalogError: the file can't be read, is no Parquet, names a column twice, or pyarrow is not installed.
    """
    try:
        import pyarrow  # type: ignore[import-untyped]  # ships no types
        import pyarrow.parquet as parquet  # type: ignore[import-untyped]  # ships no types
    except ImportError:
        raise CatalogError(
            f"{source.name} is Parquet, for which pyarrow is missing: pip install 'prodsim[parquet]'"
        ) from None
    with ExitStack() as opening:
        opening.enter_context(arrow_errors(source.name))
        with source.raw() as stream:
            bare = source.again and stream.peek(4)[:4] == MAGIC
        if bare:
            file: Any = opening.enter_context(pyarrow.OSFile(str(source.path)))
            size = file.size()
        else:
            file = opening.enter_context(tempfile.TemporaryFile())
            with source.open() as unpacked:
                shutil.copyfileobj(unpacked, file, BUFFER_BYTES)
            size = file.tell()
        content = parquet.ParquetFile(file, buffer_size=BUFFER_BYTES, pre_buffer=False, page_checksum_verification=True)
        if twice := named_twice(content.schema_arrow.names):
            raise CatalogError(f"{source.name} names a column twice ({twice}): rename or remove one of them")
        progress = Progress(content.metadata.num_rows, source.position_bytes if not bare else size)
        rows = rows_of(content, progress, opening.pop_all())
    return header_of(content.schema_arrow), rows, progress.bytes_done


class Progress:
    """How far a file was read, told by its rows."""

    def __init__(self, rows: int, size_bytes: int) -> None:
        self._rows, self._size_bytes = max(1, rows), size_bytes
        self.rows_done = 0

    def bytes_done(self) -> int:
        return self._size_bytes * min(self.rows_done, self._rows) // self._rows


@contextmanager
def arrow_errors(name: str) -> Iterator[None]:
    import pyarrow

    try:
        yield
    except (pyarrow.ArrowException, OSError, OverflowError) as error:
        if "magic bytes not found" in str(error) or "file size is" in str(error):
            raise CatalogError(f"{name} is no Parquet file, or is cut off") from None
        raise CatalogError(f"{name} can't be read as Parquet: {' '.join(str(error).split())}") from None


def header_of(schema: Any) -> tuple[str, ...] | None:
    import pyarrow

    names: list[str] = []
    waiting = [(field.name, field.type) for field in reversed(schema)]
    while waiting:
        name, kind = waiting.pop()
        if pyarrow.types.is_map(kind):
            return None
        if pyarrow.types.is_struct(kind):
            parts = [kind.field(position) for position in range(kind.num_fields)]
            waiting.extend((f"{name}.{part.name}", part.type) for part in reversed(parts))
        else:
            names.append(name)
    return tuple(names)


def rows_of(content: Any, progress: Progress, opened: ExitStack) -> Iterator[SourceRow]:
    names = content.schema_arrow.names
    with opened, content:
        for read in content.iter_batches(BATCH_ROWS):
            batch = in_microseconds(read)
            columns = plain_columns(batch)
            for position in range(batch.num_rows) if columns is None else ():
                progress.rows_done += 1
                yield single_row(progress.rows_done, batch.slice(position, 1))
            for number, cells in enumerate(zip(*(columns or ()), strict=True), progress.rows_done + 1):
                progress.rows_done = number
                yield SourceRow(number, dict(zip(names, cells, strict=True)))


def in_microseconds(batch: Any) -> Any:
    """The batch without nanoseconds, which Python's times do not have."""
    import pyarrow

    for position, column in enumerate(batch.columns):
        if pyarrow.types.is_timestamp(column.type) and column.type.unit == "ns":
            coarse = column.cast(pyarrow.timestamp("us", column.type.tz), safe=False)
            batch = batch.set_column(position, batch.schema.names[position], coarse)
    return batch


def plain_columns(batch: Any) -> list[list[object]] | None:
    """The columns' values; None where the batch is large or has a value that Python does not, such as a far date."""
    import pyarrow

    if batch.nbytes > ROW_LIMIT_BYTES:
        return None
    columns: list[list[object]] = []
    for column in batch.columns:
        try:
            values = column.to_pylist(maps_as_pydicts="lossy")
        except (ValueError, OverflowError):
            return None
        kind = pyarrow.types
        plain = kind.is_string(column.type) or kind.is_integer(column.type) or kind.is_floating(column.type)
        columns.append(values if plain else [plain_value(value) for value in values])
    return columns


def single_row(number: int, row: Any) -> SourceRow:
    if row.nbytes > ROW_LIMIT_BYTES:
        return SourceRow(number, {}, f"the row has {row.nbytes:,} bytes, and a row may have {LIMIT}: shorten it")
    try:
        return SourceRow(number, plain_row(row.to_pylist(maps_as_pydicts="lossy")[0]))
    except (ValueError, OverflowError) as error:
        problem = f"a value can't be read: {' '.join(str(error).split())}"
        return SourceRow(number, {}, problem, str(row.slice(0, 1))[:TEXT_LIMIT])
