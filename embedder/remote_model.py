"""A served model whose encoder runs in Ray Serve replicas."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import numpy as np
from ray.exceptions import RayError, RayTaskError
from ray.serve.exceptions import DeploymentUnavailableError, RayServeException
from ray.serve.handle import DeploymentHandle

from prodsim.plugin.errors import EmbedderError, EmbedderNotReady

from .batching import Batcher
from .cache import VectorCache
from .description import Description
from .direct import Direct, Failed, Severed
from .encoder import BadItem, Encoded, InputType, Item
from .metrics import Metrics
from .model_files import one_line
from .served_model import ServedModel
from .settings import LimitSettings

PROBE_EVERY_S = 1.0
PROBE_TIMEOUT_S = 2.0
PROBE_TRIES = 3
TRIES = 3


class RemoteModel(ServedModel):
    """Batches are made here, so that a hop to a replica carries many requests."""

    def __init__(
        self,
        model_id: str,
        encoder: DeploymentHandle[Any],
        limits: LimitSettings,
        cache: VectorCache,
        metrics: Metrics,
    ) -> None:
        super().__init__(model_id, None, cache)
        self.encoder = encoder
        self.limits = limits
        self.metrics = metrics
        self.description: Description | None = None
        self.calls: set[asyncio.Future[Encoded]] = set()
        self.directs: dict[str, Direct] = {}

    def described(self, description: Description) -> None:
        if self.batcher is None or self.description is None or not same_batches(self.description, description):
            self.batcher = Batcher(
                self.encode,
                max_batch_size=description.batch_size,
                max_queued_items=self.limits.max_queued_items,
                wait_s=description.wait_s,
                concurrency=description.concurrency,
            )
        if self.card is not None and self.card != description.card:  # a replica of before must not answer for it
            self.close_directs()
        if description.direct is not None:
            self.directs.setdefault(description.direct, Direct(description.direct))
        self.description = description
        self.card = description.card
        self.was_ready = True

    async def encode(self, texts: list[Item], input_type: InputType) -> Encoded:
        """Tries again where a replica died and another answers.

        Raises:
            EmbedderNotReady: no replica answers.
            EmbedderError: the model failed on these texts.
        """
        for _ in range(TRIES):
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
                if isinstance(error.cause, BadItem):
                    raise error.cause from None
                raise EmbedderError(f"model {self.id} failed: {error.cause}") from None
            except Failed as error:
                raise EmbedderError(f"model {self.id} failed: {error}") from None
            except Severed:
                if not self.directs:  # else another replica is known, and Serve need not be asked
                    await self.probe(PROBE_TIMEOUT_S)
                    if self.card is None:
                        break
            except (RayError, RayServeException):
                await self.probe(PROBE_TIMEOUT_S)
                if self.card is None:
                    break
        raise EmbedderNotReady(self.reason)

    async def call(self, texts: list[Item], input_type: InputType) -> Encoded:
        began = time.monotonic()
        encoded = await self.encode_directly(texts, input_type) or await self.encode_through_serve(texts, input_type)
        self.metrics.seconds.labels("batch", input_type).observe(time.monotonic() - began)
        self.metrics.batch_texts.labels(self.id, input_type).observe(len(texts))
        return encoded

    async def encode_directly(self, texts: list[Item], input_type: InputType) -> Encoded | None:
        """By the socket of the least busy replica that is known to have one; None where Serve knows a better."""
        plain = [text for text in texts if isinstance(text, str)]
        if not self.directs or len(plain) < len(texts):
            return None
        direct = min(self.directs.values(), key=lambda one: one.calls)
        if direct.calls and self.description is not None and len(self.directs) < self.description.replicas:
            return None
        try:
            return await direct.encode(plain, input_type)
        except Severed:
            self.directs.pop(direct.name, None)
            direct.close()
            raise

    async def encode_through_serve(self, texts: list[Item], input_type: InputType) -> Encoded:
        content, tokens = await self.encoder.encode.remote(texts, input_type)
        vectors = np.frombuffer(content, dtype=np.float32).reshape(len(texts), -1)
        return Encoded(vectors, np.array(tokens, dtype=np.int64))

    def close_directs(self) -> None:
        for direct in self.directs.values():
            direct.close()
        self.directs.clear()

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
                    self.described(await self.encoder.describe.remote())
                return
            except TimeoutError:
                reason = "no replica of it answers, a new one may be loading"
                break
            except DeploymentUnavailableError:
                reason = "it failed to load, the embedder's log says why"
            except Exception as error:  # a probe that stopped probing would never find the model again
                reason = one_line(error)
        self.lose(reason)

    def forget(self) -> None:
        """The model is taken away: what is under way ends, its vectors are dropped."""
        self.lose("it was taken away")
        self.flights.cache.drop(self.id)

    def lose(self, reason: str) -> None:
        """Ends the calls under way too: Serve would keep them until a new replica has loaded the model."""
        self.card = None
        self.close_directs()
        for call in list(self.calls):
            call.cancel()
        self.reason = f"model {self.id} is not ready: {reason}"


def same_batches(one: Description, other: Description) -> bool:
    return (one.batch_size, one.wait_s, one.concurrency) == (other.batch_size, other.wait_s, other.concurrency)
