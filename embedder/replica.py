"""One copy of a model in a Ray Serve replica."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from prodsim.plugin.errors import EmbedderError

from . import direct
from .batching import batches_of
from .description import Description
from .encoder import BadItem, Encoded, InputType, Item
from .loading import open_encoder
from .settings import ModelSettings, declared_card

STUCK_AFTER_S = 120
NICE = 10
BATCHES_PER_CALL = 4


def stand_back() -> None:
    """On Linux, nice counts for a thread, and for those that it starts: queries go before passages."""
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), os.getpriority(os.PRIO_PROCESS, 0) + NICE)


class EncoderReplica:
    """Encodes in threads, so that it answers health checks meanwhile: one for queries, one for passages. What a call
    brings is encoded in batches of the settings' size, in its order.

    A query that comes while passages are encoded shares the CPUs with them instead of waiting for their batch. Where
    a thread is busy, the tokens of its next batch are made beside it.
    """

    def __init__(self, settings: ModelSettings) -> None:
        self.settings = settings
        self.lanes = {
            "query": ThreadPoolExecutor(1, thread_name_prefix="query"),
            "passage": ThreadPoolExecutor(1, thread_name_prefix="passage", initializer=stand_back),
        }
        self.tokenizer = ThreadPoolExecutor(1, thread_name_prefix="tokenizer")
        self.encoder = self.lanes["query"].submit(open_encoder, settings).result()
        self.busy_since: dict[str, float] = {}
        self.listening: asyncio.Task[direct.Door | None] | None = None

    async def describe(self) -> Description:
        # on a GPU the next batch travels while one is computed; on a CPU each costs the other's time: they go together
        per_copy, per_call = (2, 1) if self.settings.uses_gpu else (1, BATCHES_PER_CALL)
        return Description(
            declared_card(self.encoder.card, self.settings),
            self.settings.batch_size * per_call,
            self.settings.batch_wait_s,
            self.settings.replicas * per_copy,
            self.settings.replicas,
            await self.listen(),
        )

    async def listen(self) -> str | None:
        """The name of this replica's socket, opened by the first who asks."""
        if self.listening is None:
            self.listening = asyncio.create_task(direct.listen(self.encode))
        door = await asyncio.shield(self.listening)
        return door.name if door else None

    async def encode(self, texts: list[Item], input_type: InputType) -> tuple[bytes, list[int]]:
        """Vectors, float32 row by row, and tokens: plain values travel faster between processes than objects."""
        loop = asyncio.get_running_loop()
        lane = self.lanes[input_type]
        if input_type in self.busy_since:
            prepared = await loop.run_in_executor(self.tokenizer, list, self.prepare(texts, input_type))
            encoded = await loop.run_in_executor(lane, self.run, prepared, input_type)
        else:
            encoded = await loop.run_in_executor(lane, self.run, self.prepare(texts, input_type), input_type)
        return b"".join(batch.vectors.tobytes() for batch in encoded), [
            count for batch in encoded for count in batch.tokens.tolist()
        ]

    def prepare(self, texts: list[Item], input_type: InputType) -> Iterator[Any]:
        """Batch by batch, what the encoder runs."""
        for some in batches_of(texts, self.settings.batch_size):
            try:
                yield self.encoder.prepare(texts[some], input_type)
            except BadItem as bad:
                raise bad.at(some.start + bad.position) from None

    def run(self, batches: Iterable[Any], input_type: InputType) -> list[Encoded]:
        """In the lane's thread; each batch has its own time to be done in."""
        encoded: list[Encoded] = []
        self.busy_since[input_type] = time.monotonic()
        try:
            for batch in batches:
                encoded.append(self.encoder.run(batch))
                self.busy_since[input_type] = time.monotonic()
        finally:
            self.busy_since.pop(input_type, None)
        return encoded

    def check_health(self) -> None:
        """Serve calls this and replaces a replica that raises."""
        if any(time.monotonic() - since > STUCK_AFTER_S for since in list(self.busy_since.values())):
            raise EmbedderError(f"one batch has been encoding for more than {STUCK_AFTER_S} s")
