"""The judgment lists that tests measure by."""

from __future__ import annotations

from pathlib import Path

from prodsim.plugin.measuring.judgment_files import Reading, read_judgments
from prodsim.plugin.measuring.judgments import JudgmentList

# exact, substitute, complement, irrelevant
ESCI = Reading(grades={"100": 1.0, "10": 0.1, "1": 0.01, "0": 0.0})
ESCI_GRADES = "100=1,10=0.1,1=0.01,0=0"  # the same for the command line
BASELINES = ("vectors", "bm25:best_fields", "bm25:most_fields", "bm25:cross_fields", "hybrid")


def esci_judgments(file: Path) -> JudgmentList:
    return read_judgments(file, ESCI)


def example_judgments(file: Path) -> JudgmentList:
    """Grades 1 to 3; what is not listed is 0."""
    return read_judgments(file)
