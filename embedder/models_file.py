"""The YAML file that declares the models of an embedder."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from prodsim.plugin.errors import ConfigError

from .settings import MODEL_ID, ModelSettings, check_parts, problems_in


class ModelsFile(BaseModel):
    """`models` maps the names that clients use to what they stand for."""

    model_config = ConfigDict(extra="forbid")

    models: dict[str, ModelSettings] = Field(min_length=1)

    @model_validator(mode="after")
    def parts_are_there(self) -> Self:
        check_parts(self.models)
        return self


def read_models(path: Path) -> dict[str, ModelSettings]:
    """The models that a file declares, by name.

    Raises:
        ConfigError: the file can't be read, or all that is wrong with it, in one line.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} can't be read: {error}") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise ConfigError(f"{path} must hold a mapping with 'models' at its top level")
    try:
        models = ModelsFile.model_validate(from_folder(content, path.parent)).models
    except ValidationError as error:
        raise ConfigError(f"{path}: {problems_in(error)}") from None
    return models


def from_folder(content: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The content with names checked and paths that start with ./ or ../ taken from the file's own folder."""
    import re

    models = content.get("models")
    if not isinstance(models, dict):
        return content
    resolved = {}
    for name, model in models.items():
        if not isinstance(name, str) or not re.fullmatch(MODEL_ID[1:-1], name):
            raise ConfigError(f"{name!r} is no name for a model: use letters, digits and . : / - _")
        model = {} if model is None else model
        if isinstance(model, dict):
            paths = {key: model[key] for key in ("model", "weights") if str(model.get(key)).startswith(("./", "../"))}
            model = model | {key: str((folder / path).resolve()) for key, path in paths.items()}
        resolved[name] = model
    return {**content, "models": resolved}
