"""Equal texts that are asked at the same time are encoded once."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import numpy as np

from prodsim.plugin.errors import EmbedderError, EmbedderNotReady

from .cache import Row, VectorCache
from .encoder import Encoded, InputType

Encode = Callable[[Sequence[str], InputType], Coroutine[Any, Any, Encoded]]
SPACES = re.compile(r"[ \t\r\n]+")


def normalised(text: str) -> str:
    """Runs of spaces and line ends as one space: no tokenizer of a text model tells them apart."""
    return SPACES.sub(" ", text).strip(" ")


class Flight:
    """Texts that are being encoded for one request, and those who wait for them."""

    def __init__(self, task: asyncio.Task[Encoded], texts: Sequence[str]) -> None:
        self.task = task
        self.rows = {text: row for row, text in enumerate(texts)}
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
        self.airborne: dict[tuple[InputType, str], Flight] = {}
        self.coalesced = 0

    async def rows(self, texts: Sequence[str], input_type: InputType, revision: str) -> list[Row]:
        """A vector and its tokens for each text, in order.

        Raises:
            EmbedderError: what the encoding raised.
        """
        wanted = [normalised(text) for text in texts]
        rows: dict[str, Row] = {}
        flights: dict[Flight, list[str]] = {}
        missing: list[str] = []
        for text in dict.fromkeys(wanted):
            row = self.cache.get((self.model_id, revision, input_type, text))
            if row is not None:
                rows[text] = row
            elif flight := self.airborne.get((input_type, text)):
                flights.setdefault(flight, []).append(text)
                self.coalesced += 1
            else:
                missing.append(text)
        own = None
        if missing:
            own = self.launch(missing, input_type, revision)
            flights[own] = missing
        for flight in flights:
            flight.waiting += 1
        try:
            for flight, of_flight in flights.items():
                rows |= await self.land(flight, of_flight, input_type, flight is own)
        finally:
            for flight in flights:
                flight.leave()
        return [rows[text] for text in wanted]

    async def land(self, flight: Flight, texts: list[str], input_type: InputType, own: bool) -> dict[str, Row]:
        try:
            encoded = await asyncio.shield(flight.task)
        except EmbedderNotReady:
            raise
        except EmbedderError:
            if own:
                raise
            # another text of the other request may be what failed it: these get a try of their own
            encoded = await self.encode(texts, input_type)
            return {text: row_of(encoded, row) for row, text in enumerate(texts)}
        return {text: row_of(encoded, flight.rows[text]) for text in texts}

    def launch(self, texts: list[str], input_type: InputType, revision: str) -> Flight:
        task = asyncio.create_task(self.encode(texts, input_type))
        flight = Flight(task, texts)
        for text in texts:
            self.airborne[input_type, text] = flight

        def land(done: asyncio.Future[Encoded]) -> None:
            for text in texts:
                self.airborne.pop((input_type, text), None)
            if done.cancelled() or done.exception() is not None:
                return
            encoded = done.result()
            for row, text in enumerate(texts):
                if np.any(encoded.vectors[row]):
                    self.cache.put((self.model_id, revision, input_type, text), *row_of(encoded, row))

        task.add_done_callback(land)
        return flight


def row_of(encoded: Encoded, row: int) -> Row:
    return encoded.vectors[row], int(encoded.tokens[row])
