"""What is known of an embedder: the process here, and what answers at its URL."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from prodsim.plugin.errors import EmbedderError

from .client import EmbedderClient, Model
from .local import find
from .processes import memory_bytes

STATUS_TIMEOUT_S = 5.0


@dataclass(frozen=True)
class Status:
    """`problem` says why it is not ready. The process fields are of the embedder that `up` started at this URL."""

    url: str
    ready: bool
    problem: str | None
    models: list[Model]
    pid: int | None
    processes: int
    memory_bytes: int
    started: float | None


def embedder_status(home: Path, url: str, api_key: str | None = None, ca_file: Path | None = None) -> Status:
    """The embedder that `up` left running under `home`; where there is none, the one at `url`."""
    running = find(home)
    url = running.url if running else url.rstrip("/")
    problem, models = None, []
    with EmbedderClient(url, STATUS_TIMEOUT_S, api_key, ca_file, verify=running is None) as client:
        try:
            client.require_ready()
            models = client.models()
        except EmbedderError as error:
            problem = str(error)
    pids = [running.pid, *running.process_ids()] if running else []
    return Status(
        url=url,
        ready=problem is None,
        problem=problem,
        models=models,
        pid=running.pid if running else None,
        processes=len(set(pids)),
        memory_bytes=memory_bytes(set(pids)),
        started=running.started if running else None,
    )
