"""What an encoder is, and which one a model name stands for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from .fake import FakeEncoder, fake_dimension
from .model_files import ModelSource, find_model
from .settings import EmbedderSettings

InputType = Literal["query", "passage"]
Float32 = NDArray[np.float32]

WARM_UP = ["warm jacket", "waterproof hiking boots with a wide fit " * 20]


@dataclass(frozen=True)
class ModelCard:
    """What clients need to know of a model. `revision` changes whenever its vectors might."""

    id: str
    dimension: int
    max_tokens: int
    revision: str
    created: int


@dataclass(frozen=True)
class Encoded:
    """Vectors float32 (n, dimension), each of length 1, or 0 where the model found nothing; tokens int64 (n,)."""

    vectors: Float32
    tokens: NDArray[np.int64]


class Encoder(Protocol):
    """Called from one thread at a time."""

    @property
    def card(self) -> ModelCard: ...

    def encode(self, texts: Sequence[str], input_type: InputType) -> Encoded:
        """One row a text, in order.

        Raises:
            EmbedderError: the model gave something that is no vector.
        """


def open_encoder(settings: EmbedderSettings) -> Encoder:
    """The encoder that `settings.model` names, loaded and warmed up.

    Raises:
        EmbedderError: the model can't be found or loaded, or its device is missing.
    """
    encoder = load(find_model(settings.model, settings.model_id), settings)
    for input_type in ("query", "passage"):
        encoder.encode(WARM_UP, input_type)
    return encoder


def load(source: ModelSource, settings: EmbedderSettings) -> Encoder:
    if source.folder is None:
        return FakeEncoder(source.id, fake_dimension(source.name))
    from .transformer import SentenceTransformerEncoder

    return SentenceTransformerEncoder(source.id, source.folder, settings)
