"""A first page that is not all one brand: the best hits in an order that spreads them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import TypeVar

from .profile import Diversify

T = TypeVar("T")


def spread(hits: Sequence[T], value_of: Callable[[T], str | None], rule: Diversify) -> list[T]:
    """The same hits, each first place taken by the best that is left whose value has not had its share yet.

    Where none is left, and after the first `places`, the order is the one they came in. Hits without a value are free.
    """
    taken: list[T] = []
    left = list(hits)
    had: Counter[str] = Counter()
    while left and len(taken) < rule.places:
        for place, hit in enumerate(left):
            value = value_of(hit)
            if value is None or had[value] < rule.at_most:
                had[value or ""] += value is not None
                taken.append(left.pop(place))
                break
        else:
            break
    return taken + left
