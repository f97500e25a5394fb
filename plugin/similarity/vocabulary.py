"""How alike two products are, in four words: cosine, Euclidean, Jaccard, price distance."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def cosine(one: Floats, other: Floats) -> float:
    """The cosine of the angle between two vectors, from -1 to 1: 1 where they point the same way."""
    return float(one @ other / (np.linalg.norm(one) * np.linalg.norm(other)))


def euclidean(one: Floats, other: Floats) -> float:
    """The distance of two vectors at length 1, from 0 to 2: the square root of 2 - 2 cosine."""
    return float(np.linalg.norm(one / np.linalg.norm(one) - other / np.linalg.norm(other)))


def jaccard(one: Collection[str], other: Collection[str]) -> float | None:
    """Intersection over union, from 0 to 1; None where neither has anything to share."""
    union = set(one) | set(other)
    return len(set(one) & set(other)) / len(union) if union else None


def price_distance(one: float | None, other: float | None) -> float | None:
    """|ln(a / b)|: 0 for the same price, 0.69 for twice as much; None without two prices above 0."""
    if not one or not other or one <= 0 or other <= 0:
        return None
    return abs(math.log(one / other))


def tokens(product: Mapping[str, Any]) -> frozenset[str]:
    """What Jaccard compares: tags, brand, the last category and attributes with their names, in small letters."""
    found = [f"tag:{tag}" for tag in listed(product.get("tags"))]
    found += [f"brand:{brand}" for brand in listed(product.get("brand"))[:1]]
    found += [f"category:{category}" for category in listed(product.get("category"))[-1:]]
    found += [
        f"{name}:{value}" for name, values in (product.get("attributes") or {}).items() for value in listed(values)
    ]
    return frozenset(token.lower() for token in found)


def listed(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]
