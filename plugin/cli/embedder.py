"""`prodsim-admin embedder`: the service that turns texts into vectors."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from prodsim.plugin.errors import UsageError

from . import output
from .options import Json

if TYPE_CHECKING:
    from prodsim.embedder.settings import ServerSettings
    from prodsim.plugin.config import Settings

app = typer.Typer(help="The embedder: texts in, vectors out.", no_args_is_help=True)

Model = Annotated[
    str | None,
    typer.Option(metavar="MODEL", help="Folder or hub name of a sentence-transformers model, or fake-<dimension>."),
]
ModelId = Annotated[str | None, typer.Option(metavar="NAME", help="The name that clients use (default: the model's).")]
Replicas = Annotated[int | None, typer.Option(min=1, help="Copies of the model (setting: embedder_replicas).")]
NumGpus = Annotated[float | None, typer.Option(min=0, help="GPUs for each copy (setting: embedder_num_gpus).")]
Threads = Annotated[int | None, typer.Option(min=1, help="CPU threads of each copy (default: its share of the CPUs).")]
BatchSize = Annotated[int | None, typer.Option(min=1, help="Texts encoded together (default: 16, on a GPU 128).")]
Host = Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 for all.")]
Port = Annotated[
    int | None, typer.Option(min=1, max=65535, help="Port to listen on (default: the one in embedder_url).")
]
ModelsFile = Annotated[
    Path | None, typer.Option("--models", metavar="FILE", help="YAML file that declares several models.")
]
BackEnd = Annotated[
    str | None,
    typer.Option("--backend", metavar="NAME", help="torch, openvino, onnx, or auto: the fastest that is installed."),
]
KeysFile = Annotated[Path | None, typer.Option("--api-keys-file", metavar="FILE", help="API keys, one a line.")]
Certificate = Annotated[Path | None, typer.Option("--tls-certificate", metavar="FILE", help="Answer HTTPS (PEM).")]
ImageHosts = Annotated[
    list[str] | None,
    typer.Option("--image-host", metavar="HOST", help="Fetch images by URL from this host (*.name: all below)."),
]
ImageNetworks = Annotated[
    list[str] | None,
    typer.Option("--image-network", metavar="NETWORK", help="Private network that such a host may be in: 10.2.0.0/16."),
]
TlsKey = Annotated[Path | None, typer.Option("--tls-key", metavar="FILE", help="Key of the certificate (PEM).")]


@app.command()
def serve(
    model: Model = None,
    model_id: ModelId = None,
    replicas: Replicas = None,
    num_gpus: NumGpus = None,
    threads: Threads = None,
    max_batch_size: BatchSize = None,
    host: Host = "127.0.0.1",
    port: Port = None,
    models: ModelsFile = None,
    backend: BackEnd = None,
    api_keys_file: KeysFile = None,
    tls_certificate: Certificate = None,
    tls_key: TlsKey = None,
    image_host: ImageHosts = None,
    image_network: ImageNetworks = None,
) -> None:
    """Run the embedder until Ctrl-C or SIGTERM."""
    from prodsim.embedder.server import serve_until_stopped
    from prodsim.plugin.config import load_settings

    settings = load_settings(embedder_model=model, embedder_replicas=replicas, embedder_num_gpus=num_gpus)
    single = {"model_id": model_id, "threads": threads, "max_batch_size": max_batch_size, "backend": backend}
    images = {"image_hosts": image_host, "image_networks": image_network}
    files = {"api_keys_file": api_keys_file, "tls_certificate": tls_certificate, "tls_key": tls_key}
    serve_until_stopped(server_settings(settings, models, single, images, host=host, port=port, **files), output.note)


@app.command()
def up(
    model: Model = None,
    model_id: ModelId = None,
    replicas: Replicas = None,
    num_gpus: NumGpus = None,
    threads: Threads = None,
    max_batch_size: BatchSize = None,
    host: Host = "127.0.0.1",
    port: Port = None,
    models: ModelsFile = None,
    backend: BackEnd = None,
    api_keys_file: KeysFile = None,
    tls_certificate: Certificate = None,
    tls_key: TlsKey = None,
    image_host: ImageHosts = None,
    image_network: ImageNetworks = None,
    as_json: Json = False,
) -> None:
    """Start the embedder in the background of this machine and wait until it is ready."""
    from prodsim.embedder import local
    from prodsim.plugin.config import load_settings

    settings = load_settings(embedder_model=model, embedder_replicas=replicas, embedder_num_gpus=num_gpus)
    single = {"model_id": model_id, "threads": threads, "max_batch_size": max_batch_size, "backend": backend}
    images = {"image_hosts": image_host, "image_networks": image_network}
    files = {"api_keys_file": api_keys_file, "tls_certificate": tls_certificate, "tls_key": tls_key}
    wanted = server_settings(settings, models, single, images, host=host, port=port, **files)
    output.note(f"starting the embedder at {wanted.url}; its log is {local.log_file(settings.home)}")
    started = local.start(settings.home, wanted)
    running = started.running
    if as_json:
        output.result_json(
            {"url": running.url, "model": running.model_id, "was_up": started.was_up, "seconds": started.seconds}
        )
    elif started.was_up:
        output.result(f"embedder with model {running.model_id} was up at {running.url}")
    else:
        output.result(f"embedder with model {running.model_id} ready at {running.url} after {started.seconds:.1f} s")


@app.command()
def down() -> None:
    """Stop the embedder that `up` started, with all its processes."""
    from prodsim.embedder import local
    from prodsim.plugin.config import load_settings

    running = local.stop(load_settings().home)
    output.result(f"embedder at {running.url} stopped" if running else "no embedder of `up` is running")


@app.command()
def status(as_json: Json = False) -> None:
    """Show the embedder of `up`, and what answers at embedder_url."""
    from prodsim.embedder.status import embedder_status
    from prodsim.plugin.config import load_settings

    settings = load_settings()
    found = embedder_status(settings.home, settings.embedder_url, settings.embedder_key, settings.embedder_ca_file)
    if as_json:
        output.result_json(found)
        return
    output.result(f"{found.url}  {'ready' if found.ready else found.problem}")
    if found.models:
        output.table([vars(model) for model in found.models], ["id", "dimension", "max_tokens", "revision"])
    if found.pid is None:
        output.result("started elsewhere" if found.ready else "none started with 'prodsim-admin embedder up'")
    else:
        minutes = (time.time() - (found.started or time.time())) / 60
        output.result(
            f"process {found.pid} and {found.processes - 1} more, "
            f"{found.memory_bytes / 1e6:.0f} MB, up for {minutes:.0f} min"
        )


@app.command()
def embed(
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What to embed, as a query.")],
    model: Annotated[str | None, typer.Option("--model", metavar="NAME", help="One of several models.")] = None,
    as_json: Json = False,
) -> None:
    """Embed a text, to see that the embedder answers: its model, the vector's length, the time."""
    from prodsim.plugin.config import load_settings

    from .wiring import open_embedder

    settings = load_settings()
    with open_embedder(settings) as embedder:
        embedder.require_ready()
        served = embedder.model(model or settings.model)
        began = time.monotonic()
        vectors, _ = embedder.embed([text], "query", served.id)
    seconds = time.monotonic() - began
    if as_json:
        output.result_json(
            {"model": served.id, "dimension": served.dimension, "seconds": seconds, "vector": vectors[0]}
        )
    else:
        output.result(f"{served.id}: {served.dimension} dimensions in {1000 * seconds:.0f} ms")


