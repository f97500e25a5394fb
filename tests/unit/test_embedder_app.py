"""How the API finds the models that Ray Serve runs."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest

pytest.importorskip("ray")

from ray import serve

from prodsim.embedder import app
from prodsim.embedder.settings import EmbedderSettings


class Loading:
    """A handle to a model that does not answer yet."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError("not yet")


def test_a_model_whose_application_is_known_sooner_than_its_deployment_is_found_a_round_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []

    def handle(deployment: str, application: str) -> Loading:
        asked.append(application)
        if application == "model-b" and asked.count("model-b") == 1:
            raise KeyError("Deployment(name='encoder', app='model-b') does not exist.")
        return Loading()

    monkeypatch.delattr(app.ApiReplica, "__del__")  # awaited by Serve alone
    monkeypatch.setattr(app, "DISCOVER_EVERY_S", 0.01)
    monkeypatch.setattr(app, "served_models", lambda: {name: f"model-{name}" for name in ("a", "b", "c")})
    monkeypatch.setattr(serve, "get_deployment_handle", handle)

    async def found() -> list[str]:
        replica = app.ApiReplica(EmbedderSettings())
        try:
            async with asyncio.timeout(10):
                while len(replica.models) < 3:
                    await asyncio.sleep(0.01)
        finally:
            for task in (replica.discovery, *replica.watchers.values()):
                if task is not None:
                    task.cancel()
        return sorted(replica.models)

    assert asyncio.run(found()) == ["a", "b", "c"]
    gc.collect()
    assert asked == ["model-a", "model-b", "model-c", "model-b"]
