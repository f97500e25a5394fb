"""Equal texts are encoded once, at one time and later, and never mixed up."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any

import numpy as np
import pytest

from prodsim.embedder.batching import Batcher
from prodsim.embedder.cache import VectorCache
from prodsim.embedder.encoder import Encoded, InputType, encode
from prodsim.embedder.fake import FakeEncoder
from prodsim.embedder.flights import FRESH, normalised
from prodsim.embedder.served_model import ServedModel
from prodsim.plugin.errors import EmbedderError

FAKE = FakeEncoder("fake-16", 16)


class Counting:
    """An encoder that takes a moment and remembers what it was given."""

    def __init__(self, seconds: float = 0.01) -> None:
        self.seconds = seconds
        self.seen: list[str] = []

    async def __call__(self, texts: list[str], input_type: InputType) -> Encoded:
        self.seen += texts
        await asyncio.sleep(self.seconds)
        if "poison" in texts:
            raise EmbedderError("the model choked")
        encoded = encode(FAKE, texts, input_type)
        sign = -1.0 if input_type == "query" else 1.0
        return Encoded(sign * encoded.vectors, encoded.tokens)


def served(encoder: Counting, cache_bytes: int = 1 << 20) -> ServedModel:
    model = ServedModel("fake-16", Batcher(encoder, max_batch_size=8, max_queued_items=100), VectorCache(cache_bytes))
    model.card = FAKE.card
    return model


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(test)


async def vectors(model: ServedModel, texts: Sequence[str], input_type: InputType = "passage") -> np.ndarray:
    return (await model.embed(texts, input_type)).vectors


def test_a_text_that_was_asked_before_is_not_encoded_again() -> None:
    async def check() -> None:
        encoder = Counting()
        model = served(encoder)
        first = await vectors(model, ["red scarf", "garden hose"])
        again = await vectors(model, ["garden hose", "boots", "red scarf"])
        assert np.array_equal(again[[2, 0]], first)
        assert sorted(encoder.seen) == ["boots", "garden hose", "red scarf"]
        assert (model.flights.cache.hits, model.flights.cache.misses) == (2, 3)

    run(check())


def test_a_request_that_wants_fresh_vectors_is_not_answered_from_the_cache() -> None:
    async def check() -> None:
        encoder = Counting()
        model = served(encoder)
        first = await vectors(model, ["red scarf"])
        FRESH.set(True)
        assert np.array_equal(await vectors(model, ["red scarf"]), first)
        assert encoder.seen == ["red scarf", "red scarf"]

    run(check())


def test_equal_texts_at_the_same_time_are_encoded_once() -> None:
    async def check() -> None:
        encoder = Counting()
        model = served(encoder, cache_bytes=0)
        answers = await asyncio.gather(*(vectors(model, ["scarf", f"text {i}", "scarf"]) for i in range(10)))
        assert encoder.seen.count("scarf") == 1
        expected = encode(FAKE, ["scarf"], "passage").vectors[0]
        assert all(np.array_equal(answer[row], expected) for answer in answers for row in (0, 2))

    run(check())


def test_a_query_and_a_passage_of_the_same_words_are_two_things() -> None:
    async def check() -> None:
        model = served(Counting())
        for _ in range(2):
            both = await asyncio.gather(vectors(model, ["scarf"], "query"), vectors(model, ["scarf"], "passage"))
            assert np.array_equal(both[0], -both[1])

    run(check())


def test_a_new_revision_of_the_model_finds_nothing_in_the_cache() -> None:
    async def check() -> None:
        encoder = Counting()
        model = served(encoder)
        await vectors(model, ["scarf"])
        model.card = FakeEncoder("fake-16", 16).card.__class__("fake-16", 16, 256, "another", 0)
        assert (await model.embed(["scarf"], "passage")).revision == "another"
        assert encoder.seen == ["scarf", "scarf"]

    run(check())


def test_a_request_that_is_given_up_does_not_cost_others_their_answer() -> None:
    async def check() -> None:
        model = served(Counting(0.05))
        first = asyncio.create_task(vectors(model, ["scarf", "boots"]))
        await asyncio.sleep(0.01)
        second = asyncio.create_task(vectors(model, ["scarf", "hose"]))
        await asyncio.sleep(0.01)
        first.cancel()
        assert np.array_equal(await second, encode(FAKE, ["scarf", "hose"], "passage").vectors)

    run(check())


def test_a_text_that_shares_a_request_with_a_bad_one_is_answered_to_others() -> None:
    async def check() -> None:
        model = served(Counting(0.02))
        bad = asyncio.create_task(vectors(model, ["poison", "scarf"]))
        await asyncio.sleep(0.005)
        good = await vectors(model, ["scarf"])
        assert np.array_equal(good, encode(FAKE, ["scarf"], "passage").vectors)
        with pytest.raises(EmbedderError, match="choked"):
            await bad

    run(check())


def test_a_cache_stays_within_its_bytes_and_keeps_what_is_used() -> None:
    cache = VectorCache(20_000)
    vector = np.ones(64, dtype=np.float32)
    cache.put(("model", "often"), vector, 1)
    for number in range(200):
        cache.put(("model", f"text {number}"), vector, 1)
        assert cache.get(("model", "often")) is not None
        assert cache.size_bytes <= 20_000
    assert cache.get(("model", "text 0")) is None
    assert cache.get(("model", "text 199")) is not None
    cache.drop("model")
    assert (cache.size_bytes, len(cache.rows)) == (0, 0)


def test_spaces_and_line_ends_make_no_difference_and_words_do() -> None:
    assert normalised("  red \r\n\t scarf ") == "red scarf"
    assert len({normalised(text) for text in ("Red scarf", "red scarf", "redscarf", "red\u00a0scarf")}) == 4
