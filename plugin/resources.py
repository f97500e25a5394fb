"""Resources of the bundle in a cluster: reading, comparing, installing and listing them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from prodsim.mappings.bundle import PREFIX, without_credential

from . import ml
from .changes import Change, compare, compare_lines
from .client import engine_errors
from .indexes import ProductIndex, pipeline_name

if TYPE_CHECKING:
    from opensearchpy import OpenSearch

# kind: where it lives in the REST API
PATHS = {
    "index template": "/_index_template/{}",
    "search template": "/_scripts/{}",
    "script": "/_scripts/{}",
    "ingest pipeline": "/_ingest/pipeline/{}",
    "search pipeline": "/_search/pipeline/{}",
}
SCRIPTS = ("search template", "script")
NOT_YET = "(made by setup)"


@dataclass(frozen=True)
class Resource:
    kind: str
    name: str
    body: Mapping[str, Any]


@dataclass
class Installer:
    """Installs resources one after the other and keeps the list of what changed; dry, it changes nothing."""

    client: OpenSearch
    dry_run: bool
    changes: list[Change] = field(default_factory=list)
    model_names: set[str] = field(default_factory=set)

    def put(self, resource: Resource) -> None:
        installed = read_resource(self.client, resource.kind, resource.name)
        change = difference(resource, installed)
        self.changes.append(change)
        if change.action != "unchanged" and not self.dry_run:
            path = PATHS[resource.kind].format(resource.name)
            with engine_errors(f"installing {resource.kind} {resource.name}"):
                self.client.transport.perform_request("PUT", path, body=dict(resource.body))

    def remote_model(self, connector: Mapping[str, Any]) -> str:
        """The id of the deployed model over that connector."""
        name = str(connector["name"])
        self.model_names.add(name)
        known = [model for model in ml.find(self.client, "models") if model.name == name and model.state == "DEPLOYED"]
        if known:
            self.changes.append(Change("connector and model", name, "unchanged"))
            return known[0].id
        self.changes.append(compare("connector and model", name, None, without_credential(connector)))
        return NOT_YET if self.dry_run else ml.ensure_model(self.client, connector)

    def attach_pipelines(self, index: ProductIndex) -> None:
        """Makes the index's pipelines its default ones; an index that names others keeps them."""
        name = pipeline_name(index.name)
        free = {
            "index.default_pipeline": index.settings.get("default_pipeline"),
            "index.search.default_pipeline": (index.settings.get("search") or {}).get("default_pipeline"),
        }
        wanted = {setting: name for setting, value in free.items() if value is None}
        if wanted:
            self.changes.append(compare("index settings", index.name, {}, wanted))
            if not self.dry_run:
                with engine_errors(f"attaching the pipelines of {index.name}"):
                    self.client.indices.put_settings(index=index.name, body=wanted)


def read_resource(client: OpenSearch, kind: str, name: str) -> dict[str, Any] | None:
    from opensearchpy.exceptions import NotFoundError

    with engine_errors(f"reading {kind} {name}"):
        try:
            answer = client.transport.perform_request("GET", PATHS[kind].format(name))
        except NotFoundError:
            return None
    if kind == "index template":
        found: dict[str, Any] = answer["index_templates"][0]["index_template"]
    elif kind in SCRIPTS:
        found = {"script": answer["script"]}
    else:
        found = answer[name]
    return found


def difference(resource: Resource, installed: Mapping[str, Any] | None) -> Change:
    """The change that an installation makes; what the engine adds by itself does not count."""
    kind, name = resource.kind, resource.name
    if kind in SCRIPTS:
        before = installed["script"]["source"].splitlines() if installed else None
        return compare_lines(kind, name, before, resource.body["script"]["source"].splitlines())
    if installed is not None:
        installed = {key: value for key, value in installed.items() if key not in ("composed_of", "version")}
    return compare(kind, name, installed, resource.body)


def deduplicated(changes: Sequence[Change]) -> list[Change]:
    """Indexes share connectors: each resource once, the change rather than the look that followed it."""
    first: dict[tuple[str, str], Change] = {}
    for change in changes:
        first.setdefault((change.kind, change.name), change)
    return list(first.values())


def attached_pipelines(index: ProductIndex) -> dict[str, str]:
    """The default pipelines of an index that are prodsim's own, by setting name."""
    name = pipeline_name(index.name)
    settings = {
        "index.default_pipeline": index.settings.get("default_pipeline"),
        "index.search.default_pipeline": (index.settings.get("search") or {}).get("default_pipeline"),
    }
    return {setting: name for setting, value in settings.items() if value == name}


def installed_resources(client: OpenSearch) -> list[tuple[str, str]]:
    """(kind, name) of every resource whose name says that it is prodsim's."""
    with engine_errors("listing what is installed"):
        templates = client.indices.get_index_template(name=f"{PREFIX}*", ignore=[404]).get("index_templates", [])
        metadata = client.cluster.state(metric="metadata", params={"filter_path": "metadata.stored_scripts"})
        ingest = client.ingest.get_pipeline(ignore=[404])
        search = client.transport.perform_request("GET", "/_search/pipeline", params={"ignore": (404,)})
    scripts = metadata.get("metadata", {}).get("stored_scripts", {})
    languages = {name: body.get("lang") for name, body in scripts.items()}
    found = [("index template", template["name"]) for template in templates]
    found += [
        ("script" if language == "painless" else "search template", name)
        for name, language in languages.items()
        if name.startswith(PREFIX)
    ]
    for kind, names in (("ingest pipeline", ingest), ("search pipeline", search)):
        found += [(kind, name) for name in names if name.startswith(PREFIX)]
    return sorted(found)
