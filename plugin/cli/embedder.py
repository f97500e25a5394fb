"""`prodsim-admin embedder`: the service that turns texts into vectors."""

import typer

app = typer.Typer(help="The embedder: texts in, vectors out.", no_args_is_help=True)
