"""Loading a file the way the command does, for fixtures, tests and benchmarks."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prodsim.loaders.load import Report
from prodsim.loaders.preparing.catalog import load_catalog
from prodsim.loaders.request import Request
from prodsim.plugin.loads import load

if TYPE_CHECKING:
    from prodsim.plugin.loads import Outcome
    from prodsim.plugin.shop import Shop


def load_file(shop: Shop, file: Path, catalog: Path | None = None, **others: Any) -> Outcome:
    with tempfile.TemporaryDirectory() as folder:
        request = Request([str(file)], load_catalog(catalog), Path(folder) / "x.rejects.ndjson")
        return load(shop, replace(request, **others), no_report, no_line)


def load_products(shop: Shop, products: Sequence[Mapping[str, Any]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "products.ndjson"
        file.write_text("".join(json.dumps(product) + "\n" for product in products))
        load_file(shop, file)


def no_report(report: Report) -> None:
    """For loads that nobody watches."""


def no_line(line: str) -> None:
    """For loads that nobody watches."""
