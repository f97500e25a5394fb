"""What becomes of one batch's products in the index, mode by mode."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Literal

import orjson

from prodsim.plugin.errors import EmbedderError

from .account import Outcome
from .batch import Prepared, Reject
from .bulk.writer import BulkWriter, UnwritableDocument, Write, index_write
from .embedding import complete, digest_of
from .preparing.problem import Problem
from .target import BOOKKEEPING, Target, same_product, stored_products, stored_vectors, vector_fits
from .waiting import Waiting

Mode = Literal["upsert", "full", "update", "delete"]

# What a partial update may touch: nothing that vectors or identifiers are made from.
UPDATABLE = ("price", "list_price", "currency", "stock", "rating", "rating_count", "popularity", "margin", "updated_at")

UPDATE_SCRIPT = """
def book = ctx._source.prodsim;
if (book instanceof Map && book.run != null && book.run > params.run) { ctx.op = 'none'; return }
if (!(book instanceof Map)) { ctx._source.prodsim = new HashMap(); }
ctx._source.putAll(params.fields);
ctx._source.prodsim.run = params.run;
""".strip()


@dataclass
class Arrived:
    """How each product of a batch ended, by SKU; `newer` are those of which a later run's version is there."""

    outcomes: dict[str, Outcome] = field(default_factory=dict)
    rejects: list[Reject] = field(default_factory=list)
    superseded: set[str] = field(default_factory=set)
    embedded: int = 0
    pictureless: int = 0


@dataclass(frozen=True)
class Road:
    """What every batch of a run travels with."""

    target: Target
    writer: BulkWriter
    waiting: Waiting
    version: int
    only: tuple[str, ...] = ()

    def version_of(self, product: Prepared) -> int:
        return self.version + product.row.position


Travel = Callable[[Road, Sequence[Prepared], Collection[str]], Arrived]


def upsert(road: Road, products: Sequence[Prepared], again: Collection[str]) -> Arrived:
    """Products as they should be in the index: new, changed and re-embedded where their text changed, or untouched.

    `again` are SKUs that an earlier row of this run has: theirs are written whatever the index holds, because that row
    may still be under way.
    """
    arrived = Arrived()
    target = road.target
    skus = [product.document["sku"] for product in products]
    stored = road.waiting.outlast(lambda: stored_products(target, skus))
    changed: list[Prepared] = []
    keeps_vector: list[str] = []
    for product in products:
        sku = product.document["sku"]
        there = stored.get(sku)
        fits = there is not None and vector_fits(there, target, digest_of(product.document))
        whole = fits and all(leg.fits(there or {}, product.document) for leg in target.legs)
        if whole and there is not None and sku not in again and same_product(product.document, there):
            arrived.outcomes[sku] = "unchanged"
            continue
        changed.append(product)
        if fits or (there is not None and target.legs):
            keeps_vector.append(sku)
    known = road.waiting.outlast(lambda: stored_vectors(target, keeps_vector))
    documents = [product.document for product in changed]
    completed, arrived.embedded = complete(documents, target, known, road.waiting, road.version)
    writes: list[Write] = []
    written: list[Prepared] = []
    for product, document in zip(changed, completed, strict=True):
        if isinstance(document, EmbedderError):
            problem = Problem("", "not_embedded", f"the embedder refuses its text: {document}")
            arrived.rejects.append(Reject(product.row, product.document["sku"], [problem]))
            continue
        try:
            writes.append(index_write(document, road.version_of(product)))
        except UnwritableDocument as error:
            problem = Problem("", error.code, str(error))
            arrived.rejects.append(Reject(product.row, product.document["sku"], [problem]))
            continue
        written.append(product)
    books = (document[BOOKKEEPING] for document in completed if isinstance(document, dict))
    arrived.pictureless = sum(any(name.endswith("_problem") for name in book) for book in books)
    settle(road, written, writes, arrived)
    return arrived


def update(road: Road, products: Sequence[Prepared], again: Collection[str]) -> Arrived:
    """The fields `only` of products that are there, all else as it is; an older run never undoes a newer one's."""
    arrived = Arrived()
    skus = [product.document["sku"] for product in products]
    stored = road.waiting.outlast(lambda: stored_products(road.target, skus))
    writes: list[Write] = []
    written: list[Prepared] = []
    for product in products:
        sku = product.document["sku"]
        fields = {name: value for name, value in product.document.items() if name in road.only}
        there = stored.get(sku)
        if there is None:
            problem = Problem("sku", "unknown_sku", "sku: the catalog has no such product, and an update makes none")
            arrived.rejects.append(Reject(product.row, sku, [problem]))
        elif sku not in again and all(there.get(name) == value for name, value in fields.items()):
            arrived.outcomes[sku] = "unchanged"
        else:
            script = {"source": UPDATE_SCRIPT, "params": {"fields": fields, "run": road.version_of(product)}}
            writes.append(Write("update", sku, orjson.dumps({"script": script})))
            written.append(product)
    settle(road, written, writes, arrived)
    return arrived


def delete(road: Road, products: Sequence[Prepared], again: Collection[str]) -> Arrived:
    """Products out of the index; one that is not there is left unchanged."""
    arrived = Arrived()
    writes = [Write("delete", product.document["sku"], b"", road.version_of(product)) for product in products]
    settle(road, products, writes, arrived)
    return arrived


TRAVEL: dict[Mode, Travel] = {"upsert": upsert, "full": upsert, "update": update, "delete": delete}


def settle(road: Road, products: Sequence[Prepared], writes: Sequence[Write], arrived: Arrived) -> None:
    for product, done in zip(products, road.writer.write(writes), strict=True):
        match done.status:
            case "written" if done.code != "noop":
                arrived.outcomes[done.sku] = "indexed"
            case "written":  # the script found a newer run's figures
                arrived.outcomes[done.sku] = "unchanged"
                arrived.superseded.add(done.sku)
            case "superseded":
                arrived.outcomes[done.sku] = "unchanged"
                arrived.superseded.add(done.sku)
            case "missing":
                arrived.outcomes[done.sku] = "unchanged"
            case "refused":
                problem = Problem("", done.code, f"OpenSearch refuses it: {done.message}")
                arrived.rejects.append(Reject(product.row, done.sku, [problem]))
