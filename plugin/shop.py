"""What every operation on a catalog needs at hand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from prodsim.loaders.target import Target
from prodsim.mappings.bundle import TextModel

from .config import Settings

if TYPE_CHECKING:
    from opensearchpy import OpenSearch

    from prodsim.embedder.client import EmbedderClient


@dataclass(frozen=True)
class Shop:
    """An engine, an embedder, and the model that catalogs are embedded with."""

    client: OpenSearch
    settings: Settings
    embedder: EmbedderClient
    model: TextModel

    def target(self, index: str) -> Target:
        return Target(self.client, index, self.embedder, self.model)


def embedder_model(embedder: EmbedderClient, settings: Settings) -> TextModel:
    """The model that catalogs are embedded with.

    Raises:
        EmbedderUnreachable, EmbedderNotReady: no embedder to ask. EmbedderError: it does not serve that model.
    """
    embedder.require_ready()
    served = embedder.model(settings.model)
    return TextModel(served.id, served.revision, served.dimension)
