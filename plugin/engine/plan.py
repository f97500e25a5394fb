"""What `engine up` would do, without doing it."""

from __future__ import annotations

import os
import pwd
from dataclasses import dataclass
from pathlib import Path

from prodsim.plugin.errors import UsageError

from .account import SYSTEM_USER, Account, exists
from .downloads import megabytes
from .install import is_installed
from .instance import DEFAULT_HEAP, heap_bytes, instance_for
from .java import find_java
from .locks import Say, silent
from .ports import HOST
from .recipe import recipe_for
from .running import require_free, running_engine


@dataclass(frozen=True)
class StartPlan:
    """`download_bytes` is what is not in the downloads folder yet; `java` is None where none fits."""

    name: str
    version: str
    url: str
    running: bool
    installed: bool
    download_bytes: int
    java: str | None
    user: str
    creates_user: bool

    def describe(self) -> str:
        if self.running:
            return f"OpenSearch {self.version} is up already: {self.url}"
        steps = [
            ""
            if self.installed
            else f"download {megabytes(self.download_bytes)} and install OpenSearch {self.version}",
            f"create the system user {self.user}" if self.creates_user else "",
            f"start {self.name} at {self.url} as {self.user}",
            f"with the Java in {self.java}" if self.java else "once there is a Java that fits",
        ]
        return f"would {', '.join(step for step in steps if step)}"


def plan_start(
    home: Path,
    version: str | None,
    port: int,
    heap: str | None,
    ephemeral: bool,
    user: str | None,
    downloads: Path | None = None,
    say: Say = silent,
    secure: bool = False,
) -> StartPlan:
    """What `start_engine` would find and do. Raises what it would raise before it changes anything."""
    recipe = recipe_for(version, secure)
    heap_bytes(heap or DEFAULT_HEAP)
    home = home.resolve()
    wanted = instance_for(home, recipe.name, port, ephemeral)
    running = running_engine(home, wanted, port, heap, user)
    if running is None:
        require_free(home, port)
    this = pwd.getpwuid(os.geteuid())
    name = user or (SYSTEM_USER if this.pw_uid == 0 else this.pw_name)
    if user is not None and not exists(user):
        raise UsageError(f"there is no user {user} on this machine")
    entry = pwd.getpwnam(name) if exists(name) else this
    java = find_java(recipe.java, Account(name, entry.pw_uid, entry.pw_gid), say)
    installed = is_installed(home, recipe)
    cache = downloads or home / "downloads"
    missing = [artifact for artifact in recipe.artifacts if not (cache / artifact.file_name).exists()]
    return StartPlan(
        name=wanted.name,
        version=recipe.version,
        url=f"{'https' if secure else 'http'}://{HOST}:{port}",
        running=running is not None,
        installed=installed,
        download_bytes=0 if installed else sum(artifact.size_bytes for artifact in missing),
        java=str(java.home) if java else None,
        user=name,
        creates_user=not exists(name),
    )
