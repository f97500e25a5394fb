"""Loading a file the way the command does, for fixtures, tests and benchmarks."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from prodsim.loaders.catalog import load_catalog
from prodsim.loaders.readers import read_rows
from prodsim.loaders.rejects import RejectsFile
from prodsim.plugin import catalogs

if TYPE_CHECKING:
    from prodsim.plugin.catalogs import Outcome, Shop


def load_file(shop: Shop, file: Path, catalog: Path | None = None) -> Outcome:
    with tempfile.TemporaryDirectory() as folder, RejectsFile(Path(folder) / "x.rejects.ndjson") as rejects:
        rows = catalogs.Rows(read_rows(file), load_catalog(catalog), rejects)
        return catalogs.load(shop, rows, lambda account: None)
