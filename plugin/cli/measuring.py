"""What `evaluate`, `compare`, `ranking tune` and `judgments` share: how a list is read, and how figures look."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from prodsim.plugin.errors import UsageError

if TYPE_CHECKING:
    from prodsim.plugin.measuring.intervals import Estimate
    from prodsim.plugin.measuring.judgment_files import Reading

Format = Annotated[
    str | None,
    typer.Option("--format", metavar="NAME", help="rows, trec or json (default: by the file's name)."),
]
Columns = Annotated[
    str | None,
    typer.Option(
        "--columns", metavar="PART=NAME,...", help="Which columns are query, sku, grade, group: query=term,sku=article."
    ),
]
Grades = Annotated[
    str | None,
    typer.Option(
        "--grades", metavar="LABEL=GRADE,...", help="What the file's labels or numbers count: 3=1,2=0.1,1=0.01,0=0."
    ),
]
Where = Annotated[
    list[str] | None,
    typer.Option("--where", metavar="COLUMN=VALUE", help="Only rows with this value; repeat for several."),
]
Topics = Annotated[
    Path | None, typer.Option("--topics", metavar="FILE", help="Texts of the query ids: id<TAB>text on each line.")
]
Measures = Annotated[
    list[str] | None,
    typer.Option(
        "--measure",
        "-m",
        metavar="NAME@K",
        help="nDCG, recall, precision, MRR, MAP, hit or judged; repeat for several.",
    ),
]
RelevantFrom = Annotated[
    float | None,
    typer.Option(
        "--relevant-from", metavar="GRADE", help="Grades from here on are answers, where a measure knows yes and no."
    ),
]
Mode = Annotated[
    str | None,
    typer.Option(
        "--mode", metavar="NAME", help="engine: it calls the embedder itself; client: vectors are sent along."
    ),
]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Of the random numbers: the same seed, the same figures.")]
Similar = Annotated[
    bool, typer.Option("--similar", help="The queries are SKUs: measure similar products instead of searches.")
]

Value = TypeVar("Value")


def as_reading(
    format: str | None, columns: str | None, grades: str | None, where: list[str] | None, topics: Path | None
) -> Reading:
    from prodsim.plugin.measuring.judgment_files import Reading

    return Reading(
        format,
        assigned("--columns", (columns or "").split(","), str),
        assigned("--grades", (grades or "").split(","), float),
        assigned("--where", where or [], str),
        topics,
    )


def assigned(option: str, texts: Sequence[str], kind: Callable[[str], Value]) -> dict[str, Value]:
    """`a=1`, `b=2` and so on.

    Raises:
        UsageError: a text of another form.
    """
    found: dict[str, Value] = {}
    for text in texts:
        if not text.strip():
            continue
        name, equals, value = text.partition("=")
        try:
            found[name.strip()] = kind(value.strip())
        except ValueError:
            equals = ""
        if not equals or not value.strip():
            raise UsageError(f"{option} {text!r}: write {'a label and a number' if kind is float else 'NAME=VALUE'}")
    return found


def figure(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def interval(found: Estimate) -> str:
    return "" if found.low is None else f"{found.low:.4f} to {found.high:.4f}"
