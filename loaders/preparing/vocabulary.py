"""The words of `vocabulary.json`: what shops call their columns, and the words that stand in them."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any


@cache
def vocabulary() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(files(__package__).joinpath("vocabulary.json").read_text(encoding="utf-8"))
    return content


def words(name: str) -> frozenset[str]:
    """One of its lists."""
    return frozenset(vocabulary()[name])
