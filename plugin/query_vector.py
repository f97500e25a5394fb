"""A query's vector as searches take it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from prodsim.embedder.client import EmbedderClient


@dataclass(frozen=True)
class QueryVector:
    """`weight` is below 1 where the model could read a part of the query only: it then has to be nearer to products."""

    vector: list[float]
    weight: float = 1.0

    @property
    def params(self) -> dict[str, Any]:
        """What `prodsim-search` takes."""
        return {"vector": self.vector, "vector_weight": self.weight}


def query_vectors(
    embedder: EmbedderClient, queries: Sequence[str], model: str | None = None
) -> list[QueryVector | None]:
    """One a query; None where it means nothing to the model.

    Raises:
        EmbedderError: the embedder can't be reached, or has no such model.
    """
    vectors, weights = embedder.embed(queries, input_type="query", model=model)
    return [
        QueryVector(vector, weight) if weight > 0 else None
        for vector, weight in zip(vectors.tolist(), weights.tolist(), strict=True)
    ]
