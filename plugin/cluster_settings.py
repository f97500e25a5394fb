"""The cluster settings that the query path needs, and their way back.

What was there before is kept in the `_meta` of an empty component template, so that `uninstall` restores it from any
machine.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from .changes import Change, compare
from .client import engine_errors
from .config import Settings

if TYPE_CHECKING:
    from opensearchpy import OpenSearch

RECORD = "prodsim-cluster-settings"
TRUSTED_ENDPOINTS = "plugins.ml_commons.trusted_connector_endpoints_regex"
PRIVATE_ADDRESSES = "plugins.ml_commons.connector.private_ip_enabled"
# With the embedder down every query would write some 18 KB of stack traces, while it is answered all the same.
QUIET_LOGGERS = (
    "logger.org.opensearch.ml.processor.MLInferenceSearchRequestProcessor",
    "logger.org.opensearch.ml.engine.algorithms.remote.MLSdkAsyncHttpResponseHandler",
)


def plan_cluster_settings(client: OpenSearch, settings: Settings) -> tuple[Change, dict[str, Any]]:
    """What has to change, and the persistent settings to put ({} where nothing has)."""
    with engine_errors("reading the cluster's settings"):
        answer = client.cluster.get_settings(include_defaults=True, flat_settings=True)
    effective = {**answer["defaults"], **answer["persistent"], **answer["transient"]}
    wanted: dict[str, Any] = {}
    trusted = as_list(effective.get(TRUSTED_ENDPOINTS))
    urls = (settings.embedder_url_for_engine, settings.self_url)
    missing = [pattern_for(url) for url in urls if not is_trusted(url, trusted)]
    if missing:
        wanted[TRUSTED_ENDPOINTS] = trusted + sorted(set(missing))
    if any(is_private(url) for url in urls) and str(effective.get(PRIVATE_ADDRESSES)).lower() != "true":
        wanted[PRIVATE_ADDRESSES] = True
    wanted |= {logger: "OFF" for logger in QUIET_LOGGERS if effective.get(logger) != "OFF"}
    before = {name: effective.get(name) for name in wanted}
    change = compare("cluster settings", "persistent", before, wanted)
    return change, wanted


def apply_cluster_settings(client: OpenSearch, wanted: Mapping[str, Any]) -> None:
    """Puts them, after recording what they replace."""
    if not wanted:
        return
    with engine_errors("changing the cluster's settings"):
        persistent = client.cluster.get_settings(flat_settings=True)["persistent"]
        record = read_record(client)
        for name, value in wanted.items():
            replaced = record.get(name, {}).get("replaced", persistent.get(name))
            record[name] = {"replaced": replaced, "set": value}
        write_record(client, record)
        client.cluster.put_settings(body={"persistent": dict(wanted)})


def plan_restore(client: OpenSearch) -> dict[str, Any]:
    """The persistent settings that bring back what prodsim replaced; settings that others changed since stay."""
    record = read_record(client)
    if not record:
        return {}
    with engine_errors("reading the cluster's settings"):
        persistent = client.cluster.get_settings(flat_settings=True)["persistent"]
    return {
        name: entry["replaced"]
        for name, entry in record.items()
        if str(persistent.get(name)).lower() == str(entry["set"]).lower()
    }


def restore_cluster_settings(client: OpenSearch) -> None:
    restored = plan_restore(client)
    with engine_errors("restoring the cluster's settings"):
        if restored:
            client.cluster.put_settings(body={"persistent": restored})
        client.cluster.delete_component_template(name=RECORD, ignore=[404])


def read_record(client: OpenSearch) -> dict[str, Any]:
    from opensearchpy.exceptions import NotFoundError

    with engine_errors("reading what setup recorded"):
        try:
            answer = client.cluster.get_component_template(name=RECORD)
        except NotFoundError:
            return {}
    record: dict[str, Any] = answer["component_templates"][0]["component_template"]["_meta"]["cluster_settings"]
    return record


def write_record(client: OpenSearch, record: Mapping[str, Any]) -> None:
    client.cluster.put_component_template(
        name=RECORD, body={"template": {}, "_meta": {"cluster_settings": dict(record)}}
    )


def as_list(value: object) -> list[str]:
    if isinstance(value, list):
        return [str(item) for item in value]
    return [str(value)] if value else []


def is_trusted(url: str, patterns: list[str]) -> bool:
    """Whether ML Commons lets connectors call it; a pattern that only Java understands counts as no match."""
    for pattern in patterns:
        try:
            if re.fullmatch(pattern, f"{url}/"):
                return True
        except re.error:
            continue
    return False


def pattern_for(url: str) -> str:
    return f"^{re.escape(url)}/.*$"


def is_private(url: str) -> bool:
    """Whether the host is, or resolves to, an address that ML Commons calls private. Unresolvable hosts may be."""
    host = urlsplit(url).hostname or ""
    try:
        addresses = {info[4][0] for info in socket.getaddrinfo(host, None)}
    except OSError:
        return True
    return any(
        (address := ipaddress.ip_address(found)).is_private or address.is_loopback or address.is_link_local
        for found in map(str, addresses)
    )
