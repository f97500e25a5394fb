"""Dynamic batching: what many requests wait for is encoded together."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any

import numpy as np

from prodsim.plugin.errors import EmbedderError, EmbedderNotReady

from .encoder import INPUT_TYPES, BadItem, Encoded, InputType
from .encoder import Item as Content

Run = Callable[[list[Any], InputType], Awaitable[Encoded]]

CHARACTERS_PER_TEXT = 1000
CHARACTERS_PER_IMAGE = CHARACTERS_PER_TEXT // 2  # as much as a batch is full of by their number
IMAGE_BYTES_PER_BATCH = 16 * 1024 * 1024


class Overloaded(EmbedderNotReady):
    """More is waiting than can be answered in time."""


class Job:
    """One request's items of one kind, answered when all their rows are in."""

    def __init__(self, texts: Sequence[Content]) -> None:
        self.texts = texts
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
    """Gathers texts into batches, in two lanes: a query never stands in a queue behind passages.

    Each lane runs up to `concurrency` batches at a time. Queries start at once; passages too, or after `wait_s`. What
    arrives while batches run makes the next ones. The texts of a request are sorted by length, so that little is
    padded, and a batch of long texts holds fewer of them.
    """

    def __init__(
        self, run: Run, *, max_batch_size: int, max_queued_items: int, wait_s: float = 0.0, concurrency: int = 1
    ) -> None:
        waits_s: dict[InputType, float] = {"query": 0.0, "passage": wait_s}
        self.lanes = {
            input_type: Lane(run, input_type, max_batch_size, max_queued_items, waits_s[input_type], concurrency)
            for input_type in INPUT_TYPES
        }

    async def encode(self, texts: Sequence[Content], input_type: InputType) -> Encoded:
        """Rows in the order of `texts`, of which there is at least one.

        Raises:
            Overloaded: too many texts of this kind wait already.
            BadItem: one of them, at its position among `texts`, can't be encoded.
            EmbedderError: what `run` raised.
        """
        return await self.lanes[input_type].encode(texts)

    def queued(self, input_type: InputType) -> int:
        """Texts of this kind that wait for a batch."""
        return len(self.lanes[input_type].waiting)


class Lane:
    """The batches of one kind of text."""

    def __init__(
        self,
        run: Run,
        input_type: InputType,
        max_batch_size: int,
        max_queued_items: int,
        wait_s: float,
        concurrency: int,
    ) -> None:
        self.run = run
        self.input_type = input_type
        self.max_batch_size = max_batch_size
        self.max_queued_items = max_queued_items
        self.wait_s = wait_s
        self.concurrency = concurrency
        self.waiting: deque[Item] = deque()
        self.workers: set[asyncio.Task[None]] = set()

    async def encode(self, texts: Sequence[Content]) -> Encoded:
        if len(self.waiting) + len(texts) > self.max_queued_items:
            raise Overloaded(
                f"{len(self.waiting)} texts are waiting already: try again in a moment, or run more replicas"
            )
        job = Job(texts)
        self.waiting.extend(
            (job, position) for position in sorted(range(len(texts)), key=lambda i: -characters(texts[i]))
        )
        if len(self.workers) < self.concurrency:
            worker = asyncio.create_task(self.work())
            self.workers.add(worker)
            worker.add_done_callback(self.workers.discard)
        return await job.answer

    async def work(self) -> None:
        while self.waiting:
            if self.wait_s and len(self.waiting) < self.max_batch_size:
                await asyncio.sleep(self.wait_s)
            if batch := self.next_batch():
                await self.run_batch(batch)

    def next_batch(self) -> list[Item]:
        """Up to max_batch_size texts, fewer long ones; those of requests that were given up are dropped."""
        batch: list[Item] = []
        longest = image_bytes = 0
        while self.waiting and len(batch) < self.max_batch_size:
            job, position = self.waiting[0]
            if not job.answer.done():
                content = job.texts[position]
                longest = max(longest, characters(content))
                image_bytes += len(content) if isinstance(content, bytes) else 0
                full = too_long(longest, len(batch) + 1, self.max_batch_size)
                if batch and (full or image_bytes > IMAGE_BYTES_PER_BATCH):
                    break
                batch.append((job, position))
            self.waiting.popleft()
        return batch

    async def run_batch(self, batch: list[Item]) -> None:
        jobs = list(dict.fromkeys(job for job, _ in batch))
        try:
            encoded = await self.run([job.texts[position] for job, position in batch], self.input_type)
        except EmbedderNotReady as error:
            fail(jobs, error)
        except Exception as error:
            if len(jobs) == 1:
                fail(jobs, error.at(batch[error.position][1]) if isinstance(error, BadItem) else error)
                return
            for job in jobs:  # one request's text must not cost the others their answer
                await self.run_batch([item for item in batch if item[0] is job])
        else:
            for job in jobs:
                rows = [row for row, item in enumerate(batch) if item[0] is job]
                job.fill([batch[row][1] for row in rows], Encoded(encoded.vectors[rows], encoded.tokens[rows]))


def too_long(longest: int, count: int, max_batch_size: int) -> bool:
    """Whether so many texts, padded to the longest of them, are more than a batch of that size may hold."""
    return min(longest, CHARACTERS_PER_TEXT) * count > max_batch_size * CHARACTERS_PER_TEXT / 2


def batches_of(texts: Sequence[Content], max_batch_size: int) -> Iterator[slice]:
    """Where to cut a call's texts into batches, in their order: fewer long ones go together."""
    start = longest = 0
    for end, content in enumerate(texts):
        longest = max(longest, characters(content))
        count = end + 1 - start
        if count > 1 and (count > max_batch_size or too_long(longest, count, max_batch_size)):
            yield slice(start, end)
            start, longest = end, characters(content)
    yield slice(start, len(texts))


def characters(content: Content) -> int:
    """The length that batches are sorted and filled by."""
    return len(content) if isinstance(content, str) else CHARACTERS_PER_IMAGE


def fail(jobs: list[Job], error: Exception) -> None:
    for job in jobs:
        if not job.answer.done():
            job.answer.set_exception(error if isinstance(error, EmbedderError) else EmbedderError(str(error)))
