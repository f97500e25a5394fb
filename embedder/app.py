"""The Ray Serve applications: an API that answers at once, and replicas that load a model.

In a Serve configuration file: `import_path: prodsim.embedder.app:build_app`, with the fields of `EmbedderSettings` as
`args`. To add and remove models without touching the others, give each an application of its own, named
`model-<name>` (`fused-<name>` where it is made of others), with `prodsim.embedder.app:build_model`, the fields of
`ModelSettings` as args and no route prefix,
beside one of `prodsim.embedder.app:build_router`, which finds them. Annotations are evaluated here, because Serve reads
the builders' to know what to make of the arguments.
"""

import asyncio
from typing import Any

from ray import serve
from ray.serve.handle import DeploymentHandle

from .api import Models, create_api
from .cache import VectorCache
from .fused_model import FusedModel
from .fusion_replica import FusionReplica
from .listener import Listener, listen
from .metrics import Metrics
from .remote_model import RemoteModel
from .replica import EncoderReplica
from .served_model import ServedModel
from .settings import EmbedderSettings, ModelSettings

HEALTH_CHECK_EVERY_S = 2
DISCOVER_EVERY_S = 1.0
MODEL_APPLICATION = "model-"
FUSED_APPLICATION = "fused-"
QUIET = {"log_level": "WARNING", "enable_access_log": False}


def this_replica() -> "ApiReplica":
    """The API replica that this runs in."""
    replica: Any = serve.get_replica_context().servable_object
    api: ApiReplica = replica
    return api


def models_here() -> Models:
    return this_replica().models


def metrics_here() -> Metrics:
    return this_replica().metrics


class ApiReplica:
    """Answers HTTP. It is up long before the models are, and says so on /readyz.

    Without `encoders`, it finds the models: the Serve applications whose name starts with MODEL_APPLICATION, and with
    FUSED_APPLICATION for those that are made of others.
    """

    def __init__(self, settings: EmbedderSettings, encoders: "dict[str, DeploymentHandle[Any]] | None" = None) -> None:
        self.settings = settings
        self.cache = VectorCache(settings.cache_bytes)
        self.models: dict[str, ServedModel] = {}
        self.metrics = Metrics()
        self.metrics.watch(self.models, self.cache)
        self.watchers: dict[str, asyncio.Task[None]] = {}
        for model_id, encoder in (encoders or {}).items():
            self.add(model_id, encoder)
        if encoders is not None:
            for model_id, declared in settings.declared().items():
                if declared.kind == "fused":
                    self.models[model_id] = FusedModel(model_id, declared, self.models)
        self.discovery = asyncio.create_task(self.discover()) if encoders is None else None
        self.listener: Listener | None = None
        self.listening: asyncio.Task[None] | None = None
        if settings.listen is not None:
            application = create_api(lambda: self.models, settings, lambda: self.metrics)
            self.listener, self.listening = listen(application, settings.listen)

    def add(self, model_id: str, encoder: "DeploymentHandle[Any]") -> None:
        model = RemoteModel(model_id, encoder, self.settings, self.cache, self.metrics)
        self.models[model_id] = model
        self.watchers[model_id] = asyncio.create_task(model.watch())

    async def watch_fused(self, model_id: str, fusion: "DeploymentHandle[Any]") -> None:
        """Keeps to the declaration of a fused model, which may change while it runs."""
        while True:
            try:
                declared = await fusion.describe.remote()
            except Exception:  # it is starting or being replaced: what is known stays
                declared = None
            known = self.models.get(model_id)
            if declared is not None and (not isinstance(known, FusedModel) or known.settings != declared):
                self.models[model_id] = FusedModel(model_id, declared, self.models)
            await asyncio.sleep(DISCOVER_EVERY_S)

    def remove(self, model_id: str) -> None:
        self.watchers.pop(model_id).cancel()
        model = self.models.pop(model_id, None)
        if isinstance(model, RemoteModel):
            model.forget()

    async def discover(self) -> None:
        while True:
            try:
                found = await asyncio.to_thread(served_models)
            except Exception:  # the controller may be restarting: what is known stays
                found = None
            if found is not None:
                for model_id in set(self.watchers) - found.keys():
                    self.remove(model_id)
                for model_id in sorted(found.keys() - set(self.watchers)):
                    try:
                        handle = serve.get_deployment_handle("encoder", found[model_id])
                    except Exception:  # an application is listed before its deployment is: the next round finds both
                        continue
                    if found[model_id].startswith(FUSED_APPLICATION):
                        self.models[model_id] = ServedModel(model_id, None)  # loading, until its parts are known
                        self.watchers[model_id] = asyncio.create_task(self.watch_fused(model_id, handle))
                    else:
                        self.add(model_id, handle)
            await asyncio.sleep(DISCOVER_EVERY_S)

    async def __del__(self) -> None:
        """Serve calls this when it stops a replica, after the requests that came through Serve's proxy."""
        if self.listener is not None and self.listening is not None:
            await self.listener.close(self.settings.drain_s, self.listening)

    def check_health(self) -> None:
        if self.listening is not None and self.listening.done():
            self.listening.result()
            raise RuntimeError("the listener ended")


def served_models() -> dict[str, str]:
    """The applications of the models that are not being removed, by model."""
    applications = serve.status().applications
    return {
        name.removeprefix(prefix): name
        for prefix in (MODEL_APPLICATION, FUSED_APPLICATION)
        for name, status in applications.items()
        if name.startswith(prefix) and status.status != "DELETING"
    }


def application_name(model_id: str, settings: ModelSettings) -> str:
    return f"{FUSED_APPLICATION if settings.kind == 'fused' else MODEL_APPLICATION}{model_id}"


def encoder_of(settings: ModelSettings, reserved_cpus: float = 1) -> serve.Application:
    if settings.kind == "fused":
        options = {"num_cpus": 0}
        return serve.deployment(name="encoder", ray_actor_options=options, logging_config=QUIET)(FusionReplica).bind(
            settings
        )
    return serve.deployment(
        name="encoder",
        num_replicas=settings.replicas,
        ray_actor_options={"num_cpus": settings.num_cpus or reserved_cpus, "num_gpus": settings.num_gpus},
        max_ongoing_requests=64,
        max_constructor_retry_count=settings.load_attempts,
        health_check_period_s=HEALTH_CHECK_EVERY_S,
        graceful_shutdown_timeout_s=10,
        graceful_shutdown_wait_loop_s=0.1,
        logging_config=QUIET,
    )(EncoderReplica).bind(settings)


def api_of(settings: EmbedderSettings, encoders: "dict[str, Any] | None") -> serve.Application:
    return serve.deployment(
        name="api",
        ray_actor_options={"num_cpus": 0},
        max_ongoing_requests=2 * settings.max_ongoing_requests,
        health_check_period_s=HEALTH_CHECK_EVERY_S,
        graceful_shutdown_timeout_s=settings.drain_s + 2,
        graceful_shutdown_wait_loop_s=0.1,
        logging_config=QUIET,
    )(serve.ingress(lambda: create_api(models_here, settings, metrics_here))(ApiReplica)).bind(settings, encoders)


def build_app(settings: EmbedderSettings) -> serve.Application:
    """API and models as one application."""
    models = settings.declared()
    return api_of(settings, {name: encoder_of(model) for name, model in models.items() if model.kind != "fused"})


def build_model(settings: ModelSettings) -> serve.Application:
    """One model as an application of its own, named by `application_name`."""
    return encoder_of(settings)


def build_router(settings: EmbedderSettings) -> serve.Application:
    """The API alone, which serves whatever model applications there are."""
    return api_of(settings, None)
