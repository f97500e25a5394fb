"""The report of a comparison: one HTML file with the pictures of the hits side by side."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from prodsim.plugin.pages.page import render_page
from prodsim.plugin.pages.pictures import Pictures, load_pictures
from prodsim.plugin.products import read_products

from .comparison import Comparison, Pair
from .judgments import JudgmentList

if TYPE_CHECKING:
    from opensearchpy import OpenSearch

SHOWN_FIELDS = ("title", "price", "currency", "image_url")


def comparison_page(
    client: OpenSearch,
    alias: str,
    found: Comparison,
    judgments: JudgmentList | None,
    picture_base: str | None = None,
    most_queries: int | None = None,
) -> tuple[str, Pictures]:
    """The page, and what became of its pictures. The queries that changed most come first."""
    pairs = sorted(found.pairs, key=lambda pair: (-abs(pair.change), pair.overlap, pair.query))[:most_queries]
    products: dict[str, dict[str, Any]] = {}
    for index, side in zip(found.indexes, ("before", "after"), strict=True):
        skus = {sku for pair in pairs for sku in getattr(pair, side)}
        products |= read_products(client, index, sorted(skus - products.keys()), SHOWN_FIELDS)
    urls = {sku: str(product["image_url"]) for sku, product in products.items() if product.get("image_url")}
    pictures = load_pictures(urls, picture_base)
    places, distinct = pictures.numbered()
    page = render_page(
        "comparison.html",
        alias=alias,
        made_at=dt.datetime.now().strftime("%Y-%m-%d %H:%M"),
        names=found.names,
        indexes=found.indexes,
        queries=found.queries,
        depth=found.depth,
        differences=difference_rows(found),
        measure=found.measure,
        zero_results=found.zero_results,
        latency=found.latency,
        overlap=found.overlap,
        graded=judgments is not None,
        pairs=[pair_row(pair, products, places, judgments) for pair in pairs],
        pictures=distinct,
    )
    return page, pictures


def difference_rows(found: Comparison) -> list[dict[str, Any]]:
    """One row a measure, as tables and JSON show it."""
    if found.measured is None:
        return []
    return [
        {
            "measure": name,
            "before": found.measured[0].means[name].mean,
            "after": found.measured[1].means[name].mean,
            "mean": change.estimate.mean,
            "low": change.estimate.low,
            "high": change.estimate.high,
            "p_value": change.p_value,
            "wins": change.wins,
            "losses": change.losses,
            "ties": change.ties,
            "certain": change.certain,
        }
        for name, change in found.differences.items()
    ]


def pair_row(
    pair: Pair, products: Mapping[str, Mapping[str, Any]], pictures: Mapping[str, int], judgments: JudgmentList | None
) -> dict[str, Any]:
    grades = judgments.grades.get(pair.query, {}) if judgments else {}

    def hit(sku: str, others: Sequence[str]) -> dict[str, Any]:
        product = products.get(sku, {})
        price = product.get("price")
        return {
            "sku": sku,
            "title": product.get("title", sku),
            "price": "" if price is None else f"{price:.2f} {product.get('currency') or ''}".strip(),
            "picture": pictures.get(sku),
            "grade": grades.get(sku),
            "only": sku not in others,
        }

    if pair.figures:
        kind = "win" if pair.change > 1e-12 else "loss" if pair.change < -1e-12 else "tie"
    else:
        kind = "changed" if pair.overlap < 1 else "tie"
    return {
        "query": pair.query,
        "kind": kind,
        "figures": pair.figures,
        "overlap": pair.overlap,
        "sides": [[hit(sku, pair.after) for sku in pair.before], [hit(sku, pair.before) for sku in pair.after]],
    }
