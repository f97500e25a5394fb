"""A candidate index against the serving one on the same queries, before anybody is served by it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from prodsim.plugin.client import engine_errors
from prodsim.plugin.errors import CheckFailed
from prodsim.plugin.indexes import ProductIndex
from prodsim.plugin.measuring.comparison import Comparison, compare
from prodsim.plugin.measuring.searching import Ask, rankings
from prodsim.plugin.moving.audit import now
from prodsim.plugin.products import read_products

from .candidates import get, put

if TYPE_CHECKING:
    from opensearchpy import OpenSearch

    from prodsim.plugin.measuring.contenders import Ring
    from prodsim.plugin.measuring.judgments import JudgmentList

MEASURE = "nDCG@10"
K = 10
SAMPLED = 100  # products that are looked for by their own titles


@dataclass(frozen=True)
class Limits:
    """How much worse a candidate may be.

    `max_ndcg_loss`: of the mean nDCG@10. `min_overlap`: mean share of the first ten hits that both have.
    `max_zero_increase`: of the share of queries that find nothing. `max_slowdown`: its 95th percentile over the
    serving one's. `max_itself_loss`: of the share of products that are among the first ten by meaning alone when their
    own title is asked for; it needs no judgments and no log, and no damaged model passes it.
    """

    max_ndcg_loss: float = 0.02
    min_overlap: float = 0.3
    max_zero_increase: float = 0.02
    max_slowdown: float = 2.0
    max_itself_loss: float = 0.1


@dataclass(frozen=True)
class Check:
    """One measure: of the serving index (None where it has none), of the candidate, and what would be too much."""

    name: str
    serving: float | None
    candidate: float
    limit: str
    passed: bool


@dataclass(frozen=True)
class Verdict:
    """What a canary found. `operation` is the rollout's id."""

    alias: str
    operation: str
    serving: str
    candidate: str
    model: str
    judged: int
    logged: int
    checks: Sequence[Check]
    at: str = field(default_factory=now)

    @property
    def passed(self) -> bool:
        return all(check.passed for check in self.checks)

    @property
    def reasons(self) -> list[str]:
        return [
            f"{check.name} is {check.candidate:g}"
            + (f", the serving index has {check.serving:g}" if check.serving is not None else "")
            + f" ({check.limit})"
            for check in self.checks
            if not check.passed
        ]


def run_canary(
    ring: Ring,
    operation: str,
    serving: ProductIndex,
    candidate: ProductIndex,
    judgments: JudgmentList | None,
    logged: Sequence[str],
    limits: Limits,
    seed: int = 0,
) -> Verdict:
    """Asks both indexes the same; nothing of it changes anything.

    Raises:
        EngineError: the engine could not reach the embedder for some query: nothing was measured then.
    """
    pair = (ring.contender(f"index:{serving.name}"), ring.contender(f"index:{candidate.name}"))
    checks: list[Check] = []
    found: list[Comparison] = []
    if judgments is not None:
        found.append(compare(ring, pair, judgments.queries, judgments, [MEASURE], k=K, seed=seed))
        checks.append(relevance(found[0], limits))
    if logged:
        found.append(compare(ring, pair, logged, None, [MEASURE], k=K, seed=seed))
    checks += [overlapping(found, limits), empty(found, limits), slowness(found, limits)]
    checks.append(itself(ring, serving, candidate, limits, seed))
    return Verdict(
        alias=ring.alias,
        operation=operation,
        serving=serving.name,
        candidate=candidate.name,
        model=candidate.model.stamp,
        judged=len(judgments.queries) if judgments else 0,
        logged=len(logged),
        checks=checks,
    )


def relevance(found: Comparison, limits: Limits) -> Check:
    assert found.measured is not None
    before, after = (one.means[MEASURE].mean for one in found.measured)
    limit = f"at most {limits.max_ndcg_loss:g} lower"
    return Check(MEASURE, round(before, 4), round(after, 4), limit, after >= before - limits.max_ndcg_loss)


