"""From rows to products in an index: batch after batch, several at a time, with an account that adds up."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace

from prodsim.embedder.client import part_of_run, span
from prodsim.plugin.errors import CatalogError

from .account import Account
from .batch import BATCH_ROWS, Batch, Row, in_batches, prepared
from .bulk.write_alias import WriteAlias
from .bulk.writer import GIVE_UP_AFTER_S, BulkWriter
from .checkpoint import Checkpoint, Settled
from .journey import TRAVEL, UPDATABLE, Arrived, Mode, Road
from .preparing.catalog import Catalog, checked_rows
from .preparing.catalog_spec import FieldSpec
from .reading.readers import Source
from .rejects import RejectsFile
from .target import Target
from .waiting import Waiting

__all__ = ["Account", "Limit", "Options", "Report", "Target", "load_rows"]

log = logging.getLogger("prodsim.load")
UNDER_WAY = 3  # batches: one is embedded while others are looked up and written
TELLING_ROWS = 1_000  # before so many rows a share of rejects says little


@dataclass(frozen=True)
class Limit:
    """So many, or such a share of all."""

    count: int | None = None
    share: float | None = None

    def exceeded(self, found: int, of: int) -> bool:
        if self.count is not None:
            return found > self.count
        return self.share is not None and of > 0 and found / of > self.share

    def __str__(self) -> str:
        return f"{self.count:,}" if self.count is not None else f"{(self.share or 0) * 100:g} %"


@dataclass(frozen=True)
class Options:
    """How rows are loaded.

    `only` are the fields of an update. `max_rejects` ends a load early, `max_delete_share` is the share of a catalog
    that a full load may remove. `patience_s` is how long an engine or embedder that is away is waited for.
    """

    mode: Mode = "upsert"
    only: tuple[str, ...] = ("price", "stock")
    max_rejects: Limit | None = None
    max_delete_share: float = 0.1
    patience_s: float = GIVE_UP_AFTER_S


@dataclass
class Report:
    """How it stands, for those who watch: the account, and how far the source was read (0 to 1, None if unknown)."""

    account: Account = field(default_factory=Account)
    share_read: float | None = None


class Interrupted(Exception):
    """The load is ending: what waits stops waiting."""


Progress = Callable[[Report], None]
Say = Callable[[str], None]


def load_rows(
    sources: Iterable[Source],
    catalog: Catalog,
    target: Target,
    rejects: RejectsFile,
    checkpoint: Checkpoint,
    options: Options,
    progress: Progress = lambda report: None,
    say: Say = lambda line: None,
    size_bytes: int | None = None,
) -> Account:
    """Loads the rows of all sources, the last row of a SKU wins, and returns where each went.

    `size_bytes` is that of all sources, for those who watch. Every batch is settled in this order: its rejects are on
    disk, its writes are acknowledged, its checkpoint is on disk. Batches that the checkpoint has are passed over.

    Raises:
        CatalogError: a column that the catalog reads is missing, the source breaks off, or too many rows are rejected.
        EmbedderError: no vectors to be had. EngineError: the engine does not take writes.
    """
    return Load(catalog_for(catalog, options), target, rejects, checkpoint, options, progress, say).run(
        sources, size_bytes
    )


def catalog_for(catalog: Catalog, options: Options) -> Catalog:
    """The catalog as far as the mode reads it: updates and deletes need no title."""
    if options.mode in ("upsert", "full"):
        return catalog
    unknown = [name for name in options.only if name not in UPDATABLE]
    if unknown:
        raise CatalogError(f"{', '.join(unknown)} can't be updated alone: load whole products, or name {UPDATABLE}")
    read = ("sku", *(options.only if options.mode == "update" else ()))
    fields = {name: spec for name, spec in catalog.fields.items() if name in read}
    return replace(catalog, fields={**fields, "title": FieldSpec(value="-")}, attributes={})


class Load:
    """A load under way."""

    def __init__(
        self,
        catalog: Catalog,
        target: Target,
        rejects: RejectsFile,
        checkpoint: Checkpoint,
        options: Options,
        progress: Progress,
        say: Say,
    ) -> None:
        self.catalog = catalog
        self.rejects = rejects
        self.checkpoint = checkpoint
        self.options = options
        self.progress = progress
        self.report = Report(checkpoint.account)
        self.ending = threading.Event()
        self.settling = threading.Lock()
        self.under_way: Counter[str] = Counter()  # SKUs of batches that are not settled
        waiting = Waiting(options.patience_s, say, self.pause)
        writer = BulkWriter(
            target.client,
            target.index,
            say=say,
            give_up_after_s=options.patience_s,
            pause=self.pause,
            through=WriteAlias(target.client, target.index, target.behind),
        )
        self.road = Road(target, writer, waiting, checkpoint.run.version, options.only)

    def pause(self, seconds: float) -> None:
        if self.ending.wait(seconds):
            raise Interrupted

    def run(self, sources: Iterable[Source], size_bytes: int | None) -> Account:
        flights: set[Future[None]] = set()
        pool = ThreadPoolExecutor(UNDER_WAY, thread_name_prefix="load")
        self.progress(self.report)
        try:
            for batch, again in self.batches(sources, size_bytes):
                while len(flights) >= UNDER_WAY:
                    flights = self.landed(flights)
                flights.add(pool.submit(self.travel, batch, again))
            while flights:
                flights = self.landed(flights)
        finally:
            self.ending.set()
            pool.shutdown(cancel_futures=True)
            self.road.writer.close()
        self.check_rejects(at_end=True)
        return self.report.account

    def landed(self, flights: set[Future[None]]) -> set[Future[None]]:
        """Those still under way, once one more has ended; raises what went wrong in one."""
        ended, flying = wait(flights, timeout=0.5, return_when=FIRST_COMPLETED)
        for flight in ended:
            flight.result()
        self.check_rejects()
        return flying

    def batches(self, sources: Iterable[Source], size_bytes: int | None) -> Iterator[tuple[Batch, set[str]]]:
        """Batches that are still to do, and which of their SKUs an earlier row of this run has."""
        for number, rows in in_batches(self.rows(sources, size_bytes)):
            if number in self.checkpoint.batches_done:
                continue
            batch = prepared(number, rows, self.catalog.prepare, self.catalog.sku_of)
            with self.settling:
                again = {sku for sku in batch.products if self.under_way[sku]}
                self.under_way.update(batch.products.keys())
            again |= self.checkpoint.among(batch.products.keys())
            yield batch, again

    def rows(self, sources: Iterable[Source], size_bytes: int | None) -> Iterator[Row]:
        position = bytes_before = 0
        for source in sources:
            for content in checked_rows(self.catalog, source):
                position += 1
                yield Row(source.name, position, content)
                if size_bytes and position % BATCH_ROWS == 0:
                    self.report.share_read = (bytes_before + (source.position_bytes() or 0)) / size_bytes
            bytes_before += source.position_bytes() or 0

    def travel(self, batch: Batch, again: set[str]) -> None:
        products = list(batch.products.values())
        name = f"batch-{batch.number}"
        with part_of_run(name), span("load batch", batch=batch.number, products=len(products)):
            arrived = TRAVEL[self.options.mode](self.road, products, again) if products else Arrived()
        log.info("batch", extra={"details": {"batch": batch.number, "rows": batch.read, "embedded": arrived.embedded}})
        if self.ending.is_set():
            raise Interrupted
        self.settle(batch, arrived)

    def settle(self, batch: Batch, arrived: Arrived) -> None:
        refused = [*batch.rejects, *arrived.rejects]
        settled = [
            Settled(sku, product.row.position, product.row.line, arrived.outcomes[sku])
            for sku, product in batch.products.items()
            if sku in arrived.outcomes
        ]
        settled += [Settled(r.sku, r.row.position, r.row.line, "rejected") for r in refused if r.sku is not None]
        with self.settling:
            for reject in refused:
                self.rejects.reject(reject.row.source, reject.row.content, reject.problems, reject.sku)
            self.rejects.flush()
            self.under_way.subtract(batch.products.keys())
            self.under_way += Counter()  # drops what is at zero
            newer = sum(1 for sku in arrived.superseded if not self.later_row(sku, batch.products[sku].row.position))
            self.report.account = self.checkpoint.settle(
                batch.number,
                batch.read,
                settled,
                batch.duplicates,
                arrived.embedded,
                newer,
                self.rejects.size_bytes,
                len(refused),
                arrived.pictureless,
            )
            self.progress(self.report)

    def later_row(self, sku: str, position: int) -> bool:
        """Whether a later row of this run has the SKU, which then is what was written over this one."""
        return self.under_way[sku] > 0 or self.checkpoint.position_of(sku) > position

    def check_rejects(self, at_end: bool = False) -> None:
        limit, account = self.options.max_rejects, self.report.account
        if limit is None or (limit.count is None and account.read < TELLING_ROWS and not at_end):
            return
        if limit.exceeded(account.rejected, account.read):
            raise TooManyRejects(
                f"{account.rejected:,} of {account.read:,} rows were rejected, more than --max-rejects {limit}: "
                f"stopped; see {self.rejects.path}"
            )


class TooManyRejects(CatalogError):
    """A load that goes wrong as a whole."""
