"""An encoder for tests, `fake-<dimension>`: no model, no torch, the same vectors on every machine."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Sequence

import numpy as np

from .encoder import Encoded, InputType, ModelCard, unit_length

PLACES_PER_WORD = 8
NAME = re.compile(r"fake-(\d{1,4})")


def fake_dimension(name: str) -> int | None:
    """The dimension in `fake-<dimension>`; None for any other name."""
    match = NAME.fullmatch(name)
    return int(match[1]) if match and int(match[1]) >= 2 else None


class FakeEncoder:
    """A hashed bag of words: texts are close when they share words. Queries and passages are encoded alike."""

    def __init__(self, model_id: str, dimension: int) -> None:
        revision = hashlib.sha256(f"fake-{dimension}".encode()).hexdigest()[:12]
        self.card = ModelCard(
            model_id, dimension, max_tokens=256, revision=revision, created=int(time.time()), backend="fake"
        )

    def prepare(self, texts: Sequence[str], input_type: InputType) -> list[str]:
        return list(texts)

    def run(self, prepared: list[str]) -> Encoded:
        texts = prepared
        words = [re.findall(r"\w+", text.lower())[: self.card.max_tokens] for text in texts]
        vectors = np.zeros((len(texts), self.card.dimension), dtype=np.float32)
        for row, text_words in zip(vectors, words, strict=True):
            for word in text_words:
                np.add.at(row, *places(word, self.card.dimension))
        return Encoded(unit_length(vectors), np.array([len(text_words) for text_words in words], dtype=np.int64))


def places(word: str, dimension: int) -> tuple[np.ndarray, np.ndarray]:
    """Where a word shows in a vector, and its sign there."""
    digest = hashlib.blake2b(word.encode(), digest_size=4 * PLACES_PER_WORD).digest()
    numbers = np.frombuffer(digest, dtype="<u4")
    return (numbers >> 1) % dimension, np.where(numbers & 1, 1.0, -1.0).astype(np.float32)
