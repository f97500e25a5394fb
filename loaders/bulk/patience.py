"""Waiting for an engine that will come back: how long a pause is, what people hear of it, and when it was enough."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable

from prodsim.plugin.errors import EngineError, EngineUnreachable

from .bulk_answer import Trouble, Verdict

FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 10.0
DISK_PAUSE_S = (5.0, 15.0)  # the engine itself looks at its disks every 30 s
DISK_PATIENCE = 6  # times as long: a person has to come and free space
SAY_AFTER_S = 4.0
SAY_AGAIN_AFTER_S = 60.0


class Patience:
    """Shared by all threads of a writer. `waited_s` is for how long none of them got on, in seconds."""

    def __init__(
        self,
        index: str,
        say: Callable[[str], None],
        give_up_after_s: float,
        pause: Callable[[float], object] | None = None,
    ) -> None:
        self.index = index
        self.give_up_after_s = give_up_after_s
        self.waited_s = 0.0
        self._say = say
        self._lock = threading.Lock()
        self._progress_at = time.monotonic()
        self._waiting_since: float | None = None
        self._said_at: dict[Trouble, float] = {}
        self._stopped = threading.Event()
        self._pause = pause or self._stopped.wait

    def stop(self) -> None:
        """Ends all pauses but those of a `pause` that was given."""
        self._stopped.set()

    def limit_s(self, verdict: Verdict) -> float:
        return self.give_up_after_s * (DISK_PATIENCE if verdict.trouble == "disk" else 1)

    def progressed(self) -> None:
        now = time.monotonic()
        with self._lock:
            self._progress_at = now
            if self._waiting_since is None:
                return
            waited_s = now - self._waiting_since
            self.waited_s += waited_s
            self._waiting_since = None
            if self._said_at:
                self._said_at.clear()
                self._say(f"{self.index}: OpenSearch takes writes again, after {in_words(waited_s)}")

    def failed(self, verdict: Verdict, began: float) -> None:
        """A request that began then was to no avail; says so where nothing has gone through for a while.

        A full disk is said at once: it will not pass by itself.
        """
        now = time.monotonic()
        with self._lock:
            if self._waiting_since is None:
                self._waiting_since = max(began, self._progress_at)
            if now - self._waiting_since < SAY_AFTER_S and verdict.trouble != "disk":
                return
            if now - self._said_at.get(verdict.trouble, -SAY_AGAIN_AFTER_S) < SAY_AGAIN_AFTER_S:
                return
            self._said_at[verdict.trouble] = now
            waited = in_words(now - self._waiting_since)
            self._say(
                f"{self.index}: {explained(verdict)}. Waiting for {waited} now, and for up to "
                f"{in_words(self.limit_s(verdict))}"
            )

    def pause(self, seconds: float) -> None:
        self._pause(seconds)


class Tries:
    """The patience with one caller's writes."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._failures = 0
        self._since: float | None = None

    def progressed(self) -> None:
        self._failures, self._since = 0, None
        self._patience.progressed()

    def failed(self, verdict: Verdict, began: float) -> None:
        """Pauses before the next try.

        Raises:
            EngineUnreachable, EngineError: it has been too long.
        """
        self._patience.failed(verdict, began)
        self._since = began if self._since is None else self._since
        left_s = self._since + self._patience.limit_s(verdict) - time.monotonic()
        if left_s <= 0:
            kind = EngineUnreachable if verdict.code in ("timeout", "no_connection") else EngineError
            raise kind(
                f"writing to {self._patience.index}: {explained(verdict)}. Gave up after "
                f"{in_words(self._patience.limit_s(verdict))}; what was acknowledged is kept"
            )
        self._patience.pause(min(left_s, pause_s(self._failures, verdict)))
        self._failures += 1


def pause_s(failures: int, verdict: Verdict) -> float:
    """Full jitter (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/)."""
    if verdict.trouble == "disk":
        return random.uniform(*DISK_PAUSE_S)
    return random.uniform(0, min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** min(failures, 10)))


def explained(verdict: Verdict) -> str:
    if verdict.trouble == "disk":
        return (
            f"OpenSearch takes no writes because its disk is full: free space there or add a node ({verdict.message})"
        )
    if verdict.code in ("timeout", "no_connection", "no_answer"):
        return verdict.message
    return f"OpenSearch takes no writes at the moment ({verdict.message})"


def in_words(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
