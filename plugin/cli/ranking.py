"""`prodsim-admin ranking`: profiles checked, applied, shown, compared, taken back, and scores explained."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import output
from .options import Alias, DryRun, EmbedderUrl, EngineUrl, Json
from .tune import tune

if TYPE_CHECKING:
    from prodsim.plugin.ranking.applying import Applied
    from prodsim.plugin.ranking.checking import Problem
    from prodsim.plugin.ranking.why import Why

app = typer.Typer(
    help="Ranking profiles: ranking/NAME.yaml, checked, applied and explained.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
Name = Annotated[str, typer.Argument(metavar="PROFILE", help="A name (ranking/NAME.yaml, or a shipped one) or a file.")]


@app.command("list")
def list_profiles(engine_url: EngineUrl = None, json: Json = False) -> None:
    """The profiles that were applied to this cluster, newest first, and those that can be."""
    from prodsim.plugin.client import connect
    from prodsim.plugin.config import load_settings
    from prodsim.plugin.ranking.files import FOLDER, shipped_names
    from prodsim.plugin.ranking.store import read_versions

    versions = read_versions(connect(load_settings(engine_url=engine_url)))
    rows = [
        {"profile": version.profile.name, "state": "before" if place else "applied", "applied_at": version.applied_at}
        for place, version in enumerate(versions)
    ]
    known = {str(row["profile"]) for row in rows}
    own = sorted(path.stem for path in Path(FOLDER).glob("*.yaml"))
    rows += [{"profile": name, "state": f"{FOLDER}/{name}.yaml", "applied_at": ""} for name in own if name not in known]
    rows += [{"profile": name, "state": "shipped", "applied_at": ""} for name in shipped_names() if name not in known]
    if json:
        return output.result_json(rows)
    output.table(rows, ["profile", "state", "applied_at"])


@app.command()
def check(
    profile: Name,
    offline: Annotated[
        bool, typer.Option("--offline", help="The profile alone, without looking at a catalog.")
    ] = False,
    alias: Alias = None,
    engine_url: EngineUrl = None,
    json: Json = False,
) -> None:
    """Find all that is wrong with a profile, and all in it that can't matter. Exit code 3 if it can't be applied."""
    from prodsim.plugin.client import connect
    from prodsim.plugin.config import load_settings
    from prodsim.plugin.ranking.checking import check_profile
    from prodsim.plugin.ranking.files import load_profile

    settings = load_settings(alias=alias, engine_url=engine_url)
    problems = check_profile(load_profile(profile), None if offline else connect(settings), settings.alias)
    show_problems(profile, problems, json)
    if any(problem.severity == "error" for problem in problems):
        from prodsim.plugin.errors import ExitCode

        raise typer.Exit(ExitCode.CHECK_FAILED)


def show_problems(profile: str, problems: list[Problem], json: bool) -> None:
    if json:
        return output.result_json(problems)
    for problem in problems:
        output.result(f"{problem.severity:8} {problem.message}")
    if not problems:
        output.result(f"{profile}: nothing to complain about")


@app.command()
def apply(
    profile: Name, alias: Alias = None, engine_url: EngineUrl = None, dry_run: DryRun = False, json: Json = False
) -> None:
    """Check a profile, show what it changes, and install it in the stored templates. The last ones are kept."""
    from prodsim.plugin.client import connect
    from prodsim.plugin.config import load_settings
    from prodsim.plugin.ranking.applying import apply_profile
    from prodsim.plugin.ranking.files import load_profile

    settings = load_settings(alias=alias, engine_url=engine_url)
    show_applied(apply_profile(connect(settings), settings.alias, load_profile(profile), dry_run), dry_run, json)


@app.command()
def rollback(engine_url: EngineUrl = None, dry_run: DryRun = False, json: Json = False) -> None:
    """Go back to the profile that was applied before."""
    from prodsim.plugin.client import connect
    from prodsim.plugin.config import load_settings
    from prodsim.plugin.ranking.applying import rollback as go_back

    show_applied(go_back(connect(load_settings(engine_url=engine_url)), dry_run), dry_run, json)


def show_applied(applied: Applied, dry_run: bool, json: bool) -> None:
    if json:
        return output.result_json(applied)
    for line in applied.changes[0].diff:
        output.result(line)
    for warning in applied.warnings:
        output.note(f"warning: {warning}")
    updated = [change.name for change in applied.changes[1:] if change.action != "unchanged"]
    did = "would be applied" if dry_run else "is applied"
    output.result(f"{applied.profile} {did}: {len(updated)} of {len(applied.changes) - 1} resources change")


@app.command()
def show(
    profile: Annotated[
        str | None, typer.Argument(metavar="[PROFILE]", help="A name or a file; without it the applied one.")
    ] = None,
    engine_url: EngineUrl = None,
    json: Json = False,
) -> None:
    """A profile with everything that it inherits."""
    from prodsim.plugin.client import connect
    from prodsim.plugin.config import load_settings
    from prodsim.plugin.ranking.files import as_yaml, load_profile
    from prodsim.plugin.ranking.store import active_profile

    shown = load_profile(profile) if profile else active_profile(connect(load_settings(engine_url=engine_url)))
    if json:
        return output.result_json(shown.model_dump(mode="json", by_alias=True))
    output.result(as_yaml(shown).rstrip())


@app.command()
def diff(profile: Name, engine_url: EngineUrl = None, json: Json = False) -> None:
    """What a profile would change of the one that is applied."""
    from prodsim.plugin.client import connect
    from prodsim.plugin.config import load_settings
    from prodsim.plugin.ranking.applying import difference
    from prodsim.plugin.ranking.files import load_profile

    change = difference(connect(load_settings(engine_url=engine_url)), load_profile(profile))
    if json:
        return output.result_json(change)
    for line in change.diff or (f"{profile} is what is applied",):
        output.result(line)


@app.command()
def explain(
    query: Annotated[str, typer.Argument(metavar="QUERY", help="What a customer types.")],
    sku: Annotated[str, typer.Argument(metavar="SKU", help="The product to explain.")],
    above: Annotated[
        str | None, typer.Option("--above", metavar="SKU", help="Why it is not above this one, part by part.")
    ] = None,
    alias: Alias = None,
    engine_url: EngineUrl = None,
    embedder_url: EmbedderUrl = None,
    json: Json = False,
) -> None:
    """Why a product stands where it stands for a query, or is not there."""
    from prodsim.plugin.client import connect
    from prodsim.plugin.config import load_settings
    from prodsim.plugin.query import ProductSearch
    from prodsim.plugin.ranking.why import why

    from .wiring import open_embedder

    settings = load_settings(alias=alias, engine_url=engine_url, embedder_url=embedder_url)
    with open_embedder(settings) as embedder:
        found = why(ProductSearch(connect(settings), settings.alias, embedder), query, sku, above)
    if json:
        return output.result_json(found)
    show_why(found)


def show_why(found: Why) -> None:
    place = f"place {found.place}" if found.place else "no place"
    output.result(f"{found.sku}  {found.title}: {place}")
    if found.reason:
        output.result(found.reason)
    if found.other:
        other = f"place {found.other.place}" if found.other.place else "no place"
        output.result(f"{found.other.sku}  {found.other.title}: {other}")
        if found.other.reason:
            output.result(found.other.reason)
        rows: list[dict[str, Any]] = [
            {"part": row["part"], found.sku: number(row["this"]), found.other.sku: number(row["other"])}
            for row in found.compared
        ]
        return output.table(rows, ["part", found.sku, found.other.sku])
    if found.explained:
        output.table(found.explained.rows(), ["part", "points", "factor"])


def number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


app.command("tune")(tune)
