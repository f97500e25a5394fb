"""docs/clients.md holds: its examples run as they stand, and print what it shows."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from opensearchpy.exceptions import RequestError

from prodsim.embedder.client import EmbedderClient
from tests.integration.clients.page import EXAMPLES, PAGE, adapted, is_part, output_of, require

if TYPE_CHECKING:
    from prodsim.plugin.shop import Shop

SEATS = "something to sit on in the garden"
FURNITURE = "Garden > Furniture"
MAVEN_TIMEOUT_S = 30


def run_curl(name: str, shop: Shop, folder: Path) -> Any:
    require("curl")
    return json.loads(output_of(["bash", "-c", adapted(name, shop)], folder))


def run_python(name: str, shop: Shop, folder: Path) -> str:
    script = folder / f"{name}.py"
    script.write_text(adapted(name, shop), encoding="utf-8")
    return output_of([sys.executable, str(script)], folder)


def search(shop: Shop, **params: Any) -> dict[str, Any]:
    answer: dict[str, Any] = shop.client.search_template(
        index=shop.settings.alias, body={"id": "prodsim-search", "params": params}
    )
    return answer


def skus(answer: dict[str, Any]) -> list[str]:
    return [hit["_id"] for hit in answer["hits"]["hits"]]


def params_of_the_python_script() -> dict[str, Any]:
    for statement in ast.parse(EXAMPLES["python"].code).body:
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "params":
            params: dict[str, Any] = ast.literal_eval(statement.value)
            return params
    raise AssertionError("the Python example has no params")


def test_every_block_of_code_on_the_page_is_an_example_that_runs() -> None:
    blocks = re.findall(r"```(bash|python|js|java)\n", PAGE)
    assert [example.language for example in EXAMPLES.values()] == blocks
    assert set(EXAMPLES) == {
        "curl-search",
        "curl-similar",
        "python",
        "npm",
        "javascript",
        "java",
        "curl-several",
        "curl-refused",
        "python-client-mode",
        "python-our-client",
    }


@pytest.mark.parametrize("name", [name for name in EXAMPLES if name.startswith("curl-")])
def test_curl_gets_the_answer_that_the_page_shows(name: str, example: Shop, tmp_path: Path) -> None:
    answer = run_curl(name, example, tmp_path)
    assert is_part(json.loads(EXAMPLES[name].output), answer), json.dumps(answer, ensure_ascii=False)


def test_meaning_finds_products_that_no_word_of_the_question_names(example: Shop, tmp_path: Path) -> None:
    assert SEATS in EXAMPLES["curl-search"].code
    hits = run_curl("curl-search", example, tmp_path)["hits"]["hits"]
    for hit in hits:
        title_words = set(re.findall(r"\w+", hit["_source"]["title"].lower()))
        assert not title_words & set(SEATS.split())
    in_furniture = search(example, category=FURNITURE, size=100)
    assert set(skus({"hits": {"hits": hits}})) <= set(skus(in_furniture))


def test_the_python_script_prints_what_the_page_shows(example: Shop, tmp_path: Path) -> None:
    assert run_python("python", example, tmp_path) == EXAMPLES["python"].output


def test_the_python_script_needs_ten_lines_and_opensearch_py_alone() -> None:
    code = EXAMPLES["python"].code
    assert len([line for line in code.splitlines() if line.strip()]) <= 10
    imported = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Import | ast.ImportFrom)]
    assert [ast.unparse(node) for node in imported] == ["from opensearchpy import OpenSearch"]


def test_the_python_script_gets_a_sorted_filtered_second_page_with_facets(example: Shop) -> None:
    params = params_of_the_python_script()
    second = search(example, **params)
    first = search(example, **params | {"from": 0})
    assert len(skus(first)) == len(skus(second)) == params["size"] == params["from"]
    assert not set(skus(first)) & set(skus(second))
    products = [hit["_source"] for page in (first, second) for hit in page["hits"]["hits"]]
    assert [product["price"] for product in products] == sorted(product["price"] for product in products)
    assert all(FURNITURE in product["category"] and product["stock"] > 0 for product in products)
    total = second["hits"]["total"]["value"]
    facets = second["aggregations"]
    assert facets["products"]["doc_count"] == total
    assert sum(bucket["doc_count"] for bucket in facets["brand"]["buckets"]) == total
    assert {bucket["key"]: bucket["doc_count"] for bucket in facets["category"]["buckets"]}[FURNITURE] == total


@pytest.fixture(scope="session")
def node_modules(home: Path) -> Path:
    """The JavaScript client of the page's version, installed once."""
    require("node", "npm")
    command = EXAMPLES["npm"].code.split()
    folder = home / "node" / command[-1].rpartition("@")[2]
    installed = folder / "node_modules"
    if not (installed / ".package-lock.json").exists():  # npm writes it last
        folder.mkdir(parents=True, exist_ok=True)
        output_of([*command, "--prefix", str(folder), "--no-audit", "--no-fund", "--ignore-scripts"], folder, 180)
    return installed


