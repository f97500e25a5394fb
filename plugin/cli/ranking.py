"""`prodsim-admin ranking`: ranking profiles."""

from __future__ import annotations

import typer

from .tune import tune

app = typer.Typer(help="Ranking profiles.", no_args_is_help=True)
app.command("tune")(tune)
