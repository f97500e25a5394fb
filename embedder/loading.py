"""Which encoder a model name stands for, and which back end computes it."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from importlib.util import find_spec
from pathlib import Path

from prodsim.plugin.errors import EmbedderError

from .encoder import INPUT_TYPES, Encoder, Item, Modality, encode
from .exported import read_exported
from .fake import FakeEncoder
from .model_files import ModelSource, check_model_folder, find_model
from .settings import ModelSettings

WARM_UP_TEXTS: list[Item] = ["warm jacket", "waterproof hiking boots with a wide fit " * 20]
PACKAGES = {"torch": "torch", "openvino": "openvino", "onnx": "onnxruntime"}


def open_encoder(settings: ModelSettings) -> Encoder:
    """The encoder that `settings.model` names, loaded and warmed up.

    Raises:
        EmbedderError: the model can't be found or loaded, or its device or back end is missing.
    """
    encoder = load(find_model(settings.model, settings.model_id, settings.kind), settings)
    for input_type in INPUT_TYPES:
        for items in warm_up_items(encoder.card.modalities):
            encode(encoder, items, input_type)
    return encoder


def warm_up_items(modalities: Collection[Modality]) -> Iterator[list[Item]]:
    if "text" in modalities:
        yield from (WARM_UP_TEXTS[:1], WARM_UP_TEXTS)
    if "image" in modalities:
        from .images.content import blank

        yield [blank()]
        yield [blank(), blank()]


def load(source: ModelSource, settings: ModelSettings) -> Encoder:
    if source.fake_dimension is not None:
        return FakeEncoder(source.id, source.fake_dimension, settings.kind)
    if source.universal:
        from .universal import UniversalEncoder

        return UniversalEncoder(source.id, settings)
    if source.folder is None:
        from .images.encoder import ImageEncoder

        return ImageEncoder(source.id, settings)
    check_model_folder(source.folder)
    from .transformer import SentenceTransformerEncoder

    return SentenceTransformerEncoder(source.id, source.folder, settings, pick_backend(settings, source.folder))


def pick_backend(settings: ModelSettings, folder: Path | None = None) -> str:
    """The back end that is named; for `auto` the one that the folder was exported for, or the fastest that is here.

    Raises:
        EmbedderError: it is not installed.
    """
    exported = read_exported(folder) if folder else None
    if settings.backend == "auto" and exported and not settings.uses_gpu:
        return installed(exported.backend)
    if settings.backend == "auto":
        return "openvino" if not settings.uses_gpu and find_spec("openvino") is not None else "torch"
    return installed(settings.backend)


def installed(backend: str) -> str:
    if find_spec(PACKAGES[backend]) is None:
        extra = "embedder" if backend == "torch" else backend
        raise EmbedderError(f"back end {backend} is not installed: pip install 'prodsim[{extra}]'")
    return backend
