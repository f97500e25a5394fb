"""From rows to products in an index, with an account that adds up."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from prodsim.mappings.bundle import TextModel, text_vector_field
from prodsim.mappings.text import embedding_text, text_hash
from prodsim.plugin.client import engine_errors

from .catalog import Catalog, checked_rows
from .problem import Problem
from .product import Product, to_product
from .readers import Source
from .rejects import RejectsFile
from .source import SourceRow
from .writer import write_products

if TYPE_CHECKING:
    from opensearchpy import OpenSearch

    from prodsim.embedder.client import EmbedderClient

BATCH_ROWS = 512
EMBEDDED_TOGETHER = 64  # a request stays well below the embedder's time limit, on two busy cores too
SHOWN_PROBLEMS = 10
TEXT_VECTORS = "text_vector_"


@dataclass
class Account:
    """Where every row went: read = indexed + unchanged + rejected + duplicates.

    `duplicates` are rows that a later row with the same SKU replaced. Of the indexed ones `embedded` got a new vector,
    the others kept theirs.
    """

    read: int = 0
    indexed: int = 0
    unchanged: int = 0
    rejected: int = 0
    duplicates: int = 0
    embedded: int = 0

    @property
    def adds_up(self) -> bool:
        return self.read == self.indexed + self.unchanged + self.rejected + self.duplicates


@dataclass(frozen=True)
class Target:
    """Where products go, and the model that they are embedded with."""

    client: OpenSearch
    index: str
    embedder: EmbedderClient
    model: TextModel

    @property
    def vector(self) -> str:
        return text_vector_field(self.model.dimension)


def load_rows(
    source: Source,
    catalog: Catalog,
    target: Target,
    rejects: RejectsFile,
    progress: Callable[[Account], None] = lambda account: None,
) -> Account:
    """Loads rows in order; the last row of a SKU wins. Only new or changed texts are embedded.

    Raises:
        CatalogError: a column that the catalog reads is missing, or the source breaks off.
        EmbedderError: no vectors to be had.
        EngineError: the engine does not take writes.

    What was indexed until then stays, and loading again does not embed it twice.
    """
    account = Account()
    seen: dict[str, bool] = {}  # SKU: was its last row written (True) or found unchanged (False)
    rows = checked_rows(catalog, source)
    while batch := list(islice(rows, BATCH_ROWS)):
        load_batch(batch, source.path, catalog, target, rejects, account, seen)
        rejects.flush()
        progress(account)
    return account


def load_batch(
    batch: list[SourceRow],
    path: Path,
    catalog: Catalog,
    target: Target,
    rejects: RejectsFile,
    account: Account,
    seen: dict[str, bool],
) -> None:
    products: dict[str, tuple[SourceRow, dict[str, Any]]] = {}
    for row in batch:
        account.read += 1
        values = catalog.product_values(row.values)
        outcome = to_product(values) if row.problem is None else []
        if not isinstance(outcome, Product):
            rejects.reject(path, row, outcome, values.get("sku"))
            account.rejected += 1
            continue
        if outcome.sku in products:
            account.duplicates += 1
        products[outcome.sku] = (row, outcome.document())
    for sku in products.keys() & seen.keys():  # the earlier row is the duplicate, wherever it went
        account.duplicates += 1
        if seen.pop(sku):
            account.indexed -= 1
        else:
            account.unchanged -= 1
    known = stored_products(target, list(products))
    documents, embedded = complete([document for _, document in products.values()], target, known)
    changed = [document for document in documents if not unchanged(document, known.get(document["sku"], {}), target)]
    written = {document["sku"] for document in changed}
    for refusal in write_products(target.client, target.index, changed):
        row = products[refusal.sku][0]
        problem = Problem("", refusal.code, f"OpenSearch refuses it: {refusal.message}")
        rejects.reject(path, row, [problem], refusal.sku)
        account.rejected += 1
        written.remove(refusal.sku)
        del products[refusal.sku]
    account.indexed += len(written)
    account.unchanged += len(products) - len(written)
    account.embedded += embedded
    seen.update((sku, sku in written) for sku in products)


def complete(
    documents: list[dict[str, Any]], target: Target, known: Mapping[str, Mapping[str, Any]]
) -> tuple[list[dict[str, Any]], int]:
    """The documents with vectors and bookkeeping, and how many had to be embedded.

    `known` holds stored products by SKU, whose vectors are taken over where model and text are the same.
    """
    texts = [embedding_text(document) for document in documents]
    hashes = [text_hash(text) for text in texts]
    stale = [
        position
        for position, document in enumerate(documents)
        if not has_vector(known.get(document["sku"], {}), target, hashes[position])
    ]
    made = dict(zip(stale, embed(target, [texts[position] for position in stale]), strict=True))
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    completed = []
    for position, document in enumerate(documents):
        vector = made[position] if position in made else known[document["sku"]][target.vector]
        book = {"model": target.model.stamp, "text_hash": hashes[position], "loaded_at": now}
        plain = {name: value for name, value in document.items() if not name.startswith(TEXT_VECTORS)}
        completed.append({**plain, target.vector: vector, "prodsim": book})
    return completed, len(stale)


@dataclass
class Check:
    """What a load of these rows would do; `first_problems` are lines for people."""

    read: int = 0
    products: int = 0
    rejected: int = 0
    first_problems: list[str] = field(default_factory=list)


def check_rows(source: Source, catalog: Catalog) -> Check:
    """Reads and checks every row, and sends nothing.

    Raises:
        CatalogError: a column that the catalog reads is missing, or the source breaks off.
    """
    report = Check()
    for row in checked_rows(catalog, source):
        report.read += 1
        outcome = to_product(catalog.product_values(row.values)) if row.problem is None else []
        if isinstance(outcome, Product):
            report.products += 1
            continue
        report.rejected += 1
        if len(report.first_problems) < SHOWN_PROBLEMS:
            messages = [row.problem] if row.problem else [problem.message for problem in outcome]
            report.first_problems.append(f"line {row.line}: {'; '.join(messages)}")
    return report


def embed(target: Target, texts: list[str]) -> Iterator[np.ndarray[Any, np.dtype[np.float32]]]:
    for start in range(0, len(texts), EMBEDDED_TOGETHER):
        together = texts[start : start + EMBEDDED_TOGETHER]
        yield from target.embedder.embed(together, input_type="passage", model=target.model.name)[0]


def stored_products(target: Target, skus: list[str]) -> dict[str, dict[str, Any]]:
    if not skus:
        return {}
    with engine_errors(f"reading products of {target.index}"):
        answer = target.client.mget(index=target.index, body={"ids": skus})
    return {found["_id"]: found["_source"] for found in answer["docs"] if found.get("found")}


def has_vector(stored: Mapping[str, Any], target: Target, digest: str) -> bool:
    """Whether the stored vector was made from this text by this model."""
    book = stored.get("prodsim") or {}
    return (
        stored.get(target.vector) is not None
        and book.get("model") == target.model.stamp
        and book.get("text_hash") == digest
    )


def unchanged(document: Mapping[str, Any], stored: Mapping[str, Any], target: Target) -> bool:
    """Whether the index holds this product already, vector and all; the time of loading does not count."""
    if stored.get("prodsim", {}).get("text_hash") != document["prodsim"]["text_hash"]:
        return False
    if stored["prodsim"].get("model") != target.model.stamp:
        return False
    ignored = {"prodsim", target.vector}
    return stored.get(target.vector) is document[target.vector] and (
        {name: value for name, value in stored.items() if name not in ignored}
        == {name: value for name, value in document.items() if name not in ignored}
    )
