"""Looking at a model before a catalog is embedded with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from prodsim.plugin.errors import CheckFailed, EmbedderError, EmbedderNotReady, EmbedderUnreachable

if TYPE_CHECKING:
    from prodsim.embedder.client import EmbedderClient

InputType = Literal["query", "passage"]
Float32 = NDArray[np.float32]
# Of several kinds and lengths; none means what another does.
PROBES = (
    "warm jacket for the mountains",
    "Cast iron frying pan, 28 cm, for induction and open fire",
    "usb-c cable 2 m",
    "children's picture book about the sea",
    "12 W LED bulb E27 2700 K",
    "garden hose with a nozzle",
    "running shoes",
    "A desk with a frame of solid oak, two drawers, and a top that can be raised to 125 cm. " * 3,
)
LENGTH_TOLERANCE = 1e-2  # of vectors that shall have length 1
LEAST_SAME = 0.999  # cosine of one text's vectors, made twice
MOST_ALIKE = 0.9999  # cosine of the vectors of texts that have nothing in common


@dataclass(frozen=True)
class Probe:
    """What a model gave for the probes.

    `lengths` are those of the shortest and the longest vector. `same` is the lowest cosine of a text's vectors, encoded
    twice, alone and among others; `alike` the mean cosine between texts that have nothing in common.
    """

    model: str
    revision: str
    dimension: int
    vectors: str
    lengths: tuple[float, float]
    same: float
    alike: float

    @property
    def stamp(self) -> str:
        return f"{self.model}@{self.revision}"


def probe(embedder: EmbedderClient, name: str) -> Probe:
    """What the model gives for a few texts of a shop.

    Raises:
        CheckFailed: all that is wrong with it, in one line: vectors that are not numbers, zero, not of length 1, all
            the same, or not the same when asked again.
        EmbedderError: the embedder does not serve it, or it takes no texts.
    """
    served = embedder.model(name)
    if "text" not in served.takes:
        raise EmbedderError(f"model {name} takes {' and '.join(served.takes)}: a catalog's text needs a model of texts")
    rows: dict[InputType, Float32] = {}
    problems: list[str] = []
    same = 1.0
    kinds: tuple[InputType, ...] = ("query", "passage")
    try:
        for kind in kinds:
            together, weights = embedder.embed(PROBES, kind, name, fresh=True)
            alone = np.vstack([embedder.embed([text], kind, name, fresh=True)[0] for text in PROBES])
            rows[kind] = together
            if empty := [text for text, weight in zip(PROBES, weights, strict=True) if weight == 0]:
                problems.append(f"its vector of {kind} {empty[0][:40]!r} is zero")
            same = min(same, float(cosines(together, alone).min()))
    except (EmbedderUnreachable, EmbedderNotReady):
        raise
    except EmbedderError as error:
        raise CheckFailed(f"model {name} can't be used: {error}") from None
    found = Probe(
        model=served.id,
        revision=served.revision,
        dimension=served.dimension,
        vectors=served.vectors,
        lengths=spread_of([rows[kind] for kind in kinds]),
        same=round(same, 6),
        alike=round(max(alike(rows[kind]) for kind in kinds), 6),
    )
    problems += problems_of(found)
    if problems:
        raise CheckFailed(f"model {name} can't be used: {'; '.join(problems)}")
    return found


def problems_of(found: Probe) -> list[str]:
    problems = []
    shortest, longest = found.lengths
    if found.vectors == "float32" and (shortest < 1 - LENGTH_TOLERANCE or longest > 1 + LENGTH_TOLERANCE):
        problems.append(f"its vectors have lengths from {shortest:.3f} to {longest:.3f}, not 1")
    if found.same < LEAST_SAME:
        problems.append(f"it gives other vectors for the same text each time (cosine {found.same:.4f})")
    if found.alike > MOST_ALIKE:
        problems.append("it gives the same vector for every text")
    return problems


def cosines(one: Float32, other: Float32) -> Float32:
    """Row by row, float32 (n,)."""
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    found: Float32 = (one * other).sum(axis=1) / np.maximum(lengths, 1e-12)
    return found


def alike(vectors: Float32) -> float:
    """The mean cosine of different rows."""
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    pairs = unit @ unit.T
    count = len(vectors)
    return float((pairs.sum() - np.trace(pairs)) / (count * (count - 1)))


def spread_of(rows: Sequence[Float32]) -> tuple[float, float]:
    lengths = np.linalg.norm(np.vstack(rows), axis=1)
    return round(float(lengths.min()), 6), round(float(lengths.max()), 6)
