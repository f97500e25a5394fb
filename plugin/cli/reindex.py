"""`prodsim-admin reindex`: a catalog into a new index."""

from __future__ import annotations

from typing import Annotated, Any

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


def reindex(
    files: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[FILE...]", help="Build from these, as 'load' reads them; without any, copy.", show_default=False
        ),
    ] = None,
    catalog: CatalogFile = None,
    alias: Alias = None,
    format: Format = None,
    encoding: Encoding = None,
    delimiter: Delimiter = None,
    quote: Quote = None,
    query: Query = None,
    rejects: RejectsPath = None,
    max_rejects: MaxRejects = None,
    start_over: StartOver = False,
    rollback: Annotated[bool, typer.Option("--rollback", help="Go back to the index before instead.")] = False,
    keep: Annotated[int, typer.Option("--keep", min=0, help="How many earlier indexes stay for a rollback.")] = 1,
    engine_url: EngineUrl = None,
    embedder_url: EmbedderUrl = None,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Build a new index, check it and swap the alias in one call; the index before stays for --rollback.

    Products written by others while it runs are not carried over: it stops before the swap if the count changed.
    """
    from prodsim.loaders.load import Options
    from prodsim.loaders.request import default_checkpoint_path
    from prodsim.plugin import catalogs
    from prodsim.plugin.client import connect
    from prodsim.plugin.config import load_settings
    from prodsim.plugin.telemetry import watched

    from .wiring import open_shop

    settings = load_settings(alias=alias, engine_url=engine_url, embedder_url=embedder_url)
    if rollback:
        if files:
            raise UsageError("--rollback goes back to an earlier index and takes no FILE")
        now, left = catalogs.rollback(connect(settings), settings.alias, dry_run)
        moved = {"alias": settings.alias, "index": now, "previous": left}
        return output.result_json(moved) if json else output.result(f"{settings.alias}: {left} -> {now}")
    if catalog and not files:
        raise UsageError("--catalog says how to read a FILE: name one")
    request = None
    if files:
        request = as_request(
            files,
            catalog,
            rejects,
            default_checkpoint_path(settings.home, settings.alias),
            {"format": format, "encoding": encoding, "delimiter": delimiter, "quote": quote, "query": query},
            options=Options(max_rejects=as_limit(max_rejects)),
            start_over=start_over,
        )
    with open_shop(settings) as shop:
        if dry_run:
            plan = catalogs.plan_reindex(shop, keep)
            return output.result_json(plan) if json else output.result(describe_plan(plan, files))
        with progress() as (show, say), watched(settings, "reindex", show) as counted:
            outcome = catalogs.reindex(shop, counted, say, request, keep)
    show_outcome(outcome, settings.alias, json)


def describe_plan(plan: dict[str, Any], files: list[str] | None) -> str:
    source = f"from {', '.join(files)}" if files else f"by copying {plan['products']} products of {plan['serving']}"
    removed = f", then remove {', '.join(plan['removes'])}" if plan["removes"] else ""
    return f"would build {plan['index']} for {plan['model']} {source}, swap {plan['alias']} to it{removed}"
