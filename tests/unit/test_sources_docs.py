"""docs/sources.md: its runs print what it shows."""

from __future__ import annotations

import re
import shlex
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from prodsim.plugin.cli.main import run

PAGE = (Path(__file__).parents[2] / "docs" / "sources.md").read_text(encoding="utf-8")


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name, content in re.findall(r"<!-- file: (\S+) -->\n```\w+\n(.*?)```", PAGE, re.DOTALL):
        Path(name).write_text(content)
    with closing(sqlite3.connect("erp.db")) as database:
        database.execute("CREATE TABLE articles (number, name, price)")
        database.executemany("INSERT INTO articles VALUES (?, ?, ?)", [(1, "Green tea", 3.5), (2, "Black tea", 4)])
        database.commit()
    return tmp_path


def test_the_page_shows_what_its_commands_print(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("sqlalchemy")
    runs = [
        shown.partition("\n")
        for block in re.findall(r"```console\n\$ (.*?)```", PAGE, re.DOTALL)
        for shown in block.split("\n$ ")
    ]
    assert len(runs) == 4
    for command, _, expected in runs:
        run(shlex.split(command)[1:])
        printed = capsys.readouterr()
        assert f"{printed.out}{printed.err}".strip() == expected.strip(), command
