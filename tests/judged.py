"""The judgment lists that tests measure by.

With RELEVANCE=whole, as `make bench` has it, all of ESCI-150; else every third of its queries and the products that are
judged for them: embedding the others takes minutes.
"""

from __future__ import annotations

import gzip
import json
import os
from dataclasses import replace
from pathlib import Path

from prodsim.plugin.measuring.judgment_files import Reading, read_judgments
from prodsim.plugin.measuring.judgments import JudgmentList

# exact, substitute, complement, irrelevant
ESCI = Reading(grades={"100": 1.0, "10": 0.1, "1": 0.01, "0": 0.0})
ESCI_GRADES = "100=1,10=0.1,1=0.01,0=0"  # the same for the command line
WHOLE = os.environ.get("RELEVANCE") == "whole"
EVERY = 3
BASELINES = ("vectors", "bm25:best_fields", "bm25:most_fields", "bm25:cross_fields", "hybrid")


def esci_judgments(file: Path) -> JudgmentList:
    judgments = read_judgments(file, ESCI)
    if WHOLE:
        return judgments
    return replace(judgments, grades={query: judgments.grades[query] for query in judgments.queries[::EVERY]})


def esci_products(products: Path, judgments: JudgmentList, folder: Path) -> Path:
    """The file, or a shorter one in that folder with the products that are judged."""
    if WHOLE:
        return products
    judged = {sku for grades in judgments.grades.values() for sku in grades}
    short = folder / "products.ndjson"
    with gzip.open(products, "rt", encoding="utf-8") as rows, short.open("w", encoding="utf-8") as out:
        out.writelines(row for row in rows if json.loads(row)["asin"] in judged)
    return short


def example_judgments(file: Path) -> JudgmentList:
    """Grades 1 to 3; what is not listed is 0."""
    return read_judgments(file)
