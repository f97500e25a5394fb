"""The forward pass without the Python in it: for a few words, that is half of its time."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

Features = dict[str, Any]
PROBES = (1, 3)
LARGEST_DIFFERENCE = 1e-6


def trace(model: Any) -> Callable[[Features], Features]:
    """`model.forward`, with its transformer recorded as a TorchScript graph where that gives the same vectors.

    The graph runs the same kernels in the same order. It is held against the original on texts of several lengths,
    alone and padded; a model for which they differ, or which can't be recorded, runs as it is.
    """
    try:
        traced = TracedForward(model)
        if largest_difference(model, traced) <= LARGEST_DIFFERENCE:
            return traced
    except Exception:  # a model of an unusual kind: whatever recording it raises, the original works
        pass
    return mixed(model)


def mixed(model: Any) -> Callable[[Features], Features]:
    """`model.forward` with all that follows the transformer in fp32, whatever the transformer computes in."""

    def forward(features: Features) -> Features:
        features = model[0](features)
        for name in ("token_embeddings", "sentence_embedding"):
            if name in features:
                features[name] = features[name].float()
        return after_transformer(model, features)

    return forward


class TransformerOnly:
    """A model's first module as a graph of tensors in, token embeddings out. `names` are those of its inputs."""

    def __init__(self, model: Any) -> None:
        import torch

        inner = model[0].model
        features = model.preprocess(["waterproof hiking boots", "a scarf"])
        self.names = names = [name for name, value in features.items() if isinstance(value, torch.Tensor)]
        self.example = tuple(features[name] for name in names)

        class Transformer(torch.nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.inner = inner

            def forward(self, *tensors: Any) -> Any:
                return self.inner(**dict(zip(names, tensors, strict=True)), return_dict=True).last_hidden_state

        with warnings.catch_warnings(), torch.inference_mode():
            warnings.simplefilter("ignore")
            self.recorded: Any = torch.jit.trace(  # type: ignore[no-untyped-call]  # torch is partly typed
                Transformer().eval(), self.example, check_trace=False
            )


def after_transformer(model: Any, features: Features) -> Features:
    """What a model's other modules, such as pooling, make of token embeddings."""
    for module in list(model)[1:]:
        features = module(features)
    return features


class TracedForward:
    def __init__(self, model: Any) -> None:
        import torch

        self.model = model
        transformer = TransformerOnly(model)
        self.names = transformer.names
        self.output = model[0].module_output_name
        with warnings.catch_warnings(), torch.inference_mode():
            warnings.simplefilter("ignore")
            self.graph = torch.jit.freeze(transformer.recorded)

    def __call__(self, features: Features) -> Features:
        import torch

        tensors = [features[name] for name in self.names]
        # else each new shape would be compiled, in the middle of a query
        with torch.jit.optimized_execution(False):  # type: ignore[attr-defined]  # public, but not in its __all__
            features[self.output] = self.graph(*tensors).float()
        return after_transformer(self.model, features)


def largest_difference(model: Any, forward: Callable[[Features], Features]) -> float:
    """Between the vectors of the model as it is and those of another forward pass, over texts of several lengths."""
    import torch

    words = "waterproof hiking boots with a wide fit made of full grain leather for long walks "
    original = mixed(model)
    largest = 0.0
    for count in PROBES:
        texts = [words * (place * 4) + "red" * place for place in range(count)]
        with torch.inference_mode():
            expected = original(model.preprocess(texts))["sentence_embedding"]
            got = forward(model.preprocess(texts))["sentence_embedding"]
        if expected.shape != got.shape:
            return float("inf")
        largest = max(largest, float((expected - got).abs().max()))
    return largest
