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
        if agrees(model, traced):
            return traced
    except Exception:  # a model of an unusual kind: whatever recording it raises, the original works
        pass
    forward: Callable[[Features], Features] = model.forward
    return forward


class TracedForward:
    def __init__(self, model: Any) -> None:
        import torch

        self.model = model
        first = model[0]
        inner = first.model
        features = model.preprocess(["waterproof hiking boots", "a scarf"])
        self.names = [name for name, value in features.items() if isinstance(value, torch.Tensor)]
        self.output = first.module_output_name
        names = self.names

        class Transformer(torch.nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.inner = inner

            def forward(self, *tensors: Any) -> Any:
                return self.inner(**dict(zip(names, tensors, strict=True)), return_dict=True).last_hidden_state

        with warnings.catch_warnings(), torch.inference_mode():
            warnings.simplefilter("ignore")
            recorded = torch.jit.trace(  # type: ignore[no-untyped-call]  # torch is partly typed
                Transformer().eval(), tuple(features[name] for name in self.names), check_trace=False
            )
            self.graph = torch.jit.freeze(recorded)

    def __call__(self, features: Features) -> Features:
        import torch

        tensors = [features[name] for name in self.names]
        with torch.jit.optimized_execution(False):  # type: ignore[attr-defined]  # in torch.jit's documentation
            # else each new shape would be compiled, in the middle of a query
            features[self.output] = self.graph(*tensors)
        for module in list(self.model)[1:]:
            features = module(features)
        return features


def agrees(model: Any, traced: TracedForward) -> bool:
    import torch

    words = "waterproof hiking boots with a wide fit made of full grain leather for long walks "
    for count in PROBES:
        texts = [words * (place * 4) + "red" * place for place in range(count)]
        with torch.inference_mode():
            expected = model.forward(model.preprocess(texts))["sentence_embedding"]
            got = traced(model.preprocess(texts))["sentence_embedding"]
        if expected.shape != got.shape or float((expected - got).abs().max()) > LARGEST_DIFFERENCE:
            return False
    return True
