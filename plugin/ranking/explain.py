"""Why a hit stands where it stands: the parts of its score, as the engine itself explains them.

The templates' scripts name their part in the engine's explanation (`explanation.set`, OpenSearch's painless score
context), so the figures are those that the score was computed from, and not computed again.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

PART = re.compile(r"^prodsim (?P<name>[a-z ]+)$")
SIGNALS = "prodsim signals"
SIGNAL = re.compile(r"(?P<name>\w+)=(?P<value>[-+.0-9E]+)")
RULE = re.compile(r"_name: (?P<name>(?:boost|bury) \d+)\)")
PINNED = re.compile(r"ConstantScore\(.*sku:")
PIN_LEAST = 10_000.0


@dataclass(frozen=True)
class Explained:
    """`score` = (sum of `parts`) x (product of `signals`) + `pin`, each number the engine's own.

    `parts` are words, most words, all words, title words, identifiers and the vectors; `signals` those of the profile
    with its boosts and buries.
    """

    score: float
    parts: dict[str, float] = field(default_factory=dict)
    signals: dict[str, float] = field(default_factory=dict)
    pin: float = 0.0

    @property
    def blend(self) -> float:
        return math.fsum(self.parts.values())

    @property
    def product(self) -> float:
        """The score put together again."""
        return self.blend * math.prod(self.signals.values()) + self.pin

    def rows(self) -> list[dict[str, str]]:
        """A line for each part and signal, then the score."""
        rows = [{"part": name, "points": f"{value:.4f}", "factor": ""} for name, value in self.parts.items()]
        rows += [{"part": name, "points": "", "factor": f"{value:.4f}"} for name, value in self.signals.items()]
        if self.pin:
            rows.append({"part": "pinned", "points": f"{self.pin:.0f}", "factor": ""})
        return [*rows, {"part": "score", "points": f"{self.score:.4f}", "factor": ""}]


def explained(explanation: Mapping[str, Any]) -> Explained:
    """The parts in an engine's explanation of a hit of a prodsim template."""
    parts: dict[str, float] = {}
    signals: dict[str, float] = {}
    pin = 0.0
    for node in nodes(explanation):
        description, value = str(node["description"]), float(node["value"])
        if description.startswith(SIGNALS):
            signals = {found["name"]: float(found["value"]) for found in SIGNAL.finditer(description)} | signals
        elif name := part_of(node):
            parts[name] = parts.get(name, 0.0) + value
        elif rule := rule_of(node):
            signals[rule] = value
        elif value >= PIN_LEAST and PINNED.search(description):
            pin = value
    if not parts and not pin:
        parts["all products"] = 1.0  # a listing: no query, every product that passes the filters
    return Explained(float(explanation["value"]), parts, signals, pin)


def nodes(explanation: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The explanation and all in it, but for what makes up a part."""
    yield explanation
    if part_of(explanation) is None:
        for detail in explanation.get("details", []):
            yield from nodes(detail)


def part_of(node: Mapping[str, Any]) -> str | None:
    """The name of the part that a node explains: a script's own, or what a boost makes of it."""
    description = str(node["description"])
    if description.startswith("Boosted score"):
        description = str(node["details"][-1]["description"])
    found = PART.match(description)
    return found["name"] if found and not description.startswith(SIGNALS) else None


def rule_of(node: Mapping[str, Any]) -> str | None:
    """The name of the boost or bury whose factor the node's value is: its filter stands beside its weight."""
    details = node.get("details", [])
    if not any(str(detail["description"]).startswith("match filter") for detail in details):
        return None
    found = RULE.search(" ".join(str(inner["description"]) for detail in details for inner in nodes(detail)))
    return found["name"] if found else None
