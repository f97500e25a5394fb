"""`prodsim-admin engine`: a real OpenSearch on this machine."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from . import output
from .options import DryRun, Json, Yes

app = typer.Typer(help="A real OpenSearch on this machine, for trying out and for tests.", no_args_is_help=True)

Port = Annotated[
    int, typer.Option("--port", metavar="PORT", min=1024, max=65535, help="Where it answers, on 127.0.0.1.")
]
AnyPort = Annotated[
    int | None, typer.Option("--port", metavar="PORT", min=1024, max=65535, help="Only the engine on this port.")
]


@app.command()
def up(
    version: Annotated[
        str | None,
        typer.Option(
            "--version",
            metavar="VERSION",
            help="2.19.1 (the default: k-NN, ML Commons, neural-search) or 3.5.0 (k-NN only).",
        ),
    ] = None,
    port: Port = 9200,
    heap: Annotated[
        str | None, typer.Option("--heap", metavar="SIZE", help="Java heap, such as 512m or 2g (default: 1g).")
    ] = None,
    ephemeral: Annotated[
        bool, typer.Option("--ephemeral", help="Start with no data, and delete what comes at engine down.")
    ] = False,
    user: Annotated[
        str | None,
        typer.Option("--user", metavar="NAME", help="Run as this user (for root; default: prodsim, made if missing)."),
    ] = None,
    setting: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="A line for its opensearch.yml; repeat for several."),
    ] = None,
    secure: Annotated[
        bool,
        typer.Option("--secure", help="With the security plugin: TLS, and a user for each role. 44 MB more."),
    ] = False,
    timeout_s: Annotated[
        float, typer.Option("--timeout", metavar="SECONDS", min=1, help="How long the start may take.")
    ] = 180.0,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Install OpenSearch if needed, start it, and wait until it answers. The first time downloads 440 MB.

    Its data are kept from one start to the next, for each version and port. It listens on 127.0.0.1 alone and has no
    password unless --secure: it is for developing, not for serving.
    """
    from prodsim.plugin.config import load_settings
    from prodsim.plugin.engine import plan_start, start_engine

    settings = load_settings()
    if dry_run:
        plan = plan_start(settings.home, version, port, heap, ephemeral, user, say=output.note, secure=secure)
        output.result_json(asdict(plan)) if as_json else output.result(plan.describe())
        return
    lines = dict(as_setting(line) for line in setting or [])
    engine = start_engine(
        settings.home, version, port, heap, ephemeral, user, timeout_s, None, output.note, lines, secure
    )
    output.result_json(engine.as_row()) if as_json else output.result(engine.describe())
    if engine.settings:
        output.note("other commands reach it with these settings:")
        for name, value in engine.settings.items():
            output.note(f"  export PRODSIM_{name.upper()}={value}")
    elif engine.url != settings.engine_url.rstrip("/"):
        output.note(f"other commands look at {settings.engine_url}: give them --engine-url {engine.url}")


def as_setting(line: str) -> tuple[str, str]:
    name, equals, value = line.partition("=")
    if not name.strip() or not equals:
        raise typer.BadParameter(f"'{line}': give NAME=VALUE", param_hint="--set")
    return name.strip(), value.strip()


@app.command()
def down(
    port: Annotated[
        int | None,
        typer.Option("--port", metavar="PORT", min=1024, max=65535, help="The engine on this port (default: 9200)."),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All engines.")] = False,
    purge: Annotated[bool, typer.Option("--purge", help="Delete their data, configuration and logs too.")] = False,
    yes: Yes = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Stop engines. Data are kept, unless the engine was started with --ephemeral, or with --purge."""
    from prodsim.plugin.config import load_settings
    from prodsim.plugin.engine import DEFAULT_PORT, engines_to_stop, stop_engine
    from prodsim.plugin.errors import UsageError

    if everything and port is not None:
        raise UsageError("--all and --port exclude each other")
    home = load_settings().home
    port = None if everything else port or DEFAULT_PORT
    engines = engines_to_stop(home, port, purge)
    names = [engine.name for engine in engines]
    if not engines:
        output.note("no engine is running" if everything else f"no engine is running on port {port}")
    elif dry_run:
        output.note(f"would {'stop and delete' if purge else 'stop'} {', '.join(names)}")
    else:
        if purge and not yes:
            typer.confirm(f"Delete all data of {', '.join(names)} in {home}?", abort=True, err=True)
        for name in names:
            ran = stop_engine(home, name, purge, say=output.note)
            output.note(f"{name}: {'stopped' if ran else 'was not running'}{', data deleted' if purge else ''}")
    if as_json:
        output.result_json([asdict(engine) for engine in engines])


@app.command()
def status(port: AnyPort = None, as_json: Json = False) -> None:
    """List the engines on this machine, running or not."""
    from prodsim.plugin.config import load_settings
    from prodsim.plugin.engine import list_engines

    home = load_settings().home
    engines = list_engines(home, port)
    if as_json:
        output.result_json([asdict(engine) for engine in engines])
    elif engines:
        columns = ["name", "version", "port", "state", "pid", "health", "heap", "data", "plugins"]
        output.table([engine.as_row() for engine in engines], columns)
    else:
        output.note(f"no engine in {home}: `prodsim-admin engine up` starts one")


@app.command()
def logs(
    port: Port = 9200,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="How many of the last lines.")] = 50,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as the engine writes, until Ctrl-C.")] = False,
) -> None:
    """Print the end of an engine's log."""
    from prodsim.plugin.config import load_settings
    from prodsim.plugin.engine import log_lines

    for line in log_lines(load_settings().home, port, lines, follow):
        output.result(line)
