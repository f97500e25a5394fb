"""`prodsim-admin evaluate`: rankings against a judgment list."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from prodsim.plugin.errors import UsageError

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
    interval,
)
from .options import Alias, EmbedderUrl, EngineUrl, Json

if TYPE_CHECKING:
    from prodsim.plugin.measuring.evaluation import Measured
    from prodsim.plugin.measuring.judgments import JudgmentList
    from prodsim.plugin.measuring.pairs import PairsMeasured

BASELINES = ("bm25", "bm25:best_fields", "bm25:most_fields", "vectors", "hybrid")


def evaluate(
    judgments: Annotated[Path, typer.Argument(metavar="JUDGMENTS", help="A judgment list, see docs/measuring.md.")],
    contender: Annotated[
        list[str] | None,
        typer.Option(
            "--contender",
            "-c",
            metavar="NAME",
            help="What to measure: installed (what customers get, the default), profile:NAME or a profile's file, "
            "index:NAME, model:NAME, bm25, hybrid, vectors; repeat for several.",
        ),
    ] = None,
    baselines: Annotated[
        bool, typer.Option("--baselines", help="Plain BM25 (three kinds), vectors and the engine's hybrid beside it.")
    ] = False,
    similar: Similar = False,
    pairs: Annotated[
        bool, typer.Option("--pairs", help="The file holds labelled pairs of SKUs: measure their similarity instead.")
    ] = False,
    threshold: Annotated[
        float | None,
        typer.Option("--threshold", min=-1, max=1, help="With --pairs: cosine from which two products count as alike."),
    ] = None,
    measure: Measures = None,
    relevant_from: RelevantFrom = None,
    group_by: Annotated[
        str | None, typer.Option("--group-by", metavar="NAME", help="group (the list's own) or words (of the query).")
    ] = None,
    at_least: Annotated[
        list[str] | None,
        typer.Option("--at-least", metavar="NAME@K=X", help="Exit with 3 if the first contender's mean is lower."),
    ] = None,
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
    """Measure rankings by a judgment list, with confidence intervals.

    Exit code 3: a figure is under its --at-least.
    """
    from prodsim.plugin.config import load_settings
    from prodsim.plugin.measuring.evaluation import check_thresholds, parse_thresholds
    from prodsim.plugin.measuring.evaluation import evaluate as run
    from prodsim.plugin.measuring.judgment_files import read_judgments
    from prodsim.plugin.measuring.measures import DEFAULT_MEASURES
    from prodsim.plugin.measuring.opening import open_ring

    settings = load_settings(alias=alias, engine_url=engine_url, embedder_url=embedder_url)
    thresholds = parse_thresholds(at_least or [])
    measures = list(dict.fromkeys([*(measure or DEFAULT_MEASURES), *thresholds]))
    found_list = read_judgments(judgments, as_reading(format, columns, grades, where, topics))
    if pairs:
        if contender or baselines or at_least:
            raise UsageError("--pairs measures the vectors of a catalog: it takes no contender and no --at-least")
        return show_pairs(measure_pairs(settings, found_list, threshold, seed), json)
    names = list(dict.fromkeys([*(contender or ["installed"]), *(BASELINES if baselines else ())]))
    with open_ring(settings, mode=mode) as ring:
        contenders = [ring.contender(name, similar) for name in names]
        found = run(ring, contenders, found_list, measures, relevant_from, similar, group_by, seed)
    if json:
        output.result_json([as_json(one, found_list) for one in found])
    else:
        show(found, found_list)
    check_thresholds(found[0], thresholds)


def show(found: list[Measured], judgments: JudgmentList) -> None:
    rows = [
        {"contender": one.contender, "group": group, "measure": name, "mean": figure(mean.mean),
         "95% interval": interval(mean), "queries": mean.queries}
        for one in found
        for group, means in {"": one.means, **one.groups}.items()
        for name, mean in means.items()
    ]  # fmt: skip
    groups = ["group"] if any(one.groups for one in found) else []
    output.table(rows, ["contender", *groups, "measure", "mean", "95% interval", "queries"])
    for one in found:
        example = f", such as '{one.zero_results[0]}'" if one.zero_results else ""
        output.note(f"{one.contender}: {one.zero_result_share:.1%} of the queries find nothing{example}")
    if judgments.without_answers:
        output.note(f"{len(judgments.without_answers)} queries have no product graded above 0 and always score 0")


def as_json(one: Measured, judgments: JudgmentList) -> dict[str, Any]:
    return {
        "contender": one.contender,
        "index": one.index,
        "queries": len(judgments.queries),
        "queries_without_answers": len(judgments.without_answers),
        "zero_result_share": one.zero_result_share,
        "zero_results": one.zero_results,
        "measures": one.means,
        "groups": one.groups,
        "by_query": {
            query: {name: float(values[place]) for name, values in one.values.items()}
            for place, query in enumerate(judgments.queries)
        },
    }


def measure_pairs(settings: Any, judgments: JudgmentList, threshold: float | None, seed: int) -> PairsMeasured:
    from prodsim.plugin.client import connect
    from prodsim.plugin.indexes import serving_index
    from prodsim.plugin.measuring.pairs import measure_pairs as run

    client = connect(settings)
    return run(client, serving_index(client, settings.alias), judgments, threshold, seed)


def show_pairs(found: PairsMeasured, json: bool) -> None:
    if json:
        return output.result_json(found)
    rows = [
        {"measure": name, "mean": figure(mean.mean), "95% interval": interval(mean), "pairs": mean.queries}
        for name, mean in found.means.items()
    ]
    output.table(rows, ["measure", "mean", "95% interval", "pairs"])
    drawn = f", {found.drawn} of the pairs that are not alike were drawn at random" if found.drawn else ""
    output.note(f"alike from cosine {found.threshold:.3f} on ({found.threshold_from}){drawn}")
    if found.missing:
        output.note(f"{found.missing} pairs are left out: a product is not in the catalog or has no vector")
