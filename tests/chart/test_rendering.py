"""Every value file renders with every Helm, and Kubernetes takes what comes out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from charts.describe_values import generated

from .rendering import CHART, HELMS, KUBERNETES, VALUES, WHOLE, helm, newest_minors, problems, refusal, render_file

names = [path.stem for path in VALUES]


@pytest.mark.parametrize("values", VALUES, ids=names)
def test_every_resource_is_valid_for_the_newest_kubernetes_minors(values: Path) -> None:
    rendered = render_file(values)
    for kubernetes in newest_minors():
        found = {
            f"{resource['kind']} {resource['metadata']['name']}": wrong
            for resource in rendered.resources
            if (wrong := problems(resource, kubernetes))
        }
        assert found == {}, kubernetes


def test_the_schemas_refuse_an_unknown_field_and_a_wrong_type() -> None:
    [service] = render_file(next(path for path in VALUES if path.stem == "rayservice")).all("RayService")
    pod = service["spec"]["rayClusterConfig"]["headGroupSpec"]["template"]["spec"]
    pod["containers"][0]["imagePullPolice"] = "Always"
    service["spec"]["rayClusterDeletionDelaySeconds"] = "soon"
    found = " ".join(problems(service, newest_minors()[-1]))
    render_file.cache_clear()
    assert "imagePullPolice" in found
    assert "rayClusterDeletionDelaySeconds" in found


@pytest.mark.parametrize("program", HELMS)
@pytest.mark.parametrize("values", VALUES, ids=names)
def test_lint_finds_nothing(values: Path, program: str) -> None:
    done = helm("lint", "--strict", CHART, "--values", values, "--kube-version", KUBERNETES, program=program)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(not WHOLE, reason="make chart compares them")
def test_helm_3_and_helm_4_render_the_same() -> None:
    for values in VALUES:
        three, four = (
            sorted(render_file(values, program).resources, key=lambda found: (found["kind"], found["metadata"]["name"]))
            for program in HELMS
        )
        assert three == four, values.stem


@pytest.mark.parametrize("program", HELMS)
@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"embeder": {}}, "embeder"),
        ({"embedder": {"replica": 3}}, "replica"),
        ({"embedder": {"replicas": 0}}, "replicas"),
        ({"embedder": {"replicas": "two"}}, "replicas"),
        ({"mode": "daemonset"}, "mode"),
        ({"embedder": {"models": {"minilm": {"bakend": "torch"}}}}, "bakend"),
        ({"opensearch": {"url": "https://user:secret@opensearch"}}, "url"),
        ({"opensearch": {"url": "http://opensearch", "auth": {"type": "password"}}}, "type"),
        ({"image": {"digest": "latest"}}, "digest"),
        ({"cronJobs": {"lod": {"enabled": True}}}, "lod"),
    ],
)
def test_a_refused_value_is_named(tmp_path: Path, program: str, values: dict[str, Any], named: str) -> None:
    said = refusal(tmp_path, program, **values)
    assert named in said
    assert "secret@" not in said


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"opensearch": {"url": ""}}, "opensearch.url is empty"),
        ({"opensearch": {"url": "https://o", "auth": {"type": "basic"}}}, "opensearch.auth.existingSecret is empty"),
        (
            {"opensearch": {"url": "http://o", "auth": {"type": "basic", "existingSecret": "s"}}},
            "would send credentials in the clear",
        ),
        ({"opensearch": {"url": "https://o", "auth": {"type": "sigv4"}}}, "opensearch.auth.region is empty"),
        ({"embedder": {"models": {"minilm": {}, "b": {"model": "/b"}}}}, "embedder.model is empty"),
        ({"embedder": {"model": "c"}}, "embedder.model c is not among embedder.models"),
        ({"mode": "rayservice", "embedder": {"autoscaling": {"type": "hpa"}}}, "embedder.autoscaling.type"),
        ({"mode": "rayservice", "embedder": {"tls": {"existingSecret": "t"}}}, "embedder.tls.existingSecret"),
        ({"embedder": {"autoscaling": {"type": "keda"}}}, "embedder.autoscaling.prometheusAddress is empty"),
        ({"embedder": {"autoscaling": {"minReplicas": 9}}}, "embedder.autoscaling.minReplicas"),
        ({"embedder": {"service": {"type": "LoadBalancer"}}}, "embedder.apiKeys.existingSecret is empty"),
        ({"embedder": {"imageUrls": {"networks": ["10.2.0.0/16"]}}}, "embedder.imageUrls.hosts is empty"),
        (
            {"embedder": {"gpu": {"count": 1}, "model": "a", "models": {"a": {}, "b": {"num_gpus": 0.5}}}},
            "embedder.models want 2.5 GPUs for all copies, embedder.gpu.count gives 1",
        ),
        (
            {"networkPolicy": {"opensearch": {"podSelector": {"app.kubernetes.io/name": None}}}},
            "networkPolicy.opensearch.podSelector is empty",
        ),
    ],
)
def test_values_that_can_not_go_together_are_refused_in_words(
    tmp_path: Path, values: dict[str, Any], said: str
) -> None:
    assert said in refusal(tmp_path, **values)


def test_a_kubernetes_that_lacks_what_the_chart_uses_is_refused() -> None:
    done = helm("template", "shop", CHART, "--values", VALUES[0], "--kube-version", "1.29.9")
    assert done.returncode != 0
    assert "kubeVersion: >=1.30" in done.stderr


def test_schema_and_readme_are_what_the_comments_in_the_values_say() -> None:
    for path, content in generated().items():
        assert path.read_text(encoding="utf-8") == content, f"{path.name}: run 'make chart-docs'"
