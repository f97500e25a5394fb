"""Images to vectors with a network of timm or torchvision, on CPU or GPU."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from prodsim.embedder.encoder import BadItem, Encoded, InputType, Item, ModelCard, unit_length
from prodsim.embedder.settings import ModelSettings
from prodsim.plugin.errors import EmbedderError

from .content import blank, decode_image
from .networks import open_network


class ImageEncoder:
    """Features before the last layer of a classifier, pooled; each image resized, cropped and normalised as trained."""

    def __init__(self, model_id: str, settings: ModelSettings) -> None:
        """Loads the network.

        Raises:
            EmbedderError: it can't be had, or a GPU is asked for and there is none.
        """
        self.threads = settings.threads_per_replica
        os.environ["OMP_NUM_THREADS"] = str(self.threads)  # Ray sets the number of CPUs that are reserved
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        import torch

        if settings.uses_gpu and not torch.cuda.is_available():
            raise EmbedderError("a GPU is asked for, but torch finds none: set num_gpus to 0 and device to auto or cpu")
        self.device = torch.device("cuda" if settings.uses_gpu else "cpu")
        self.network = open_network(settings.model, settings.weights)
        self.precision = settings.precision if settings.precision != "auto" else "fp32"
        self.network.module.to(self.device)
        self.dimension = settings.dimension
        vectors = self.forward(torch.zeros(1, *self.prepare([blank()], "passage")[0].shape))
        self.card = ModelCard(
            id=model_id,
            dimension=vectors.shape[1],
            max_tokens=0,
            revision=self.network.revision + (f"-{self.dimension}" if self.dimension else ""),
            created=int(time.time()),
            backend=f"torch {self.precision}",
            modalities=("image",),
        )

    def prepare(self, items: Sequence[Item], input_type: InputType) -> list[Any]:
        """A tensor for each image; queries and passages are treated alike."""
        import torch

        tensors = []
        with torch.inference_mode():
            for position, item in enumerate(items):
                if isinstance(item, str):
                    raise BadItem("is a text, and this model takes images", position)
                try:
                    tensors.append(self.network.prepare(decode_image(item)))
                except BadItem as bad:
                    raise bad.at(position) from None
        return tensors

    def run(self, prepared: list[Any]) -> Encoded:
        import torch

        vectors = self.forward(torch.stack(prepared))
        if not np.isfinite(vectors).all():
            raise EmbedderError(f"model {self.card.id} gave vectors with values that are not numbers")
        return Encoded(unit_length(vectors), np.zeros(len(vectors), dtype=np.int64))

    def forward(self, images: Any) -> Any:
        import torch

        torch.set_num_threads(self.threads)
        half = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(self.precision)
        with torch.inference_mode(), torch.autocast(self.device.type, half or torch.bfloat16, enabled=half is not None):
            features = self.network.features(images.to(self.device))
        return features.float().flatten(1)[:, : self.dimension].cpu().numpy()
