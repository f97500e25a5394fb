"""What is asked of a load: which sources, how they are read, and where it keeps its state."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import chain, groupby
from pathlib import Path
from typing import Any

from .load import Options
from .preparing.catalog import Catalog
from .reading.readers import ReadOptions, Source, fingerprint, open_sources, size_bytes, sources_of
from .rejects import read_rejects


@dataclass(frozen=True)
class Request:
    """A load as it is asked for.

    `names` are files, globs, "-" for stdin, or SQL URLs. With `retry` they are one rejects file, whose rows are taken
    again. Without a `checkpoint` path nothing is kept over an interruption.
    """

    names: Sequence[str]
    catalog: Catalog
    rejects: Path
    reading: ReadOptions = field(default_factory=ReadOptions)
    options: Options = field(default_factory=Options)
    retry: bool = False
    checkpoint: Path | None = None
    start_over: bool = False
    opened: Iterator[Source] | None = None

    def open(self) -> Request:
        """The same with its first source open, so that what is wrong with it shows before anything is sent.

        Raises:
            CatalogError: as `open_sources`.
        """
        sources = self.sources()
        return replace(self, opened=chain([next(sources)], sources))

    def sources(self) -> Iterator[Source]:
        if self.opened is not None:
            return self.opened
        return retried(Path(self.names[0])) if self.retry else open_sources(self.names, self.reading)

    def size_bytes(self) -> int | None:
        """Of all sources together, as they lie there; None where that of one can't be known."""
        sizes = [None] if self.retry else [size_bytes(name) for name in sources_of(self.names)]
        return None if None in sizes else sum(filter(None, sizes))

    def identity(self, **others: Any) -> dict[str, Any] | None:
        """What must be the same for an interrupted load to go on; None where the content of a source can't be known."""
        prints = {name: fingerprint(name, self.reading) for name in sources_of(self.names)}
        if self.retry or None in prints.values():
            return None
        return {
            "sources": prints,
            "reading": asdict(self.reading),
            "catalog": self.catalog.fingerprint,
            "mode": self.options.mode,
            "only": list(self.options.only),
            "rejects": str(self.rejects.absolute()),
            **others,
        }


def retried(path: Path) -> Iterator[Source]:
    """The rows of a rejects file, as sources under the names that they had."""
    for name, rows in groupby(read_rejects(path), key=lambda reject: reject[0]):
        yield Source(Path(name), "rejects", None, (row for _, row in rows), name)


def default_checkpoint_path(home: Path, alias: str) -> Path:
    """One file an alias: two loads into it from one machine would get in each other's way."""
    digest = hashlib.sha256(alias.encode()).hexdigest()[:8]
    return home / "loads" / f"{alias[:80]}-{digest}.checkpoint"
