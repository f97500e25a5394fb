"""A served model whose encoder runs in Ray Serve replicas."""

from __future__ import annotations

import asyncio
from typing import Any

from ray.exceptions import RayError, RayTaskError
from ray.serve.exceptions import DeploymentUnavailableError, RayServeException
from ray.serve.handle import DeploymentHandle

from prodsim.plugin.errors import EmbedderError, EmbedderNotReady

from .batching import Batcher
from .encoder import Encoded, InputType
from .model_files import one_line
from .served_model import ServedModel
from .settings import EmbedderSettings

PROBE_EVERY_S = 2.0
PROBE_TIMEOUT_S = 5.0
PROBE_TRIES = 3


class RemoteModel(ServedModel):
    """Batches are made here, so that a hop to a replica carries many requests."""

    def __init__(self, model_id: str, encoder: DeploymentHandle[Any], settings: EmbedderSettings) -> None:
        self.encoder = encoder
        batcher = Batcher(
            self.encode,
            max_batch_size=settings.batch_size,
            max_queued_items=settings.max_queued_items,
            wait_s=settings.batch_wait_s,
            # on a GPU the next batch travels while one is computed; a CPU has no time to gain, and queries would wait
            concurrency=settings.replicas * (2 if settings.uses_gpu else 1),
        )
        super().__init__(model_id, batcher)

    async def encode(self, texts: list[str], input_type: InputType) -> Encoded:
        """Tries again, once, where a replica died and another answers.

        Raises:
            EmbedderNotReady: no replica answers.
            EmbedderError: the model failed on these texts.
        """
        for _ in range(2):
            try:
                encoded: Encoded = await self.encoder.encode.remote(texts, input_type)
                return encoded
            except RayTaskError as error:
                raise EmbedderError(f"model {self.id} failed: {error.cause}") from None
            except (RayError, RayServeException):
                await self.probe(PROBE_TIMEOUT_S)
                if self.card is None:
                    break
        raise EmbedderNotReady(self.reason)

    async def watch(self) -> None:
        """Keeps `card` true to whether a replica answers; runs as long as the API does."""
        await self.probe(None)
        while True:
            await asyncio.sleep(PROBE_EVERY_S)
            await self.probe(PROBE_TIMEOUT_S)

    async def probe(self, timeout_s: float | None) -> None:
        """Asks a replica. One that died is asked only once: the next try goes to another, or waits for a new one."""
        for _ in range(PROBE_TRIES):
            try:
                async with asyncio.timeout(timeout_s):
                    self.card = await self.encoder.describe.remote()
                return
            except TimeoutError:
                self.lose("no replica of its model answers, a new one may be loading")
                return
            except Exception as error:  # a probe that stopped probing would never find the model again
                failed = isinstance(error, DeploymentUnavailableError)
                self.lose("it failed to load, the embedder's log says why" if failed else one_line(error))

    def lose(self, reason: str) -> None:
        self.card = None
        self.reason = f"model {self.id} is not ready: {reason}"
