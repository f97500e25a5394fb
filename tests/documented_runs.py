"""The runs that a page of docs/ shows: its commands run again, its outputs held against what they print.

A block that starts with ```console holds commands after `$ ` with the output below each. In an output, … stands for
anything on its line, and a line of nothing but … for any lines. `<!-- file: NAME -->` before a block makes its content
that file. URLs are the defaults.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

from prodsim.plugin.cli.main import run

DEFAULT_ENGINE = "http://127.0.0.1:9200"
DEFAULT_EMBEDDER = "http://127.0.0.1:8901"
BLOCK = re.compile(r"(?ms)^(?:<!-- file: (?P<file>\S+) -->\n)?```(?P<kind>\w*)\n(?P<content>.*?)^```$")


@dataclass(frozen=True)
class Shown:
    """A command as a page shows it, with its output."""

    command: str
    output: str


def steps(page: Path) -> Iterator[Shown | tuple[str, str]]:
    """In the page's order: commands with their outputs, and (name, content) of files."""
    for block in BLOCK.finditer(page.read_text(encoding="utf-8")):
        if block["file"]:
            yield block["file"], block["content"]
        elif block["kind"] == "console":
            for part in re.split(r"(?m)^\$ ", block["content"])[1:]:
                command, _, output = part.partition("\n")
                yield Shown(command, output)


def replay(page: Path, urls: Mapping[str, str]) -> Iterator[tuple[Shown, str]]:
    """Runs the page in the current folder; yields each command with what it prints, stdout and stderr as they come.

    `urls` are the real ones by the default that the page shows.
    """
    code = 0
    for step in steps(page):
        if isinstance(step, tuple):
            Path(step[0]).parent.mkdir(parents=True, exist_ok=True)
            Path(step[0]).write_text(step[1], encoding="utf-8")
        elif step.command == "echo $?":
            yield step, f"{code}\n"
        else:
            program, *arguments = shlex.split(step.command)
            assert program == "prodsim-admin", step.command
            code, printed = captured(lambda given=arguments: run(given))  # type: ignore[misc]  # mypy can't infer it
            for default, real in urls.items():
                printed = printed.replace(real, default)
            yield step, printed


def captured(call: Callable[[], int]) -> tuple[int, str]:
    screen = StringIO()
    with redirect_stdout(screen), redirect_stderr(screen):
        code = call()
    return code, screen.getvalue()


def matches(shown: str, printed: str) -> bool:
    pattern = "".join(
        r"(?:.*\n)*?" if line.strip() == "…" else re.escape(line).replace("…", ".*") + r" *\n"
        for line in shown.splitlines()
    )
    return re.fullmatch(pattern, printed) is not None
