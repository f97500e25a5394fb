"""Any sentence-transformers model, on CPU or GPU."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from prodsim.plugin.errors import EmbedderError

from .encoder import Encoded, InputType, ModelCard, unit_length
from .model_files import content_revision, one_line, stay_offline
from .settings import EmbedderSettings

SMALL_BATCH_CHARACTERS = 500


class SentenceTransformerEncoder:
    """Float32 throughout; texts beyond the model's maximum of tokens are cut there.

    Queries and passages get the prompts that the model defines for them (`encode_query`, `encode_document`).
    """

    def __init__(self, model_id: str, folder: Path, settings: EmbedderSettings) -> None:
        """Loads the model in a few seconds. Call it in the thread that will encode: OpenMP counts threads for each.

        Raises:
            EmbedderError: the model can't be loaded, or a GPU is asked for and there is none.
        """
        self.threads = settings.threads_per_replica
        os.environ["OMP_NUM_THREADS"] = str(self.threads)  # Ray sets the number of CPUs that are reserved
        # OpenMP's threads spin while they wait: where the engine shares the CPUs, that made queries ten times slower
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        stay_offline()
        import torch
        from sentence_transformers import SentenceTransformer
        from transformers.utils import logging

        logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # transformers is partly typed
        if settings.uses_gpu and not torch.cuda.is_available():
            raise EmbedderError("a GPU is asked for, but torch finds none: set num_gpus to 0 and device to auto or cpu")
        try:
            self.model = SentenceTransformer(
                str(folder),
                device="cuda" if settings.uses_gpu else "cpu",
                trust_remote_code=False,
                local_files_only=True,
                model_kwargs={"use_safetensors": True, "dtype": torch.float32},
            )
        except Exception as error:  # whatever a broken folder makes transformers raise
            raise EmbedderError(f"the model in {folder} can't be loaded: {one_line(error)}") from error
        self.batch_size = settings.batch_size
        self.card = ModelCard(
            id=model_id,
            dimension=self.model.get_embedding_dimension() or self.encode(["one"], "passage").vectors.shape[1],
            max_tokens=min(self.model.max_seq_length or 1 << 30, 1 << 30),
            revision=content_revision(folder),
            created=int(time.time()),
        )

    def encode(self, texts: Sequence[str], input_type: InputType) -> Encoded:
        import torch

        # threads that wait for each other cost a busy machine more than they bring to a few words
        small = sum(map(len, texts)) < SMALL_BATCH_CHARACTERS
        torch.set_num_threads(1 if small else self.threads)
        run = self.model.encode_query if input_type == "query" else self.model.encode_document
        # output_value=None also returns what the tokenizer made of the texts, which is counted for `usage`
        rows: Any = run(list(texts), batch_size=self.batch_size, show_progress_bar=False, output_value=None)
        vectors = torch.stack([row["sentence_embedding"] for row in rows]).float().cpu().numpy()
        if not np.isfinite(vectors).all():
            raise EmbedderError(f"model {self.card.id} gave vectors with values that are not numbers")
        tokens = [int(row["attention_mask"].sum()) if "attention_mask" in row else 0 for row in rows]
        return Encoded(unit_length(vectors), np.array(tokens, dtype=np.int64))
