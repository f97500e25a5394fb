"""The forward pass on ONNX Runtime, in fp32 or in int8."""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from prodsim.plugin.errors import EmbedderError

from .model_files import one_line
from .traced import Features, TransformerOnly, after_transformer

# as the families of transformers name them: BERT, MPNet and RoBERTa; DistilBERT; ModernBERT and CLIP
FEED_FORWARD_OUTPUT = ("/output/dense/MatMul", "/ffn/lin2/MatMul", "/mlp/Wo/MatMul", "/mlp/fc2/MatMul")


def on_onnxruntime(
    model: Any, threads: int, precision: str, graph: Path | None = None
) -> Callable[[Features], Features]:
    """`model.forward` with the transformer on ONNX Runtime; what follows it, such as pooling, stays in torch.

    `graph` is the transformer as `write_onnx` wrote it; without one it is exported now.

    int8: weights quantised for each channel, activations for each batch (onnxruntime's dynamic quantization), but for
    what has outliers.

    Raises:
        EmbedderError: the transformer can't be exported.
    """
    try:
        with tempfile.TemporaryDirectory() as folder:
            if graph is None:
                graph = Path(folder) / "model.onnx"
                write_onnx(model, graph, precision)
            return OnnxForward(model, graph, threads)
    except Exception as error:
        raise EmbedderError(f"the model can't be exported to ONNX ({one_line(error)}): use backend torch") from error


def write_onnx(model: Any, file: Path, precision: str) -> None:
    """Writes the transformer as one file, in fp32 or with weights in int8."""
    import torch

    transformer = TransformerOnly(model)
    file.parent.mkdir(parents=True, exist_ok=True)
    plain = file if precision != "int8" else file.with_name("fp32.onnx")
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            transformer.recorded,
            transformer.example,
            str(plain),
            input_names=transformer.names,
            output_names=["last_hidden_state"],
            dynamic_axes={name: {0: "batch", 1: "tokens"} for name in [*transformer.names, "last_hidden_state"]},
            opset_version=17,
            dynamo=False,
        )
    if precision == "int8":
        quantization: Any = import_module("onnxruntime.quantization")
        kind = quantization.QuantType.QInt8
        logging.disable(logging.WARNING)  # it recommends a step that changes nothing for transformers
        try:
            quantization.quantize_dynamic(
                str(plain), str(file), per_channel=True, weight_type=kind, nodes_to_exclude=outlying(plain)
            )
        finally:
            logging.disable(logging.NOTSET)
        plain.unlink()


def outlying(file: Path) -> list[str]:
    """The second multiplications of the feed-forward layers. What goes into them has outliers: in int8 they take the
    range of all the others (Bondarenko, Nagel and Blankevoort 2021)."""
    onnx: Any = import_module("onnx")
    nodes = onnx.load(str(file), load_external_data=False).graph.node
    return [node.name for node in nodes if node.name.endswith(FEED_FORWARD_OUTPUT) and "attention" not in node.name]


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
