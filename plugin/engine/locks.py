"""One at a time: a lock that the kernel lets go when its holder dies."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from prodsim.plugin.errors import LocalEngineError

Say = Callable[[str], None]
POLL_S = 0.1


def silent(text: str) -> None:
    """For callers that want no messages."""


@contextmanager
def locked(path: Path, busy: str, say: Say = silent, timeout_s: float = 3600.0) -> Iterator[None]:
    """Holds the lock file `path` for the block; says `busy` once if another process has it, and waits.

    Raises:
        LocalEngineError: the lock was not free within `timeout_s`.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        wait_for(descriptor, path, busy, say, timeout_s)
        yield
    finally:
        os.close(descriptor)


def wait_for(descriptor: int, path: Path, busy: str, say: Say, timeout_s: float) -> None:
    give_up = time.monotonic() + timeout_s
    told = False
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() >= give_up:
                raise LocalEngineError(f"{busy}: gave up after {timeout_s:g} s waiting for {path}") from None
            if not told:
                say(f"{busy}: waiting for it")
                told = True
            time.sleep(POLL_S)
