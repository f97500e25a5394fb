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

PROBE_EVERY_S = 1.0
PROBE_TIMEOUT_S = 2.0
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
        self.calls: set[asyncio.Future[Encoded]] = set()
        super().__init__(model_id, batcher)

    async def encode(self, texts: list[str], input_type: InputType) -> Encoded:
        """Tries again, once, where a replica died and another answers.

        Raises:
            EmbedderNotReady: no replica answers.
            EmbedderError: the model failed on these texts.
        """
        for _ in range(2):
            call = asyncio.ensure_future(self.call(texts, input_type))
            self.calls.add(call)
            call.add_done_callback(self.calls.discard)
            try:
                return await call
            except asyncio.CancelledError:
                if self.card is not None:  # it is this request that was given up, not the model
                    raise
                break
            except RayTaskError as error:
                raise EmbedderError(f"model {self.id} failed: {error.cause}") from None
            except (RayError, RayServeException):
                await self.probe(PROBE_TIMEOUT_S)
                if self.card is None:
                    break
        raise EmbedderNotReady(self.reason)

    async def call(self, texts: list[str], input_type: InputType) -> Encoded:
        encoded: Encoded = await self.encoder.encode.remote(texts, input_type)
        return encoded

    async def watch(self) -> None:
        """Keeps `card` true to whether a replica answers; runs as long as the API does."""
        await self.probe(None)
        while True:
            await asyncio.sleep(PROBE_EVERY_S)
            await self.probe(PROBE_TIMEOUT_S)

    async def probe(self, timeout_s: float | None) -> None:
        """Asks a replica. After one that died, the next try goes to another, or waits for a new one."""
        reason = ""
        for _ in range(PROBE_TRIES):
            try:
                async with asyncio.timeout(timeout_s):
                    self.card = await self.encoder.describe.remote()
                return
            except TimeoutError:
                reason = "no replica of it answers, a new one may be loading"
                break
            except DeploymentUnavailableError:
                reason = "it failed to load, the embedder's log says why"
            except Exception as error:  # a probe that stopped probing would never find the model again
                reason = one_line(error)
        self.lose(reason)

    def lose(self, reason: str) -> None:
        """Ends the calls under way too: Serve would keep them until a new replica has loaded the model."""
        self.card = None
        for call in list(self.calls):
            call.cancel()
        self.reason = f"model {self.id} is not ready: {reason}"
