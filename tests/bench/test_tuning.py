"""Tuning on ESCI-150, cross-validated, in engine mode: everything in one run, with intervals."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from prodsim.plugin.measuring.opening import open_ring
from prodsim.plugin.ranking.files import load_profile
from prodsim.plugin.tuning.tune import TUNED, Options, tune
from tests.bench.measure import report, save
from tests.conftest import require_shared
from tests.judged import esci_judgments

if TYPE_CHECKING:
    from prodsim.plugin.shop import Shop

TRIALS = int(os.environ.get("BENCH_TRIALS", "200"))
LEAST_HELD_OUT = 0.635
pytestmark = pytest.mark.timeout(3000)


def test_tuned_on_esci_the_profile_holds_up_on_queries_that_it_has_not_seen(esci: Shop) -> None:
    judgments = esci_judgments(require_shared("esci150/judgments.json"))
    began = time.monotonic()
    with open_ring(esci.settings, mode="engine") as ring:
        found = tune(ring, load_profile("default"), judgments, Options(trials=TRIALS), lambda line: None)
    took_s = round(time.monotonic() - began)
    report(
        f"nDCG@10 on ESCI-150, {found.queries} queries, {found.folds} folds of {found.trials} trials, {took_s} s",
        [
            *(
                f"{name:28} {mean.mean:.4f}  {mean.low or 0:.4f} to {mean.high or 0:.4f}"
                for name, mean in found.means.items()
            ),
            f"tuned against untuned: {found.gain.estimate.signed}, p {found.gain.p_value:.3f}",
            f"tuned against the best BM25: {found.over_bm25.estimate.signed}, p {found.over_bm25.p_value:.3f}",
            f"verdict: {found.refusal or 'a gain'}",
        ],
    )
    save(
        "tuning",
        {
            "took_s": took_s,
            "trials": found.trials,
            "means": {name: [mean.mean, mean.low, mean.high] for name, mean in found.means.items()},
            "gain": [found.gain.estimate.mean, found.gain.estimate.low, found.gain.estimate.high],
            "changes": found.changes,
            "refusal": found.refusal,
        },
    )
    assert found.means[TUNED].mean >= LEAST_HELD_OUT
    assert found.over_bm25.certain == 1
    assert found.means[TUNED].mean > found.means["hybrid"].mean
