"""Which model a name stands for, which models are refused, and when a revision changes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from prodsim.embedder.encoder import encode
from prodsim.embedder.fake import FakeEncoder
from prodsim.embedder.loading import open_encoder
from prodsim.embedder.model_files import check_model_folder, content_revision, find_model, packaged_model_folder
from prodsim.embedder.settings import EmbedderSettings, ServerSettings, port_in, server_settings
from prodsim.plugin.errors import EmbedderError, UsageError

TRANSFORMER = {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"}
POOLING = {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}
HEADER = b'{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
WEIGHTS = len(HEADER).to_bytes(8, "little") + HEADER + bytes(4)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Files as a small sentence-transformers model has them."""
    model = tmp_path / "shop-model"
    (model / "1_Pooling").mkdir(parents=True)
    (model / "modules.json").write_text(json.dumps([TRANSFORMER, POOLING]))
    (model / "config.json").write_text("{}")
    (model / "tokenizer.json").write_text("{}")
    (model / "1_Pooling" / "config.json").write_text('{"pooling_mode_mean_tokens": true}')
    (model / "model.safetensors").write_bytes(WEIGHTS)
    return model


def test_without_a_name_the_packaged_model_is_found_and_may_be_loaded() -> None:
    source = find_model(None)
    assert source.id == "all-minilm-l6-v2"
    assert source.folder == packaged_model_folder()
    check_model_folder(source.folder)


def test_a_folder_is_named_after_itself_unless_told(folder: Path) -> None:
    assert find_model(str(folder)).id == "shop-model"
    assert find_model(str(folder), "minilm-fashion").id == "minilm-fashion"
    check_model_folder(folder)


@pytest.mark.parametrize("name", ["/no/such/folder", "./model", "~/model", "a/b/c", "fake-1", "fake-x", "fake-99999"])
def test_a_name_that_can_be_no_model_is_refused_without_a_download(name: str) -> None:
    with pytest.raises(EmbedderError, match=r"no (such )?model"):
        find_model(name)


def test_a_folder_without_modules_is_no_sentence_transformers_model(folder: Path) -> None:
    (folder / "modules.json").unlink()
    with pytest.raises(EmbedderError, match=r"modules\.json is missing"):
        check_model_folder(folder)


@pytest.mark.parametrize("content", ["", "{}", "[1]", '[{"path": 3}]', "[[]]"])
def test_a_broken_list_of_modules_is_refused(folder: Path, content: str) -> None:
    (folder / "modules.json").write_text(content)
    with pytest.raises(EmbedderError, match="no sentence-transformers model"):
        check_model_folder(folder)


def test_pickled_weights_are_refused_with_the_way_out(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(EmbedderError, match=r"pickled.*safe_serialization=True"):
        check_model_folder(folder)


def test_pickled_weights_of_one_module_are_refused(folder: Path) -> None:
    (folder / "2_Dense").mkdir()
    (folder / "2_Dense" / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(EmbedderError, match=r"2_Dense are pickled"):
        check_model_folder(folder)


def test_code_that_comes_with_a_model_is_refused(folder: Path) -> None:
    (folder / "modules.json").write_text(json.dumps([TRANSFORMER | {"type": "custom_st.Transformer"}]))
    with pytest.raises(EmbedderError, match=r"custom_st\.Transformer is code that comes with the model"):
        check_model_folder(folder)


def test_a_module_outside_the_folder_is_refused(folder: Path) -> None:
    (folder / "modules.json").write_text(json.dumps([TRANSFORMER | {"path": "../elsewhere"}]))
    with pytest.raises(EmbedderError, match="outside the model"):
        check_model_folder(folder)


def test_a_folder_without_weights_is_refused(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    with pytest.raises(EmbedderError, match="no safetensors weights"):
        check_model_folder(folder)


@pytest.mark.parametrize("content", [b"", b"version https://git-lfs.github.com/spec/v1", WEIGHTS[:-1], WEIGHTS[:20]])
def test_damaged_weights_are_refused_before_anything_is_loaded(folder: Path, content: bytes) -> None:
    (folder / "model.safetensors").write_bytes(content)
    with pytest.raises(EmbedderError, match=r"model\.safetensors is damaged"):
        check_model_folder(folder)


def test_a_revision_changes_with_weights_configuration_and_tokenizer_only(folder: Path) -> None:
    first = content_revision(folder)
    assert len(first) == 12
    (folder / "README.md").write_text("about")
    (folder / ".cache").mkdir()
    (folder / ".cache" / "state.json").write_text("{}")
    assert content_revision(folder) == first
    revisions = {first}
    for name in ("model.safetensors", "1_Pooling/config.json", "tokenizer.json"):
        (folder / name).write_bytes((folder / name).read_bytes() + b" ")
        revisions.add(content_revision(folder))
    assert len(revisions) == 4


def test_a_fake_encoder_gives_the_same_vectors_every_time() -> None:
    first, second = FakeEncoder("a", 64), open_encoder(EmbedderSettings(model="fake-64"))
    texts = ["warm jacket", "Jacket, WARM!", "garden hose", ""]
    vectors = encode(first, texts, "query").vectors
    assert np.array_equal(vectors, encode(second, texts, "passage").vectors)
    assert vectors.shape == (4, 64)
    assert vectors[0] @ vectors[1] == pytest.approx(1)
    assert abs(vectors[0] @ vectors[2]) < 0.6
    assert not vectors[3].any()


def test_a_gpu_is_used_only_when_asked_for_and_gets_larger_batches() -> None:
    assert not EmbedderSettings().uses_gpu
    assert EmbedderSettings(num_gpus=0.5).uses_gpu
    assert EmbedderSettings(device="cuda").uses_gpu
    assert not EmbedderSettings(num_gpus=1, device="cpu").uses_gpu
    assert EmbedderSettings().batch_size < EmbedderSettings(num_gpus=1).batch_size
    assert EmbedderSettings(num_gpus=1, max_batch_size=7).batch_size == 7


def test_copies_share_the_cpus_unless_they_reserve_their_own() -> None:
    assert EmbedderSettings(replicas=1000).threads_per_replica == 1
    assert EmbedderSettings(num_cpus=4).threads_per_replica == 4
    assert EmbedderSettings(num_cpus=0.5).threads_per_replica == 1
    assert EmbedderSettings(num_cpus=4, threads=2).threads_per_replica == 2


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8901"),
        ("0.0.0.0", "http://127.0.0.1:8901"),
        ("::", "http://[::1]:8901"),
        ("embedder.shop", "http://embedder.shop:8901"),
    ],
)
def test_the_url_of_a_server_is_one_that_can_be_called(host: str, url: str) -> None:
    assert ServerSettings(host=host).url == url


def test_bad_options_are_refused_together_in_one_line() -> None:
    with pytest.raises(UsageError, match=r"model_id: .*; port: ") as caught:
        server_settings(model_id="no spaces allowed", port=0, host=None)
    assert "\n" not in str(caught.value)
    with pytest.raises(UsageError, match="99999"):
        port_in("http://127.0.0.1:99999")
    assert port_in("http://embedder:8901/") == 8901
    assert server_settings(port=port_in("http://embedder"), model=None) == ServerSettings()


def test_the_application_takes_no_address() -> None:
    with pytest.raises(ValueError, match="port"):
        EmbedderSettings.model_validate({"port": 8901})
    assert ServerSettings(port=1234, replicas=3).application == EmbedderSettings(replicas=3)
