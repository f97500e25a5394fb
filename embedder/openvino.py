"""The forward pass on OpenVINO: twice as fast as torch on a CPU. Needs no more than the `openvino` package."""

from __future__ import annotations

import sys
import threading
import warnings
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from prodsim.plugin.errors import EmbedderError

from .model_files import one_line
from .traced import Features, TransformerOnly, after_transformer

SMALL_BATCH_TOKENS = 128  # fewer are done sooner by one thread than by several that wait for each other
HINTS = {"fp32": "f32", "bf16": "bf16"}


def on_openvino(model: Any, threads: int, precision: str, graph: Path | None = None) -> Callable[[Features], Features]:
    """`model.forward` with the transformer compiled by OpenVINO; what follows it, such as pooling, stays in torch.

    `graph` is the transformer as `write_openvino` wrote it; without one it is converted now.

    Raises:
        EmbedderError: the transformer can't be converted.
    """
    try:
        return OpenVinoForward(model, threads, precision, graph)
    except Exception as error:
        raise EmbedderError(
            f"the model can't be converted to OpenVINO ({one_line(error)}): use backend torch"
        ) from error


def library() -> Any:
    """The openvino package: an extra, and without types."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # without it nothing is reported
    return import_module("openvino")


def convert(model: Any) -> Any:
    """The transformer as a graph of OpenVINO's, for texts of any number and length."""
    import torch

    openvino = library()
    transformer = TransformerOnly(model)
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")
        converted = openvino.convert_model(transformer.recorded, example_input=transformer.example)
    for tensor, name in zip(converted.inputs, transformer.names, strict=True):
        tensor.get_tensor().set_names({name})
        tensor.get_node().set_partial_shape(openvino.PartialShape([-1, -1]))
    converted.validate_nodes_and_infer_types()
    return converted


def write_openvino(model: Any, file: Path) -> None:
    """Writes the transformer as `file` and its weights beside it, in fp32."""
    file.parent.mkdir(parents=True, exist_ok=True)
    library().save_model(convert(model), str(file), compress_to_fp16=False)


class OpenVinoForward:
    """Called from several threads, each of which has an inference request of its own."""

    def __init__(self, model: Any, threads: int, precision: str, graph: Path | None) -> None:
        openvino = library()
        self.model = model
        self.output = model[0].module_output_name
        core = openvino.Core()
        converted = core.read_model(graph) if graph else convert(model)
        self.names = [tensor.get_any_name() for tensor in converted.inputs]
        # a thread that is bound to one core waits for whoever runs there, though another core is idle
        hints = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": HINTS[precision],
            "ENABLE_CPU_PINNING": False,
        }
        # one compiled model runs one request after the other: a query would wait for a batch of passages
        self.compiled = {
            count: core.compile_model(converted, "CPU", hints | {"INFERENCE_NUM_THREADS": count})
            for count in {1, threads}
        }
        self.threads = threads
        self.requests = threading.local()

    def __call__(self, features: Features) -> Features:
        import torch

        threads = 1 if features[self.names[0]].numel() < SMALL_BATCH_TOKENS else self.threads
        if not hasattr(self.requests, "by_threads"):
            self.requests.by_threads = {}
        own: dict[int, Any] = self.requests.by_threads
        if threads not in own:
            own[threads] = self.compiled[threads].create_infer_request()
        request = own[threads]
        request.infer([features[name].numpy() for name in self.names], share_inputs=True)
        features[self.output] = torch.from_numpy(request.get_output_tensor(0).data.copy())
        return after_transformer(self.model, features)
