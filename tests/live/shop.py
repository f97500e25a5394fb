"""A catalog for live tests: as many products as one likes, of few texts, so that embedding them is quick."""

from __future__ import annotations

import random
from typing import Any

LOOKS = ("oak", "linen", "brass", "walnut", "velvet", "steel", "rattan", "marble", "wool", "ash", "cork", "slate")
THINGS = ("lamp", "chair", "table", "sofa", "desk", "stool", "shelf", "mirror", "rug", "bench", "vase", "tray")
COLOURS = ("black", "white", "green", "amber", "navy", "cream", "coral", "olive", "sand", "plum")
ANCHORS = 20  # products that no writer touches: whatever happens, searches find them


def text(chance: random.Random) -> str:
    return f"{chance.choice(LOOKS)} {chance.choice(THINGS)} in {chance.choice(COLOURS)}".capitalize()


def product(chance: random.Random) -> dict[str, Any]:
    """A service's document, without the bookkeeping of any search."""
    return {
        "title": text(chance),
        "brand": "Nordhus",
        "category": ["Home", "Home > Living"],
        "price": round(chance.uniform(5, 900), 2),
        "stock": chance.randrange(1, 50),
    }


def catalog(size: int, seed: int) -> dict[str, dict[str, Any]]:
    """SKU to product; the first ANCHORS of them are called anchor-N."""
    chance = random.Random(seed)
    names = [f"anchor-{number}" if number < ANCHORS else f"sku-{number}" for number in range(size)]
    return {name: product(chance) for name in names}
