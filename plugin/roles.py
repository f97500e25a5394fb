"""prodsim's roles for the security plugin: `mappings/security/*.json`, filled for a catalog and installed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from prodsim.mappings.render import render_json

from .changes import Change, compare
from .client import engine_errors
from .indexes import check_alias_name

if TYPE_CHECKING:
    from opensearchpy import OpenSearch

API = "/_plugins/_security/api"
ROLES = ("admin", "loader", "reader")
CATALOG_OF_LOCAL_ENGINE = "products"


def role_name(role: str) -> str:
    return f"prodsim_{role}"


def roles_for(alias: str) -> dict[str, dict[str, Any]]:
    """The roles' bodies by name, as the security plugin's REST API takes them."""
    check_alias_name(alias)
    return {role_name(role): render_json(f"security/{role}.json", alias=alias) for role in ROLES}


def plan_roles(client: OpenSearch, alias: str) -> list[Change]:
    """What `apply_roles` would change. Raises EngineError where this user may not read roles."""
    from opensearchpy.exceptions import NotFoundError

    changes = []
    for name, body in roles_for(alias).items():
        with engine_errors(f"reading role {name}"):
            try:
                found = client.transport.perform_request("GET", f"{API}/roles/{name}")[name]
            except NotFoundError:
                found = None
        installed = {key: found.get(key) for key in body} if found else None
        if installed:
            installed["index_permissions"] = [without_defaults(entry) for entry in installed["index_permissions"]]
        changes.append(compare("role", name, installed, body))
    return changes


def without_defaults(permission: Mapping[str, Any]) -> dict[str, Any]:
    """What the plugin adds to an index permission is left out."""
    return {key: permission[key] for key in ("index_patterns", "allowed_actions")}


def apply_roles(client: OpenSearch, alias: str) -> list[Change]:
    """Installs the roles. Who has them is the cluster's own business: a role mapping, or a backend role."""
    changes = plan_roles(client, alias)
    bodies = roles_for(alias)
    for change in changes:
        if change.action != "unchanged":
            with engine_errors(f"installing role {change.name}"):
                client.transport.perform_request("PUT", f"{API}/roles/{change.name}", body=bodies[change.name])
    return changes


def local_user_requests(passwords: Mapping[str, str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """(path, body) of what gives a local engine a user for each role, on the catalog of the default name."""
    for role in ROLES:
        name = role_name(role)
        yield f"{API}/roles/{name}", render_json(f"security/{role}.json", alias=CATALOG_OF_LOCAL_ENGINE)
        yield f"{API}/internalusers/{name}", {"password": passwords[name], "opendistro_security_roles": [name]}
        yield f"{API}/rolesmapping/{name}", {"users": [name]}