def test_the_javascript_prints_what_the_page_shows(example: Shop, node_modules: Path, tmp_path: Path) -> None:
    (tmp_path / "node_modules").symlink_to(node_modules)
    script = tmp_path / "search.mjs"
    script.write_text(adapted("javascript", example), encoding="utf-8")
    printed = output_of(["node", str(script)], tmp_path)
    assert printed == EXAMPLES["javascript"].output
    prices = [float(price) for price in re.findall(r"^[A-Z-\d]+ ([\d.]+) ", printed, re.MULTILINE)]
    assert prices == sorted(prices, reverse=True)
    assert len(prices) == 3


def test_the_java_prints_what_the_page_shows(example: Shop, home: Path, tmp_path: Path) -> None:
    require("mvn", "javac", "java")
    classpath = java_classpath(home, tmp_path)
    (tmp_path / "GardenSeats.java").write_text(adapted("java", example), encoding="utf-8")
    output_of(["javac", "-Xlint:-options", "-cp", classpath, "GardenSeats.java"], tmp_path)
    printed = output_of(["java", "-cp", os.pathsep.join([classpath, "."]), "GardenSeats"], tmp_path)
    assert printed == EXAMPLES["java"].output


def java_classpath(home: Path, folder: Path) -> str:
    """The jars that the page's coordinates bring, from a repository of the tests' own."""
    found = re.search(r"`(org\.opensearch\.client):(opensearch-java):([\d.]+)`", PAGE)
    assert found is not None
    group, artifact, version = found.groups()
    (folder / "pom.xml").write_text(
        f"""<project xmlns="http://maven.apache.org/POM/4.0.0">
          <modelVersion>4.0.0</modelVersion><groupId>tests</groupId><artifactId>tests</artifactId><version>1</version>
          <dependencies><dependency>
            <groupId>{group}</groupId><artifactId>{artifact}</artifactId><version>{version}</version>
          </dependency></dependencies>
        </project>""",
        encoding="utf-8",
    )
    jars = folder / "classpath"
    goal = ["dependency:build-classpath", f"-Dmdep.outputFile={jars}", f"-Dmaven.repo.local={home / 'maven'}"]
    try:
        output_of(["mvn", "-q", "-B", *goal], folder, MAVEN_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        pytest.skip(f"Maven took longer than {MAVEN_TIMEOUT_S} s: the Java of docs/clients.md did not run")
    return jars.read_text(encoding="utf-8").strip()


def test_with_a_vector_the_script_prints_the_same_with_and_without_ml_commons(
    example: Shop, example_3: Shop, tmp_path: Path
) -> None:
    printed = run_python("python-client-mode", example_3, tmp_path)
    assert printed == EXAMPLES["python-client-mode"].output
    assert run_python("python-client-mode", example, tmp_path) == printed


@pytest.fixture(scope="module")
def vector(example: Shop) -> list[float]:
    with EmbedderClient(example.settings.embedder_url) as embedder:
        vectors, _ = embedder.embed([SEATS], input_type="query")
    return [float(number) for number in vectors[0]]


@pytest.mark.parametrize("params", [{}, {"category": FURNITURE, "sort": {"price": "desc"}, "facets": True}])
def test_one_vector_gets_one_first_page_on_both_engines(
    example: Shop, example_3: Shop, vector: list[float], params: dict[str, Any]
) -> None:
    here, there = (search(shop, q=SEATS, vector=vector, **params) for shop in (example, example_3))
    assert skus(here) == skus(there)
    assert len(skus(here)) == 10
    assert here.get("aggregations") == there.get("aggregations")


def test_one_vector_gets_one_score_on_both_engines(example: Shop, example_3: Shop, vector: list[float]) -> None:
    scores = [
        {hit["_id"]: hit["_score"] for hit in search(shop, q=SEATS, vector=vector, size=100)["hits"]["hits"]}
        for shop in (example, example_3)
    ]
    assert scores[0] == pytest.approx(scores[1], abs=0.001)


def test_our_client_prints_what_the_page_shows(example: Shop, tmp_path: Path) -> None:
    assert run_python("python-our-client", example, tmp_path) == EXAMPLES["python-our-client"].output


@pytest.mark.parametrize(
    ("params", "same_as"),
    [
        (
            {"category": None, "brand": "", "price_min": "", "in_stock": "", "sort": [], "fields": [], "vector": None},
            {},
        ),
        ({"colour": "red"}, {}),
        ({"in_stock": False}, {}),
        ({"in_stock": "false"}, {"in_stock": True}),
        ({"sort": "price"}, {"sort": [{"price": "asc"}]}),
        ({"category": [FURNITURE]}, {"category": FURNITURE}),
    ],
)
def test_parameters_mean_what_the_table_says(example: Shop, params: dict[str, Any], same_as: dict[str, Any]) -> None:
    asked, expected = (search(example, q=SEATS, size=50, **given)["hits"] for given in (params, same_as))
    assert [hit["_source"] for hit in asked["hits"]] == [hit["_source"] for hit in expected["hits"]]


def test_the_last_part_of_a_category_path_is_no_category(example: Shop) -> None:
    assert skus(search(example, q="shoes", category="Shoes > Running shoes"))
    assert not skus(search(example, q="shoes", category="Running shoes"))


def test_size_0_gives_the_facets_alone(example: Shop) -> None:
    answer = search(example, q="shoes", size=0, facets=True)
    assert not skus(answer)
    facets = answer["aggregations"]
    assert set(facets) == {"category", "brand", "tags", "price", "rating", "in_stock", "products"}
    assert {"min", "max", "avg", "sum", "count"} == set(facets["price"])
    assert [bucket["from"] for bucket in facets["rating"]["buckets"]] == [1, 2, 3, 4]


def test_listed_facets_count_each_field_and_all_products(example: Shop) -> None:
    facets = search(example, q="shoes", facets=["attributes.color", "no_such_field"])["aggregations"]
    assert set(facets) == {"attributes.color", "no_such_field", "products"}
    assert facets["attributes.color"]["buckets"]
    assert not facets["no_such_field"]["buckets"]


def test_other_fields_are_sorted_by_name_only(example: Shop) -> None:
    for field in ("brand", "sku", "title.exact", "attributes.color"):
        values = [hit["sort"][0] for hit in search(example, q="shoes", sort=field)["hits"]["hits"]]
        assert values == sorted(values)
    with pytest.raises(RequestError):
        search(example, q="shoes", sort={"brand": "desc"})


def test_without_a_query_products_in_stock_come_first_by_sku(example: Shop) -> None:
    products = [hit["_source"] for hit in search(example, category=FURNITURE, size=50)["hits"]["hits"]]
    assert products == sorted(products, key=lambda product: (product["stock"] == 0, product["sku"]))
    assert {product["stock"] == 0 for product in products} == {True, False}
