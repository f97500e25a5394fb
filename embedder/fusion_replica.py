"""Where a fused model's declaration lives on Ray Serve; the API computes it from the parts' models."""

from __future__ import annotations

from .settings import ModelSettings


class FusionReplica:
    def __init__(self, settings: ModelSettings) -> None:
        self.settings = settings

    async def describe(self) -> ModelSettings:
        return self.settings
