"""`prodsim-admin model rollout`, `promote`, `rollback` and `retire`: a catalog from one model to another."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import output
from .options import Alias, DryRun, EmbedderUrl, EngineUrl, Json, Yes

if TYPE_CHECKING:
    from prodsim.plugin.moving.record import Operation, Options
    from prodsim.plugin.shop import Shop

app = typer.Typer(help="A second index by another model, beside the one that serves.", no_args_is_help=True)

MaxDocs = Annotated[
    float,
    typer.Option("--max-docs-per-second", metavar="N", min=0, help="Copy no faster than this (0: as fast as it goes)."),
]
Force = Annotated[
    str | None, typer.Option("--force", metavar="REASON", help="Go on after a failed check; the reason is recorded.")
]


@app.command()
def start(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Name of a model of the embedder.", show_default=False)],
    max_docs_per_second: MaxDocs = 0,
    adapt: Annotated[
        bool, typer.Option("--adapt/--no-adapt", help="Slow down while the catalog's queries take longer than before.")
    ] = True,
    judgments: Annotated[
        str | None, typer.Option("--judgments", "-j", metavar="FILE", help="Validate by this list too.")
    ] = None,
    force: Force = None,
    alias: Alias = None,
    engine_url: EngineUrl = None,
    embedder_url: EmbedderUrl = None,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Build and fill an index by MODEL, keep it beside the serving one, and wait for canary and promote.

    Searches and writes go on as before. Exit code 3: the model or the index fails a check.
    """
    from prodsim.plugin.config import load_settings
    from prodsim.plugin.moving.record import Options
    from prodsim.plugin.rollout import rolling

    from .moving import shown
    from .wiring import open_shop

    settings = load_settings(alias=alias, engine_url=engine_url, embedder_url=embedder_url, model=model)
    options = Options(max_docs_per_s=max_docs_per_second, adapt=adapt, judgments=judgments, force=force)
    with open_shop(settings) as shop:
        if dry_run:
            return plan(shop, options, json)
        with shown(settings, "rollout") as (show, say):
            found = rolling.start(shop, options, show, say)
    told(found, json, f"next: prodsim-admin model canary --alias {settings.alias}")


def plan(shop: Shop, options: Options, json: bool) -> None:
    from prodsim.plugin.moving.planning import plan_move
    from prodsim.plugin.rollout import rolling

    from .moving import describe_plan

    rolling.check_model(shop, dry_run=True)
    found = plan_move(shop, options)
    if json:
        return output.result_json(found.as_dict())
    for line in describe_plan(found):
        output.result(line)


@app.command()
def status(alias: Alias = None, engine_url: EngineUrl = None, json: Json = False) -> None:
    """Show how far the newest rollout of a catalog is, from any machine."""
    from prodsim.plugin.client import connect
    from prodsim.plugin.config import load_settings
    from prodsim.plugin.rollout.candidates import get
    from prodsim.plugin.rollout.rolling import rollout_of

    from .moving import show_operation

    settings = load_settings(alias=alias, engine_url=engine_url)
    client = connect(settings)
    found = rollout_of(client, settings.alias)
    verdict = get(client, f"canary:{found.id}")
    if json:
        return output.result_json({**asdict(found), "canary": verdict})
    show_operation(found, False)
    if verdict:
        output.result(f"canary: {'passed' if verdict['passed'] else 'failed'} at {verdict['at']}")


@app.command()
def resume(
    force: Force = None,
    alias: Alias = None,
    engine_url: EngineUrl = None,
    embedder_url: EmbedderUrl = None,
    json: Json = False,
) -> None:
    """Go on with a rollout that was interrupted, whoever began it; bring one that is ready up to date."""
    from prodsim.plugin.moving import machine

    from .moving import shown

    with (
        rollout_shop(alias, engine_url, embedder_url) as (shop, rollout),
        shown(shop.settings, "rollout") as (show, say),
    ):
        found = machine.resume(shop, show, say, forced(rollout, force))
    told(found, json)


