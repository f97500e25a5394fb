"""What a source holds and what a catalog makes of it, from a sample: the report of `load --check`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice

from prodsim.loaders.reading.readers import Source
from prodsim.loaders.reading.source import SourceRow
from prodsim.plugin.errors import CatalogError

from .catalog import SAMPLE_ROWS, Catalog, load_catalog, some_of, within
from .column_profile import ColumnProfile, leaf_names, profile_columns
from .problem import Problem

SHOWN_PROBLEMS = 10
EXAMPLE_LENGTH = 30


@dataclass
class SourceProfile:
    """`rows` were sampled: `products` of them would be products, `rejected` not, `broken` can't even be read.

    `first_problems` are lines for people, `reasons` counts problems by field and code. `column_problem` says which
    columns the catalog reads in vain. `suggested` is true where there is no catalog.yaml and columns are not named as
    the fields are: then the suggested catalog is what was tried. `sample` holds the values of the readable rows.
    """

    name: str
    format: str
    rows: int = 0
    whole: bool = False
    broken: int = 0
    products: int = 0
    rejected: int = 0
    columns: list[ColumnProfile] = field(default_factory=list)
    header: bool = False
    with_catalog: bool = False
    suggested: bool = False
    column_problem: str | None = None
    unused: list[str] = field(default_factory=list)
    first_problems: list[str] = field(default_factory=list)
    reasons: Counter[tuple[str, str]] = field(default_factory=Counter)
    sample: list[Mapping[str, object]] = field(default_factory=list, repr=False)


def profile_source(source: Source, catalog: Catalog | None = None, sample: int = SAMPLE_ROWS) -> SourceProfile:
    """What the first `sample` rows are, and what the catalog makes of them; nothing is sent anywhere.

    Raises:
        CatalogError: the source breaks off.
    """
    read = list(islice(source, sample + 1))
    rows = read[:sample]
    values = [row.values for row in rows if row.problem is None]
    names = [*source.header] if source.header is not None else leaf_names(values)
    profile = SourceProfile(
        source.name,
        source.format,
        len(rows),
        len(read) <= sample,
        columns=profile_columns(names, values),
        header=source.header is not None,
        with_catalog=catalog is not None,
        sample=list(values),
    )
    use = catalog or load_catalog(None)
    try:
        use.check_columns(names, profile.name, None if profile.header else len(values))
    except CatalogError as error:
        profile.column_problem = str(error)
        if catalog is None and values:
            from .catalog_text import suggested_catalog

            use, profile.suggested = suggested_catalog(profile), True
    uses = use.uses()
    for column in profile.columns:
        column.feeds = list(
            dict.fromkeys(
                one.field for one in uses if within(column.name, one.column) or within(one.column, column.name)
            )
        )
    profile.unused = [column.name for column in profile.columns if not column.feeds]
    try_rows(profile, use, rows)
    return profile


def as_row(profile: SourceProfile) -> dict[str, object]:
    """The report as plain values, for JSON."""
    shown = ("name", "kind", "share", "missing_share", "unique_share", "examples", "feeds")
    return {
        "source": profile.name,
        "format": profile.format,
        "rows": profile.rows,
        "whole": profile.whole,
        "products": profile.products,
        "rejected": profile.rejected,
        "columns": [{name: getattr(column, name) for name in shown} for column in profile.columns],
        "column_problem": profile.column_problem,
        "unused": profile.unused,
        "first_problems": profile.first_problems,
    }


def try_rows(profile: SourceProfile, catalog: Catalog, rows: list[SourceRow]) -> None:
    for row in rows:
        outcome = [Problem("", "bad_row", row.problem)] if row.problem is not None else catalog.prepare(row.values)
        if not isinstance(outcome, list):
            profile.products += 1
            continue
        profile.rejected += 1
        profile.broken += row.problem is not None
        profile.reasons.update((problem.field, problem.code) for problem in outcome)
        if len(profile.first_problems) < SHOWN_PROBLEMS:
            sku = catalog.sku_of(row.values) if row.problem is None else None
            place = f"line {row.line}" + (f" ({sku})" if sku else "")
            profile.first_problems.append(f"{place}: {'; '.join(problem.message for problem in outcome)}")


def describe(profile: SourceProfile) -> list[str]:
    """The report, line by line: the columns as a table, how many rows would be products, and the first problems."""
    extent = "all" if profile.whole else "the first"
    lines = [f"{profile.name} ({profile.format}): {extent} {profile.rows:,} rows, {len(profile.columns)} columns"]
    table = [("COLUMN", "TYPE", "MISSING", "EXAMPLES", "FEEDS")]
    table += [
        (
            column.name,
            column.kind + ("" if column.share > 0.95 or column.kind == "nothing" else f" {column.share:.0%}"),
            f"{column.missing_share:.0%}" if column.missing_share in (0, 1) else f"{column.missing_share:.1%}",
            " | ".join(shorter(one) for one in column.examples),
            ", ".join(column.feeds) or "-",
        )
        for column in profile.columns
    ]
    widths = [max(len(line[place]) for line in table) for place in range(len(table[0]) - 1)]
    for *cells, last in table:
        lines.append("  " + "  ".join([*(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)), last]))
    if profile.column_problem:
        lines.append(profile.column_problem)
    if profile.suggested:
        lines.append("With the suggested catalog.yaml:")
    lines.append(
        f"{profile.products:,} of {profile.rows:,} rows would be products, {profile.rejected:,} would be rejected"
    )
    lines += [f"  {line}" for line in profile.first_problems]
    if profile.rejected > len(profile.first_problems):
        lines.append(f"  and {profile.rejected - len(profile.first_problems):,} more: {most_frequent(profile)}")
    if profile.unused and profile.with_catalog:
        lines.append(f"feeds nothing: {some_of(profile.unused)}")
    return lines


def most_frequent(profile: SourceProfile) -> str:
    reasons = (f"{field or 'row'} {code} ({count:,})" for (field, code), count in profile.reasons.most_common(5))
    return ", ".join(reasons)


def shorter(text: str) -> str:
    return text if len(text) <= EXAMPLE_LENGTH else text[: EXAMPLE_LENGTH - 1] + "…"
