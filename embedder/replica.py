"""One copy of a model in a Ray Serve replica."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from prodsim.plugin.errors import EmbedderError

from . import direct
from .description import Description
from .encoder import InputType, Item
from .loading import open_encoder
from .settings import ModelSettings, declared_card

STUCK_AFTER_S = 120
NICE = 10
Result = TypeVar("Result")


def stand_back() -> None:
    """On Linux, nice counts for a thread, and for those that it starts: queries go before passages."""
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), os.getpriority(os.PRIO_PROCESS, 0) + NICE)


class EncoderReplica:
    """Encodes in threads, so that it answers health checks meanwhile: one for queries, one for passages.

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
        # on a GPU the next batch travels while one is computed; a CPU has no time to gain
        per_copy = 2 if self.settings.uses_gpu else 1
        return Description(
            declared_card(self.encoder.card, self.settings),
            self.settings.batch_size,
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
            prepared = await loop.run_in_executor(self.tokenizer, self.encoder.prepare, texts, input_type)
            encoded = await loop.run_in_executor(lane, self.timed, input_type, lambda: self.encoder.run(prepared))
        else:
            encoded = await loop.run_in_executor(
                lane,
                self.timed,
                input_type,
                lambda: self.encoder.run(self.encoder.prepare(texts, input_type)),
            )
        return encoded.vectors.tobytes(), encoded.tokens.tolist()

    def timed(self, lane: InputType, work: Callable[[], Result]) -> Result:
        self.busy_since[lane] = time.monotonic()
        try:
            return work()
        finally:
            self.busy_since.pop(lane, None)

    def check_health(self) -> None:
        """Serve calls this and replaces a replica that raises."""
        if any(time.monotonic() - since > STUCK_AFTER_S for since in list(self.busy_since.values())):
            raise EmbedderError(f"one batch has been encoding for more than {STUCK_AFTER_S} s")