@app.command()
def abort(
    alias: Alias = None, engine_url: EngineUrl = None, yes: Yes = False, dry_run: DryRun = False, json: Json = False
) -> None:
    """Give a rollout up before its swap: the alias stays, the candidate index is deleted."""
    from prodsim.plugin.client import connect
    from prodsim.plugin.config import load_settings
    from prodsim.plugin.rollout import rolling

    settings = load_settings(alias=alias, engine_url=engine_url)
    client = connect(settings)
    rollout = rolling.rollout_of(client, settings.alias)
    if dry_run:
        return output.result(f"would delete {rollout.target}; {settings.alias} stays on {rollout.source}")
    if not yes:
        typer.confirm(f"Delete {rollout.target}?", abort=True, err=True)
    told(rolling.abort(client, settings.alias, output.note), json)


def promote(
    force: Force = None,
    alias: Alias = None,
    engine_url: EngineUrl = None,
    embedder_url: EmbedderUrl = None,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Catch up, check, and swap the alias to the candidate in one call. It needs a canary that passed.

    The index before stays for rollback, until retire. Exit code 3: the canary or the last check failed.
    """
    from prodsim.plugin.rollout import rolling
    from prodsim.plugin.rollout.canary import require_passed

    from .moving import shown

    with rollout_shop(alias, engine_url, embedder_url) as (shop, _):
        name = shop.settings.alias
        rollout = rolling.ready_rollout(shop.client, name)
        if dry_run:
            if force is None:
                require_passed(shop.client, name, rollout.id)
            return output.result(f"would swap {name} from {rollout.source} to {rollout.target}")
        with shown(shop.settings, "promote") as (show, say):
            found = rolling.promote(shop, force, forced(rollout, force), show, say)
    told(found, json, loads_by(found.model.name))


def rollback(
    alias: Alias = None,
    engine_url: EngineUrl = None,
    embedder_url: EmbedderUrl = None,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Go back to the index before the last rollout, with everything that was written since."""
    from prodsim.plugin.moving import machine

    from .moving import shown

    with rollout_shop(alias, engine_url, embedder_url) as (shop, rollout):
        if dry_run:
            return output.result(f"would swap {shop.settings.alias} from {rollout.target} back to {rollout.source}")
        with shown(shop.settings, "rollback") as (show, say):
            found = machine.rollback(shop, show, say)
    told(found, json, loads_by(found.source_model.name))


def retire(
    alias: Alias = None, engine_url: EngineUrl = None, yes: Yes = False, dry_run: DryRun = False, json: Json = False
) -> None:
    """Delete the index that a finished rollout kept. From then on there is no rollback."""
    from prodsim.plugin.client import connect
    from prodsim.plugin.config import load_settings
    from prodsim.plugin.rollout import rolling

    settings = load_settings(alias=alias, engine_url=engine_url)
    client = connect(settings)
    rollout = rolling.rollout_of(client, settings.alias)
    kept = rollout.source if rollout.phase == "done" else rollout.target
    if dry_run:
        return output.result(f"would delete {kept}")
    if not yes:
        typer.confirm(f"Delete {kept}?", abort=True, err=True)
    removed = rolling.retire(client, settings.alias, lambda line: None)
    if json:
        return output.result_json({"alias": settings.alias, "removed": removed})
    output.result(f"{removed} is deleted" if removed else f"{kept} was gone already")


@contextmanager
def rollout_shop(
    alias: str | None, engine_url: str | None, embedder_url: str | None
) -> Iterator[tuple[Shop, Operation]]:
    """A shop with the model of the alias's rollout, whatever the settings name; and the rollout."""
    from prodsim.plugin.client import connect
    from prodsim.plugin.config import load_settings
    from prodsim.plugin.rollout.rolling import rollout_of

    from .wiring import open_shop

    given: dict[str, Any] = {"alias": alias, "engine_url": engine_url, "embedder_url": embedder_url}
    settings = load_settings(**given)
    rollout = rollout_of(connect(settings), settings.alias)
    with open_shop(load_settings(**given | {"model": rollout.model.name})) as shop:
        yield shop, rollout


def forced(rollout: Operation, reason: str | None) -> Options | None:
    """The rollout's options with that reason to go on; None where there is none: they stay as they are."""
    return replace(rollout.options, force=reason) if reason else None


def loads_by(model: str) -> str:
    return f"set 'model: {model}' in prodsim.yaml: loads embed by it from now on"


def told(operation: Operation, json: bool, hint: str = "") -> None:
    from .moving import show_operation

    show_operation(operation, json)
    if hint and not json:
        output.note(hint)
