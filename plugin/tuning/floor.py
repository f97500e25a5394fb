"""The floor under tuned numbers: what was no hit before stays none."""

from __future__ import annotations

import math

from prodsim.plugin.ranking.profile import Profile


def kept_floor(before: Profile, after: Profile) -> float:
    """The floor for `after` that refuses what `before` refused: a product found by words alone or by vectors alone.

    A floor is a bar for a sum of weights, so it has to move with them. It stands for a BM25 score under which a few
    words in common are no answer, and for a cosine under which a likeness is none; of the two bars that these make of
    the new numbers, the higher one counts.
    """
    if not before.floor:
        return 0.0
    words = after.words.weight * saturated(least_bm25(before), after.k)
    c_before, c_after = cosine_floor(before), cosine_floor(after)
    weight = before.legs.text.weight
    least_cosine = c_before + before.floor / weight * (1 - c_before) if weight else 1.0
    meaning = after.legs.text.weight * max(0.0, (min(least_cosine, 1.0) - c_after) / (1 - c_after))
    return max(words, meaning)


def least_bm25(profile: Profile) -> float:
    """The BM25 score that reaches the floor without anything else; infinite where none does."""
    weight = profile.words.weight
    return profile.floor * profile.k / (weight - profile.floor) if weight > profile.floor else math.inf


def saturated(bm25: float, k: float) -> float:
    return 1.0 if math.isinf(bm25) else bm25 / (bm25 + k)


def cosine_floor(profile: Profile) -> float:
    return profile.c if profile.legs.text.c is None else profile.legs.text.c
