"""What the embedder can be told: its models, their copies, its limits and where it listens."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from prodsim.plugin.errors import UsageError

from .encoder import ModelCard

CPU_BATCH_SIZE = 32
GPU_BATCH_SIZE = 128
UNIVERSAL_MODEL = "universal-sentence-encoder"
MODEL_ID = r"^[\w.:/-]{1,200}$"

Kind = Literal["text", "image", "fused"]
Combine = Literal["concatenate", "mean"]
Vectors = Literal["float32", "int8"]
Backend = Literal["auto", "torch", "openvino", "onnx"]
Precision = Literal["auto", "fp32", "bf16", "fp16", "int8"]
PRECISIONS: dict[Backend, tuple[Precision, ...]] = {
    "auto": ("fp32", "bf16"),
    "torch": ("fp32", "bf16", "fp16"),
    "openvino": ("fp32", "bf16"),
    "onnx": ("fp32", "int8"),
}


class PartSettings(BaseModel):
    """One part of a fused vector: the model that makes it, and what it counts for among the parts."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    model: str = Field(pattern=MODEL_ID, description="name of another model of this embedder")
    weight: float = Field(default=1.0, gt=0, le=1000)


PartName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,40}$")]


class ModelSettings(BaseModel):
    """One model: where it comes from, how it is run, and its copies. Times are seconds."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    kind: Kind = Field(
        default="text",
        description="text; image (images, and texts too where the model has both in one space); fused (of others)",
    )
    model: str | None = Field(
        default=None,
        description="folder or hub name of a sentence-transformers model, universal-sentence-encoder, "
        "or fake-<dimension> (default: MiniLM); "
        "for images also timm:NAME or torchvision:NAME (default: EfficientNet-Lite0)",
    )
    weights: Path | None = Field(
        default=None, description="for timm and torchvision: file of weights (default: those published for it)"
    )
    parts: dict[PartName, PartSettings] | None = Field(
        default=None, min_length=1, max_length=16, description="what a fused vector is made of, by name"
    )
    combine: Combine = Field(
        default="concatenate", description="fused: parts side by side, or their mean (parts of one length only)"
    )
    vectors: Vectors = Field(
        default="float32", description="int8: whole numbers from -127 to 127, for the engine's byte vectors"
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

    @model_validator(mode="after")
    def fields_fit_kind(self) -> Self:
        library = (self.model or "").partition(":")[0]
        if library in ("timm", "torchvision") and self.kind != "image":
            raise ValueError(f"{self.model} is a model of kind image")
        if self.model == UNIVERSAL_MODEL and self.kind != "text":
            raise ValueError(f"{self.model} is a model of kind text")
        if self.weights is not None and library not in ("timm", "torchvision"):
            raise ValueError("weights are for timm:NAME and torchvision:NAME")
        if self.kind == "image" and self.backend in ("openvino", "onnx"):
            raise ValueError(f"backend {self.backend} is for texts: images are computed by torch")
        if (self.kind == "fused") != (self.parts is not None):
            raise ValueError("kind fused and parts go together")
        if self.kind == "fused":
            own = {"kind", "parts", "combine", "vectors", "model_id", "dimension", "load_attempts"}
            if given := [name for name in changed_fields(self) if name not in own]:
                raise ValueError(f"a fused model is made of others: {', '.join(given)} can't be set")
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


def changed_fields(settings: BaseModel) -> list[str]:
    """The names of the fields that are not as they are by default."""
    fields = type(settings).model_fields
    return sorted(name for name, field in fields.items() if getattr(settings, name) != field.default)


def declared_card(card: ModelCard, settings: ModelSettings) -> ModelCard:
    """The card as its clients see it: int8 vectors can't be compared with others, so they are another revision."""
    if settings.vectors == "float32":
        return card
    revision = hashlib.sha256(f"{card.revision} {settings.vectors}".encode()).hexdigest()[:12]
    return replace(card, vectors=settings.vectors, revision=revision)


def networks(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        ip_network(name)  # ValueError says what is wrong with it
    return names


def check_parts(models: Mapping[str, ModelSettings]) -> None:
    """Raises ValueError where a fused model names a part that is not there, or is fused itself."""
    for name, model in models.items():
        for part, of_part in (model.parts or {}).items():
            if of_part.model not in models:
                raise ValueError(f"{name}: part {part} names model {of_part.model}, which is not declared")
            if models[of_part.model].kind == "fused":
                raise ValueError(f"{name}: part {part} names model {of_part.model}, which is fused itself")


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
    max_held_bytes: int = Field(
        default=256 * 1024 * 1024, ge=1024, description="bodies and images of all requests together; more: 429"
    )
    max_image_bytes: int = Field(default=8 * 1024 * 1024, ge=1024, description="size of one image file")
    max_image_pixels: int = Field(default=25_000_000, ge=1, description="pixels of one image")
    image_hosts: tuple[str, ...] = Field(
        default=(), description="hosts that images may be fetched from, *.name for all below; none: no URL is fetched"
    )
    image_networks: Annotated[tuple[str, ...], AfterValidator(networks)] = Field(
        default=(), description="private networks that those hosts may be in, such as 10.2.0.0/16"
    )
    image_timeout_s: float = Field(default=10.0, gt=0, le=120, description="how long one image may take to fetch")
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
            check_parts(self.models)
        elif self.kind == "fused":
            raise ValueError("a fused model is declared among the models that it is made of: use models")
        return self

    def declared(self) -> dict[str, ModelSettings]:
        """The models by public name."""
        from .model_files import public_id

        if self.models is not None:
            return {name: model.model_copy(update={"model_id": name}) for name, model in self.models.items()}
        single = ModelSettings(**self.model_dump(include=set(ModelSettings.model_fields)))
        return {public_id(self.model, self.model_id, self.kind): single}


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
