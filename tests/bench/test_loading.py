"""What a load costs beside the embedder that it feeds, the second time, and in memory as the catalog grows."""

from __future__ import annotations

import csv
import gzip
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from prodsim.embedder import local
from prodsim.embedder.settings import ServerSettings
from prodsim.loaders.preparing.catalog import load_catalog
from prodsim.loaders.preparing.product import Product
from prodsim.loaders.reading.readers import read_rows
from prodsim.mappings.text import embedding_text
from tests.bench.measure import report, save
from tests.catalog_files import load_file
from tests.conftest import ROOT, open_shop, require_shared
from tests.embedder_proxy import EmbedderProxy

if TYPE_CHECKING:
    from prodsim.plugin.config import Settings

LEAST_SHARE_OF_EMBEDDER = 0.9
LEAST_SPEEDUP = 5
MOST_GROWTH = 1.2
SMALL_ROWS = int(os.environ.get("BENCH_ROWS", "1000000")) // 10
LARGE_ROWS = 10 * SMALL_ROWS
TEXTS = 2000

pytestmark = pytest.mark.timeout(3600)


@pytest.fixture
def forgetful_embedder_url(home: Path, embedder_url: str) -> Iterator[str]:
    """An embedder that keeps no vectors, so that every text of every round is embedded."""
    port = int(embedder_url.rpartition(":")[2]) + 1
    yield local.start(home / "forgetful", ServerSettings(port=port, cache_bytes=0)).running.url
    local.stop(home / "forgetful")


def test_a_load_keeps_up_with_the_embedder_and_the_second_one_does_not_ask_it(
    settings_for: Callable[..., Settings], forgetful_embedder_url: str, tmp_path: Path
) -> None:
    """ESCI-150's first products: the embedder alone over the same texts, sorted by length, then a whole load."""
    source = require_shared("esci150/products.ndjson.gz")
    catalog = ROOT / "examples" / "catalogs" / "esci150.yaml"
    with gzip.open(source, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line, _ in zip(lines, range(TEXTS), strict=False)]
    part = write(tmp_path / "part.ndjson", rows)
    prepared = [load_catalog(catalog).prepare(row.values) for row in read_rows(part)]
    texts = sorted((embedding_text(found.document()) for found in prepared if isinstance(found, Product)), key=len)

    with (
        EmbedderProxy(forgetful_embedder_url) as proxy,
        open_shop(settings_for("bench-load", embedder_url=proxy.url)) as shop,
    ):
        took: dict[str, list[float]] = {"embedder alone": [], "load": []}
        for _ in range(2):
            began = time.perf_counter()
            shop.embedder.embed(texts, "passage", shop.model.name)
            took["embedder alone"].append(time.perf_counter() - began)
            shop.client.indices.delete(index="bench-load-0*", ignore=[404])
            began = time.perf_counter()
            assert load_file(shop, part, catalog).account.embedded == len(texts)
            took["load"].append(time.perf_counter() - began)
        first_s = min(took["load"])
        share = min(took["embedder alone"]) / first_s

        proxy.texts.clear()
        began = time.perf_counter()
        again = load_file(shop, part, catalog).account
        second_s = time.perf_counter() - began
        assert (again.unchanged, again.embedded, proxy.texts) == (len(texts), 0, [])

        priced = random.Random(1).sample(rows, len(rows) // 100)
        for row in priced:
            row["price"] = 12345.67
        changed = load_file(shop, write(tmp_path / "part.ndjson", rows), catalog).account
        assert (changed.embedded, proxy.texts) == (0, [])
        assert changed.indexed == len(priced)

    report(
        f"loading {len(texts)} products of ESCI-150, embedding included, best of 2",
        [
            f"embedder alone {len(texts) / min(took['embedder alone']):6.1f} texts/s",
            f"load           {len(texts) / first_s:6.1f} products/s",
            f"load / embedder alone: {share:.2f} (at least {LEAST_SHARE_OF_EMBEDDER})",
            f"second load    {second_s:.1f} s: {first_s / second_s:.0f} times as fast, 0 embedder calls",
            f"1 % of the prices changed: {changed.indexed} products written, 0 embedder calls",
        ],
    )
    save("loading", {"products": len(texts), "seconds": took, "share": share, "second_s": second_s})
    assert share >= LEAST_SHARE_OF_EMBEDDER
    assert first_s / second_s >= LEAST_SPEEDUP


def write(path: Path, rows: list[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def fake_embedder_url(home: Path, embedder_url: str) -> Iterator[str]:
    """An embedder of vectors of length 8 that needs no model."""
    port = int(embedder_url.rpartition(":")[2]) + 1
    yield local.start(home / "fake", ServerSettings(model="fake-8", port=port)).running.url
    local.stop(home / "fake")


def test_memory_does_not_grow_with_the_catalog(
    settings_for: Callable[..., Settings], fake_embedder_url: str, tmp_path: Path
) -> None:
    peaks_mib = {}
    for rows in (SMALL_ROWS, LARGE_ROWS):
        settings = settings_for(f"bench-{rows}", embedder_url=fake_embedder_url)
        path = tmp_path / f"{rows}.csv"
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["sku", "title", "brand", "category", "price", "stock", "description"])
            for number in range(rows):
                writer.writerow(
                    [f"sku-{number}", f"Lamp no {number}", "Nordhus", "Home > Lamps", 10, 1, "Gives light. " * 8]
                )
        with open_shop(settings):
            peaks_mib[rows] = peak_mib(settings, path)
        path.unlink()
    growth = peaks_mib[LARGE_ROWS] / peaks_mib[SMALL_ROWS]
    report(
        "peak memory of a load, CSV, vectors of length 8",
        [f"{rows:9,} rows {peak:6.0f} MiB" for rows, peak in peaks_mib.items()]
        + [f"ratio {growth:.2f} (at most {MOST_GROWTH})"],
    )
    save("load_memory", {"peaks_mib": {str(rows): peak for rows, peak in peaks_mib.items()}, "ratio": growth})
    assert growth <= MOST_GROWTH


def peak_mib(settings: Settings, path: Path) -> float:
    """The largest resident set of the whole process, in MiB."""
    names = ("alias", "home", "engine_url", "embedder_url")
    environment = {f"PRODSIM_{name.upper()}": str(getattr(settings, name)) for name in names}
    load = subprocess.Popen(
        [str(Path(sys.executable).with_name("prodsim-admin")), "load", str(path), "--json"],
        env={**os.environ, **environment},
        cwd=path.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert load.stdout is not None
    printed = load.stdout.read()
    _, status, usage = os.wait4(load.pid, 0)
    assert status == 0, printed
    assert json.loads(printed)["rejected"] == 0
    return usage.ru_maxrss / 1024
