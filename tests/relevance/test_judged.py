"""Ranking on judged data, side by side with what the engine does without prodsim, from one run."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from prodsim.plugin.config import Settings
from prodsim.plugin.measuring.evaluation import evaluate
from prodsim.plugin.measuring.judgments import JudgmentList
from prodsim.plugin.measuring.opening import open_ring
from prodsim.plugin.query import ProductSearch
from tests.catalog_files import load_file
from tests.conftest import ROOT, open_shop, require_shared
from tests.judged import BASELINES, esci_judgments, example_judgments

if TYPE_CHECKING:
    from prodsim.plugin.shop import Shop

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
    assert scores["installed"] >= 0.63
    assert scores["installed"] > max(scores[name] for name in BASELINES) + 0.01


def test_on_the_example_shop_the_default_profile_ranks_far_above_bm25(
    example: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    with capsys.disabled():
        scores = measure(example, example_judgments(ROOT / "examples" / "judgments.json"))
    assert scores["installed"] >= scores["bm25:cross_fields"] + 0.15
    assert scores["installed"] >= scores["hybrid"]


def test_the_other_real_catalog_loads_and_answers(settings_for: Callable[..., Settings]) -> None:
    products = require_shared("retail_demo/products.yaml")
    with open_shop(settings_for("retail-demo")) as shop:
        account = load_file(shop, products, ROOT / "examples" / "catalogs" / "retail_demo.yaml").account
        assert (account.read, account.indexed, account.rejected) == (2465, 2465, 0)
        search = ProductSearch(shop.client, "retail-demo")
        hits = search.search("sneakers").hits
        assert len(hits) == 10
        assert len(search.similar(hits[0].sku, size=5)) == 5
