"""What waits together is encoded together, in the right order, and nothing is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import numpy as np
import pytest

from prodsim.embedder.batching import Batcher, Overloaded, batches_of
from prodsim.embedder.encoder import Encoded, InputType
from prodsim.plugin.errors import EmbedderError, EmbedderNotReady


class Recorder:
    """Encodes a text as its length, takes `seconds` for a batch, and remembers the batches."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self.batches: list[tuple[InputType, list[str]]] = []
        self.running = 0
        self.most_running = 0

    async def __call__(self, texts: list[str], input_type: InputType) -> Encoded:
        self.batches.append((input_type, texts))
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        await asyncio.sleep(self.seconds)
        self.running -= 1
        if "dead" in texts:
            raise EmbedderNotReady("no replica")
        if "poison" in texts:
            raise ValueError("choked")
        return Encoded(np.array([[len(text)] for text in texts], dtype=np.float32), np.ones(len(texts), dtype=np.int64))


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(test)


def batcher(recorder: Recorder, size: int = 4, queue: int = 1000, **options: Any) -> Batcher:
    return Batcher(recorder, max_batch_size=size, max_queued_items=queue, **options)


def test_an_idle_batcher_encodes_a_single_text_at_once() -> None:
    async def check() -> None:
        recorder = Recorder()
        async with asyncio.timeout(0.5):
            encoded = await batcher(recorder).encode(["abc"], "query")
        assert encoded.vectors.tolist() == [[3.0]]
        assert recorder.batches == [("query", ["abc"])]

    run(check())


def test_what_arrives_while_a_batch_runs_is_encoded_together() -> None:
    async def check() -> None:
        recorder = Recorder(0.02)
        batches = batcher(recorder, size=32)
        answers = await asyncio.gather(*(batches.encode(["x" * (i + 1)], "query") for i in range(33)))
        assert [answer.vectors[0, 0] for answer in answers] == list(range(1, 34))
        assert [len(texts) for _, texts in recorder.batches] in ([1, 32], [32, 1])

    run(check())


def test_a_long_list_is_cut_sorted_by_length_and_answered_in_order() -> None:
    async def check() -> None:
        recorder = Recorder()
        lengths = [3, 9, 1, 7, 5, 2, 8, 4, 6, 10]
        encoded = await batcher(recorder).encode(["x" * length for length in lengths], "passage")
        assert encoded.vectors[:, 0].tolist() == lengths
        assert encoded.tokens.tolist() == [1] * 10
        assert [[len(text) for text in texts] for _, texts in recorder.batches] == [[10, 9, 8, 7], [6, 5, 4, 3], [2, 1]]

    run(check())


def test_a_query_overtakes_a_bulk_load() -> None:
    async def check() -> None:
        recorder = Recorder(0.01)
        batches = batcher(recorder)
        load = asyncio.create_task(batches.encode(["x" * 9] * 40, "passage"))
        await asyncio.sleep(0.015)
        await batches.encode(["query"], "query")
        assert not load.done()
        assert [kind for kind, _ in recorder.batches].index("query") <= 3
        await load

    run(check())


def test_a_stream_of_queries_does_not_starve_a_bulk_load() -> None:
    async def check() -> None:
        recorder = Recorder(0.001)
        batches = batcher(recorder, size=1)
        load = asyncio.create_task(batches.encode(["passage"], "passage"))
        await asyncio.gather(*(batches.encode(["query"], "query") for _ in range(20)))
        await load
        kinds = [kind for kind, _ in recorder.batches]
        assert kinds.index("passage") <= 2

    run(check())


def test_queries_and_passages_are_never_in_one_batch() -> None:
    async def check() -> None:
        recorder = Recorder(0.001)
        batches = batcher(recorder, size=8)
        kinds: list[InputType] = ["query", "passage"]
        await asyncio.gather(*(batches.encode([kinds[i % 2]], kinds[i % 2]) for i in range(40)))
        assert all(set(texts) == {kind} for kind, texts in recorder.batches)

    run(check())


def test_no_more_batches_run_at_once_than_allowed() -> None:
    async def check() -> None:
        recorder = Recorder(0.002)
        batches = batcher(recorder, size=1, concurrency=3)
        await asyncio.gather(*(batches.encode(["x"], "query") for _ in range(30)))
        assert recorder.most_running == 3

    run(check())


def test_a_wait_gathers_passages_that_come_a_moment_later_and_no_query_waits() -> None:
    async def check() -> None:
        recorder = Recorder()
        batches = batcher(recorder, wait_s=0.05)
        first = asyncio.create_task(batches.encode(["a"], "passage"))
        await asyncio.sleep(0.01)
        async with asyncio.timeout(0.03):
            await batches.encode(["q"], "query")
        await asyncio.gather(first, batches.encode(["b"], "passage"))
        assert recorder.batches == [("query", ["q"]), ("passage", ["a", "b"])]

    run(check())


def test_one_bad_text_fails_its_own_request_only() -> None:
    async def check() -> None:
        recorder = Recorder(0.01)
        batches = batcher(recorder, size=8)
        answers = await asyncio.gather(
            *(batches.encode([text], "query") for text in ("first", "good", "poison", "fine")), return_exceptions=True
        )
        assert [type(answer) for answer in answers] == [Encoded, Encoded, EmbedderError, Encoded]

    run(check())


def test_a_lost_model_fails_all_that_wait_for_the_batch_without_trying_each() -> None:
    async def check() -> None:
        recorder = Recorder(0.01)
        batches = batcher(recorder, size=8)
        answers = await asyncio.gather(
            *(batches.encode([text], "query") for text in ("good", "dead", "fine")), return_exceptions=True
        )
        assert [type(answer) for answer in answers] == [EmbedderNotReady] * 3
        assert len(recorder.batches) == 1
        assert (await batches.encode(["later"], "query")).vectors.tolist() == [[5.0]]

    run(check())


def test_a_request_that_was_given_up_is_not_encoded() -> None:
    async def check() -> None:
        recorder = Recorder(0.02)
        batches = batcher(recorder, size=1)
        first = asyncio.create_task(batches.encode(["first"], "query"))
        given_up = asyncio.create_task(batches.encode(["given up"], "query"))
        last = asyncio.create_task(batches.encode(["last"], "query"))
        await asyncio.sleep(0.01)
        given_up.cancel()
        await asyncio.gather(first, last)
        assert [texts for _, texts in recorder.batches] == [["first"], ["last"]]

    run(check())


def test_too_long_a_queue_of_passages_refuses_passages_and_still_takes_queries() -> None:
    async def check() -> None:
        batches = batcher(Recorder(0.02), size=2, queue=6)
        load = asyncio.create_task(batches.encode(["x"] * 6, "passage"))
        await asyncio.sleep(0.005)
        with pytest.raises(Overloaded):
            await batches.encode(["x"] * 3, "passage")
        assert (await batches.encode(["query"], "query")).vectors.tolist() == [[5.0]]
        assert len((await load).vectors) == 6

    run(check())


def test_a_call_is_cut_into_batches_in_its_order_of_which_those_of_long_texts_are_smaller() -> None:
    texts = ["x" * 2000] * 5 + ["short"] * 10
    cut = [texts[some] for some in batches_of(texts, 4)]
    assert [text for batch in cut for text in batch] == texts
    assert [len(batch) for batch in cut] == [2, 2, 2, 4, 4, 1]
    assert [len(cut) for cut in (list(batches_of(["one"], 4)), list(batches_of(["a"] * 4, 4)))] == [1, 1]
