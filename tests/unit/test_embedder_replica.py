"""How one copy of a model spends its time: its stages beside each other, queries beside passages."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence
from typing import Any

import pytest

from prodsim.embedder.encoder import BadItem, Encoded, InputType, Item
from prodsim.embedder.fake import FakeEncoder
from prodsim.embedder.replica import EncoderReplica
from prodsim.embedder.settings import ModelSettings
from prodsim.plugin.errors import EmbedderError


class Watched(FakeEncoder):
    """Runs a batch of passages only once it is let go; tells when stages begin."""

    def __init__(self) -> None:
        super().__init__("fake-16", 16)
        self.prepared = threading.Semaphore(0)
        self.running = threading.Event()
        self.go = threading.Event()

    def prepare(self, items: Sequence[Item], input_type: InputType) -> list[str]:
        texts = super().prepare(items, input_type)
        self.prepared.release()
        return texts

    def run(self, prepared: list[str]) -> Encoded:
        if prepared[0].startswith("passage"):
            self.running.set()
            assert self.go.wait(20)
        return super().run(prepared)


@pytest.fixture
def replica() -> Any:
    replica = EncoderReplica(ModelSettings(model="fake-16"))
    replica.encoder = Watched()
    return replica


async def happens(event: threading.Event | threading.Semaphore) -> bool:
    if isinstance(event, threading.Event):
        return await asyncio.to_thread(event.wait, 10)
    return await asyncio.to_thread(event.acquire, timeout=10)


def test_the_next_batch_is_tokenised_while_one_is_computed(replica: Any) -> None:
    async def run() -> None:
        first = asyncio.create_task(replica.encode(["passage one"], "passage"))
        assert await happens(replica.encoder.running)
        assert await happens(replica.encoder.prepared)
        second = asyncio.create_task(replica.encode(["passage two"], "passage"))
        assert await happens(replica.encoder.prepared)
        assert not first.done()
        replica.encoder.go.set()
        assert len((await first)[0]) == len((await second)[0]) == 16 * 4

    asyncio.run(run())


def test_a_query_is_computed_while_passages_are(replica: Any) -> None:
    async def run() -> None:
        passages = asyncio.create_task(replica.encode(["passage"], "passage"))
        assert await happens(replica.encoder.running)
        vectors, tokens = await asyncio.wait_for(replica.encode(["warm jacket"], "query"), 10)
        assert (len(vectors), tokens) == (16 * 4, [2])
        assert not passages.done()
        replica.encoder.go.set()
        await passages

    asyncio.run(run())


def test_a_call_s_bad_item_is_named_by_its_place_in_the_call(replica: Any) -> None:
    class Picky(FakeEncoder):
        def prepare(self, items: Sequence[Item], input_type: InputType) -> list[str]:
            if "bad" in items:
                raise BadItem("is bad", items.index("bad"))
            return super().prepare(items, input_type)

    replica.encoder = Picky("fake-16", 16)
    texts: list[Item] = [f"text {number}" for number in range(70)]
    vectors, tokens = asyncio.run(replica.encode(texts, "query"))
    assert (len(vectors), len(tokens)) == (70 * 16 * 4, 70)
    one, _ = asyncio.run(replica.encode(texts[65:66], "query"))
    assert vectors[65 * 64 : 66 * 64] == one
    texts[66] = "bad"
    with pytest.raises(BadItem) as refused:
        asyncio.run(replica.encode(texts, "query"))
    assert refused.value.position == 66


def test_a_call_of_many_batches_is_not_stuck_as_long_as_each_is_done_in_time(
    replica: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Slow(FakeEncoder):
        def run(self, prepared: list[str]) -> Encoded:
            time.sleep(0.3)
            return super().run(prepared)

    monkeypatch.setattr("prodsim.embedder.replica.STUCK_AFTER_S", 0.8)
    replica.encoder = Slow("fake-16", 16)

    async def run() -> None:
        call = asyncio.create_task(replica.encode([f"text {number}" for number in range(120)], "passage"))
        while not call.done():
            replica.check_health()
            await asyncio.sleep(0.02)
        await call

    asyncio.run(run())
    replica.busy_since["passage"] = time.monotonic() - 1
    with pytest.raises(EmbedderError):
        replica.check_health()
