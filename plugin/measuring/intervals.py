"""How sure a mean over queries is: bootstrap intervals and a paired test, through SciPy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
RESAMPLES = 10_000
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Estimate:
    """A mean over `queries` queries and its 95 % bootstrap interval; without one where all queries have one value."""

    mean: float
    low: float | None
    high: float | None
    queries: int

    @property
    def signed(self) -> str:
        """As a difference is written: +0.0102 (+0.0011 to +0.0190)."""
        return f"{self.mean:+.4f}" + ("" if self.low is None else f" ({self.low:+.4f} to {self.high:+.4f})")


@dataclass(frozen=True)
class Difference:
    """B minus A, query by query: the mean with its interval, and the p-value of a two-sided paired randomisation test.

    Fewer than six queries can't tell a difference from noise, whatever it is: the test has no p-value under 0.05 then.
    """

    estimate: Estimate
    p_value: float
    wins: int
    losses: int
    ties: int

    @property
    def certain(self) -> int:
        """1 where B is better beyond noise (interval and test agree), -1 where it is worse, 0 where nobody knows."""
        low, high = self.estimate.low, self.estimate.high
        if self.p_value >= 1 - CONFIDENCE or (low is not None and high is not None and low <= 0 <= high):
            return 0
        return int(np.sign(self.estimate.mean))


def estimate(values: Sequence[float] | Floats, seed: int = 0) -> Estimate:
    """The mean of one figure a query, with a bias-corrected and accelerated bootstrap interval (Efron 1987)."""
    from scipy.stats import bootstrap

    figures = np.asarray(values, dtype=np.float64)
    mean = float(figures.mean()) if figures.size else 0.0
    if figures.size < 2 or np.ptp(figures) == 0:
        return Estimate(mean, None, None, int(figures.size))
    found = bootstrap(
        (figures,),
        np.mean,
        n_resamples=RESAMPLES,
        batch=1000,
        confidence_level=CONFIDENCE,
        method="BCa",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return Estimate(mean, float(found.low), float(found.high), int(figures.size))


def difference(before: Floats, after: Floats, seed: int = 0) -> Difference:
    """What changed from one to the other, both one figure a query in the same order.

    The test flips the signs of the queries' differences at random: if neither ranking were better, each difference
    could as well be the other way round (Smucker, Allan and Carterette 2007).
    """
    from scipy.stats import permutation_test

    delta = after - before
    changed = delta[np.abs(delta) > 1e-12]
    p_value = 1.0
    if changed.size > 1:
        p_value = float(
            permutation_test(
                (changed,),
                lambda sample, axis: sample.mean(axis=axis),
                permutation_type="samples",
                vectorized=True,
                n_resamples=RESAMPLES,
                batch=1000,
                rng=np.random.default_rng(seed),
            ).pvalue
        )
    return Difference(
        estimate(delta, seed),
        p_value,
        wins=int((changed > 0).sum()),
        losses=int((changed < 0).sum()),
        ties=int(delta.size - changed.size),
    )
