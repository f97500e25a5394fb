"""Tuning: what is searched, what is taken, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from prodsim.plugin.errors import UsageError
from prodsim.plugin.measuring.intervals import difference, estimate
from prodsim.plugin.measuring.judgments import JudgmentList
from prodsim.plugin.ranking.files import default_profile, load_profile
from prodsim.plugin.tuning.features import Features
from prodsim.plugin.tuning.floor import kept_floor
from prodsim.plugin.tuning.scoring import ranked, scores
from prodsim.plugin.tuning.space import Space, Wording, as_wording, space_of
from prodsim.plugin.tuning.study import Choice, Objective, average, search, words_alone_of
from prodsim.plugin.tuning.tune import Tuned, refusal, that_matters
from prodsim.plugin.tuning.writing import parent_of, profile_text, write_profile

PROFILE = default_profile().with_values({"floor": 0})
FILLED = list(PROFILE.fields)
QUERIES, CANDIDATES = 40, 30


def catalog(by_words: float, by_meaning: float, seed: int = 0) -> tuple[Features, JudgmentList]:
    """Queries whose answers BM25 and vectors know with that certainty, from 0 (nothing) to 1 (all)."""
    rng = np.random.default_rng(seed)
    good = rng.uniform(size=(QUERIES, CANDIDATES))
    noise = rng.uniform(size=(2, QUERIES, CANDIDATES))
    words = 40 * (by_words * good + (1 - by_words) * noise[0])
    features = Features(
        queries=[f"q{number}" for number in range(QUERIES)],
        skus=[[f"p{number:02}" for number in range(CANDIDATES)]] * QUERIES,
        words=[words],
        most=[words],
        parts={"text vectors": 0.2 + 0.7 * (by_meaning * good + (1 - by_meaning) * noise[1])},
        signals={},
        vector_weight=np.ones(QUERIES),
        k_scale=1.0,
    )
    grades = {
        query: {f"p{place:02}": float(good[row, place] > 0.8) for place in range(CANDIDATES)}
        for row, query in enumerate(features.queries)
    }
    return features, JudgmentList("made", grades)


def space() -> Space:
    return Space(space_of(PROFILE, FILLED, keep=["fields", "words.type"]).ranges, [as_wording(PROFILE)])


def found(features: Features, judgments: JudgmentList, trials: int = 40) -> Choice:
    return search(PROFILE, space(), features, judgments, "nDCG@10", None, trials, seed=0)


def mean(choice: Choice, features: Features, judgments: JudgmentList) -> float:
    from prodsim.plugin.measuring.measures import Scorer

    return Objective(PROFILE, space(), features, Scorer(judgments, ["nDCG@10"])).mean(choice)


def test_where_vectors_are_noise_the_search_does_without_them_and_equals_bm25() -> None:
    features, judgments = catalog(by_words=0.95, by_meaning=0.0)
    choice = found(features, judgments)
    [words] = words_alone_of(PROFILE, space())
    assert mean(choice, features, judgments) >= mean(words, features, judgments)
    assert choice.values["legs.text.weight"] < 0.3


def test_what_is_found_on_some_queries_holds_on_others() -> None:
    features, judgments = catalog(by_words=0.3, by_meaning=0.8)
    first, second = list(range(20)), list(range(20, 40))
    choice = found(features.only(first), judgments)
    others = features.only(second)
    held_out = judgments.only(others.queries)
    untuned = Choice({path: PROFILE.numbers[path] for path in space().ranges})
    assert mean(choice, others, held_out) > mean(untuned, others, held_out) + 0.01


def test_the_same_seed_finds_the_same_numbers() -> None:
    features, judgments = catalog(0.5, 0.5)
    assert found(features, judgments, 20) == found(features, judgments, 20)


def test_numbers_that_change_nothing_are_not_searched() -> None:
    features, _ = catalog(0.5, 0.5)
    assert set(that_matters(PROFILE, space(), features).ranges) == {"k", "c", "legs.text.weight"}
    stock = replace(features, signals={"stock": np.zeros((QUERIES, CANDIDATES))})
    assert "signals.stock.factor" in that_matters(PROFILE, space(), stock).ranges


def test_patterns_say_which_numbers_are_searched() -> None:
    usual = space_of(PROFILE, FILLED)
    assert {"k", "c", "all_words.weight", "legs.text.weight", "signals.stock.factor"} <= set(usual.ranges)
    assert "signals.rating.strength" not in usual.ranges
    assert "signals.rating.strength" in space_of(PROFILE, FILLED, include=["signals.rating.*"]).ranges
    assert not any(path.startswith("signals.") for path in space_of(PROFILE, FILLED, keep=["signals.*"]).ranges)
    assert len(space_of(PROFILE, FILLED, keep=["fields", "words.type"]).wordings) == 1
    assert len(space_of(PROFILE, ["title", "description"]).wordings) == 8
    with pytest.raises(UsageError, match="there are k,"):
        space_of(PROFILE, FILLED, keep=["colour"])


def test_the_middle_of_choices_is_taken_and_other_field_weights_only_by_majority() -> None:
    two = Space({"k": space().ranges["k"], "c": space().ranges["c"]}, [Wording({}), Wording({})])
    choices = [Choice({"k": 10, "c": 0.1}, 1), Choice({"k": 40, "c": 0.3}, 0)]
    middle = average(choices, two)
    assert [middle.values["k"], middle.values["c"]] == pytest.approx([20, 0.2])
    assert middle.wording == 0
    assert average([choices[0], choices[0], choices[1]], two).wording == 1


def test_the_floor_moves_with_the_weights_and_refuses_the_same() -> None:
    before = default_profile().with_values({"floor": 0.2})
    assert kept_floor(before, before) == pytest.approx(0.2)
    after = before.with_values({"legs.text.weight": 2.1, "c": 0.1})
    least_cosine = before.c + 0.2 / before.legs.text.weight * (1 - before.c)
    assert kept_floor(before, after) == pytest.approx(2.1 * (least_cosine - 0.1) / 0.9)
    assert kept_floor(before.with_values({"floor": 0}), before.with_values({"c": 0.5})) == 0


def test_what_has_too_few_of_the_words_is_found_by_meaning_alone_or_without_vectors() -> None:
    features, _ = catalog(0.5, 0.5)
    features = replace(features, most=[np.full((QUERIES, CANDIDATES), np.nan)])
    assert all(len(skus) == 10 for skus in ranked(features, scores(features, PROFILE), 10).values())
    high = PROFILE.with_values({"floor": 9})
    assert not any(ranked(features, scores(features, high), 10).values())
    lexical = replace(features, vector_weight=np.zeros(QUERIES))
    assert all(ranked(lexical, scores(lexical, high), 10).values())


def test_a_query_that_the_model_reads_in_parts_has_to_be_nearer() -> None:
    features, _ = catalog(0.5, 0.5)
    features = replace(features, most=[np.full((QUERIES, CANDIDATES), np.nan)])
    read_half = replace(features, vector_weight=np.full(QUERIES, 0.8))
    whole, half = scores(features, PROFILE), scores(read_half, PROFILE)
    least = PROFILE.c + (1 - PROFILE.c) * 0.2
    assert np.array_equal(np.isfinite(half), features.parts["text vectors"] > least)
    hits = np.isfinite(half)
    assert whole[hits] - half[hits] == pytest.approx(PROFILE.legs.text.weight * 0.2)


def test_where_few_products_have_enough_words_and_vectors_are_noise_a_tuned_ranking_equals_bm25() -> None:
    """The way out has to leave the least share of words behind too."""
    features, judgments = catalog(by_words=1.0, by_meaning=0.0)
    few = np.random.default_rng(1).uniform(size=(QUERIES, CANDIDATES)) < 0.05
    features = replace(features, most=[np.where(few, features.words[0], np.nan)])
    choice = found(features, judgments)
    [plain] = words_alone_of(PROFILE, space())
    assert mean(plain, features, judgments) > mean(Choice({}), features, judgments) + 0.1
    assert mean(choice, features, judgments) >= mean(plain, features, judgments)


def test_a_gain_that_is_noise_and_one_under_bm25_are_refused_with_the_reason() -> None:
    rng = np.random.default_rng(0)
    before = rng.uniform(size=50)
    noise, gain = difference(before, before + rng.normal(0, 0.1, 50)), difference(before, before + 0.05)
    assert "is noise" in refusal(noise, gain, 0.6, 0.5, "bm25:cross_fields")
    assert "below bm25:best_fields" in refusal(gain, gain, 0.5, 0.6, "bm25:best_fields")
    assert "below bm25:cross_fields" in refusal(gain, difference(before, before - 0.1), 0.6, 0.5, "bm25:cross_fields")
    assert refusal(gain, gain, 0.6, 0.5, "bm25:cross_fields") == ""


def test_a_tuned_profile_is_written_as_what_it_inherits_and_what_changed(tmp_path: Path) -> None:
    (tmp_path / "shop.yaml").write_text(
        "inherits: default\nk: 25\npins: [{queries: lamp, skus: [L1]}]\n", encoding="utf-8"
    )
    start = load_profile(tmp_path / "shop.yaml")
    change = difference(np.zeros(9), np.full(9, 0.1))
    changes = {"k": (25, 31, 30, 33), "fields.brand.text": (2, 4, 2, 4), "legs.text.weight": (0.7, 1.1, 1, 2)}
    tuned = Tuned("nDCG@10", 9, 3, 20, {"x": estimate([0.1])}, change, change, start, changes, "")
    out = tmp_path / "shop-tuned.yaml"
    write_profile(profile_text(tuned, parent_of(str(tmp_path / "shop.yaml"), out)), out)
    written = load_profile(out)
    assert written.numbers == start.with_values({"k": 31, "fields.brand.text": 4, "legs.text.weight": 1.1}).numbers
    assert written.pins == start.pins
    for name, elsewhere in (
        (str(tmp_path / "shop.yaml"), tmp_path / "other" / "x.yaml"),
        ("shop", tmp_path / "a" / "x.yaml"),
    ):
        with pytest.raises(UsageError, match="which it inherits"):
            parent_of(name, elsewhere)
    with pytest.raises(UsageError, match="name another file"):
        parent_of(str(out), out)
