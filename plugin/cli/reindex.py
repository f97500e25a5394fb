"""`prodsim-admin reindex`: a catalog into a new index."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from prodsim.plugin.errors import NotFound, UsageError

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

if TYPE_CHECKING:
    from prodsim.plugin.config import Settings
    from prodsim.plugin.moving.record import Operation, Options

MaxDocs = Annotated[
    float, typer.Option("--max-docs-per-second", metavar="N", min=0, help="Copy no faster than this (0: no limit).")
]
Adapt = Annotated[
    bool,
    typer.Option("--adapt/--no-adapt", help="Slow down while the catalog's queries take longer than before."),
]
Judgments = Annotated[
    str | None, typer.Option("--judgments", metavar="FILE", help="A judgment list: nDCG@10 must not fall by over .02.")
]
Force = Annotated[
    str | None, typer.Option("--force", metavar="REASON", help="Go on after a failed validation; REASON is recorded.")
]
Keep = Annotated[int, typer.Option("--keep", min=0, help="How many earlier indexes stay for a rollback.")]


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
    status: Annotated[bool, typer.Option("--status", help="Show how the newest move of the catalog stands.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with one that stopped, on any machine.")] = False,
    abort: Annotated[bool, typer.Option("--abort", help="Give one that stopped up; the alias stays.")] = False,
    rollback: Annotated[bool, typer.Option("--rollback", help="Back to the index before, with later writes.")] = False,
    retire: Annotated[bool, typer.Option("--retire", help="Remove the index that is kept for --rollback.")] = False,
    max_docs_per_s: MaxDocs = 0,
    adapt: Adapt = True,
    judgments: Judgments = None,
    force: Force = None,
    keep: Keep = 1,
    engine_url: EngineUrl = None,
    embedder_url: EmbedderUrl = None,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Rebuild the catalog behind its alias while it is searched and written to; the index before stays for --rollback.

    Without a FILE the products are copied, what others write meanwhile included. With one, the file is the catalog.
    """
    from prodsim.plugin.config import load_settings
    from prodsim.plugin.moving.record import Options

    settings = load_settings(alias=alias, engine_url=engine_url, embedder_url=embedder_url)
    actions = {"--status": status, "--resume": resume, "--abort": abort, "--rollback": rollback, "--retire": retire}
    asked = [name for name, wanted in actions.items() if wanted]
    if len(asked) > 1 or (asked and files):
        raise UsageError(f"{' and '.join([*asked, *(['FILE'] if files else [])])} can't be asked for at once")
    if catalog and not files:
        raise UsageError("--catalog says how to read a FILE: name one")
    options = Options(max_docs_per_s, adapt, judgments, force, keep)
    if asked:
        return act(asked[0], settings, options, dry_run, json)
    if not files:
        return move(settings, options, dry_run, json)
    from prodsim.loaders.load import Options as LoadOptions
    from prodsim.loaders.request import default_checkpoint_path
    from prodsim.plugin import catalogs
    from prodsim.plugin.moving.planning import plan_move
    from prodsim.plugin.telemetry import watched

    from .progress import progress
    from .wiring import open_shop

    request = as_request(
        files,
        catalog,
        rejects,
        default_checkpoint_path(settings.home, settings.alias),
        {"format": format, "encoding": encoding, "delimiter": delimiter, "quote": quote, "query": query},
        options=LoadOptions(max_rejects=as_limit(max_rejects)),
        start_over=start_over,
    )
    with open_shop(settings) as shop:
        if dry_run:
            plan = plan_move(shop, options)
            if json:
                return output.result_json(plan.as_dict())
            removed = f", then remove {', '.join(plan.removes)}" if plan.removes else ""
            return output.result(
                f"would build {plan.index} for {plan.model} from {', '.join(files)}, swap {plan.alias} to it{removed}"
            )
        with progress() as (show, say), watched(settings, "reindex", show) as counted:
            outcome = catalogs.rebuild_from(shop, counted, say, request, keep)
    show_outcome(outcome, settings.alias, json)


def move(settings: Settings, options: Options, dry_run: bool, json: bool) -> None:
    from prodsim.plugin.moving import machine
    from prodsim.plugin.moving.planning import plan_move

    from .moving import describe_plan, show_operation, shown
    from .wiring import open_shop

    with open_shop(settings) as shop:
        if not dry_run:
            with shown(settings, "reindex") as (show, say):
                operation = machine.start(shop, "reindex", options, show, say)
            return show_operation(operation, json)
        plan = plan_move(shop, options)
        if json:
            return output.result_json(plan.as_dict())
        for line in describe_plan(plan):
            output.result(line)


def act(action: str, settings: Settings, options: Options, dry_run: bool, json: bool) -> None:
    """What is done with a move that was begun."""
    from prodsim.plugin import catalogs, indexes
    from prodsim.plugin.client import connect
    from prodsim.plugin.moving import machine
    from prodsim.plugin.moving.record import Options

    from .moving import show_operation, shown
    from .wiring import open_shop

    indexes.check_alias_name(settings.alias)
    client = connect(settings)
    operation = machine.status(client, settings.alias)
    if action == "--rollback" and not came_by_move(operation, indexes.indexes_behind(client, settings.alias)):
        now, left = catalogs.rollback(client, settings.alias, dry_run)
        moved = {"alias": settings.alias, "index": now, "previous": left}
        return output.result_json(moved) if json else output.result(f"{settings.alias}: {left} -> {now}")
    if operation is None:
        raise NotFound(f"{settings.alias} was never moved by 'reindex' or 'model rollout'")
    if action == "--status" or dry_run:
        return show_operation(operation, json)
    if action == "--abort":
        return show_operation(machine.abort(client, settings.alias, output.note), json)
    if action == "--retire":
        machine.retire(client, settings.alias, output.note)
        return None
    step = machine.resume if action == "--resume" else machine.rollback
    model = {"model": operation.model.name}  # whatever else the embedder serves
    with open_shop(settings.model_copy(update=model)) as shop, shown(settings, "reindex") as (show, say):
        operation = step(shop, show, say, options if options != Options() else None)
    return show_operation(operation, json)


def came_by_move(operation: Operation | None, behind: list[str]) -> bool:
    """Whether the catalog is where its recorded move took it, or is on the way."""
    if operation is None:
        return False
    return not operation.ended or (operation.phase == "done" and behind == [operation.target])
