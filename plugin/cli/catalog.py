"""`prodsim-admin load` and `reindex`: products into a catalog, and a catalog into a new index."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from prodsim.plugin.errors import ExitCode, UsageError

from . import output
from .options import Alias, DryRun, EmbedderUrl, EngineUrl, Json

if TYPE_CHECKING:
    from prodsim.loaders.load import Account
    from prodsim.plugin.catalogs import Outcome

CatalogFile = Annotated[
    Path | None, typer.Option("--catalog", metavar="FILE", help="catalog.yaml: which column is which product field.")
]
Format = Annotated[
    str | None,
    typer.Option("--format", metavar="NAME", help="csv, ndjson, json or yaml (default: by the file's name)."),
]
RejectsPath = Annotated[
    Path | None,
    typer.Option("--rejects", metavar="FILE", help="Where rejected rows go (default: NAME.rejects.ndjson)."),
]


def load(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="CSV, TSV, NDJSON, JSON or YAML, or one of them gzipped.")
    ],
    catalog: CatalogFile = None,
    alias: Alias = None,
    format: Format = None,
    rejects: RejectsPath = None,
    engine_url: EngineUrl = None,
    embedder_url: EmbedderUrl = None,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Load products; a catalog that does not exist yet is made. Exit code 5 when rows were rejected."""
    from prodsim.plugin.catalogs import load as load_rows
    from prodsim.plugin.config import load_settings

    from .wiring import open_shop

    settings = load_settings(alias=alias, engine_url=engine_url, embedder_url=embedder_url)
    if dry_run:
        return try_rows(file, catalog, format, json)
    with open_rows(file, catalog, format, rejects) as rows, open_shop(settings) as shop, progress() as report:
        outcome = load_rows(shop, rows, report)
    show_outcome(outcome, settings.alias, json)


def reindex(
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="Build from this file; without one, copy.")
    ] = None,
    catalog: CatalogFile = None,
    alias: Alias = None,
    format: Format = None,
    rejects: RejectsPath = None,
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
    from prodsim.plugin import catalogs
    from prodsim.plugin.client import connect
    from prodsim.plugin.config import load_settings

    from .wiring import open_shop

    settings = load_settings(alias=alias, engine_url=engine_url, embedder_url=embedder_url)
    if rollback:
        if file:
            raise UsageError("--rollback goes back to an earlier index and takes no FILE")
        now, left = catalogs.rollback(connect(settings), settings.alias, dry_run)
        moved = {"alias": settings.alias, "index": now, "previous": left}
        return output.result_json(moved) if json else output.result(f"{settings.alias}: {left} -> {now}")
    with open_shop(settings) as shop:
        if dry_run:
            plan = catalogs.plan_reindex(shop, keep)
            return output.result_json(plan) if json else output.result(describe_plan(plan, file))
        with open_rows(file, catalog, format, rejects) as rows, progress() as report:
            outcome = catalogs.reindex(shop, report, rows, keep)
    show_outcome(outcome, settings.alias, json)


@contextmanager
def open_rows(file: Path | None, catalog: Path | None, format: str | None, rejects: Path | None) -> Iterator[Any]:
    """The rows of a file ready to load, or None without a file; the rejects file is closed at the end."""
    if file is None:
        if catalog:
            raise UsageError("--catalog says how to read a FILE: name one")
        yield None
        return
    from prodsim.loaders.catalog import load_catalog
    from prodsim.loaders.readers import read_rows
    from prodsim.loaders.rejects import RejectsFile, default_rejects_path
    from prodsim.plugin.catalogs import Rows

    mapping = load_catalog(catalog)
    source = read_rows(file, format)
    with RejectsFile(rejects or default_rejects_path(file)) as rejected:
        yield Rows(source, mapping, rejected)


def try_rows(file: Path, catalog: Path | None, format: str | None, json: bool) -> None:
    """What would be loaded: every row is read and checked, nothing is sent."""
    from prodsim.loaders.catalog import load_catalog
    from prodsim.loaders.load import check_rows
    from prodsim.loaders.readers import read_rows

    report = check_rows(read_rows(file, format), load_catalog(catalog))
    if json:
        return output.result_json(report)
    output.result(f"{file}: {report.read} rows, {report.products} products, {report.rejected} would be rejected")
    for line in report.first_problems:
        output.result(f"  {line}")


@contextmanager
def progress() -> Iterator[Callable[[Account], None]]:
    """A line that moves on a terminal, nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda account: None
        return
    from rich.console import Console

    with Console(stderr=True).status("reading") as spinner:
        yield lambda account: spinner.update(
            f"{account.read} read, {account.indexed} indexed, {account.unchanged} unchanged, "
            f"{account.rejected} rejected, {account.embedded} embedded"
        )


def show_outcome(outcome: Outcome, alias: str, json: bool) -> None:
    account = outcome.account
    if json:
        output.result_json(
            {
                "alias": alias,
                "index": outcome.index,
                "previous": outcome.previous,
                "rejects": str(outcome.rejects) if outcome.rejects else None,
                **asdict(account),
            }
        )
    else:
        output.result(
            f"{alias} ({outcome.index}): {account.read} read = {account.indexed} indexed "
            f"+ {account.unchanged} unchanged + {account.rejected} rejected + {account.duplicates} duplicates; "
            f"{account.embedded} embedded"
        )
        if outcome.previous:
            output.result(f"before: {outcome.previous}, kept for 'prodsim-admin reindex --alias {alias} --rollback'")
    if outcome.rejects:
        output.note(f"{account.rejected} rows were rejected: see {outcome.rejects}")
        raise typer.Exit(ExitCode.PARTLY_LOADED)


def describe_plan(plan: dict[str, Any], file: Path | None) -> str:
    source = f"from {file}" if file else f"by copying {plan['products']} products of {plan['serving']}"
    removed = f", then remove {', '.join(plan['removes'])}" if plan["removes"] else ""
    return f"would build {plan['index']} for {plan['model']} {source}, swap {plan['alias']} to it{removed}"
