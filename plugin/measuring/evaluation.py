"""`evaluate`: how well rankings answer a judgment list."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from prodsim.plugin.errors import CheckFailed, UsageError

from .contenders import Contender, Rankings, Ring
from .intervals import Estimate, estimate
from .judgments import JudgmentList
from .measures import Floats, Scorer, depth, spelled

Say = Callable[[str], None]
WORDS = "words"


@dataclass(frozen=True)
class Measured:
    """One contender on one judgment list.

    `values` is measure to one figure a query, in the list's order; `means` and `groups` sum them up. `zero_results` are
    the queries that found nothing.
    """

    contender: str
    index: str
    values: Mapping[str, Floats]
    means: Mapping[str, Estimate]
    groups: Mapping[str, Mapping[str, Estimate]]
    zero_results: Sequence[str]
    rankings: Rankings

    @property
    def zero_result_share(self) -> float:
        return len(self.zero_results) / max(1, len(self.rankings))


def evaluate(
    ring: Ring,
    contenders: Sequence[Contender],
    judgments: JudgmentList,
    measures: Sequence[str],
    relevant_from: float | None = None,
    similar: bool = False,
    group_by: str | None = None,
    seed: int = 0,
) -> list[Measured]:
    """Every contender on the same queries, in their order.

    Raises:
        UsageError: an unknown measure, or a group that the list does not have.
        EngineError, NotFound: as the searches.
    """
    scorer = Scorer(judgments, measures, relevant_from)
    groups = grouped(judgments, group_by)
    return [
        measured(contender, scorer, ring.rank(contender, judgments.queries, depth(measures), similar), groups, seed)
        for contender in contenders
    ]


def measured(
    contender: Contender, scorer: Scorer, rankings: Rankings, groups: Mapping[str, Sequence[int]], seed: int = 0
) -> Measured:
    values = scorer.scores({query: [hit.sku for hit in hits] for query, hits in rankings.items()})
    return Measured(
        contender=contender.name,
        index=contender.index.name,
        values=values,
        means={name: estimate(figures, seed) for name, figures in values.items()},
        groups={
            group: {name: estimate(figures[np.asarray(places)], seed) for name, figures in values.items()}
            for group, places in groups.items()
        },
        zero_results=[query for query, hits in rankings.items() if not hits],
        rankings=rankings,
    )


def grouped(judgments: JudgmentList, by: str | None) -> dict[str, list[int]]:
    """Group to the places of its queries: the list's own groups where it has some, or by number of words.

    Raises:
        UsageError: neither.
    """
    if by not in (None, WORDS, "group"):
        raise UsageError(f"--group-by {by}: use 'group' (the list's own) or '{WORDS}' (how many words a query has)")
    if by == "group" and not judgments.groups:
        raise UsageError(f"{judgments.name} names no group for its queries: use --group-by {WORDS}, or add the column")
    if by is None and not judgments.groups:
        return {}
    names = [by_words(query) if by == WORDS else judgments.groups.get(query, "-") for query in judgments.queries]
    return {name: [place for place, other in enumerate(names) if other == name] for name in sorted(set(names))}


def by_words(query: str) -> str:
    count = len(query.split())
    return "1 word" if count <= 1 else "2 words" if count == 2 else "3 words" if count == 3 else "4 words and more"


def parse_thresholds(texts: Iterable[str]) -> dict[str, float]:
    """`nDCG@10=0.63` and so on: measure to the least mean.

    Raises:
        UsageError: a text of another form.
    """
    wanted: dict[str, float] = {}
    for text in texts:
        name, _, value = text.partition("=")
        try:
            wanted[spelled(name)[0]] = float(value)
        except ValueError:
            raise UsageError(f"--at-least {text!r}: write a measure and a figure, such as nDCG@10=0.6") from None
    return wanted


def check_thresholds(found: Measured, wanted: Mapping[str, float]) -> None:
    """Raises CheckFailed where a mean is under its threshold; the message names all of them."""
    missed = [
        f"{name} {found.means[name].mean:.4f} < {least:g}"
        for name, least in wanted.items()
        if found.means[name].mean < least
    ]
    if missed:
        raise CheckFailed(f"{found.contender} on {found.index} misses its threshold: {', '.join(missed)}")
