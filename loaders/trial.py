"""A load that sends nothing: every row read and prepared, and what is wrong told."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from .load import Options, catalog_for
from .preparing.catalog import Catalog, checked_rows
from .preparing.product import Product
from .reading.readers import Source

SHOWN_PROBLEMS = 10


@dataclass
class Trial:
    """What a load of these rows would do; `first_problems` are lines for people."""

    read: int = 0
    products: int = 0
    rejected: int = 0
    first_problems: list[str] = field(default_factory=list)


def try_rows(sources: Iterable[Source], catalog: Catalog, options: Options) -> Trial:
    """Reads and prepares every row, and sends nothing.

    Raises:
        CatalogError: a column that the catalog reads is missing, or a source breaks off.
    """
    trial = Trial()
    catalog = catalog_for(catalog, options)
    for source in sources:
        for row in checked_rows(catalog, source):
            trial.read += 1
            outcome = catalog.prepare(row.values) if row.problem is None else []
            if isinstance(outcome, Product):
                trial.products += 1
                continue
            trial.rejected += 1
            if len(trial.first_problems) < SHOWN_PROBLEMS:
                messages = [row.problem] if row.problem else [problem.message for problem in outcome]
                trial.first_problems.append(f"{source.name} line {row.line}: {'; '.join(messages)}")
    return trial
