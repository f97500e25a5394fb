"""A verdict fails with the reason as soon as one check does."""

from __future__ import annotations

from prodsim.plugin.rollout.canary import Check, Verdict


def verdict(*checks: Check) -> Verdict:
    return Verdict("products", "op", "products-000001", "products-000002", "m@1", 3, 0, checks)


def test_a_verdict_passes_when_every_check_does_and_else_names_those_that_failed() -> None:
    good = Check("nDCG@10", 0.6, 0.61, "at most 0.02 lower", True)
    bad = Check("overlap@10", None, 0.1, "at least 0.3", False)
    worse = Check("p95 ms", 20.0, 90.0, "at most 2 times", False)
    assert verdict(good).passed
    assert not verdict(good, bad, worse).passed
    assert verdict(good, bad, worse).reasons == [
        "overlap@10 is 0.1 (at least 0.3)",
        "p95 ms is 90, the serving index has 20 (at most 2 times)",
    ]
