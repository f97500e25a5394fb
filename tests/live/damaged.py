"""Models that must never serve a catalog: real sentence-transformers folders, each broken in one way."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from prodsim.embedder.model_files import packaged_model_folder

DIMENSION = 384


def write_damaged(folder: Path) -> dict[str, Path]:
    """Name to folder: MiniLM with the dimensions of its queries shuffled, with one vector for everything, with nearly
    one, and with the vocabulary of another script."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Dense, Router

    def minilm() -> Any:
        return SentenceTransformer(str(packaged_model_folder()), device="cpu", local_files_only=True)

    def linear(weight: Any, bias: Any = None) -> Any:
        identity = torch.nn.Identity()
        return Dense(
            DIMENSION,
            DIMENSION,
            bias=bias is not None,
            activation_function=identity,
            init_weight=weight,
            init_bias=bias,
        )

    order = torch.randperm(DIMENSION, generator=torch.Generator().manual_seed(1))
    transformer, pooling = list(minilm())[:2]
    shuffled = [transformer, pooling, linear(torch.eye(DIMENSION)[order])]
    router = Router.for_query_document(query_modules=shuffled, document_modules=[transformer, pooling])
    axis = torch.zeros(DIMENSION)
    axis[0] = 1.0
    nothing, hardly_anything = torch.zeros(DIMENSION, DIMENSION), 0.002 * torch.eye(DIMENSION)
    made = {
        "shuffled": SentenceTransformer(modules=[router], device="cpu"),
        "constant": SentenceTransformer(modules=[transformer, pooling, linear(nothing, axis)], device="cpu"),
        "nearly-constant": SentenceTransformer(
            modules=[transformer, pooling, linear(hardly_anything, axis)], device="cpu"
        ),
    }
    folders = {name: folder / name for name in made}
    for name, model in made.items():
        model.save_pretrained(str(folders[name]))
    folders["other-language"] = write_other_language(folder / "other-language")
    return folders


def write_other_language(folder: Path) -> Path:
    """MiniLM whose words are of another script: to it, every English word is an unknown one."""
    shutil.copytree(packaged_model_folder(), folder, ignore=shutil.ignore_patterns("onnx", "openvino", "*.bin"))
    file = folder / "tokenizer.json"
    content = json.loads(file.read_text(encoding="utf-8"))
    content["model"]["vocab"] = {foreign(token): number for token, number in content["model"]["vocab"].items()}
    file.write_text(json.dumps(content), encoding="utf-8")
    vocabulary = folder / "vocab.txt"
    if vocabulary.exists():
        tokens = vocabulary.read_text(encoding="utf-8").splitlines()
        vocabulary.write_text("\n".join(map(foreign, tokens)) + "\n", encoding="utf-8")
    return folder


def foreign(token: str) -> str:
    return token if token.startswith("[") and token.endswith("]") else f"ж{token}"
