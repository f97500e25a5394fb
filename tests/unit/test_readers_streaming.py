"""Memory does not grow with the size of a source, and how far it was read is known."""

from __future__ import annotations

import csv
import gzip
import json
import sqlite3
import tracemalloc
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest
import yaml
import zstandard

from prodsim.loaders.reading.readers import ReadOptions, Source, read_rows, size_bytes

FEW = {"yaml": 500}


def products(rows: int) -> Iterator[dict[str, object]]:
    for number in range(rows):
        noise = "".join(sha256(f"{number} {part}".encode()).hexdigest() for part in range(3))
        yield {"sku": f"A{number}", "title": f"Grüner Tee {number}, {noise}", "price": number / 100}


def write_products(path: Path, kind: str, rows: int) -> Path:
    match kind:
        case "csv":
            with path.open("w", newline="") as out:
                table = csv.DictWriter(out, ["sku", "title", "price"])
                table.writeheader()
                table.writerows(products(rows))
        case "cp1252":
            with path.open("w", encoding="cp1252") as out:
                out.write("sku;title\n")
                out.writelines(f"{row['sku']};{row['title']}\n" for row in products(rows))
        case "ndjson":
            path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in products(rows)))
        case "ndjson.gz":
            path.write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in products(rows)).encode(), 1))
        case "ndjson.zst":
            path.write_bytes(zstandard.compress("".join(json.dumps(row) + "\n" for row in products(rows)).encode()))
        case "json":
            path.write_text(json.dumps({"total": rows, "items": list(products(rows))}, ensure_ascii=False))
        case "yaml":
            path.write_text(yaml.dump({"items": list(products(rows))}, Dumper=yaml.CSafeDumper, allow_unicode=True))
        case "parquet":
            pyarrow = pytest.importorskip("pyarrow")
            pyarrow.parquet = pytest.importorskip("pyarrow.parquet")
            table = pyarrow.Table.from_pylist(list(products(rows)))
            pyarrow.parquet.write_table(table, path, row_group_size=2_500, use_dictionary=False)
        case "db":
            pytest.importorskip("sqlalchemy")
            with sqlite3.connect(path) as database:
                database.execute("CREATE TABLE products (sku, title, price)")
                database.executemany("INSERT INTO products VALUES (:sku, :title, :price)", products(rows))
            database.close()
    return path


def opened(path: Path, kind: str) -> Source:
    if kind == "db":
        return read_rows(f"sqlite:///{path}", options=ReadOptions(query="SELECT * FROM products"))
    return read_rows(path, "csv" if kind == "cp1252" else kind.partition(".")[0])


def peak_bytes(path: Path, kind: str, rows: int) -> int:
    write_products(path, kind, rows)
    tracemalloc.start()
    try:
        count = sum(row.problem is None for row in opened(path, kind))
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        assert count == rows


@pytest.mark.parametrize("kind", ["csv", "cp1252", "ndjson", "ndjson.gz", "ndjson.zst", "json", "yaml", "db"])
def test_ten_times_the_rows_take_no_more_memory(tmp_path: Path, kind: str) -> None:
    few = FEW.get(kind, 1_500)
    peak_bytes(tmp_path / "warm", kind, few)  # caches and imports
    small, large = peak_bytes(tmp_path / "small", kind, few), peak_bytes(tmp_path / "large", kind, 10 * few)
    assert large < 1.2 * small + 100_000


def test_ten_times_the_rows_of_parquet_take_no_more_memory(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    pool = pyarrow.default_memory_pool()
    peaks = []
    for rows in (5_000, 50_000):
        path = write_products(tmp_path / f"{rows}.parquet", "parquet", rows)
        before, peak = pool.bytes_allocated(), 0
        for number, _ in enumerate(read_rows(path)):
            if number % 500 == 0:
                peak = max(peak, pool.bytes_allocated() - before)
        peaks.append(peak)
    assert peaks[1] < 1.2 * peaks[0] + 100_000


@pytest.mark.parametrize("kind", ["csv", "ndjson.gz", "json", "yaml", "parquet"])
def test_how_far_a_file_was_read_is_known_in_its_own_bytes(tmp_path: Path, kind: str) -> None:
    path = write_products(tmp_path / "shop", kind, 5_000)
    size = size_bytes(str(path))
    assert size == path.stat().st_size
    source = opened(path, kind)
    seen = [source.position_bytes() or 0 for _ in source]
    assert seen == sorted(seen)
    assert 0 < seen[0] < size / 2
    assert seen[-1] > 0.9 * size
    assert (source.position_bytes() or 0) <= size


def test_a_database_has_no_position(tmp_path: Path) -> None:
    assert opened(write_products(tmp_path / "shop", "db", 3), "db").position_bytes() is None
