"""Judgments from click logs, with the effect of a hit's place taken out.

The position-based model (Craswell et al. 2008; Chuklin, Markov and de Rijke 2015, section 3.1): a customer looks at
place p with probability `examination[p]`, the same for all queries, and clicks on what they look at with probability
`attraction[query, product]`. Both are estimated by expectation maximisation; the attraction is the grade.

What keeps it honest where data are few: every attraction starts from a Beta prior around the log's own click rate,
worth `PRIOR_VIEWS` looks. A product that was shown once and clicked once is no certain answer.

It tells a good place from a good product only where products stood in different places for the same query, as they do
when prices, stock or rankings change. In a log where each stood in one place always, examination falls back to the
click rate by place, and products are told apart by being clicked more or less than is usual there.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from prodsim.loaders.reading.readers import read_rows
from prodsim.plugin.errors import CatalogError

from .judgments import Judged, JudgmentList, collect, refusal

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
PRIOR_VIEWS = 10.0
ROUNDS = 200
CLOSE_ENOUGH = 1e-6
NAMES = {
    "query": ("query", "query_text", "user_query", "search_term", "q"),
    "sku": ("sku", "product_id", "object_id", "docid", "doc_id", "item_id"),
    "position": ("position", "rank", "ordinal", "place"),
    "clicks": ("clicks", "clicked", "click"),
    "views": ("views", "impressions", "shown"),
}


class Shown(NamedTuple):
    """A product shown for a query at a place (from 1): how often, and how often it was clicked."""

    query: str
    sku: str
    position: int
    views: int
    clicks: int


@dataclass(frozen=True)
class Attraction:
    """A product's share of clicks among the customers who looked at it, `looks` of them, for one query."""

    query: str
    sku: str
    grade: float
    views: int
    clicks: int
    looks: float


@dataclass(frozen=True)
class ClickModel:
    """`examination[p]` is the probability that a customer looks at place p + 1, 1 at the most looked at; float64."""

    examination: Floats
    attractions: list[Attraction]

    def judgments(self, name: str, least_views: int) -> JudgmentList:
        """Those that were shown often enough. Raises CatalogError where there are none."""
        kept = [found for found in self.attractions if found.views >= least_views]
        if not kept:
            raise CatalogError(f"{name} shows no product {least_views} times for a query: lower --min-views")
        return collect(name, (Judged(0, found.query, found.sku, found.grade) for found in kept))


def read_clicks(path: str | Path) -> list[Shown]:
    """A click log, one row for each product shown (`clicked` 0 or 1) or for many alike (`views` and `clicks`).

    Raises:
        CatalogError: the file can't be read, lacks a column, or holds rows that make no sense.
    """
    problems: list[str] = []
    shown = list(rows_of(str(path), problems))
    if problems:
        raise CatalogError(refusal(str(path), problems))
    if not any(row.clicks for row in shown):
        raise CatalogError(f"{path} holds no click: there is nothing to learn from")
    return shown


def rows_of(name: str, problems: list[str]) -> Iterator[Shown]:
    columns: dict[str, str] | None = None
    for row in read_rows(name):
        if row.problem:
            problems.append(f"line {row.line}: {row.problem}")
            continue
        if columns is None:
            columns = columns_of(name, list(row.values))
        query, sku = (str(row.values.get(columns[part]) or "").strip() for part in ("query", "sku"))
        try:
            position, clicks = (whole(row.values.get(columns[part])) for part in ("position", "clicks"))
            views = whole(row.values.get(columns["views"])) if "views" in columns else 1
        except ValueError as error:
            problems.append(f"line {row.line}: {error}")
            continue
        if not query or not sku:
            problems.append(f"line {row.line}: no {'query' if not query else 'product'}")
        elif position < 1:
            problems.append(f"line {row.line}: position {position}, where the first hit has 1")
        elif not 0 <= clicks <= views:
            problems.append(f"line {row.line}: {clicks} clicks of {views} views")
        elif views:
            yield Shown(query, sku, position, views, clicks)


