"""`prodsim-admin model canary`: the candidate of a rollout against the index that serves."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from prodsim.plugin.errors import CheckFailed, UsageError

from . import output
from .measuring import Columns, Format, Grades, Mode, Seed, Topics, Where, as_reading
from .options import Alias, EmbedderUrl, EngineUrl, Json

if TYPE_CHECKING:
    from prodsim.plugin.rollout.canary import Verdict


def canary(
    judgments: Annotated[
        Path | None, typer.Option("--judgments", "-j", metavar="FILE", help="A judgment list, see docs/measuring.md.")
    ] = None,
    queries: Annotated[
        Path | None, typer.Option("--queries", "-q", metavar="FILE", help="Logged queries, one on each line.")
    ] = None,
    max_ndcg_loss: Annotated[
        float, typer.Option("--max-ndcg-loss", min=0, max=1, help="Most that nDCG@10 may be lower.")
    ] = 0.02,
    min_overlap: Annotated[
        float, typer.Option("--min-overlap", min=0, max=1, help="Least share of the first 10 hits that both have.")
    ] = 0.3,
    max_zero_increase: Annotated[
        float, typer.Option("--max-zero-increase", min=0, max=1, help="Most that the share without a hit may grow.")
    ] = 0.02,
    max_slowdown: Annotated[
        float, typer.Option("--max-slowdown", min=1, help="Most that the 95th percentile may grow, as a factor.")
    ] = 2.0,
    max_itself_loss: Annotated[
        float,
        typer.Option(
            "--max-itself-loss", min=0, max=1, help="Most that the share of products found by their title may fall."
        ),
    ] = 0.1,
    open_live: Annotated[
        bool, typer.Option("--open", help="After a pass, point ALIAS-canary at the candidate for live searches.")
    ] = False,
    close_live: Annotated[bool, typer.Option("--close", help="Take ALIAS-canary away, and measure nothing.")] = False,
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
    """Replay queries on the serving index and on the candidate of a rollout that is ready; nothing is swapped.

    Exit code 3: the candidate is worse than the limits allow, and by what. The verdict is recorded for promote.
    """
    from prodsim.plugin.client import connect
    from prodsim.plugin.config import load_settings
    from prodsim.plugin.measuring.judgment_files import read_judgments, read_queries
    from prodsim.plugin.measuring.opening import open_ring
    from prodsim.plugin.rollout.canary import Limits, record_verdict, run_canary
    from prodsim.plugin.rollout.live import close_alias, open_alias
    from prodsim.plugin.rollout.rolling import ready_rollout

    settings = load_settings(alias=alias, engine_url=engine_url, embedder_url=embedder_url)
    client = connect(settings)
    if close_live:
        was_there = close_alias(client, settings.alias)
        return output.result(f"{settings.alias}-canary is {'gone' if was_there else 'not there'}")
    if judgments is None and queries is None:
        raise UsageError("name --judgments, --queries or both: a canary asks what customers ask")
    judged = read_judgments(judgments, as_reading(format, columns, grades, where, topics)) if judgments else None
    logged = read_queries(queries) if queries else []
    limits = Limits(max_ndcg_loss, min_overlap, max_zero_increase, max_slowdown, max_itself_loss)
    rollout = ready_rollout(client, settings.alias)
    with open_ring(settings, mode=mode) as ring:
        serving, candidate = (ring.index_named(name) for name in (rollout.source, rollout.target))
        verdict = run_canary(ring, rollout.id, serving, candidate, judged, logged, limits, seed)
    record_verdict(client, verdict)
    output.result_json({"passed": verdict.passed, **asdict(verdict)}) if json else show(verdict)
    if not verdict.passed:
        raise CheckFailed(f"the canary of {verdict.model} on {verdict.candidate} failed: {'; '.join(verdict.reasons)}")
    if open_live:
        name = open_alias(client, settings.alias, rollout.target)
        output.note(f"{name} is on {rollout.target}: send a share of your searches there")


def show(verdict: Verdict) -> None:
    rows = [
        {
            "": check.name,
            "serving": "" if check.serving is None else f"{check.serving:g}",
            "candidate": f"{check.candidate:g}",
            "limit": check.limit,
            "verdict": "passed" if check.passed else "FAILED",
        }
        for check in verdict.checks
    ]
    output.table(rows, ["", "serving", "candidate", "limit", "verdict"])
    output.result(
        f"{verdict.serving} against {verdict.candidate} ({verdict.model}), {verdict.judged} judged and "
        f"{verdict.logged} logged queries: {'passed' if verdict.passed else 'failed'}"
    )
