"""The text that a product is embedded by, and its hash.

`compose.painless` does the same inside the engine for products that other writers index; both read `text.json`, and a
test holds one against the other.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

# What Java's String.trim() removes, which the engine's side of this uses: every character up to the space.
TRIMMED = "".join(map(chr, range(0x21)))


@cache
def text_rule() -> dict[str, Any]:
    """`fields` in order, each with `take` all or last (of a list), and the `separator` between them."""
    rule: dict[str, Any] = json.loads(files(__package__).joinpath("text.json").read_text(encoding="utf-8"))
    return rule


def embedding_text(product: Mapping[str, Any]) -> str:
    """The text that stands for a product document; "" where it has none of the fields."""
    rule = text_rule()
    parts: list[str] = []
    for field in rule["fields"]:
        value = product.get(field["name"])
        values = value if isinstance(value, list) else [value]
        if field["take"] == "last":
            values = values[-1:]
        parts += [text for part in values if part is not None and (text := str(part).strip(TRIMMED))]
    return str(rule["separator"]).join(parts)


def text_hash(text: str) -> str:
    """SHA-256 of the UTF-8 text, 64 hexadecimal digits: painless' `String.sha256()`."""
    return hashlib.sha256(text.encode()).hexdigest()
