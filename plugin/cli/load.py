"""`prodsim-admin load`: products into a catalog."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from prodsim.plugin.errors import UsageError

from . import output
from .loading import (
    CatalogFile,
    Delimiter,
    Encoding,
    Format,
    MaxRejects,
    Query,
    Quote,
    RejectsPath,
    StartOver,
    as_limit,
    as_request,
    show_outcome,
)
from .options import Alias, DryRun, EmbedderUrl, EngineUrl, Json
from .progress import progress

if TYPE_CHECKING:
    from prodsim.loaders.request import Request


class Mode(StrEnum):
    """What a load does to products that are there."""

    upsert = "upsert"
    full = "full"
    update = "update"
    delete = "delete"


CHANGED = {Mode.update: "updated", Mode.delete: "deleted"}


def load(
    files: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FILE...",
            help="CSV, TSV, NDJSON, JSON, YAML or Parquet, each also as .gz or .zst; globs; - for stdin; "
            "or a database's URL with --query.",
            show_default=False,
        ),
    ] = None,
    catalog: CatalogFile = None,
    alias: Alias = None,
    mode: Annotated[
        Mode,
        typer.Option(
            help="upsert adds and replaces products; full also removes those that the source lacks; update changes "
            "only the fields of --only; delete removes the SKUs of the source."
        ),
    ] = Mode.upsert,
    only: Annotated[
        str, typer.Option("--only", metavar="FIELD,...", help="With --mode update: the fields to change.")
    ] = "price,stock",
    format: Format = None,
    encoding: Encoding = None,
    delimiter: Delimiter = None,
    quote: Quote = None,
    query: Query = None,
    rejects: RejectsPath = None,
    retry_rejects: Annotated[
        Path | None,
        typer.Option(
            "--retry-rejects",
            metavar="FILE",
            help="Load the rows of this rejects file; those that pass leave it.",
        ),
    ] = None,
    max_rejects: MaxRejects = None,
    max_delete_share: Annotated[
        str,
        typer.Option("--max-delete-share", metavar="P%", help="With --mode full: remove nothing if it would be more."),
    ] = "10%",
    start_over: StartOver = False,
    check: Annotated[
        bool, typer.Option("--check", help="Read a sample and print what was understood; suggests a catalog.yaml.")
    ] = False,
    sample: Annotated[int, typer.Option("--sample", min=1, help="With --check: how many rows.")] = 1000,
    engine_url: EngineUrl = None,
    embedder_url: EmbedderUrl = None,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Load products; a catalog that does not exist yet is made. Exit code 5 when rows were rejected.

    Interrupted, it goes on where it stopped when the same command is given again.
    """
    from prodsim.loaders.load import Options
    from prodsim.loaders.request import default_checkpoint_path
    from prodsim.plugin.config import load_settings
    from prodsim.plugin.loads import load as load_request
    from prodsim.plugin.telemetry import watched

    from .wiring import open_shop

    names = [str(retry_rejects)] if retry_rejects else files or []
    if retry_rejects and files:
        raise UsageError("--retry-rejects names the file to load: give no other")
    if not names:
        raise UsageError("name a FILE to load (see 'prodsim-admin load --help')")
    share = as_limit(max_delete_share)
    if share is None or share.share is None:
        raise UsageError(f"--max-delete-share {max_delete_share}: give a share such as 10%")
    settings = load_settings(alias=alias, engine_url=engine_url, embedder_url=embedder_url)
    reading = {"format": format, "encoding": encoding, "delimiter": delimiter, "quote": quote, "query": query}
    request = as_request(
        names,
        catalog,
        retry_rejects or rejects,
        None if retry_rejects else default_checkpoint_path(settings.home, settings.alias),
        reading,
        options=Options(mode.value, tuple(filter(None, only.split(","))), as_limit(max_rejects), share.share),
        retry=retry_rejects is not None,
        start_over=start_over,
    )
    if check:
        return check_sources(request, sample, catalog is not None, json)
    if dry_run:
        return try_rows(request, json)
    with open_shop(settings) as shop, progress() as (show, say), watched(settings, "load", show) as counted:
        outcome = load_request(shop, request, counted, say)
    show_outcome(outcome, settings.alias, json, CHANGED.get(mode, "indexed"))


def try_rows(request: Request, json: bool) -> None:
    """What would be loaded: every row is read and prepared, nothing is sent."""
    from prodsim.loaders.trial import try_rows as try_sources

    trial = try_sources(request.sources(), request.catalog, request.options)
    if json:
        return output.result_json(trial)
    output.result(f"{trial.read} rows, {trial.products} products, {trial.rejected} would be rejected")
    for line in trial.first_problems:
        output.result(f"  {line}")


def check_sources(request: Request, sample: int, has_catalog: bool, json: bool) -> None:
    """What is understood of each source, from its first rows."""
    from prodsim.loaders.preparing.catalog_text import suggest_catalog
    from prodsim.loaders.preparing.profile_source import as_row, describe, profile_source

    for source in request.sources():
        profile = profile_source(source, request.catalog if has_catalog else None, sample)
        suggestion = suggest_catalog(profile) if profile.suggested else None
        if json:
            output.result_json({**as_row(profile), "suggested_catalog": suggestion})
            continue
        for line in describe(profile):
            output.result(line)
        if suggestion is not None:
            output.result(f"\nA catalog.yaml to begin with:\n\n{suggestion}")
