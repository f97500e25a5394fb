"""The floor under tuned numbers: a meaning that found nothing before finds nothing afterwards."""

from __future__ import annotations

from prodsim.plugin.ranking.profile import Profile


def kept_floor(before: Profile, after: Profile) -> float:
    """The floor for `after` under which meaning finds nothing that it did not find with `before`.

    A floor is a bar for points, so it has to move with `c` and the leg's weight: it stands for a cosine under which a
    likeness is none.
    """
    least, c = least_cosine(before), c_of(after)
    return after.legs.text.weight * max(0.0, (least - c) / (1 - c))


def least_cosine(profile: Profile) -> float:
    """The cosine from which on the text leg finds a product; 1 where it finds none."""
    c, weight = c_of(profile), profile.legs.text.weight
    return min(1.0, c + profile.floor / weight * (1 - c)) if weight else 1.0


def c_of(profile: Profile) -> float:
    return profile.c if profile.legs.text.c is None else profile.legs.text.c
