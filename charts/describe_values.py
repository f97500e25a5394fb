"""Writes the chart's values.schema.json and README.md from the comments in values.yaml.

A comment `# -- text` describes the key below it; `# @schema {…}` adds to its JSON schema. Maps are closed: Helm refuses
a key that values.yaml does not have. Run it after each change; a test holds the files against what it would write.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from prodsim.embedder.settings import ModelSettings

CHART = Path(__file__).parent / "prodsim"
KEY = re.compile(r"^(?P<indent> *)(?P<key>[A-Za-z0-9_.-]+):(?P<value>.*)$")
TYPES: dict[type, str] = {bool: "boolean", int: "integer", float: "number", str: "string"}


@dataclass
class Described:
    """One key: where it is, its default, what its comments say."""

    path: tuple[str, ...]
    default: Any
    text: str = ""
    schema: dict[str, Any] = field(default_factory=dict)


def described_values(source: str) -> Iterator[Described]:
    """Every key of values.yaml that a comment describes or that holds others, in order."""
    values = yaml.safe_load(source)
    path: list[tuple[int, str]] = []
    text: list[str] = []
    schema: dict[str, Any] = {}
    for line in source.splitlines():
        stripped = line.strip()
        if stripped.startswith("# @schema "):
            schema = json.loads(stripped.removeprefix("# @schema "))
        elif stripped.startswith("#"):
            text.append(stripped.removeprefix("# -- ").removeprefix("# "))
        elif found := KEY.match(line):
            indent = len(found["indent"])
            path = [step for step in path if step[0] < indent] + [(indent, found["key"])]
            keys = tuple(key for _, key in path)
            yield Described(keys, value_at(values, keys), " ".join(text), schema)
            text, schema = [], {}
        else:
            text, schema = [], {}


def value_at(values: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        values = values[key]
    return values


def schema_of(keys: list[Described]) -> dict[str, Any]:
    """The JSON schema of all values."""
    model, definitions = model_schema()
    root: dict[str, Any] = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Values of the prodsim chart",
        "type": "object",
        "additionalProperties": False,
        "properties": {"global": {"type": "object", "description": "Helm passes it to every chart; not used here."}},
        "$defs": definitions,
    }
    open_paths: list[tuple[str, ...]] = []
    for key in keys:
        if any(key.path[: len(path)] == path for path in open_paths):
            continue
        parent = root
        for step in key.path[:-1]:
            parent = parent["properties"][step]
        own = one_schema(key, model)
        if "properties" not in own:
            open_paths.append(key.path)
        parent["properties"][key.path[-1]] = own
    return root


def one_schema(key: Described, model: dict[str, Any]) -> dict[str, Any]:
    extra = {name: value for name, value in key.schema.items() if name not in ("free", "models")}
    about = {"description": key.text} if key.text else {}
    if "models" in key.schema:
        return {**about, "type": "object", "additionalProperties": model}
    if isinstance(key.default, dict):
        if not key.default or "free" in key.schema:
            return {**about, "type": "object", **extra}
        return {**about, "type": "object", "additionalProperties": False, "properties": {}, **extra}
    if isinstance(key.default, list):
        strings = bool(key.default) and all(isinstance(item, str) for item in key.default)
        return {**about, "type": "array", **({"items": {"type": "string"}} if strings else {}), **extra}
    kind = TYPES[type(key.default)]
    return {**about, "type": "number" if "exclusiveMinimum" in extra else kind, **extra}


def model_schema() -> tuple[dict[str, Any], dict[str, Any]]:
    """One model, as the embedder's own settings describe it (its name is the key), and what it refers to."""
    schema = ModelSettings.model_json_schema()
    schema.pop("title", None)
    schema["properties"].pop("model_id", None)
    definitions: dict[str, Any] = schema.pop("$defs", {})  # references are from the root: "#/$defs/..."
    return {"type": "object", **schema, "additionalProperties": False}, definitions


def readme_of(keys: list[Described]) -> str:
    rows = [
        f"| `{'.'.join(key.path)}` | `{json.dumps(key.default)}` | {key.text} |"
        for key in keys
        if key.text and not (isinstance(key.default, dict) and key.default and not key.schema)
    ]
    head = (CHART / "README.head.md").read_text(encoding="utf-8")
    return f"{head}\n## Values\n\n| value | default | |\n|---|---|---|\n" + "\n".join(rows) + "\n"


def generated() -> dict[Path, str]:
    """The files and what should be in them."""
    keys = list(described_values((CHART / "values.yaml").read_text(encoding="utf-8")))
    schema = json.dumps(schema_of(keys), indent=2, ensure_ascii=False) + "\n"
    return {CHART / "values.schema.json": schema, CHART / "README.md": readme_of(keys)}


def main() -> int:
    for path, content in generated().items():
        path.write_text(content, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
