"""`prodsim-admin`: assembles the command groups and turns every error into one line and an exit code."""

from __future__ import annotations

import os
import sys
import warnings
from typing import Annotated

import typer

from prodsim.plugin.errors import ExitCode, ProdsimError

from . import output
from .compare import compare
from .demo import demo
from .embedder import app as embedder_app
from .engine import app as engine_app
from .evaluate import evaluate
from .events import app as events_app
from .installation import doctor, setup, status, uninstall
from .judgments import app as judgments_app
from .load import load
from .model import app as model_app
from .plan import plan
from .ranking import app as ranking_app
from .refresh import refresh
from .reindex import reindex
from .search import search, similar
from .security import app as roles_app
from .similarity import app as similarity_app

ONLY_HELP = "only help"

app = typer.Typer(
    name="prodsim-admin",
    help="Semantic product search, similar products and business-aware ranking on your OpenSearch.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (
    demo,
    setup,
    status,
    doctor,
    uninstall,
    load,
    search,
    similar,
    reindex,
    refresh,
    evaluate,
    compare,
    plan,
):
    app.command()(command)
app.add_typer(engine_app, name="engine")
app.add_typer(ranking_app, name="ranking")
app.add_typer(embedder_app, name="embedder")
app.add_typer(roles_app, name="roles")
app.add_typer(events_app, name="events")
app.add_typer(judgments_app, name="judgments")
app.add_typer(similarity_app, name="similarity")
app.add_typer(model_app, name="model")


def print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        output.result(f"prodsim {version('prodsim')}")
        raise typer.Exit


@app.callback()
def root(
    context: typer.Context,
    show_version: Annotated[
        bool, typer.Option("--version", callback=print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Log every call to the engine and the embedder on stderr.")
    ] = False,
) -> None:
    if context.obj == ONLY_HELP:
        return
    from prodsim.plugin.config import load_settings
    from prodsim.plugin.telemetry import start_logging

    start_logging(load_settings(), verbose)


def main() -> None:
    """Runs the command line. Exit codes are those of `prodsim.plugin.errors.ExitCode`."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    # what the engine finds old-fashioned in a call is for whoever changes the code, not for whoever runs it
    warnings.filterwarnings("ignore", module=r"opensearchpy\.connection")
    try:
        asked = ONLY_HELP if {"-h", "--help"} & set(arguments) else None  # help needs no settings, and no time
        app(args=arguments, prog_name="prodsim-admin", standalone_mode=True, obj=asked)
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else ExitCode.FAILED
    except ProdsimError as error:
        output.note(f"prodsim-admin: {error}")
        return error.exit_code
    except BrokenPipeError:  # the reader of our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.DONE
    except KeyboardInterrupt:
        output.note("prodsim-admin: interrupted")
        return 130
    return ExitCode.DONE