@app.command()
def logs(
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, help="How many of the last lines.")] = 50,
) -> None:
    """Show the end of the log of the embedder that `up` started."""
    from prodsim.embedder import local
    from prodsim.plugin.config import load_settings

    home = load_settings().home
    tail = local.log_tail(home, lines)
    if not tail:
        output.note(f"nothing in {local.log_file(home)} yet")
    for line in tail:
        output.result(line)


@app.command("reload")
def reload_models(
    wait_s: Annotated[float, typer.Option("--wait", min=0, help="Seconds to wait until the models are ready.")] = 300.0,
    as_json: Json = False,
) -> None:
    """Read the file of --models again: new and changed models are loaded, others are left alone."""
    from prodsim.embedder import local
    from prodsim.plugin.config import load_settings

    names = local.reload(load_settings().home, wait_s)
    if as_json:
        output.result_json({"models": names})
    else:
        output.result(f"serving {', '.join(names)}")


def server_settings(
    settings: Settings,
    models: Path | None,
    single: dict[str, Any],
    images: dict[str, list[str] | None],
    *,
    host: str,
    port: int | None,
    **files: Path | None,
) -> ServerSettings:
    from prodsim.embedder import settings as embedder

    address = {"host": host, "port": port or embedder.port_in(settings.embedder_url)}
    paths = {name: path and path.resolve() for name, path in files.items()}
    fetching = {name: tuple(places) for name, places in images.items() if places}
    if models is not None:
        if given := sorted(name for name, value in single.items() if value is not None):
            raise UsageError(f"{', '.join(given)} can't be given beside --models: set it for each model in {models}")
        from prodsim.embedder.models_file import read_models

        return embedder.server_settings(
            models=read_models(models), models_file=models.resolve(), **address, **paths, **fetching
        )
    return embedder.server_settings(
        model=settings.embedder_model,
        replicas=settings.embedder_replicas,
        num_gpus=settings.embedder_num_gpus,
        **single,
        **address,
        **paths,
        **fetching,
    )
