"""How well exact nearest neighbours answer judged queries, with no engine between."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray


def mean_ndcg(
    judgments: Mapping[str, Mapping[str, float]],
    queries: NDArray[np.float32],
    products: NDArray[np.float32],
    skus: Sequence[str],
    k: int = 10,
) -> float:
    """nDCG@k of exact nearest neighbours (Järvelin and Kekäläinen 2002, linear gain, log2 discount), over all queries.

    `queries` (one row for each of `judgments`, in order) and `products` (one for each of `skus`) have length 1.
    """
    discounts = 1 / np.log2(np.arange(2, k + 2))
    scores = []
    for ratings, similarities in zip(judgments.values(), queries @ products.T, strict=True):
        best = np.argsort(-similarities, kind="stable")[:k]
        found = gains_of(ratings, [skus[place] for place in best])
        ideal = sorted(ratings.values(), reverse=True)[:k]
        perfect = float(np.dot(ideal, discounts[: len(ideal)]))
        scores.append(float(np.dot(found, discounts[: len(found)])) / perfect if perfect > 0 else 0.0)
    return float(np.mean(scores))


def gains_of(ratings: Mapping[str, float], skus: Sequence[str]) -> list[float]:
    return [ratings.get(sku, 0.0) for sku in skus]
