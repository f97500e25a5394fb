"""Similar products on judged data: products that answer one query are alike."""

from __future__ import annotations

import random
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from prodsim.plugin.measuring.evaluation import evaluate
from prodsim.plugin.measuring.judgments import JudgmentList
from prodsim.plugin.measuring.opening import open_ring
from tests.conftest import require_shared
from tests.judged import esci_judgments

if TYPE_CHECKING:
    from prodsim.plugin.shop import Shop

FEWEST_ANSWERS, SEEDS_A_QUERY = 4, 3
EXACT = 1.0
VECTORS_ALONE = "inherits: default\nsimilar: {words: {weight: 0}, attributes: {weight: 0}, identifiers: {weight: 0}}\n"
pytestmark = pytest.mark.timeout(1500)  # embedding ESCI-150 takes minutes on a busy machine


def test_exact_answers_of_one_query_find_each_other_better_than_by_vectors_alone(
    esci: Shop, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    judgments = esci_judgments(require_shared("esci150/judgments.json"))
    chance = random.Random(3)
    alike: dict[str, dict[str, float]] = {}
    for grades in judgments.grades.values():
        answers = [sku for sku, grade in grades.items() if grade == EXACT]
        if len(answers) >= FEWEST_ANSWERS:
            for seed in chance.sample(answers, SEEDS_A_QUERY):
                alike[seed] = dict.fromkeys(set(answers) - {seed}, 1.0)
    alone = tmp_path / "alone.yaml"
    alone.write_text(VECTORS_ALONE)
    with open_ring(esci.settings) as ring:
        contenders = [ring.contender(spec, similar=True) for spec in ("installed", str(alone))]
        found = evaluate(ring, contenders, JudgmentList("alike", alike), ["nDCG@10", "hit@10"], similar=True)
    with capsys.disabled():
        for name, one in zip(("default", "vectors alone"), found, strict=True):
            means = "  ".join(f"{measure} {mean.mean:.4f}" for measure, mean in one.means.items())
            sys.stdout.write(f"\nsimilar, {name:14} {means}  ({len(alike)} products)")
    assert found[0].means["nDCG@10"].mean > found[1].means["nDCG@10"].mean
