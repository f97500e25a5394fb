"""`prodsim-admin roles`: who may do what on a cluster with the security plugin."""

from __future__ import annotations

import typer

from . import output
from .installation import show_changes
from .options import Alias, DryRun, EngineUrl, Json

app = typer.Typer(help="Least-privilege roles for the security plugin.", no_args_is_help=True)


@app.command()
def show(alias: Alias = None) -> None:
    """Print the roles prodsim_admin, prodsim_loader and prodsim_reader as JSON, for a catalog; needs no engine."""
    from prodsim.plugin.config import load_settings
    from prodsim.plugin.roles import roles_for

    output.result_json(roles_for(load_settings(alias=alias).alias))


@app.command()
def apply(alias: Alias = None, engine_url: EngineUrl = None, dry_run: DryRun = False, json: Json = False) -> None:
    """Install the roles. Needs a user of the security plugin's REST API; users and mappings stay yours."""
    from prodsim.plugin.client import connect
    from prodsim.plugin.config import load_settings
    from prodsim.plugin.roles import apply_roles, plan_roles

    settings = load_settings(alias=alias, engine_url=engine_url)
    change = plan_roles if dry_run else apply_roles
    show_changes(change(connect(settings), settings.alias), json, with_diff=dry_run)
