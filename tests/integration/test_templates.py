"""The stored templates as any OpenSearch client sees them: what parameters do, and what they can't do."""

from __future__ import annotations

import json
from itertools import islice, product
from string import ascii_lowercase as LETTERS
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from opensearchpy.exceptions import RequestError, SerializationError, TransportError

if TYPE_CHECKING:
    from opensearchpy import OpenSearch

    from prodsim.plugin.shop import Shop

SEARCH, SIMILAR = "prodsim-search", "prodsim-similar"
HOSTILE = [
    'quote " and \\ backslash',
    "line\nbreak\ttab\r\x00\x1f",
    "${x} ${parameters.input} ${credential.key}",
    "{{x}} {{{q}}} {{#q}}{{/q}} {{=<% %>=}}",
    '"}}}],"query":{"match_all":{}},"size":10000,"x":[{"y":{"z":"',
    ']}},{"match_all":{}}',
    "\u2028 \ud7ff \uffff 👟🏃‍♀️ 跑步鞋 зимняя куртка",
    "<script>alert(1)</script> &amp; ' ` $(id)",
    "../../_cluster/settings?x=1#y",
    "",
    " ",
]
PARAMETERS = (
    "q sku size from category brand price_min price_max in_stock sort facets vector fields variant_group filters "
    "search_after collapse highlight spelling weights liked disliked skus seen image_vector photo source_price "
    "vector_weight"
)
TEMPLATES = [SEARCH, SIMILAR, "prodsim-like", "prodsim-recommend", "prodsim-similar-image"]
hostile_text = st.one_of(st.sampled_from(HOSTILE), st.text(max_size=60))
json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-9, 10**12), st.floats(allow_nan=False), hostile_text),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(hostile_text, inner, max_size=3)),
    max_leaves=6,
)
unhurried = settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


def run(shop: Shop, template: str, **params: Any) -> dict[str, Any]:
    answer: dict[str, Any] = shop.client.search_template(
        index=shop.settings.alias, body={"id": template, "params": params}
    )
    return answer


def skus(answer: dict[str, Any]) -> list[str]:
    return [hit["_id"] for hit in answer["hits"]["hits"]]


def rendered(client: OpenSearch, template: str, params: dict[str, Any]) -> dict[str, Any] | None:
    """The query that a template makes of these parameters; None where the engine refuses to make one."""
    try:
        answer = client.transport.perform_request("POST", f"/_render/template/{template}", body={"params": params})
    except (RequestError, SerializationError):  # what is no JSON is refused when it is searched with
        return None
    output: dict[str, Any] = (json.loads(answer) if isinstance(answer, str) else answer)["template_output"]
    return output


