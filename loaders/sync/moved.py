"""What a sync did."""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(frozen=True)
class Moved:
    """`copied` documents were written to the target, of which `embedded` got a vector anew and `unembedded` can have
    none. `removed` were deleted there. `kept` are late writes that lost to a newer one in the target."""

    copied: int = 0
    embedded: int = 0
    unembedded: int = 0
    removed: int = 0
    kept: int = 0

    def __add__(self, other: Moved) -> Moved:
        return Moved(*(getattr(self, one.name) + getattr(other, one.name) for one in fields(self)))
