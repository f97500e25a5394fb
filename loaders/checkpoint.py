"""How far a load got, on disk after every acknowledged batch, so that the same command again goes on from there.

A SQLite file: a process that is killed in the middle of a transaction leaves the state before it. It also holds the
SKUs of the load, so that memory does not grow with the catalog.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, NamedTuple

from prodsim.plugin.errors import CatalogError

from .account import Account

LAYOUT = 1
VERSIONS_A_MILLISECOND = 20  # bits: a run's n-th row has its start in milliseconds, shifted by these, plus n as version
ASKED_TOGETHER = 500
TABLES = """
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE batches (number INTEGER PRIMARY KEY);
CREATE TABLE seen (
    sku TEXT PRIMARY KEY, position INTEGER NOT NULL, line INTEGER NOT NULL, outcome TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE duplicates (sku TEXT NOT NULL, line INTEGER NOT NULL, kept_line INTEGER NOT NULL);
"""

SettledAs = Literal["indexed", "unchanged", "rejected"]


class Settled(NamedTuple):
    """A row that is done with: its SKU, its 1-based position among all rows of the run, its line in its source."""

    sku: str
    position: int
    line: int
    outcome: SettledAs


class Duplicate(NamedTuple):
    """The row at `line` counts no more, because the one at `kept_line` has its SKU."""

    sku: str
    line: int
    kept_line: int


@dataclass(frozen=True)
class Run:
    """One load, over all the times that it was interrupted.

    `version` is the external version of its documents' writes before the row's position is added; later runs have
    higher ones. `index` is where it writes, `made_index` whether that is a new one. `last_writes` holds the highest
    _seq_no of each shard when the run began.
    """

    version: int
    index: str
    made_index: bool
    last_writes: Mapping[str, int]


def new_version() -> int:
    """Grows by the clock; fits the engine's 63 bits until the year 2248."""
    return int(time.time() * 1000) << VERSIONS_A_MILLISECOND


class Checkpoint:
    """A run's state. Its methods may be called from several threads.

    `identity` is what must be the same for a run to go on: sources, catalog, model, mode.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.lock = threading.Lock()
        self.batches_done: set[int] = set()
        self.account = Account()
        self.rejects_bytes = 0
        self.connection = sqlite3.connect(path or "", check_same_thread=False, isolation_level=None)
        self.connection.execute("PRAGMA journal_mode=WAL")
        self.connection.execute("PRAGMA synchronous=NORMAL")

    @classmethod
    def begin(cls, path: Path | None, identity: Mapping[str, Any], run: Run) -> Checkpoint:
        """A fresh one in place of what is there; without a path one that is gone when it is closed."""
        if path is not None:
            remove(path)
            path.parent.mkdir(parents=True, exist_ok=True)
        try:
            checkpoint = cls(path)
            checkpoint.connection.executescript(TABLES)
        except sqlite3.Error as error:
            raise CatalogError(f"no checkpoint can be kept in {path}: {error}") from None
        facts = {"layout": LAYOUT, "identity": identity, "run": asdict(run), "account": asdict(Account()), "rejects": 0}
        checkpoint.write_facts(facts)
        return checkpoint

    @classmethod
    def reopen(cls, path: Path) -> Checkpoint | None:
        """The one that an interrupted run left; None where there is none.

        Raises:
            CatalogError: it is damaged, or of another release.
        """
        if not path.exists():
            return None
        try:
            checkpoint = cls(path)
            if checkpoint.connection.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
                raise sqlite3.DatabaseError("its pages do not fit together")
            if checkpoint.fact("layout") != LAYOUT:
                raise sqlite3.DatabaseError("another release wrote it")
            checkpoint.account = Account(**checkpoint.fact("account"))
            checkpoint.rejects_bytes = checkpoint.fact("rejects")
            checkpoint.batches_done = {number for (number,) in checkpoint.connection.execute("SELECT * FROM batches")}
            for table in ("seen", "duplicates"):
                checkpoint.connection.execute(f"SELECT 1 FROM {table} LIMIT 1")
            checkpoint.run, checkpoint.identity  # noqa: B018  both must be readable
        except (sqlite3.Error, ValueError, TypeError, KeyError) as error:
            raise CatalogError(f"the checkpoint {path} is damaged ({error})") from None
        return checkpoint

    @property
    def run(self) -> Run:
        return Run(**self.fact("run"))

    def move_to(self, index: str) -> None:
        """The run goes on into another index, which holds what was written to the one before.

        A full load then removes nothing: what was written since the run began can't be told there.
        """
        with self.lock:
            run = Run(**json.loads(self.connection.execute("SELECT value FROM facts WHERE name = 'run'").fetchone()[0]))
            self.write_facts({"run": asdict(replace(run, index=index, last_writes={}))})

    @property
    def identity(self) -> dict[str, Any]:
        found: dict[str, Any] = self.fact("identity")
        return found

    def fact(self, name: str) -> Any:
        with self.lock:
            found = self.connection.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        if found is None:
            raise KeyError(name)
        return json.loads(found[0])

    def write_facts(self, facts: Mapping[str, Any]) -> None:
        values = [(name, json.dumps(value)) for name, value in facts.items()]
        self.connection.executemany("INSERT OR REPLACE INTO facts VALUES (?, ?)", values)

    def among(self, skus: Collection[str]) -> set[str]:
        """Those of the SKUs that a settled row of this run has."""
        with self.lock:
            return {sku for sku, *_ in self.rows_of(skus)}

    def position_of(self, sku: str) -> int:
        """The position of the settled row that has the SKU, 0 where none has."""
        with self.lock:
            return max((position for _, position, *_ in self.rows_of([sku])), default=0)

    def rows_of(self, skus: Iterable[str]) -> Iterator[tuple[Any, ...]]:
        """(SKU, position, line, outcome) of the settled rows."""
        left = iter(skus)
        while together := list(islice(left, ASKED_TOGETHER)):
            marks = ",".join("?" * len(together))
            yield from self.connection.execute(f"SELECT * FROM seen WHERE sku IN ({marks})", together)

    def settle(
        self,
        batch: int,
        read: int,
        rows: Sequence[Settled],
        duplicates: Sequence[Duplicate],
        embedded: int,
        newer: int,
        rejects_bytes: int,
        rejected: int,
        pictureless: int = 0,
    ) -> Account:
        """Records a batch whose every row is where it should be, in one transaction; returns the account so far.

        `duplicates` are rows that another of the same batch replaced; those over several batches are found here.
        """
        with self.lock:
            account = Account(**asdict(self.account))
            account.read += read
            account.rejected += rejected
            account.embedded += embedded
            account.newer += newer
            account.pictureless += pictureless
            account.duplicates += len(duplicates)
            before = {sku: found for sku, *found in self.rows_of(row.sku for row in rows)}
            lost = list(duplicates)
            kept = []
            for row in rows:
                position, line, outcome = before.get(row.sku, (0, 0, "rejected"))
                if row.outcome == "rejected":
                    if row.sku not in before:
                        kept.append(row)
                elif outcome == "rejected":
                    account.count(row.outcome)
                    kept.append(row)
                elif position < row.position:
                    account.count("indexed" if outcome == "indexed" else "unchanged", -1)
                    account.count(row.outcome)
                    account.duplicates += 1
                    lost.append(Duplicate(row.sku, line, row.line))
                    kept.append(row)
                else:
                    account.duplicates += 1
                    lost.append(Duplicate(row.sku, row.line, line))
            connection = self.connection
            connection.execute("BEGIN")
            try:
                connection.executemany("INSERT OR REPLACE INTO seen VALUES (?, ?, ?, ?)", kept)
                connection.executemany("INSERT INTO duplicates VALUES (?, ?, ?)", lost)
                connection.execute("INSERT OR IGNORE INTO batches VALUES (?)", (batch,))
                self.write_facts({"account": asdict(account), "rejects": rejects_bytes})
                connection.execute("COMMIT")
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            self.account, self.rejects_bytes = account, rejects_bytes
            self.batches_done.add(batch)
            return Account(**asdict(account))

    def duplicates(self, most: int) -> list[Duplicate]:
        with self.lock:
            found = self.connection.execute("SELECT * FROM duplicates ORDER BY line LIMIT ?", (most,)).fetchall()
        return [Duplicate(*row) for row in found]

    def close(self) -> None:
        with self.lock:
            self.connection.close()

    def finish(self) -> None:
        """Closes and removes it: the run is over."""
        self.close()
        if self.path is not None:
            remove(self.path)

    def __enter__(self) -> Checkpoint:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def remove(path: Path) -> None:
    for suffix in ("", "-wal", "-shm", "-journal"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
