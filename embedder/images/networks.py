"""Image networks of timm and torchvision: features in, their own preparation of an image with them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from prodsim.embedder.model_files import one_line
from prodsim.plugin.errors import EmbedderError

from . import efficientnet


@dataclass(frozen=True)
class Network:
    """`features` maps a batch of prepared images to vectors; `prepare` makes an RGB image a tensor (3, height, width).

    `revision` is of weights and preparation.
    """

    module: Any
    features: Callable[[Any], Any]
    prepare: Callable[[Any], Any]
    revision: str


def open_network(model: str | None, weights: Path | None) -> Network:
    """The network that a setting stands for; without `weights` it gets those that its library publishes for it.

    Raises:
        EmbedderError: there is no such network, it can't be had, or the weights are of another one.
    """
    try:
        if model is None:
            file = weights or efficientnet.packaged_weights()
            state = efficientnet.as_timm(read_weights(file))
            return timm_network(efficientnet.ARCHITECTURE, state)
        library, _, name = model.partition(":")
        open_named = timm_network if library == "timm" else torchvision_network
        return open_named(name, read_weights(weights) if weights else None)
    except EmbedderError:
        raise
    except ImportError as error:
        raise EmbedderError(f"image models need {error.name}: pip install 'prodsim[images]'") from None
    except Exception as error:  # whatever a name or a file makes the libraries raise
        raise EmbedderError(
            f"image model {model or efficientnet.PACKAGE} can't be loaded: {one_line(error)}"
        ) from error


def read_weights(file: Path) -> dict[str, Any]:
    """Tensors by name; a pickled file may hold nothing else."""
    import torch

    if file.suffix == ".safetensors":
        from safetensors.torch import load_file

        state: dict[str, Any] = load_file(file)
    else:
        state = torch.load(file, map_location="cpu", weights_only=True)
    inner = state.get("state_dict", state)
    return dict(inner)


def timm_network(name: str, state: dict[str, Any] | None) -> Network:
    timm: Any = import_module("timm")
    data: Any = import_module("timm.data")
    module = timm.create_model(name, pretrained=state is None)
    if state is not None:
        module.load_state_dict(state)
    module.eval()
    config = data.resolve_model_data_config(module)

    def features(images: Any) -> Any:
        return module.forward_head(module.forward_features(images), pre_logits=True)

    return Network(module, features, data.create_transform(**config, is_training=False), revision(module, config))


def torchvision_network(name: str, state: dict[str, Any] | None) -> Network:
    import torch

    models: Any = import_module("torchvision.models")
    published = models.get_model_weights(name).DEFAULT
    module = models.get_model(name, weights=published if state is None else None)
    if state is not None:
        module.load_state_dict(state)
    module.eval()
    # the last layer names classes; what goes into it is the image
    *_, (last, layer) = ((place, part) for place, part in module.named_modules() if isinstance(part, torch.nn.Linear))
    parent = module.get_submodule(last.rpartition(".")[0])
    setattr(parent, last.rpartition(".")[2], torch.nn.Identity())
    del layer
    preparation = published.transforms()
    return Network(module, module, preparation, revision(module, repr(preparation)))


def revision(module: Any, preparation: Any) -> str:
    """12 hexadecimal digits of the sha256 over weights and preparation."""
    digest = hashlib.sha256(repr(preparation).encode())
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
        digest.update(tensor.contiguous().cpu().numpy().tobytes())
    return digest.hexdigest()[:12]
