"""A profile's scores from features: the formula of the template, for thousands of profiles a minute."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from prodsim.plugin.ranking.compile import least_of_leg
from prodsim.plugin.ranking.profile import ONE_WORD, Profile

from .features import Features

Floats = NDArray[np.float64]
BONUS_OF = {"all words": "all_words", "title words": "title_words", "identifiers": "identifiers"}
QUERY_LEG = "text vectors"  # the one that a query's own vector is for
SMALL = 0.01
HOUR_MS = 3_600_000


def scores(features: Features, profile: Profile, fields: int = 0) -> Floats:
    """float64 (queries, candidates), -inf for what is no hit. `fields` says which of the features' field weights."""
    any_words = features.words[fields]
    most_words = any_words if profile.words.minimum_should_match == ONE_WORD else features.most[fields]
    blended = np.zeros(any_words.shape)
    for bm25, share in ((any_words, profile.words.partial), (most_words, 1 - profile.words.partial)):
        blended += np.nan_to_num(profile.words.weight * share * bm25 / (bm25 + profile.k * features.k_scale))
    hit = ~np.isnan(np.where(features.vector_weight[:, None] > 0, most_words, any_words))
    for name, values in features.parts.items():
        points = part(name, values, profile, features.vector_weight[:, None] if name == QUERY_LEG else 1.0)
        hit = hit | ~np.isnan(points)
        blended += np.nan_to_num(points)
    scored = blended * factors(features, profile)
    return np.where(hit & (scored > 0), scored, -np.inf)


def part(name: str, values: Floats, profile: Profile, on: Floats | float = 1.0) -> Floats:
    """What a leg adds: `weight` of its own kind times what the leg scores; NaN where it finds nothing.

    `on` is the weight of the vectors that a vector leg looks for.
    """
    if name in BONUS_OF:
        weight: float = getattr(profile, BONUS_OF[name]).weight
        return weight * np.where(np.isnan(values), np.nan, 1.0)
    leg = getattr(profile.legs, name.removesuffix(" vectors"))
    c = profile.c if leg.c is None else leg.c
    points = leg.weight * np.clip(on - (1 - values) / (1 - c), 0, 1)
    return np.asarray(np.where(points < least_of_leg(profile.floor, leg.weight), np.nan, points))


def factors(features: Features, profile: Profile) -> Floats:
    """The product of the signals, as in `mappings/score.painless`: 1 for a product that lacks a signal's fields."""
    signals, known = profile.signals, features.signals
    factor = np.ones(features.words[0].shape)

    def times(value: Floats | float) -> None:
        nonlocal factor
        factor = factor * np.nan_to_num(value, nan=1.0)

    if "stock" in known and signals.stock.out == "demote":
        times(np.where(known["stock"] <= 0, signals.stock.factor, 1.0))
    if "stock" in known and signals.stock.out == "hide":
        times(np.where(known["stock"] <= 0, 0.0, 1.0))
    if "rating" in known and signals.rating.strength:
        count = np.nan_to_num(known.get("rating_count", known["rating"] * np.nan), nan=1.0)
        prior, worth = signals.rating.prior, signals.rating.prior_count
        smoothed = (known["rating"] * count + prior * worth) / (count + worth)
        times(1 + signals.rating.strength * (smoothed - prior) / 5)
    if "popularity" in known and signals.popularity.strength:
        times(1 + signals.popularity.strength * known["popularity"] / (known["popularity"] + signals.popularity.pivot))
    if signals.recency.field in known and signals.recency.strength:
        hours = np.maximum(0, np.floor((features.now_ms - known[signals.recency.field]) / HOUR_MS))
        times(1 + signals.recency.strength * 0.5 ** (hours / (signals.recency.half_life_days * 24)))
    if "price" in known and signals.price.strength:
        times(1 + signals.price.strength * closeness(known["price"], profile))
    if "margin" in known and signals.margin.strength:
        times(1 + signals.margin.strength * np.clip(known["margin"], 0, 1))
    if {"price", "list_price"} <= known.keys() and signals.discount.strength:
        off = np.where(known["list_price"] > 0, 1 - known["price"] / known["list_price"], 0)
        times(1 + signals.discount.strength * np.maximum(0, off))
    return factor


def closeness(price: Floats, profile: Profile) -> Floats:
    signal = profile.signals.price
    if signal.shape == "near":
        return np.asarray(0.5 ** (np.abs(price - (signal.point or 0)) / signal.scale))
    if signal.shape == "band":
        outside = np.maximum(0, np.maximum((signal.low or 0) - price, price - (signal.high or 0)))
        return np.asarray(0.5 ** (outside / signal.scale))
    return np.asarray(signal.scale / (price + signal.scale))


def ranked(features: Features, scored: Floats, size: int) -> dict[str, list[str]]:
    """Query to SKUs, best first; equal scores in the order of their SKUs, as the template sorts."""
    order = np.argsort(-scored.astype(np.float32), axis=1, kind="stable")[:, :size]
    found: dict[str, list[str]] = {}
    for row, query in enumerate(features.queries):
        columns = [column for column in order[row] if scored[row, column] > 0]
        found[query] = [features.skus[row][column] for column in columns]
    return found


def largest_difference(
    features: Features, scored: Floats, measured: Mapping[str, Sequence[tuple[str, float]]]
) -> float:
    """How far the scores are from the engine's, as a share of them, over all hits that both know.

    Differences of scores below `SMALL` are held against that: cosines have 24 bits whatever is left of them above `c`.
    """
    worst = 0.0
    for row, query in enumerate(features.queries):
        columns = {sku: column for column, sku in enumerate(features.skus[row])}
        for sku, score in measured[query]:
            if sku in columns:
                worst = max(worst, abs(scored[row, columns[sku]] - score) / max(abs(score), SMALL))
    return worst
