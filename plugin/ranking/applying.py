"""`ranking apply` and `ranking rollback`: a profile into the stored templates of a cluster."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from prodsim.plugin.changes import Change, compare
from prodsim.plugin.cluster import inspect_cluster
from prodsim.plugin.errors import CheckFailed, NotFound
from prodsim.plugin.resources import Installer, deduplicated
from prodsim.plugin.setup import install_search_templates, template_legs

from . import store
from .checking import check_profile
from .files import default_profile
from .profile import Profile

if TYPE_CHECKING:
    from opensearchpy import OpenSearch


@dataclass(frozen=True)
class Applied:
    """`changes` of the profile itself (kind "ranking profile") and of the stored templates. `warnings` say what of it
    does not count yet."""

    profile: str
    changes: list[Change]
    warnings: list[str] = field(default_factory=list)


def difference(client: OpenSearch, profile: Profile) -> Change:
    """What the profile changes of the one that is applied."""
    versions = store.read_versions(client)
    applied = versions[0].profile if versions else default_profile()
    before, after = (one.model_dump(mode="json", by_alias=True) for one in (applied, profile))
    return compare("ranking profile", profile.name, before, after)


def apply_profile(client: OpenSearch, alias: str, profile: Profile, dry_run: bool = False) -> Applied:
    """Checks the profile, compiles it and installs the stored templates; what was applied before is kept.

    Raises:
        CheckFailed: the profile has problems; nothing was changed. EngineError: the engine refuses.
    """
    found = check_profile(profile, client, alias)
    problems = [problem for problem in found if problem.severity == "error"]
    if problems:
        raise CheckFailed(
            f"profile {profile.name} is not applied: {'; '.join(problem.message for problem in problems)}"
        )
    changes = [difference(client, profile), *install(client, profile, dry_run)]
    if not dry_run and changes[0].action != "unchanged":
        store.remember(client, profile)
    return Applied(profile.name, changes, [problem.message for problem in found if problem.place == "synonyms"])


def rollback(client: OpenSearch, dry_run: bool = False) -> Applied:
    """Installs the profile that was applied before the last one, the shipped default where there was none.

    Raises:
        NotFound: nothing was applied.
    """
    versions = store.read_versions(client)
    if not versions:
        raise NotFound("no ranking profile was applied here: there is none to go back from")
    before = versions[1].profile if len(versions) > 1 else default_profile()
    changes = [difference(client, before), *install(client, before, dry_run)]
    if not dry_run:
        store.forget_newest(client)
    return Applied(before.name, changes)


def install(client: OpenSearch, profile: Profile, dry_run: bool) -> list[Change]:
    installer = Installer(client, dry_run)
    install_search_templates(installer, inspect_cluster(client), profile, template_legs(client))
    return deduplicated(installer.changes)
