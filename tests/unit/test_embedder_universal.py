"""The universal sentence encoder, from its package: 512 numbers, several languages, no torch."""

from __future__ import annotations

import numpy as np
import pytest

from prodsim.embedder.encoder import encode
from prodsim.embedder.loading import load
from prodsim.embedder.model_files import find_model
from prodsim.embedder.settings import ModelSettings
from prodsim.embedder.universal import UniversalEncoder
from prodsim.plugin.errors import EmbedderError

SETTINGS = ModelSettings(model="universal-sentence-encoder", max_tokens=32)


@pytest.fixture(scope="module")
def encoder() -> UniversalEncoder:
    found = load(find_model(SETTINGS.model), SETTINGS)
    assert isinstance(found, UniversalEncoder)
    return found


def test_a_text_is_near_to_the_same_in_another_language(encoder: UniversalEncoder) -> None:
    texts = ["a warm jacket for the mountains", "eine warme Jacke für die Berge", "garden hose with a nozzle"]
    vectors = encode(encoder, texts, "passage").vectors
    assert encoder.card.dimension == vectors.shape[1] == 512
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2] + 0.2


def test_a_text_has_the_same_vector_alone_and_among_others(encoder: UniversalEncoder) -> None:
    alone = encode(encoder, ["desk lamp"], "query").vectors[0]
    among = encode(encoder, ["a very long title " * 5, "desk lamp", ""], "passage").vectors[1]
    assert np.allclose(alone, among, atol=1e-5)


def test_a_long_text_counts_with_its_beginning(encoder: UniversalEncoder) -> None:
    encoded = encode(encoder, ["lamp " * 500, "lamp " * 100_000], "passage")
    assert encoded.tokens.tolist() == [32, 32]
    assert np.allclose(encoded.vectors[0], encoded.vectors[1], atol=1e-5)


def test_what_the_model_can_not_do_is_refused() -> None:
    settings = ModelSettings(model="universal-sentence-encoder", backend="onnx")
    with pytest.raises(EmbedderError, match="in numpy on CPUs"):
        load(find_model(settings.model), settings)
    with pytest.raises(ValueError, match="kind text"):
        ModelSettings(model="universal-sentence-encoder", kind="image")
