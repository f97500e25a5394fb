"""Which run, and which part of it, a request belongs to: one id from the command line to the embedder's log."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache

HEADER = "x-request-id"
VALID = re.compile(r"[\w.:-]{1,128}")
part: ContextVar[str] = ContextVar("part", default="")


@cache
def current_run() -> str:
    """The id of this process's run, such as `prodsim-5f2c9a01`."""
    return f"prodsim-{secrets.token_hex(4)}"


@contextmanager
def part_of_run(name: str) -> Iterator[None]:
    """Requests of this thread carry the part's name meanwhile: the batch of a load, the question of an evaluation."""
    token = part.set(name)
    try:
        yield
    finally:
        part.reset(token)


def request_id() -> str:
    """The run, and the part of it that this thread is at: `prodsim-5f2c9a01.batch-12`."""
    return f"{current_run()}.{part.get()}" if part.get() else current_run()


def accepted(given: str | None) -> str:
    """An id that a client sent, or a new one where it sent none that can be logged."""
    return given if given and VALID.fullmatch(given) else f"embedder-{secrets.token_hex(4)}"
