"""`prodsim-admin model`: embedding models."""

from __future__ import annotations

import typer

from .model_export import export, quantize

app = typer.Typer(help="Embedding models.", no_args_is_help=True)
for command in (export, quantize):
    app.command()(command)
