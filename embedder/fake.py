"""An encoder for tests, `fake-<dimension>`: no model, no torch, the same vectors on every machine."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Sequence

import numpy as np

from .encoder import BadItem, Encoded, InputType, Item, ModelCard, unit_length

PLACES_PER_WORD = 8
NAME = re.compile(r"fake-(\d{1,4})")


def fake_dimension(name: str) -> int | None:
    """The dimension in `fake-<dimension>`; None for any other name."""
    match = NAME.fullmatch(name)
    return int(match[1]) if match and int(match[1]) >= 2 else None


class FakeEncoder:
    """A hashed bag of words: texts are close when they share words. Queries and passages are encoded alike.

    Of kind image it also takes images: the words of one are its colours, a few for each corner.
    """

    def __init__(self, model_id: str, dimension: int, kind: str = "text") -> None:
        revision = hashlib.sha256(f"fake-{dimension}".encode()).hexdigest()[:12]
        self.card = ModelCard(
            model_id,
            dimension,
            max_tokens=256,
            revision=revision,
            created=int(time.time()),
            backend="fake",
            modalities=("text", "image") if kind == "image" else ("text",),
        )

    def prepare(self, items: Sequence[Item], input_type: InputType) -> list[str]:
        texts = []
        for position, item in enumerate(items):
            try:
                texts.append(item if isinstance(item, str) else colours(item))
            except BadItem as bad:
                raise bad.at(position) from None
        return texts

    def run(self, prepared: list[str]) -> Encoded:
        words = [re.findall(r"\w+", text.lower())[: self.card.max_tokens] for text in prepared]
        vectors = np.zeros((len(prepared), self.card.dimension), dtype=np.float32)
        for row, text_words in zip(vectors, words, strict=True):
            for word in text_words:
                np.add.at(row, *places(word, self.card.dimension))
        return Encoded(unit_length(vectors), np.array([len(text_words) for text_words in words], dtype=np.int64))


def colours(content: bytes) -> str:
    """A word for each of 16 places of an image, after its colour."""
    from .images.content import decode_image

    small = np.asarray(decode_image(content).resize((4, 4)))
    return " ".join(
        f"p{place}c{red // 32}{green // 32}{blue // 32}"
        for place, (red, green, blue) in enumerate(small.reshape(-1, 3).tolist())
    )


def places(word: str, dimension: int) -> tuple[np.ndarray, np.ndarray]:
    """Where a word shows in a vector, and its sign there."""
    digest = hashlib.blake2b(word.encode(), digest_size=4 * PLACES_PER_WORD).digest()
    numbers = np.frombuffer(digest, dtype="<u4")
    return (numbers >> 1) % dimension, np.where(numbers & 1, 1.0, -1.0).astype(np.float32)
