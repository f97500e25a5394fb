"""Parquet as rows of plain values."""

from __future__ import annotations

import gzip
import math
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path

import pytest

from prodsim.loaders.reading.readers import SourceRow, read_rows
from prodsim.loaders.rejects import RejectsFile
from prodsim.plugin.errors import CatalogError

pa = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")


def write(path: Path, table: object) -> Path:
    parquet.write_table(table, path, row_group_size=2)
    return path


def test_values_come_as_json_would_hold_them(tmp_path: Path) -> None:
    columns = {
        "sku": pa.array(["A1"]),
        "price": pa.array([Decimal("1299.90")], pa.decimal128(12, 2)),
        "whole": pa.array([Decimal("12")], pa.decimal128(20, 0)),
        "exact": pa.array([Decimal("12345678901234567.89")], pa.decimal128(30, 2)),
        "day": pa.array([date(2024, 1, 31)]),
        "at": pa.array([datetime(2024, 1, 31, 12, 30, tzinfo=UTC)], pa.timestamp("us", "UTC")),
        "from": pa.array([time(9, 30)]),
        "tags": pa.array([["a", "b"]]),
        "size": pa.array([{"width": 10, "unit": "cm"}]),
        "names": pa.array([[("de", "Tee")]], pa.map_(pa.string(), pa.string())),
        "kind": pa.array(["tea"]).dictionary_encode(),
        "text": pa.array([b"Gr\xc3\xbcn"]),
        "blob": pa.array([b"\xff\xfe"]),
        "none": pa.nulls(1),
        "ratio": pa.array([0.5]),
        "sold": pa.array([True]),
    }
    (row,) = read_rows(write(tmp_path / "shop.parquet", pa.table(columns)))
    assert row == SourceRow(
        1,
        {
            "sku": "A1",
            "price": 1299.9,
            "whole": 12,
            "exact": "12345678901234567.89",
            "day": "2024-01-31",
            "at": "2024-01-31T12:30:00+00:00",
            "from": "09:30:00",
            "tags": ["a", "b"],
            "size": {"width": 10, "unit": "cm"},
            "names": {"de": "Tee"},
            "kind": "tea",
            "text": "Grün",
            "blob": b"\xff\xfe",
            "none": None,
            "ratio": 0.5,
            "sold": True,
        },
    )


def test_columns_are_named_with_the_parts_of_structs(tmp_path: Path) -> None:
    table = pa.table({"sku": ["A1"], "attributes": [{"color": "red", "size": {"w": 1}}], "tags": [["a"]]})
    source = read_rows(write(tmp_path / "shop.parquet", table))
    assert source.header == ("sku", "attributes.color", "attributes.size.w", "tags")
    with_map = table.append_column("m", pa.array([[("a", "b")]], pa.map_(pa.string(), pa.string())))
    assert read_rows(write(tmp_path / "map.parquet", with_map)).header is None


def test_rows_are_numbered_over_row_groups(tmp_path: Path) -> None:
    path = write(tmp_path / "shop.parquet", pa.table({"sku": [f"A{number}" for number in range(5)]}))
    assert [(row.line, row.values["sku"]) for row in read_rows(path)] == [(n + 1, f"A{n}") for n in range(5)]


def test_a_value_that_no_calendar_has_costs_its_row_only(tmp_path: Path) -> None:
    days = pa.array([19_000, 10_000_000, 19_001], pa.int32()).cast(pa.date32())
    first, far, last = read_rows(write(tmp_path / "shop.parquet", pa.table({"sku": ["1", "2", "3"], "day": days})))
    assert (first.values["sku"], last.values["sku"]) == ("1", "3")
    assert far.values == {}
    assert str(far.problem).startswith("a value can't be read: ")


def test_nanoseconds_and_nan_are_read(tmp_path: Path) -> None:
    at = pa.array([1_706_700_600_123_456_789], pa.timestamp("ns"))
    (row,) = read_rows(write(tmp_path / "shop.parquet", pa.table({"at": at, "price": [math.nan]})))
    assert str(row.values["at"]).startswith("2024-01-31T11:30:00.123456")
    assert math.isnan(row.values["price"])  # type: ignore[arg-type]


def test_a_value_of_50_mb_costs_its_row_only(tmp_path: Path) -> None:
    table = pa.table({"sku": ["1", "2", "3"], "text": ["a", "x" * (50 << 20), "c"]})
    first, long, last = read_rows(write(tmp_path / "shop.parquet", table))
    assert (first.values["sku"], last.values["sku"]) == ("1", "3")
    assert "and a row may have 16 MiB: shorten it" in str(long.problem)


def test_a_packed_parquet_is_read(tmp_path: Path) -> None:
    path = write(tmp_path / "shop.parquet", pa.table({"sku": ["A1"]}))
    (tmp_path / "shop.parquet.gz").write_bytes(gzip.compress(path.read_bytes()))
    assert [row.values for row in read_rows(tmp_path / "shop.parquet.gz")] == [{"sku": "A1"}]


def test_rejected_rows_can_be_written_down(tmp_path: Path) -> None:
    path = write(tmp_path / "shop.parquet", pa.table({"blob": [b"\xff"], "at": [datetime(2024, 1, 1)]}))
    with RejectsFile(tmp_path / "x.rejects.ndjson") as rejects:
        for row in read_rows(path):
            rejects.reject(path, row)
    assert '"at":"2024-01-01T00:00:00"' in (tmp_path / "x.rejects.ndjson").read_text()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda content: b"sku,title\n1,2\n", "is no Parquet file, or is cut off"),
        (lambda content: content[:-30], "is no Parquet file, or is cut off"),
        (lambda content: b"PAR1", "is no Parquet file, or is cut off"),
        (lambda content: b"", "is no Parquet file, or is cut off"),
        (lambda content: content[:4] + bytes(40) + content[44:], "can't be read as Parquet"),
    ],
)
def test_a_damaged_file_is_refused_in_one_line(tmp_path: Path, damage: object, message: str) -> None:
    path = write(tmp_path / "shop.parquet", pa.table({"sku": [f"A{number}" for number in range(9)]}))
    path.write_bytes(damage(path.read_bytes()))  # type: ignore[operator]
    with pytest.raises(CatalogError, match=message) as caught:
        list(read_rows(path))
    assert str(caught.value).startswith(f"{path} ")
    assert "\n" not in str(caught.value)


def test_other_refusals_are_the_same_as_for_text(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match="holds no rows"):
        read_rows(write(tmp_path / "none.parquet", pa.table({"sku": pa.array([], pa.string())})))
    twice = pa.Table.from_arrays([pa.array(["1"]), pa.array(["2"])], ["sku", "sku"])
    with pytest.raises(CatalogError, match=r"names a column twice \('sku'\)"):
        read_rows(write(tmp_path / "twice.parquet", twice))
    with pytest.raises(CatalogError, match="does not exist"):
        read_rows(tmp_path / "gone.parquet")


def test_a_missing_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "shop.parquet", pa.table({"sku": ["A1"]}))
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(CatalogError, match=r"for which pyarrow is missing: pip install 'prodsim\[parquet\]'"):
        read_rows(path)
