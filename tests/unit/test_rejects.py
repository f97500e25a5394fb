"""The rejects file: every rejected row is in it, whatever it holds, and nothing else is ever lost to it."""

from __future__ import annotations

import json
import math
import os
import resource
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prodsim.loaders.preparing.problem import Problem
from prodsim.loaders.reading.readers import SourceRow
from prodsim.loaders.rejects import RejectsFile, default_rejects_path, read_rejects
from prodsim.plugin.errors import CatalogError

NO_TITLE = Problem("title", "missing_title", "title: missing")


def records(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_a_rejected_row_is_written_with_its_place_its_reasons_and_its_values(tmp_path: Path) -> None:
    path = tmp_path / "shop.rejects.ndjson"
    with RejectsFile(path) as rejects:
        rejects.reject("shop.csv", SourceRow(7, {"id": "A1", "name": ""}), [NO_TITLE], sku="A1")
        rejects.reject("shop.csv", SourceRow(9, {}, "3 cells under 2 columns", "1,2,3"))
        assert rejects.size_bytes > 0
    assert records(path) == [
        {
            "source": "shop.csv",
            "line": 7,
            "sku": "A1",
            "problems": [{"field": "title", "code": "missing_title", "message": "title: missing"}],
            "row": {"id": "A1", "name": ""},
        },
        {
            "source": "shop.csv",
            "line": 9,
            "sku": None,
            "problems": [{"field": "", "code": "bad_row", "message": "3 cells under 2 columns"}],
            "row": "1,2,3",
        },
    ]


def test_there_is_no_file_where_nothing_was_rejected(tmp_path: Path) -> None:
    with RejectsFile(tmp_path / "a.rejects.ndjson") as rejects:
        rejects.flush()
    assert list(tmp_path.iterdir()) == []


def test_flushed_rows_can_be_read_before_the_file_is_closed(tmp_path: Path) -> None:
    with RejectsFile(tmp_path / "a.rejects.ndjson") as rejects:
        rejects.reject("a.csv", SourceRow(1, {}), [NO_TITLE])
        rejects.flush()
        assert len(records(rejects.path)) == 1


def test_each_run_starts_afresh(tmp_path: Path) -> None:
    path = tmp_path / "a.rejects.ndjson"
    for line in (1, 2):
        with RejectsFile(path) as rejects:
            rejects.reject("a.csv", SourceRow(line, {}), [NO_TITLE])
    assert [record["line"] for record in records(path)] == [2]
    RejectsFile(path).close()
    assert not path.exists()


def test_a_file_that_holds_something_else_is_never_replaced(tmp_path: Path) -> None:
    path = tmp_path / "products.ndjson"
    path.write_text('{"sku": "A1", "title": "Boot"}\n')
    with pytest.raises(CatalogError, match="it holds something else"):
        RejectsFile(path)
    assert path.read_text() == '{"sku": "A1", "title": "Boot"}\n'


def test_a_path_that_cannot_be_written_is_refused_before_the_load(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match="it is a folder"):
        RejectsFile(tmp_path)
    with pytest.raises(CatalogError, match="gone is no folder"):
        RejectsFile(tmp_path / "gone" / "a.rejects.ndjson")


def test_a_write_that_fails_is_one_line_not_a_traceback(tmp_path: Path) -> None:
    rejects = RejectsFile(tmp_path / "a.rejects.ndjson")
    rejects.reject("a.csv", SourceRow(1, {"id": 1}), [NO_TITLE])
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
    try:
        with pytest.raises(CatalogError, match="File too large"):
            rejects.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_pipe_can_take_the_rejects(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        with RejectsFile(pipe) as rejects:
            rejects.reject("a.csv", SourceRow(1, {"id": 1}), [NO_TITLE])
        assert json.loads(os.read(reader, 65_536))["row"] == {"id": 1}
    finally:
        os.close(reader)


def test_values_that_json_has_no_form_for_are_still_written(tmp_path: Path) -> None:
    row: dict[str, object] = {
        "day": date(2024, 1, 31),
        "price": math.nan,
        "image": b"\xff\x00",
        "amount": Decimal("9.99"),
        "large": 10**20,
        "broken": "a\ud800",
        "nested": {"list": [1, {2}, (3,)]},
    }
    with RejectsFile(tmp_path / "a.rejects.ndjson") as rejects:
        rejects.reject("a.yaml", SourceRow(1, row), [NO_TITLE])
    assert records(rejects.path)[0]["row"] == {
        "day": "2024-01-31",
        "price": "nan",
        "image": "\\xff\x00",
        "amount": "9.99",
        "large": "100000000000000000000",
        "broken": "a\\ud800",
        "nested": {"list": [1, [2], [3]]},
    }


def test_a_row_that_stands_for_billions_of_values_is_cut(tmp_path: Path) -> None:
    bomb: object = "lol"
    for _ in range(30):
        bomb = [bomb] * 10
    cycle: list[object] = []
    cycle.append(cycle)
    with RejectsFile(tmp_path / "a.rejects.ndjson") as rejects:
        rejects.reject("a.yaml", SourceRow(1, {"bomb": bomb, "cycle": cycle}), [NO_TITLE])
    assert rejects.path.stat().st_size < 1_000_000


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()) | st.binary() | st.dates(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters()) | st.integers(), inner),
    max_leaves=10,
)


