"""Judged relevance: ESCI-150 and the example shop, measured through ir-measures."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import ir_measures
from ir_measures import nDCG

# The example shop's grades as they are; ESCI's are scaled so that integers keep their proportions 1 / 0.1 / 0.01 / 0.
ESCI_GAINS = {100: 100, 10: 10, 1: 1, 0: 0}
Judgments = dict[str, dict[str, int]]
Ranking = Callable[[str], Sequence[str]]


def esci_judgments(file: Path) -> Judgments:
    """Query to SKU to gain (exact 100, substitute 10, complement 1, irrelevant 0)."""
    ratings = json.loads(file.read_text(encoding="utf-8"))["judgmentRatings"]
    return {
        entry["query"]: {rating["docId"]: ESCI_GAINS[int(float(rating["rating"]))] for rating in entry["ratings"]}
        for entry in ratings
    }


def example_judgments(file: Path) -> Judgments:
    """Query to SKU to grade, 1 to 3; what is not listed is 0."""
    return {entry["query"]: entry["ratings"] for entry in json.loads(file.read_text(encoding="utf-8"))["queries"]}


def mean_ndcg(judgments: Judgments, rank: Ranking, k: int = 10) -> float:
    """nDCG@k (Järvelin and Kekäläinen 2002, linear gain, log2 discount), the mean over all judged queries."""
    run = {
        query: {sku: float(-place) for place, sku in enumerate(rank(query))} or {"(nothing)": 0.0}
        for query in judgments
    }
    return float(ir_measures.calc_aggregate([nDCG @ k], judgments, run)[nDCG @ k])


def skus(answer: Mapping[str, Any]) -> list[str]:
    return [hit["_id"] for hit in answer["hits"]["hits"]]