def shape(value: Any) -> Any:
    """The structure without its leaves: two queries of one shape differ in values alone."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [shape(inner) for inner in value]
    return "leaf"


@pytest.mark.parametrize("template", [SEARCH, SIMILAR])
@unhurried
@given(text=hostile_text.filter(bool))
def test_no_text_changes_the_structure_of_the_query(example_shop: Shop, template: str, text: str) -> None:
    name = "q" if template == SEARCH else "sku"
    plain = {name: "plain", "category": "plain", "brand": ["plain", "other"], "fields": ["plain"]}
    hostile = {name: text, "category": text, "brand": [text, "other"], "fields": [text]}
    output = rendered(example_shop.client, template, hostile)
    assert output is not None
    assert shape(output) == shape(rendered(example_shop.client, template, plain))
    terms = json.dumps(output["query"]["bool"]["filter"], ensure_ascii=False)
    assert json.dumps(text, ensure_ascii=False) in terms


@pytest.mark.parametrize("template", TEMPLATES)
@unhurried
@given(
    params=st.dictionaries(
        st.sampled_from(PARAMETERS.split()),
        json_values,
        max_size=4,
    )
)
@example(params={"vector": '],"k":1}},"x":[{'})
@example(params={"vector": {"size": 3, "a": [1]}})
@example(params={"sort": {"_script": {"script": "1"}}, "facets": {"size": 3}})
@example(params={"weights": {"words": '1}},{"match_all":{}}', "price": "x"}})
@example(params={"filters": [{"field": '"x":1,"y', "values": ['"]}},{"match_all":{}}']}], "facets": ["brand"]})
@example(params={"search_after": '1],"query":{"match_all":{}}'})
@example(params={"liked": '"]}},{"match_all":{}}', "skus": ['"', 1], "seen": {"size": 1}})
@example(params={"q": "x", "vector": [0.1] * 384, "vector_weight": '1"}},{"match_all":{'})
@example(params={"size": '10,"query":{"match_all":{}}'})
def test_whatever_the_parameters_are_the_query_keeps_its_parts_or_is_refused(
    example_shop: Shop, template: str, params: dict[str, Any]
) -> None:
    refused = status_of(example_shop, template, params) in (400, 413)
    output = rendered(example_shop.client, template, params)
    if output is None:
        assert refused
        return
    parts = {"size", "from", "search_after", "min_score", "_source", "sort", "collapse", "post_filter", "aggs", "query"}
    assert set(output) <= parts | {"highlight", "suggest"}
    [scored] = output["query"]["bool"]["must"]
    assert set(scored["function_score"]) == {"query", "functions", "score_mode", "boost_mode"}
    assert set(scored["function_score"]["query"]["script_score"]) == {"query", "script"}
    pins = {"should"} if template == SEARCH else set()
    assert set(output["query"]["bool"]) == {"must", "filter", "must_not"} | pins
    assert "text_vector_*" in output["_source"]["excludes"]
    for clause in output["sort"]:
        assert len(clause) == 1
    for facet in output.get("aggs", {}).values():
        assert set(facet) <= {"terms", "stats", "range", "filter"}
        assert len(facet) == 1


def status_of(shop: Shop, template: str, params: dict[str, Any]) -> int:
    """200, 400 or 413; anything else, and a bad parameter would look like a fault of the engine."""
    try:
        run(shop, template, **params)
    except TransportError as error:
        status = int(error.status_code)
    else:
        status = 200
    after = params.get("search_after")
    # a plain query with a search_after of null for a sort by a number gets the same 500, a NullPointerException
    engines_own = status == 500 and isinstance(after, list) and None in after
    assert status in (200, 400, 413) or engines_own
    return status


@pytest.fixture(scope="module")
def example_shop(example: Shop) -> Shop:
    """`example`, under a name that hypothesis' decorator of that name leaves free."""
    return example


@pytest.mark.parametrize("text", [*HOSTILE, "jacket " * 1430, "x" * 10_000, "ab " * 3334])
def test_hostile_and_endless_queries_are_answered(example_shop: Shop, text: str) -> None:
    answer = run(example_shop, SEARCH, q=text, size=3)
    assert answer["timed_out"] is False
    assert answer["_shards"]["failed"] == 0


def distinct_words(count: int) -> str:
    return " ".join(f"{first}{second}{third}o" for first, second, third in islice(product(LETTERS, repeat=3), count))


@pytest.mark.parametrize("template", [SEARCH, "prodsim-suggest"])
@pytest.mark.parametrize(
    "text",
    [
        distinct_words(2000),
        "".join(map(chr, range(0x4E00, 0x4E00 + 2000))),
        " ".join(f"AB-{number}" for number in range(2000)),
        " ".join(str(4006381330000 + number) for number in range(1000)),
    ],
    ids=["words", "Chinese", "codes", "trade item numbers"],
)
def test_a_query_of_thousands_of_different_words_asks_for_no_more_clauses_than_the_engine_allows(
    example_shop: Shop, template: str, text: str
) -> None:
    answer = run(example_shop, template, q=text, size=3)
    assert answer["_shards"]["failed"] == 0


def test_a_long_query_is_understood_by_its_beginning(example_shop: Shop) -> None:
    long = "waterproof jacket for hiking in the rain " + "and so on " * 990
    assert len(long) > 9_900
    assert "jacket" in run(example_shop, SEARCH, q=long, size=1)["hits"]["hits"][0]["_source"]["title"]


