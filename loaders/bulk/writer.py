"""Bulk writing with an account of every document.

opensearch-py's own helpers abort at the first bad document, send NaN as it is, and retry neither timeouts nor 503.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Self
from urllib.parse import quote

from prodsim.plugin.errors import EngineError

from .bulk_answer import NOT_OPENSEARCH, NOT_THERE, Verdict, judge_answer, judge_exception
from .bulk_request import connections_like, parameters, post_bulk, request_body, size_bytes
from .pacing import MIB, BytesInFlight, RequestSize
from .patience import Patience, Tries
from .write_alias import WriteAlias, WrittenThrough
from .writes import Done, UnwritableDocument, Write, index_write

if TYPE_CHECKING:
    from opensearchpy import OpenSearch

__all__ = ["BulkWriter", "Done", "Statistics", "UnwritableDocument", "Write", "index_write"]

MAX_BYTES_IN_FLIGHT = 32 * MIB
GIVE_UP_AFTER_S = 600.0
A_FEW_TIMES = 5


@dataclass(frozen=True, slots=True)
class Statistics:
    """What a writer did so far: requests (of them `retries` with writes that had failed before), bytes sent, and for
    how many seconds nothing went through."""

    requests: int
    retries: int
    bytes: int
    waited_s: float


@dataclass(slots=True)
class Item:
    """A write that is not settled: its place among its caller's, and how its earlier tries went."""

    place: int
    write: Write
    failures: int = 0
    uncertain: bool = False


