"""The examples of docs/clients.md, and how to run them."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import ROOT

if TYPE_CHECKING:
    from prodsim.plugin.shop import Shop

PAGE = (ROOT / "docs" / "clients.md").read_text(encoding="utf-8")


@dataclass(frozen=True)
class Example:
    """A block of code that the page names, and the output that it shows for it."""

    language: str
    code: str
    output: str


def read_examples() -> dict[str, Example]:
    marked = re.compile(r"<!-- (example|output): ([\w-]+) -->\n```(\w+)\n(.*?)```\n", re.DOTALL)
    blocks = {(kind, name): (language, text) for kind, name, language, text in marked.findall(PAGE)}
    return {
        name: Example(language, code, blocks.get(("output", name), ("", ""))[1])
        for (kind, name), (language, code) in blocks.items()
        if kind == "example"
    }


EXAMPLES = read_examples()


def adapted(name: str, shop: Shop) -> str:
    """The example's code for the test's engine, embedder and alias; nothing else changes."""
    code = EXAMPLES[name].code.replace("http://127.0.0.1:9200", shop.settings.engine_url)
    code = code.replace("http://127.0.0.1:8901", shop.settings.embedder_url)
    return re.sub(r'(?<=[/"])products(?=[/"])', shop.settings.alias, code)


def output_of(command: list[str], folder: Path, timeout_s: float = 60) -> str:
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=timeout_s, check=False)
    assert ended.returncode == 0, f"{command[0]} failed: {ended.stderr[-2000:]}"
    return ended.stdout


def require(*programs: str) -> None:
    if missing := [program for program in programs if shutil.which(program) is None]:
        pytest.skip(f"no {' and no '.join(missing)} here: this example did not run")


def is_part(shown: Any, real: Any) -> bool:
    """Whether everything shown is in the real answer, at its place."""
    if isinstance(shown, dict):
        return isinstance(real, dict) and all(key in real and is_part(shown[key], real[key]) for key in shown)
    if isinstance(shown, list):
        return isinstance(real, list) and len(shown) <= len(real) and all(map(is_part, shown, real))
    return bool(shown == real)
