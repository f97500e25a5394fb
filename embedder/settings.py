"""What the embedder can be told: its models, their copies, its limits and where it listens."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from prodsim.plugin.errors import UsageError

CPU_BATCH_SIZE = 16
GPU_BATCH_SIZE = 128
MODEL_ID = r"^[\w.:/-]{1,200}$"

Backend = Literal["auto", "torch", "openvino", "onnx"]
Precision = Literal["auto", "fp32", "bf16", "fp16", "int8"]
PRECISIONS: dict[Backend, tuple[Precision, ...]] = {
    "auto": ("fp32", "bf16"),
    "torch": ("fp32", "bf16", "fp16"),
    "openvino": ("fp32", "bf16"),
    "onnx": ("fp32", "int8"),
}


class ModelSettings(BaseModel):
    """One model: where it comes from, how it is run, and its copies. Times are seconds."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    model: str | None = Field(
        default=None,
        description="folder or hub name of a sentence-transformers model, or fake-<dimension> (default: MiniLM)",
    )
    model_id: str | None = Field(
        default=None, pattern=MODEL_ID, description="name that clients use (default: from the model)"
    )
    backend: Backend = Field(
        default="torch", description="what computes; auto: OpenVINO on a CPU where it is installed, else torch"
    )
    precision: Precision = Field(
        default="auto", description="auto: fp32, but bf16 where backend is auto and the CPU is made for it"
    )
    query_prefix: str | None = Field(default=None, description="goes before each query (default: the model's own)")
    passage_prefix: str | None = Field(default=None, description="goes before each passage (default: the model's own)")
    dimension: int | None = Field(
        default=None, ge=1, description="leading dimensions that are kept, for models trained for that (Matryoshka)"
    )
    max_tokens: int | None = Field(default=None, ge=8, description="longer texts are cut (default: the model's own)")

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
        description="how long an idle copy waits for passages to batch; queries never wait",
    )

    @model_validator(mode="after")
    def precision_fits_backend(self) -> Self:
        if self.precision not in ("auto", *PRECISIONS[self.backend]):
            raise ValueError(f"backend {self.backend} computes in {' or '.join(PRECISIONS[self.backend])}")
        if self.backend in ("openvino", "onnx") and self.uses_gpu:
            raise ValueError(f"backend {self.backend} runs on CPUs only: use torch on a GPU")
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


class LimitSettings(BaseModel):
    """What one embedder takes on before it refuses."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    max_ongoing_requests: int = Field(default=512, ge=1, description="requests held at once; more are answered 429")
    max_queued_items: int = Field(
        default=8192, ge=1, description="texts of one kind that may wait for a model; more are answered 429"
    )
    request_timeout_s: float = Field(default=60.0, gt=0, description="a request not answered by then is answered 503")
    max_items: int = Field(default=512, ge=1, description="texts in one request")
    max_characters: int = Field(
        default=100_000, ge=1, description="characters in one text (a model reads only the first)"
    )
    max_body_bytes: int = Field(default=16 * 1024 * 1024, ge=1024, description="size of one request")
    cache_bytes: int = Field(
        default=64 * 1024 * 1024, ge=0, description="memory for vectors of texts that were asked before; 0: no cache"
    )
    drain_s: float = Field(default=10.0, ge=0, le=600, description="how long a stop waits for requests under way")

    @model_validator(mode="after")
    def queue_holds_one_request(self) -> Self:
        if self.max_queued_items < self.max_items:
            raise ValueError("max_queued_items must be at least max_items")
        return self


class ListenSettings(BaseModel):
    """Where an API replica takes requests itself, without the hop through Serve's proxy."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str = Field(default="127.0.0.1", min_length=1, description="address to listen on")
    port: int = Field(default=8901, ge=1, le=65535)
    tls_certificate: Path | None = Field(default=None, description="certificate chain (PEM): answers HTTPS only")
    tls_key: Path | None = Field(default=None, description="private key of the certificate (PEM)")

    @model_validator(mode="after")
    def certificate_and_key_go_together(self) -> Self:
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("tls_certificate and tls_key go together")
        return self

    @property
    def url(self) -> str:
        """Where this machine finds the server."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)
        scheme = "https" if self.tls_certificate else "http"
        return f"{scheme}://[{host}]:{self.port}" if ":" in host else f"{scheme}://{host}:{self.port}"


class EmbedderSettings(ModelSettings, LimitSettings):
    """Arguments of the Serve application `prodsim.embedder.app:build_app`: limits, and one model or several.

    `models` maps the names that clients use to models; the fields of a single model are its alternative.
    """

    models: dict[str, ModelSettings] | None = Field(default=None, description="several models, by name")
    api_keys_file: Path | None = Field(default=None, description="file with one API key a line; see also api_keys")
    listen: ListenSettings | None = Field(default=None, description="a port of its own for each machine's API")

    @model_validator(mode="after")
    def one_way_to_name_models(self) -> Self:
        if self.models is not None:
            if given := self.model_fields_set & set(ModelSettings.model_fields):
                raise ValueError(f"{', '.join(sorted(given))} can't be set beside models: set it for each model")
            if not self.models:
                raise ValueError("models is empty: declare at least one")
        return self

    def declared(self) -> dict[str, ModelSettings]:
        """The models by public name."""
        from .model_files import public_id

        if self.models is not None:
            return {name: model.model_copy(update={"model_id": name}) for name, model in self.models.items()}
        single = ModelSettings(**self.model_dump(include=set(ModelSettings.model_fields)))
        return {public_id(self.model, self.model_id): single}


class ServerSettings(EmbedderSettings, ListenSettings):
    """The application and the address of the server on this machine."""

    models_file: Path | None = Field(default=None, description="where `models` came from, read anew on reload")

    @property
    def application(self) -> EmbedderSettings:
        own = {*ListenSettings.model_fields, "models_file"}
        return EmbedderSettings.model_validate(self.model_dump(exclude=own, exclude_unset=True))

    @property
    def listener(self) -> ListenSettings:
        return ListenSettings(**self.model_dump(include=set(ListenSettings.model_fields)))


def server_settings(**values: Any) -> ServerSettings:
    """Settings from options; None stands for the default.

    Raises:
        UsageError: all bad values, in one line.
    """
    try:
        return ServerSettings(**{name: value for name, value in values.items() if value is not None})
    except ValidationError as error:
        raise UsageError(problems_in(error)) from None


def problems_in(error: ValidationError) -> str:
    problems = [(".".join(map(str, problem["loc"])), problem["msg"]) for problem in error.errors()]
    problems.sort()
    return "; ".join(f"{where}: {what}" if where else what for where, what in problems)


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
