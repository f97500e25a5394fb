"""What the chart promises a platform engineer, held against what it renders."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from prodsim.embedder.settings import EmbedderSettings, ModelSettings
from prodsim.plugin.config import Settings

from .rendering import CHART, KUBERNETES, ROOT, VALUES, Rendered, helm, render, render_file

EVERY = pytest.mark.parametrize("values", VALUES, ids=[path.stem for path in VALUES])


def file_named(name: str) -> Path:
    [found] = [path for path in VALUES if path.stem == name]
    return found


def containers(pod: dict[str, Any]) -> list[dict[str, Any]]:
    return [*pod.get("initContainers", []), *pod["containers"]]


def config(rendered: Rendered) -> dict[str, Any]:
    [found] = [item for item in rendered.all("ConfigMap") if "prodsim.yaml" in item["data"]]
    data: dict[str, Any] = found["data"]
    return data


@EVERY
def test_every_container_runs_without_rights(values: Path) -> None:
    pods = render_file(values).pods()
    assert pods
    for pod in pods:
        assert pod["automountServiceAccountToken"] is False
        assert not pod.get("hostNetwork")
        assert not pod.get("hostPID")
        if values.stem != "everything-off":
            assert pod["securityContext"]["runAsNonRoot"] is True
            assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in containers(pod):
            context = container["securityContext"]
            assert context["readOnlyRootFilesystem"] is True
            assert context["allowPrivilegeEscalation"] is False
            assert context["capabilities"] == {"drop": ["ALL"]}
            assert container["resources"]["requests"]
            assert container["resources"]["limits"]["memory"]


@EVERY
def test_whatever_a_container_writes_to_is_a_volume(values: Path) -> None:
    for pod in render_file(values).pods():
        for container in containers(pod):
            mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
            assert "/tmp" in mounts
            assert {mount["name"] for mount in mounts.values()} <= {volume["name"] for volume in pod["volumes"]}


@EVERY
def test_no_secret_is_written_into_a_resource(values: Path) -> None:
    rendered = render_file(values)
    assert rendered.all("Secret") == []
    for pod in rendered.pods():
        for container in containers(pod):
            for variable in container.get("env", []):
                if re.search(r"PASSWORD|KEY|TOKEN", variable["name"]) and not variable["name"].endswith("_FILE"):
                    assert "value" not in variable, variable["name"]


@EVERY
def test_jobs_get_settings_that_prodsim_knows(values: Path) -> None:
    settings = yaml.safe_load(config(render_file(values))["prodsim.yaml"])
    assert set(settings) <= set(Settings.model_fields)
    for pod in render_file(values).pods():
        for container in containers(pod):
            named = {variable["name"] for variable in container.get("env", [])}
            known = {f"PRODSIM_{name}".upper() for name in Settings.model_fields} | {"PRODSIM_CONFIG"}
            assert {name for name in named if name.startswith("PRODSIM_")} <= known


@EVERY
def test_the_models_are_ones_that_the_embedder_takes(values: Path) -> None:
    models = yaml.safe_load(config(render_file(values))["models.yaml"])["models"]
    assert models
    for name, model in models.items():
        ModelSettings.model_validate({**model, "model_id": name})


def test_a_pod_may_load_its_model_for_as_long_as_the_values_say(tmp_path: Path) -> None:
    pod = render(tmp_path, embedder={"loadTimeoutSeconds": 900}).one("Deployment")["spec"]["template"]["spec"]
    probe = pod["containers"][0]["startupProbe"]
    assert probe["periodSeconds"] * probe["failureThreshold"] >= 900
    assert probe["httpGet"]["path"] == "/readyz"
    assert pod["containers"][0]["livenessProbe"]["httpGet"]["path"] == "/healthz"


def test_a_changed_model_restarts_the_pods_and_an_unchanged_release_does_not(tmp_path: Path) -> None:
    def checksum(**values: Any) -> str:
        deployment = render(tmp_path, **values).one("Deployment")
        found: str = deployment["spec"]["template"]["metadata"]["annotations"]["checksum/config"]
        return found

    assert checksum() == checksum()
    assert checksum() != checksum(embedder={"models": {"minilm": {"precision": "fp32"}}})


def test_only_opensearch_and_the_jobs_reach_the_embedder_and_it_reaches_nothing(tmp_path: Path) -> None:
    policy = render(tmp_path).one("NetworkPolicy", "shop-prodsim-embedder")["spec"]
    [rule] = policy["ingress"]
    opensearch, jobs = rule["from"]
    assert opensearch == {"podSelector": {"matchLabels": {"app.kubernetes.io/name": "opensearch"}}}
    assert jobs["podSelector"]["matchLabels"]["prodsim/role"] == "job"
    assert policy["egress"] == []
    assert policy["policyTypes"] == ["Ingress", "Egress"]


def test_the_policies_select_the_pods_that_they_are_about(tmp_path: Path) -> None:
    rendered = render(tmp_path, cronJobs={"load": {"enabled": True}})
    job = rendered.one("CronJob")["spec"]["jobTemplate"]["spec"]["template"]["metadata"]["labels"]
    pod = rendered.one("Deployment")["spec"]["template"]["metadata"]["labels"]
    for name, labels in (("shop-prodsim-embedder", pod), ("shop-prodsim-jobs", job)):
        wanted = rendered.one("NetworkPolicy", name)["spec"]["podSelector"]["matchLabels"]
        assert wanted.items() <= labels.items()
    embedder = rendered.one("NetworkPolicy", "shop-prodsim-embedder")["spec"]["podSelector"]["matchLabels"]
    assert not embedder.items() <= job.items()


def test_url_fetching_opens_public_addresses_and_no_private_ones() -> None:
    rendered = render_file(file_named("url-fetching"))
    policy = rendered.one("NetworkPolicy", "shop-prodsim-embedder")["spec"]
    named, block = [peer["ipBlock"] for rule in policy["egress"] for peer in rule.get("to", []) if "ipBlock" in peer]
    assert named == {"cidr": "10.2.0.0/16"}
    assert block["cidr"] == "0.0.0.0/0"
    arguments = rendered.one("Deployment")["spec"]["template"]["spec"]["containers"][0]["args"]
    assert {"--image-host=images.example.com", "--image-network=10.2.0.0/16"} <= set(arguments)
    assert {"10.0.0.0/8", "169.254.0.0/16", "192.168.0.0/16"} <= set(block["except"])


def test_in_a_rayservice_only_the_operator_reaches_the_dashboard_and_job_api() -> None:
    rendered = render_file(file_named("rayservice-gpu"))
    policy = rendered.one("NetworkPolicy", "shop-prodsim-embedder")["spec"]
    to_dashboard = [rule for rule in policy["ingress"] if {"protocol": "TCP", "port": 8265} in rule.get("ports", [])]
    [rule] = to_dashboard
    [peer] = rule["from"]
    assert peer["podSelector"] == {"matchLabels": {"app.kubernetes.io/name": "kuberay-operator"}}
    assert peer["namespaceSelector"] == {"matchLabels": {"kubernetes.io/metadata.name": "kuberay"}}
    cluster = rendered.one("RayService")["spec"]["rayClusterConfig"]
    assert cluster["authOptions"] == {"mode": "token", "secretName": "ray-token"}


def test_a_rayservice_serves_each_model_as_an_application_of_its_own() -> None:
    spec = render_file(file_named("rayservice-gpu")).one("RayService")["spec"]
    applications = {item["name"]: item for item in yaml.safe_load(spec["serveConfigV2"])["applications"]}
    assert sorted(applications) == ["embedder", "fused-product", "model-bge", "model-minilm", "model-photos"]
    assert EmbedderSettings.model_validate(applications["embedder"]["args"]).image_hosts == ("images.example.com",)
    assert applications["embedder"]["deployments"] == [{"name": "api", "num_replicas": 3}]
    assert ModelSettings.model_validate(applications["fused-product"]["args"]).kind == "fused"
    for name in ("model-bge", "model-minilm", "model-photos"):
        assert "route_prefix" not in applications[name]
        model = ModelSettings.model_validate(applications[name]["args"])
        assert model.replicas == 3
        assert model.uses_gpu
    assert applications["model-bge"]["args"]["num_gpus"] == 0.5
    assert spec["upgradeStrategy"] == {"type": "NewCluster"}
    assert spec["rayClusterDeletionDelaySeconds"] >= 60
    [workers] = spec["rayClusterConfig"]["workerGroupSpecs"]
    assert workers["groupName"] == "gpu"
    assert workers["template"]["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == 1


def test_both_modes_answer_under_the_same_name() -> None:
    plain, ray = render_file(file_named("minimal")), render_file(file_named("rayservice"))
    name = ray.one("RayService")["spec"]["serveService"]["metadata"]["name"]
    assert plain.one("Service")["metadata"]["name"] == name
    assert yaml.safe_load(config(plain)["prodsim.yaml"]) == yaml.safe_load(config(ray)["prodsim.yaml"])


def test_the_setup_job_installs_and_never_reindexes() -> None:
    for values in VALUES:
        for job in render_file(values).all("Job"):
            [container] = job["spec"]["template"]["spec"]["containers"]
            assert container["args"] == ["setup", "--json"]
            assert job["spec"]["template"]["spec"]["restartPolicy"] == "Never"  # a failed try keeps its log
            assert "post-upgrade" in job["metadata"]["annotations"]["helm.sh/hook"]


def test_cron_jobs_never_run_beside_themselves_and_use_the_catalog_file() -> None:
    rendered = render_file(file_named("cronjobs"))
    jobs = {job["metadata"]["labels"]["app.kubernetes.io/component"]: job["spec"] for job in rendered.all("CronJob")}
    assert set(jobs) == {"load", "refresh", "evaluate"}
    for spec in jobs.values():
        assert spec["concurrencyPolicy"] == "Forbid"
    commands = {name: container_of(spec)["args"][0] for name, spec in jobs.items()}
    assert commands == {"load": "load", "refresh": "refresh", "evaluate": "evaluate"}
    [container] = jobs["load"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    assert container["args"][-2:] == ["--catalog", "/etc/prodsim/catalog.yaml"]
    assert yaml.safe_load(config(rendered)["catalog.yaml"]) == {"fields": {"sku": "article", "title": "name"}}
    assert {"name": "data", "mountPath": "/data", "readOnly": True} in container["volumeMounts"]


def container_of(cron_job: dict[str, Any]) -> dict[str, Any]:
    [container] = cron_job["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    found: dict[str, Any] = container
    return found


def test_autoscaling_leaves_the_number_of_pods_alone() -> None:
    for name, kind in (("hpa", "HorizontalPodAutoscaler"), ("keda", "ScaledObject")):
        rendered = render_file(file_named(name))
        assert "replicas" not in rendered.one("Deployment")["spec"]
        target = rendered.one(kind)["spec"]["scaleTargetRef"]
        assert target["name"] == rendered.one("Deployment")["metadata"]["name"]


def test_a_single_pod_has_no_budget_that_would_block_a_drain(tmp_path: Path) -> None:
    assert render(tmp_path, embedder={"replicas": 1}).all("PodDisruptionBudget") == []
    assert render(tmp_path, embedder={"replicas": 2}).one("PodDisruptionBudget")["spec"]["maxUnavailable"] == 1


def test_credentials_reach_the_jobs_as_files(tmp_path: Path) -> None:
    rendered = render_file(file_named("basic-auth-tls"))
    settings = yaml.safe_load(config(rendered)["prodsim.yaml"])
    pod = rendered.one("Job")["spec"]["template"]["spec"]
    mounts = [mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]]
    files = [settings["engine_ca_file"], settings["embedder_ca_file"]]
    files += [variable["value"] for variable in pod["containers"][0]["env"] if variable["name"].endswith("_FILE")]
    assert len(files) == 5
    for file in files:
        assert any(file.startswith(f"{mount}/") for mount in mounts), file


def test_the_test_embeds_and_searches(tmp_path: Path) -> None:
    pod = render(tmp_path, test={"query": "garden chair"}).one("Pod")
    assert pod["metadata"]["annotations"]["helm.sh/hook"] == "test"
    calls = [container["args"] for container in containers(pod["spec"])]
    assert calls == [["embedder", "embed", "garden chair", "--json"], ["doctor"], ["search", "garden chair", "--json"]]


def test_the_dashboard_shows_metrics_that_there_are() -> None:
    rendered = render_file(file_named("observability"))
    [board] = [item for item in rendered.all("ConfigMap") if "prodsim.json" in item["data"]]
    panels = json.loads(board["data"]["prodsim.json"])["panels"]
    asked = {name for panel in panels for target in panel["targets"] for name in metrics_in(target["expr"])}
    rules = rendered.one("PrometheusRule")["spec"]["groups"]
    asked |= {name for group in rules for rule in group["rules"] for name in metrics_in(rule["expr"])}
    assert len(asked) > 8
    sources = "".join(path.read_text() for room in ("embedder", "plugin") for path in (ROOT / room).rglob("*.py"))
    for name in asked:
        base = re.sub(r"^prodsim_(embedder|command)_|_(total|bucket|sum|count|info)$", "", name)
        assert base in sources, name


def metrics_in(expression: str) -> set[str]:
    return set(re.findall(r"prodsim_[a-z_]+", expression))


def test_every_alert_links_to_its_runbook_page() -> None:
    groups = render_file(file_named("observability")).one("PrometheusRule")["spec"]["groups"]
    for group in groups:
        for rule in group["rules"]:
            page = rule["annotations"]["runbook_url"].removeprefix("https://wiki.example.com/runbook/")
            assert (ROOT / "docs" / "runbook" / page).is_file(), page


def test_the_notes_say_how_to_test_and_warn_of_what_is_open(tmp_path: Path) -> None:
    chart = tmp_path / "prodsim"
    shutil.copytree(CHART, chart)  # Helm prints notes only when it installs: here they are rendered as a resource
    (chart / "templates" / "NOTES.txt").rename(chart / "notes")
    wrapped = '{kind: Notes, apiVersion: v1, text: {{ tpl (.Files.Get "notes") . | quote }}}'
    (chart / "templates" / "notes.yaml").write_text(wrapped)
    done = helm(
        "template",
        "shop",
        chart,
        "--values",
        file_named("minimal"),
        "--kube-version",
        KUBERNETES,
        "--show-only",
        "templates/notes.yaml",
    )
    assert "helm test shop" in done.stdout, done.stderr
    assert "WARNING: opensearch.auth.type is none" in done.stdout
    assert "shop-prodsim-embedder.default.svc:8901" in done.stdout
