"""The chart as Helm renders it, and whether Kubernetes would take it."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]  # ships no types
import pytest
import yaml
from jsonschema import Draft202012Validator

from .tools import find

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts" / "prodsim"
VALUES = sorted((Path(__file__).parent / "values").glob("*.yaml"))
SCHEMAS = Path(__file__).parent / "schemas"
WHOLE = os.environ.get("CHART") == "whole"
"""All Helms and Kubernetes minors; else, in `make test`, the older Helm and the newest minor."""
HELMS = ["helm3", "helm4"] if WHOLE else ["helm3"]
KUBERNETES = "1.36"  # a Helm that is built from its module takes itself to talk to 1.20

Resource = dict[str, Any]

# it reads its schemas, 2 MB of JSON, anew for each resource
kubernetes_validate.utils.schema_contents = cache(kubernetes_validate.utils.schema_contents)


def require(name: str) -> Path:
    """The program; skips the test where it is not installed."""
    found = find(name)
    if found is None:
        pytest.skip(f"{name} is not installed: 'make tools' installs it")
    return found


def newest_minors(count: int = 3 if WHOLE else 1) -> list[str]:
    """The newest Kubernetes minors that there are schemas for, such as 1.37."""
    versions: list[str] = kubernetes_validate.utils.all_versions()
    minors = sorted({tuple(map(int, version.split(".")[:2])) for version in versions})
    return [f"{major}.{minor}" for major, minor in minors[-count:]]


@dataclass(frozen=True)
class Rendered:
    """What a release consists of."""

    resources: list[Resource]

    def all(self, kind: str) -> list[Resource]:
        return [resource for resource in self.resources if resource["kind"] == kind]

    def one(self, kind: str, name: str | None = None) -> Resource:
        [found] = [resource for resource in self.all(kind) if name in (None, resource["metadata"]["name"])]
        return found

    def pods(self) -> list[Resource]:
        """The specification of every pod that the release may start."""
        return [found for resource in self.resources for found in pod_specs(resource)]


def pod_specs(node: Any) -> list[Resource]:
    if isinstance(node, list):
        return [found for item in node for found in pod_specs(item)]
    if not isinstance(node, dict):
        return []
    here = [node] if isinstance(node.get("containers"), list) else []
    return here + [found for value in node.values() for found in pod_specs(value)]


def helm(*arguments: str | Path, program: str = "helm3") -> subprocess.CompletedProcess[str]:
    return subprocess.run([require(program), *arguments], capture_output=True, text=True, check=False)


@cache
def render_file(values: Path, program: str = "helm3", kubernetes: str = KUBERNETES) -> Rendered:
    done = helm("template", "shop", CHART, "--values", values, "--kube-version", kubernetes, program=program)
    assert done.returncode == 0, done.stderr
    return Rendered([resource for resource in yaml.safe_load_all(done.stdout) if resource])


def render(tmp_path: Path, **values: Any) -> Rendered:
    """The release with these values beside the required one."""
    path = tmp_path / "values.yaml"
    path.write_text(json.dumps({"opensearch": {"url": "http://opensearch:9200"}, **values}))
    render_file.cache_clear()
    return render_file(path)


def refusal(tmp_path: Path, program: str = "helm3", **values: Any) -> str:
    """What Helm says to values that it refuses, in one line."""
    path = tmp_path / "values.yaml"
    path.write_text(json.dumps({"opensearch": {"url": "http://opensearch:9200"}, **values}))
    done = helm("template", "shop", CHART, "--values", path, "--kube-version", KUBERNETES, program=program)
    assert done.returncode != 0, "the values were taken"
    return " ".join(done.stderr.split())


def problems(resource: Resource, kubernetes: str) -> list[str]:
    """What the API server of that minor would refuse, unknown fields included."""
    group, _, version = resource["apiVersion"].rpartition("/")
    schema = SCHEMAS / f"{resource['kind']}-{group}-{version}.json"
    if schema.exists():
        errors = Draft202012Validator(json.loads(schema.read_text())).iter_errors(resource)
        return [f"{error.json_path}: {error.message[:200]}" for error in errors]
    try:
        kubernetes_validate.validate(resource, kubernetes, strict=True)
    except kubernetes_validate.ValidationError as error:
        return [f"{'.'.join(map(str, error.path))}: {error.message[:200]}"]
    return []