@pytest.mark.parametrize(
    "query", ["warm jacket for the mountains", 'warm "jacket" for the\nmountains \\', "warm jacket 🏔️ for the mountains"]
)
def test_quotes_line_breaks_and_emoji_reach_the_embedder(example_shop: Shop, query: str) -> None:
    hits = run(example_shop, SEARCH, q=query, size=5)["hits"]["hits"]
    assert all("Jackets" in " ".join(hit["_source"]["category"]) for hit in hits)


def test_meaning_finds_what_no_word_says(example_shop: Shop) -> None:
    hits = run(example_shop, SEARCH, q="sneakers", size=5)["hits"]["hits"]
    assert hits
    assert all(hit["_source"]["category"][0] == "Shoes" for hit in hits)
    assert not any("sneaker" in hit["_source"]["title"].lower() for hit in hits)


@pytest.mark.parametrize("sort", [{}, {"sort": {"price": "asc"}}])
def test_every_hit_carries_its_score_whatever_the_order(example_shop: Shop, sort: dict[str, Any]) -> None:
    hits = run(example_shop, SEARCH, q="running shoes", size=5, **sort)["hits"]["hits"]
    assert len(hits) == 5
    assert all(hit["_score"] > 0 for hit in hits)


def test_filters_facets_sort_and_pages_work_on_blended_results(example_shop: Shop) -> None:
    asked: dict[str, Any] = {
        "q": "warm jacket",
        "category": "Outdoor clothing",
        "sort": {"price": "asc"},
        "facets": True,
    }
    whole = run(example_shop, SEARCH, **asked, size=20)
    assert all("Outdoor clothing" in hit["_source"]["category"] for hit in whole["hits"]["hits"])
    prices = [hit["_source"]["price"] for hit in whole["hits"]["hits"]]
    assert prices == sorted(prices)
    assert len(prices) == 20
    pages = [run(example_shop, SEARCH, **asked, size=7, **{"from": start}) for start in (0, 7, 14)]
    assert [sku for page in pages for sku in skus(page)][:20] == skus(whole)
    facets = whole["aggregations"]
    total = whole["hits"]["total"]["value"]
    assert facets["products"]["doc_count"] == total
    assert facets["price"]["min"] == prices[0]
    assert {"category", "brand", "tags", "rating", "in_stock"} <= set(facets)


def test_several_values_mean_any_of_them(example_shop: Shop) -> None:
    brands = ["Tarnfell", "Aldersund"]
    found = run(example_shop, SEARCH, q="jacket", brand=brands, size=100)
    assert {hit["_source"]["brand"] for hit in found["hits"]["hits"]} == set(brands)
    alone = [run(example_shop, SEARCH, q="jacket", brand=brand, size=100)["hits"]["total"]["value"] for brand in brands]
    assert found["hits"]["total"]["value"] == sum(alone)


def test_price_and_stock_filters_hold(example_shop: Shop) -> None:
    hits = run(example_shop, SEARCH, q="shoes", price_min=50, price_max="90.5", in_stock=True, size=50)["hits"]["hits"]
    assert hits
    assert all(50 <= hit["_source"]["price"] <= 90.5 and hit["_source"]["stock"] > 0 for hit in hits)


def test_a_filter_does_not_starve_the_meaning(example_shop: Shop) -> None:
    """Neighbours are looked for among the products that pass, not filtered out of the nearest of all."""
    hits = run(example_shop, SEARCH, q="footwear", category="Toys & games", size=5)["hits"]["hits"]
    everything = run(example_shop, SEARCH, q="board game", category="Toys & games", size=200)["hits"]["total"]["value"]
    assert all("Toys & games" in hit["_source"]["category"] for hit in hits)
    assert everything > 10


def test_without_a_query_all_products_that_pass_are_listed(example_shop: Shop) -> None:
    assert run(example_shop, SEARCH)["hits"]["total"]["value"] == 689
    assert run(example_shop, SEARCH, category="Shoes", sort="price")["hits"]["total"]["value"] > 0