def columns_of(name: str, columns: list[str]) -> dict[str, str]:
    by_lower_case = {column.lower(): column for column in columns}
    found = {
        part: next((by_lower_case[one] for one in usual if one in by_lower_case), "") for part, usual in NAMES.items()
    }
    missing = [part for part, column in found.items() if not column and part != "views"]
    if missing:
        raise CatalogError(f"{name} has no column for {', '.join(missing)}: its columns are {', '.join(columns)}")
    return {part: column for part, column in found.items() if column}


def whole(value: object) -> int:
    text = str(value).strip().lower()
    if text in ("true", "false"):
        return int(text == "true")
    number = float(text)
    if number != int(number):
        raise ValueError(f"{text} is no whole number")
    return int(number)


def estimate_attractions(shown: Iterable[Shown]) -> ClickModel:
    """Fits the position-based model."""
    rows = summed(shown)
    pairs = {pair: place for place, pair in enumerate(dict.fromkeys((row.query, row.sku) for row in rows))}
    pair = np.array([pairs[row.query, row.sku] for row in rows])
    position = np.array([row.position - 1 for row in rows])
    views = np.array([row.views for row in rows], dtype=np.float64)
    clicks = np.array([row.clicks for row in rows], dtype=np.float64)
    places = int(position.max()) + 1
    usual = float(clicks.sum() / views.sum())
    views_at, clicks_at = total(position, views, places), total(position, clicks, places)
    # at the start all products are alike: what is clicked at a place says how often it is looked at
    examination = (clicks_at + usual) / (views_at + 1)
    examination /= examination.max()
    attraction = np.full(len(pairs), min(0.5, usual / float(np.average(examination[position], weights=views))))
    prior = float(attraction[0])
    views_of = total(pair, views, len(pairs))
    for _ in range(ROUNDS):
        looked = looks_at(examination[position], attraction[pair], views, clicks)
        before = examination
        looks = total(pair, looked, len(pairs))
        attraction = (total(pair, clicks, len(pairs)) + prior * PRIOR_VIEWS) / (looks + PRIOR_VIEWS)
        attraction = np.minimum(attraction, 1.0)
        examination = (total(position, looked, places) + 1e-9) / (views_at + 1e-9)
        examination = examination / examination.max()
        if np.abs(examination - before).max() < CLOSE_ENOUGH:
            break
    looked = looks_at(examination[position], attraction[pair], views, clicks)
    looks, clicks_of = total(pair, looked, len(pairs)), total(pair, clicks, len(pairs))
    return ClickModel(
        examination,
        [
            Attraction(query, sku, round(float(attraction[place]), 4), int(views_of[place]), int(clicks_of[place]),
                       round(float(looks[place]), 2))
            for (query, sku), place in pairs.items()
        ],
    )  # fmt: skip


def looks_at(examined: Floats, attracted: Floats, views: Floats, clicks: Floats) -> Floats:
    """How many of the views were looks: a click was one; without, it was not looked at, or looked at and not liked."""
    no_click = np.maximum(1 - examined * attracted, 1e-12)
    return clicks + (views - clicks) * examined * (1 - attracted) / no_click


def summed(shown: Iterable[Shown]) -> list[Shown]:
    counts: dict[tuple[str, str, int], list[int]] = {}
    for row in shown:
        found = counts.setdefault((row.query, row.sku, row.position), [0, 0])
        found[0] += row.views
        found[1] += row.clicks
    return [Shown(*key, views, clicks) for key, (views, clicks) in counts.items()]


def total(places: Ints, values: Floats, length: int) -> Floats:
    return np.bincount(places, weights=values, minlength=length).astype(np.float64)


def write_judgments(model: ClickModel, path: Path, least_views: int) -> int:
    """Writes query, sku, grade, views, clicks, looks as CSV, the best of each query first; returns the rows written."""
    kept = [found for found in model.attractions if found.views >= least_views]
    kept.sort(key=lambda found: (found.query, -found.grade, found.sku))
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["query", "sku", "grade", "views", "clicks", "looks"])
        for found in kept:
            writer.writerow([found.query, found.sku, found.grade, found.views, found.clicks, found.looks])
    return len(kept)
