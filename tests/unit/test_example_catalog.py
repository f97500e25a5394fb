from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections import defaultdict
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

EXAMPLES = Path(__file__).parents[2] / "examples"
FIELDS = (
    *("sku", "title", "description", "brand", "category", "tags", "attributes", "price", "list_price", "currency"),
    *("stock", "rating", "rating_count", "popularity", "created_at", "updated_at", "image_url", "variant_group"),
)
SMALL_WORDS = {
    *(
        "a",
        "all",
        "an",
        "and",
        "at",
        "be",
        "by",
        "during",
        "for",
        "from",
        "get",
        "i",
        "in",
        "is",
        "keep",
        "like",
        "make",
    ),
    *("me", "my", "no", "of", "on", "s", "take", "the", "to"),
}

Document = dict[str, Any]


@pytest.fixture(scope="module")
def catalog() -> list[Document]:
    lines = (EXAMPLES / "products.ndjson").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


@pytest.fixture(scope="module")
def queries() -> list[Document]:
    content = json.loads((EXAMPLES / "judgments.json").read_text(encoding="utf-8"))
    assert set(content) == {"name", "description", "queries"}
    judged: list[Document] = content["queries"]
    return judged


@pytest.fixture
def workshop(tmp_path: Path) -> Path:
    """A copy of the generator and its words, to run and to change."""
    for name in ("generate.py", "queries.yaml"):
        shutil.copy(EXAMPLES / name, tmp_path)
    shutil.copytree(EXAMPLES / "vocabulary", tmp_path / "vocabulary")
    return tmp_path


