"""`prodsim-admin engine`: a real OpenSearch on this machine."""

import typer

app = typer.Typer(help="A real OpenSearch on this machine, for trying out and for tests.", no_args_is_help=True)
