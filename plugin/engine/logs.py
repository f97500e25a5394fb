"""What an engine wrote: its last lines, what follows, and why it did not start."""

from __future__ import annotations

import os
import re
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from prodsim.plugin.errors import NotFound

from .instance import Instance, known_instances

POLL_S = 0.25
PROBLEM = re.compile(r"Exception|\bError\b|ERROR|FATAL|\bfailed\b|^Invalid|^Unrecognized")
STACK_FRAME = re.compile(r"^\s+at |^\s*\.\.\. \d+ more")
UNINTERESTING = re.compile(
    r"\]\[(INFO|WARN) ?\]|^WARNING: |A fatal exception has|Could not create the Java Virtual Machine"
)
LABEL = re.compile(r"^(Caused by|Likely root cause|Exception in thread \"[^\"]*\"|#):? ")


def log_of(instance: Instance) -> Path | None:
    """The engine's log; where it never got that far, what Java printed; None where there is neither."""
    for path in (instance.log_file, instance.console_file):
        if path.exists() and path.stat().st_size:
            return path
    return None


def log_lines(home: Path, port: int, count: int, following: bool = False) -> Iterator[str]:
    """The last `count` lines of the engine on `port`, or of the one that wrote last there; then those to come.

    Raises:
        NotFound: no engine on that port has written anything.
    """
    found = [path for instance in known_instances(home.resolve(), port) if (path := log_of(instance))]
    if not found:
        raise NotFound(f"no engine on port {port} has a log in {home}: `prodsim-admin engine status` lists them")
    path = max(found, key=lambda path: path.stat().st_mtime)
    yield from last_lines(path, count)
    if following:
        yield from follow(path)


def last_lines(path: Path, count: int) -> list[str]:
    with path.open(encoding="utf-8", errors="replace") as file:
        return [line.rstrip("\n") for line in deque(file, maxlen=count)] if count > 0 else []


def follow(path: Path) -> Iterator[str]:
    """Lines as they are appended to `path`, through its rotation, until the caller stops."""
    file = path.open(encoding="utf-8", errors="replace")
    file.seek(0, 2)
    rest = ""
    while True:
        text = file.read()
        if text:
            *lines, rest = (rest + text).split("\n")
            yield from lines
            continue
        if was_replaced(path, file.fileno(), file.tell()):
            file.close()
            file = path.open(encoding="utf-8", errors="replace")
        time.sleep(POLL_S)


def was_replaced(path: Path, descriptor: int, position_bytes: int) -> bool:
    try:
        now = path.stat()
    except FileNotFoundError:
        return False
    return now.st_ino != os.fstat(descriptor).st_ino or now.st_size < position_bytes


def size_bytes(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def startup_problem(instance: Instance, log_offset_bytes: int) -> str:
    """Why the engine stopped, in one line: the root cause in its log since `log_offset_bytes`, or what Java printed."""
    lines: list[str] = []
    if instance.log_file.exists():
        with instance.log_file.open("rb") as file:
            file.seek(log_offset_bytes)
            lines = problems(file.read().decode("utf-8", "replace"))
    causes = [line for line in lines if line.startswith(("Caused by: ", "Likely root cause: "))]
    if not lines and instance.console_file.exists():
        lines = problems(instance.console_file.read_text(encoding="utf-8", errors="replace"))
    shown = (causes or lines)[-1:] or ["it left no message"]
    return " ".join(LABEL.sub("", shown[0]).split())[:400].rstrip(".")


def problems(text: str) -> list[str]:
    lines = (line for line in text.splitlines() if not STACK_FRAME.search(line) and not UNINTERESTING.search(line))
    return [line for line in lines if PROBLEM.search(line)]
