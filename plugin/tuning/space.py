"""Which numbers of a profile are searched, and how far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch

from prodsim.plugin.errors import UsageError
from prodsim.plugin.measuring.contenders import BM25_KINDS
from prodsim.plugin.ranking.profile import Profile

BONUSES = ("all_words.weight", "title_words.weight", "identifiers.weight")
LEGS = ("text", "image", "fused")
STRENGTHS = {
    "signals.rating.strength": 1.0,
    "signals.popularity.strength": 2.0,
    "signals.price.strength": 2.0,
    "signals.margin.strength": 2.0,
    "signals.discount.strength": 2.0,
    "signals.recency.strength": 2.0,
}
STOCK = "signals.stock.factor"
FIELDS = "fields"
TYPE = "words.type"


@dataclass(frozen=True)
class Wording:
    """How words are matched: weights of the text fields, and the type of multi_match."""

    fields: Mapping[str, float]
    type: str = "cross_fields"


@dataclass(frozen=True)
class Range:
    """A number between two others; with `log` it is searched by its order of magnitude. `off` takes its part away."""

    low: float
    high: float
    log: bool = False
    off: float | None = None


@dataclass(frozen=True)
class Space:
    """`ranges` is path to range; `wordings` are ways to match words to choose from, the profile's own first."""

    ranges: Mapping[str, Range]
    wordings: Sequence[Wording]

    @property
    def words_alone(self) -> dict[str, float]:
        """The numbers with which nothing but BM25 ranks, as far as they are searched."""
        return {path: found.off for path, found in self.ranges.items() if found.off is not None}


def space_of(profile: Profile, filled: Sequence[str], include: Sequence[str] = (), keep: Sequence[str] = ()) -> Space:
    """The weights, k, c and the strengths of the signals that the profile has on; patterns add or take away.

    `filled` are the text fields that products have values in: the weights of others say nothing.

    The weight of the words stays: only its proportion to the others matters.

    Raises:
        UsageError: a pattern that fits no number, or nothing is left.
    """
    everything = all_ranges(profile)
    names = [*everything, FIELDS, TYPE]
    for pattern in (*include, *keep):
        if not any(fnmatch(path, pattern) for path in names):
            raise UsageError(f"no number that can be tuned is called {pattern!r}: there are {', '.join(names)}")
    chosen = {
        path: found
        for path, found in everything.items()
        if (is_on(profile, path) or any(fnmatch(path, pattern) for pattern in include))
        and not any(fnmatch(path, pattern) for pattern in keep)
    }
    own = as_wording(profile)
    wordings = [own]
    if not any(fnmatch(FIELDS, pattern) for pattern in keep):
        wordings += [Wording(weights, own.type) for weights in other_weights(profile, filled)]
    if not any(fnmatch(TYPE, pattern) for pattern in keep):
        wordings += [Wording(own.fields, kind) for kind in BM25_KINDS if kind != own.type]
    if not chosen and len(wordings) == 1:
        raise UsageError("nothing is left to tune: --keep names every number")
    return Space(chosen, wordings)


def as_wording(profile: Profile) -> Wording:
    return Wording(dict(profile.fields), profile.words.type)


def all_ranges(profile: Profile) -> dict[str, Range]:
    words = profile.words.weight or 1.0
    found = {"k": Range(3.0, 100.0, log=True)}
    # what adds more than twice the most that words can add stands above all that lacks it: more changes nothing
    found |= {path: Range(0.0, min(10.0, 2.5 * words), off=0.0) for path in BONUSES}
    found |= {"words.partial": Range(0.0, 1.0, off=1.0)}
    found |= {f"legs.{leg}.weight": Range(0.0, min(10.0, 5 * words), off=0.0) for leg in LEGS}
    found |= {"c": Range(0.0, 0.6)}
    found |= {f"legs.{leg}.c": Range(0.0, 0.6) for leg in LEGS if getattr(profile.legs, leg).c is not None}
    found |= {path: Range(0.0, high, off=0.0) for path, high in STRENGTHS.items()}
    return found | {STOCK: Range(0.0, 1.0, off=1.0)}


def is_on(profile: Profile, path: str) -> bool:
    """Whether a number is searched without being asked for: bonuses always, legs and signals that the profile uses."""
    if path == STOCK:
        return profile.signals.stock.out == "demote"
    if path.startswith("legs.") and path.endswith(".c"):
        return bool(profile.numbers[path.replace(".c", ".weight")])
    if path.startswith(("legs.image", "legs.fused", "signals.")):
        return bool(profile.numbers[path])
    return path == "legs.text.weight" or path in BONUSES or path in ("k", "c", "words.partial")


def other_weights(profile: Profile, filled: Sequence[str]) -> list[dict[str, float]]:
    """Each field's weight halved and doubled, and all alike: enough to see which way to go."""
    fields = {name: weight for name, weight in profile.fields.items() if weight > 0}
    movable = [name for name in fields if name in filled]
    if len(movable) < 2:
        return []
    changed = [{**fields, name: fields[name] * factor} for name in movable for factor in (0.5, 2.0)]
    alike = dict.fromkeys(fields, 1.0)
    return [*changed, alike] if alike != fields else changed
