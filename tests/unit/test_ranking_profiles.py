"""Profiles before any engine sees them: files, inheritance, checks, and what is made of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prodsim.plugin.errors import ConfigError, NotFound
from prodsim.plugin.ranking.checking import check_profile
from prodsim.plugin.ranking.compile import compile_profile
from prodsim.plugin.ranking.diversity import spread
from prodsim.plugin.ranking.explain import explained
from prodsim.plugin.ranking.files import as_yaml, default_profile, load_profile
from prodsim.plugin.ranking.profile import Diversify
from prodsim.plugin.ranking.stored import pooled


def written(folder: Path, name: str, text: str) -> Path:
    file = folder / f"{name}.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def test_a_profile_inherits_what_it_does_not_say(tmp_path: Path) -> None:
    written(tmp_path, "base", "k: 30\nfields: {description: null}\n")
    profile = load_profile(written(tmp_path, "top", "inherits: base\nwords: {weight: 0.5}\n"))
    assert (profile.name, profile.k, profile.words.weight) == ("top", 30, 0.5)
    assert "description" not in profile.fields
    assert profile.legs == default_profile().legs


def test_a_shops_own_default_may_inherit_the_shipped_one(tmp_path: Path) -> None:
    written(tmp_path, "default", "inherits: default\nk: 7\n")
    assert load_profile("default", tmp_path).k == 7
    assert load_profile("default", tmp_path / "none").k == default_profile().k


def test_a_circle_and_a_missing_parent_are_said(tmp_path: Path) -> None:
    written(tmp_path, "a", "inherits: b\n")
    written(tmp_path, "b", "inherits: a\n")
    with pytest.raises(ConfigError, match="circle"):
        load_profile("a", tmp_path)
    with pytest.raises(NotFound, match="no-such"):
        load_profile(written(tmp_path, "c", "inherits: no-such\n"))


def test_everything_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    text = """
k: -1
stok: 1
pins: [{skus: a}]
boosts: [{skus: a, factor: 99}]
hides: [{skus: a, from: 2026-02-01, until: 2026-01-01}]
"""
    with pytest.raises(ConfigError) as refused:
        load_profile(written(tmp_path, "bad", text))
    for part in ("k:", "stok: there is no such setting", "a pin needs queries", "boosts.0.factor", "is not after"):
        assert part in str(refused.value)


@given(st.sampled_from(sorted(default_profile().numbers)), st.floats(0.3, 0.9))
def test_every_number_can_be_set_by_its_path(path: str, value: float) -> None:
    value = 5 if path.endswith("candidates") else value
    changed = default_profile().with_values({path: value})
    assert changed.numbers == default_profile().numbers | {path: value}


def test_an_unknown_path_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"signals\.luck"):
        default_profile().with_values({"signals.luck.strength": 1})


def test_a_profile_as_yaml_is_the_profile(tmp_path: Path) -> None:
    text = "pins: [{queries: [A  Lamp], skus: [x, y], until: 2027-01-01}]\nsignals: {rating: {strength: 0.2}}\n"
    profile = load_profile(written(tmp_path, "one", text))
    assert profile.pins[0].queries == ("a lamp",)
    assert load_profile(written(tmp_path, "one", as_yaml(profile))) == profile


def test_what_can_not_matter_is_told_without_a_catalog(tmp_path: Path) -> None:
    text = """
floor: 9
fields: {description: 0}
signals: {popularity: {pivot: 3}, stock: {out: hide, factor: 0.1}, price: {strength: 1, shape: near, point: 1, low: 3}}
boosts: [{skus: a, factor: 1}]
pins: [{queries: a, skus: [x, x]}, {queries: [b, A], skus: y}]
"""
    places = [problem.place for problem in check_profile(load_profile(written(tmp_path, "p", text)))]
    assert set(places) == {
        "floor",
        "fields.description",
        "signals.popularity",
        "signals.stock.factor",
        "signals.price.low",
        "boosts.0.factor",
        "pins.0.skus",
        "pins.1",
    }


def test_templates_of_the_default_profile_fit_into_the_engine() -> None:
    for source in compile_profile(default_profile(), ["text_vector_384", "text_vector_768"], "2.19.1").values():
        assert len(source.encode()) < 65_535


def test_the_first_places_are_spread_and_nobody_is_lost() -> None:
    hits = ["a1", "a2", "a3", "b1", "a4", "c1", "-"]
    rule = Diversify(field="brand", at_most=1, places=4)
    order = spread(hits, lambda hit: None if hit == "-" else hit[0], rule)
    assert order == ["a1", "b1", "c1", "-", "a2", "a3", "a4"]


def test_what_several_products_stand_for_is_their_weighed_direction() -> None:
    east, north = {"text_vector_2": [2.0, 0.0], "price": 10, "variant_group": "e"}, {"text_vector_2": [0.0, 1.0]}
    assert pooled([east, north])["vector"] == pytest.approx([0.5**0.5] * 2)
    assert pooled([east], [north])["vector"][1] < 0
    assert pooled([east, north], decay=0.5)["vector"] == pytest.approx([2 / 5**0.5, 1 / 5**0.5])
    assert (pooled([east])["source_price"], pooled([east])["variant_group"]) == (pytest.approx(10), ["e"])


def test_an_explanation_gives_parts_signals_and_pin() -> None:
    blend = {
        "value": 0.5,
        "description": "sum of:",
        "details": [
            {"value": 0.2, "description": "prodsim words", "details": [{"value": 9.0, "description": "prodsim words"}]},
            {
                "value": 0.3,
                "description": "Boosted score, product of:",
                "details": [
                    {"value": 0.6, "description": "boost"},
                    {"value": 0.5, "description": "prodsim text vectors"},
                ],
            },
        ],
    }
    scored = {"value": 0.25, "description": "prodsim signals stock=0.5 rating=1.0", "details": [blend]}
    found = explained({"value": 0.25, "description": "sum of:", "details": [scored]})
    assert found.parts == {"words": 0.2, "text vectors": 0.3}
    assert found.signals == {"stock": 0.5, "rating": 1.0}
    assert found.product == pytest.approx(found.score)
