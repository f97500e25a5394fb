"""`prodsim-admin plan`: how large a cluster and an embedder a catalog needs."""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import Annotated

import typer

from . import output
from .options import Json

COUNT = re.compile(r"(\d+(?:\.\d+)?)([kmb]?)", re.IGNORECASE)
FACTORS = {"": 1, "k": 1_000, "m": 1_000_000, "b": 1_000_000_000}


def as_count(text: str) -> int:
    found = COUNT.fullmatch(text.replace(",", "").replace("_", ""))
    if not found or float(found[1]) <= 0:
        raise typer.BadParameter(f"'{text}': give a number such as 250k or 50M", param_hint="--docs")
    return round(float(found[1]) * FACTORS[found[2].lower()])


def plan(
    docs: Annotated[str, typer.Option("--docs", metavar="N", help="Products: 250k, 50M.")],
    qps: Annotated[float, typer.Option("--qps", metavar="N", min=0.1, help="Searches a second at the busiest time.")],
    dimension: Annotated[int, typer.Option("--dimension", min=1, max=16000, help="Of the text vectors.")] = 384,
    image_dimension: Annotated[int, typer.Option("--image-dimension", min=0, help="Of image vectors, if any.")] = 0,
    document_bytes: Annotated[
        int, typer.Option("--document-bytes", min=1, help="Of a product in the index, without vectors.")
    ] = 900,
    replicas: Annotated[int, typer.Option("--replicas", min=0, help="Copies beside the first.")] = 1,
    node_memory_gib: Annotated[float, typer.Option("--node-memory-gib", min=2, help="Of a data node.")] = 64,
    texts_per_s_core: Annotated[
        float | None, typer.Option("--texts-per-s-core", min=0.1, help="Products one CPU core embeds a second.")
    ] = None,
    texts_per_s_gpu: Annotated[
        float | None, typer.Option("--texts-per-s-gpu", min=0.1, help="Products one GPU embeds a second.")
    ] = None,
    cpu_hour_price: Annotated[float, typer.Option("--cpu-hour-price", min=0, help="Of one core.")] = 0.05,
    gpu_hour_price: Annotated[float, typer.Option("--gpu-hour-price", min=0, help="Of one GPU.")] = 0.80,
    json: Json = False,
) -> None:
    """Work out memory, disk, shards, nodes and the cost of a full re-embed. Formulas: docs/sizing.md."""
    from prodsim.plugin.sizing import GIB, Rates, Workload
    from prodsim.plugin.sizing import plan as work_out

    given = {"texts_per_s_cpu_core": texts_per_s_core, "texts_per_s_gpu": texts_per_s_gpu}
    rates = Rates(**{name: value for name, value in given.items() if value is not None})
    workload = Workload(
        documents=as_count(docs),
        queries_per_s=qps,
        dimension=dimension,
        image_dimension=image_dimension,
        document_bytes=document_bytes,
        replicas=replicas,
        node_memory_bytes=round(node_memory_gib * GIB),
        cpu_hour_price=cpu_hour_price,
        gpu_hour_price=gpu_hour_price,
    )
    made = work_out(workload, rates)
    if json:
        return output.result_json({"workload": asdict(workload), "rates": asdict(rates), "plan": asdict(made)})
    rows = {
        "products": f"{workload.documents:,}, {workload.dimension} dimensions",
        "vectors in memory": f"{made.vector_memory_bytes / GIB:,.1f} GiB in all copies",
        "index": f"{made.primary_bytes / GIB:,.1f} GiB, {made.shards} shards, {made.replicas} replicas",
        "disk": f"{made.disk_bytes / GIB:,.1f} GiB, {made.rebuild_disk_bytes / GIB:,.1f} GiB while a reindex runs",
        "data nodes": f"{made.data_nodes} of {node_memory_gib:g} GiB, {made.node_heap_bytes / GIB:.0f} GiB heap each",
        "cores for searches": f"{made.query_cores}",
        "embedder for searches": f"{made.embedder_cpu_cores_for_queries} CPU cores",
        "full re-embed on CPUs": f"{made.reembed_cpu_core_hours:,.1f} core hours, {made.reembed_cpu_price:,.2f}",
        "full re-embed on GPUs": f"{made.reembed_gpu_hours:,.1f} GPU hours, {made.reembed_gpu_price:,.2f}",
    }
    width = max(map(len, rows))
    for name, value in rows.items():
        output.result(f"{name.ljust(width)}  {value}")
