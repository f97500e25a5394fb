"""The Ray Serve application: an API that answers at once, in front of replicas that load a model.

In a Serve configuration file: `import_path: prodsim.embedder.app:build_app`, with the fields of `EmbedderSettings` as
`args`. Annotations are evaluated here, because Serve reads the builder's to know what to make of the arguments.
"""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ray import serve
from ray.serve.handle import DeploymentHandle

from prodsim.plugin.errors import EmbedderError

from .api import Models, create_api
from .encoder import Encoded, InputType, ModelCard
from .loading import open_encoder
from .model_files import public_id
from .remote_model import RemoteModel
from .settings import EmbedderSettings

STUCK_AFTER_S = 120
HEALTH_CHECK_EVERY_S = 2
QUIET = {"log_level": "WARNING", "enable_access_log": False}


class EncoderReplica:
    """One copy of a model. It encodes in a thread of its own, so that it answers health checks meanwhile."""

    def __init__(self, settings: EmbedderSettings) -> None:
        self.thread = ThreadPoolExecutor(1, thread_name_prefix="encoder")
        self.encoder = self.thread.submit(open_encoder, settings).result()
        self.busy_since: float | None = None

    async def describe(self) -> ModelCard:
        return self.encoder.card

    async def encode(self, texts: list[str], input_type: InputType) -> Encoded:
        return await asyncio.get_running_loop().run_in_executor(self.thread, self.encode_now, texts, input_type)

    def encode_now(self, texts: list[str], input_type: InputType) -> Encoded:
        self.busy_since = time.monotonic()
        try:
            return self.encoder.encode(texts, input_type)
        finally:
            self.busy_since = None

    def check_health(self) -> None:
        """Serve calls this and replaces a replica that raises."""
        if self.busy_since is not None and time.monotonic() - self.busy_since > STUCK_AFTER_S:
            raise EmbedderError(f"one batch has been encoding for more than {STUCK_AFTER_S} s")


def models_here() -> Models:
    """The models of the API replica that this runs in."""
    replica: Any = serve.get_replica_context().servable_object
    models: Models = replica.models
    return models


class ApiReplica:
    """Answers HTTP. It is up long before the models are, and says so on /readyz."""

    def __init__(self, settings: EmbedderSettings, encoders: "dict[str, DeploymentHandle[Any]]") -> None:
        self.models = {model_id: RemoteModel(model_id, encoder, settings) for model_id, encoder in encoders.items()}
        self.watchers = [asyncio.create_task(model.watch()) for model in self.models.values()]


def build_app(settings: EmbedderSettings) -> serve.Application:
    """The application for `serve.run`, `serve run` and Serve configuration files."""
    encoder = serve.deployment(
        name="encoder",
        num_replicas=settings.replicas,
        ray_actor_options={"num_cpus": settings.num_cpus or 1, "num_gpus": settings.num_gpus},
        max_ongoing_requests=64,
        max_constructor_retry_count=settings.load_attempts,
        health_check_period_s=HEALTH_CHECK_EVERY_S,
        graceful_shutdown_timeout_s=10,
        graceful_shutdown_wait_loop_s=0.1,
        logging_config=QUIET,
    )(EncoderReplica)
    api = serve.deployment(
        name="api",
        ray_actor_options={"num_cpus": 0},
        max_ongoing_requests=2 * settings.max_ongoing_requests,
        health_check_period_s=HEALTH_CHECK_EVERY_S,
        graceful_shutdown_timeout_s=10,
        graceful_shutdown_wait_loop_s=0.1,
        logging_config=QUIET,
    )(serve.ingress(lambda: create_api(models_here, settings))(ApiReplica))
    return api.bind(settings, {public_id(settings.model, settings.model_id): encoder.bind(settings)})
