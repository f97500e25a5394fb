"""The YAML file that declares several models."""

from __future__ import annotations

from pathlib import Path

import pytest

from prodsim.embedder.models_file import read_models
from prodsim.embedder.settings import EmbedderSettings, ModelSettings, ServerSettings
from prodsim.plugin.errors import ConfigError


def declare(folder: Path, text: str) -> Path:
    file = folder / "models.yaml"
    file.write_text(text)
    return file


def test_models_are_declared_by_the_name_that_clients_use(tmp_path: Path) -> None:
    file = declare(tmp_path, "models:\n  minilm: {backend: auto, replicas: 2}\n  shop/next: {model: ./next}\n  tiny:\n")
    models = read_models(file)
    assert models["minilm"] == ModelSettings(backend="auto", replicas=2)
    assert models["shop/next"].model == str(tmp_path / "next")
    assert models["tiny"] == ModelSettings()
    declared = EmbedderSettings(models=models).declared()
    assert {name: model.model_id for name, model in declared.items()} == {name: name for name in models}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "mapping"),
        ("[]", "mapping"),
        ("models: {", "not valid YAML"),
        ("models: {}", "at least 1"),
        ("models: {a: {replcas: 2}}", "replcas"),
        ("models: {a b: }", "no name for a model"),
        ("models: {3: }", "no name for a model"),
        ("models: {a: {backend: torch, precision: int8}}", "torch computes in fp32 or bf16 or fp16"),
        ("models: {a: {backend: openvino, num_gpus: 1}}", "CPUs only"),
        ("models: {a: {kind: image, backend: openvino}}", "images are computed by torch"),
    ],
)
def test_a_file_that_can_t_be_used_is_refused_in_one_line(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        read_models(declare(tmp_path, text))
    assert "\n" not in str(caught.value)


def test_all_that_is_wrong_with_a_file_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"models\.a\.replicas: .*; models\.b\.wrong: "):
        read_models(declare(tmp_path, "models: {a: {replicas: 0}, b: {wrong: 1}}"))


def test_a_missing_file_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="can't be read"):
        read_models(tmp_path / "none.yaml")


def test_one_model_and_several_can_t_be_mixed() -> None:
    with pytest.raises(ValueError, match="replicas can't be set beside models"):
        EmbedderSettings(models={"a": ModelSettings()}, replicas=2)


def test_settings_travel_to_the_server_as_json_and_back() -> None:
    several = ServerSettings(models={"a": ModelSettings(model="fake-8")}, port=1234, cache_bytes=0)
    single = ServerSettings(model="fake-8", replicas=3)
    for settings in (several, single):
        assert ServerSettings.model_validate_json(settings.model_dump_json(exclude_defaults=True)) == settings
