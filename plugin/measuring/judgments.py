"""Judgment lists: which products answer which queries, and how well."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from typing import NamedTuple

from prodsim.plugin.errors import CatalogError

# Finer proportions between grades than this are rounded: measures take whole numbers.
FINEST = 10_000


class Judged(NamedTuple):
    """One judgment as a file holds it; `line` is for messages."""

    line: int
    query: str
    sku: str
    grade: float
    group: str | None = None


@dataclass(frozen=True)
class JudgmentList:
    """`grades` is query to SKU to grade, 0 for a product that is no answer; `groups` is query to group, where known."""

    name: str
    grades: Mapping[str, Mapping[str, float]]
    groups: Mapping[str, str] = field(default_factory=dict)

    @property
    def queries(self) -> list[str]:
        return list(self.grades)

    @cached_property
    def scale(self) -> int:
        """What grades are multiplied by to be whole numbers, as `ir-measures` takes them.

        nDCG with linear gains does not change with it: 1 / 0.1 / 0.01 / 0 becomes 100 / 10 / 1 / 0.
        """
        scale = 1
        for grade in {grade for products in self.grades.values() for grade in products.values()}:
            scale = math.lcm(scale, Fraction(grade).limit_denominator(FINEST).denominator)
            if scale > FINEST:
                return FINEST
        return scale

    @cached_property
    def qrels(self) -> dict[str, dict[str, int]]:
        """The grades as whole numbers, in proportion. A grade above 0 stays above 0."""
        return {
            query: {sku: self.whole(grade) for sku, grade in products.items()}
            for query, products in self.grades.items()
        }

    def whole(self, grade: float) -> int:
        return max(round(grade * self.scale), 1 if grade > 0 else 0)

    @cached_property
    def without_answers(self) -> list[str]:
        """Queries for which no product is graded above 0: every measure of relevance is 0 for them."""
        return [query for query, products in self.grades.items() if not any(products.values())]

    def only(self, queries: Iterable[str]) -> JudgmentList:
        """The list of those queries alone."""
        kept = set(queries)
        grades = {query: products for query, products in self.grades.items() if query in kept}
        groups = {query: group for query, group in self.groups.items() if query in kept}
        return JudgmentList(self.name, grades, groups)


def collect(name: str, rows: Iterable[Judged]) -> JudgmentList:
    """A list of single judgments. Negative grades (TREC's "junk") count as 0.

    Raises:
        CatalogError: a grade is no number, a product is judged twice with different grades for one query, or there is
            none at all. The message names the first five such lines.
    """
    grades: dict[str, dict[str, float]] = {}
    groups: dict[str, str] = {}
    problems: list[str] = []
    for row in rows:
        if not math.isfinite(row.grade):
            problems.append(f"line {row.line}: the grade is {row.grade}")
            continue
        grade = max(0.0, row.grade)
        products = grades.setdefault(row.query, {})
        if products.setdefault(row.sku, grade) != grade:
            problems.append(
                f"line {row.line}: {row.sku} has grade {grade:g} for '{row.query}', and {products[row.sku]:g} above"
            )
        if row.group is not None and groups.setdefault(row.query, row.group) != row.group:
            problems.append(f"line {row.line}: '{row.query}' is in group {row.group}, and in {groups[row.query]} above")
    if problems:
        raise CatalogError(refusal(name, problems))
    if not grades:
        raise CatalogError(f"{name} holds no judgments")
    return JudgmentList(name, grades, groups)


def refusal(name: str, problems: list[str]) -> str:
    more = f"; and {len(problems) - 5} more" if len(problems) > 5 else ""
    return f"{name} can't be used: {'; '.join(problems[:5])}{more}"
