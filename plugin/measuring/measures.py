"""Measures of relevance, through `ir-measures`: one figure a query, and their mean."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from prodsim.plugin.errors import UsageError

from .extra import require
from .judgments import JudgmentList

if TYPE_CHECKING:
    from ir_measures.measures import Measure

Floats = NDArray[np.float64]
DEFAULT_MEASURES = ("nDCG@10", "precision@10", "recall@100", "MRR@10", "MAP@100", "judged@10")
# our word for it: the name that ir-measures knows it by, and whether a product is either relevant or not
KNOWN = {
    "ndcg": ("nDCG", False),
    "recall": ("R", True),
    "precision": ("P", True),
    "mrr": ("RR", True),
    "map": ("AP", True),
    "hit": ("Success", True),
    "judged": ("Judged", False),
}
SPELLED = {"ndcg": "nDCG", "mrr": "MRR", "map": "MAP"}
NAME = re.compile(r"([A-Za-z]+)(?:@(\d{1,4}))?")


def spelled(name: str) -> tuple[str, int | None]:
    """A measure's name as it is printed, and its k.

    Raises:
        UsageError: there is no such measure, or it needs a k.
    """
    found = NAME.fullmatch(name.strip())
    word = found[1].lower() if found else ""
    if not found or word not in KNOWN:
        raise UsageError(
            f"there is no measure {name!r}: use nDCG, recall, precision, MRR, MAP, hit or judged, each with its depth, "
            "such as nDCG@10"
        )
    if not found[2] or int(found[2]) < 1:
        raise UsageError(f"measure {name} needs a depth of 1 or more, such as {SPELLED.get(word, word)}@10")
    return f"{SPELLED.get(word, word)}@{int(found[2])}", int(found[2])


def depth(names: Sequence[str]) -> int:
    """How many hits a query has to be asked for."""
    return max(spelled(name)[1] or 0 for name in names)


class Scorer:
    """Scores rankings by a judgment list.

    nDCG has linear gains and the discount log2(1 + rank) (Järvelin and Kekäläinen 2002). For measures that know only
    relevant and not, a product is relevant from the grade `relevant_from` on; without it, with any grade above 0.
    """

    def __init__(self, judgments: JudgmentList, names: Sequence[str], relevant_from: float | None = None) -> None:
        require("ir_measures", "scipy")
        import ir_measures

        self.judgments = judgments
        self.names = [spelled(name)[0] for name in names]
        self.least = 1 if relevant_from is None else max(1, round(relevant_from * judgments.scale))
        self.measures: dict[Measure, str] = {}
        for name in self.names:
            word, _, k = name.partition("@")
            known, binary = KNOWN[word.lower()]
            self.measures[ir_measures.parse_measure(f"{known}{f'(rel={self.least})' if binary else ''}@{k}")] = name
        self.evaluator = ir_measures.evaluator(list(self.measures), judgments.qrels)
        self.places = {query: place for place, query in enumerate(judgments.queries)}

    def scores(self, rankings: Mapping[str, Sequence[str]]) -> dict[str, Floats]:
        """Measure to one figure a query, float64 (n,), in the order of the judgment list; 0 for what finds nothing.

        `rankings` is query to SKUs, best first.
        """
        run = {
            query: {sku: float(-place) for place, sku in enumerate(rankings.get(query, ()))} or {"": 0.0}
            for query in self.places
        }
        found = {name: np.zeros(len(self.places)) for name in self.names}
        for metric in self.evaluator.iter_calc(run):
            found[self.measures[metric.measure]][self.places[metric.query_id]] = metric.value
        return found
