"""`prodsim-admin model export` and `quantize`: faster forms of a model, compared with the original first."""

from __future__ import annotations

from enum import StrEnum
from importlib.resources import as_file, files
from pathlib import Path
from typing import Annotated

import typer

from prodsim.plugin.errors import UsageError

from . import output
from .options import Json


class BackEnd(StrEnum):
    openvino = "openvino"
    onnx = "onnx"


To = Annotated[Path, typer.Argument(metavar="FOLDER", help="The new model folder.", show_default=False)]
Source = Annotated[
    str | None,
    typer.Option("--model", metavar="MODEL", help="Folder or hub name of the model (default: the packaged MiniLM)."),
]
Products = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Products to compare on (default: the example shop's).")
]
Catalog = Annotated[Path | None, typer.Option(metavar="FILE", help="catalog.yaml of those products.")]
JudgmentsFile = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Judgment list of those products (default: the example shop's).")
]
MinCosine = Annotated[float, typer.Option(min=-1, max=1, help="Least mean cosine to the vectors of fp32.")]
MaxLoss = Annotated[float, typer.Option(min=0, max=1, help="Most that nDCG@10 may be below that of fp32.")]


def export(
    to: To,
    backend: Annotated[BackEnd, typer.Option(help="What computes.")] = BackEnd.openvino,
    model: Source = None,
    products: Products = None,
    catalog: Catalog = None,
    judgments: JudgmentsFile = None,
    min_cosine: MinCosine = 0.99,
    max_ndcg_loss: MaxLoss = 0.005,
    json: Json = False,
) -> None:
    """Write a model with a ready graph in fp32, which loads and runs faster. Exit code 3 where it is refused."""
    publish(to, backend, "fp32", model, products, catalog, judgments, min_cosine, max_ndcg_loss, json)


def quantize(
    to: To,
    model: Source = None,
    products: Products = None,
    catalog: Catalog = None,
    judgments: JudgmentsFile = None,
    min_cosine: MinCosine = 0.99,
    max_ndcg_loss: MaxLoss = 0.005,
    json: Json = False,
) -> None:
    """Write a model with weights in int8, for ONNX Runtime on CPUs. Exit code 3 where it is refused."""
    publish(to, BackEnd.onnx, "int8", model, products, catalog, judgments, min_cosine, max_ndcg_loss, json)


def publish(
    to: Path,
    backend: BackEnd,
    precision: str,
    model: str | None,
    products: Path | None,
    catalog: Path | None,
    judgments: Path | None,
    min_cosine: float,
    max_ndcg_loss: float,
    json: bool,
) -> None:
    from prodsim.plugin import model_export

    if (products is None) != (judgments is None):
        raise UsageError("--products and --judgments go together")
    example = files("prodsim.examples")
    with as_file(example / "products.ndjson") as its_products, as_file(example / "judgments.json") as its_judgments:
        judged = model_export.judged(products or its_products, catalog, judgments or its_judgments)
    published = model_export.publish(
        model, to, backend.value, precision, judged, min_cosine, max_ndcg_loss, output.note
    )
    if json:
        return output.result_json(published)
    compared = published.comparison
    rows = [
        {
            "": name,
            "ndcg@10": f"{one.ndcg_at_10:.3f}",
            "passages/s": f"{one.passages_per_s:.0f}",
            "query ms": f"{one.query_ms:.1f}",
        }
        for name, one in (("torch fp32", compared.original), (f"{backend} {precision}", compared.exported))
    ]
    output.table(rows, ["", "ndcg@10", "passages/s", "query ms"])
    output.result(f"mean cosine {compared.mean_cosine:.5f}, least {compared.least_cosine:.5f}")
    output.result(
        f"published: {published.folder}; serve it with 'prodsim-admin embedder up --model {to} --backend auto'"
    )
