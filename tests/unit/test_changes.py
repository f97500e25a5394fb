"""Comparing what is installed with what should be."""

from __future__ import annotations

from prodsim.plugin.changes import compare


def test_what_the_engine_gives_back_as_strings_is_no_difference() -> None:
    wanted = {"settings": {"index": {"knn": True, "number_of_shards": 1}}, "weight": 3.0, "nothing": None}
    installed = {"weight": 3, "settings": {"index": {"number_of_shards": "1", "knn": "true"}}}
    assert compare("index template", "x", installed, wanted).action == "unchanged"


def test_a_difference_names_the_path_with_both_values() -> None:
    change = compare("index template", "x", {"a": {"b": [1, 2]}}, {"a": {"b": [1, 3]}})
    assert change.action == "update"
    assert change.diff == ("-a.b[1]: 2", "+a.b[1]: 3")


def test_what_is_missing_is_created_with_all_its_lines() -> None:
    change = compare("search template", "x", None, {"a": 1})
    assert (change.action, change.diff) == ("create", ("+a: 1",))
