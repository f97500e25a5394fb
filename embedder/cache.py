"""Vectors of texts that were asked before, bounded in bytes."""

from __future__ import annotations

import sys
from collections import OrderedDict
from collections.abc import Hashable

from .encoder import Float32

ENTRY_BYTES = 300  # what a dictionary entry, a key and an array object take beside their content

Row = tuple[Float32, int]


class VectorCache:
    """The most recently used rows, a vector and its tokens, of all models together. `max_bytes` 0 keeps none."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.size_bytes = 0
        self.hits = 0
        self.misses = 0
        self.rows: OrderedDict[Hashable, Row] = OrderedDict()

    def get(self, key: Hashable) -> Row | None:
        row = self.rows.get(key)
        if row is None:
            self.misses += 1
            return None
        self.hits += 1
        self.rows.move_to_end(key)
        return row

    def put(self, key: tuple[Hashable, ...], vector: Float32, tokens: int) -> None:
        size = entry_bytes(key, vector)
        if size > self.max_bytes // 8 or key in self.rows:
            return
        self.rows[key] = (vector.copy(), tokens)  # a row of a batch would keep all of the batch
        self.size_bytes += size
        while self.size_bytes > self.max_bytes:
            old_key, (old_vector, _) = self.rows.popitem(last=False)
            self.size_bytes -= entry_bytes(old_key, old_vector)

    def drop(self, model_id: str) -> None:
        """Forgets a model's vectors; keys start with the model's id."""
        for key in [key for key in self.rows if isinstance(key, tuple) and key[0] == model_id]:
            vector, _ = self.rows.pop(key)
            self.size_bytes -= entry_bytes(key, vector)


def entry_bytes(key: Hashable, vector: Float32) -> int:
    parts = key if isinstance(key, tuple) else (key,)
    return int(vector.nbytes) + sum(map(sys.getsizeof, parts)) + ENTRY_BYTES
