"""A model folder with a ready graph in it: OpenVINO's or ONNX Runtime's, beside the weights that it was made from."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from prodsim.plugin.errors import EmbedderError

from .model_files import EXPORTED, MODEL_FILES, check_model_folder, content_revision, files_by_folder, read_json

GraphBackend = Literal["openvino", "onnx"]
GRAPHS = {
    ("openvino", "fp32"): "openvino/openvino_model.xml",
    ("openvino", "bf16"): "openvino/openvino_model.xml",  # the same graph: what it is computed in is told at run time
    ("onnx", "fp32"): "onnx/model.onnx",
    ("onnx", "int8"): "onnx/model_int8.onnx",
}


@dataclass(frozen=True)
class Exported:
    """What a folder's graph is for, the revision of the weights that it was made from, and what was measured then."""

    backend: GraphBackend
    precision: str
    revision: str
    measured: dict[str, Any]


def read_exported(folder: Path) -> Exported | None:
    """What `write_export` noted; None where the folder holds no graph.

    Raises:
        EmbedderError: the note can't be read.
    """
    if not (folder / EXPORTED).exists():
        return None
    note = read_json(folder / EXPORTED)
    try:
        exported = Exported(**note)
        GRAPHS[exported.backend, exported.precision]
    except (TypeError, KeyError):
        raise EmbedderError(f"{folder / EXPORTED} can't be read: export the model again") from None
    return exported


def exported_graph(folder: Path, backend: str, precision: str) -> Path | None:
    """The folder's graph for this back end; None where there is none.

    Raises:
        EmbedderError: the graph was made from other weights than those beside it.
    """
    exported = read_exported(folder)
    name = GRAPHS.get((backend, precision))
    if exported is None or name is None or GRAPHS[exported.backend, exported.precision] != name:
        return None
    if exported.revision != content_revision(folder):
        raise EmbedderError(f"the graph in {folder} is of other weights than those there: export the model again")
    return folder / name


def write_export(source: Path, to: Path, backend: GraphBackend, precision: str) -> None:
    """Makes `to` a copy of the model in `source`, with a graph for the back end.

    Raises:
        EmbedderError: `source` is no model that may be loaded, or the back end can't compute it.
    """
    from .transformer import load_transformer

    check_model_folder(source)
    for folder, files in files_by_folder(source):
        for file in files:
            if file.suffix in MODEL_FILES:
                copy = to / folder.relative_to(source) / file.name
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, copy)
    model = load_transformer(to)
    graph = to / GRAPHS[backend, precision]
    if backend == "openvino":
        from .openvino import write_openvino

        write_openvino(model, graph)
    else:
        from .onnx import write_onnx

        write_onnx(model, graph, precision)
    note_export(to, backend, precision, {})


def note_export(to: Path, backend: GraphBackend, precision: str, measured: dict[str, Any]) -> None:
    exported = Exported(backend, precision, content_revision(to), measured)
    (to / EXPORTED).write_text(json.dumps(asdict(exported), indent=2) + "\n", encoding="utf-8")
