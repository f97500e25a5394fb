"""A document of one index as another holds it: the same, but for vectors of another model or another text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from prodsim.loaders.embedding import embed
from prodsim.loaders.legs import add_leg
from prodsim.loaders.target import BOOKKEEPING, Document, Target, vector_fits
from prodsim.loaders.waiting import Waiting
from prodsim.mappings.text import embedding_text, text_hash
from prodsim.mappings.vector_fields import FUSED_VECTORS, IMAGE_VECTORS, TEXT_VECTORS, VECTOR_PREFIXES
from prodsim.plugin.errors import EmbedderError

from .changes import Changed


@dataclass(frozen=True)
class Fitted:
    """Documents in the order that they were given in, how many had to be embedded, and how many can't be."""

    documents: list[Document]
    embedded: int
    unembedded: int


def fits(source: Document, target: Target, mapped: frozenset[str]) -> bool:
    """Whether the document can be taken over as it is. `mapped` are the vector fields of the target."""
    text = text_of(source)
    if text is None:  # nothing to embed, so nothing to hold
        right = not any(name.startswith(TEXT_VECTORS) for name in source)
    else:
        right = vector_fits(source, target, text_hash(text)) and target.vector in source
    vectors = (name for name in source if name.startswith(VECTOR_PREFIXES))
    return right and mapped.issuperset(vectors) and all(leg.fits(source, source) for leg in target.legs)


def fitted(changed: Sequence[Changed], target: Target, mapped: frozenset[str], waiting: Waiting) -> Fitted:
    """The documents for the target. The embedder is asked only for those whose model or text is not the target's.

    Raises:
        EmbedderUnreachable, EmbedderNotReady: for longer than is waited. EmbedderError: it refuses everything.
    """
    documents = [one.source for one in changed]
    stale = [place for place, document in enumerate(documents) if not fits(document, target, mapped)]
    embedded = unembedded = 0
    to_embed: list[int] = []
    for place in stale:
        documents[place] = without_foreign_vectors(documents[place], target, mapped)
        document = documents[place]
        text = text_of(document)
        if text is None:
            document.pop(target.vector, None)
            continue
        if vector_fits(document, target, text_hash(text)) and target.vector in document:
            continue
        to_embed.append(place)
    texts = [text_of(documents[place]) or "" for place in to_embed]
    for place, text, vector in zip(to_embed, texts, embed(target, texts, waiting), strict=True):
        if isinstance(vector, EmbedderError):
            unembedded += 1
            documents[place] = without_text_vector(documents[place], target)
            continue
        embedded += 1
        book = {**book_of(documents[place]), "model": target.model.stamp, "text_hash": text_hash(text)}
        documents[place] = {**documents[place], target.vector: vector, BOOKKEEPING: book}
    embedded += with_legs([(changed[place].sku, documents[place]) for place in stale], target, waiting)
    return Fitted(documents, embedded, unembedded)


def fitted_without_embedding(
    changed: Sequence[Changed], target: Target, mapped: frozenset[str], waiting: Waiting
) -> Fitted:
    """The documents for the target; those whose vectors are not its own come without."""
    documents = [
        one.source
        if fits(one.source, target, mapped)
        else {name: value for name, value in one.source.items() if not name.startswith(VECTOR_PREFIXES)}
        for one in changed
    ]
    return Fitted(documents, 0, 0)


def with_legs(stale: Sequence[tuple[str, Document]], target: Target, waiting: Waiting) -> int:
    """Further vectors for those whose own are not the target's; how many were embedded."""
    if not target.legs:
        return 0
    known = {sku: {**document} for sku, document in stale}
    named = [document for sku, document in stale if document.get("sku") == sku]
    for document in named:
        document[BOOKKEEPING] = dict(book_of(document))
    return sum(add_leg(leg, target.embedder, named, known, waiting) for leg in target.legs)


def without_foreign_vectors(document: Document, target: Target, mapped: frozenset[str]) -> Document:
    kept = {
        name: value
        for name, value in document.items()
        if not (name.startswith(TEXT_VECTORS) and name != target.vector)
        and not (name.startswith((IMAGE_VECTORS, FUSED_VECTORS)) and name not in mapped)
    }
    return kept


def without_text_vector(document: Document, target: Target) -> Document:
    """As the index's own ingest pipeline leaves a product that can't be embedded."""
    book = {name: value for name, value in book_of(document).items() if name not in ("model", "text_hash")}
    return {**{name: value for name, value in document.items() if name != target.vector}, BOOKKEEPING: book}


def book_of(document: Document) -> dict[str, Any]:
    book = document.get(BOOKKEEPING)
    return book if isinstance(book, dict) else {}


def text_of(document: Document) -> str | None:
    """What is embedded; None where that is nothing, or no text that UTF-8 can hold."""
    text = embedding_text(document)
    try:
        text.encode()
    except UnicodeEncodeError:
        return None
    return text or None
