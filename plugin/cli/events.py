"""`prodsim-admin events`: views and purchases without customers in them."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from . import output
from .options import DryRun, Json, Yes

app = typer.Typer(help="Views and purchases: pseudonymised, counted, forgotten.", no_args_is_help=True)

Store = Annotated[Path, typer.Option("--store", metavar="FILE", help="Where pseudonymised events are kept (NDJSON).")]


def key() -> str:
    from prodsim.plugin.config import load_settings
    from prodsim.plugin.errors import ConfigError

    found = load_settings().secret("pseudonym_key")
    if found is None:
        raise ConfigError("set pseudonym_key_file, or PRODSIM_PSEUDONYM_KEY: customer ids are never stored as they are")
    return found


@app.command()
def ingest(
    source: Annotated[Path, typer.Argument(metavar="FILE", help="Events, a JSON object a line.")],
    store: Store,
    json: Json = False,
) -> None:
    """Pseudonymise the events of FILE with a keyed hash and append them to the store."""
    from prodsim.plugin.events import ingest as take

    done = take(source, store, key())
    if json:
        return output.result_json(asdict(done))
    output.result(f"{done.read} read = {done.stored} stored + {done.rejected} without customer, sku or a known type")


@app.command()
def counts(
    store: Store,
    k: Annotated[int, typer.Option("--k", min=2, help="Groups of fewer customers are left out.")] = 10,
    epsilon: Annotated[
        float | None, typer.Option("--epsilon", min=0.01, max=10, help="Differentially private counts of customers.")
    ] = None,
) -> None:
    """Print the events by SKU and type as JSON, without small groups."""
    from prodsim.plugin.events import published_counts

    output.result_json(published_counts(store, k, epsilon))


@app.command("forget-user")
def forget_user(
    stores: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Stores to remove the customer from.")],
    customer_file: Annotated[
        Path, typer.Option("--customer-file", metavar="FILE", help="Holds the customer's id; '-' reads stdin.")
    ],
    dry_run: DryRun = False,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Remove one customer's events, and prove it: every store is read again afterwards.

    The id comes from a file, not from the command line, which others on the machine can see.
    """
    import sys

    from prodsim.plugin.errors import CatalogError
    from prodsim.plugin.events import forget

    try:
        customer = (sys.stdin.read() if str(customer_file) == "-" else customer_file.read_text("utf-8")).strip()
    except (OSError, UnicodeDecodeError):
        raise CatalogError(f"{customer_file} can't be read") from None
    if not customer:
        raise CatalogError(f"{customer_file} holds no customer id")
    if not dry_run and not yes:
        typer.confirm("Remove this customer's events for good?", abort=True, err=True)
    done = forget(customer, stores, key(), dry_run)
    if json:
        return output.result_json({"removed": done.removed, "files": done.files, "proved": not dry_run})
    for name, count in done.files.items():
        output.result(f"{name}: {count} events {'would be ' if dry_run else ''}removed{'' if dry_run else ', 0 left'}")
