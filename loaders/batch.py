"""Rows in batches: the same source gives the same batches again, which is what a checkpoint counts on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from .checkpoint import Duplicate
from .preparing.problem import Problem
from .preparing.product import Product
from .reading.source import SourceRow

BATCH_ROWS = 256
BATCH_CHARACTERS = 8_000_000

Prepare = Callable[[Mapping[str, object]], "Product | list[Problem]"]


class Row(NamedTuple):
    """A row with the name of its source, and its 1-based position among all rows of the run."""

    source: str
    position: int
    content: SourceRow

    @property
    def line(self) -> int:
        return self.content.line


class Prepared(NamedTuple):
    row: Row
    document: dict[str, Any]


class Reject(NamedTuple):
    row: Row
    sku: str | None
    problems: list[Problem]


@dataclass
class Batch:
    """Consecutive rows, each either prepared, rejected, or replaced by a later one of the same SKU."""

    number: int
    read: int = 0
    products: dict[str, Prepared] = field(default_factory=dict)
    rejects: list[Reject] = field(default_factory=list)
    duplicates: list[Duplicate] = field(default_factory=list)


def in_batches(rows: Iterable[Row]) -> Iterator[tuple[int, list[Row]]]:
    """(number, rows): up to BATCH_ROWS rows and about BATCH_CHARACTERS of text each."""
    number = characters = 0
    batch: list[Row] = []
    for row in rows:
        batch.append(row)
        characters += sum(len(value) for value in row.content.values.values() if type(value) is str)
        if len(batch) == BATCH_ROWS or characters >= BATCH_CHARACTERS:
            yield number, batch
            number += 1
            batch, characters = [], 0
    if batch:
        yield number, batch


def prepared(number: int, rows: list[Row], prepare: Prepare, sku_of: Callable[[Mapping[str, object]], Any]) -> Batch:
    """Rows as products or rejects."""
    batch = Batch(number, len(rows))
    for row in rows:
        outcome = prepare(row.content.values) if row.content.problem is None else []
        if not isinstance(outcome, Product):
            sku = sku_of(row.content.values) if row.content.problem is None else None
            batch.rejects.append(Reject(row, sku, outcome))
            continue
        if outcome.sku in batch.products:
            earlier = batch.products.pop(outcome.sku).row
            batch.duplicates.append(Duplicate(outcome.sku, earlier.line, row.line))
        batch.products[outcome.sku] = Prepared(row, outcome.document())
    return batch
