"""A shop's nightly export, with everything in it that an export has, and the check that no row of it is lost."""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from prodsim.loaders.embedding import digest_of
from prodsim.loaders.preparing.catalog import load_catalog
from prodsim.loaders.preparing.product import Product
from prodsim.loaders.reading.readers import read_rows
from prodsim.loaders.target import same_product

if TYPE_CHECKING:
    from opensearchpy import OpenSearch

BAD_SHARE = 0.02
DUPLICATE_SHARE = 0.02
THINGS = ("lamp", "chair", "table", "sofa", "desk", "stool", "shelf", "mirror", "rug", "bench")
LOOKS = ("oak", "linen", "brass", "walnut", "velvet", "steel", "rattan", "marble", "wool", "ash")


@dataclass(frozen=True)
class Export:
    """`expected` holds the products by SKU, `bad_lines` the lines that can't be products."""

    path: Path
    rows: int
    expected: Mapping[str, dict[str, Any]]
    bad_lines: frozenset[int]


def write_export(folder: Path, rows: int, seed: int = 1) -> Export:
    """A CSV of products, some rows broken and some SKUs twice; every title is its own."""
    generator = random.Random(seed)
    path = folder / "export.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["sku", "title", "brand", "category", "price", "stock"])
        for number in range(rows):
            chance = generator.random()
            sku = f"sku-{number - 1 if number > 0 and chance > 1 - DUPLICATE_SHARE else number}"
            price = "call us" if chance < BAD_SHARE else f"{generator.uniform(5, 900):.2f}"
            title = f"{generator.choice(LOOKS)} {generator.choice(THINGS)} no {number}"
            writer.writerow([sku, title.capitalize(), "Nordhus", "Home > Living", price, generator.randrange(50)])
    return read_export(path)


def read_export(path: Path) -> Export:
    catalog = load_catalog(None)
    expected: dict[str, dict[str, Any]] = {}
    bad: set[int] = set()
    rows = 0
    for row in read_rows(path):
        rows += 1
        outcome = catalog.prepare(row.values)
        if isinstance(outcome, Product):
            expected[outcome.sku] = outcome.document()
        else:
            bad.add(row.line)
    return Export(path, rows, expected, frozenset(bad))


def check_nothing_lost(client: OpenSearch, alias: str, export: Export, rejects: Path) -> None:
    """ids in source = ids in index ⊎ rejects, and every product is what the source says, vector and all."""
    client.indices.refresh(index=alias)
    stored = {hit["_id"]: hit["_source"] for hit in everything(client, alias)}
    rejected = [json.loads(line) for line in rejects.read_text().splitlines()] if rejects.exists() else []
    assert sorted(stored) == sorted(export.expected)
    assert sorted(record["line"] for record in rejected) == sorted(export.bad_lines)
    for sku, document in export.expected.items():
        found = stored[sku]
        assert same_product(document, found), sku
        assert found["prodsim"]["text_hash"] == digest_of(document), sku
        length = float(np.linalg.norm(found["text_vector_384"]))
        assert abs(length - 1) < 1e-3, sku


def everything(client: OpenSearch, alias: str) -> list[dict[str, Any]]:
    from opensearchpy import helpers

    return list(helpers.scan(client, index=alias, size=500))
