"""A vector made of several: title, attributes and image of a product as one."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from prodsim.plugin.errors import EmbedderNotReady

from .encoder import BadItem, Float32, InputType, Modality, ModelCard, unit_length
from .served_model import Embedded, ServedModel
from .settings import ModelSettings, PartSettings, declared_card


class FusedModel(ServedModel):
    """Its parts are other models of the same API, whose caches and batches it shares.

    Side by side, parts are scaled by the square root of their share of the weights: the cosine of two fused vectors
    with all parts is then the weighted mean of their parts' cosines. A missing part is left at zero, or out of the
    mean, and the whole is scaled to length 1 again.
    """

    def __init__(self, model_id: str, settings: ModelSettings, models: Mapping[str, ServedModel]) -> None:
        super().__init__(model_id, None)
        self.settings = settings
        self.parts: dict[str, PartSettings] = dict(settings.parts or {})
        self.models = models

    @property
    def card(self) -> ModelCard | None:
        """None while a part's model is not ready."""
        cards = {part: self.card_of(part) for part in self.parts}
        ready = {part: card for part, card in cards.items() if card is not None}
        if len(ready) < len(cards) or self.misfit(ready):
            return None
        self.was_ready = True
        lengths = [card.dimension for card in ready.values()]
        made_of = [(part, self.parts[part].weight, card.revision) for part, card in sorted(ready.items())]
        revision = hashlib.sha256(f"{self.settings.combine} {self.settings.dimension} {made_of}".encode()).hexdigest()
        whole = sum(lengths) if self.settings.combine == "concatenate" else lengths[0]
        card = ModelCard(
            id=self.id,
            dimension=min(whole, self.settings.dimension or whole),
            max_tokens=max(card.max_tokens for card in ready.values()),
            revision=revision[:12],
            created=max(card.created for card in ready.values()),
            backend=f"{self.settings.combine} of {', '.join(self.parts)}",
            modalities=tuple(sorted({modality for card in ready.values() for modality in card.modalities})),
            parts=tuple(self.parts),
        )
        return declared_card(card, self.settings)

    @card.setter
    def card(self, card: ModelCard | None) -> None:
        """Nothing to keep: it follows from the parts."""

    @property
    def reason(self) -> str:
        cards = {part: self.card_of(part) for part in self.parts}
        for part, card in cards.items():
            if card is None:
                other = self.models.get(self.parts[part].model)
                why = other.reason if other else f"there is no model {self.parts[part].model}"
                return f"model {self.id} is not ready: part {part}: {why}"
        return f"model {self.id} is not ready: {self.misfit({part: card for part, card in cards.items() if card})}"

    @reason.setter
    def reason(self, reason: str) -> None:
        """As with the card."""

    def card_of(self, part: str) -> ModelCard | None:
        model = self.models.get(self.parts[part].model)
        return model.card if model is not None else None

    def misfit(self, cards: Mapping[str, ModelCard]) -> str:
        """Why these parts can't be put together; "" where they can."""
        lengths = {part: card.dimension for part, card in cards.items()}
        if self.settings.combine == "mean" and len(set(lengths.values())) > 1:
            return f"its parts have different lengths ({lengths}), so they have no mean: use combine: concatenate"
        return ""

    def takes(self) -> dict[str, Modality]:
        """What each part is made from. Where its model takes both, a part named image… is an image.

        Raises:
            EmbedderNotReady: a part's model is not ready.
        """
        taken: dict[str, Modality] = {}
        for part in self.parts:
            card = self.card_of(part)
            if card is None:
                raise EmbedderNotReady(self.reason)
            both = len(card.modalities) > 1
            taken[part] = ("image" if part.startswith("image") else "text") if both else card.modalities[0]
        return taken

    async def embed(self, items: Sequence[Any], input_type: InputType) -> Embedded:
        """A row for each mapping of part names to items, with the weight of the part that could be read best.

        One without parts gets the last axis, and weight 0.

        Raises:
            BadItem: of the product at its position; its message names the part.
            EmbedderNotReady, EmbedderError: as of the parts' models.
        """
        card = self.card
        if card is None:
            raise EmbedderNotReady(self.reason)
        rows: dict[str, Float32] = {}
        weights = np.zeros(len(items), dtype=np.float32)
        tokens = 0
        for part, settings in self.parts.items():
            there = [position for position, item in enumerate(items) if part in item]
            length = self.models[settings.model].card
            if length is None:
                raise EmbedderNotReady(self.reason)
            rows[part] = np.zeros((len(items), length.dimension), dtype=np.float32)
            if there:
                try:
                    embedded = await self.models[settings.model].embed(
                        [items[position][part] for position in there], input_type
                    )
                except BadItem as bad:
                    raise BadItem(f"{part} {bad.message}", there[bad.position], bad.too_large) from None
                rows[part][there] = embedded.vectors * embedded.weights[:, None]
                weights[there] = np.maximum(weights[there], embedded.weights)
                tokens += embedded.tokens
        vectors = combined(rows, {part: self.parts[part].weight for part in rows}, self.settings.combine)
        vectors = unit_length(vectors[:, : card.dimension])
        weights[~vectors.any(axis=1)] = 0
        vectors[weights == 0, -1] = 1.0
        return Embedded(vectors, weights, tokens, card.revision)


def combined(rows: Mapping[str, Float32], weights: Mapping[str, float], how: str) -> Float32:
    """Unit vectors of parts, 0 where one is missing, as one vector a row; not yet of length 1."""
    if how == "mean":
        mean: Float32 = np.sum([np.float32(weights[part]) * vectors for part, vectors in rows.items()], axis=0)
        return mean
    total = sum(weights.values())
    return np.concatenate(
        [np.float32(np.sqrt(weights[part] / total)) * vectors for part, vectors in rows.items()], axis=1
    )
