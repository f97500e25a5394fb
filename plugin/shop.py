"""What every operation on a catalog needs at hand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from prodsim.loaders.legs import Leg, check_parts
from prodsim.loaders.target import Target
from prodsim.mappings.bundle import TextModel, index_body

from .config import Settings
from .errors import EmbedderError

if TYPE_CHECKING:
    from opensearchpy import OpenSearch

    from prodsim.embedder.client import EmbedderClient, Model


@dataclass(frozen=True)
class Shop:
    """An engine, an embedder, and the models that catalogs are embedded with: of texts, and further `legs`."""

    client: OpenSearch
    settings: Settings
    embedder: EmbedderClient
    model: TextModel
    legs: tuple[Leg, ...] = ()

    def target(self, index: str) -> Target:
        return Target(self.client, index, self.embedder, self.model, self.legs)

    def index_body(self) -> dict[str, Any]:
        """What a new index of this shop is made from."""
        from .ranking.store import active_profile

        others = [leg.vector for leg in self.legs]
        return index_body(self.model, others=others, synonyms=active_profile(self.client).synonyms)


def open_client(settings: Settings) -> EmbedderClient:
    """Of the embedder that the settings name; to be closed."""
    from prodsim.embedder.client import EmbedderClient

    return EmbedderClient(
        settings.embedder_url, settings.embedder_timeout_s, settings.embedder_key, settings.embedder_ca_file
    )


def embedder_model(embedder: EmbedderClient, settings: Settings) -> TextModel:
    """The model that catalogs are embedded with.

    Raises:
        EmbedderUnreachable, EmbedderNotReady: no embedder to ask. EmbedderError: it does not serve that model.
    """
    embedder.require_ready()
    served = embedder.model(settings.model)
    return as_text_model(served)


def as_text_model(served: Model) -> TextModel:
    return TextModel(served.id, served.revision, served.dimension, served.vectors)


def embedder_legs(embedder: EmbedderClient, settings: Settings) -> tuple[Leg, ...]:
    """The further vectors that the settings ask for.

    Raises:
        EmbedderError: the embedder does not serve such a model. ConfigError: its parts are not those of products.
    """
    legs: list[Leg] = []
    if settings.image_model:
        served = embedder.model(settings.image_model)
        if "image" not in served.takes:
            raise EmbedderError(f"model {served.id} takes no images: name another as image_model")
        legs.append(Leg("image", as_text_model(served), settings.image_folder))
    if settings.fused_model:
        served = embedder.model(settings.fused_model)
        check_parts(served.id, served.takes)
        legs.append(Leg("fused", as_text_model(served), settings.image_folder, served.takes))
    return tuple(legs)
