"""Secrets planted in every setting are in no output of any command, however much it says."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from prodsim.plugin.cli.main import run
from prodsim.plugin.config import SECRETS, Settings, load_settings
from prodsim.plugin.errors import ConfigError

from .test_cli_help import LEAVES

# What a command needs to get as far as it can; those that start processes are asked what they would do.
ARGUMENTS = {
    "demo": None,
    "embedder up": None,
    "embedder serve": None,
    "embedder down": None,
    "embedder reload": None,
    "engine down": ["--dry-run", "--port", "65000"],
    "engine up": ["--dry-run", "--port", "65000"],
    "engine logs": ["--port", "65000"],
    "embedder embed": ["lamp"],
    "load": ["FILE"],
    "search": ["lamp"],
    "similar": ["A-1"],
    "plan": ["--docs", "1M", "--qps", "10"],
    "uninstall": ["--yes"],
    "events ingest": ["FILE", "--store", "STORE"],
    "events counts": ["--store", "STORE"],
    "events forget-user": ["STORE", "--customer-file", "FILE", "--yes"],
}


class Refuses(BaseHTTPRequestHandler):
    """Answers as an engine or embedder that asks for a login."""

    def answer(self) -> None:
        self.send_response(401)
        self.send_header("content-type", "application/json")
        self.end_headers()
        self.wfile.write(b'{"error": "no"}')

    do_GET = do_POST = do_PUT = do_HEAD = answer

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@pytest.fixture
def url() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Refuses)
    Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    values = {name: f"planted{secrets.token_hex(12)}" for name in SECRETS}
    for name, value in values.items():
        monkeypatch.setenv(f"PRODSIM_{name.upper()}", value)
    monkeypatch.setenv("PRODSIM_ENGINE_USERNAME", "shop")
    monkeypatch.setenv("PRODSIM_READER_USERNAME", "reader")
    monkeypatch.setenv("PRODSIM_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PRODSIM_EMBEDDER_TIMEOUT_S", "1")
    monkeypatch.chdir(tmp_path)
    return list(values.values())


@pytest.mark.parametrize("log_format", ["text", "json"])
@pytest.mark.parametrize("words", [words for words in LEAVES if ARGUMENTS.get(words, []) is not None])
def test_no_command_says_a_secret(
    words: str,
    log_format: str,
    planted: list[str],
    url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("PRODSIM_LOG_FORMAT", log_format)
    monkeypatch.setenv("PRODSIM_ENGINE_URL", url)
    monkeypatch.setenv("PRODSIM_EMBEDDER_URL", url)
    file, store = tmp_path / "file.ndjson", tmp_path / "store.ndjson"
    file.write_text('{"sku": "A-1", "title": "lamp", "customer": "c-1", "type": "view"}\n')
    store.touch()
    places = {"FILE": str(file), "STORE": str(store)}
    arguments = [places.get(argument, argument) for argument in ARGUMENTS.get(words, []) or []]
    run(["--verbose", *words.split(), *arguments])
    said = "".join(capfd.readouterr())
    written = [path.read_bytes().decode(errors="replace") for path in tmp_path.rglob("*") if path.is_file()]
    for secret in planted:
        assert secret not in said
        assert not [text for text in written if secret in text]


def test_settings_shown_or_refused_hide_their_secrets(planted: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    shown = repr(load_settings()) + str(load_settings().model_dump_json())
    monkeypatch.setenv("PRODSIM_QUERY_TIMEOUT_S", "soon")
    with pytest.raises(ConfigError) as refused:
        load_settings()
    for secret in planted:
        assert secret not in shown + str(refused.value)


def test_every_setting_with_a_secret_is_known_as_one() -> None:
    secret = {name for name, field in Settings.model_fields.items() if "SecretStr" in str(field.annotation)}
    assert secret == set(SECRETS)
    assert {f"{name}_file" for name in secret} <= set(Settings.model_fields)


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_in_the_settings_file_is_refused(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "prodsim.yaml").write_text(f"{name}: hush\n")
    with pytest.raises(ConfigError, match=f"PRODSIM_{name.upper()}") as refused:
        load_settings()
    assert "hush" not in str(refused.value)


def test_a_login_in_a_url_is_refused_and_not_repeated() -> None:
    with pytest.raises(ConfigError, match="must not hold a user or a password") as refused:
        load_settings(engine_url="https://shop:hush@engine:9200")
    assert "hush" not in str(refused.value)


def test_a_secret_comes_from_its_file(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("open sesame\n")
    assert load_settings(engine_username="a", engine_password_file=file).secret("engine_password") == "open sesame"
    file.write_text("")
    with pytest.raises(ConfigError, match="is empty"):
        load_settings(engine_password_file=file).secret("engine_password")
