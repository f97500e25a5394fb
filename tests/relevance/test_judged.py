"""Ranking on judged data, side by side with what the engine does without prodsim, from one run."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest
import yaml

from prodsim.plugin.config import Settings
from prodsim.plugin.measuring.evaluation import evaluate
from prodsim.plugin.measuring.judgments import JudgmentList
from prodsim.plugin.measuring.measures import Scorer
from prodsim.plugin.measuring.opening import open_ring
from prodsim.plugin.query import ProductSearch
from tests.catalog_files import load_file
from tests.conftest import ROOT, open_shop, require_shared
from tests.judged import BASELINES, WHOLE, esci_judgments, example_judgments

if TYPE_CHECKING:
    from prodsim.plugin.shop import Shop

MOST_FOUND = {"first": 0, "second": 0.06}  # of nonsense texts: shares that may find something by chance
pytestmark = pytest.mark.timeout(1500)  # embedding ESCI-150 takes minutes on a busy machine


def measure(shop: Shop, judgments: JudgmentList) -> dict[str, float]:
    """nDCG@10 of every contender on the same queries, printed as a table."""
    with open_ring(shop.settings) as ring:
        contenders = [ring.contender(name) for name in (*BASELINES, "installed")]
        found = evaluate(ring, contenders, judgments, ["nDCG@10"])
    means = {one.contender: one.means["nDCG@10"] for one in found}
    table = [
        f"nDCG@10 on {shop.settings.alias}, {len(judgments.queries)} queries",
        *(f"  {name:18} {mean.mean:.4f}  {mean.low or 0:.4f} to {mean.high or 0:.4f}" for name, mean in means.items()),
    ]
    sys.stdout.write("\n" + "\n".join(table) + "\n")
    return {name: mean.mean for name, mean in means.items()}


def test_on_esci_the_default_profile_ranks_above_bm25_and_the_engines_hybrid(
    esci: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    judgments = esci_judgments(require_shared("esci150/judgments.json"))
    with capsys.disabled():
        scores = measure(esci, judgments)
    best = max(scores[name] for name in BASELINES)
    if WHOLE:
        assert scores["installed"] >= 0.63
        assert scores["installed"] > best + 0.01
    else:  # fewer queries, more noise
        assert scores["installed"] > best


def test_on_the_example_shop_the_default_profile_ranks_far_above_bm25(
    example: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    with capsys.disabled():
        scores = measure(example, example_judgments(ROOT / "examples" / "judgments.json"))
    assert scores["installed"] >= scores["bm25:cross_fields"] + 0.15
    assert scores["installed"] >= scores["hybrid"]


@pytest.mark.parametrize("catalog", ["example", "esci"])
def test_without_the_embedder_long_questions_find_what_bm25_finds(
    catalog: str, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    judgments = (
        example_judgments(ROOT / "examples" / "judgments.json")
        if catalog == "example"
        else esci_judgments(require_shared("esci150/judgments.json"))
    )
    shop: Shop = request.getfixturevalue(catalog)
    scorer = Scorer(judgments, ["nDCG@10"])
    with open_ring(shop.settings) as ring:
        bm25 = ring.rank(ring.contender("bm25"), judgments.queries, 10)
    plain = {query: [hit.sku for hit in hits] for query, hits in bm25.items()}
    alone = {query: by_words_alone(shop, query) for query in judgments.queries}
    means = [float(scorer.scores(found)["nDCG@10"].mean()) for found in (alone, plain)]
    with capsys.disabled():
        sys.stdout.write(f"\nnDCG@10 on {catalog}, no embedder: prodsim {means[0]:.4f}, BM25 {means[1]:.4f}\n")
    assert means[0] >= means[1]


def by_words_alone(shop: Shop, query: str) -> list[str]:
    """What a search finds when the pipeline could fill nothing in."""
    body = {"id": "prodsim-search", "params": {"q": query, "fields": ["sku"]}}
    answer = shop.client.search_template(index=shop.settings.alias, body=body, params={"search_pipeline": "_none"})
    return [hit["_id"] for hit in answer["hits"]["hits"]]


@pytest.fixture(scope="module")
def retail(settings_for: Callable[..., Settings]) -> Iterator[Shop]:
    products = require_shared("retail_demo/products.yaml")
    with open_shop(settings_for("retail-demo")) as shop:
        account = load_file(shop, products, ROOT / "examples" / "catalogs" / "retail_demo.yaml").account
        assert (account.read, account.indexed, account.rejected) == (2465, 2465, 0)
        yield shop


def test_the_other_real_catalog_loads_and_answers(retail: Shop) -> None:
    search = ProductSearch(retail.client, "retail-demo")
    hits = search.search("sneakers").hits
    assert len(hits) == 10
    assert len(search.similar(hits[0].sku, size=5)) == 5


def test_nonsense_and_languages_that_the_catalog_does_not_speak_find_nothing(
    retail: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    groups = yaml.safe_load((ROOT / "tests" / "relevance" / "nonsense.yaml").read_text(encoding="utf-8"))
    search = ProductSearch(retail.client, "retail-demo")
    for name, most in MOST_FOUND.items():
        texts = [text for group in groups[name].values() for text in group]
        found = {text: total for text in texts if (total := search.search(text, size=1).total)}
        with capsys.disabled():
            sys.stdout.write(
                f"\n{name}: of {len(texts)} texts that mean nothing here {len(found)} find something: {found}\n"
            )
        assert len(found) <= most * len(texts)
