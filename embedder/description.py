"""What an API replica knows of a model that runs in replicas of its own."""

from __future__ import annotations

from dataclasses import dataclass

from .encoder import ModelCard


@dataclass(frozen=True)
class Description:
    """What a replica says of its model, and how its texts are to be batched."""

    card: ModelCard
    batch_size: int
    wait_s: float
    concurrency: int
