"""README.md holds: its commands run as they stand, and the demo prints what it shows."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from prodsim.loaders.preparing.catalog import load_catalog
from prodsim.plugin.cli.main import run
from prodsim.plugin.config import load_settings
from tests.conftest import ROOT, drop
from tests.documented_runs import DEFAULT_ENGINE, captured
from tests.integration.clients.page import require

if TYPE_CHECKING:
    from prodsim.plugin.shop import Shop

PAGE = (ROOT / "README.md").read_text(encoding="utf-8")
COMMAND = re.compile(r"(?m)^ +(?:\.venv/bin/)?prodsim-admin (.*?)(?: +#.*)?$")
A_SHOPS_OWN_FILE = "export.csv.gz"


@pytest.fixture
def in_demo_shell(example: Shop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Shop:
    """A folder to stand in, with the engine and the embedder of this run in the environment."""
    settings = example.settings
    monkeypatch.chdir(tmp_path)
    for name in ("alias", "home", "engine_url", "embedder_url"):
        monkeypatch.setenv(f"PRODSIM_{name.upper()}", str(getattr(settings, name)))
    return example


def test_the_demo_prints_the_searches_that_the_page_shows(
    in_demo_shell: Shop, alias: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a newcomer sees it: in an index where no other test has left deleted products to be counted."""
    monkeypatch.setenv("PRODSIM_ALIAS", alias)
    shown = re.search(r"(?ms)^<!-- transcript -->\n```\n(.*?)^```$", PAGE)
    assert shown is not None
    try:
        code, printed = captured(lambda: run(["demo"]))
    finally:
        drop(in_demo_shell.client, alias)
    assert code == 0, printed
    questions = shown[1].strip().split("\n\n")
    assert len(questions) >= 2
    for question in questions:
        assert question in printed


def test_its_commands_run(in_demo_shell: Shop) -> None:
    commands = [command for command in COMMAND.findall(PAGE) if A_SHOPS_OWN_FILE not in command]
    assert len(commands) >= 4
    for command in commands:
        code, printed = captured(lambda command=command: run(shlex.split(command)))  # type: ignore[misc]
        assert code == 0, f"$ prodsim-admin {command}\n{printed}"


def test_its_curl_call_answers_with_hits(in_demo_shell: Shop, tmp_path: Path) -> None:
    require("curl")
    shown = re.search(r"(?m)^ +curl .*\\\n.*$", PAGE)
    assert shown is not None
    command = shown[0].replace(DEFAULT_ENGINE, in_demo_shell.settings.engine_url)
    command = command.replace("/products/", f"/{in_demo_shell.settings.alias}/")
    answer = json.loads(subprocess.run(["bash", "-c", command], check=True, capture_output=True, cwd=tmp_path).stdout)
    assert len(answer["hits"]["hits"]) == 3


def test_its_settings_file_is_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    shown = re.search(r"(?ms)^ +```yaml\n(.*?)^ +```$", PAGE)
    assert shown is not None
    (tmp_path / "prodsim.yaml").write_text(shown[1], encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    settings = load_settings()
    assert (settings.engine_username, settings.alias) == ("admin", "products")


def test_what_it_links_to_is_there() -> None:
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", PAGE):
        assert (ROOT / target).exists(), target
    for catalog in (ROOT / "examples" / "catalogs").glob("*.yaml"):
        load_catalog(catalog)
