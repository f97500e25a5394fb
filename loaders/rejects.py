"""The rejects file: one JSON line for each row that was not loaded, with the reasons and the row itself."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from datetime import date
from io import BufferedWriter
from pathlib import Path
from types import TracebackType

import orjson

from prodsim.plugin.errors import CatalogError

from .problem import Problem
from .source import SourceRow

VALUES_LIMIT = 10_000  # values of one row that are written: YAML's references can make a small file stand for billions
DEPTH_LIMIT = 50


def default_rejects_path(source: str | Path) -> Path:
    """`<source's name without its suffixes>.rejects.ndjson`, in the current directory."""
    name = Path(source).name
    for suffix in (".gz", Path(name.removesuffix(".gz")).suffix):
        name = name.removesuffix(suffix) or name
    return Path(f"{name}.rejects.ndjson")


class RejectsFile:
    """Takes rejected rows; `count` is how many it took.

    The file is made at the first one. What an earlier run left there is removed at once, so a file that is there after
    a run was written by it. Use it in a `with` statement, or call `close`.

    Raises:
        CatalogError: the path holds something else than rejects, or can't be written.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.count = 0
        self._file: BufferedWriter | None = None
        remove_earlier(self.path)

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
            self._file.write(line)
        except OSError as error:
            raise refuse(self.path, error) from None
        self.count += 1

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