def overlapping(found: Sequence[Comparison], limits: Limits) -> Check:
    queries = sum(one.queries for one in found)
    mean = sum(one.overlap * one.queries for one in found) / queries
    limit = f"at least {limits.min_overlap:g}"
    return Check(f"overlap@{K}", None, round(mean, 4), limit, mean >= limits.min_overlap)


def empty(found: Sequence[Comparison], limits: Limits) -> Check:
    queries = sum(one.queries for one in found)
    before, after = (sum(one.zero_results[place] for one in found) / queries for place in (0, 1))
    limit = f"at most {limits.max_zero_increase:g} higher"
    passed = after <= before + limits.max_zero_increase
    return Check("share without a hit", round(before, 4), round(after, 4), limit, passed)


def slowness(found: Sequence[Comparison], limits: Limits) -> Check:
    """Of the list with more queries: its searches were timed in turn."""
    timed = max(found, key=lambda one: one.queries)
    assert timed.latency is not None
    before, after = (one.p95_ms for one in timed.latency)
    limit = f"at most {limits.max_slowdown:g} times"
    return Check("p95 ms", before, after, limit, after <= before * limits.max_slowdown)


def itself(ring: Ring, serving: ProductIndex, candidate: ProductIndex, limits: Limits, seed: int) -> Check:
    """Products by their own titles: by meaning alone, each should be among the first ten."""
    titles = sample_titles(ring.client, candidate.name, seed)
    before, after = (found_by_meaning(ring, index, titles) for index in (serving, candidate))
    limit = f"at most {limits.max_itself_loss:g} lower"
    return Check("found by own title", before, after, limit, after >= before - limits.max_itself_loss)


def sample_titles(client: OpenSearch, index: str, seed: int) -> list[str]:
    """Titles of about SAMPLED products by chance."""
    chance = {"random_score": {"seed": seed, "field": "_seq_no"}}
    body = {
        "size": SAMPLED,
        "query": {"function_score": {"query": {"exists": {"field": "title"}}, **chance}},
        "_source": ["title"],
    }
    with engine_errors(f"sampling products of {index}"):
        hits = client.search(index=index, body=body, params={"search_pipeline": "_none"})["hits"]["hits"]
    return sorted({str(hit["_source"]["title"]) for hit in hits})


def found_by_meaning(ring: Ring, index: ProductIndex, titles: Sequence[str]) -> float:
    """The share of titles for which a product of that title is among the first ten by vectors alone."""
    ring.embed(titles, index)
    field_name = index.model.field()
    asks = {
        title: Ask({"size": K, "query": {"knn": {field_name: {"vector": one.vector, "k": K}}}, "_source": False}, False)
        for title in titles
        if (one := ring.vectors[index.model.stamp, title])
    }
    hits = rankings(ring.client, index.name, asks)
    skus = sorted({hit.sku for found in hits.values() for hit in found})
    named = {
        sku: stored.get("title") for sku, stored in read_products(ring.client, index.name, skus, ["title"]).items()
    }
    found = sum(any(named.get(hit.sku) == title for hit in hits.get(title, ())) for title in titles)
    return round(found / max(1, len(titles)), 4)


def record_verdict(client: OpenSearch, verdict: Verdict) -> None:
    document = {"kind": "canary", "alias": verdict.alias, "passed": verdict.passed, **asdict(verdict)}
    put(client, f"canary:{verdict.operation}", document)


def require_passed(client: OpenSearch, alias: str, operation: str) -> None:
    """Raises CheckFailed where this rollout's last canary failed, or where it had none."""
    verdict = get(client, f"canary:{operation}")
    if verdict is None:
        raise CheckFailed(
            f"this rollout of {alias} had no canary: run 'prodsim-admin model canary', or give the reason why not "
            "with --force REASON"
        )
    if not verdict["passed"]:
        raise CheckFailed(f"the canary of {alias} failed at {verdict['at']}: see 'prodsim-admin model rollout status'")
