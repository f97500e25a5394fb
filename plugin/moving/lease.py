"""Who may move a catalog now, and how a late one is kept out.

The lease is a field of the state document: its owner renews it, and every change of the document is a compare-and-set.
That alone does not stop a process that was paused in the middle of a write. So the owner writes to the index that it
fills through an alias that carries the fence number (`products-000008-MOVE-7`), and whoever takes over replaces that
alias by its own in one `_aliases` call: the engine refuses what the paused one sends afterwards, the swap included.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from prodsim.loaders.bulk.write_alias import FENCE_SUFFIX, fence_alias
from prodsim.plugin.client import engine_errors
from prodsim.plugin.errors import EngineBusy, EngineError, EngineUnreachable, LeaseHeld, LeaseLost

from . import store
from .record import Operation, Owner
from .store import Changed, Stored

if TYPE_CHECKING:
    from opensearchpy import OpenSearch

LEASE_S = float(os.environ.get("PRODSIM_LEASE_S", "30"))
RENEWALS = 3  # in the time of one lease
PATIENCE_S = 600.0
AGAIN_AFTER_S = 1.0
ADOPTIONS = 5  # tries to get the fence alias, against others who want it


def held_by_other(operation: Operation) -> bool:
    """Whether a process that may be alive holds the lease."""
    owner = operation.owner
    if owner is None or time.time() >= operation.expires_at:
        return False
    return not (owner.host == socket.gethostname() and is_dead(owner.pid))


def is_dead(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def take(client: OpenSearch, alias: str, plan: Callable[[Operation | None], Operation], wait_s: float = 0.0) -> Lease:
    """The lease on the alias, for the operation that `plan` makes of the recorded one (None where there is none).

    `plan` raises where it can't be done. `wait_s` is how long a lease of somebody else is waited for.

    Raises:
        LeaseHeld: somebody else has it, for longer than that.
    """
    deadline = time.monotonic() + wait_s
    while True:
        before = store.find(client, alias)
        if before is not None and held_by_other(before.operation):
            if time.monotonic() >= deadline:
                raise LeaseHeld(told_held(before.operation))
            time.sleep(min(1.0, max(0.05, deadline - time.monotonic())))
            continue
        operation = plan(before.operation if before else None)
        fence = max(operation.fence, before.operation.fence if before else 0) + 1
        operation = replace(operation, fence=fence, owner=Owner.this_process(), expires_at=time.time() + LEASE_S)
        with suppress(Changed):
            return Lease(client, store.put(client, operation, before))


def told_held(operation: Operation) -> str:
    left_s = max(0.0, operation.expires_at - time.time())
    return (
        f"{operation.alias} is being moved from {operation.source} to {operation.target} ({operation.phase}) by "
        f"{operation.owner}, whose lease runs for {left_s:.0f} s more unless it is renewed: wait for it, or stop it"
    )


class Lease:
    """Held from `take` to `close`. Used as a context it is renewed by a thread of its own meanwhile."""

    def __init__(self, client: OpenSearch, stored: Stored) -> None:
        self.client = client
        self._stored = stored
        self._renewed_at = time.monotonic()
        self._lock = threading.RLock()
        self._lost: LeaseLost | None = None
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def operation(self) -> Operation:
        return self._stored.operation

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._renew, name="lease", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Gives the lease back, best effort: one that is not given back runs out."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join()
        with suppress(EngineError):
            self._update({"owner": None, "expires_at": 0.0}, 0.0)

    def update(self, **changes: Any) -> Operation:
        """Records changes of the operation (fields of `Operation`), and renews the lease.

        Raises:
            LeaseLost: somebody took over. EngineUnreachable, EngineBusy: for longer than PATIENCE_S.
        """
        return self._update(changes, PATIENCE_S)

    def _update(self, changes: Mapping[str, Any], patience_s: float) -> Operation:
        deadline = time.monotonic() + patience_s
        with self._lock:
            while True:
                if self._lost is not None:
                    raise self._lost
                renewed = {"expires_at": time.time() + LEASE_S, **changes}
                operation = replace(self.operation, **renewed)
                try:
                    self._put(operation)
                    break
                except (EngineUnreachable, EngineBusy):
                    if time.monotonic() > deadline:
                        raise
                    time.sleep(AGAIN_AFTER_S)
            self._renewed_at = time.monotonic()
            return self.operation

    def _put(self, operation: Operation) -> None:
        try:
            self._stored = store.put(self.client, operation, self._stored)
        except Changed:
            self._recover(operation)

    def check(self) -> None:
        """To be called before anything that the fence does not guard.

        Raises:
            LeaseLost: somebody took over.
        """
        if self._lost is not None:
            raise self._lost
        if time.monotonic() - self._renewed_at > LEASE_S / RENEWALS * 2:
            self.update()

    def adopt(self, index: str) -> None:
        """Makes the alias that this lease writes to the index through, in the place of all earlier ones.

        Raises:
            LeaseLost: a later owner's is there.
        """
        mine = self.fenced_name(index)
        for _ in range(ADOPTIONS):
            self.update()
            with engine_errors(f"reading the aliases of {index}"):
                aliases = self.client.indices.get_alias(index=index)[index]["aliases"]
            fences = [int(name.rpartition("-")[2]) for name in aliases if name.startswith(f"{index}{FENCE_SUFFIX}")]
            if any(fence > self.operation.fence for fence in fences):
                raise self._is_lost()
            if fences == [self.operation.fence]:
                return
            earlier = [fence_alias(index, fence) for fence in fences if fence != self.operation.fence]
            actions: list[dict[str, Any]] = [
                {"remove": {"index": index, "alias": name, "must_exist": True}} for name in earlier
            ]
            if self.change_aliases([*actions, {"add": {"index": index, "alias": mine}}]):
                return
        raise self._is_lost()

    def release(self, index: str) -> None:
        """Takes the alias of `adopt` away again."""
        self.change_aliases([{"remove": {"index": index, "alias": self.fenced_name(index), "must_exist": False}}])

    def fenced_name(self, index: str) -> str:
        return fence_alias(index, self.operation.fence)

    def change_aliases(self, actions: list[dict[str, Any]]) -> bool:
        """One `_aliases` call; False where an alias that it removes with `must_exist` is not there."""
        from opensearchpy.exceptions import NotFoundError

        with engine_errors(f"changing aliases of {self.operation.alias}"):
            try:
                self.client.indices.update_aliases(body={"actions": actions})
            except NotFoundError:
                return False
        return True

    def _recover(self, wanted: Operation) -> None:
        """The document is not the one that was written last: an answer that was lost, or somebody else's."""
        found = store.find(self.client, wanted.alias)
        mine = wanted.owner.token if wanted.owner else self.operation.owner and self.operation.owner.token
        if found is None or found.operation.fence != wanted.fence:
            raise self._is_lost()
        if found.operation.owner is None or found.operation.owner.token != mine:
            raise self._is_lost()
        try:
            self._stored = store.put(self.client, wanted, found)
        except Changed:
            raise self._is_lost() from None

    def _is_lost(self) -> LeaseLost:
        operation = self.operation
        self._lost = LeaseLost(
            f"another process took over the move of {operation.alias} to {operation.target}: nothing more is done here"
        )
        return self._lost

    def _renew(self) -> None:
        while not self._closing.wait(LEASE_S / RENEWALS):
            try:
                self._update({}, 0.0)
            except (EngineUnreachable, EngineBusy):
                continue  # the engine is away: the next call tells, or the next renewal succeeds
            except EngineError:
                return


class FencedName:
    """The bulk writer's name of an index under a lease: never made again once it is gone."""

    def __init__(self, lease: Lease, index: str) -> None:
        self.name = lease.fenced_name(index)
        self._lease = lease
        self._index = index

    def put(self) -> None:
        """It is there since `Lease.adopt`."""

    def lost(self) -> None:
        """Raises LeaseLost: only a later owner takes it away."""
        raise LeaseLost(
            f"{self.name} is gone: another process took over the move of {self._lease.operation.alias}, "
            "or deleted its index"
        )

    def remove(self) -> None:
        """It goes with the move."""