@pytest.mark.parametrize(
    ("params", "part_of_the_reason"),
    [
        ({"q": "x", "sort": "no_such_field"}, "No mapping found for [no_such_field]"),
        ({"q": "x", "sort": {"price": "sideways"}}, "SIDEWAYS"),
        ({"q": "x", "price_min": "cheap"}, "cheap"),
        ({"q": "x", "size": "many"}, "many"),
        ({"q": "x", "vector": [0.1, 0.2]}, "dimension"),
        ({"q": "x", "vector": "0.1,0.2"}, "vector"),
        ({"q": "jacket", "vector": [0.1] * 384, "vector_weight": "much"}, "much"),
    ],
)
def test_a_bad_parameter_is_refused_with_its_value(
    example_shop: Shop, params: dict[str, Any], part_of_the_reason: str
) -> None:
    with pytest.raises(RequestError) as refused:
        run(example_shop, SEARCH, **params)
    assert part_of_the_reason in json.dumps(refused.value.info)


def test_similar_products_leave_out_the_product_and_its_variants(example_shop: Shop) -> None:
    source = example_shop.client.get(index="example", id="FLAS-01-1")["_source"]
    answer = run(example_shop, SIMILAR, sku="FLAS-01-1", size=20)
    groups = {hit["_source"]["variant_group"] for hit in answer["hits"]["hits"]}
    assert len(skus(answer)) == 20
    assert source["variant_group"] not in groups
    best = answer["hits"]["hits"][0]["_source"]
    assert best["category"][0] == source["category"][0]


def test_similar_products_take_the_same_filters(example_shop: Shop) -> None:
    answer = run(example_shop, SIMILAR, sku="FLAS-01-1", price_max=20, sort={"price": "desc"}, facets=["brand"], size=5)
    prices = [hit["_source"]["price"] for hit in answer["hits"]["hits"]]
    assert prices == sorted(prices, reverse=True)
    assert max(prices) <= 20
    assert answer["aggregations"]["brand"]["buckets"]


def test_an_unknown_product_has_no_similar_ones(example_shop: Shop) -> None:
    assert run(example_shop, SIMILAR, sku='no "such" product')["hits"]["total"]["value"] == 0


def test_vectors_are_never_shown(example_shop: Shop) -> None:
    for fields in (["*"], ["text_vector_384", "title"], None):
        params = {"q": "mug", "size": 1} | ({"fields": fields} if fields else {})
        [hit] = run(example_shop, SEARCH, **params)["hits"]["hits"]
        assert "title" in hit["_source"]
        assert not any("vector" in name for name in hit["_source"])


def test_an_ordinary_query_on_the_alias_passes_untouched(example_shop: Shop) -> None:
    body = {"query": {"match": {"title": "mug"}}, "aggs": {"brands": {"terms": {"field": "brand"}}}}
    with_pipeline = example_shop.client.search(index="example", body=body)
    without = example_shop.client.search(index="example", body=body, params={"search_pipeline": "_none"})
    assert with_pipeline["hits"] == without["hits"]
    assert with_pipeline["aggregations"] == without["aggregations"]


def test_the_embedder_is_asked_once_a_query(example_shop: Shop) -> None:
    def calls() -> int:
        stats = example_shop.client.transport.perform_request("GET", "/_plugins/_ml/stats")
        [node] = stats["nodes"].values()
        return int(node["algorithms"]["remote"]["predict"]["ml_action_request_count"])

    before = calls()
    for number in range(5):
        run(example_shop, SEARCH, q=f"jacket {number}", facets=True, size=3)
    assert calls() - before == 5
    run(example_shop, SEARCH, category="Shoes")
    assert calls() - before == 5


def test_the_explanation_and_the_profile_of_the_engine_stay(example_shop: Shop) -> None:
    body = {"id": SEARCH, "params": {"q": "mug", "size": 1}, "explain": True, "profile": True}
    answer = example_shop.client.search_template(index="example", body=body)
    [hit] = answer["hits"]["hits"]
    assert hit["_explanation"]["value"] == pytest.approx(hit["_score"], rel=1e-5)
    assert answer["profile"]["shards"]
