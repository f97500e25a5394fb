"""How much of all requests is held in memory at once."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from .batching import Overloaded


class Room:
    """So many bytes for the bodies and images of all requests together."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.held_bytes = 0


class Held:
    """What one request holds; given back at the end of its `with` block. A request alone always finds room."""

    def __init__(self, room: Room) -> None:
        self.room = room
        self.held_bytes = 0

    def take(self, size_bytes: int) -> None:
        """Raises Overloaded where the requests under way hold too much already."""
        others = self.room.held_bytes - self.held_bytes
        if others and self.room.held_bytes + size_bytes > self.room.max_bytes:
            raise Overloaded(f"{others} bytes of other requests are held already: try again in a moment")
        self.room.held_bytes += size_bytes
        self.held_bytes += size_bytes

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.room.held_bytes -= self.held_bytes
        self.held_bytes = 0
