"""What several products stand for together, where the cluster can't compute it itself (`stored.painless` does)."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from prodsim.mappings.bundle import DISLIKED_PULL
from prodsim.mappings.vector_fields import NAME, Kind, of_kind

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PARAMETERS: Mapping[Kind, str] = {"text": "vector", "image": "image_vector", "fused": "fused_vector"}


def pooled(
    liked: Sequence[Mapping[str, Any]], disliked: Sequence[Mapping[str, Any]] = (), decay: float = 1.0
) -> dict[str, Any]:
    """The parameters of a template for stored products: their direction, their groups and their price.

    The first liked product weighs 1, each one after it `decay` times the one before; disliked ones pull the other way.
    """
    import numpy as np

    weighed = [(product, decay**place) for place, product in enumerate(liked)]
    weighed += [(product, -DISLIKED_PULL / len(disliked)) for product in disliked]
    params: dict[str, Any] = {
        "variant_group": [product["variant_group"] for product, _ in weighed if product.get("variant_group")]
    }
    for kind, parameter in PARAMETERS.items():
        found = [
            (field, product[field.name], weight)
            for product, weight in weighed
            for field in of_kind((name for name in product if re.fullmatch(NAME, name)), kind)
        ]
        if liked and found:
            whole = found[0][0].whole
            direction = np.sum([weight * unit(vector) for _, vector, weight in found], axis=0)
            length = float(np.linalg.norm(direction))
            if length > 1e-5:
                most = float(np.max(np.abs(direction)))
                params[parameter] = np.rint(127 * direction / most).tolist() if whole else (direction / length).tolist()
    prices = [(product["price"], weight) for product, weight in weighed if weight > 0 and product.get("price")]
    if prices:
        total = math.fsum(weight for _, weight in prices)
        params["source_price"] = math.exp(math.fsum(weight * math.log(price) for price, weight in prices) / total)
    return params


def unit(vector: Sequence[float]) -> NDArray[np.float64]:
    import numpy as np

    row = np.asarray(vector, np.float64)
    scaled: NDArray[np.float64] = row / np.linalg.norm(row)
    return scaled
