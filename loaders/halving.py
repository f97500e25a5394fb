"""One request for many items, where one that is refused costs no other its answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from prodsim.plugin.errors import EmbedderError, EmbedderNotReady, EmbedderUnreachable

from .waiting import Waiting

Item = TypeVar("Item")
Answer = TypeVar("Answer")


def embed_request(
    call: Callable[[list[Item]], list[Answer]], items: list[Item], waiting: Waiting, probe: Item
) -> list[Answer | EmbedderError]:
    """The answer for each item, or why it has none; a request that is refused is made again in halves.

    Raises:
        EmbedderError: `probe`, an item that can't be refused, is refused too.
    """
    try:
        return list(waiting.outlast(lambda: call(items)))
    except (EmbedderUnreachable, EmbedderNotReady):
        raise
    except EmbedderError as error:
        waiting.outlast(lambda: call([probe]))
        if len(items) == 1:
            return [error]
        half = len(items) // 2
        return embed_request(call, items[:half], waiting, probe) + embed_request(call, items[half:], waiting, probe)
