"""What an API replica knows of a model that runs in replicas of its own."""

from __future__ import annotations

from dataclasses import dataclass

from .encoder import ModelCard


@dataclass(frozen=True)
class Description:
    """What a replica says of its model, and how its texts are to be batched.

    `batch_size` is how many go in one call. `direct` is the name that this replica listens under
    (`prodsim.embedder.direct`), one of so many `replicas`.
    """

    card: ModelCard
    batch_size: int
    wait_s: float
    concurrency: int
    replicas: int = 1
    direct: str | None = None
