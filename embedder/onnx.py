"""The forward pass on ONNX Runtime, in fp32 or in int8."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from prodsim.plugin.errors import EmbedderError

from .model_files import one_line
from .traced import Features, TransformerOnly, after_transformer


def on_onnxruntime(model: Any, threads: int, precision: str) -> Callable[[Features], Features]:
    """`model.forward` with the transformer on ONNX Runtime; what follows it, such as pooling, stays in torch.

    int8: weights quantised for each channel, activations for each batch (onnxruntime's dynamic quantization).

    Raises:
        EmbedderError: the transformer can't be exported.
    """
    try:
        with tempfile.TemporaryDirectory() as folder:
            return OnnxForward(model, export(model, Path(folder), precision), threads)
    except Exception as error:
        raise EmbedderError(f"the model can't be exported to ONNX ({one_line(error)}): use backend torch") from error


def export(model: Any, folder: Path, precision: str) -> Path:
    """The file of the exported transformer."""
    import torch

    transformer = TransformerOnly(model)
    plain = folder / "model.onnx"
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            transformer.recorded,
            transformer.example,
            str(plain),
            input_names=transformer.names,
            output_names=["token_embeddings"],
            dynamic_axes={name: {0: "batch", 1: "tokens"} for name in [*transformer.names, "token_embeddings"]},
            opset_version=17,
            dynamo=False,
        )
    if precision != "int8":
        return plain
    quantization: Any = import_module("onnxruntime.quantization")
    quantised = folder / "model-int8.onnx"
    quantization.quantize_dynamic(
        str(plain), str(quantised), per_channel=True, weight_type=quantization.QuantType.QInt8
    )
    return quantised


class OnnxForward:
    """Called from several threads: an inference session takes that."""

    def __init__(self, model: Any, file: Path, threads: int) -> None:
        onnxruntime: Any = import_module("onnxruntime")  # an extra, and without types
        self.model = model
        self.output = model[0].module_output_name
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self.session = onnxruntime.InferenceSession(file.read_bytes(), options, providers=["CPUExecutionProvider"])
        self.names = [tensor.name for tensor in self.session.get_inputs()]

    def __call__(self, features: Features) -> Features:
        import torch

        (embeddings,) = self.session.run(None, {name: features[name].numpy() for name in self.names})
        features[self.output] = torch.from_numpy(embeddings)
        return after_transformer(self.model, features)