class BulkWriter:
    """Writes to one index. Several threads may call `write` at once: that is how requests get under way side by side.

    The engine is never asked to make the index: writes go through an alias that is removed by `close`
    (`prodsim.loaders.bulk.write_alias`).
    """

    def __init__(
        self,
        client: OpenSearch,
        index: str,
        *,
        max_bytes_in_flight: int = MAX_BYTES_IN_FLIGHT,
        say: Callable[[str], None] = lambda line: None,
        give_up_after_s: float = GIVE_UP_AFTER_S,
        pause: Callable[[float], object] | None = None,
        through: WrittenThrough | None = None,
        first: bool = False,
    ) -> None:
        """`say` gets one line when the engine keeps writes waiting, from whichever thread notices.

        `give_up_after_s` is how long one caller's writes may make no progress; six times that for a full disk. `pause`
        waits for so many seconds between tries; what it raises ends the `write` that it was called for. `through` is
        another name to write through than `write_alias`. With `first` writes go through where others are kept waiting
        (`prodsim.plugin.moving.hold`).
        """
        self._index = index
        self._transport = connections_like(client)
        self._alias = through or WriteAlias(client, index)
        self._parameters = parameters(first=first)
        self._path = f"/{quote(self._alias.name)}/_bulk"
        self._size = RequestSize()
        self._in_flight = BytesInFlight(max_bytes_in_flight)
        self._patience = Patience(index, say, give_up_after_s, pause)
        self._lock = threading.Lock()
        self._end: EngineError | None = None
        self._requests = self._retries = self._bytes = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def statistics(self) -> Statistics:
        with self._lock:
            return Statistics(self._requests, self._retries, self._bytes, self._patience.waited_s)

    def stop(self) -> None:
        """Makes every `write` that waits, or is called from now on, raise EngineError soon."""
        self._stop_with(EngineError(f"writing to {self._index} was stopped"))

    def close(self) -> None:
        self.stop()
        self._alias.remove()
        self._transport.close()

    def write(self, writes: Sequence[Write]) -> list[Done]:
        """What became of each write, in their order; returns when all are settled.

        The same SKU may come twice only where the later one has a higher version.

        Raises:
            EngineUnreachable: OpenSearch stayed away for too long.
            EngineError: the index is missing, closed or blocked, this user may not write to it, or OpenSearch took no
                writes for too long. One thread's error ends the writes of all.
        """
        settled: dict[int, Done] = {}
        tries = Tries(self._patience)
        groups = deque([[Item(place, write) for place, write in enumerate(writes)]])
        try:
            while groups:
                batch, rest = cut(groups.popleft(), self._size.bytes)
                if rest:
                    groups.appendleft(rest)
                if batch:
                    groups.extendleft(self._settle(batch, settled, tries))
        except EngineError as error:
            self._stop_with(error)
            raise
        return [settled[place] for place in range(len(writes))]

    def _settle(self, batch: list[Item], settled: dict[int, Done], tries: Tries) -> list[list[Item]]:
        """One try; what has to be tried again, last group first."""
        began = time.monotonic()
        verdicts = self._send(batch)
        if len(batch) > 1 and verdicts[0].fate == "smaller":
            middle = len(batch) // 2
            return [batch[middle:], batch[:middle]]
        left: list[Item] = []
        causes: list[Verdict] = []
        for item, verdict in zip(batch, verdicts, strict=True):
            done = self._judge(item, verdict)
            if done is None:
                left.append(item)
                causes.append(verdict)
            else:
                settled[item.place] = done
        if len(left) < len(batch):
            tries.progressed()
        if not left:
            return []
        tries.failed(worst(causes), began)
        return [left]

    def _judge(self, item: Item, verdict: Verdict) -> Done | None:
        """What became of the write; None where it has to be tried again."""
        item.failures += 1
        item.uncertain |= verdict.uncertain
        match verdict.fate:
            case "stop":
                raise EngineError(f"writing to {self._index}: {verdict.message}")
            case "no_alias":
                self._alias.lost()
                return None
            case "again":
                return None
            case "again_a_few_times" if item.failures < A_FEW_TIMES:
                return None
            case "missing" | "superseded" if item.uncertain and is_gone(item.write, verdict):
                return Done(item.write.sku, "written")  # by the try whose answer was lost, or by someone else
            case "written" | "superseded" | "missing" as status:
                return Done(item.write.sku, status, verdict.code, verdict.message)
        message = verdict.message
        if verdict.code == "too_large":
            message = f"its {size_bytes(item.write):,} bytes are too many, even alone: {message}"
        return Done(item.write.sku, "refused", verdict.code, message)

    def _send(self, batch: Sequence[Item]) -> list[Verdict]:
        """One request; a verdict on each of its writes."""
        from opensearchpy.exceptions import TransportError

        writes = [item.write for item in batch]
        body = request_body(writes)
        with self._in_flight.room(len(body), self._check):
            self._check()
            began = time.monotonic()
            try:
                self._alias.put()
                with self._lock:
                    self._requests += 1
                    self._retries += any(item.failures for item in batch)
                    self._bytes += len(body)
                began = time.monotonic()
                verdicts = judge_answer(post_bulk(self._transport, self._path, body, self._parameters), writes)
            except TransportError as error:
                verdicts = [judge_exception(error)] * len(batch)
            except ValueError:
                verdicts = [NOT_OPENSEARCH] * len(batch)
            took_s = time.monotonic() - began
        self._pace(verdicts, len(body), took_s)
        return verdicts

    def _pace(self, verdicts: Sequence[Verdict], body_bytes: int, took_s: float) -> None:
        if any(verdict.trouble == "busy" for verdict in verdicts) or verdicts[0].code == "no_connection":
            self._size.overloaded()  # a proxy may close the connection instead of answering 413
        elif verdicts[0].code == "too_large":
            self._size.refused(body_bytes)
        elif verdicts[0].trouble == "":
            self._size.answered(body_bytes, took_s)

    def _check(self) -> None:
        if self._end is not None:
            raise self._end

    def _stop_with(self, error: EngineError) -> None:
        with self._lock:
            self._end = self._end or error
        self._patience.stop()


def cut(items: list[Item], limit_bytes: int) -> tuple[list[Item], list[Item]]:
    """The first items that fit into so many bytes, one at least, and the rest."""
    total_bytes = 0
    for count, item in enumerate(items):
        total_bytes += size_bytes(item.write)
        if count and total_bytes > limit_bytes:
            return items[:count], items[count:]
    return items, []


def is_gone(write: Write, verdict: Verdict) -> bool:
    """Whether a delete had nothing to delete."""
    return write.action == "delete" and (verdict.fate == "missing" or NOT_THERE in verdict.message)


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """The one that is waited for the longest."""
    return max(verdicts, key=lambda verdict: ("", "busy", "away", "disk").index(verdict.trouble))
