"""What goes into a bulk request."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prodsim.loaders.bulk.bulk_request import request_body, size_bytes
from prodsim.loaders.bulk.writer import UnwritableDocument, Write, index_write

JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def lines_of(body: bytes) -> list[Any]:
    assert body.endswith(b"\n")
    return [json.loads(line) for line in body[:-1].split(b"\n")]


def test_a_document_is_written_by_its_sku_with_its_version() -> None:
    body = request_body([index_write({"sku": "a", "title": "Jacket"}, 7)])
    about = {"_id": "a", "version": 7, "version_type": "external_gte"}
    assert lines_of(body) == [{"index": about}, {"sku": "a", "title": "Jacket"}]


def test_deletes_and_updates_have_the_lines_that_the_engine_wants() -> None:
    script = b'{"script":{"source":"ctx._source.price = 1"}}'
    body = request_body([Write("delete", "a", version=3), Write("delete", "b"), Write("update", "c", script)])
    assert lines_of(body) == [
        {"delete": {"_id": "a", "version": 3, "version_type": "external_gte"}},
        {"delete": {"_id": "b"}},
        {"update": {"_id": "c", "retry_on_conflict": 3}},
        json.loads(script),
    ]


@given(sku=st.text(min_size=1), fields=st.dictionaries(st.text(min_size=1), JSON_VALUES, max_size=4))
def test_whatever_a_document_holds_it_takes_two_lines_and_arrives_as_it_is(sku: str, fields: dict[str, Any]) -> None:
    document = {**fields, "sku": sku}
    about, arrived = lines_of(request_body([index_write(document, None)]))
    assert about == {"index": {"_id": sku}}
    assert arrived == document


def test_a_numpy_vector_arrives_as_the_very_float32_numbers() -> None:
    vector = np.random.default_rng(1).standard_normal(384).astype(np.float32)
    arrived = json.loads(index_write({"sku": "a", "vector": vector}, 1).body)["vector"]
    assert np.array_equal(np.array(arrived, dtype=np.float32), vector)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("kind", [lambda numbers: np.array(numbers, dtype=np.float32), list, tuple])
def test_a_vector_with_nan_or_infinity_is_refused_and_not_written_as_null(number: float, kind: Any) -> None:
    with pytest.raises(UnwritableDocument, match=r"'a': vector\S* holds NaN or infinity") as refusal:
        index_write({"sku": "a", "title": "null", "gone": None, "vector": kind([0.5, number, 0.5])}, 1)
    assert refusal.value.code == "not_finite"


def test_nulls_and_the_word_null_are_no_reason_to_refuse() -> None:
    document = {"sku": "a", "title": "null", "price": None, "vector": np.ones(3, dtype=np.float32), "tags": [None]}
    assert json.loads(index_write(document, 1).body)["price"] is None


@pytest.mark.parametrize("value", ["\ud800", 2**70, object(), {1: 2}, np.ones((3, 3), dtype=np.float32).T[::2]])
def test_a_value_without_a_json_form_is_refused_in_one_line(value: object) -> None:
    with pytest.raises(UnwritableDocument, match="'a' can't be written as JSON") as refusal:
        index_write({"sku": "a", "field": value}, 1)
    assert "\n" not in str(refusal.value)
    assert refusal.value.code == "not_json"


@pytest.mark.parametrize(
    ("action", "body", "version"),
    [("index", b'{"a":\n1}', None), ("index", b"", None), ("delete", b"{}", None), ("update", b'{"doc":{}}', 3)],
)
def test_a_write_that_would_spoil_the_request_can_not_be_made(action: Any, body: bytes, version: int | None) -> None:
    with pytest.raises(ValueError, match="a"):
        Write(action, "a", body, version)


def test_the_size_of_a_write_is_about_what_it_takes() -> None:
    write = index_write({"sku": "é" * 100, "title": "x" * 5000}, 1_700_000_000_000_000)
    assert len(request_body([write])) == pytest.approx(size_bytes(write), rel=0.05)
