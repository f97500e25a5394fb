"""The k-NN fields of product indexes: what they are called, and what the engine's score says of two vectors."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Kind = Literal["text", "image", "fused"]
KINDS: tuple[Kind, ...] = ("text", "image", "fused")
NAME = r"(text|image|fused)_vector_(\d+)(_int8)?"
VECTOR_PREFIXES = TEXT_VECTORS, IMAGE_VECTORS, FUSED_VECTORS = tuple(
    f"{kind}_vector_" for kind in KINDS
)  # of their names
EVERY_VECTOR = tuple(f"{prefix}*" for prefix in VECTOR_PREFIXES)  # as `_source` filters have it
WHOLE = "int8"


@dataclass(frozen=True)
class VectorField:
    """A k-NN field for vectors of a kind, of that length, as float32 or int8 (whole numbers from -127 to 127).

    Its name says all three, so that one stored template serves indexes of different models: it carries a leg for each
    field, and the engine drops the legs whose field an index does not have (`ignore_unmapped`).

    Float vectors have length 1, so that their inner product is their cosine, for a third of the arithmetic. Vectors of
    whole numbers have any length, and are compared by cosine.
    """

    kind: Kind
    dimension: int
    vectors: str = "float32"

    @classmethod
    def parse(cls, name: str) -> VectorField:
        """Raises ValueError for a name that is none of a k-NN field."""
        found = re.fullmatch(NAME, name)
        if found is None:
            raise ValueError(f"{name!r} is no k-NN field of prodsim's")
        return cls(next(kind for kind in KINDS if kind == found[1]), int(found[2]), WHOLE if found[3] else "float32")

    @property
    def name(self) -> str:
        return f"{self.kind}_vector_{self.dimension}{'_int8' if self.whole else ''}"

    @property
    def whole(self) -> bool:
        return self.vectors == WHOLE

    @property
    def space(self) -> str:
        return "cosinesimil" if self.whole else "innerproduct"

    @property
    def score_of_cosine(self) -> int:
        """The engine's score is (1 + cosine) / this, for cosines of 0 or more; below that it is less than 1 / this."""
        return 2 if self.whole else 1


def of_kind(names: Iterable[str], kind: Kind) -> list[VectorField]:
    """Those of the k-NN fields that are of that kind, in their order."""
    return [field for field in map(VectorField.parse, names) if field.kind == kind]
