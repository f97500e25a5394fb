"""Any sentence-transformers model of texts, images or both, on CPU or GPU."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, get_args

import numpy as np

from prodsim.plugin.errors import EmbedderError

from .encoder import BadItem, Encoded, Float32, InputType, Item, Modality, ModelCard, encode, unit_length
from .exported import exported_graph, read_exported
from .images.content import blank, decode_image
from .legibility import Reader
from .model_files import content_revision, one_line, stay_offline
from .onnx import on_onnxruntime
from .openvino import SMALL_BATCH_TOKENS, on_openvino
from .settings import ModelSettings
from .traced import Features, mixed, trace

PASSAGE_PROMPTS = ("document", "passage", "corpus")  # in the order of SentenceTransformer.encode_document


class Group(NamedTuple):
    """Items of one modality: their positions, what the model takes for them, and how far it can read them."""

    positions: list[int]
    features: Any
    weights: Float32 | None = None


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
        self.precision = resolved_precision(settings, backend, folder)
        try:
            self.model = load_model(folder, settings, backend, self.precision)
        except EmbedderError:
            raise
        except Exception as error:  # whatever a broken folder makes transformers raise
            raise EmbedderError(f"the model in {folder} can't be loaded: {one_line(error)}") from error
        if settings.max_tokens:
            self.model.max_seq_length = min(settings.max_tokens, self.model.max_seq_length or settings.max_tokens)
        if len(self.model.modalities) > 1 and settings.backend == "auto" and backend != "torch":
            backend, self.precision = "torch", "fp32"
        self.modalities = modalities_of(self.model, settings.kind)
        self.prompts = {kind: self.prompt(kind) for kind in ("query", "passage")}
        self.reader = Reader(self.model.tokenizer)
        self.forward = self.pick_forward(backend, folder)
        self.card = ModelCard(model_id, 0, 0, "", 0)
        probe: Item = "one" if "text" in self.modalities else blank()
        dimension = encode(self, [probe], "passage").vectors.shape[1]
        self.card = ModelCard(
            id=model_id,
            dimension=dimension,
            max_tokens=min(self.model.max_seq_length or 1 << 30, 1 << 30),
            revision=revision(folder, settings, self.precision),
            created=int(time.time()),
            backend=f"{backend} {self.precision}",
            modalities=self.modalities,
        )

    def pick_forward(self, backend: str, folder: Path) -> Callable[[Features], Features]:
        graph = exported_graph(folder, backend, self.precision)
        if len(self.model.modalities) > 1:  # there is more than one way through it
            if backend != "torch":
                raise EmbedderError(f"a model of texts and images runs on torch only, not on {backend}")
            whole: Callable[[Features], Features] = self.model.forward
            return whole
        if backend == "openvino":
            return on_openvino(self.model, self.threads, self.precision, graph)
        if backend == "onnx":
            return on_onnxruntime(self.model, self.threads, self.precision, graph)
        if self.device.type == "cpu":
            return trace(self.model)
        return mixed(self.model)

    def prompt(self, input_type: str) -> str | None:
        given = self.settings.query_prefix if input_type == "query" else self.settings.passage_prefix
        if given is not None:
            return given
        names = ("query",) if input_type == "query" else PASSAGE_PROMPTS
        for name in (*names, self.model.default_prompt_name):
            if name is not None and name in self.model.prompts:
                return str(self.model.prompts[name])
        return None

    def prepare(self, items: Sequence[Item], input_type: InputType) -> list[Group]:
        texts = [position for position, item in enumerate(items) if isinstance(item, str)]
        images = [position for position, item in enumerate(items) if isinstance(item, bytes)]
        groups: list[Group] = []
        if texts:
            given: list[Any] = [items[position] for position in texts]
            if len(self.model.modalities) > 1:  # it would take a text that looks like a path or a URL for an image
                given = [{"text": text} for text in given]
            task = "query" if input_type == "query" else "document"
            features = self.model.preprocess(given, prompt=self.prompts[input_type], task=task)
            groups.append(Group(texts, features, self.weights(items, texts) if input_type == "query" else None))
        if images:
            features = self.model.preprocess([self.decoded(items, position) for position in images])
            groups.append(Group(images, features))
        return groups

    def weights(self, items: Sequence[Item], positions: Sequence[int]) -> Float32:
        """How far the model can read those texts. Products are not asked: alike ones have like pieces."""
        return self.reader.weights([str(items[position]) for position in positions])

    def decoded(self, items: Sequence[Item], position: int) -> Any:
        item = items[position]
        if isinstance(item, str) or "image" not in self.modalities:
            raise BadItem("is an image, and this model takes texts", position)
        try:
            return {"image": decode_image(item)}
        except BadItem as bad:
            raise bad.at(position) from None

    def run(self, prepared: list[Group]) -> Encoded:
        if len(prepared) == 1:
            return self.run_group(prepared[0])
        encoded = [(group.positions, self.run_group(group)) for group in prepared]
        count = sum(len(positions) for positions, _ in encoded)
        vectors = np.empty((count, encoded[0][1].vectors.shape[1]), dtype=np.float32)
        tokens = np.zeros(count, dtype=np.int64)
        for positions, one in encoded:
            vectors[positions] = one.vectors
            tokens[positions] = one.tokens
        return Encoded(vectors, tokens)

    def run_group(self, group: Group) -> Encoded:
        import torch

        features = {
            name: value.to(self.device) if isinstance(value, torch.Tensor) else value
            for name, value in group.features.items()
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
        vectors = unit_length(vectors)
        if group.weights is not None:
            vectors *= group.weights[:, None]
        tokens = mask.sum(dim=1).cpu().numpy() if mask is not None else np.zeros(len(vectors))
        return Encoded(vectors, tokens.astype(np.int64))


def modalities_of(model: Any, kind: str) -> tuple[Modality, ...]:
    """What the model is to take.

    Raises:
        EmbedderError: it can't take that.
    """
    there = tuple(modality for modality in get_args(Modality) if modality in model.modalities)
    if kind not in there:
        raise EmbedderError(f"the model takes {' and '.join(there)}, not {kind}: set its kind")
    return there if kind == "image" else ("text",)


def load_model(folder: Path, settings: ModelSettings, backend: str, precision: str) -> Any:
    import torch
    from sentence_transformers import SentenceTransformer

    precisions = {"bf16": torch.bfloat16, "fp16": torch.float16}
    dtype = precisions.get(precision, torch.float32) if backend == "torch" else torch.float32
    model = SentenceTransformer(
        str(folder),
        device="cuda" if settings.uses_gpu else "cpu",
        trust_remote_code=False,
        local_files_only=True,
        model_kwargs={"use_safetensors": True, "dtype": dtype},
    )
    for module in list(model)[1:]:  # sums over tokens and what follows them are done in fp32
        module.float()
    model.eval()
    return model


def load_transformer(folder: Path) -> Any:
    """The model as sentence-transformers has it, in fp32 on the CPU.

    Raises:
        EmbedderError: it can't be loaded, or takes more than texts.
    """
    stay_offline()
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # as above
    try:
        model = load_model(folder, ModelSettings(), "torch", "fp32")
    except Exception as error:  # as in SentenceTransformerEncoder
        raise EmbedderError(f"the model in {folder} can't be loaded: {one_line(error)}") from error
    if modalities_of(model, "text") != tuple(model.modalities):
        raise EmbedderError(f"the model in {folder} takes {', '.join(model.modalities)}: only one of texts has a graph")
    return model


def resolved_precision(settings: ModelSettings, backend: str, folder: Path) -> str:
    """What `auto` stands for.

    What the folder was exported in; else, where the back end was picked for speed too, bf16 on hardware made for it;
    else fp32.
    """
    if settings.precision != "auto":
        return settings.precision
    exported = read_exported(folder)
    if exported is not None and exported.backend == backend:
        return exported.precision
    if settings.uses_gpu and settings.backend == "auto":
        import torch

        return "bf16" if torch.cuda.is_available() and torch.cuda.is_bf16_supported() else "fp32"
    computes_bf16 = backend == "openvino" or (backend == "torch" and settings.kind == "text")
    return "bf16" if computes_bf16 and settings.backend == "auto" and has_bf16() else "fp32"


def has_bf16() -> bool:
    try:
        flags = Path("/proc/cpuinfo").read_text()
    except OSError:
        return False
    return "amx_bf16" in flags or "avx512_bf16" in flags


def revision(folder: Path, settings: ModelSettings, precision: str) -> str:
    """The revision of the model's files; where settings change its vectors beyond rounding, of these too.

    Back ends and half precisions, whose vectors have a cosine of .999 and more with those of fp32, share its revision:
    catalogs need no new vectors.
    """
    files = content_revision(folder)
    names = ("query_prefix", "passage_prefix", "dimension", "max_tokens")
    changes = [(name, value) for name in names if (value := getattr(settings, name)) is not None]
    if precision == "int8":
        changes.append(("precision", "int8"))
    if not changes:
        return files
    return hashlib.sha256(f"{files} {sorted(changes)}".encode()).hexdigest()[:12]
