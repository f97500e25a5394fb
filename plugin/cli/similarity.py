"""`prodsim-admin similarity`: how alike products are, as a matrix and as a map."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from prodsim.plugin.errors import UsageError

from . import output
from .options import Alias, EngineUrl, Json

app = typer.Typer(help="How alike products are: a matrix of some, a map of all.", no_args_is_help=True)

Html = Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Write a heat map with pictures.")]
Pictures = Annotated[
    str | None,
    typer.Option("--pictures", metavar="URL|FOLDER", help="Where image_url is looked up if it is no whole address."),
]


class Measure(StrEnum):
    """How two products are compared."""

    cosine = "cosine"
    euclidean = "euclidean"
    jaccard = "jaccard"
    price = "price"


class Method(StrEnum):
    """How vectors come onto a plane."""

    tsne = "tsne"
    pca = "pca"


class Vector(StrEnum):
    """Which vectors."""

    text = "text"
    image = "image"
    fused = "fused"


@app.command("matrix")
def matrix(
    skus: Annotated[
        list[str] | None, typer.Argument(metavar="[SKU...]", help="The products to compare.", show_default=False)
    ] = None,
    file: Annotated[Path | None, typer.Option("--file", metavar="FILE", help="More SKUs, one on each line.")] = None,
    measure: Annotated[
        Measure,
        typer.Option(
            "--measure",
            "-m",
            help="cosine, euclidean (both of vectors), jaccard (tags, attributes), price (|ln(a/b)|).",
        ),
    ] = Measure.cosine,
    csv: Annotated[Path | None, typer.Option("--csv", metavar="FILE", help="Write the matrix as CSV.")] = None,
    html: Html = None,
    pictures: Pictures = None,
    alias: Alias = None,
    engine_url: EngineUrl = None,
    json: Json = False,
) -> None:
    """Compare a set of products, each with each."""
    from prodsim.plugin.client import connect
    from prodsim.plugin.config import load_settings
    from prodsim.plugin.indexes import serving_index
    from prodsim.plugin.measuring.judgment_files import read_queries
    from prodsim.plugin.pages.page import write_page
    from prodsim.plugin.similarity.matrix import similarity_matrix, write_csv
    from prodsim.plugin.similarity.views import matrix_page

    settings = load_settings(alias=alias, engine_url=engine_url)
    chosen = [*(skus or []), *(read_queries(file) if file else [])]
    client = connect(settings)
    index = serving_index(client, settings.alias)
    found = similarity_matrix(client, index, chosen, measure.value)
    if csv:
        write_csv(found, csv)
    if html:
        page, _ = matrix_page(client, index.name, found, pictures)
        write_page(html, page)
    if json:
        return output.result_json(found)
    output.table(
        [
            {"sku": sku} | {other: cell(value) for other, value in zip(found.skus, values, strict=True)}
            for sku, values in zip(found.skus, found.values, strict=True)
        ],
        ["sku", *found.skus],
    )


def cell(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


@app.command("map")
def map_(
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="The page to write.")],
    most: Annotated[int, typer.Option("--most", min=3, max=20_000, help="Draw so many products at random.")] = 2000,
    method: Annotated[
        Method, typer.Option("--method", help="tsne: neighbours stay neighbours; pca: fast, distances are true.")
    ] = Method.tsne,
    vector: Annotated[Vector, typer.Option("--vector", help="Of texts, pictures or both as one.")] = Vector.text,
    color: Annotated[str, typer.Option("--color", metavar="FIELD", help="Colour by category or brand.")] = "category",
    pictures: Pictures = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the drawing and the placing.")] = 0,
    alias: Alias = None,
    engine_url: EngineUrl = None,
    json: Json = False,
) -> None:
    """Put a catalog's vectors onto a plane, as a page with pictures."""
    from prodsim.plugin.client import connect
    from prodsim.plugin.config import load_settings
    from prodsim.plugin.indexes import serving_index
    from prodsim.plugin.pages.page import write_page
    from prodsim.plugin.similarity.map import catalog_map
    from prodsim.plugin.similarity.views import map_page

    if color not in ("category", "brand"):
        raise UsageError(f"--color {color}: use category or brand")
    settings = load_settings(alias=alias, engine_url=engine_url)
    client = connect(settings)
    index = serving_index(client, settings.alias)
    found = catalog_map(client, index, most, method.value, color, seed, vector.value)
    page, loaded = map_page(settings.alias, index.model.name, vector.value, found, pictures)
    write_page(out, page)
    if json:
        return output.result_json({"file": str(out), "pictures": len(loaded.uris), "map": found})
    output.result(f"{out}: {len(found.points)} of {found.total} products, {len(loaded.uris)} pictures")
    if loaded.failed:
        output.note(f"{loaded.failed} products have no picture there: {loaded.first_problem}")