def generate(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(folder / "generate.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def words_of_types() -> list[tuple[dict[str, Any], str, dict[str, Any]]]:
    """Each type with the word file it stands in."""
    files = [
        yaml.load(path.read_text(encoding="utf-8"), yaml.BaseLoader) for path in (EXAMPLES / "vocabulary").iterdir()
    ]
    return [(file, name, words) for file in files for name, words in file["types"].items()]


def content_words(text: str) -> set[str]:
    found = set(re.findall(r"\w+", text.lower())) - SMALL_WORDS
    return {word.removesuffix("s") for word in found}


def test_the_generator_writes_the_committed_files_byte_for_byte(workshop: Path) -> None:
    assert generate(workshop).returncode == 0
    for name in ("products.ndjson", "judgments.json"):
        assert (workshop / name).read_bytes() == (EXAMPLES / name).read_bytes()


def test_check_passes_on_fresh_files_and_exits_3_on_a_changed_one_without_touching_it(workshop: Path) -> None:
    generate(workshop)
    assert generate(workshop, "--check").returncode == 0
    change(workshop / "judgments.json", ": 3", ": 2")
    edited = (workshop / "judgments.json").read_bytes()
    answer = generate(workshop, "--check")
    assert answer.returncode == 3
    assert "judgments.json" in answer.stderr
    assert "products.ndjson" not in answer.stderr
    assert (workshop / "judgments.json").read_bytes() == edited


@pytest.mark.parametrize(
    ("file", "old", "new", "complaint"),
    [
        ("vocabulary/toys.yaml", "    sku: KITE\n", "", "toys.yaml, kite: missing sku"),
        ("vocabulary/toys.yaml", "sku: KITE", "sku: SCOO", "SCOO-01-1"),
        ("vocabulary/toys.yaml", "{noun}, {color}", "{noun}, {colour}", "nothing is called 'colour'"),
        ("vocabulary/toys.yaml", "tags:", "tag:", "missing tags"),
        ("vocabulary/toys.yaml", "        noun: stunt kite\n", "", "kite: nothing is called 'noun'"),
        ("vocabulary/toys.yaml", "category: Toys", "  - category: Toys", "toys.yaml is not valid YAML"),
        ("queries.yaml", "type: slipper}", "type: sliper}", "'slippers': rule 1 grades no product"),
        ("queries.yaml", "{grade: 3, type: slipper}", "{type: slipper}", "'slippers': missing grade"),
    ],
)
def test_a_slip_in_a_word_file_is_named_in_one_line(
    workshop: Path, file: str, old: str, new: str, complaint: str
) -> None:
    change(workshop / file, old, new)
    answer = generate(workshop)
    assert answer.returncode == 1
    assert complaint in answer.stderr
    assert answer.stderr.count("\n") == 1


def test_a_new_type_changes_no_other_product(workshop: Path, catalog: list[Document]) -> None:
    with (workshop / "vocabulary" / "garden.yaml").open("a", encoding="utf-8") as words:
        words.write(
            "\n  gnome:\n    sku: GNOM\n    path: [Decoration]\n    titles: ['{brand} {model}']\n    tags: [fun]\n"
            "    price: [9, 19]\n    attributes: {color: [red]}\n    products: {Norbert: Guards the pond.}\n"
        )
    assert generate(workshop).returncode == 0
    made = [json.loads(line) for line in (workshop / "products.ndjson").read_text(encoding="utf-8").splitlines()]
    assert [product for product in made if product["sku"] != "GNOM-01-1"] == catalog
    assert len(made) == len(catalog) + 1


def test_at_least_600_products_in_8_categories_fit_in_a_megabyte_and_a_half(catalog: list[Document]) -> None:
    assert len(catalog) >= 600
    assert len({product["category"][0] for product in catalog}) >= 8
    assert sum((EXAMPLES / name).stat().st_size for name in ("products.ndjson", "judgments.json")) < 1_500_000


def test_every_product_has_exactly_the_product_fields_with_their_types(catalog: list[Document]) -> None:
    for product in catalog:
        assert tuple(product) == FIELDS
        assert 2 <= len(product["category"]) <= 4
        assert product["tags"]
        assert all(isinstance(value, str) and value for value in product["attributes"].values())
        assert isinstance(product["stock"], int)
        assert isinstance(product["rating_count"], int)
        assert 1 <= product["rating"] <= 5
        assert 0 <= product["popularity"] <= 1
        assert product["image_url"].startswith("https://images.example.com/")


def test_skus_are_unique_and_no_product_costs_more_than_its_list_price(catalog: list[Document]) -> None:
    assert len({product["sku"] for product in catalog}) == len(catalog)
    assert all(0 < product["price"] <= product["list_price"] for product in catalog)
    assert 0.1 < sum(product["price"] < product["list_price"] for product in catalog) / len(catalog) < 0.7
    assert 0.03 < sum(product["stock"] == 0 for product in catalog) / len(catalog) < 0.25


def test_a_product_is_created_before_it_is_updated_and_both_before_the_reference_date(catalog: list[Document]) -> None:
    for product in catalog:
        created, updated = (datetime.fromisoformat(product[key]) for key in ("created_at", "updated_at"))
        assert created <= updated < datetime.fromisoformat("2026-03-01T06:00:00Z")


def test_variants_of_a_group_share_text_and_differ_in_an_attribute(catalog: list[Document]) -> None:
    groups = defaultdict(list)
    for product in catalog:
        groups[product["variant_group"]].append(product)
    assert sum(len(group) > 1 for group in groups.values()) >= 150
    for group in groups.values():
        assert len({(product["brand"], product["description"]) for product in group}) == 1
        assert len({json.dumps(product["attributes"]) for product in group}) == len(group)


def test_descriptions_are_one_to_three_sentences_and_nearly_all_different(catalog: list[Document]) -> None:
    described = {product["variant_group"]: product["description"] for product in catalog}
    for group, description in described.items():
        assert 1 <= len(re.findall(r"[.!?](?: |$)", description)) <= 3, group
        assert not re.search(r"[{}]|  ", description), group
    assert len(set(described.values())) == len(described)


def test_no_word_of_the_vocabulary_is_dead(catalog: list[Document]) -> None:
    dead = []
    for file, name, words in words_of_types():
        own = [product for product in catalog if product["sku"].startswith(words["sku"] + "-")]
        titles, descriptions = (" | ".join(product[key] for product in own) for key in ("title", "description"))
        values = {(key, value) for product in own for key, value in product["attributes"].items()}
        for key, given in words["attributes"].items():
            dead += [(name, key, value) for value in given if (key, value) not in values]
            if isinstance(given, dict):
                dead += [(name, key, said) for said in given.values() if said not in descriptions]
        for key, option in words.get("variants", {}).items():
            lists = option["of"].values() if isinstance(option["of"], dict) else [option["of"]]
            dead += [(name, key, value) for given in lists for value in given if (key, value) not in values]
        dead += [(name, "noun", noun) for noun in words.get("nouns", []) if noun not in titles]
        used = {product["brand"] for product in own}
        dead += [(name, "brand", brand) for brand in words.get("brands", []) if brand not in used]
        dead += [(name, "title", form) for form in words.get("titles", []) if not any(wears(p, form) for p in own)]
        in_file = [p for p in catalog if p["category"][0] == file["category"]]
        used_in_file = {product["brand"] for product in in_file}
        dead += [(file["category"], "brand", brand) for brand in file["brands"] if brand not in used_in_file]
    assert not dead, "\n".join(" / ".join(words) for words in dead)


def wears(product: Document, form: str) -> bool:
    """Whether the title was made from the pattern, with any noun."""
    title = form.format_map({**product["attributes"], "brand": product["brand"], "noun": "\0"})
    return re.fullmatch(re.escape(title).replace("\0", ".+"), product["title"]) is not None


def test_at_least_40_queries_are_judged_and_each_has_a_good_answer(queries: list[Document]) -> None:
    assert len(queries) >= 40
    assert len({query["query"] for query in queries}) == len(queries)
    for query in queries:
        assert query["note"]
        assert set(query["ratings"].values()) <= {1, 2, 3}
        assert 1 <= sum(grade >= 2 for grade in query["ratings"].values()) <= 60, query["query"]


def test_every_judged_sku_is_in_the_catalog(queries: list[Document], catalog: list[Document]) -> None:
    known = {product["sku"] for product in catalog}
    assert {sku for query in queries for sku in query["ratings"]} <= known


def test_at_least_half_of_the_queries_share_no_content_word_with_the_titles_of_their_best_products(
    queries: list[Document], catalog: list[Document]
) -> None:
    titles = {product["sku"]: content_words(product["title"]) for product in catalog}
    apart = [
        query["query"]
        for query in queries
        if not any(content_words(query["query"]) & titles[sku] for sku, grade in query["ratings"].items() if grade == 3)
    ]
    assert len(apart) >= len(queries) / 2


def test_variants_of_one_product_are_all_judged_or_all_not(queries: list[Document], catalog: list[Document]) -> None:
    groups = defaultdict(set)
    for product in catalog:
        groups[product["variant_group"]].add(product["sku"])
    for query in queries:
        judged = set(query["ratings"])
        assert all(group <= judged or not group & judged for group in groups.values()), query["query"]


def test_the_queries_that_the_readme_suggests_are_judged_and_share_no_word_with_the_best_titles(
    queries: list[Document], catalog: list[Document]
) -> None:
    section = (EXAMPLES / "README.md").read_text(encoding="utf-8").split("## Queries to show")[1].split("\n## ")[0]
    suggested = re.findall(r"^\| `(.+?)` \|", section, re.MULTILINE)
    assert len(suggested) >= 4
    titles = {product["sku"]: content_words(product["title"]) for product in catalog}
    judged = {query["query"]: query["ratings"] for query in queries}
    for query in suggested:
        best = [sku for sku, grade in judged[query].items() if grade == 3]
        assert not any(content_words(query) & titles[sku] for sku in best), query
