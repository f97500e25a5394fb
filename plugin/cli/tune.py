"""`prodsim-admin ranking tune`: better numbers for a profile, if there are any."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from prodsim.plugin.errors import CheckFailed

from . import output
from .measuring import Columns, Format, Grades, Mode, RelevantFrom, Seed, Topics, Where, as_reading, figure, interval
from .options import Alias, DryRun, EmbedderUrl, EngineUrl, Json

if TYPE_CHECKING:
    from prodsim.plugin.tuning.tune import Tuned


def tune(
    judgments: Annotated[Path, typer.Argument(metavar="JUDGMENTS", help="A judgment list, see docs/measuring.md.")],
    profile: Annotated[
        str, typer.Option("--profile", metavar="NAME|FILE", help="The profile to start from.")
    ] = "default",
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FILE", help="Where to write it (default: ranking/PROFILE-tuned.yaml)."),
    ] = None,
    measure: Annotated[str, typer.Option("--measure", "-m", metavar="NAME@K", help="What to make larger.")] = "nDCG@10",
    relevant_from: RelevantFrom = None,
    folds: Annotated[int, typer.Option("--folds", min=2, max=20, help="Of the cross-validation over queries.")] = 5,
    trials: Annotated[int, typer.Option("--trials", min=10, max=5000, help="Profiles to try for each fold.")] = 200,
    include: Annotated[
        list[str] | None,
        typer.Option(
            "--include", metavar="PATTERN", help="Tune these numbers too: 'signals.rating.*'; repeat for more."
        ),
    ] = None,
    keep: Annotated[
        list[str] | None,
        typer.Option(
            "--keep", metavar="PATTERN", help="Leave these as they are: 'signals.*', 'fields'; repeat for more."
        ),
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
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Search better weights, k, c and signal strengths on a judgment list, cross-validated over its queries.

    Writes a profile that 'ranking apply' can install. Exit code 3, and nothing written: the gain on held-out queries is
    noise, or plain BM25 is better.
    """
    from prodsim.plugin.config import load_settings
    from prodsim.plugin.measuring.judgment_files import read_judgments
    from prodsim.plugin.measuring.measures import spelled
    from prodsim.plugin.measuring.opening import open_ring
    from prodsim.plugin.ranking.files import FOLDER, load_profile
    from prodsim.plugin.tuning.tune import Options
    from prodsim.plugin.tuning.tune import tune as run
    from prodsim.plugin.tuning.writing import parent_of, profile_text, write_profile

    settings = load_settings(alias=alias, engine_url=engine_url, embedder_url=embedder_url)
    options = Options(
        measure=spelled(measure)[0],
        relevant_from=relevant_from,
        folds=folds,
        trials=trials,
        seed=seed,
        include=include or (),
        keep=keep or (),
    )
    start = load_profile(profile)
    path = out or (Path(profile).parent if Path(profile).suffix else Path(FOLDER)) / f"{start.name}-tuned.yaml"
    parent = parent_of(profile, path)
    judged = read_judgments(judgments, as_reading(format, columns, grades, where, topics))
    with open_ring(settings, profile, mode) as ring:
        found = run(ring, start, judged, options, output.note)
    text = profile_text(found, parent)
    show_json(found, text) if json else show(found)
    if found.refusal:
        raise CheckFailed(f"no profile is written: {found.refusal}")
    if dry_run:
        return output.result(text) if not json else None
    write_profile(text, path)
    output.note(f"wrote {path}: try 'prodsim-admin compare profile:{profile} {path}', then 'ranking apply'")


def show(found: Tuned) -> None:
    from prodsim.plugin.tuning.writing import changed_numbers

    output.table(
        [
            {"ranking": name, found.measure: figure(mean.mean), "95% interval": interval(mean)}
            for name, mean in found.means.items()
        ],
        ["ranking", found.measure, "95% interval"],
    )
    for against, change in (("untuned", found.gain), ("the best BM25", found.over_bm25)):
        output.result(
            f"tuned against {against}, on held-out queries: {change.estimate.signed}, p {change.p_value:.4f}; "
            f"{change.wins} queries better, {change.losses} worse, {change.ties} the same"
        )
    rows = [
        {
            "number": row["number"],
            "before": f"{row['before']:g}",
            "after": f"{row['after']:g}",
            "in the folds": "{:g} to {:g}".format(*row["folds"]),
        }
        for row in changed_numbers(found.changes)
    ]
    output.table(rows, ["number", "before", "after", "in the folds"])
    for name, value in found.words.items():
        output.result(f"words.{name}: {value}")


def show_json(found: Tuned, text: str) -> None:
    from prodsim.plugin.tuning.writing import changed_numbers

    output.result_json(
        {
            "measure": found.measure,
            "queries": found.queries,
            "folds": found.folds,
            "trials": found.trials,
            "means": found.means,
            "gain": found.gain,
            "over_bm25": found.over_bm25,
            "changes": changed_numbers(found.changes),
            "refusal": found.refusal,
            "profile": text,
        }
    )
