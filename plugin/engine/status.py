"""Which engines there are on this machine, and how they are."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import httpx

from prodsim.plugin.errors import UsageError

from . import process
from .instance import Instance, Record, known_instances
from .recipe import recipe_for
from .security import http_client

State = Literal["running", "starting", "stopped", "stale pid"]


@dataclass(frozen=True)
class EngineStatus:
    """One engine. `health` is the cluster's green, yellow or red, "unreachable", or None where it does not run.

    `data_size_bytes` is None where this user may not read the data. "stale pid" means that the engine was not stopped
    by `engine down`: it crashed, was killed, or the machine restarted.
    """

    name: str
    version: str
    port: int
    url: str
    state: State
    pid: int | None
    health: str | None
    heap: str
    ephemeral: bool
    user: str
    data_size_bytes: int | None
    plugins: list[str]
    folder: str
    log_file: str

    def as_row(self) -> dict[str, Any]:
        """For a table: sizes and lists as a person reads them."""
        size = "" if self.data_size_bytes is None else f"{self.data_size_bytes / 1e6:.1f} MB"
        return {**asdict(self), "data": size, "plugins": ", ".join(self.plugins)}


def list_engines(home: Path, port: int | None = None) -> list[EngineStatus]:
    """All engines of `home` that were started once and not purged, or those of one port."""
    return [
        describe(instance, record)
        for instance in known_instances(home.resolve(), port)
        if (record := instance.record) is not None
    ]


def describe(instance: Instance, record: Record) -> EngineStatus:
    pid = process.find_process(instance)
    url = record.url
    health = health_of(instance, record) if pid is not None else None
    return EngineStatus(
        name=instance.name,
        version=record.version,
        port=record.port,
        url=url,
        state=state_of(instance, record, pid),
        pid=pid,
        health=health if record.ready or health is None else health.replace("unreachable", "not yet"),
        heap=record.heap,
        ephemeral=record.ephemeral,
        user=record.user,
        data_size_bytes=folder_size_bytes(instance.data),
        plugins=plugins_of(record.version, record.secure),
        folder=str(instance.folder),
        log_file=str(instance.log_file),
    )


def state_of(instance: Instance, record: Record, pid: int | None) -> State:
    if pid is None:
        return "stale pid" if instance.pid_file.exists() else "stopped"
    return "running" if record.ready else "starting"


def health_of(instance: Instance, record: Record) -> str:
    try:
        with http_client(instance, record.port, record.secure, timeout_s=5.0) as client:
            return str(client.get("/_cluster/health").raise_for_status().json()["status"])
    except (httpx.HTTPError, OSError, ValueError, LookupError):
        return "unreachable"


def folder_size_bytes(folder: Path) -> int | None:
    unreadable: list[OSError] = []
    total = 0
    for path, _, files in os.walk(folder, onerror=unreadable.append):
        for name in files:
            try:
                total += os.lstat(os.path.join(path, name)).st_size
            except FileNotFoundError:  # merged away meanwhile
                continue
    return None if any(isinstance(error, PermissionError) for error in unreadable) else total


def plugins_of(version: str, secure: bool) -> list[str]:
    try:
        return sorted(recipe_for(version, secure).plugins)
    except UsageError:  # an instance of a version that an older prodsim offered
        return []
