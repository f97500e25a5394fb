"""Which engine runs on a port, and whether it is the one that is wanted."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from prodsim.plugin.errors import LocalEngineError

from . import logs, ports, process
from .instance import Instance, heap_bytes, known_instances
from .security import how_to_reach


@dataclass(frozen=True)
class Engine:
    """A running engine that answers. `name` is what `stop_engine` takes; `settings` are what a secure one needs."""

    name: str
    version: str
    url: str
    port: int
    transport_port: int
    pid: int
    heap: str
    ephemeral: bool
    user: str
    data: Path
    log_file: Path
    was_running: bool
    settings: dict[str, str] = field(default_factory=dict)

    def describe(self) -> str:
        state = "is up already" if self.was_running else "is up"
        kept = "data go at engine down" if self.ephemeral else f"data in {self.data}"
        return f"OpenSearch {self.version} {state}: {self.url} (process {self.pid}, {kept})"

    def as_row(self) -> dict[str, Any]:
        return {name: str(value) if isinstance(value, Path) else value for name, value in asdict(self).items()}


def process_on(home: Path, port: int) -> tuple[Instance, int] | None:
    """The instance of `home` whose process is alive for `port`, and its pid."""
    for instance in known_instances(home, port):
        pid = process.find_process(instance)
        if pid is not None:
            return instance, pid
    return None


def running_engine(home: Path, wanted: Instance, port: int, heap: str | None, user: str | None) -> Engine | None:
    """The engine on `port`, if it is up and is the one that is wanted; None while it is starting or is not there.

    Raises:
        LocalEngineError: an engine of `home` runs there, and it is another one.
    """
    found = process_on(home, port)
    if found is None:
        return None
    instance, _ = found
    record = instance.record
    if record is None:
        return None
    differences = []
    if instance.name != wanted.name:
        differences.append(f"it is {instance.name}, not {wanted.name}")
    if heap is not None and heap_bytes(record.heap) != heap_bytes(heap):
        differences.append(f"its heap is {record.heap}, not {heap}")
    if user not in (None, record.user):
        differences.append(f"it runs as {record.user}, not {user}")
    if differences:
        raise LocalEngineError(
            f"an engine runs on port {port} already, and {' and '.join(differences)}:"
            f" stop it with `prodsim-admin engine down --port {port}`, or choose another --port"
        )
    return described(instance, was_running=True) if record.ready else None


def require_free(home: Path, port: int) -> None:
    """Raises LocalEngineError where a process that is no engine of `home` has the port."""
    if not ports.is_free(port) and process_on(home, port) is None:
        raise LocalEngineError(
            f"port {port} is used by {ports.describe_holder(port)}: stop that, or choose another --port"
        )


def described(instance: Instance, was_running: bool) -> Engine:
    record, pid = instance.record, process.find_process(instance)
    if record is None or pid is None:
        raise LocalEngineError(f"the engine {instance.name} stopped just now. Its log: {logs.log_of(instance)}")
    return Engine(
        name=instance.name,
        version=record.version,
        url=record.url,
        port=record.port,
        transport_port=record.transport_port,
        pid=pid,
        heap=record.heap,
        ephemeral=record.ephemeral,
        user=record.user,
        data=instance.data,
        log_file=instance.log_file,
        was_running=was_running,
        settings=how_to_reach(instance, record.port) if record.secure else {},
    )
