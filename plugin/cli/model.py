"""`prodsim-admin model`: embedding models, and changing that of a catalog."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from . import output
from .model_canary import canary
from .model_export import export, quantize
from .model_rollout import app as rollout_app
from .model_rollout import promote, retire, rollback
from .options import DryRun, EmbedderUrl, EngineUrl, Json

app = typer.Typer(help="Embedding models.", no_args_is_help=True)


@app.command("list")
def list_models(engine_url: EngineUrl = None, embedder_url: EmbedderUrl = None, json: Json = False) -> None:
    """Show the models of texts that the embedder serves, that were added, and that catalogs use."""
    from prodsim.plugin.client import connect
    from prodsim.plugin.config import load_settings
    from prodsim.plugin.rollout.overview import known_models

    from .wiring import open_embedder

    settings = load_settings(engine_url=engine_url, embedder_url=embedder_url)
    with open_embedder(settings) as embedder:
        served = embedder.models()
    found = known_models(connect(settings), served)
    if json:
        return output.result_json(found)
    rows = [
        {
            "model": one.model,
            "revision": one.revision,
            "dimension": one.dimension,
            "served": "yes" if one.served else "no",
            "added": (one.added or "")[:10],
            "serves": ", ".join(one.serves),
            "indexes": ", ".join(one.indexes),
        }
        for one in found
    ]
    output.table(rows, ["model", "revision", "dimension", "served", "added", "serves", "indexes"])


@app.command()
def add(
    name: Annotated[str, typer.Argument(metavar="MODEL", help="Name of a model of the embedder.", show_default=False)],
    engine_url: EngineUrl = None,
    embedder_url: EmbedderUrl = None,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Look at a model of the embedder, and note it as a candidate. Exit code 3: it can't be used, and why."""
    from prodsim.plugin.client import connect
    from prodsim.plugin.config import load_settings
    from prodsim.plugin.rollout.candidates import record
    from prodsim.plugin.rollout.probe import probe

    from .wiring import open_embedder

    settings = load_settings(engine_url=engine_url, embedder_url=embedder_url)
    with open_embedder(settings) as embedder:
        embedder.require_ready()
        found = probe(embedder, name)
    if not dry_run:
        record(connect(settings), found)
    if json:
        return output.result_json(asdict(found))
    output.result(
        f"{found.stamp}: {found.dimension} numbers ({found.vectors}) of length {found.lengths[0]:.3f} to "
        f"{found.lengths[1]:.3f}, {found.same:.4f} alike when asked again, {found.alike:.2f} between strangers"
    )


app.command()(canary)
app.add_typer(rollout_app, name="rollout")
for command in (promote, rollback, retire, export, quantize):
    app.command()(command)
