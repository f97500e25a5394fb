"""The profiles that were applied to a cluster, newest first: what `setup` installs and a rollback goes back to."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from prodsim.plugin.client import engine_errors

from .files import default_profile
from .profile import Profile

if TYPE_CHECKING:
    from opensearchpy import OpenSearch

RECORD = "prodsim-ranking"  # a component template: nothing uses it, the cluster keeps it
KEPT = 10


@dataclass(frozen=True)
class Version:
    """A profile as it was applied, with all that it inherited."""

    profile: Profile
    applied_at: str

    def as_json(self) -> dict[str, Any]:
        return {"applied_at": self.applied_at, "profile": self.profile.model_dump(mode="json", by_alias=True)}


def read_versions(client: OpenSearch) -> list[Version]:
    """The applied profiles, newest first; [] where none ever was."""
    path = f"/_component_template/{RECORD}"
    with engine_errors("reading the applied ranking profiles"):
        found = client.transport.perform_request("GET", path, params={"ignore": (404,)})
    templates = found.get("component_templates", [])
    kept = templates[0]["component_template"]["_meta"]["versions"] if templates else []
    return [Version(Profile.model_validate(one["profile"]), one["applied_at"]) for one in kept]


def active_profile(client: OpenSearch) -> Profile:
    """The profile that the stored templates are compiled from: the one applied last, else the shipped default."""
    versions = read_versions(client)
    return versions[0].profile if versions else default_profile()


def remember(client: OpenSearch, profile: Profile) -> None:
    now = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
    write_versions(client, [Version(profile, now), *read_versions(client)])


def forget_newest(client: OpenSearch) -> None:
    write_versions(client, read_versions(client)[1:])


def write_versions(client: OpenSearch, versions: list[Version]) -> None:
    path = f"/_component_template/{RECORD}"
    with engine_errors("recording the applied ranking profile"):
        if versions:
            kept = [version.as_json() for version in versions[:KEPT]]
            client.transport.perform_request("PUT", path, body={"template": {}, "_meta": {"versions": kept}})
        else:
            client.transport.perform_request("DELETE", path, params={"ignore": (404,)})
