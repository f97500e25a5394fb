"""Loading a file the way the command does, for fixtures, tests and benchmarks."""

from __future__ import annotations

import tempfile
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


def no_report(report: Report) -> None:
    """For loads that nobody watches."""


def no_line(line: str) -> None:
    """For loads that nobody watches."""
