"""The pages of a similarity matrix and of a map, pictures included."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from prodsim.plugin.pages.page import render_page
from prodsim.plugin.pages.pictures import Pictures, load_pictures
from prodsim.plugin.products import read_products

from .map import Map
from .matrix import MEASURES, Matrix

if TYPE_CHECKING:
    from opensearchpy import OpenSearch

MEANINGS = {
    "cosine": "The angle between the products' vectors: 1 is the same, 0 unrelated.",
    "euclidean": "The distance of the products' vectors at length 1: 0 is the same, 1.41 unrelated.",
    "jaccard": "Shared tags, attributes, brand and category over all of both: 1 is the same, 0 nothing shared.",
    "price": "Price distance |ln(a / b)|: 0 is the same price, 0.69 twice as much.",
}


def matrix_page(client: OpenSearch, index: str, matrix: Matrix, picture_base: str | None) -> tuple[str, Pictures]:
    """A heat map: the more alike, the darker. And what became of its pictures."""
    products = read_products(client, index, matrix.skus, ["image_url"])
    urls = {sku: str(product["image_url"]) for sku, product in products.items() if product.get("image_url")}
    pictures = load_pictures(urls, picture_base)
    places, distinct = pictures.numbered()
    off_diagonal = [
        value
        for row, values in enumerate(matrix.values)
        for column, value in enumerate(values)
        if value is not None and row != column
    ]
    low, high = min(off_diagonal, default=0.0), max(off_diagonal, default=1.0)

    def cell(value: float | None, other: str) -> dict[str, Any] | None:
        if value is None:
            return None
        share = (value - low) / (high - low) if high > low else 1.0
        warmth = min(1.0, max(0.0, share if MEASURES[matrix.measure] else 1 - share))
        saturation, lightness = round(70 + 5 * warmth), round(96 - 41 * warmth)
        return {"text": f"{value:.2f}", "other": other, "saturation": saturation, "lightness": lightness}

    rows = [
        {
            "sku": sku,
            "title": title,
            "picture": places.get(sku),
            "cells": [cell(value, other) for value, other in zip(values, matrix.skus, strict=True)],
        }
        for sku, title, values in zip(matrix.skus, matrix.titles, matrix.values, strict=True)
    ]
    page = render_page(
        "matrix.html",
        alias=index,
        measure=matrix.measure,
        meaning=MEANINGS[matrix.measure],
        products=rows,
        pictures=distinct,
    )
    return page, pictures


def map_page(alias: str, model: str, kind: str, found: Map, picture_base: str | None) -> tuple[str, Pictures]:
    """The map as a page to zoom, move and search in. And what became of its pictures."""
    pictures = load_pictures({point.sku: point.image_url for point in found.points if point.image_url}, picture_base)
    places, distinct = pictures.numbered()
    points = [
        {"sku": point.sku, "x": point.x, "y": point.y, "title": point.title, "group": point.group,
         "price": point.price, "picture": places.get(point.sku)}
        for point in found.points
    ]  # fmt: skip
    page = render_page(
        "map.html",
        alias=alias,
        model=model,
        kind=kind,
        method={"tsne": "t-SNE", "pca": "principal components"}[found.method],
        total=found.total,
        points=points,
        groups=list(found.groups),
        pictures=distinct,
    )
    return page, pictures
