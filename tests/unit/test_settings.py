"""Settings: who wins, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from prodsim.plugin.config import load_settings
from prodsim.plugin.errors import ConfigError


@pytest.fixture(autouse=True)
def clean_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("PRODSIM_CONFIG", "PRODSIM_ALIAS", "PRODSIM_ENGINE_URL"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def test_a_flag_wins_over_the_environment_which_wins_over_the_file_which_wins_over_the_default(
    clean_environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert load_settings().alias == "products"
    (clean_environment / "prodsim.yaml").write_text("alias: from_file\n")
    assert load_settings().alias == "from_file"
    monkeypatch.setenv("PRODSIM_ALIAS", "from_environment")
    assert load_settings().alias == "from_environment"
    assert load_settings(alias="from_flag").alias == "from_flag"


def test_unknown_settings_are_refused_all_at_once_wherever_they_are(
    clean_environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (clean_environment / "prodsim.yaml").write_text("aliass: x\nengine_timeout_s: -1\n")
    monkeypatch.setenv("PRODSIM_ENGINE_ULR", "http://x")
    with pytest.raises(ConfigError) as refused:
        load_settings()
    message = str(refused.value)
    assert "PRODSIM_ENGINE_ULR" in message
    assert "unknown setting aliass in prodsim.yaml" in message
    assert "engine_timeout_s" in message
    assert "\n" not in message


@pytest.mark.parametrize("content", ["- a\n- b\n", "just text", "a: [1\n", "{1: 2}"])
def test_a_file_that_is_no_mapping_is_refused_in_one_line(clean_environment: Path, content: str) -> None:
    (clean_environment / "prodsim.yaml").write_text(content)
    with pytest.raises(ConfigError, match=r"prodsim\.yaml") as refused:
        load_settings()
    assert "\n" not in str(refused.value)


def test_a_config_file_that_is_named_must_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRODSIM_CONFIG", "nowhere.yaml")
    with pytest.raises(ConfigError, match=r"nowhere\.yaml, which does not exist"):
        load_settings()


def test_the_password_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRODSIM_ENGINE_PASSWORD", "open sesame")
    settings = load_settings(engine_username="admin")
    assert "sesame" not in repr(settings)
    assert settings.engine_password is not None
    assert settings.engine_password.get_secret_value() == "open sesame"


def test_the_engine_reaches_itself_and_the_embedder_where_we_do_unless_told_otherwise() -> None:
    assert load_settings(engine_url="http://a:9200/").self_url == "http://a:9200"
    assert load_settings(embedder_url_from_engine="http://b:1").embedder_url_for_engine == "http://b:1"


def test_the_length_of_a_lease_may_stand_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRODSIM_LEASE_S", "5")
    load_settings()
