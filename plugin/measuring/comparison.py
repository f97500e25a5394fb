"""`compare`: two rankings on the same queries, side by side."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .contenders import Contender, Rankings, Ring
from .evaluation import Measured, grouped, measured
from .intervals import Difference, difference
from .judgments import JudgmentList
from .measures import Scorer, depth
from .searching import timed

ROUNDS = 3
MOST_TIMED = 60  # queries; more say no more about a median


@dataclass(frozen=True)
class Latency:
    """Milliseconds of one search as a client sees it, one at a time."""

    p50_ms: float
    p95_ms: float
    searches: int


@dataclass(frozen=True)
class Pair:
    """One query in both rankings: SKUs best first, how many of the first k are in both, and its figure in each."""

    query: str
    before: Sequence[str]
    after: Sequence[str]
    overlap: float
    figures: tuple[float, float] | None

    @property
    def change(self) -> float:
        """How much it matters that this query changed: its gain where it is judged, else what it lost in common."""
        return self.figures[1] - self.figures[0] if self.figures else self.overlap - 1


@dataclass(frozen=True)
class Comparison:
    """A (before) and B (after). Without judgments there are no differences; overlap says how much changes at all."""

    names: tuple[str, str]
    indexes: tuple[str, str]
    queries: int
    depth: int
    overlap: float
    zero_results: tuple[int, int]
    latency: tuple[Latency, Latency] | None
    differences: Mapping[str, Difference]
    measured: tuple[Measured, Measured] | None
    measure: str | None
    pairs: Sequence[Pair]


def compare(
    ring: Ring,
    contenders: tuple[Contender, Contender],
    queries: Sequence[str],
    judgments: JudgmentList | None,
    measures: Sequence[str],
    relevant_from: float | None = None,
    similar: bool = False,
    k: int = 10,
    time_searches: bool = True,
    seed: int = 0,
) -> Comparison:
    """A and B on those queries; the first measure is the one that wins and losses are counted by."""
    size = max(k, depth(measures)) if judgments else k
    rankings = [ring.rank(contender, queries, size, similar) for contender in contenders]
    scored: tuple[Measured, Measured] | None = None
    differences: dict[str, Difference] = {}
    if judgments:
        scorer = Scorer(judgments, measures, relevant_from)
        groups = grouped(judgments, None)
        one, other = (
            measured(contender, scorer, found, groups, seed)
            for contender, found in zip(contenders, rankings, strict=True)
        )
        scored = (one, other)
        differences = {name: difference(one.values[name], other.values[name], seed) for name in scorer.names}
    main = next(iter(differences), None)
    pairs = [pair_of(query, place, rankings, scored, main, k) for place, query in enumerate(queries)]
    return Comparison(
        names=(contenders[0].name, contenders[1].name),
        indexes=(contenders[0].index.name, contenders[1].index.name),
        queries=len(queries),
        depth=k,
        overlap=statistics.fmean(pair.overlap for pair in pairs),
        zero_results=(count_empty(rankings[0]), count_empty(rankings[1])),
        latency=latencies(ring, contenders, queries[:MOST_TIMED], k) if time_searches else None,
        differences=differences,
        measured=scored,
        measure=main,
        pairs=pairs,
    )


def pair_of(
    query: str,
    place: int,
    rankings: Sequence[Rankings],
    scored: tuple[Measured, Measured] | None,
    measure: str | None,
    k: int,
) -> Pair:
    before, after = ([hit.sku for hit in found[query][:k]] for found in rankings)
    figures = None
    if scored and measure:
        figures = (float(scored[0].values[measure][place]), float(scored[1].values[measure][place]))
    return Pair(query, before, after, overlap(before, after), figures)


def overlap(before: Sequence[str], after: Sequence[str]) -> float:
    """The share of SKUs that both have: 1 where both found nothing."""
    longest = max(len(before), len(after))
    return len(set(before) & set(after)) / longest if longest else 1.0


def count_empty(rankings: Rankings) -> int:
    return sum(not hits for hits in rankings.values())


def latencies(
    ring: Ring, contenders: tuple[Contender, Contender], queries: Sequence[str], k: int
) -> tuple[Latency, Latency]:
    """Both timed in turn, so that what disturbs the machine disturbs both alike; a first round is not counted."""
    times: tuple[list[float], list[float]] = ([], [])
    for turn in range(ROUNDS + 1):
        for query in queries:
            for contender, found in zip(contenders, times, strict=True):
                took = timed(ring.client, contender.index.name, contender.ask(query, k))
                if turn:
                    found.append(took)
    return latency(times[0]), latency(times[1])


def latency(times_ms: Sequence[float]) -> Latency:
    if len(times_ms) < 2:
        only = round(times_ms[0], 2) if times_ms else 0.0
        return Latency(only, only, len(times_ms))
    twentieths = statistics.quantiles(times_ms, n=20, method="inclusive")
    return Latency(round(statistics.median(times_ms), 2), round(twentieths[-1], 2), len(times_ms))
