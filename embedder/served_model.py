"""One model as requests see it: ready or not, and what it answers."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from prodsim.plugin.errors import EmbedderNotReady

from .batching import Batcher
from .cache import VectorCache
from .encoder import BadItem, Encoded, Float32, InputType, Item, ModelCard, unit_length
from .flights import Flights

WEIGHT_DIGITS = 4  # beyond them is the rounding of lengths
INVISIBLE = {"Cc", "Cf", "Zl", "Zp", "Zs"}


@dataclass(frozen=True)
class Embedded:
    """Unit vectors float32 (n, dimension); weights float32 (n,) from 0 to 1; tokens read in all.

    A weight is 0 where a text means nothing, and below 1 where the model could read a part of it only.
    """

    vectors: Float32
    weights: Float32
    tokens: int
    revision: str = ""


class ServedModel:
    """`card` is None until the model is loaded, and again when it is lost; `reason` then says why."""

    def __init__(self, model_id: str, batcher: Batcher | None, cache: VectorCache | None = None) -> None:
        self.id = model_id
        self.batcher = batcher
        self.flights = Flights(model_id, self.encode_batched, cache or VectorCache(0))
        self.card: ModelCard | None = None
        self.was_ready = False
        self.reason = f"model {model_id} is loading"

    async def embed(self, items: Sequence[Item], input_type: InputType) -> Embedded:
        """A row an item, in order. Text without meaning gets a valid vector, the last axis, and weight 0.

        Raises:
            BadItem: the item at its position can't be encoded.
            EmbedderNotReady: the model is not loaded, or too much is waiting for it.
            EmbedderError: the model failed on these items.
        """
        card = self.card
        if card is None:
            raise EmbedderNotReady(self.reason)
        vectors = np.zeros((len(items), card.dimension), dtype=np.float32)
        tokens = 0
        if meaningful := [position for position, item in enumerate(items) if has_meaning(item)]:
            try:
                rows = await self.flights.rows([items[position] for position in meaningful], input_type, card.revision)
            except BadItem as bad:
                raise bad.at(meaningful[bad.position]) from None
            for position, (vector, count) in zip(meaningful, rows, strict=True):
                vectors[position] = vector
                tokens += count
        weights = np.linalg.norm(vectors, axis=1).round(WEIGHT_DIGITS)
        vectors[weights < 1] = unit_length(vectors[weights < 1])
        vectors[weights == 0, -1] = 1.0
        return Embedded(vectors, weights, tokens, card.revision)

    async def encode_batched(self, items: Sequence[Item], input_type: InputType) -> Encoded:
        if self.batcher is None:
            raise EmbedderNotReady(self.reason)
        return await self.batcher.encode(items, input_type)


def has_meaning(item: Item) -> bool:
    """False where nothing is left of a text without spaces, control characters and invisible formatting."""
    return isinstance(item, bytes) or any(unicodedata.category(character) not in INVISIBLE for character in item)
