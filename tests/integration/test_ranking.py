"""Ranking profiles on the real engine: what rules and signals promise, whatever the profile, the query, the product."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from prodsim.plugin.cluster import inspect_cluster
from prodsim.plugin.errors import CheckFailed
from prodsim.plugin.query import ProductSearch
from prodsim.plugin.query_vector import query_vectors
from prodsim.plugin.ranking import store
from prodsim.plugin.ranking.applying import apply_profile, rollback
from prodsim.plugin.ranking.checking import check_profile
from prodsim.plugin.ranking.compile import compile_profile
from prodsim.plugin.ranking.explain import explained
from prodsim.plugin.ranking.files import default_profile, load_profile
from prodsim.plugin.ranking.profile import Profile
from tests.catalog_files import load_products
from tests.conftest import ROOT

if TYPE_CHECKING:
    from prodsim.plugin.shop import Shop

QUERIES = [entry["query"] for entry in json.loads((ROOT / "examples" / "judgments.json").read_text())["queries"]]
VECTOR = "text_vector_384"
TRIPLES = 200

COMPILATIONS = "script.context.template.max_compilations_rate"
FACET_VALUES = 50  # most that a facet shows, the largest first


@pytest.fixture(scope="module", autouse=True)
def many_profiles(engine_url: str) -> Iterator[None]:
    """An engine as it comes compiles 75 templates in five minutes, and a run on a fast machine tries more profiles."""
    from opensearchpy import OpenSearch

    client = OpenSearch(engine_url)
    client.cluster.put_settings(body={"persistent": {COMPILATIONS: "1000/1m"}})
    yield
    client.cluster.put_settings(body={"persistent": {COMPILATIONS: None}})


def source(shop: Shop, profile: Profile, template: str = "prodsim-search") -> str:
    return compile_profile(profile, ["text_vector_384"], inspect_cluster(shop.client).version)[template]


def ask(shop: Shop, text: str, explain: bool = False, **params: Any) -> dict[str, Any]:
    body = {"source": text, "params": params, "explain": explain}
    answer: dict[str, Any] = shop.client.search_template(index=shop.settings.alias, body=body)
    return answer


def skus(answer: dict[str, Any]) -> list[str]:
    return [hit["_id"] for hit in answer["hits"]["hits"]]


@pytest.fixture(params=["2.19.1", "3.5.0"])
def catalog(request: pytest.FixtureRequest) -> Shop:
    """The example shop on both engines: one calls the embedder itself, the other is given vectors."""
    shop: Shop = request.getfixturevalue("example" if request.param == "2.19.1" else "example_3")
    return shop


def question(shop: Shop, query: str) -> dict[str, Any]:
    if inspect_cluster(shop.client).has_ml:
        return {"q": query}
    [vector] = query_vectors(shop.embedder, [query])
    return {"q": query} | (vector.params if vector else {})


def random_profile(chance: random.Random) -> Profile:
    """The default with random signals, strengths and weights."""
    return default_profile().with_values(
        {
            "signals.rating.strength": chance.choice([0, 0.3, 1]),
            "signals.popularity.strength": chance.choice([0, 0.5, 3]),
            "signals.recency.strength": chance.choice([0, 0.4]),
            "signals.discount.strength": chance.choice([0, 0.5]),
            "signals.price.strength": chance.choice([0, 0.3]),
            "signals.stock.factor": chance.choice([0, 0.3, 0.9]),
            "legs.text.weight": chance.choice([0, 0.4, 0.7]),
            "floor": chance.choice([0, 0.2]),
        }
    )


def test_the_parts_of_500_hits_multiply_out_to_their_scores(catalog: Shop) -> None:
    chance = random.Random(3)
    seen = 0
    while seen < 500:
        text = source(catalog, random_profile(chance))
        hits = ask(catalog, text, explain=True, size=50, **question(catalog, chance.choice(QUERIES)))["hits"]["hits"]
        for hit in hits:
            assert explained(hit["_explanation"]).product == pytest.approx(hit["_score"], rel=1e-5)
        seen += len(hits)


def test_more_stock_rating_or_popularity_never_lowers_a_product(shop: Shop) -> None:
    """Twins that differ in one figure alone: the one that has more never scores less."""
    chance = random.Random(4)
    products = []
    for number in range(TRIPLES):
        base: dict[str, Any] = {
            "title": f"{chance.choice(['red', 'blue'])} {chance.choice(['lamp', 'chair', 'shoe'])}",
            "stock": chance.choice([0, 3]),
            "rating": chance.choice([1.0, 3.0, 4.5]),
            "rating_count": chance.choice([1, 5, 200]),
            "popularity": chance.choice([0, 10, 500]),
            "price": chance.choice([5, 50]),
        }
        field = chance.choice(["stock", "rating", "popularity"])
        more = {
            **base,
            field: base[field] + chance.choice([0.5 if field == "rating" else 1, 0.4 if field == "rating" else 90]),
        }
        products += [{"sku": f"{number}-less", **base}, {"sku": f"{number}-more", **more}]
    load_products(shop, products)
    for _ in range(8):
        # twins have one vector: both have to be among the nearest
        text = source(shop, random_profile(chance).with_values({"legs.text.candidates": 1000}))
        hits = ask(shop, text, size=1000, q=chance.choice(["red lamp", "blue chair", "shoe"]))["hits"]["hits"]
        scores = {hit["_id"]: hit["_score"] for hit in hits}
        pairs = [sku.removesuffix("-less") for sku in scores if sku.endswith("-less")]
        assert all(scores.get(f"{pair}-more", 0) >= scores[f"{pair}-less"] for pair in pairs)


def test_pins_stand_in_their_places_and_hidden_products_never_show(catalog: Shop) -> None:
    chance = random.Random(5)
    everything = skus(ask(catalog, source(catalog, default_profile()), size=1000))
    for _ in range(25):
        query = chance.choice(QUERIES)
        chosen = chance.sample(everything, 5)
        rules = {
            "pins": [{"queries": [f"  {query.upper()} "], "skus": chosen[:3]}],
            "hides": [{"skus": chosen[3:]}],
        }
        profile = Profile.model_validate({**random_profile(chance).model_dump(by_alias=True), **rules})
        found = skus(ask(catalog, source(catalog, profile), size=100, **question(catalog, query)))
        assert found[:3] == chosen[:3]
        assert not set(found) & set(chosen[3:])
        other = skus(ask(catalog, source(catalog, profile), size=100, **question(catalog, f"{query} x")))
        assert other[:3] != chosen[:3]


def test_a_rule_holds_between_its_dates_alone(example: Shop) -> None:
    base = default_profile().model_dump(by_alias=True)
    for dates, holds in (
        ({"from": "2020-01-01"}, True),
        ({"until": "2020-01-01"}, False),
        ({"from": "2020-01-01", "until": "2999-01-01"}, True),
        ({"from": "2999-01-01"}, False),
    ):
        profile = Profile.model_validate({**base, "pins": [{"queries": "lamp", "skus": "LOUN-04-1", **dates}]})
        assert (skus(ask(example, source(example, profile), q="Lamp"))[:1] == ["LOUN-04-1"]) is holds


def test_pages_put_together_are_one_large_page(catalog: Shop) -> None:
    text = source(catalog, default_profile())
    for query in QUERIES[:10]:
        asked = question(catalog, query)
        whole = skus(ask(catalog, text, size=60, **asked))
        paged: list[str] = []
        by_number: list[str] = []
        more: dict[str, Any] = {}
        for page in range(9):
            answer = ask(catalog, text, size=7, **(asked | more))
            by_number += skus(ask(catalog, text, **(asked | {"size": 7, "from": page * 7})))
            paged += skus(answer)
            if not answer["hits"]["hits"]:
                break
            more = {"search_after": answer["hits"]["hits"][-1]["sort"]}
        assert paged[:60] == whole
        assert by_number[:60] == whole


def test_a_facet_counts_as_if_its_own_filter_were_off(catalog: Shop) -> None:
    text = source(catalog, default_profile())
    filters: dict[str, dict[str, Any]] = {
        "brand": {"brand": ["Tarnfell", "Aldersund"]},
        "category": {"category": "Outdoor clothing"},
        "attributes.color": {"filters": [{"field": "attributes.color", "values": ["navy", "black"]}]},
        "price": {"price_max": 150},
    }
    for query in ("warm jacket", "trousers for hiking"):
        for chosen in (["brand"], ["brand", "category"], ["category", "attributes.color", "price"], list(filters), []):
            asked = question(catalog, query) | {"facets": ["brand", "category", "attributes.color"]}
            on = {name: filters[name] for name in chosen}
            answer = ask(catalog, text, size=0, **asked, **merged(on))
            for facet in asked["facets"]:
                others = merged({name: values for name, values in on.items() if name != facet})
                hits = ask(catalog, text, size=1000, **asked, **others)["hits"]["hits"]
                counted = Counter(value for hit in hits for value in values_of(hit["_source"], facet))
                buckets = answer["aggregations"][facet]["buckets"]
                shown = sorted(counted.items(), key=lambda value: (-value[1], value[0]))[:FACET_VALUES]
                assert {bucket["key"]: bucket["doc_count"] for bucket in buckets} == dict(shown)
            assert answer["aggregations"]["products"]["doc_count"] == answer["hits"]["total"]["value"]


def merged(filters: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return {name: value for parameters in filters.values() for name, value in parameters.items()}


def values_of(product: dict[str, Any], facet: str) -> list[str]:
    head, _, rest = facet.partition(".")
    value = product.get(head, {}).get(rest) if rest else product.get(head)
    return value if isinstance(value, list) else [value] if value is not None else []


def test_liked_and_recommended_products_leave_out_what_is_known_with_its_variants(example: Shop) -> None:
    stored = example.client.mget(index="example", body={"ids": ["FLAS-01-1", "LOUN-04-1"]})["docs"]
    groups = {doc["_source"]["variant_group"] for doc in stored}
    for template, asked in (
        ("prodsim-like", {"liked": ["FLAS-01-1"], "disliked": ["LOUN-04-1"]}),
        ("prodsim-recommend", {"skus": ["FLAS-01-1", "LOUN-04-1"], "seen": ["FLAS-03-2"]}),
    ):
        body = {"id": template, "params": {**asked, "size": 30}}
        hits = example.client.search_template(index="example", body=body)["hits"]["hits"]
        assert len(hits) > 5
        assert not groups & {hit["_source"]["variant_group"] for hit in hits}
        assert "FLAS-03-2" not in [hit["_id"] for hit in hits] or template == "prodsim-like"


def test_a_call_may_have_products_alike_by_vectors_alone(catalog: Shop) -> None:
    search = ProductSearch(catalog.client, catalog.settings.alias)
    weighed = search.similar("FLAS-01-1", size=20, explain=True).hits
    alone = search.similar(
        "FLAS-01-1", size=20, explain=True, weights={"words": 0, "attributes": 0, "identifiers": 0}
    ).hits
    parts = [
        {name for hit in hits if hit.explanation for name in explained(hit.explanation).parts}
        for hits in (weighed, alone)
    ]
    assert parts[0] >= {"text vectors", "words", "attributes"}
    shown = [explained(hit.explanation) for hit in alone if hit.explanation]
    assert [one.blend for one in shown] == pytest.approx([one.parts["text vectors"] for one in shown])


def test_what_is_typed_so_far_finds_titles_and_a_misspelling_is_seen(example: Shop) -> None:
    body: dict[str, Any] = {"id": "prodsim-suggest", "params": {"q": "rain ja"}}
    hits = example.client.search_template(index="example", body=body)["hits"]["hits"]
    assert hits
    assert all("rain ja" in hit["_source"]["title"].lower() for hit in hits)
    body["params"]["q"] = "waterprof jaket"
    [entry] = example.client.search_template(index="example", body=body)["suggest"]["spelling"]
    assert entry["options"][0]["text"] in ("waterproof jacket", "waterproof jackets")


def test_a_model_number_in_any_punctuation_finds_its_product_first(shop: Shop) -> None:
    load_products(
        shop,
        [
            {"sku": "a", "title": "Sony headphones WH-1000XM4", "gtin": ["4006381333931"]},
            {"sku": "b", "title": "Sony headphones WH-1000XM5 black"},
            {"sku": "c", "title": "Sony wireless headphones with noise cancelling"},
        ],
    )
    text = source(shop, default_profile())
    for query in (
        "sony wh 1000 xm4",
        "WH1000XM4",
        "wireless headphones wh-1000xm4",
        "4006381333931",
        "EAN 4006381-333931",
    ):
        assert skus(ask(shop, text, q=query))[:1] == ["a"], query


@pytest.fixture
def applied_nothing(example: Shop) -> Iterator[Shop]:
    yield example
    store.write_versions(example.client, [])
    from prodsim.plugin.ranking.applying import install

    install(example.client, default_profile(), dry_run=False)


def test_an_applied_profile_survives_setup_and_a_rollback_brings_the_one_before(
    applied_nothing: Shop, settings_for: Callable[..., Any], tmp_path: Path
) -> None:
    from prodsim.plugin.setup import setup

    shop = applied_nothing
    file = tmp_path / "pinned.yaml"
    file.write_text("pins: [{queries: lamp, skus: LOUN-04-1}]\n")
    body = {"id": "prodsim-search", "params": {"q": "lamp", "size": 1}}
    first = skus(shop.client.search_template(index="example", body=body))
    apply_profile(shop.client, "example", load_profile(file))
    setup(shop.client, shop.settings, shop.model)
    assert skus(shop.client.search_template(index="example", body=body)) == ["LOUN-04-1"]
    assert rollback(shop.client).profile == "default"
    assert skus(shop.client.search_template(index="example", body=body)) == first != ["LOUN-04-1"]


def test_a_check_says_everything_at_once_and_a_bad_profile_is_not_applied(
    applied_nothing: Shop, tmp_path: Path
) -> None:
    shop = applied_nothing
    file = tmp_path / "bad.yaml"
    file.write_text(
        """
fields: {titel: 2}
signals: {margin: {strength: 0.5}, price: {point: 3}}
pins:
  - {queries: [lamp, chair], skus: LOUN-04-1, until: 2030-01-01}
  - {queries: Lamp, skus: NO-SUCH, from: 2029-01-01}
hides: [{skus: LOUN-04-1}]
boosts: [{field: colour, values: red, factor: 2}]
"""
    )
    profile = load_profile(file)
    said = "\n".join(problem.message for problem in check_profile(profile, shop.client, "example"))
    for part in (
        "titel",
        "title",
        "margin: no product",
        "signals.price",
        "overlaps with pins.0",
        "NO-SUCH",
        "hides.0",
        "colour",
    ):
        assert part in said
    with pytest.raises(CheckFailed, match="titel"):
        apply_profile(shop.client, "example", profile)
    assert store.read_versions(shop.client) == []
