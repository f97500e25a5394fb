"""Help that is quick and complete, and docs/commands.md that says what is so."""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from prodsim.plugin.cli.main import app
from prodsim.plugin.config import Settings
from prodsim.plugin.errors import ExitCode

DOCS = Path(__file__).parents[2] / "docs" / "commands.md"
# Pydantic itself is not among them: typer imports it for a command with parameters.
HEAVY = {
    "ir_measures",
    "optuna",
    "scipy",
    "sklearn",
    "httpx",
    "jinja2",
    "numpy",
    "opensearchpy",
    "pydantic_settings",
    "ray",
    "sentence_transformers",
    "torch",
    "urllib3",
    "yaml",
}
# roles and counts are JSON as they are
WITHOUT_JSON = {
    *("demo", "embedder down", "embedder logs", "embedder serve", "engine logs"),
    *("events counts", "roles show"),
}
WITH_DRY_RUN = {
    *("engine down", "engine up", "load", "reindex", "setup", "uninstall"),
    *("ranking apply", "ranking rollback", "ranking tune"),
    *("events forget-user", "roles apply"),
    *("model add", "model promote", "model retire", "model rollback", "model rollout abort", "model rollout start"),
    "refresh",
}


def all_commands() -> dict[str, Any]:
    """Every command by its words: `load`, `engine up`, …; and every group."""

    def walk(command: Any, words: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
        yield " ".join(words), command
        for name, inner in getattr(command, "commands", {}).items():
            yield from walk(inner, (*words, name))

    return dict(walk(typer.main.get_command(app), ()))


COMMANDS = all_commands()
LEAVES = sorted(words for words, command in COMMANDS.items() if not hasattr(command, "commands"))


def test_help_takes_less_than_half_a_second_of_cpu_time() -> None:
    """User and system time of the whole process, median of 3 runs: wall time would measure the neighbours. Its bytecode
    is there, as in any installation: the first run makes it."""
    usual = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}

    def cpu_seconds() -> float:
        code = "from prodsim.plugin.cli.main import main; main()"
        command = [sys.executable, "-c", code, "--help"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=usual)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0
        return usage.ru_utime + usage.ru_stime

    cpu_seconds()
    assert statistics.median(cpu_seconds() for _ in range(3)) < 0.5


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["load", "--help"], ["embedder", "serve", "--help"]])
def test_help_and_version_import_nothing_heavy(arguments: list[str]) -> None:
    code = f"""
import sys
from prodsim.plugin.cli.main import run
assert run({arguments}) == 0
sys.stderr.write(" ".join(sorted({HEAVY} & set(sys.modules))))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == ""


@pytest.mark.parametrize("words", sorted(COMMANDS))
def test_every_command_and_group_has_a_help_text_and_so_has_each_of_its_options(words: str) -> None:
    out = CliRunner().invoke(app, [*words.split(), "--help"], prog_name="prodsim-admin").stdout
    assert out.startswith(f"Usage: prodsim-admin {words}".rstrip())
    assert COMMANDS[words].help
    silent = [parameter.name for parameter in COMMANDS[words].params if not getattr(parameter, "help", None)]
    assert silent == []


def options_of(words: str) -> set[str]:
    return {name for parameter in COMMANDS[words].params for name in (*parameter.opts, *parameter.secondary_opts)}


def test_every_command_that_shows_something_takes_json() -> None:
    assert {words for words in LEAVES if "--json" not in options_of(words)} == WITHOUT_JSON


def test_every_command_that_changes_a_cluster_takes_a_dry_run() -> None:
    assert {words for words in LEAVES if "--dry-run" in options_of(words)} == WITH_DRY_RUN


def sections() -> dict[str, str]:
    """What docs/commands.md says under each heading that names a command."""
    parts = re.split(r"(?m)^#+ (.*)$", DOCS.read_text(encoding="utf-8"))
    return {
        heading.strip("`"): text for heading, text in zip(parts[1::2], parts[2::2], strict=True) if heading[:1] == "`"
    }


def test_every_command_is_documented_and_every_documented_command_exists() -> None:
    assert sorted(sections()) == LEAVES


@pytest.mark.parametrize("words", LEAVES)
def test_the_documentation_of_a_command_names_only_options_that_it_has(words: str) -> None:
    rows = re.findall(r"(?m)^\| (`-.*?) \|", sections()[words])
    named = {option for row in rows for option in re.findall(r"--?[a-z][a-z-]*", row)}
    assert named - options_of(words) == set()


def test_every_setting_is_in_the_documentation_with_its_default() -> None:
    rows = dict(re.findall(r"(?m)^\| `([a-z_]+)` \| (.*) \|$", DOCS.read_text(encoding="utf-8")))
    wanted = {name: field.description or "" for name, field in Settings.model_fields.items()}
    assert set(wanted) - set(rows) == set()
    for name, description in wanted.items():
        default, _, said = rows[name].partition(" | ")
        assert said == description
        value = Settings.model_fields[name].default
        if name != "home":
            assert default == ("" if value is None else f"`{value}`")


def test_every_exit_code_is_in_the_documentation() -> None:
    codes = re.findall(r"(?m)^\| (\d+) \|", DOCS.read_text(encoding="utf-8"))
    assert codes == [str(int(code)) for code in ExitCode]
