"""Similar products against labelled pairs: does the similarity of two vectors say what people say?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from prodsim.plugin.errors import CatalogError
from prodsim.plugin.indexes import ProductIndex
from prodsim.plugin.products import read_products
from prodsim.plugin.similarity.vocabulary import cosine

from .extra import require
from .intervals import Estimate, estimate
from .judgments import JudgmentList

if TYPE_CHECKING:
    from opensearchpy import OpenSearch

Floats = NDArray[np.float64]
Labels = NDArray[np.bool_]
FOLDS = 5
RESAMPLES = 2000


@dataclass(frozen=True)
class PairsMeasured:
    """`means` has accuracy, precision, recall, F1, and the mean cosine of pairs that are alike and of those that are
    not. `threshold_from` says where the threshold comes from, `drawn` how many pairs that are not alike were made up,
    `missing` how many pairs were left out for want of a vector.
    """

    threshold: float
    threshold_from: str
    means: Mapping[str, Estimate]
    drawn: int
    missing: int


def measure_pairs(
    client: OpenSearch, index: ProductIndex, judgments: JudgmentList, threshold: float | None = None, seed: int = 0
) -> PairsMeasured:
    """Measures pairs (SKU, SKU, grade): alike where the grade is above 0.

    A list of pairs that are all alike gets as many pairs that are not, of the same SKUs at random. Without a threshold,
    each fifth of the pairs is judged by the one that has the best F1 on the other four.

    Raises:
        CatalogError: fewer than two pairs have vectors on both sides.
    """
    require("scipy")
    pairs = [(one, other, grade > 0) for one, others in judgments.grades.items() for other, grade in others.items()]
    drawn = draw_unlike(pairs, seed) if all(alike for *_, alike in pairs) else []
    field = index.model.field()
    skus = sorted({sku for one, other, _ in (*pairs, *drawn) for sku in (one, other)})
    stored = read_products(client, index.name, skus, [field])
    vectors = {sku: np.asarray(product[field]) for sku, product in stored.items() if product.get(field)}
    known = [pair for pair in (*pairs, *drawn) if pair[0] in vectors and pair[1] in vectors]
    if len(known) < 2:
        raise CatalogError(f"{judgments.name}: only {len(known)} of its pairs have both products in {index.name}")
    cosines = np.array([cosine(vectors[one], vectors[other]) for one, other, _ in known])
    labels = np.array([alike for *_, alike in known])
    said, threshold_from = predicted(cosines, labels, threshold, seed)
    return PairsMeasured(
        threshold=threshold if threshold is not None else best_threshold(cosines, labels),
        threshold_from=threshold_from,
        means=summed_up(cosines, labels, said, seed),
        drawn=len(drawn),
        missing=len(pairs) + len(drawn) - len(known),
    )


def draw_unlike(pairs: list[tuple[str, str, bool]], seed: int) -> list[tuple[str, str, bool]]:
    """As many pairs that nobody called alike, of a left SKU and a right SKU of the list."""
    rng = np.random.default_rng(seed)
    alike = {(one, other) for one, other, _ in pairs} | {(other, one) for one, other, _ in pairs}
    left, right = [one for one, *_ in pairs], [other for _, other, _ in pairs]
    drawn: dict[tuple[str, str], None] = {}
    for _ in range(20 * len(pairs)):
        pair = (left[rng.integers(len(left))], right[rng.integers(len(right))])
        if pair[0] != pair[1] and pair not in alike:
            drawn[pair] = None
        if len(drawn) == len(pairs):
            break
    return [(one, other, False) for one, other in drawn]


def predicted(cosines: Floats, labels: Labels, threshold: float | None, seed: int) -> tuple[Labels, str]:
    """Which pairs count as alike, and where the threshold comes from."""
    if threshold is not None:
        return cosines >= threshold, "given"
    said = np.zeros(len(labels), dtype=bool)
    order = np.random.default_rng(seed).permutation(len(labels))
    for fold in np.array_split(order, min(FOLDS, len(labels))):
        others = np.setdiff1d(order, fold)
        said[fold] = cosines[fold] >= best_threshold(cosines[others], labels[others])
    return said, f"the best F1; the figures are cross-validated over {min(FOLDS, len(labels))} folds"


def best_threshold(cosines: Floats, labels: Labels) -> float:
    """Halfway between two pairs, where F1 is highest."""
    order = np.argsort(-cosines, kind="stable")
    hits = np.cumsum(labels[order])
    f1 = 2 * hits / np.maximum(np.arange(1, len(order) + 1) + labels.sum(), 1)
    best = int(np.argmax(f1))
    below = cosines[order[best + 1]] if best + 1 < len(order) else cosines[order[best]]
    return float((cosines[order[best]] + below) / 2)


def summed_up(cosines: Floats, labels: Labels, said: Labels, seed: int) -> dict[str, Estimate]:
    """The figures with intervals: of the ratios by resampling pairs, of the means as `estimate`."""
    rng = np.random.default_rng(seed)
    samples = rng.integers(len(labels), size=(RESAMPLES, len(labels)))
    found: dict[str, Estimate] = {"accuracy": estimate((said == labels).astype(float), seed)}
    figures = ratios(labels[None, :], said[None, :])
    resampled = ratios(labels[samples], said[samples])
    for name, values in figures.items():
        low, high = np.quantile(resampled[name], (0.025, 0.975))
        found[name] = Estimate(float(values[0]), float(low), float(high), len(labels))
    for name, chosen in (("cosine, alike", labels), ("cosine, not alike", ~labels)):
        if chosen.any():
            found[name] = estimate(cosines[chosen], seed)
    return found


def ratios(labels: Labels, said: Labels) -> dict[str, Floats]:
    """Precision, recall and F1 of each row; 0 where nothing is said to be alike."""
    both = (labels & said).sum(axis=1)
    return {
        "precision": both / np.maximum(said.sum(axis=1), 1),
        "recall": both / np.maximum(labels.sum(axis=1), 1),
        "F1": 2 * both / np.maximum(said.sum(axis=1) + labels.sum(axis=1), 1),
    }
