"""Judgment lists for comparing models: which product answers which query how well."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import CatalogError

Judgments = dict[str, dict[str, float]]


def read_judgments(path: Path) -> Judgments:
    """Query to SKU to gain, from `{"queries": [{"query", "ratings": {sku: gain}}]}` or
    `{"judgmentRatings": [{"query", "ratings": [{"docId", "rating"}]}]}`, which OpenSearch's Search Relevance exports.

    Raises:
        CatalogError: the file can't be read, or judges nothing.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        entries = content["queries"] if "queries" in content else content["judgmentRatings"]
        judgments = {str(entry["query"]): gains(entry["ratings"]) for entry in entries}
    except OSError as error:
        raise CatalogError(f"{path} can't be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise CatalogError(f"{path} is no judgment list: it needs queries with ratings") from None
    if not any(gain > 0 for ratings in judgments.values() for gain in ratings.values()):
        raise CatalogError(f"{path} judges no product relevant")
    return judgments


def gains(ratings: Any) -> dict[str, float]:
    if isinstance(ratings, list):
        return {str(rating["docId"]): float(rating["rating"]) for rating in ratings}
    return {str(sku): float(gain) for sku, gain in ratings.items()}


def mean_ndcg(
    judgments: Judgments, queries: NDArray[np.float32], products: NDArray[np.float32], skus: Sequence[str], k: int = 10
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
