"""What an encoder is: texts or images in, vectors out, in stages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from prodsim.plugin.errors import EmbedderError

InputType = Literal["query", "passage"]
INPUT_TYPES: tuple[InputType, ...] = get_args(InputType)
Modality = Literal["text", "image"]
Item = str | bytes  # a text, or the content of an image file
Float32 = NDArray[np.float32]


class BadItem(EmbedderError):
    """One item of a request can't be encoded, through no fault of the model's. `position` is its place among them."""

    def __init__(self, message: str, position: int = 0, too_large: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.position = position
        self.too_large = too_large

    def at(self, position: int) -> BadItem:
        """The same of another place."""
        return BadItem(self.message, position, self.too_large)

    def __reduce__(self) -> tuple[type[BadItem], tuple[str, int, bool]]:
        return BadItem, (self.message, self.position, self.too_large)


@dataclass(frozen=True)
class ModelCard:
    """What clients need to know of a model. `revision` changes whenever its files do; `created` is Unix seconds.

    `backend` is what computes, such as `torch fp32`. `modalities` is what it takes, all in one space;
    `parts` are those of a fused one. `vectors` is float32, or int8 for whole numbers from -127 to 127.
    """

    id: str
    dimension: int
    max_tokens: int
    revision: str
    created: int
    backend: str = ""
    modalities: tuple[Modality, ...] = ("text",)
    parts: tuple[str, ...] = ()
    vectors: str = "float32"


@dataclass(frozen=True)
class Encoded:
    """Vectors float32 (n, dimension), tokens int64 (n,).

    A vector's length is its weight: 1, less where the model could read a part of the item only, 0 where it found
    nothing.
    """

    vectors: Float32
    tokens: NDArray[np.int64]


class Encoder(Protocol):
    """`run` is called from one thread at a time; `prepare` may be called from another meanwhile."""

    @property
    def card(self) -> ModelCard: ...

    def prepare(self, items: Sequence[Item], input_type: InputType) -> Any:
        """What `run` takes for these items, made on the CPU: tokens and their padding, or pixels.

        Raises:
            BadItem: an image is damaged.
        """

    def run(self, prepared: Any) -> Encoded:
        """One row an item, in order.

        Raises:
            EmbedderError: the model gave something that is no vector.
        """


def encode(encoder: Encoder, items: Sequence[Item], input_type: InputType) -> Encoded:
    """All stages at once."""
    return encoder.run(encoder.prepare(items, input_type))


def unit_length(vectors: Float32) -> Float32:
    """Rows scaled to length 1; rows of length 0 stay."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    scaled: Float32 = np.where(lengths > 1e-12, vectors / np.maximum(lengths, 1e-12), 0).astype(np.float32)
    return scaled
