"""Judgments from clicks: what stood high is not what is good."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import kendalltau

from prodsim.plugin.errors import CatalogError
from prodsim.plugin.measuring.clicks import Shown, estimate_attractions, read_clicks, write_judgments
from prodsim.plugin.measuring.judgment_files import read_judgments

LOOKED_AT = 1 / np.arange(1, 11) ** 0.8


def simulated(queries: int = 60, shown: int = 150, seed: int = 1) -> tuple[list[Shown], dict[tuple[str, str], float]]:
    """Customers who look less the further down, and a ranking that knows little and is shuffled a bit each time."""
    rng = np.random.default_rng(seed)
    log: list[Shown] = []
    truth: dict[tuple[str, str], float] = {}
    for query in range(queries):
        liked = rng.beta(1, 4, 15)
        truth |= {(f"q{query}", f"p{product}"): float(liked[product]) for product in range(15)}
        usual = np.argsort(rng.normal(0, 1, 15))
        for _ in range(shown):
            order = usual.copy()
            for swap in rng.integers(14, size=4):
                order[[swap, swap + 1]] = order[[swap + 1, swap]]
            for place, product in enumerate(order[:10]):
                clicked = rng.random() < LOOKED_AT[place] * liked[product]
                log.append(Shown(f"q{query}", f"p{product}", place + 1, 1, int(clicked)))
    return log, truth


def test_places_are_weighed_and_products_come_out_nearer_to_the_truth_than_by_click_rate() -> None:
    log, truth = simulated()
    model = estimate_attractions(log)
    assert np.abs(model.examination - LOOKED_AT).max() < 0.12
    often = [found for found in model.attractions if found.views >= 50]
    true = [truth[found.query, found.sku] for found in often]
    by_model = kendalltau([found.grade for found in often], true).statistic
    by_rate = kendalltau([found.clicks / found.views for found in often], true).statistic
    assert by_model > by_rate + 0.05


def test_one_lucky_click_is_no_certain_answer() -> None:
    log = [Shown("lamp", "often", 1, 1000, 300), Shown("lamp", "once", 1, 1, 1), Shown("lamp", "never", 1, 1000, 5)]
    grades = {found.sku: found.grade for found in estimate_attractions(log).attractions}
    assert grades["never"] < grades["once"] < 0.5
    assert all(0 <= grade <= 1 for grade in grades.values())


def test_a_log_becomes_a_judgment_list_that_can_be_read_back(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    rows = ["query,product_id,position,clicked"]
    rows += [f"lamp,L{place},{place},{'true' if place == 2 else 'false'}" for place in (1, 2, 3) for _ in range(30)]
    rows += ["lamp,rare,4,1"]
    path.write_text("\n".join(rows), encoding="utf-8")
    model = estimate_attractions(read_clicks(path))
    assert write_judgments(model, tmp_path / "out.csv", 20) == 3
    found = read_judgments(tmp_path / "out.csv").grades["lamp"]
    assert max(found, key=lambda sku: found[sku]) == "L2"
    assert "rare" not in found
    with pytest.raises(CatalogError, match="lower --min-views"):
        model.judgments("log", 100)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("lamp,L1,0,1", "line 2: position 0"),
        ("lamp,L1,1,2", "line 2: 2 clicks of 1 views"),
        ("lamp,L1,1.5,1", "line 2: 1.5 is no whole number"),
        (",L1,1,1", "line 2: no query"),
        ("lamp,L1,1,0", "holds no click"),
    ],
)
def test_rows_that_make_no_sense_are_refused_with_their_line(tmp_path: Path, row: str, words: str) -> None:
    path = tmp_path / "log.csv"
    path.write_text(f"query,sku,position,clicks\n{row}\n", encoding="utf-8")
    with pytest.raises(CatalogError, match=words):
        read_clicks(path)
