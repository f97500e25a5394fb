"""Makes a strict, compact JSON schema of each version in CustomResourceDefinition files.

    python -m tests.chart.crd_schemas CRD.yaml… --output tests/chart/schemas

Descriptions go, unknown keys are refused where the definition does not keep them, and a part that comes several times
(a pod template does, in a RayService) is written once.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import yaml

WORTH_SHARING_CHARACTERS = 200


def strict(node: Any) -> Any:
    """The schema without descriptions, closed as the API server closes it."""
    if isinstance(node, list):
        return [strict(item) for item in node]
    if not isinstance(node, dict):
        return node
    kept: dict[str, Any] = {}
    for key, value in node.items():
        if key == "properties":
            kept[key] = {name: strict(property) for name, property in value.items()}
        elif key not in ("description", "example") and not key.startswith("x-kubernetes"):
            kept[key] = strict(value)
    if node.get("x-kubernetes-int-or-string"):
        return {"anyOf": [{"type": "integer"}, {"type": "string"}]}
    if "properties" in kept and not node.get("x-kubernetes-preserve-unknown-fields"):
        kept.setdefault("additionalProperties", False)
    kept.pop("format", None)
    return kept


def shared(schema: dict[str, Any]) -> dict[str, Any]:
    """The same schema with repeated parts in `$defs`."""
    counts: Counter[str] = Counter()

    def count(node: Any) -> None:
        if isinstance(node, dict):
            text = json.dumps(node, sort_keys=True)
            counts[text] += 1
            if counts[text] > 1:
                return
            for value in node.values():
                count(value)
        elif isinstance(node, list):
            for value in node:
                count(value)

    count(schema)
    definitions: dict[str, Any] = {}

    def replace(node: Any, is_schema: bool) -> Any:
        if isinstance(node, list):
            return [replace(value, True) for value in node]
        if not isinstance(node, dict):
            return node
        text = json.dumps(node, sort_keys=True)
        inner = {key: replace(value, is_schema=not (is_schema and key == "properties")) for key, value in node.items()}
        if is_schema and counts[text] > 1 and len(text) > WORTH_SHARING_CHARACTERS:
            name = hashlib.sha256(text.encode()).hexdigest()[:8]
            definitions[name] = inner
            return {"$ref": f"#/$defs/{name}"}
        return inner

    made = replace(schema, True)
    return {**made, "$defs": definitions}


def schemas_in(path: Path) -> dict[str, dict[str, Any]]:
    """File name to schema, one for each served version."""
    [definition] = [document for document in yaml.safe_load_all(path.read_text()) if document]
    spec = definition["spec"]
    found = {}
    for version in spec["versions"]:
        schema = strict(version["schema"]["openAPIV3Schema"])
        schema["properties"]["metadata"] = {"type": "object"}
        schema["required"] = sorted({*schema.get("required", []), "apiVersion", "kind", "metadata"})
        found[f"{spec['names']['kind']}-{spec['group']}-{version['name']}.json"] = shared(schema)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("definitions", nargs="+", type=Path)
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    for path in options.definitions:
        for name, schema in schemas_in(path).items():
            (options.output / name).write_text(json.dumps(schema, separators=(",", ":")) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
