"""Synonyms of a profile: what is a rule, where they come from, and where they go."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from prodsim.mappings.bundle import TextModel, index_body
from prodsim.mappings.synonyms import problem_of, rules_in, synonyms_of
from prodsim.plugin.errors import ConfigError
from prodsim.plugin.ranking.checking import check_profile
from prodsim.plugin.ranking.files import load_profile


@pytest.mark.parametrize("rule", ["tv, television", "tv => television", "tv, telly => television, flat screen"])
def test_rules_in_solrs_notation_are_fine(rule: str) -> None:
    assert problem_of(rule) is None


@pytest.mark.parametrize(
    ("rule", "problem"),
    [
        ("tv", "alone"),
        ("tv,", "missing"),
        ("tv => ", "missing"),
        ("=> tv", "missing"),
        ("a => b => c", "more than one"),
        ("a,,b", "missing"),
    ],
)
def test_a_rule_that_is_none_is_told_by_its_place_and_reason(rule: str, problem: str, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(json.dumps({"synonyms": ["tv, television", rule]}))
    [found] = check_profile(load_profile(tmp_path / "mine.yaml"))
    assert found.severity == "error"
    assert found.place == "synonyms.1"
    assert problem in found.message


def test_a_file_beside_the_profile_is_read_with_its_comments_left_out(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("# ours\ntv, television # set\n\nfön => hair dryer\n", encoding="utf-8")
    (tmp_path / "mine.yaml").write_text("synonyms: words.txt\n")
    assert load_profile(tmp_path / "mine.yaml").synonyms == ("tv, television", "fön => hair dryer")
    (tmp_path / "words.txt").unlink()
    with pytest.raises(ConfigError, match=r"synonyms .*words.txt can't be read: No such file"):
        load_profile(tmp_path / "mine.yaml")
    assert rules_in("\n#\n  \n") == []


def test_they_are_in_the_analyzers_of_queries_alone_and_found_again_in_an_index() -> None:
    model = TextModel("m", "1", 8)
    without, with_rules = index_body(model), index_body(model, synonyms=["tv, television"])
    analysis = with_rules["settings"]["index"]["analysis"]
    assert "prodsim_synonyms" in analysis["analyzer"]["prodsim_query"]["filter"]
    assert "prodsim_synonyms" in analysis["analyzer"]["prodsim_content_words"]["filter"]
    assert "prodsim_synonyms" not in analysis["analyzer"]["prodsim_text"]["filter"]
    assert synonyms_of(with_rules["settings"]["index"]) == ("tv, television",)
    assert synonyms_of(without["settings"]["index"]) == ()
    assert "prodsim_synonyms" not in json.dumps(without)
