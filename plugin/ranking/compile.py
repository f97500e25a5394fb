"""From a profile to the mustache sources of the stored templates."""

from __future__ import annotations

from collections.abc import Sequence

from prodsim.mappings import bundle
from prodsim.mappings.render import render_text
from prodsim.mappings.vector_fields import KINDS, VectorField, of_kind

from .profile import ONE_WORD, Profile, weighted
from .rules import Pin
from .signals import Signals

LEAST_SCORE = 1e-6
MORE_THAN_ANY_LEG = 2.0  # that has no weight
HOURS_A_DAY = 24
PIN_STEP = 10_000.0


def compile_profile(profile: Profile, legs: Sequence[str], engine_version: str) -> dict[str, str]:
    """The sources of the stored templates by name, with a vector leg for each of those k-NN fields.

    A leg keeps its place for good (`bundle.leg_fields`): pipelines of other indexes write to it by position. Any of
    the sources can be searched with as it is, posted as `source` to `_search/template`.
    """
    shared = {
        "profile": profile,
        "score_script": render_text("score.painless", profile=profile, similar=False),
        "similar_score_script": render_text("score.painless", profile=profile, similar=True),
        "condition_script": bundle.CONDITION_SCRIPT,
        "facet_script": bundle.FACET_SCRIPT,
        "places": places(profile.pins),
        "signal_values": signal_values(profile.signals),
        "leg_script": leg_script,
        "least_score": LEAST_SCORE,
        "least_of_leg": lambda weight: least_of_leg(profile.floor, weight),
        "never_there": bundle.NEVER_THERE,
        "words_k": profile.k * bm25_scale(engine_version),
        "similar_k": profile.similar.k * bm25_scale(engine_version),
        "vectors": {kind: of_kind(legs, kind) for kind in KINDS},
        "all_vectors": [VectorField.parse(name) for name in legs],
        "text_fields": profile.weighted_fields,
        "strong_fields": weighted(profile.strong_fields),
        "content_words": bundle.CONTENT_WORDS,
        "one_word": ONE_WORD,
        "placeholder": bundle.placeholder,
        "sort_fields": bundle.SORT_FIELDS,
        "hidden_fields": bundle.HIDDEN_FIELDS,
        "search_marker": bundle.SEARCH_MARKER,
        "liked_marker": bundle.LIKED_MARKER,
        "disliked_marker": bundle.DISLIKED_MARKER,
        "decay_marker": bundle.DECAY_MARKER,
        "photo_marker": bundle.PHOTO_MARKER,
        "no_photos": bundle.NO_PHOTOS,
    }
    return {name: render_text(file, **shared) for name, file in bundle.TEMPLATE_FILES.items()}


def bm25_scale(engine_version: str) -> float:
    """What a BM25 score of that engine is, measured in those of OpenSearch 2.x.

    From 3.0 on Lucene's own BM25Similarity scores, without the constant factor k1 + 1 = 2.2 of the one before
    (OpenSearch issue 17315).
    """
    return 1.0 if int(engine_version.split(".")[0]) < 3 else 1 / 2.2


def places(pins: Sequence[Pin]) -> list[tuple[Pin, str, float]]:
    """Every pinned SKU with its rule and the points that put it in its place: more than any other score."""
    pinned = [(pin, sku) for pin in pins for sku in pin.skus]
    return [(pin, sku, PIN_STEP * (len(pinned) - place)) for place, (pin, sku) in enumerate(pinned)]


def least_of_leg(floor: float, weight: float) -> float:
    """The points from which on a leg counts. The engine holds a `min_score` against the score times its boost."""
    return max(LEAST_SCORE, floor) if weight > 0 else MORE_THAN_ANY_LEG


def leg_script(part: str, formula: str) -> str:
    """A script for one part of the score, which names itself in the engine's explanation."""
    return f"if (explanation != null) {{ explanation.set('prodsim {part}'); }} return {formula};"


def signal_values(signals: Signals) -> dict[str, float | None]:
    """The parameters of `score.painless`, those of signals that are off included: its text says which it reads."""
    return {
        "out_of_stock": signals.stock.factor,
        "rating": signals.rating.strength,
        "rating_prior": signals.rating.prior,
        "rating_prior_count": signals.rating.prior_count,
        "popularity": signals.popularity.strength,
        "popularity_pivot": signals.popularity.pivot,
        "recency": signals.recency.strength,
        "recency_half_life_hours": signals.recency.half_life_days * HOURS_A_DAY,
        "price": signals.price.strength,
        "price_point": signals.price.point,
        "price_low": signals.price.low,
        "price_high": signals.price.high,
        "price_scale": signals.price.scale,
        "margin": signals.margin.strength,
        "discount": signals.discount.strength,
    }
