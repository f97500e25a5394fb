"""A similarity matrix for a set of SKUs."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from prodsim.plugin.errors import NotFound, UsageError
from prodsim.plugin.indexes import ProductIndex
from prodsim.plugin.products import read_products

from .vocabulary import cosine, euclidean, jaccard, price_distance, tokens

if TYPE_CHECKING:
    from opensearchpy import OpenSearch

MOST = 200
FIELDS = ("title", "brand", "category", "tags", "attributes", "price", "image_url")
# measure: whether more is more alike
MEASURES = {"cosine": True, "euclidean": False, "jaccard": True, "price": False}
Value = float | None


@dataclass(frozen=True)
class Matrix:
    """`values[i][j]` compares `skus[i]` with `skus[j]`; None where one of them lacks what the measure needs."""

    measure: str
    skus: Sequence[str]
    titles: Sequence[str]
    values: Sequence[Sequence[Value]]


def similarity_matrix(client: OpenSearch, index: ProductIndex, skus: Sequence[str], measure: str) -> Matrix:
    """The matrix of those products, symmetric, in their order.

    Raises:
        UsageError: fewer than two or too many SKUs, or no such measure. NotFound: the SKUs that are not in the catalog.
    """
    if measure not in MEASURES:
        raise UsageError(f"there is no measure {measure!r}: use {', '.join(MEASURES)}")
    chosen = list(dict.fromkeys(skus))
    if not 2 <= len(chosen) <= MOST:
        raise UsageError(f"a matrix is of 2 to {MOST} products, not {len(chosen)}")
    field = index.model.field()
    products = read_products(client, index.name, chosen, [*FIELDS, field])
    if missing := [sku for sku in chosen if sku not in products]:
        raise NotFound(f"not in {index.name}: {', '.join(missing[:10])}")
    known = [facts(products[sku], measure, field) for sku in chosen]
    compare = COMPARE[measure]
    values: list[list[Value]] = [[None] * len(chosen) for _ in chosen]
    for row, one in enumerate(known):
        for column in range(row, len(known)):
            values[row][column] = values[column][row] = (
                None if one is None or known[column] is None else compare(one, known[column])
            )
    return Matrix(measure, chosen, [str(products[sku].get("title", sku)) for sku in chosen], values)


COMPARE: Mapping[str, Callable[[Any, Any], Value]] = {
    "cosine": cosine,
    "euclidean": euclidean,
    "jaccard": jaccard,
    "price": price_distance,
}


def facts(product: Mapping[str, Any], measure: str, vector_field: str) -> Any:
    """What the measure compares of a product, None where it has not."""
    if measure == "jaccard":
        return tokens(product)
    if measure == "price":
        return product.get("price")
    vector = product.get(vector_field)
    return None if vector is None else np.asarray(vector, dtype=np.float64)


def write_csv(matrix: Matrix, path: Path) -> None:
    """A header with the SKUs, then a row for each; empty where there is no value.

    Raises:
        UsageError: the file can't be written.
    """
    try:
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["sku", *matrix.skus])
            for sku, values in zip(matrix.skus, matrix.values, strict=True):
                writer.writerow([sku, *("" if value is None else f"{value:.6f}" for value in values)])
    except OSError as error:
        raise UsageError(f"{path} can't be written: {error.strerror or error}") from None
