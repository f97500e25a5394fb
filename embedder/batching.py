"""Dynamic batching: what many requests wait for is encoded together."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

import numpy as np

from prodsim.plugin.errors import EmbedderError, EmbedderNotReady

from .encoder import INPUT_TYPES, Encoded, InputType

Run = Callable[[list[str], InputType], Awaitable[Encoded]]

QUERY_TURNS = 4


class Overloaded(EmbedderNotReady):
    """More is waiting than can be answered in time."""


class Job:
    """One request's texts of one kind, answered when all their rows are in."""

    def __init__(self, texts: Sequence[str], input_type: InputType) -> None:
        self.texts = texts
        self.input_type = input_type
        self.answer: asyncio.Future[Encoded] = asyncio.get_running_loop().create_future()
        self.rows_missing = len(texts)
        self.vectors = np.empty((0, 0), dtype=np.float32)
        self.tokens = np.zeros(len(texts), dtype=np.int64)

    def fill(self, positions: list[int], encoded: Encoded) -> None:
        if not self.vectors.size:
            self.vectors = np.empty((len(self.texts), encoded.vectors.shape[1]), dtype=np.float32)
        self.vectors[positions] = encoded.vectors
        self.tokens[positions] = encoded.tokens
        self.rows_missing -= len(positions)
        if not self.rows_missing and not self.answer.done():
            self.answer.set_result(Encoded(self.vectors, self.tokens))


Item = tuple[Job, int]


class Batcher:
    """Gathers texts into batches and runs up to `concurrency` of them at a time.

    An idle batcher starts at once (after `wait_s`, where that is set); what arrives while batches run makes the next
    ones. Queries go before passages, so a search does not wait for a bulk load; after QUERY_TURNS batches of queries
    in a row, waiting passages get a turn. The texts of a request are sorted by length, so that little is padded.
    """

    def __init__(
        self, run: Run, *, max_batch_size: int, max_queued_items: int, wait_s: float = 0.0, concurrency: int = 1
    ) -> None:
        self.run = run
        self.max_batch_size = max_batch_size
        self.max_queued_items = max_queued_items
        self.wait_s = wait_s
        self.concurrency = concurrency
        self.waiting: dict[InputType, deque[Item]] = {input_type: deque() for input_type in INPUT_TYPES}
        self.query_turns = 0
        self.workers: set[asyncio.Task[None]] = set()

    async def encode(self, texts: Sequence[str], input_type: InputType) -> Encoded:
        """Rows in the order of `texts`, of which there is at least one.

        Raises:
            Overloaded: too many texts of this kind wait already.
            EmbedderError: what `run` raised.
        """
        queue = self.waiting[input_type]
        if len(queue) + len(texts) > self.max_queued_items:
            raise Overloaded(f"{len(queue)} texts are waiting already: try again in a moment, or run more replicas")
        job = Job(texts, input_type)
        queue.extend((job, position) for position in sorted(range(len(texts)), key=lambda i: -len(texts[i])))
        if len(self.workers) < self.concurrency:
            worker = asyncio.create_task(self.work())
            self.workers.add(worker)
            worker.add_done_callback(self.workers.discard)
        return await job.answer

    async def work(self) -> None:
        while any(self.waiting.values()):
            if self.wait_s and sum(map(len, self.waiting.values())) < self.max_batch_size:
                await asyncio.sleep(self.wait_s)
            if batch := self.next_batch():
                await self.run_batch(batch)

    def next_batch(self) -> list[Item]:
        """Up to max_batch_size texts of one kind; those of requests that were given up are dropped."""
        queries, passages = self.waiting["query"], self.waiting["passage"]
        passages_turn = bool(passages) and (not queries or self.query_turns >= QUERY_TURNS)
        self.query_turns = 0 if passages_turn or not passages else self.query_turns + 1
        queue = passages if passages_turn else queries
        batch: list[Item] = []
        while queue and len(batch) < self.max_batch_size:
            job, position = queue.popleft()
            if not job.answer.done():
                batch.append((job, position))
        return batch

    async def run_batch(self, batch: list[Item]) -> None:
        jobs = list(dict.fromkeys(job for job, _ in batch))
        try:
            encoded = await self.run([job.texts[position] for job, position in batch], jobs[0].input_type)
        except EmbedderNotReady as error:
            fail(jobs, error)
        except Exception as error:
            if len(jobs) == 1:
                fail(jobs, error)
                return
            for job in jobs:  # one request's text must not cost the others their answer
                await self.run_batch([item for item in batch if item[0] is job])
        else:
            for job in jobs:
                rows = [row for row, item in enumerate(batch) if item[0] is job]
                job.fill([batch[row][1] for row in rows], Encoded(encoded.vectors[rows], encoded.tokens[rows]))


def fail(jobs: list[Job], error: Exception) -> None:
    for job in jobs:
        if not job.answer.done():
            job.answer.set_exception(error if isinstance(error, EmbedderError) else EmbedderError(str(error)))
