"""What the steps of a move work with."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from prodsim.loaders.bulk.writer import BulkWriter
from prodsim.loaders.sync.asking import Asking
from prodsim.loaders.sync.moved import Moved
from prodsim.loaders.sync.sync import Route, Throttle, at_full_speed
from prodsim.loaders.target import Target
from prodsim.loaders.waiting import Waiting
from prodsim.plugin.shop import Shop

from .lease import FencedName, Lease
from .record import Operation, Tally

if TYPE_CHECKING:
    from opensearchpy import OpenSearch

PATIENCE_S = 600.0
RECORD_EVERY_S = 1.0

Say = Callable[[str], None]
Show = Callable[[Operation], None]


@dataclass(frozen=True)
class Move:
    """A move under a lease: `shop` for engine and embedder, `show` to tell how it stands, `say` for a line."""

    lease: Lease
    shop: Shop
    show: Show
    say: Say

    @property
    def client(self) -> OpenSearch:
        return self.shop.client

    @property
    def operation(self) -> Operation:
        return self.lease.operation

    @property
    def waiting(self) -> Waiting:
        return Waiting(PATIENCE_S, self.say, self.pause)

    def pause(self, seconds: float) -> None:
        """Sleeps, and raises LeaseLost where somebody took over."""
        self.lease.check()
        time.sleep(seconds)

    def target(self, index: str) -> Target:
        """The index with the model that the operation gives it."""
        operation = self.operation
        model = operation.source_model if index == operation.source else operation.model
        return Target(self.client, index, self.shop.embedder, model, self.shop.legs)

    @contextmanager
    def route(self, source: str, target: str, throttle: Throttle = at_full_speed) -> Iterator[Route]:
        """From one index to another that this lease writes to through its fence alias."""
        self.lease.adopt(target)
        writer = BulkWriter(
            self.client,
            target,
            say=self.say,
            give_up_after_s=PATIENCE_S,
            pause=self.pause,
            through=FencedName(self.lease, target),
            first=True,
        )
        with writer, Asking(self.client) as asking:
            yield Route(source, self.target(target), writer, asking, self.waiting, throttle)


class Recorder:
    """Keeps checkpoints (the operation's field of that name) and the tally in the state document, every second."""

    def __init__(self, move: Move, checkpoints: str) -> None:
        self._move = move
        self._field = checkpoints
        self._tally = move.operation.tally
        self._checkpoints: Mapping[str, int] = getattr(move.operation, checkpoints)
        self._recorded_at = 0.0

    def __call__(self, checkpoints: Mapping[str, int], moved: Moved) -> None:
        self._checkpoints = checkpoints
        self._tally = with_moved(self._tally, moved)
        if time.monotonic() - self._recorded_at >= RECORD_EVERY_S:
            self.record()

    def record(self) -> None:
        operation = self._move.lease.update(**{self._field: dict(self._checkpoints), "tally": self._tally})
        self._recorded_at = time.monotonic()
        self._move.show(operation)


def with_moved(tally: Tally, moved: Moved) -> Tally:
    return replace(
        tally,
        copied=tally.copied + moved.copied,
        embedded=tally.embedded + moved.embedded,
        unembedded=tally.unembedded + moved.unembedded,
        removed=tally.removed + moved.removed,
        kept=tally.kept + moved.kept,
    )
