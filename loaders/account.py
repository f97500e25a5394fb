"""Where every row of a load went."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Outcome = Literal["indexed", "unchanged"]


@dataclass
class Account:
    """read = indexed + unchanged + rejected + duplicates.

    `indexed` are rows that changed the index (in a load of deletes or updates: that deleted or updated a product).
    `unchanged` are rows that it held already, of which `newer` hold a version that a later load wrote. `duplicates` are
    rows that a later row with the same SKU replaced. Of the indexed ones `embedded` got a new vector, the others kept
    theirs. `removed` products were missing from a full load's source. `pictureless` are indexed ones whose picture
    could not be had or read; their bookkeeping says why.
    """

    read: int = 0
    indexed: int = 0
    unchanged: int = 0
    rejected: int = 0
    duplicates: int = 0
    embedded: int = 0
    newer: int = 0
    removed: int = 0
    pictureless: int = 0

    @property
    def adds_up(self) -> bool:
        return self.read == self.indexed + self.unchanged + self.rejected + self.duplicates

    def count(self, outcome: Outcome, rows: int = 1) -> None:
        setattr(self, outcome, getattr(self, outcome) + rows)
