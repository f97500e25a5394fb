"""What finds a product, and what only ranks it: function words, weak fields, vectors of little weight."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from prodsim.mappings.bundle import SEARCH_TEMPLATE
from prodsim.plugin.cluster import inspect_cluster
from prodsim.plugin.config import Settings
from prodsim.plugin.query import ProductSearch
from prodsim.plugin.ranking.compile import compile_profile
from prodsim.plugin.ranking.files import default_profile
from prodsim.plugin.ranking.profile import Profile
from tests.catalog_files import load_products
from tests.conftest import open_shop

if TYPE_CHECKING:
    from prodsim.plugin.shop import Shop

WORDS_ALONE = default_profile().with_values({"legs.text.weight": 0})
ANY_VECTOR = [0.0] * 383 + [1.0]  # without one a single word would be enough
PRODUCTS: list[dict[str, Any]] = [
    {"sku": "kettle", "title": "Copper kettle for tea", "description": "Comes in a parcel, with a guarantee"},
    {"sku": "lamp", "title": "Desk lamp", "description": "Light for a long session; it has not expired in years"},
    {"sku": "monitor", "title": "Viewline 27-Inch Monitor"},
    {"sku": "smaller monitor", "title": 'Viewline 24" monitor with 27 presets'},
    {"sku": "drive", "title": "Portable SSD, 1 TB, 5000mAh"},
    {"sku": "bottle", "title": "Steel bottle 1,5 litres"},
    {"sku": "coat", "title": "防水外套"},
    {"sku": "tool", "title": "Pocket 5 in 1 tool"},
    {"sku": "boots", "title": "Hiking boots", "category": ["Shoes"], "tags": ["waterproof"], "brand": "Thorn"},
]


@pytest.fixture(scope="module", params=["2.19.1", "3.5.0"])
def few(request: pytest.FixtureRequest, settings_for: Callable[..., Settings]) -> Iterator[Shop]:
    others = {} if request.param == "2.19.1" else {"engine_url": request.getfixturevalue("engine_3_url")}
    with open_shop(settings_for("finding", **others)) as opened:
        load_products(opened, PRODUCTS)
        yield opened


def scores(shop: Shop, query: str, profile: Profile, **params: Any) -> dict[str, float]:
    version = inspect_cluster(shop.client).version
    source = compile_profile(profile, ["text_vector_384"], version)[SEARCH_TEMPLATE]
    body = {"source": source, "params": {"q": query, "vector": ANY_VECTOR, **params}}
    answer = shop.client.search_template(index=shop.settings.alias, body=body)
    return {hit["_id"]: hit["_score"] for hit in answer["hits"]["hits"]}


def found(shop: Shop, query: str, profile: Profile = WORDS_ALONE) -> set[str]:
    return set(scores(shop, query, profile))


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("copper kettle", {"kettle"}),  # both of two
        ("kettle of steel", set()),  # one of two
        ("waterproof thorn sandals", {"boots"}),  # two of three, in different fields
        ("waterproof green sandals", set()),
        ("do you have hiking boots", {"boots"}),  # function words are not counted, whether they are there or not
        ("what is my kettle like", {"kettle"}),
        ("where is my parcel", set()),  # only in a description
        ("your session has expired", set()),
        ("kettle with a guarantee", {"kettle"}),  # all words, the description's among them
        ("lamp expired", {"lamp"}),
    ],
)
def test_enough_content_words_in_strong_fields_or_all_words_find_a_product(
    few: Shop, query: str, expected: set[str]
) -> None:
    assert found(few, query) == expected


@pytest.mark.parametrize(
    ("queries", "expected"),
    [
        (
            ["27 inch monitor", '27" monitor', "27in monitor", "27-inch monitor", "27 inches monitor", "27″ monitor"],
            "monitor",
        ),
        (["24 inch monitor", "monitor 24 in."], "smaller monitor"),
        (["ssd 1tb", "1 terabyte ssd", "5,000 mah ssd", "5000 mAh ssd"], "drive"),
        (["1.5l bottle", "bottle 1.5 liter", "1,5 L bottle"], "bottle"),
        (["5 in 1 tool", "5-in-1 tool"], "tool"),
    ],
)
def test_a_size_is_found_however_it_is_written(few: Shop, queries: list[str], expected: str) -> None:
    assert {query: found(few, query) for query in queries} == {query: {expected} for query in queries}


def test_a_size_is_shown_whole_where_it_was_found(few: Shop) -> None:
    body = {"id": SEARCH_TEMPLATE, "params": {"q": "27in monitor", "highlight": True, "vector": ANY_VECTOR}}
    [hit] = few.client.search_template(index=few.settings.alias, body=body)["hits"]["hits"]
    assert hit["highlight"]["title"] == ["Viewline <em>27-Inch</em> <em>Monitor</em>"]


def test_a_profile_may_be_content_with_one_word_wherever_it_is(few: Shop) -> None:
    one = WORDS_ALONE.words.model_copy(update={"minimum_should_match": "1"})
    profile = WORDS_ALONE.model_copy(update={"words": one})
    assert found(few, "where is my parcel", profile) == {"kettle"}
    assert found(few, "has it", profile) == {"lamp"}


def test_a_profile_without_weak_fields_is_found_by_its_descriptions(few: Shop) -> None:
    everywhere = WORDS_ALONE.words.model_copy(update={"weak_fields": ()})
    assert found(few, "your session has expired", WORDS_ALONE.model_copy(update={"words": everywhere})) == {"lamp"}


def test_a_vector_of_less_weight_has_to_be_nearer_and_brings_less(few: Shop) -> None:
    stored = few.client.get(index=few.settings.alias, id="boots")["_source"]["text_vector_384"]
    meaning_alone = default_profile().with_values({"words.weight": 0, "all_words.weight": 0})
    whole = scores(few, "xqzvw", meaning_alone, vector=stored)
    less = scores(few, "xqzvw", meaning_alone, vector=stored, vector_weight=0.8)
    none = scores(few, "xqzvw", meaning_alone, vector=stored, vector_weight=0.0001)
    points = meaning_alone.legs.text.weight
    assert whole["boots"] == pytest.approx(points, abs=1e-5)
    assert less["boots"] == pytest.approx(0.8 * points, abs=1e-5)
    assert set(less) == {sku for sku, score in whole.items() if score > 0.2 * points}
    assert set(none) == {"boots"}


def test_a_language_that_the_model_does_not_know_needs_more_than_a_chance_likeness(few: Shop) -> None:
    search = ProductSearch(few.client, few.settings.alias, few.embedder)
    foreign, ordinary = "Mkutano umeahirishwa hadi wiki ijayo", "boots for a walk in the rain"
    weights = [vector.weight for text in (foreign, ordinary) if (vector := search.query_vector(text))]
    assert weights == [pytest.approx(0.75), 1]
    assert "boots" in {hit.sku for hit in search.search(ordinary).hits}
    assert not search.search(foreign).hits


def test_a_query_that_means_nothing_to_the_model_is_found_by_one_word(few: Shop) -> None:
    search = ProductSearch(few.client, few.settings.alias, few.embedder)
    assert search.query_vector("青色の防水手袋とマフラー") is None
    assert [hit.sku for hit in search.search("青色の防水手袋とマフラー").hits] == ["coat"]
