"""The bundle as it is rendered, before any engine sees it."""

from __future__ import annotations

import json
import re
from importlib.resources import files
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from prodsim.embedder.wire import found_by
from prodsim.mappings import bundle
from prodsim.mappings.bundle import Credentials, TextModel
from prodsim.mappings.text import embedding_text, text_hash
from prodsim.plugin.ranking.compile import compile_profile
from prodsim.plugin.ranking.files import default_profile

ROOT = Path(__file__).parents[2]
MODEL = TextModel("all-minilm-l6-v2", "0123456789ab", 384)


def test_a_template_has_a_vector_leg_for_each_length_and_the_pipeline_fills_its_own() -> None:
    source = compile_profile(default_profile(), ["text_vector_512", "text_vector_384"], "2.19.1")["prodsim-search"]
    assert bundle.leg_fields(source) == ["text_vector_512", "text_vector_384"]
    longer = TextModel("other", "1", 512)
    legs = ["text_vector_384", "image_vector_1280", "text_vector_512"]
    pipeline = bundle.search_pipeline("products-000002", longer, ["text_vector_512"], legs, "query-id", "stored-id")
    [output] = pipeline["request_processors"][0]["ml_inference"]["output_map"]
    assert any("should[2].script_score.query.knn.text_vector_512.vector" in path for path in output)


def test_what_the_embedder_says_of_a_query_switches_the_search_by_one_word_off_and_on() -> None:
    assert found_by(0.75) == bundle.NEVER_THERE
    assert found_by(0) == "sku"


def test_vectors_of_every_kind_and_length_have_a_leg_for_similar_products_that_never_moves() -> None:
    legs = ["text_vector_384", "image_vector_512", "fused_vector_896_int8", "text_vector_512", "image_vector_1280"]
    for name, source in compile_profile(default_profile(), legs, "2.19.1").items():
        if name in ("prodsim-similar", "prodsim-like", "prodsim-recommend", "prodsim-similar-image"):
            assert bundle.leg_fields(source) == legs
    vectors = ["text_vector_384", "image_vector_512", "fused_vector_896_int8"]
    pipeline = bundle.search_pipeline("products-000001", MODEL, vectors, legs, "query-id", "stored-id")
    similar = pipeline["request_processors"][1]["ml_inference"]
    [output] = similar["output_map"]
    for place, (kind, field) in enumerate(zip(("text", "image", "fused"), vectors, strict=True)):
        assert output[f"{bundle.LEGS}[{place}].script_score.query.knn.{field}.vector"].endswith(f".{kind}")
    assert json.loads(similar["model_config"]["vectors"])["fused"] == {
        "field": "fused_vector_896_int8",
        "dimension": 896,
        "whole": True,
    }


def test_an_index_says_which_k_nn_fields_it_has() -> None:
    body = bundle.index_body(MODEL, others=["image_vector_512"])
    assert bundle.vectors_of(body) == ["text_vector_384", "image_vector_512"]
    fields = body["mappings"]["properties"]
    assert {name for name, field in fields.items() if field.get("type") == "knn_vector"} == {
        "text_vector_384",
        "image_vector_512",
    }


def test_install_time_placeholders_are_all_filled() -> None:
    for source in compile_profile(default_profile(), ["text_vector_384"], "2.19.1").values():
        assert not re.search(r"<<|>>|<%|%>", source)


def test_the_profile_reaches_the_templates() -> None:
    changed = default_profile().with_values({"all_words.weight": 0.123456, "signals.stock.factor": 0.654321})
    source = compile_profile(changed, ["text_vector_384"], "2.19.1")["prodsim-search"]
    assert "0.123456" in source
    assert "0.654321" in source


def test_the_words_leg_scores_alike_on_engines_that_scale_bm25_differently() -> None:
    k = default_profile().k
    older, newer = (
        compile_profile(default_profile(), ["text_vector_3"], version)["prodsim-search"]
        for version in ("2.19.1", "3.5.0")
    )
    assert f'"k": {k}' in older
    assert f'"k": {k / 2.2}' in newer


def test_equal_connectors_have_equal_names_and_different_ones_do_not() -> None:
    def names(**changed: Any) -> list[str]:
        arguments = {"embedder_url": "http://e:1", "self_url": "http://s:1", "query_timeout_s": 2, **changed}
        return [str(connector["name"]) for connector in bundle.connectors(MODEL, **arguments).values()]

    assert names() == names()
    assert names()[0] != names(query_timeout_s=3)[0]
    assert names()[:2] == names(self_url="http://s:2")[:2]


@given(st.text(max_size=40))
def test_a_connector_stays_valid_json_whatever_the_model_is_called(name: str) -> None:
    body = bundle.connectors(TextModel(name, "1", 3), "http://e", "http://s", 2)["passage"]["actions"][0][
        "request_body"
    ]
    assert json.loads(body.replace("${parameters.input}", '["text"]'))["model"] == name


def test_a_model_stamp_gives_name_and_revision_back() -> None:
    name, _, revision = TextModel("org/model@odd", "abc", 3).stamp.rpartition("@")
    assert (name, revision) == ("org/model@odd", "abc")


def test_the_embedding_text_is_title_brand_leaf_category_and_description() -> None:
    product = {
        "title": " Trail shoe ",
        "brand": "Acme",
        "category": ["Shoes", "Shoes > Running"],
        "description": "Grippy.",
        "price": 3,
    }
    assert embedding_text(product) == "Trail shoe\nAcme\nShoes > Running\nGrippy."
    assert embedding_text({"title": "  ", "category": []}) == ""


def test_a_price_change_keeps_the_text_hash_and_a_title_change_does_not() -> None:
    before = text_hash(embedding_text({"title": "a", "price": 1}))
    assert before == text_hash(embedding_text({"title": "a", "price": 2}))
    assert before != text_hash(embedding_text({"title": "b", "price": 1}))
    assert len(before) == 64


def test_every_file_of_the_bundle_is_used() -> None:
    folder = files("prodsim.mappings")
    code = "".join(folder.joinpath(name).read_text() for name in ("bundle.py", "render.py", "text.py"))
    for part in ("ranking", "moving"):
        code += "".join(path.read_text() for path in (ROOT / "plugin" / part).glob("*.py"))
    templates = [entry for entry in folder.joinpath("templates").iterdir() if entry.name.endswith(".mustache")]
    code += "".join(entry.read_text() for entry in templates)
    names = [entry.name for entry in [*folder.iterdir(), *templates]]
    data = [name for name in names if name.endswith((".json", ".mustache", ".painless"))]
    assert data
    assert [name for name in data if f'"{name}"' not in code] == []


def test_a_key_of_the_embedder_is_in_the_credential_of_its_connectors_alone() -> None:
    plain, one, other = (
        bundle.connectors(MODEL, "http://e", "http://s", 2, Credentials(key))
        for key in (None, "secret-one", "secret-two")
    )
    keys = [one[role]["credential"]["key"] for role in ("query", "passage", "stored-vector")]
    assert keys == ["secret-one", "secret-one", "none"]
    assert one["stored-vector"] == plain["stored-vector"]
    assert len({made["query"]["name"] for made in (plain, one, other)}) == 3
    shown = str([{part: value for part, value in body.items() if part != "credential"} for body in one.values()])
    assert "secret-" not in shown
    assert "Bearer ${credential.key}" in shown
