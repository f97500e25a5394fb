"""`prodsim-admin compare`: two rankings side by side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from prodsim.plugin.errors import CheckFailed, UsageError

from . import output
from .measuring import (
    Columns,
    Format,
    Grades,
    Measures,
    Mode,
    RelevantFrom,
    Seed,
    Similar,
    Topics,
    Where,
    as_reading,
    figure,
)
from .options import Alias, EmbedderUrl, EngineUrl, Json

if TYPE_CHECKING:
    from prodsim.plugin.measuring.comparison import Comparison


def compare(
    before: Annotated[
        str,
        typer.Argument(metavar="A", help="installed, profile:NAME, a profile's file, index:NAME, model:NAME, bm25, …"),
    ],
    after: Annotated[str, typer.Argument(metavar="B", help="What to hold against it.")],
    judgments: Annotated[
        Path | None, typer.Option("--judgments", "-j", metavar="FILE", help="A judgment list, see docs/measuring.md.")
    ] = None,
    queries: Annotated[
        Path | None,
        typer.Option("--queries", "-q", metavar="FILE", help="Queries without judgments, one on each line."),
    ] = None,
    similar: Similar = False,
    measure: Measures = None,
    relevant_from: RelevantFrom = None,
    depth: Annotated[
        int, typer.Option("--depth", "-k", min=1, max=100, help="First hits that overlap and pages show.")
    ] = 10,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write a page with the hits of both side by side.")
    ] = None,
    pictures: Annotated[
        str | None,
        typer.Option(
            "--pictures", metavar="URL|FOLDER", help="Where image_url is looked up if it is no whole address."
        ),
    ] = None,
    latency: Annotated[
        bool, typer.Option("--latency/--no-latency", help="Time both, search by search in turn.")
    ] = True,
    fail_if_worse: Annotated[
        bool, typer.Option("--fail-if-worse", help="Exit with 3 if B is worse beyond noise by the first measure.")
    ] = False,
    format: Format = None,
    columns: Columns = None,
    grades: Grades = None,
    where: Where = None,
    topics: Topics = None,
    mode: Mode = None,
    seed: Seed = 0,
    alias: Alias = None,
    engine_url: EngineUrl = None,
    embedder_url: EmbedderUrl = None,
    json: Json = False,
) -> None:
    """Hold two profiles, models or indexes against each other.

    With judgments: a paired test, wins and losses. Without: how many of the first hits both share. Exit code 3: B is
    worse and --fail-if-worse was given.
    """
    from prodsim.plugin.config import load_settings
    from prodsim.plugin.measuring.comparison import compare as run
    from prodsim.plugin.measuring.judgment_files import read_judgments, read_queries
    from prodsim.plugin.measuring.measures import DEFAULT_MEASURES
    from prodsim.plugin.measuring.opening import open_ring
    from prodsim.plugin.measuring.report import comparison_page
    from prodsim.plugin.pages.page import write_page

    if (judgments is None) == (queries is None):
        raise UsageError("name either --judgments or --queries")
    if fail_if_worse and judgments is None:
        raise UsageError("--fail-if-worse needs --judgments: without them nothing is better or worse")
    settings = load_settings(alias=alias, engine_url=engine_url, embedder_url=embedder_url)
    judged = read_judgments(judgments, as_reading(format, columns, grades, where, topics)) if judgments else None
    asked = judged.queries if judged else read_queries(queries or Path())
    with open_ring(settings, mode=mode) as ring:
        contenders = (ring.contender(before, similar), ring.contender(after, similar))
        found = run(
            ring, contenders, asked, judged, measure or DEFAULT_MEASURES, relevant_from, similar, depth, latency, seed
        )
        if html:
            page, loaded = comparison_page(ring.client, settings.alias, found, judged, pictures)
            write_page(html, page)
    output.result_json(as_json(found)) if json else show(found)
    if html:
        output.note(f"wrote {html} with {len(loaded.uris)} pictures")
        if loaded.failed:
            output.note(f"{loaded.failed} products have no picture there: {loaded.first_problem}")
    worse = found.measure and found.differences[found.measure].certain < 0
    if fail_if_worse and worse:
        raise CheckFailed(f"{after} is worse than {before} beyond noise by {found.measure}")


def show(found: Comparison) -> None:
    from prodsim.plugin.measuring.report import difference_rows

    rows = [
        {
            "measure": row["measure"],
            "A": figure(row["before"]),
            "B": figure(row["after"]),
            "B-A": f"{row['mean']:+.4f}",
            "95% interval": "" if row["low"] is None else f"{row['low']:+.4f} to {row['high']:+.4f}",
            "p": figure(row["p_value"]),
            "wins/losses/ties": f"{row['wins']}/{row['losses']}/{row['ties']}",
            "": verdict(row["certain"]),
        }
        for row in difference_rows(found)
    ]
    if rows:
        output.table(rows, list(rows[0]))
    for letter, name, index, empty in zip("AB", found.names, found.indexes, found.zero_results, strict=True):
        output.result(f"{letter}: {name} on {index}, {empty} of {found.queries} queries find nothing")
    output.result(f"overlap@{found.depth}: {found.overlap:.4f}")
    if found.latency:
        for letter, one in zip("AB", found.latency, strict=True):
            output.result(
                f"{letter}: median {one.p50_ms} ms, 95th percentile {one.p95_ms} ms of {one.searches} searches"
            )


def verdict(certain: int) -> str:
    return {1: "B is better", -1: "B is worse"}.get(certain, "no difference beyond noise")


def as_json(found: Comparison) -> dict[str, Any]:
    from prodsim.plugin.measuring.report import difference_rows

    return {
        "names": found.names,
        "indexes": found.indexes,
        "queries": found.queries,
        "zero_results": found.zero_results,
        "depth": found.depth,
        "overlap": found.overlap,
        "latency": found.latency,
        "measures": difference_rows(found),
        "by_query": found.pairs,
    }
