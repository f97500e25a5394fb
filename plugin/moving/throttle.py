"""How fast a move goes: as fast as it may, and slower while it makes the shop's queries slow."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from prodsim.loaders.sync.changes import STATISTICS_GROUP
from prodsim.plugin.client import engine_errors
from prodsim.plugin.errors import EngineError

if TYPE_CHECKING:
    from opensearchpy import OpenSearch

LOOK_EVERY_S = 1.0
CALM_S = 2.0
TELLING_QUERIES = 5  # fewer say nothing of how long they take
TOO_SLOW, FINE = 1.25, 1.1  # times as long as in calm
LONGEST_REST = 0.95
FASTER, SLOWER = 0.05, 0.2


@dataclass(frozen=True)
class Queries:
    """Of the shop, not of the move: how many, and the milliseconds that shards took for them."""

    count: int
    total_ms: int

    def mean_ms_since(self, before: Queries) -> float | None:
        """None where they are too few to tell."""
        count = self.count - before.count
        return (self.total_ms - before.total_ms) / count if count >= TELLING_QUERIES else None


def queries_of(client: OpenSearch, index: str) -> Queries:
    with engine_errors(f"reading how long queries of {index} take"):
        answer = client.indices.stats(index=index, metric="search", params={"groups": STATISTICS_GROUP})
    search = answer["indices"][index]["total"]["search"]
    ours = search.get("groups", {}).get(STATISTICS_GROUP, {})
    return Queries(
        search["query_total"] - ours.get("query_total", 0),
        search["query_time_in_millis"] - ours.get("query_time_in_millis", 0),
    )


class Throttle:
    """Called with the number of documents that are about to be copied; returns when they may be.

    `max_docs_per_s` 0 is unlimited. With `adapt` it rests for a share of the time that grows while the queries of
    `index` take longer than before the move. `check` is called while it waits, and may raise.
    """

    def __init__(
        self,
        client: OpenSearch,
        index: str,
        max_docs_per_s: float,
        adapt: bool,
        say: Callable[[str], None],
        check: Callable[[], None],
    ) -> None:
        self.max_docs_per_s = max_docs_per_s
        self.rest = 0.0
        self.slowdown: float | None = None
        self._client, self._index = client, index
        self._say, self._check = say, check
        self._lock = threading.Lock()
        self._free_at = self._called_at = self._looked_at = time.monotonic()
        self._said = False
        self._before: Queries | None = None
        self._calm_ms: float | None = None
        if adapt:
            self._look_at_calm()

    def __call__(self, documents: int) -> None:
        with self._lock:
            self._look()
            now = time.monotonic()
            worked_s = max(0.0, now - self._called_at)
            if self.max_docs_per_s:
                self._free_at = max(self._free_at, now - 1.0) + documents / self.max_docs_per_s
            pause_s = max(self._free_at - now, worked_s * self.rest / (1 - self.rest))
            self._wait(min(pause_s, 60.0))
            self._called_at = time.monotonic()

    def _wait(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left_s := until - time.monotonic()) > 0:
            self._check()
            time.sleep(min(left_s, 1.0))

    def _look_at_calm(self) -> None:
        with suppress(EngineError):
            self._before = queries_of(self._client, self._index)
            self._wait(CALM_S)
            now = queries_of(self._client, self._index)
            self._calm_ms = now.mean_ms_since(self._before)
            self._before = now

    def _look(self) -> None:
        if not self._calm_ms or time.monotonic() - self._looked_at < LOOK_EVERY_S:
            return
        self._looked_at = time.monotonic()
        with suppress(EngineError):  # what writes will tell of it, and wait
            now = queries_of(self._client, self._index)
            mean_ms = now.mean_ms_since(self._before) if self._before else None
            if mean_ms is None:
                return
            self._before = now
            self.slowdown = mean_ms / max(0.1, self._calm_ms)
            self._settle(self.slowdown)

    def _settle(self, slowdown: float) -> None:
        if slowdown > TOO_SLOW:
            if self.rest >= LONGEST_REST and not self._said:
                self._said = True
                self._say(
                    f"queries of {self._index} take {slowdown:.1f} times as long as before the move, though it rests "
                    f"{self.rest:.0%} of the time: the cluster has too little to spare for it, or the load has grown"
                )
            self.rest = min(LONGEST_REST, self.rest + SLOWER)
        elif slowdown < FINE:
            self.rest = max(0.0, self.rest - FASTER)