@settings(max_examples=50)
@given(st.dictionaries(st.text(st.characters()), ANYTHING))
def test_any_row_is_one_line_of_json(tmp_path_factory: pytest.TempPathFactory, row: dict[str, object]) -> None:
    with RejectsFile(tmp_path_factory.getbasetemp() / "any.rejects.ndjson") as rejects:
        rejects.reject("a.yaml", SourceRow(1, row), [NO_TITLE])
    (line,) = rejects.path.read_bytes().removesuffix(b"\n").split(b"\n")
    assert json.loads(line)["problems"][0]["code"] == "missing_title"


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("/data/products.ndjson.gz", "products.rejects.ndjson"),
        ("shop.v2.csv", "shop.v2.rejects.ndjson"),
        ("shop", "shop.rejects.ndjson"),
        (".csv", ".csv.rejects.ndjson"),
    ],
)
def test_the_file_is_named_after_its_source(source: str, name: str) -> None:
    assert default_rejects_path([source]) == Path(name)


def test_a_load_that_goes_on_keeps_what_it_had_rejected_and_drops_what_was_not_settled(tmp_path: Path) -> None:
    path = tmp_path / "shop.rejects.ndjson"
    with RejectsFile(path) as rejects:
        rejects.reject("shop.csv", SourceRow(7, {"id": "A1"}), [NO_TITLE], sku="A1")
        rejects.flush()
        settled_bytes = rejects.size_bytes
        rejects.reject("shop.csv", SourceRow(8, {"id": "A2"}), [NO_TITLE], sku="A2")
    with RejectsFile(path, keep_bytes=settled_bytes) as rejects:
        rejects.reject("shop.csv", SourceRow(9, {"id": "A3"}), [NO_TITLE], sku="A3")
    assert [record["line"] for record in records(path)] == [7, 9]
    path.write_bytes(b"")
    with pytest.raises(CatalogError, match="lost rejects of this load: start it over with --start-over"):
        RejectsFile(path, keep_bytes=settled_bytes)


def test_rejects_can_be_read_back_as_the_rows_that_they_were(tmp_path: Path) -> None:
    path = tmp_path / "shop.rejects.ndjson"
    with RejectsFile(path) as rejects:
        rejects.reject("shop.csv", SourceRow(7, {"id": "A1", "name": ""}), [NO_TITLE], sku="A1")
        rejects.reject("more.csv", SourceRow(9, {}, "3 cells under 2 columns", "1,2,3"))
    assert list(read_rejects(path)) == [
        ("shop.csv", SourceRow(7, {"id": "A1", "name": ""})),
        ("more.csv", SourceRow(9, {}, "3 cells under 2 columns", "1,2,3")),
    ]
    path.write_text('{"sku": "a"}\n')
    with pytest.raises(CatalogError, match="line 1 is no reject"):
        list(read_rejects(path))
