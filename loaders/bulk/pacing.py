"""How much the engine gets at a time: bytes a request, and bytes under way over all threads."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

KIB, MIB = 1024, 1024 * 1024
STEP_BYTES = 256 * KIB
TARGET_S = 1.0


class RequestSize:
    """How many bytes a request should have: grows by steps while answers are quick, shrinks by a share when not.

    A request holds at least one document, however large. Used by several threads at once.
    """

    def __init__(self, start: int = 3 * MIB // 2, least: int = 256 * KIB, most: int = 8 * MIB) -> None:
        self._bytes = start
        self._least = least
        self._most = most
        self._lock = threading.Lock()

    @property
    def bytes(self) -> int:
        return self._bytes

    def answered(self, size_bytes: int, seconds: float) -> None:
        """A request of that size was answered after so long."""
        with self._lock:
            if seconds > 2 * TARGET_S and size_bytes <= 2 * self._bytes:
                self._bytes = min(max(self._least, int(self._bytes * 0.75)), self._most)
            elif seconds < TARGET_S and 2 * size_bytes > self._bytes:  # a short one proves nothing
                self._bytes = min(self._most, self._bytes + STEP_BYTES)

    def overloaded(self) -> None:
        """The engine refused for lack of room, or did not answer in time."""
        with self._lock:
            self._bytes = min(max(self._least, self._bytes // 2), self._most)

    def refused(self, size_bytes: int) -> None:
        """Something on the way takes no request of that size: none will be as large again."""
        with self._lock:
            self._most = max(1, min(self._most, size_bytes // 2))
            self._bytes = min(self._bytes, self._most)


class BytesInFlight:
    """Lets at most `bound` bytes be under way, and one request of any size where nothing else is."""

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self._bytes = 0
        self._changed = threading.Condition()
        self._turn = threading.Lock()

    @contextmanager
    def room(self, size_bytes: int, check: Callable[[], None] = lambda: None) -> Iterator[None]:
        """Blocks until there is room; `check` is called now and then meanwhile, and may raise."""
        with self._turn, self._changed:  # one waits at a time, so that small ones can't overtake a large one for ever
            while self._bytes and self._bytes + size_bytes > self._bound:
                check()
                self._changed.wait(1.0)
            self._bytes += size_bytes
        try:
            yield
        finally:
            with self._changed:
                self._bytes -= size_bytes
                self._changed.notify_all()
