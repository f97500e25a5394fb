"""Ranking on judged data, side by side with what the engine does without prodsim, from one run."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from prodsim.plugin.config import Settings
from tests import contenders
from tests.catalog_files import load_file
from tests.conftest import ROOT, open_shop, require_shared
from tests.judged import Judgments, esci_judgments, example_judgments, mean_ndcg, skus

if TYPE_CHECKING:
    from prodsim.plugin.shop import Shop

VECTOR = "text_vector_384"
pytestmark = pytest.mark.timeout(1500)  # embedding ESCI-150 takes minutes on a busy machine


def measure(shop: Shop, judgments: Judgments) -> dict[str, float]:
    """nDCG@10 of every contender on the same queries, printed as a table."""
    client, alias = shop.client, shop.settings.alias
    vectors = {query: shop.embedder.embed([query], input_type="query")[0][0].tolist() for query in judgments}
    with contenders.hybrid(client, alias, VECTOR, vectors.__getitem__) as hybrid:
        searches = {
            "vectors alone": contenders.vectors_alone(client, alias, VECTOR, vectors.__getitem__),
            "BM25 best_fields": contenders.bm25(client, alias, "best_fields"),
            "BM25 most_fields": contenders.bm25(client, alias, "most_fields"),
            "BM25 cross_fields": contenders.bm25(client, alias, "cross_fields"),
            "engine hybrid": hybrid,
            "prodsim": contenders.blended(client, alias),
        }
        scores = {
            name: mean_ndcg(judgments, lambda query, search=search: skus(search(query)))  # type: ignore[misc]  # bound now
            for name, search in searches.items()
        }
    table = [
        f"nDCG@10 on {alias}, {len(judgments)} queries",
        *(f"  {name:18} {score:.4f}" for name, score in scores.items()),
    ]
    sys.stdout.write("\n" + "\n".join(table) + "\n")
    return scores


def test_on_esci_the_default_profile_ranks_above_bm25_and_the_engines_hybrid(
    esci: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    judgments = esci_judgments(require_shared("esci150/judgments.json"))
    with capsys.disabled():
        scores = measure(esci, judgments)
    others = [score for name, score in scores.items() if name != "prodsim"]
    assert scores["prodsim"] >= 0.63
    assert scores["prodsim"] > max(others) + 0.01


def test_on_the_example_shop_the_default_profile_ranks_far_above_bm25(
    example: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    with capsys.disabled():
        scores = measure(example, example_judgments(ROOT / "examples" / "judgments.json"))
    assert scores["prodsim"] >= scores["BM25 cross_fields"] + 0.15
    assert scores["prodsim"] >= scores["engine hybrid"]


def test_the_other_real_catalog_loads_and_answers(settings_for: Callable[..., Settings]) -> None:
    products = require_shared("retail_demo/products.yaml")
    with open_shop(settings_for("retail-demo")) as shop:
        account = load_file(shop, products, ROOT / "examples" / "catalogs" / "retail_demo.yaml").account
        assert (account.read, account.indexed, account.rejected) == (2465, 2465, 0)
        hits = contenders.blended(shop.client, "retail-demo")("sneakers")["hits"]["hits"]
        assert len(hits) == 10
        body = {"id": "prodsim-similar", "params": {"sku": hits[0]["_id"], "size": 5}}
        assert len(skus(shop.client.search_template(index="retail-demo", body=body))) == 5
