"""The socket between the API and a model: same answers, errors with their place, and no hanging when a side is gone."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import uvloop

from prodsim.embedder import direct
from prodsim.embedder.direct import Direct, Failed, Severed
from prodsim.embedder.encoder import BadItem, InputType, Item


async def counted(texts: list[Item], input_type: InputType) -> tuple[bytes, list[int]]:
    """A vector a text: how long it is, and whether it is a query."""
    if "bad" in texts:
        raise BadItem("it is bad", texts.index("bad"))
    if "broken" in texts:
        raise RuntimeError("out of memory")
    rows = np.array([[len(text), input_type == "query"] for text in texts], dtype=np.float32)
    return rows.tobytes(), [len(text) for text in texts]


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Plays a scene on the loop of Python, and on the one that Ray Serve brings."""
    return partial(play_on, request.param)


def play_on(
    new_loop: Callable[[], asyncio.AbstractEventLoop],
    scene: Callable[[Direct], Any],
    encode: direct.Encode = counted,
) -> None:
    async def play() -> Any:
        door = await direct.listen(encode)
        if door is None:
            pytest.skip("this system has no abstract Unix sockets: this check did not run")
        gc.collect()  # what nobody holds is gone, and with it a listening socket
        await scene(Direct(door.name))

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(play())


def test_answers_are_those_of_the_replica_and_connections_are_used_again(run: Callable[..., None]) -> None:
    async def scene(to: Direct) -> None:
        for _ in range(3):
            encoded = await to.encode(["a", "größer"], "query")
            assert encoded.vectors.tolist() == [[1, 1], [6, 1]]
            assert encoded.tokens.tolist() == [1, 6]
        assert len(to.idle) == 1
        together = await asyncio.gather(*(to.encode(["x" * n], "passage") for n in range(1, 20)))
        assert [one.vectors[0, 0] for one in together] == list(range(1, 20))
        assert to.calls == 0

    run(scene)


def test_a_bad_text_is_named_by_its_place_and_a_failing_model_by_its_reason(run: Callable[..., None]) -> None:
    async def scene(to: Direct) -> None:
        with pytest.raises(BadItem, match="it is bad") as caught:
            await to.encode(["fine", "bad"], "query")
        assert caught.value.position == 1
        with pytest.raises(Failed, match="out of memory"):
            await to.encode(["broken"], "query")
        assert (await to.encode(["ab"], "query")).tokens.tolist() == [2]

    run(scene)


def test_a_replica_that_is_gone_severs_the_call(run: Callable[..., None]) -> None:
    async def scene(to: Direct) -> None:
        with pytest.raises(Severed):
            await Direct("prodsim-nobody-listens-here").encode(["a"], "query")
        await to.encode(["a"], "query")
        [(_, writer)] = to.idle
        writer.transport.abort()
        with pytest.raises(Severed):
            await to.encode(["a"], "query")
        assert (await to.encode(["a"], "query")).tokens.tolist() == [1]

    run(scene)


def test_a_call_that_is_given_up_closes_its_connection_and_takes_nobody_elses_answer(run: Callable[..., None]) -> None:
    async def slow(texts: list[Item], input_type: InputType) -> tuple[bytes, list[int]]:
        await asyncio.sleep(0.2 if "slow" in texts else 0)
        return await counted(texts, input_type)

    async def scene(to: Direct) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await to.encode(["slow"], "query")
        assert to.idle == []
        assert (await to.encode(["ab"], "query")).tokens.tolist() == [2]

    run(scene, slow)


def test_another_users_process_is_told_nothing(run: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(to: Direct) -> None:
        monkeypatch.setattr(direct, "is_own", lambda writer: False)
        with pytest.raises(Severed, match="another user"):
            await to.encode(["a"], "query")

    run(scene)
