"""Measures, intervals and tests: figures that can be checked by hand, and statistics that hold what they say."""

from __future__ import annotations

import math

import numpy as np
import pytest

from prodsim.plugin.errors import CheckFailed, UsageError
from prodsim.plugin.measuring.comparison import overlap
from prodsim.plugin.measuring.evaluation import grouped, parse_thresholds
from prodsim.plugin.measuring.intervals import difference, estimate
from prodsim.plugin.measuring.judgments import Judged, JudgmentList, collect
from prodsim.plugin.measuring.measures import Scorer, depth, spelled

LIST = JudgmentList("by hand", {"a": {"x": 1.0, "y": 0.1, "z": 0.0}, "b": {"x": 1.0}, "c": {"z": 0.0}})


def test_measures_are_what_one_gets_by_hand() -> None:
    names = ["nDCG@10", "MRR@10", "recall@1", "precision@2", "MAP@10", "hit@1", "judged@2"]
    found = Scorer(LIST, names).scores({"a": ["y", "x", "other"], "b": ["other", "x"]})
    ideal = 1 + 0.1 / math.log2(3)
    assert found["nDCG@10"] == pytest.approx([(0.1 + 1 / math.log2(3)) / ideal, 1 / math.log2(3), 0])
    assert found["MRR@10"] == pytest.approx([1, 0.5, 0])
    assert found["recall@1"] == pytest.approx([0.5, 0, 0])
    assert found["precision@2"] == pytest.approx([1, 0.5, 0])
    assert found["MAP@10"] == pytest.approx([1, 0.5, 0])
    assert found["hit@1"] == pytest.approx([1, 0, 0])
    assert found["judged@2"] == pytest.approx([1, 0.5, 0])


def test_from_which_grade_on_a_product_is_an_answer_can_be_said() -> None:
    found = Scorer(LIST, ["MRR@10", "nDCG@10"], relevant_from=0.5).scores({"a": ["y", "x"], "b": ["x"]})
    assert found["MRR@10"] == pytest.approx([0.5, 1, 0])
    assert found["nDCG@10"][0] == pytest.approx((0.1 + 1 / math.log2(3)) / (1 + 0.1 / math.log2(3)))


@pytest.mark.parametrize("grades", [{"x": 3.0, "y": 2.0}, {"x": 1.0, "y": 0.1, "z": 0.01}, {"x": 0.4731, "y": 0.0021}])
def test_grades_of_any_size_keep_their_proportions(grades: dict[str, float]) -> None:
    found = JudgmentList("one", {"a": grades})
    for sku, grade in grades.items():
        assert found.qrels["a"][sku] / found.scale == pytest.approx(grade, abs=1e-4)


def test_negative_grades_count_as_no_answer_and_grades_must_be_numbers() -> None:
    assert collect("x", [Judged(1, "a", "x", -2.0)]).grades == {"a": {"x": 0.0}}
    with pytest.raises(Exception, match="line 1: the grade is nan"):
        collect("x", [Judged(1, "a", "x", float("nan"))])


def test_an_unknown_measure_and_one_without_depth_are_refused() -> None:
    assert (spelled("ndcg@5"), spelled("mrr@3")[0], depth(["nDCG@10", "recall@100"])) == (("nDCG@5", 5), "MRR@3", 100)
    for name, words in (("dcg@10", "no measure 'dcg@10'"), ("nDCG", "needs a depth"), ("nDCG@0", "needs a depth")):
        with pytest.raises(UsageError, match=words):
            spelled(name)
    with pytest.raises(UsageError, match="write a measure and a figure"):
        parse_thresholds(["nDCG@10=high"])
    assert issubclass(CheckFailed, Exception)


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    rng = np.random.default_rng(7)
    held = 0
    for _ in range(60):
        found = estimate(rng.beta(2, 3, 80))
        assert found.low is not None
        assert found.high is not None
        held += found.low <= 0.4 <= found.high
    assert 51 <= held <= 60


def test_noise_is_not_called_a_difference_and_a_difference_is() -> None:
    rng = np.random.default_rng(3)
    before = rng.uniform(size=60)
    noise = difference(before, before + rng.normal(0, 0.1, 60))
    assert (noise.certain, noise.wins + noise.losses + noise.ties) == (0, 60)
    assert difference(before, before + 0.05).certain == 1
    assert difference(before, before - 0.05).certain == -1
    assert difference(before, before).p_value == 1


def test_a_handful_of_queries_proves_nothing() -> None:
    assert difference(np.zeros(4), np.ones(4)).certain == 0
    assert estimate([0.5]).low is None


def test_groups_are_those_of_the_list_or_by_words() -> None:
    two = JudgmentList("two", {"lamp": {"x": 1.0}, "red boots": {"x": 1.0}}, {"lamp": "head", "red boots": "tail"})
    assert grouped(two, None) == {"head": [0], "tail": [1]}
    assert grouped(two, "words") == {"1 word": [0], "2 words": [1]}
    assert grouped(LIST, None) == {}
    with pytest.raises(UsageError, match="names no group"):
        grouped(LIST, "group")


def test_overlap_is_the_share_that_both_have() -> None:
    assert (overlap(["a", "b"], ["b", "c"]), overlap([], []), overlap(["a"], [])) == (0.5, 1.0, 0.0)
