"""`uninstall`: the bundle out of the cluster, leaving nothing behind but the catalogs' indexes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import ml
from .changes import Change
from .client import engine_errors
from .cluster import inspect_cluster
from .cluster_settings import RECORD, plan_restore, read_record, restore_cluster_settings
from .indexes import product_indexes
from .ranking.store import RECORD as RANKING_RECORD
from .ranking.store import read_versions, write_versions
from .resources import PATHS, attached_pipelines, installed_resources

if TYPE_CHECKING:
    from opensearchpy import OpenSearch


def uninstall(client: OpenSearch, dry_run: bool = False) -> list[Change]:
    """Removes everything but the catalogs' indexes, which stay searchable with plain queries."""
    cluster = inspect_cluster(client)
    changes = detach_pipelines(client, dry_run)
    for kind, name in installed_resources(client):
        changes.append(Change(kind, name, "delete"))
        if not dry_run:
            with engine_errors(f"removing {kind} {name}"):
                client.transport.perform_request("DELETE", PATHS[kind].format(name))
    if read_versions(client):
        changes.append(Change("component template", RANKING_RECORD, "delete"))
        if not dry_run:
            write_versions(client, [])
    if cluster.has_ml:
        changes += remove_models(client, dry_run)
    restored = plan_restore(client)
    changes += [Change("cluster setting", name, "update", (f"+ {value}",)) for name, value in restored.items()]
    if read_record(client):
        changes.append(Change("component template", RECORD, "delete"))
    if not dry_run:
        restore_cluster_settings(client)
    return changes


def detach_pipelines(client: OpenSearch, dry_run: bool) -> list[Change]:
    """A default pipeline that is gone would fail every query and write, so indexes let go of theirs first."""
    changes = []
    for index in product_indexes(client):
        attached = attached_pipelines(index)
        if not attached:
            continue
        changes.append(Change("index settings", index.name, "update", tuple(f"- {name}" for name in attached)))
        if not dry_run:
            with engine_errors(f"detaching the pipelines of {index.name}"):
                client.indices.put_settings(index=index.name, body=dict.fromkeys(attached))
    return changes


def remove_models(client: OpenSearch, dry_run: bool) -> list[Change]:
    """Remote models, then their connectors, then the group that held them."""
    models, connectors = ml.find(client, "models"), ml.find(client, "connectors")
    groups = ml.find(client, "model_groups")
    if not dry_run:
        for model in models:
            ml.remove(client, model, None)
        for connector in connectors:
            ml.remove(client, None, connector)
        ml.remove_group(client)
    return [
        *(Change("model", model.name, "delete") for model in models),
        *(Change("connector", connector.name, "delete") for connector in connectors),
        *(Change("model group", group.name, "delete") for group in groups),
    ]
