"""Files as shops hand them over: each row is loaded, or rejected for a reason that a shop person understands."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from prodsim.loaders.reading.readers import FORMATS, ReadOptions, read_rows
from prodsim.plugin.errors import CatalogError

MIB = 1 << 20
LONG_CELL = "x" * (50 * MIB)


class Dirty(NamedTuple):
    """A file and what becomes of each row: its SKU, or after "no: " a part of the reason why it is rejected."""

    name: str
    content: bytes
    rows: list[str]
    options: ReadOptions = ReadOptions()


def utf8(*lines: str) -> bytes:
    return "\n".join(lines).encode() + b"\n"


LOADED = {
    "UTF-8 with a byte order mark": Dirty("a.csv", b"\xef\xbb\xbf" + utf8("sku,title", "1,Grün"), ["1"]),
    "UTF-16 as Excel's Unicode text": Dirty("a.tsv", "sku\ttitle\n1\tGrün\n".encode("utf-16"), ["1"]),
    "UTF-16 big-endian": Dirty("a.csv", b"\xfe\xff" + "sku,title\n1,Grün\n".encode("utf-16-be"), ["1"]),
    "UTF-16 without a mark": Dirty("a.csv", "sku,title\n1,Grün\n2,Red\n".encode("utf-16-le"), ["1", "2"]),
    "UTF-32": Dirty("a.csv", "sku,title\n1,Grün\n".encode("utf-32"), ["1"]),
    "Windows-1252": Dirty("a.csv", "sku;title\n1;Größe 5 €\n2;Öl\n".encode("cp1252"), ["1", "2"]),
    "Excel's separator line": Dirty("a.csv", utf8("sep=;", "sku;title", "1;a, b"), ["1"]),
    "a few bad bytes in UTF-8": Dirty(
        "a.csv",
        utf8("sku,title", "1,Grün") + b"2,caf\xff\xe9\n" + utf8("3,Öl"),
        ["1", r"no: not UTF-8 near '2 caf\xff\xe9': correct these characters, or name the file's encoding", "3"],
    ),
    "a name cut within a character": Dirty("a.csv", b"sku,title\n1,caf\xc3\n2,Boot\n", ["no: not UTF-8 near", "2"]),
    "bad bytes in a quoted cell of two lines": Dirty(
        "a.csv", utf8("sku,title", "1,Grün") + b'2,"a\nb\xff"\n3,c\n', ["1", "no: not UTF-8 near '2 a b", "3"]
    ),
    "bad bytes in NDJSON": Dirty(
        "a.ndjson", utf8('{"sku": "1", "t": "ü"}') + b'{"sku": "2", "t": "\xff"}\n', ["1", "no: not UTF-8 near"]
    ),
    "bad bytes in JSON": Dirty(
        "a.json",
        '[{"sku": "1", "t": "ü"},'.encode() + b'{"sku": "\xff"}, {"sku": "3"}]',
        ["1", "no: not UTF-8 near", "3"],
    ),
    "bad bytes in YAML": Dirty(
        "a.yaml", utf8("- {sku: 1, t: ü}") + b"- {sku: \xff}\n- {sku: 3}\n", ["1", "no: not UTF-8, or a control", "3"]
    ),
    "a byte that Windows-1252 lacks": Dirty(
        "a.csv",
        "sku;title\n1;Größe\n2;Möbel\n3;Tür\n".encode("cp1252") + b"4;\x81\n",
        ["1", "2", "3", "no: not windows-1252 near"],
        ReadOptions(encoding="windows-1252"),
    ),
    "NUL bytes in a cell": Dirty("a.csv", b"sku,title\n1,a\x00b\n2,c\n", ["1", "2"]),
    "NUL bytes in YAML": Dirty("a.yaml", b"- sku: 1\x00\n- sku: 2\n", ["no: a control character", "2"]),
    "a row with too many cells": Dirty("a.csv", utf8("sku,title", "1,a,b", "2,c"), ["no: 3 cells under 2", "2"]),
    "rows with too few cells": Dirty("a.csv", utf8("sku,title,price", "1", "2,b"), ["1", "2"]),
    "blank rows and rows of delimiters": Dirty("a.csv", utf8("sku,title", "", " , ", "1,a", ",,,"), ["1"]),
    "columns without a name": Dirty("a.csv", utf8(",sku,", "0,1,x", "1,2,"), ["1", "2"]),
    "blanks around column names": Dirty("a.csv", utf8(' sku ," title"', "1,a"), ["1"]),
    "a quote that is never closed": Dirty(
        "a.csv", utf8("sku,title", '1,"a', "2,b", "3,c"), ['no: a quote (") is opened and not closed', "2", "3"]
    ),
    "quotes inside a quoted cell": Dirty(
        "a.csv", utf8("sku,title", '1,"12" screen"', "2,b"), ['no: double the quotes inside it ("")', "2"]
    ),
    "inches outside quotes": Dirty("a.csv", utf8("sku,title", '1,12" screen', "2,b"), ["1", "2"]),
    "quotes escaped by a backslash": Dirty(
        "a.csv", utf8("sku,title", r'1,"12\" screen"', r'2,"a, \"b\", c"', "3,d"), ["1", "2", "3"]
    ),
    "cells in apostrophes": Dirty("a.csv", utf8("'sku','title'", "'1','a,b'", "'2','c'"), ["1", "2"]),
    "old Mac line ends": Dirty("a.csv", b"sku,title\r1,a\r2,b\r", ["1", "2"]),
    "mixed line ends": Dirty("a.csv", b"sku,title\r\n1,a\n2,b\r\n", ["1", "2"]),
    "a cell of 50 MB": Dirty(
        "a.csv", utf8("sku,title", "1,a", f"2,{LONG_CELL}", "3,c"), ["1", "no: the line has 52,428,803 bytes", "3"]
    ),
    "a quoted cell of 50 MB": Dirty(
        "a.csv",
        utf8("sku,title", "1,a", f'2,"{LONG_CELL}"', "3,c"),
        ["1", "no: a row may have 16 MiB: shorten", "3"],
    ),
    "a cell of 15 MB": Dirty("a.csv", utf8("sku,title", "1," + LONG_CELL[: 15 * MIB], "2,c"), ["1", "2"]),
    "a JSON line of 50 MB": Dirty(
        "a.ndjson", utf8('{"sku": "1"}', f'{{"t": "{LONG_CELL}"}}', '{"sku": "3"}'), ["1", "no: the line has", "3"]
    ),
    "a JSON item of 50 MB": Dirty(
        "a.json", utf8('[{"sku": "1"},', f'{{"t": "{LONG_CELL}"}},', '{"sku": "3"}]'), ["1", "no: the item has", "3"]
    ),
    "a JSON item of many small parts": Dirty(
        "a.json",
        utf8('[{"sku": "1"}, {"t": [', ",".join(['{"a": "' + "b" * 900 + '\\"]"}'] * 19_000), ']}, {"sku": "3"}]'),
        ["1", "no: the item has", "3"],
    ),
    "a YAML item of 20 MB": Dirty(
        "a.yaml", utf8("- sku: 1", f"- t: {LONG_CELL[: 20 * MIB]}", "- sku: 3"), ["1", "no: the item has", "3"]
    ),
    "a broken JSON line": Dirty("a.ndjson", utf8('{"sku": 1,}', '{"sku": "2"}'), ["no: not valid JSON at column", "2"]),
    "single quotes in JSON": Dirty("a.ndjson", utf8("{'sku': 1}", '{"sku": "2"}'), ["no: not valid JSON at", "2"]),
    "JSON lines that are no objects": Dirty(
        "a.ndjson",
        utf8("[1]", '"x"', '{"sku": "3"}'),
        ["no: a list, where an", "no: text, where an", "3"],
    ),
    "gzip that is called CSV": Dirty("a.csv", gzip.compress(utf8("sku,title", "1,a")), ["1"]),
    "zstd that is called CSV": Dirty("a.csv", zstandard.compress(utf8("sku,title", "1,Grün")), ["1"]),
    "zstd of several frames": Dirty(
        "a.csv.zst", zstandard.compress(utf8("sku,title", "1,a")) + zstandard.compress(utf8("2,b")), ["1", "2"]
    ),
    "gzip of several members": Dirty(
        "a.csv.gz", gzip.compress(utf8("sku,title", "1,a")) + gzip.compress(utf8("2,b")), ["1", "2"]
    ),
}


@pytest.mark.parametrize("case", LOADED)
def test_every_row_of_a_dirty_file_is_loaded_or_rejected_with_its_reason(tmp_path: Path, case: str) -> None:
    name, content, expected, options = LOADED[case]
    (tmp_path / name).write_bytes(content)
    rows = list(read_rows(tmp_path / name, options=options))
    assert len(rows) == len(expected)
    for row, outcome in zip(rows, expected, strict=True):
        if outcome.startswith("no: "):
            assert outcome.removeprefix("no: ") in str(row.problem)
            assert row.values == {}
            assert len(row.text or "") <= 10_000
        else:
            assert row.problem is None
            assert row.values["sku"] == outcome


def workbook() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("xl/workbook.xml", "<workbook/>")
    return file.getvalue()


REFUSED = {
    "empty": (b"", "holds no rows"),
    "only a mark": (b"\xef\xbb\xbf", "holds no rows"),
    "only a header": (b"sku,title\n", "holds no rows"),
    "an Excel workbook": (workbook(), "is a zip archive or an Excel workbook: save the sheet as CSV"),
    "an old Excel workbook": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "is an Excel workbook: save the sheet"),
    "a PDF": (b"%PDF-1.7\n", "is a PDF: export the products as CSV"),
    "a picture": (b"\x89PNG\r\n\x1a\n" + bytes(50), "is a picture"),
    "bytes without meaning": (bytes(range(256)) * 20, "is no text: it holds binary data"),
    "packed with bzip2": (b"BZh91AY&SY", "is packed with bzip2: unpack it, or use gzip or zstd"),
    "a Parquet file": (b"PAR1" + bytes(50), "is a Parquet file: read it as format parquet"),
    "a column named twice": (b"sku,title,sku\n1,2,3\n", "line 1 names a column twice ('sku'): rename or remove"),
    "a broken header": (b'"sku" x,title\n1,a\n', "line 1 should name the columns, but can't be read: a quoted cell"),
    "a header with bad bytes": (b"sku,\xff\xfe\xfd\n1,a\n", r"line 1 should name the columns, but holds 'sku"),
    "a header of 50 MB": (LONG_CELL.encode() + b"\n1\n", "line 1 should name the columns, but can't be read"),
    "two delimiters that fit": (b"sku;title,x\n1;2,5\n", "can be read with ',' or ';' between its cells: name the"),
    "UTF-8 and something else": (
        utf8("sku,title", "1,Grün") + b"".join(b"%d,caf\xe9\n" % number for number in range(5)),
        "mixes UTF-8 (line 2) with another encoding (line 3): save it as UTF-8, or name the encoding",
    ),
    "Hebrew or Cyrillic": (
        "sku,title\n1,מעיל חורף לילדים\n2,נעלי עור לגברים\n".encode("cp1255"),
        "is not UTF-8 (line 2), and what else it is can't be told with certainty",
    ),
    "zstd that is cut off": (zstandard.compress(b"sku\n1\n" * 999)[:-5], "is a zstd file that is cut off: copy"),
    "zstd that is damaged": (
        zstandard.ZstdCompressor(write_checksum=True).compress(b"sku\n1\n" * 99)[:-2] + b"xx",
        "is a damaged zstd file (",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_file_that_can_not_be_read_is_refused_with_its_reason(tmp_path: Path, case: str) -> None:
    content, message = REFUSED[case]
    path = tmp_path / "shop.csv"
    path.write_bytes(content)
    with pytest.raises(CatalogError) as caught:
        list(read_rows(path))
    assert str(caught.value).startswith(f"{path} ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


PACKS: list[Callable[[bytes], bytes]] = [bytes, gzip.compress, zstandard.compress]


@pytest.mark.parametrize("format", FORMATS)
@given(content=st.data())
def test_any_bytes_in_any_pack_are_rows_or_refused_in_one_line(
    tmp_path_factory: pytest.TempPathFactory, format: str, content: st.DataObject
) -> None:
    line = {"csv": b"sku,title\n", "json": b'[{"sku": "1"},', "ndjson": b'{"sku": 1}\n', "yaml": b"- sku: 1\n"}
    body = content.draw(st.binary(max_size=80))
    start = content.draw(st.sampled_from([b"", line.get(format, b"PAR1")]))
    pack = content.draw(st.sampled_from(PACKS))
    path = tmp_path_factory.getbasetemp() / "any"
    path.write_bytes(pack(start + body))
    first, second = (outcome(path, format) for _ in range(2))
    assert "\n" not in first
    assert first == second  # a load that is resumed reads the same


def outcome(path: Path, format: str) -> str:
    try:
        return repr(list(read_rows(path, format)))
    except CatalogError as error:
        return str(error)


def test_a_row_that_is_too_long_does_not_take_many_times_its_size(tmp_path: Path) -> None:
    import tracemalloc

    for name in ("a cell of 50 MB", "a JSON line of 50 MB", "a JSON item of 50 MB"):
        file, content, _, _ = LOADED[name]
        (tmp_path / file).write_bytes(content)
        tracemalloc.start()
        list(read_rows(tmp_path / file))
        peak_bytes = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak_bytes < 60 * MIB


def test_what_is_rejected_can_be_written_down(tmp_path: Path) -> None:
    for name, content, _, options in LOADED.values():
        if len(content) < MIB:
            (tmp_path / name).write_bytes(content)
            for row in read_rows(tmp_path / name, options=options):
                json.dumps(row.text).encode()
                str(row.text).encode()
