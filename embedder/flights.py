"""Equal texts and images that are asked at the same time are encoded once."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Callable, Coroutine, Sequence
from contextvars import ContextVar
from typing import Any

import numpy as np

from prodsim.plugin.errors import EmbedderError, EmbedderNotReady

from .cache import Row, VectorCache
from .encoder import BadItem, Encoded, InputType, Item

Encode = Callable[[Sequence[Item], InputType], Coroutine[Any, Any, Encoded]]
Key = str | bytes
# Set for a request that wants its items encoded anew, whatever is known of them.
FRESH: ContextVar[bool] = ContextVar("fresh", default=False)
SPACES = re.compile(r"[ \t\r\n]+")


def normalised(text: str) -> str:
    """Runs of spaces and line ends as one space: no tokenizer of a text model tells them apart."""
    return SPACES.sub(" ", text).strip(" ")


def key_of(item: Item) -> Key:
    """Equal for items that are one to the model: the text as it reads it, the digest of an image file."""
    return normalised(item) if isinstance(item, str) else hashlib.sha256(item).digest()


class Flight:
    """Items that are being encoded for one request, and those who wait for them."""

    def __init__(self, task: asyncio.Task[Encoded], keys: Sequence[Key]) -> None:
        self.task = task
        self.rows = {key: row for row, key in enumerate(keys)}
        self.waiting = 0

    def leave(self) -> None:
        """When nobody waits any more, the encoding is given up."""
        self.waiting -= 1
        if not self.waiting and not self.task.done():
            self.task.cancel()


class Flights:
    """In front of one model's batcher: looks into the cache, then among what is under way, then encodes."""

    def __init__(self, model_id: str, encode: Encode, cache: VectorCache) -> None:
        self.model_id = model_id
        self.encode = encode
        self.cache = cache
        self.airborne: dict[tuple[InputType, Key], Flight] = {}
        self.coalesced = 0

    async def rows(self, items: Sequence[Item], input_type: InputType, revision: str) -> list[Row]:
        """A vector and its tokens for each item, in order.

        Raises:
            BadItem: the item at its position can't be encoded.
            EmbedderError: what the encoding raised.
        """
        if FRESH.get():
            encoded = await self.encode(items, input_type)
            return [row_of(encoded, row) for row in range(len(items))]
        wanted = [key_of(item) for item in items]
        contents = {key: key if isinstance(key, str) else item for key, item in zip(wanted, items, strict=True)}
        rows: dict[Key, Row] = {}
        flights: dict[Flight, list[Key]] = {}
        missing: list[Key] = []
        for key in contents:
            row = self.cache.get((self.model_id, revision, input_type, key))
            if row is not None:
                rows[key] = row
            elif flight := self.airborne.get((input_type, key)):
                flights.setdefault(flight, []).append(key)
                self.coalesced += 1
            else:
                missing.append(key)
        own = None
        if missing:
            own = self.launch(missing, contents, input_type, revision)
            flights[own] = missing
        for flight in flights:
            flight.waiting += 1
        try:
            for flight, of_flight in flights.items():
                try:
                    rows |= await self.land(flight, of_flight, contents, input_type, flight is own)
                except BadItem as bad:
                    raise bad.at(wanted.index(of_flight[bad.position])) from None
        finally:
            for flight in flights:
                flight.leave()
        return [rows[key] for key in wanted]

    async def land(
        self, flight: Flight, keys: list[Key], contents: dict[Key, Item], input_type: InputType, own: bool
    ) -> dict[Key, Row]:
        try:
            encoded = await asyncio.shield(flight.task)
        except EmbedderNotReady:
            raise
        except EmbedderError:
            if own:
                raise
            # another item of the other request may be what failed it: these get a try of their own
            encoded = await self.encode([contents[key] for key in keys], input_type)
            return {key: row_of(encoded, row) for row, key in enumerate(keys)}
        return {key: row_of(encoded, flight.rows[key]) for key in keys}

    def launch(self, keys: list[Key], contents: dict[Key, Item], input_type: InputType, revision: str) -> Flight:
        task = asyncio.create_task(self.encode([contents[key] for key in keys], input_type))
        flight = Flight(task, keys)
        for key in keys:
            self.airborne[input_type, key] = flight

        def land(done: asyncio.Future[Encoded]) -> None:
            for key in keys:
                self.airborne.pop((input_type, key), None)
            if done.cancelled() or done.exception() is not None:
                return
            encoded = done.result()
            for row in np.flatnonzero(encoded.vectors.any(axis=1)).tolist():
                self.cache.put((self.model_id, revision, input_type, keys[row]), *row_of(encoded, row))

        task.add_done_callback(land)
        return flight


def row_of(encoded: Encoded, row: int) -> Row:
    return encoded.vectors[row], int(encoded.tokens[row])
