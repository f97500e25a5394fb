"""Which encoder a model name stands for."""

from __future__ import annotations

from .encoder import INPUT_TYPES, Encoder
from .fake import FakeEncoder
from .model_files import ModelSource, check_model_folder, find_model
from .settings import EmbedderSettings

WARM_UP_TEXTS = ["warm jacket", "waterproof hiking boots with a wide fit " * 20]


def open_encoder(settings: EmbedderSettings) -> Encoder:
    """The encoder that `settings.model` names, loaded and warmed up.

    Raises:
        EmbedderError: the model can't be found or loaded, or its device is missing.
    """
    encoder = load(find_model(settings.model, settings.model_id), settings)
    for input_type in INPUT_TYPES:
        encoder.encode(WARM_UP_TEXTS, input_type)
    return encoder


def load(source: ModelSource, settings: EmbedderSettings) -> Encoder:
    if source.folder is None:
        return FakeEncoder(source.id, source.fake_dimension or 0)
    check_model_folder(source.folder)
    from .transformer import SentenceTransformerEncoder

    return SentenceTransformerEncoder(source.id, source.folder, settings)
