"""What `load` and `reindex` share: how a source is named and read, and how the outcome is told."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from prodsim.plugin.errors import ExitCode

from . import output

if TYPE_CHECKING:
    from prodsim.loaders.load import Limit
    from prodsim.plugin.loads import Outcome

CatalogFile = Annotated[
    Path | None, typer.Option("--catalog", metavar="FILE", help="catalog.yaml: which column is which product field.")
]
Format = Annotated[
    str | None,
    typer.Option("--format", metavar="NAME", help="csv, ndjson, json, yaml or parquet (default: by name or content)."),
]
Encoding = Annotated[
    str | None, typer.Option("--encoding", metavar="NAME", help="Of a text file (default: found out, or UTF-8).")
]
Delimiter = Annotated[
    str | None, typer.Option("--delimiter", metavar="CHARACTER", help="Between a CSV's columns (default: found out).")
]
Quote = Annotated[
    str | None, typer.Option("--quote", metavar="CHARACTER", help="Around a CSV's texts (default: found out, or \").")
]
Query = Annotated[
    str | None, typer.Option("--query", metavar="SQL", help="What to select, where FILE is a database's URL.")
]
RejectsPath = Annotated[
    Path | None,
    typer.Option("--rejects", metavar="FILE", help="Where rejected rows go (default: NAME.rejects.ndjson)."),
]
MaxRejects = Annotated[
    str | None,
    typer.Option("--max-rejects", metavar="N|P%", help="Stop when more rows than this are rejected: 100, or 5%."),
]
StartOver = Annotated[
    bool, typer.Option("--start-over", help="Do not go on with an interrupted load of the same, start over.")
]


def as_limit(text: str | None) -> Limit | None:
    """`100` or `5%`."""
    from prodsim.loaders.load import Limit

    if text is None:
        return None
    number, percent, rest = text.strip().partition("%")
    try:
        limit = Limit(share=float(number) / 100) if percent else Limit(count=int(number))
    except ValueError:
        rest = text
        limit = Limit(count=0)
    if rest or (limit.count or 0) < 0 or not 0 <= (limit.share or 0) <= 1:
        raise typer.BadParameter(f"'{text}': give a number of rows, or a share such as 5%", param_hint="--max-rejects")
    return limit


def as_request(
    names: list[str],
    catalog: Path | None,
    rejects: Path | None,
    checkpoint: Path | None,
    reading: dict[str, str | None],
    **others: Any,
) -> Any:
    """What is asked of a load.

    Raises:
        ConfigError: the catalog.yaml can't be used. CatalogError: the first source can't.
    """
    from prodsim.loaders.preparing.catalog import load_catalog
    from prodsim.loaders.reading.readers import ReadOptions
    from prodsim.loaders.rejects import default_rejects_path
    from prodsim.loaders.request import Request

    return Request(
        names,
        load_catalog(catalog),
        rejects or default_rejects_path(names),
        ReadOptions(**reading),
        checkpoint=checkpoint,
        **others,
    ).open()


def show_outcome(outcome: Outcome, alias: str, json: bool, changed: str = "indexed") -> None:
    """`changed` is what the rows that changed the catalog are called. Ends the command with 5 if rows were rejected."""
    account = outcome.account
    if json:
        output.result_json(
            {
                "alias": alias,
                "index": outcome.index,
                "previous": outcome.previous,
                "rejects": str(outcome.rejects) if outcome.rejects else None,
                **asdict(account),
                "duplicate_rows": [duplicate._asdict() for duplicate in outcome.duplicates],
            }
        )
    else:
        output.result(
            f"{alias} ({outcome.index}): {account.read} read = {account.indexed} {changed} "
            f"+ {account.unchanged} unchanged + {account.rejected} rejected + {account.duplicates} duplicates; "
            f"{account.embedded} embedded" + (f"; {account.removed} removed" if account.removed else "")
        )
        if outcome.previous:
            output.result(f"before: {outcome.previous}, kept for 'prodsim-admin reindex --alias {alias} --rollback'")
        for sku, line, kept_line in outcome.duplicates:
            output.note(f"duplicate: {sku} in line {line}, replaced by line {kept_line}")
        if account.duplicates > len(outcome.duplicates):
            output.note(f"and {account.duplicates - len(outcome.duplicates)} more duplicates")
        if account.pictureless:
            output.note(
                f"{account.pictureless} have no vector of their picture: "
                "prodsim.image_problem or prodsim.fused_problem of each product says why"
            )
        if account.newer:
            output.note(f"{account.newer} of the unchanged hold a version that a later load wrote")
    if outcome.rejects:
        output.note(f"{account.rejected} rows were rejected: see {outcome.rejects}")
        raise typer.Exit(ExitCode.PARTLY_LOADED)
