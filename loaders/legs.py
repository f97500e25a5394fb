"""Further vectors of a product, beside the one of its text: of its picture, and of several parts as one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from prodsim.mappings.bundle import TextModel
from prodsim.mappings.text import embedding_text
from prodsim.plugin.errors import ConfigError, EmbedderError

from .halving import embed_request
from .pictures import picture_of

if TYPE_CHECKING:
    from prodsim.embedder.client import EmbedderClient

    from .waiting import Waiting

Content = str | bytes
Kind = Literal["image", "fused"]
EMBEDDED_TOGETHER = 16
PROBE_IMAGE = (  # 8 by 8 grey pixels
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x08\0\0\0\x08\x08\0\0\0\0\xe1d\xe1W\0\0\0\x0eIDATx\x9cch\x80\x02\x06\xca\x18\0"
    b"\x80\x84 \x01\r\x80$a\0\0\0\0IEND\xaeB`\x82"
)


@dataclass(frozen=True)
class Wanted:
    """What one product's vector is made of. Without parts there is nothing to embed; `problem` says why, if it should.

    `unknown`: whether its picture is the same can't be told here.
    """

    parts: Mapping[str, Content]
    digest: str
    problem: str | None = None
    unknown: bool = False


@dataclass(frozen=True)
class Leg:
    """One further vector: its model, where pictures are, and what a fused one is made of."""

    kind: Kind
    model: TextModel
    folder: Path | None = None
    parts: tuple[str, ...] = ("image",)

    @property
    def vector(self) -> str:
        """Its k-NN field."""
        return self.model.field(self.kind)

    def book(self, digest: str, problem: str | None = None) -> dict[str, str]:
        """What the bookkeeping of a product says of it."""
        said = {f"{self.kind}_model": self.model.stamp, f"{self.kind}_hash": digest}
        return {**said, f"{self.kind}_problem": problem} if problem else said

    def wanted(self, document: Mapping[str, Any]) -> Wanted:
        picture = picture_of(document, self.folder)
        parts = {part: PARTS[part](document, picture) for part in self.parts}
        there = {part: content for part, content in parts.items() if content}
        # a file's digest stands for its bytes
        described = {part: c if isinstance(c, str) else "" for part, c in there.items()} | {" picture": picture.digest}
        digest = hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()
        has_image = "image" in self.parts
        return Wanted(there, digest, picture.problem if has_image else None, picture.unknown and has_image)

    def fits(self, stored: Mapping[str, Any], document: Mapping[str, Any]) -> bool:
        """Whether the stored vector, or its lack, is what this product has by this model."""
        book = stored.get("prodsim") or {}
        if book.get(f"{self.kind}_model") != self.model.stamp:
            return False
        wanted = self.wanted(document)
        return bool(wanted.unknown or book.get(f"{self.kind}_hash") == wanted.digest)


def attributes_text(document: Mapping[str, Any]) -> str:
    """Brand, the last level of the category, and the attributes, one a line."""
    category = document.get("category")
    last = (category or [None])[-1] if isinstance(category, list | None) else category
    named: dict[str, Any] = {"brand": document.get("brand"), "category": last}
    attributes = document.get("attributes")
    named |= attributes if isinstance(attributes, dict) else {}
    lines = (
        f"{name}: {', '.join(map(str, value)) if isinstance(value, list) else value}"
        for name, value in sorted(named.items())
        if value
    )
    return "\n".join(lines)


PARTS: dict[str, Any] = {
    "title": lambda document, picture: document.get("title"),
    "description": lambda document, picture: document.get("description"),
    "attributes": lambda document, picture: attributes_text(document),
    "text": lambda document, picture: embedding_text(document),
    "image": lambda document, picture: picture.content,
}


def check_parts(model: str, parts: Sequence[str]) -> None:
    """Raises ConfigError where a fused model is made of what products do not have."""
    if unknown := [part for part in parts if part not in PARTS]:
        raise ConfigError(
            f"model {model} is made of {', '.join(unknown)}, which products do not have: they have {', '.join(PARTS)}"
        )


def add_leg(
    leg: Leg,
    embedder: EmbedderClient,
    documents: Sequence[dict[str, Any]],
    known: Mapping[str, Mapping[str, Any]],
    waiting: Waiting,
) -> int:
    """Puts the leg's vector and bookkeeping into each document; returns how many had to be embedded.

    A product whose picture can't be had or read goes without: its bookkeeping says why.
    """
    stale: list[tuple[dict[str, Any], Wanted]] = []
    for document in documents:
        stored = known.get(document["sku"], {})
        if leg.fits(stored, document):
            book = stored["prodsim"]
            document["prodsim"] |= {name: value for name, value in book.items() if name.startswith(f"{leg.kind}_")}
            if leg.vector in stored:
                document[leg.vector] = stored[leg.vector]
            continue
        stale.append((document, leg.wanted(document)))
    embeddable = [(document, wanted) for document, wanted in stale if wanted.parts]
    for document, wanted in stale:
        if not wanted.parts:
            document["prodsim"] |= leg.book(wanted.digest, wanted.problem)
    for start in range(0, len(embeddable), EMBEDDED_TOGETHER):
        waiting.pause(0)
        some = embeddable[start : start + EMBEDDED_TOGETHER]
        vectors = vectors_of(leg, embedder, [wanted.parts for _, wanted in some], waiting)
        for (document, wanted), vector in zip(some, vectors, strict=True):
            settle(leg, document, wanted, vector)
    return len(embeddable)


def vectors_of(
    leg: Leg, embedder: EmbedderClient, products: Sequence[Mapping[str, Content]], waiting: Waiting
) -> list[tuple[Any, str | None]]:
    """A vector or None for each, and what was wrong with its picture."""

    def call(some: list[Any]) -> list[Any]:
        name = leg.model.name
        if leg.kind == "image":
            vectors, weights = embedder.embed_images([one["image"] for one in some], "passage", name)
        else:
            vectors, weights = embedder.embed_products(some, "passage", name)
        return [vector if weight > 0 else None for vector, weight in zip(vectors, weights, strict=True)]

    probe = {"image": PROBE_IMAGE} if leg.kind == "image" else {part: "a" for part in leg.parts if part != "image"}
    found = []
    outcomes = embed_request(call, list(products), waiting, probe)
    for product, outcome in zip(products, outcomes, strict=True):
        problem = None
        if isinstance(outcome, EmbedderError):
            problem = str(outcome)
            rest = {part: content for part, content in product.items() if part != "image"}
            again = embed_request(call, [rest], waiting, probe)[0] if rest and "image" in product else None
            outcome = None if isinstance(again, EmbedderError) else again
        found.append((outcome, problem))
    return found


def settle(leg: Leg, document: dict[str, Any], wanted: Wanted, vector: tuple[Any, str | None]) -> None:
    row, problem = vector
    if row is not None:
        document[leg.vector] = row.astype(np.int8).tolist() if leg.model.vectors == "int8" else row
    # a URL may answer tomorrow; a damaged file stays damaged
    lasting = problem is None or isinstance(wanted.parts.get("image"), bytes)
    document["prodsim"] |= leg.book(wanted.digest if lasting else "", problem or wanted.problem)
