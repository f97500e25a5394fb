"""The rejects file: one JSON line for each row that was not loaded, with the reasons and the row itself."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from datetime import date
from glob import has_magic
from io import BufferedWriter
from pathlib import Path
from types import TracebackType

import orjson

from prodsim.plugin.errors import CatalogError

from .preparing.problem import Problem
from .reading.source import SourceRow

VALUES_LIMIT = 10_000  # values of one row that are written: YAML's references can make a small file stand for billions
DEPTH_LIMIT = 50


def default_rejects_path(names: Sequence[str]) -> Path:
    """`NAME.rejects.ndjson` in the current directory: named after the only source, or after what they are."""
    name = Path(names[0]).name
    if len(names) > 1 or has_magic(name):
        name = "load"
    elif name == "-":
        name = "stdin"
    elif "://" in names[0]:
        name = "sql"
    for suffix in (".gz", ".zst", ".zstd"):
        name = name.removesuffix(suffix) or name
    return Path(f"{name.removesuffix(Path(name).suffix) or name}.rejects.ndjson")


class RejectsFile:
    """Takes rejected rows; `size_bytes` is how much the file holds, once flushed on the disk too.

    The file is made at the first one. What an earlier run left there is removed at once, so a file that is there after
    a run was written by it; a run that goes on keeps the first `keep_bytes` of its own. Use it in a `with` statement,
    or call `close`.

    Raises:
        CatalogError: the path holds something else than rejects, or can't be written.
    """

    def __init__(self, path: str | Path, keep_bytes: int = 0) -> None:
        self.path = Path(path)
        self.size_bytes = 0
        self._file: BufferedWriter | None = None
        if keep_bytes:
            self.reopen(keep_bytes)
        else:
            remove_earlier(self.path)

    def reopen(self, keep_bytes: int) -> None:
        try:
            self.size_bytes = self.path.stat().st_size
            if self.size_bytes >= keep_bytes:
                os.truncate(self.path, keep_bytes)
                self._file = open(self.path, "ab")  # noqa: SIM115  closed by close()
                self.size_bytes = keep_bytes
        except OSError as error:
            raise refuse(self.path, error) from None
        if self.size_bytes != keep_bytes:
            raise CatalogError(f"{self.path} lost rejects of this load: start it over with --start-over")

    def reject(self, source: str | Path, row: SourceRow, problems: Sequence[Problem] = (), sku: object = None) -> None:
        """Writes one row: its place, its SKU where that is known, why, and its values, or its text if it is broken."""
        if row.problem is not None:
            problems = [Problem("", "bad_row", row.problem), *problems]
        record = {
            "source": str(source),
            "line": row.line,
            "sku": None if sku is None else str(sku),
            "problems": [asdict(problem) for problem in problems],
            "row": row.values if row.problem is None else row.text,
        }
        line = orjson.dumps(plain(record, iter(range(VALUES_LIMIT))), option=orjson.OPT_APPEND_NEWLINE)
        try:
            if self._file is None:
                self._file = open(self.path, "wb")  # noqa: SIM115  closed by close()
            self.size_bytes += self._file.write(line)
        except OSError as error:
            raise refuse(self.path, error) from None

    def flush(self) -> None:
        """Sees what was written so far onto the disk."""
        if self._file is not None:
            try:
                self._file.flush()
                if self.path.is_file():  # a device or a pipe has no disk to be seen onto
                    os.fsync(self._file.fileno())
            except OSError as error:
                raise refuse(self.path, error) from None

    def close(self) -> None:
        if self._file is not None:
            try:
                self.flush()
            finally:
                with suppress(OSError):  # flush has told of it
                    self._file.close()
                self._file = None

    def __enter__(self) -> RejectsFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def read_rejects(path: Path) -> Iterator[tuple[str, SourceRow]]:
    """The rows of a rejects file with the names of their sources; those that were broken come as they were.

    Raises:
        CatalogError: the file can't be read, or holds something else.
    """
    try:
        with open(path, "rb") as file:
            for number, line in enumerate(file, start=1):
                if not is_reject(line):
                    raise CatalogError(f"{path} line {number} is no reject: name a file that a load wrote")
                record = json.loads(line)
                row = record["row"]
                if isinstance(row, dict):
                    yield record["source"], SourceRow(record["line"], row)
                else:
                    why = next((problem["message"] for problem in record["problems"]), "it can't be read")
                    yield record["source"], SourceRow(record["line"], {}, why, row)
    except OSError as error:
        raise CatalogError(f"{path} can't be read: {error.strerror or error}") from None


def remove_earlier(path: Path) -> None:
    if path.is_dir():
        raise CatalogError(f"rejects can't be written to {path}: it is a folder. Name a file")
    if not path.parent.is_dir():
        raise CatalogError(f"rejects can't be written to {path}: {path.parent} is no folder")
    if not path.is_file():  # nothing there, or a device
        return
    try:
        with open(path, "rb") as earlier:
            first = earlier.readline(1 << 24)
        if first and not is_reject(first):
            raise CatalogError(f"rejects can't be written to {path}: it holds something else. Name another file")
        path.unlink()
    except OSError as error:
        raise refuse(path, error) from None


def is_reject(line: bytes) -> bool:
    try:
        record = json.loads(line)
    except ValueError:
        return False
    return isinstance(record, dict) and {"source", "line", "problems", "row"} <= record.keys()


def refuse(path: Path, error: OSError) -> CatalogError:
    return CatalogError(f"rejects can't be written to {path}: {error.strerror or error}")


def plain(value: object, budget: Iterator[int], depth: int = 0) -> object:
    """The value as JSON can hold it; what is too much of it becomes "…"."""
    if next(budget, None) is None or depth > DEPTH_LIMIT:
        return "…"
    match value:
        case None | bool():
            return value
        case str():
            return value.encode(errors="backslashreplace").decode()
        case int() if abs(value) < 2**63:
            return value
        case float() if math.isfinite(value):
            return value
        case Mapping():
            return {str(plain(str(key), budget)): plain(part, budget, depth + 1) for key, part in value.items()}
        case list() | tuple() | set():
            return [plain(part, budget, depth + 1) for part in value]
        case bytes():
            return value.decode(errors="backslashreplace")
        case date():
            return value.isoformat()
        case int() if abs(value) >= 10**1000:  # Python refuses to write out thousands of digits
            return hex(value)
    return str(value)
