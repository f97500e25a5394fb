"""Which room may import which: the table of the design, held against the code."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# room: what else of prodsim it may import
ALLOWED = {
    "mappings": (),
    "embedder": ("prodsim.plugin.errors",),
    "loaders": (
        "prodsim.mappings",
        "prodsim.embedder.client",
        "prodsim.plugin.client",
        "prodsim.plugin.config",
        "prodsim.plugin.errors",
    ),
}


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module


@pytest.mark.parametrize("room", ALLOWED)
def test_a_room_imports_only_what_the_design_allows(room: str) -> None:
    allowed = (f"prodsim.{room}", *ALLOWED[room])
    strangers = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in (ROOT / room).rglob("*.py")
        for name in imported(path)
        if name.startswith("prodsim.") and not name.startswith(allowed)
    ]
    assert strangers == []


def test_nothing_but_the_command_line_imports_the_command_line() -> None:
    strangers = [
        str(path.relative_to(ROOT))
        for room in ("mappings", "embedder", "loaders", "plugin")
        for path in (ROOT / room).rglob("*.py")
        if "cli" not in path.parts and any(f"{name}.".startswith("prodsim.plugin.cli.") for name in imported(path))
    ]
    assert strangers == []
