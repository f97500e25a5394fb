"""From settings to the objects that commands work with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from prodsim.plugin.client import connect
from prodsim.plugin.config import Settings

if TYPE_CHECKING:
    from prodsim.embedder.client import EmbedderClient
    from prodsim.plugin.shop import Shop


@contextmanager
def open_embedder(settings: Settings) -> Iterator[EmbedderClient]:
    from prodsim.plugin.shop import open_client

    with open_client(settings) as embedder:
        yield embedder


@contextmanager
def open_shop(settings: Settings) -> Iterator[Shop]:
    """Engine and embedder, both known to answer.

    Raises:
        EngineUnreachable, EngineError, EmbedderUnreachable, EmbedderNotReady, EmbedderError: which of them does not.
    """
    from prodsim.plugin.cluster import inspect_cluster
    from prodsim.plugin.shop import Shop, embedder_legs, embedder_model

    client = connect(settings)
    inspect_cluster(client)
    with open_embedder(settings) as embedder:
        yield Shop(client, settings, embedder, embedder_model(embedder, settings), embedder_legs(embedder, settings))
