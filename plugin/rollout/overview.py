"""`model list`: models that are served, looked at, or in use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from prodsim.plugin.indexes import product_indexes
from prodsim.plugin.shop import as_text_model

from .candidates import candidates

if TYPE_CHECKING:
    from opensearchpy import OpenSearch

    from prodsim.embedder.client import Model


@dataclass(frozen=True)
class Known:
    """A model of texts. `served`: the embedder answers for this revision; `added`: when it passed its probe.

    `serves` are aliases on an index of it, `indexes` all indexes of it.
    """

    model: str
    revision: str
    dimension: int
    served: bool
    added: str | None
    serves: Sequence[str]
    indexes: Sequence[str]


def known_models(client: OpenSearch, served: Sequence[Model]) -> list[Known]:
    """Every model, by name."""
    here = {as_text_model(model).stamp: as_text_model(model) for model in served if "text" in model.takes}
    looked_at = {candidate.probe.stamp: candidate for candidate in candidates(client)}
    in_use = product_indexes(client)
    dimensions = {stamp: model.dimension for stamp, model in here.items()}
    dimensions |= {stamp: candidate.probe.dimension for stamp, candidate in looked_at.items()}
    dimensions |= {index.model.stamp: index.model.dimension for index in in_use}
    found = []
    for stamp, dimension in sorted(dimensions.items()):
        name, _, revision = stamp.rpartition("@")
        own = [index for index in in_use if index.model.stamp == stamp]
        found.append(
            Known(
                model=name,
                revision=revision,
                dimension=dimension,
                served=stamp in here,
                added=looked_at[stamp].at if stamp in looked_at else None,
                serves=sorted({alias for index in own for alias in index.aliases}),
                indexes=[index.name for index in own],
            )
        )
    return found
