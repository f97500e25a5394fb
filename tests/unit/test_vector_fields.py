"""The names of k-NN fields, and what goes with them."""

from __future__ import annotations

import pytest

from prodsim.mappings.bundle import TextModel, index_body, vectors_of
from prodsim.mappings.vector_fields import KINDS, VectorField, of_kind


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("vectors", ["float32", "int8"])
def test_a_name_says_all_that_a_field_is(kind: str, vectors: str) -> None:
    field = VectorField(next(known for known in KINDS if known == kind), 384, vectors)
    assert VectorField.parse(field.name) == field


@pytest.mark.parametrize(
    "name", ["text_vector_", "text_vector_3_int4", "title_vector_3", "text_vector_3.keyword", "sku"]
)
def test_another_name_is_none_of_them(name: str) -> None:
    with pytest.raises(ValueError, match="no k-NN field"):
        VectorField.parse(name)


def test_fields_of_a_kind_keep_their_order() -> None:
    names = ["text_vector_512", "image_vector_64", "text_vector_384_int8"]
    assert [field.name for field in of_kind(names, "text")] == ["text_vector_512", "text_vector_384_int8"]


def test_whole_numbers_are_bytes_compared_by_cosine_and_floats_of_length_1_by_product() -> None:
    body = index_body(TextModel("m", "1", 8, "int8"), others=["fused_vector_16"])
    assert vectors_of(body) == ["text_vector_8_int8", "fused_vector_16", "image_vector_1280"]
    fields = body["mappings"]["properties"]
    assert fields["text_vector_8_int8"]["data_type"] == "byte"
    assert fields["text_vector_8_int8"]["method"]["space_type"] == "cosinesimil"
    assert "data_type" not in fields["fused_vector_16"]
    assert fields["fused_vector_16"]["method"]["space_type"] == "innerproduct"
