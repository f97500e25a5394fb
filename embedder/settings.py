"""What the embedder can be told: the model, its copies and its limits."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from prodsim.plugin.errors import UsageError

CPU_BATCH_SIZE = 16
GPU_BATCH_SIZE = 128


class EmbedderSettings(BaseModel):
    """Arguments of the Serve application `prodsim.embedder.app:build_app`. Times are seconds."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    model: str | None = Field(
        default=None,
        description="folder or hub name of a sentence-transformers model, or fake-<dimension> (default: MiniLM)",
    )
    model_id: str | None = Field(
        default=None, pattern=r"^[\w.:/-]{1,200}$", description="name that clients use (default: from the model)"
    )
    replicas: int = Field(default=1, ge=1, le=1000, description="copies of the model")
    num_cpus: float | None = Field(
        default=None,
        gt=0,
        description="CPUs reserved for each copy (default: 1 reserved, the machine's shared by the copies)",
    )
    num_gpus: float = Field(default=0.0, ge=0, description="GPUs for each copy")
    device: Literal["auto", "cpu", "cuda"] = Field(
        default="auto", description="auto: cuda where num_gpus > 0, else cpu"
    )
    threads: int | None = Field(default=None, ge=1, description="CPU threads of each copy (default: from num_cpus)")
    load_attempts: int = Field(default=3, ge=1, description="how often a copy that fails to load is started")

    max_batch_size: int | None = Field(
        default=None,
        ge=1,
        description=f"texts encoded together (default: {CPU_BATCH_SIZE} on CPU, {GPU_BATCH_SIZE} on GPU)",
    )
    batch_wait_s: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="how long an idle copy waits for company; what arrives while it works is batched",
    )
    max_ongoing_requests: int = Field(default=512, ge=1, description="requests held at once; more are answered 503")
    max_queued_items: int = Field(
        default=8192, ge=1, description="texts of one kind that may wait; more are answered 503"
    )
    request_timeout_s: float = Field(default=60.0, gt=0, description="a request not answered by then is answered 503")

    max_items: int = Field(default=512, ge=1, description="texts in one request")
    max_characters: int = Field(
        default=100_000, ge=1, description="characters in one text (a model reads only the first)"
    )
    max_body_bytes: int = Field(default=16 * 1024 * 1024, ge=1024, description="size of one request")

    @model_validator(mode="after")
    def queue_holds_one_request(self) -> Self:
        if self.max_queued_items < self.max_items:
            raise ValueError("max_queued_items must be at least max_items")
        return self

    @property
    def batch_size(self) -> int:
        return self.max_batch_size or (GPU_BATCH_SIZE if self.uses_gpu else CPU_BATCH_SIZE)

    @property
    def uses_gpu(self) -> bool:
        return self.device == "cuda" or (self.device == "auto" and self.num_gpus > 0)

    @property
    def threads_per_replica(self) -> int:
        """CPU threads of one copy: as told, else the CPUs reserved for it, else its share of this machine's."""
        if self.threads:
            return self.threads
        if self.num_cpus is not None:
            return max(1, int(self.num_cpus))
        return max(1, available_cpus() // self.replicas)


class ServerSettings(EmbedderSettings):
    """The application and the address of the server on this machine."""

    host: str = Field(default="127.0.0.1", min_length=1, description="address to listen on")
    port: int = Field(default=8901, ge=1, le=65535)

    @property
    def url(self) -> str:
        """Where this machine finds the server."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    @property
    def application(self) -> EmbedderSettings:
        return EmbedderSettings.model_validate(self.model_dump(exclude={"host", "port"}))


def server_settings(**values: Any) -> ServerSettings:
    """Settings from options; None stands for the default.

    Raises:
        UsageError: all bad values, in one line.
    """
    try:
        return ServerSettings(**{name: value for name, value in values.items() if value is not None})
    except ValidationError as error:
        problems = [f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in error.errors()]
        raise UsageError("; ".join(problems)) from None


def port_in(url: str) -> int | None:
    """The port that a URL names, if any.

    Raises:
        UsageError: it is no port.
    """
    try:
        return urlsplit(url).port
    except ValueError:
        raise UsageError(f"embedder_url {url} has no valid port") from None


def available_cpus() -> int:
    """CPUs this process may use: its affinity, within the quota of its control group (cpu.max of cgroup v2)."""
    cpus = len(os.sched_getaffinity(0))
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        if quota != "max":
            cpus = min(cpus, max(1, int(quota) // int(period)))
    except (OSError, ValueError):  # not in a container, or cgroup v1
        pass
    return cpus
