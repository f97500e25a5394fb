"""Judgment lists in the shapes that they come in."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from prodsim.plugin.errors import CatalogError, UsageError
from prodsim.plugin.measuring.judgment_files import Reading, read_judgments, read_queries

WANTED = {"red boots": {"B1": 1.0, "B2": 0.1}, "lamp": {"L1": 1.0, "B1": 0.0}}


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_a_csv_with_usual_column_names_is_read_whatever_its_delimiter(tmp_path: Path) -> None:
    path = written(
        tmp_path, "j.csv", "Query;product_id;relevance;group\nred boots;B1;1;shoes\nred boots;B2;0.1;shoes\n"
    )
    found = read_judgments(path)
    assert found.grades == {"red boots": WANTED["red boots"]}
    assert found.groups == {"red boots": "shoes"}


def test_columns_of_any_name_can_be_said_and_a_list_without_grades_is_a_list_of_answers(tmp_path: Path) -> None:
    path = written(tmp_path, "pairs.csv", "D1|D2\n206|216\n60|46\n")
    found = read_judgments(path, Reading(columns={"query": "D2", "sku": "D1"}))
    assert found.grades == {"216": {"206": 1.0}, "46": {"60": 1.0}}


def test_esci_labels_count_as_in_the_task_and_rows_can_be_chosen(tmp_path: Path) -> None:
    rows = [("lamp", "L1", "E", "us"), ("lamp", "B1", "I", "us"), ("red boots", "B1", "E", "us"),
            ("red boots", "B2", "S", "us"), ("lamp", "L1", "I", "jp")]  # fmt: skip
    text = "query,query_id,product_id,esci_label,product_locale\n" + "".join(
        f"{query},7,{sku},{label},{locale}\n" for query, sku, label, locale in rows
    )
    found = read_judgments(written(tmp_path, "esci.csv", text), Reading(where={"product_locale": "us"}))
    assert found.grades == WANTED
    assert read_judgments(tmp_path / "esci.csv", Reading(where={"product_locale": "jp"})).grades == {
        "lamp": {"L1": 0.0}
    }


@pytest.mark.parametrize("packed", [False, True])
def test_trec_qrels_take_the_texts_of_their_queries_from_topics(tmp_path: Path, packed: bool) -> None:
    text = "1 0 B1 1\n1 0 B2 0.1\n\n2\t0\tL1\t1\n2 0 B1 -2\n"
    path = written(tmp_path, "shop.qrels", text)
    if packed:
        path = tmp_path / "shop.qrels.gz"
        path.write_bytes(gzip.compress(text.encode()))
    topics = written(tmp_path, "topics.tsv", "query_id\tquery\n1\tred boots\n2\tlamp\n")
    assert read_judgments(path, Reading(topics=topics)).grades == WANTED
    assert list(read_judgments(path).grades) == ["1", "2"]
    bare = written(tmp_path, "topics.txt", "1\tred boots\n2\tlamp\n")
    assert read_judgments(path, Reading(topics=bare)).grades == WANTED
    short = written(tmp_path, "short.txt", "1\tred boots\n")
    with pytest.raises(CatalogError, match="line 4: query 2 is not among the topics"):
        read_judgments(path, Reading(topics=short))


def test_search_relevance_judgments_are_read_as_imported_and_as_the_api_returns_them(tmp_path: Path) -> None:
    ratings = [
        {"query": query, "ratings": [{"docId": sku, "rating": f"{grade * 100:.3f}"} for sku, grade in products.items()]}
        for query, products in WANTED.items()
    ]
    imported = {"name": "x", "type": "IMPORT_JUDGMENT", "judgmentRatings": ratings}
    returned = {"hits": {"hits": [{"_id": "1", "_source": imported}]}}
    grades = Reading(grades={"100": 1.0, "10": 0.1, "0": 0.0})
    for content in (imported, returned):
        assert read_judgments(written(tmp_path, "j.json", json.dumps(content)), grades).grades == WANTED


def test_a_list_of_queries_with_ratings_by_sku_is_read(tmp_path: Path) -> None:
    queries = [{"query": query, "group": "all", "ratings": products} for query, products in WANTED.items()]
    found = read_judgments(written(tmp_path, "j.json", json.dumps({"queries": queries})))
    assert (found.grades, set(found.groups.values())) == (WANTED, {"all"})


def test_everything_wrong_with_a_list_is_said_at_once_with_its_lines(tmp_path: Path) -> None:
    path = written(tmp_path, "j.csv", "query,sku,grade\nlamp,L1,good\n,B1,1\nlamp,,1\nlamp,L2,2\n")
    with pytest.raises(CatalogError) as refused:
        read_judgments(path)
    for words in ("line 2: 'good' is no grade", "line 3: no query", "line 4: no product", "--grades"):
        assert words in str(refused.value)
    twice = written(tmp_path, "twice.csv", "query,sku,grade\nlamp,L1,1\nlamp,L1,1\nlamp,L1,2\n")
    with pytest.raises(CatalogError, match="line 4: L1 has grade 2 for 'lamp', and 1 above"):
        read_judgments(twice)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("j.csv", "term,sku\nlamp,L1\n", "no column for query"),
        ("j.json", "{", "is not JSON"),
        ("j.json", '{"a": 1}', "is no judgment list"),
        ("j.qrels", "1 0 B1\n", "line 1: 3 columns"),
        ("j.json", '{"queries": []}', "holds no judgments"),
    ],
)
def test_what_is_no_judgment_list_is_refused_with_a_reason(tmp_path: Path, name: str, text: str, words: str) -> None:
    with pytest.raises(CatalogError, match=words):
        read_judgments(written(tmp_path, name, text))


def test_what_is_asked_for_and_is_not_there_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, "j.csv", "query,sku\nlamp,L1\n")
    with pytest.raises(UsageError, match="--columns names place"):
        read_judgments(path, Reading(columns={"place": "x"}))
    with pytest.raises(UsageError, match="unknown format 'tec'"):
        read_judgments(path, Reading(format="tec"))
    with pytest.raises(CatalogError, match="no column for locale"):
        read_judgments(path, Reading(where={"locale": "us"}))


def test_a_file_of_queries_is_read_once_each(tmp_path: Path) -> None:
    assert read_queries(written(tmp_path, "q.txt", "lamp\n\n red boots \nlamp\n")) == ["lamp", "red boots"]
    with pytest.raises(CatalogError, match="holds no queries"):
        read_queries(written(tmp_path, "empty.txt", "\n"))
