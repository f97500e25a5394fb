"""What a person names as sources: files, patterns, stdin and databases, put in order and told apart."""

from __future__ import annotations

import glob
import hashlib
import os
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

from prodsim.plugin.errors import CatalogError, UsageError

from .encoding import check_encoding
from .source import STDIN, is_regular, named_errors
from .sql_rows import is_sql_url, without_password

FINGERPRINT_BYTES = 1 << 16
REJECTS_SUFFIX = ".rejects.ndjson"


@dataclass(frozen=True)
class ReadOptions:
    """How to read sources where that is not to be found out: `format` is one of FORMATS, `encoding` a name that Python
    knows, `delimiter` one character (or `tab`), `quote` one character, or "" where cells are not quoted, `query` what
    an SQL database is asked.

    Raises:
        UsageError: an encoding that Python does not know, or a delimiter or quote that can't be one.
    """

    format: str | None = None
    encoding: str | None = None
    delimiter: str | None = None
    quote: str | None = None
    query: str | None = None

    def __post_init__(self) -> None:
        if self.encoding is not None:
            object.__setattr__(self, "encoding", check_encoding(self.encoding))
        if self.delimiter in ("tab", "\\t"):
            object.__setattr__(self, "delimiter", "\t")
        for name, value, example in (("delimiter", self.delimiter, ";"), ("quote", self.quote, '"')):
            if value is not None and not is_mark(value) and (value or name == "delimiter"):
                raise UsageError(f"{value!r} can't be a {name}: it is one character, such as {example}")
        if self.delimiter is not None and self.delimiter == self.quote:
            raise UsageError(f"{self.delimiter!r} can't be both delimiter and quote")


def is_mark(value: str) -> bool:
    return len(value) == 1 and value not in "\n\r\0"


def expand(names: Sequence[str | Path]) -> list[str]:
    """The sources in the order of their names, those of a pattern sorted; one that is named twice stays once, where it
    came first.

    Patterns (`*`, `?`, `[…]`, `**`) leave out folders and rejects files. SQL URLs keep their password: see
    `without_password`.

    Raises:
        CatalogError: a file that is not there or is a folder, a pattern that matches no file.
    """
    found: dict[str, str] = {}
    for name in map(str, names):
        if name == STDIN or is_sql_url(name):
            found.setdefault(name, name)
            continue
        for path in matches(name):
            found.setdefault(os.path.realpath(path), path)
    return list(found.values())


def matches(name: str) -> list[str]:
    if not glob.has_magic(name) or os.path.lexists(name):
        is_regular(Path(name), without_password(name))
        return [name]
    files = [
        path
        for path in sorted(glob.glob(name, recursive=True))
        if not os.path.isdir(path) and not path.endswith(REJECTS_SUFFIX)
    ]
    if not files:
        raise CatalogError(f"no file matches {without_password(name)}: check the pattern, relative to {Path.cwd()}")
    return files


def sources_of(names: Sequence[str | Path]) -> list[str]:
    """The sources that names stand for, in reading order, as they may be shown and kept: URLs without their password.

    Raises:
        CatalogError: as `open_sources`.
    """
    return [without_password(name) for name in expand(names)]


def size_bytes(name: str) -> int | None:
    """The size of a file as it lies there, packed or not; None for what has none (stdin, pipes, databases).

    Raises:
        CatalogError: the file is not there, or is a folder.
    """
    if name == STDIN or is_sql_url(name) or not is_regular(Path(name)):
        return None
    with named_errors(name):
        return os.stat(name).st_size


def fingerprint(name: str, options: ReadOptions) -> str | None:
    """What stays the same as long as a source gives the same rows with the same line numbers, in hex.

    Made of path, size, time of the last change, the first and last 64 KiB, and the options. None where it can't be
    known: stdin, pipes, databases.

    Raises:
        CatalogError: the file is not there or can't be read.
    """
    if size_bytes(name) is None:
        return None
    with named_errors(name), open(name, "rb") as file:
        status = os.fstat(file.fileno())
        known = (os.path.realpath(name), status.st_size, status.st_mtime_ns, *astuple(options))
        digest = hashlib.sha256(repr(known).encode(errors="surrogateescape"))
        digest.update(file.read(FINGERPRINT_BYTES))
        file.seek(max(0, status.st_size - FINGERPRINT_BYTES))
        digest.update(file.read(FINGERPRINT_BYTES))
        return digest.hexdigest()
