"""What a product's own words say about it: model numbers, trade item numbers and measures for ranking to match."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Literal

from .gtin import find_gtins, normal_gtin
from .identifiers import find_identifiers, is_code, normal_identifier
from .measures import find_measures
from .vocabulary import words

if TYPE_CHECKING:
    from .product import Product

READ_CHARACTERS = 2_000  # of a description
PART_NAMES = words("part_attributes")
MODEL_NAMES = words("model_attributes")
GTIN_NAMES = words("gtin_attributes")


def derived(product: Product) -> dict[str, object]:
    """`identifiers`, `gtin` and `measures` as they are to be: the declared ones first, then those found.

    A value that is found twice counts once. An attribute that is named as a maker's number ("mpn", "EAN") is taken
    whole; in all others the same is looked for as in the title.
    """
    description = product.description[:READ_CHARACTERS] if product.description else ""
    title = product.title
    identifiers = list(product.identifiers)
    gtins = list(product.gtin)
    measures = list(product.measures)
    for text in (title, description):
        identifiers += find_identifiers(text)
        gtins += find_gtins(text)
        measures += find_measures(text)
    for name, value in product.attributes.items():
        texts = value if isinstance(value, list) else [value]
        for text in texts[:20]:
            if len(text) > 200:
                continue
            measures += find_measures(text)
            match kind_of_name(name):
                case "part":
                    identifiers += [code] if is_code(code := normal_identifier(text)) else []
                case "model":
                    identifiers += find_identifiers(text)
                case "gtin":
                    gtins += [number] if (number := normal_gtin(text)) else []
    update: dict[str, object] = {}
    for field, found, declared in (
        ("identifiers", identifiers, product.identifiers),
        ("gtin", gtins, product.gtin),
        ("measures", measures, product.measures),
    ):
        if len(found) > len(declared):
            update[field] = list(dict.fromkeys(found))
    return update


@lru_cache(maxsize=4096)
def kind_of_name(name: str) -> Literal["part", "model", "gtin"] | None:
    """What an attribute of this name holds, whatever its case and punctuation."""
    plain = "".join(letter for letter in name.casefold() if letter.isalnum()).replace("è", "e")
    if plain in PART_NAMES:
        return "part"
    return "model" if plain in MODEL_NAMES else "gtin" if plain in GTIN_NAMES else None
