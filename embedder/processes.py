"""Finding and stopping the processes of one embedder: all inherit a mark in their environment (Linux, /proc)."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable
from pathlib import Path

MARK = "EMBEDDER_RUN"


def marked(mark: str) -> list[int]:
    """Ids of the living processes that were started with this mark, other than this one."""
    wanted = f"{MARK}={mark}".encode()
    return [pid for pid in all_processes() if pid != os.getpid() and wanted in environment(pid) and is_alive(pid)]


def all_processes() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal()]


def environment(pid: int) -> list[bytes]:
    """What a process was started with; empty where it is gone or another user's."""
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []


def is_alive(pid: int) -> bool:
    """False for a process that has ended, though its parent may not have noticed."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


def memory_bytes(pids: Iterable[int]) -> int:
    """Main memory that these processes hold, with what they share split between them."""
    total = 0
    for pid in pids:
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
    return total


def stop_marked(mark: str) -> None:
    """Ends every process with this mark, at once; returns when none is left, or after 10 seconds."""
    deadline = time.monotonic() + 10
    while (left := marked(mark)) and time.monotonic() < deadline:
        for pid in left:
            signal_process(pid, signal.SIGKILL)
        time.sleep(0.05)


def signal_process(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
