"""What an encoder is: texts in, vectors out, in stages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

InputType = Literal["query", "passage"]
INPUT_TYPES: tuple[InputType, ...] = get_args(InputType)
Float32 = NDArray[np.float32]


@dataclass(frozen=True)
class ModelCard:
    """What clients need to know of a model. `revision` changes whenever its files do; `created` is Unix seconds.

    `backend` is what computes, such as `torch fp32`.
    """

    id: str
    dimension: int
    max_tokens: int
    revision: str
    created: int
    backend: str = ""


@dataclass(frozen=True)
class Encoded:
    """Vectors float32 (n, dimension), each of length 1, or 0 where the model found nothing; tokens int64 (n,)."""

    vectors: Float32
    tokens: NDArray[np.int64]


class Encoder(Protocol):
    """`run` is called from one thread at a time; `prepare` may be called from another meanwhile."""

    @property
    def card(self) -> ModelCard: ...

    def prepare(self, texts: Sequence[str], input_type: InputType) -> Any:
        """What `run` takes for these texts, made on the CPU: tokens and their padding."""

    def run(self, prepared: Any) -> Encoded:
        """One row a text, in order.

        Raises:
            EmbedderError: the model gave something that is no vector.
        """


def encode(encoder: Encoder, texts: Sequence[str], input_type: InputType) -> Encoded:
    """All stages at once."""
    return encoder.run(encoder.prepare(texts, input_type))


def unit_length(vectors: Float32) -> Float32:
    """Rows scaled to length 1; rows of length 0 stay."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    scaled: Float32 = np.where(lengths > 1e-12, vectors / np.maximum(lengths, 1e-12), 0).astype(np.float32)
    return scaled
