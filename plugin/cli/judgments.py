"""`prodsim-admin judgments`: judgment lists from click logs, and what a list holds."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from prodsim.plugin.errors import UsageError

from . import output
from .measuring import Columns, Format, Grades, Topics, Where, as_reading
from .options import Json

app = typer.Typer(help="Judgment lists: from click logs, and what one holds.", no_args_is_help=True)


@app.command("show")
def show(
    judgments: Annotated[Path, typer.Argument(metavar="JUDGMENTS", help="A judgment list, see docs/measuring.md.")],
    format: Format = None,
    columns: Columns = None,
    grades: Grades = None,
    where: Where = None,
    topics: Topics = None,
    json: Json = False,
) -> None:
    """How many queries, judgments and grades a list holds."""
    from prodsim.plugin.measuring.judgment_files import read_judgments

    found = read_judgments(judgments, as_reading(format, columns, grades, where, topics))
    counts = Counter(grade for products in found.grades.values() for grade in products.values())
    groups = Counter(found.groups.values())
    if json:
        return output.result_json(
            {
                "queries": len(found.queries),
                "judgments": counts.total(),
                "grades": {f"{grade:g}": count for grade, count in sorted(counts.items(), reverse=True)},
                "groups": dict(sorted(groups.items())),
                "queries_without_answers": found.without_answers,
            }
        )
    output.result(f"{len(found.queries)} queries, {counts.total()} judgments")
    output.result(
        "grades: " + ", ".join(f"{grade:g} ({count})" for grade, count in sorted(counts.items(), reverse=True))
    )
    if groups:
        output.result("groups: " + ", ".join(f"{group} ({count})" for group, count in sorted(groups.items())))
    if found.without_answers:
        output.note(
            f"{len(found.without_answers)} queries have no product graded above 0: {found.without_answers[0]}, …"
        )


@app.command("from-clicks")
def from_clicks(
    log: Annotated[
        str, typer.Argument(metavar="LOG", help="Products shown: query, sku, position, clicked (or views and clicks).")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="The judgment list to write, as CSV.")],
    min_views: Annotated[
        int, typer.Option("--min-views", min=1, help="Leave out products that were shown less often for a query.")
    ] = 20,
    json: Json = False,
) -> None:
    """Make a judgment list of a click log, with the effect of a hit's place taken out (docs/measuring.md)."""
    from prodsim.plugin.measuring.clicks import estimate_attractions, read_clicks, write_judgments

    model = estimate_attractions(read_clicks(log))
    kept = model.judgments(log, min_views)
    try:
        rows = write_judgments(model, out, min_views)
    except OSError as error:
        raise UsageError(f"{out} can't be written: {error.strerror or error}") from None
    examination = [round(float(share), 3) for share in model.examination]
    if json:
        return output.result_json({"queries": len(kept.queries), "judgments": rows, "examination": examination})
    output.result(f"{out}: {rows} judgments of {len(kept.queries)} queries")
    output.note("looked at, by place: " + ", ".join(f"{share:.2f}" for share in examination[:20]))
