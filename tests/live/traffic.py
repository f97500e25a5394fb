"""Four writers and four readers on one alias, for as long as a block lasts."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Self

from tests.live.ledger import Ledger
from tests.live.readers import Reader, all_of, percentile
from tests.live.writers import Writer

if TYPE_CHECKING:
    from opensearchpy import OpenSearch

WRITERS = READERS = 4
LONGEST_PAUSE_S = 2.0


class Traffic:
    """Writers share the SKUs of the ledger among them, but for those that are called anchor."""

    def __init__(
        self,
        client: OpenSearch,
        alias: str,
        ledger: Ledger,
        seed: int,
        writes_per_s: float = 8.0,
        reads_per_s: float = 8.0,
    ) -> None:
        self.alias, self.ledger, self.seed = alias, ledger, seed
        skus = sorted(sku for sku in ledger.products if not sku.startswith("anchor"))
        self.writers = [
            Writer(client, alias, ledger, f"writer-{n}", skus[n::WRITERS], seed, writes_per_s / WRITERS)
            for n in range(WRITERS)
        ]
        self.readers = [Reader(client, alias, f"reader-{n}", seed, reads_per_s / READERS) for n in range(READERS)]

    def __enter__(self) -> Self:
        for thread in (*self.writers, *self.readers):
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for worker in self.writers:
            worker.ending.set()
        for reader in self.readers:
            reader.ending.set()
        for thread in (*self.writers, *self.readers):
            thread.join(240)
            assert not thread.is_alive(), f"{thread.name} does not end"

    @property
    def writes(self) -> int:
        return sum(writer.seen.writes for writer in self.writers)

    def describe(self) -> dict[str, float | int | list[str]]:
        """The figures of a run, for its report."""
        times = list(all_of(self.readers, "times_s"))
        pauses = [pause for writer in self.writers for pause in writer.seen.pauses]
        return {
            "seed": self.seed,
            "writes": self.writes,
            "pauses": len(pauses),
            "longest_pause_s": round(max((lasted for lasted, _ in pauses), default=0.0), 3),
            "slowest_write_s": round(max(writer.seen.slowest_s for writer in self.writers), 3),
            "reads": len(times),
            "read_p50_ms": round(1000 * percentile(times, 0.5), 1),
            "read_p95_ms": round(1000 * percentile(times, 0.95), 1),
            "indexes": sorted({name for reader in self.readers for name in reader.read.indexes}),
        }

    def problems(self, longest_pause_s: float = LONGEST_PAUSE_S) -> list[str]:
        """Whatever customers or services should not have seen."""
        found = [error for writer in self.writers for error in writer.seen.errors]
        for writer in self.writers:
            found += [f"{lasted:.2f} s: {why}" for lasted, why in writer.seen.pauses if lasted > longest_pause_s]
        for what in ("errors", "empty", "mixed"):
            found += [f"{what}: {problem}" for problem in all_of(self.readers, what)]
        return found
