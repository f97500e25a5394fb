"""Any sentence-transformers model, on CPU or GPU."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from prodsim.plugin.errors import EmbedderError

from .encoder import Encoded, InputType, ModelCard, encode, unit_length
from .model_files import content_revision, one_line, stay_offline
from .onnx import on_onnxruntime
from .openvino import SMALL_BATCH_TOKENS, on_openvino
from .settings import ModelSettings
from .traced import Features, trace

PASSAGE_PROMPTS = ("document", "passage", "corpus")  # in the order of SentenceTransformer.encode_document


class SentenceTransformerEncoder:
    """Texts beyond the model's maximum of tokens are cut there.

    Queries and passages get the prompts that the model defines for them, as `encode_query` and `encode_document` of
    sentence-transformers give them, unless the settings have prefixes of their own.
    """

    def __init__(self, model_id: str, folder: Path, settings: ModelSettings, backend: str = "torch") -> None:
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
        from transformers.utils import logging

        logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # transformers is partly typed
        if settings.uses_gpu and not torch.cuda.is_available():
            raise EmbedderError("a GPU is asked for, but torch finds none: set num_gpus to 0 and device to auto or cpu")
        self.device = torch.device("cuda" if settings.uses_gpu else "cpu")
        self.settings = settings
        try:
            self.model = load_model(folder, settings, backend)
        except EmbedderError:
            raise
        except Exception as error:  # whatever a broken folder makes transformers raise
            raise EmbedderError(f"the model in {folder} can't be loaded: {one_line(error)}") from error
        if settings.max_tokens:
            self.model.max_seq_length = min(settings.max_tokens, self.model.max_seq_length or settings.max_tokens)
        self.prompts = {kind: self.prompt(kind) for kind in ("query", "passage")}
        self.precision = resolved_precision(settings, backend)
        self.forward = self.pick_forward(backend)
        self.card = ModelCard(model_id, 0, 0, "", 0)
        dimension = encode(self, ["one"], "passage").vectors.shape[1]
        self.card = ModelCard(
            id=model_id,
            dimension=dimension,
            max_tokens=min(self.model.max_seq_length or 1 << 30, 1 << 30),
            revision=revision(folder, settings),
            created=int(time.time()),
            backend=f"{backend} {self.precision}",
        )

    def pick_forward(self, backend: str) -> Callable[[Features], Features]:
        if backend == "openvino":
            return on_openvino(self.model, self.threads, self.precision)
        if backend == "onnx":
            return on_onnxruntime(self.model, self.threads, self.precision)
        if self.device.type == "cpu":
            return trace(self.model)
        forward: Callable[[Features], Features] = self.model.forward
        return forward

    def prompt(self, input_type: str) -> str | None:
        given = self.settings.query_prefix if input_type == "query" else self.settings.passage_prefix
        if given is not None:
            return given
        names = ("query",) if input_type == "query" else PASSAGE_PROMPTS
        for name in (*names, self.model.default_prompt_name):
            if name is not None and name in self.model.prompts:
                return str(self.model.prompts[name])
        return None

    def prepare(self, texts: Sequence[str], input_type: InputType) -> Any:
        task = "query" if input_type == "query" else "document"
        return self.model.preprocess(list(texts), prompt=self.prompts[input_type], task=task)

    def run(self, prepared: Any) -> Encoded:
        import torch

        features = {
            name: value.to(self.device) if isinstance(value, torch.Tensor) else value
            for name, value in prepared.items()
        }
        mask = features.get("attention_mask")
        # threads that wait for each other cost a busy machine more than they bring to a few words
        small = mask is not None and mask.numel() < SMALL_BATCH_TOKENS
        torch.set_num_threads(1 if small else self.threads)
        with torch.inference_mode():
            vectors = self.forward(features)["sentence_embedding"][:, : self.settings.dimension]
            vectors = vectors.float().cpu().numpy()
        if not np.isfinite(vectors).all():
            raise EmbedderError(f"model {self.card.id} gave vectors with values that are not numbers")
        tokens = mask.sum(dim=1).cpu().numpy() if mask is not None else np.zeros(len(vectors))
        return Encoded(unit_length(vectors), tokens.astype(np.int64))


def load_model(folder: Path, settings: ModelSettings, backend: str) -> Any:
    import torch
    from sentence_transformers import SentenceTransformer

    precisions = {"bf16": torch.bfloat16, "fp16": torch.float16}
    precision = resolved_precision(settings, backend)
    dtype = precisions.get(precision, torch.float32) if backend == "torch" else torch.float32
    model = SentenceTransformer(
        str(folder),
        device="cuda" if settings.uses_gpu else "cpu",
        trust_remote_code=False,
        local_files_only=True,
        model_kwargs={"use_safetensors": True, "dtype": dtype},
    )
    model.eval()
    return model


def resolved_precision(settings: ModelSettings, backend: str) -> str:
    """What `auto` stands for: bf16 where a back end that was picked for speed finds a CPU made for it, else fp32."""
    if settings.precision != "auto":
        return settings.precision
    return "bf16" if backend == "openvino" and settings.backend == "auto" and has_bf16() else "fp32"


def has_bf16() -> bool:
    try:
        flags = Path("/proc/cpuinfo").read_text()
    except OSError:
        return False
    return "amx_bf16" in flags or "avx512_bf16" in flags


def revision(folder: Path, settings: ModelSettings) -> str:
    """The revision of the model's files; where settings change its vectors beyond rounding, of these too.

    Back ends and half precisions, whose vectors have a cosine of .999 and more with those of fp32, share its revision:
    catalogs need no new vectors.
    """
    files = content_revision(folder)
    names = ("query_prefix", "passage_prefix", "dimension", "max_tokens")
    changes = [(name, value) for name in names if (value := getattr(settings, name)) is not None]
    if settings.precision == "int8":
        changes.append(("precision", "int8"))
    if not changes:
        return files
    return hashlib.sha256(f"{files} {sorted(changes)}".encode()).hexdigest()[:12]
