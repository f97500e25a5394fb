"""`sync(source, target)`: the target gets what changed in the source, round after round, until they are the same.

Only for a target that nobody else writes to. What was under way when writers moved over to it is `late`'s.

- Each document is written with the source's version as external version. So an older load that comes later is refused
  in the target as it was in the source, and a request that arrives late, after a newer one, changes nothing.
- A product that was deleted and made anew has a lower version than the target's where the engine forgot the deletion
  (`index.gc_deletes`, 60 s): the target's is then written over under its _seq_no.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from prodsim.loaders.bulk.writer import BulkWriter, Done, Write
from prodsim.loaders.target import Target
from prodsim.loaders.waiting import Waiting
from prodsim.mappings.vector_fields import VECTOR_PREFIXES
from prodsim.plugin.client import engine_errors
from prodsim.plugin.errors import EngineError

from .asking import Asking, as_line
from .changes import Changed, Checkpoints, Page, Stand, changed_since, refresh, stands
from .documents import fitted, fitted_without_embedding
from .moved import Moved
from .removals import held, not_in

UNDER_WAY = 3  # pages that are embedded and written while the next is read
OVERRULED_TRIES = 5

Settled = Callable[[Checkpoints, Moved], None]
Throttle = Callable[[int], None]


def at_full_speed(documents: int) -> None:
    """The throttle that never waits."""


@dataclass(frozen=True)
class Route:
    """From where to where, and with what. `writer` writes to the target, `asking` reads from both."""

    source: str
    target: Target
    writer: BulkWriter
    asking: Asking
    waiting: Waiting
    throttle: Throttle = at_full_speed

    def mapped_vectors(self) -> frozenset[str]:
        """The vector fields that the target's mapping has."""
        return self.waiting.outlast(lambda: vector_fields(self.target))


def vector_fields(target: Target) -> frozenset[str]:
    with engine_errors(f"reading the mapping of {target.index}"):
        mapping = target.client.indices.get_mapping(index=target.index)[target.index]["mappings"]
    return frozenset(name for name in mapping.get("properties", {}) if name.startswith(VECTOR_PREFIXES))


class Sync:
    """Rounds of copying. `checkpoints` is how far the source is copied, `settled` is told after every page.

    With `embeds` False a document whose vector does not fit goes without: `stale.mend` gives it one later.
    """

    def __init__(self, route: Route, checkpoints: Checkpoints, settled: Settled, *, embeds: bool = True) -> None:
        self.route = route
        self.embeds = embeds
        self.checkpoints = dict(checkpoints)
        self.settled = settled
        self.mapped = route.mapped_vectors()

    def stands(self) -> dict[str, Stand]:
        return self.route.waiting.outlast(lambda: stands(self.route.target.client, self.route.source))

    def round(self) -> Moved:
        """Copies all that was written before this call and not copied yet."""
        route = self.route
        upto = {shard: stand.checkpoint for shard, stand in self.stands().items()}  # before the refresh: all is in it
        route.waiting.outlast(lambda: refresh(route.target.client, route.source))
        pages = changed_since(route.asking, route.source, self.checkpoints, upto)
        return settle_in_order(self.patient(pages), self.copy, self.settle)

    def patient(self, pages: Iterable[Page]) -> Iterable[Page]:
        for page in pages:
            self.route.throttle(len(page.documents))
            yield page

    def settle(self, page: Page, moved: Moved) -> None:
        self.checkpoints[page.shard] = page.upto
        self.settled(dict(self.checkpoints), moved)

    def copy(self, page: Page) -> Moved:
        """Writes a page to the target."""
        if not page.documents:
            return Moved()
        fit = fitted if self.embeds else fitted_without_embedding
        ready = fit(page.documents, self.route.target, self.mapped, self.route.waiting)
        bodies = {one.sku: as_line(body) for one, body in zip(page.documents, ready.documents, strict=True)}
        writes = [Write("index", one.sku, bodies[one.sku], one.version) for one in page.documents]
        outcomes = self.route.writer.write(writes)
        behind = [done.sku for done in outcomes if done.status == "superseded"]
        check_taken(self.route, outcomes)
        if behind:
            overrule(self.route, {sku: bodies[sku] for sku in behind})
        return Moved(copied=len(writes), embedded=ready.embedded, unembedded=ready.unembedded)

    def remove_gone(self, upto: Checkpoints | None = None) -> Moved:
        """Deletes from the target what the source does not hold any more, as far as it was last written at or below
        the _seq_no that `upto` names for its shard; all that is there now, where that is None.

        A product that is made anew meanwhile comes with the next round.
        """
        route = self.route
        target = route.target
        if upto is None:
            now = route.waiting.outlast(lambda: stands(target.client, target.index))
            upto = {shard: stand.highest for shard, stand in now.items()}
        route.waiting.outlast(lambda: refresh(target.client, target.index))
        moved = Moved()
        for gone in not_in(route.asking, target.index, route.source, upto):
            moved += delete_seen(route.writer, gone)
        self.settled(dict(self.checkpoints), moved)
        return moved


def delete_seen(writer: BulkWriter, gone: list[Changed]) -> Moved:
    """Deletes the documents as far as nobody wrote them since they were looked at."""
    done = writer.write([Write("delete", one.sku, b"", seen_at=one.seen_at) for one in gone])
    return Moved(removed=sum(one.status == "written" for one in done))


def overrule(route: Route, bodies: dict[str, bytes]) -> None:
    """Writes documents whose version is below the target's."""
    left = dict(bodies)
    for _ in range(OVERRULED_TRIES):
        skus = list(left)
        there = route.waiting.outlast(partial(held, route.asking, route.target.index, skus))
        outcomes = route.writer.write([Write("index", sku, body, seen_at=there.get(sku)) for sku, body in left.items()])
        check_taken(route, outcomes)
        left = {done.sku: left[done.sku] for done in outcomes if done.status == "superseded"}
        if not left:
            return
    raise EngineError(
        f"somebody else writes to {route.target.index} ({', '.join(sorted(left)[:3])}): "
        "nothing but prodsim may, before the alias points at it"
    )


def check_taken(route: Route, outcomes: Iterable[Done]) -> None:
    """Raises EngineError where the target refuses a document that the source holds."""
    for done in outcomes:
        if done.status == "refused":
            raise EngineError(f"{route.target.index} refuses product {done.sku} of {route.source}: {done.message}")


def settle_in_order(
    pages: Iterable[Page], work: Callable[[Page], Moved], settle: Callable[[Page, Moved], None]
) -> Moved:
    """Works on several pages at a time and settles them in their order; the sum of what was done."""
    total = Moved()
    flights: deque[tuple[Page, Future[Moved]]] = deque()
    lock = threading.Lock()
    pool = ThreadPoolExecutor(UNDER_WAY, thread_name_prefix="sync")

    def land() -> None:
        nonlocal total
        page, flight = flights.popleft()
        moved = flight.result()
        with lock:
            total += moved
        settle(page, moved)

    try:
        for page in pages:
            flights.append((page, pool.submit(work, page)))
            while flights and (len(flights) > UNDER_WAY or flights[0][1].done()):
                land()
        while flights:
            land()
    finally:
        pool.shutdown(cancel_futures=True)
    return total
