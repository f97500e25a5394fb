"""`ranking tune`: better numbers for a profile, and whether they are better at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from prodsim.plugin.client import engine_errors
from prodsim.plugin.errors import EngineError, UsageError
from prodsim.plugin.indexes import ProductIndex, serving_index
from prodsim.plugin.measuring.contenders import BM25_KINDS, Contender, Rankings, Ring
from prodsim.plugin.measuring.extra import require
from prodsim.plugin.measuring.intervals import Difference, Estimate, difference, estimate
from prodsim.plugin.measuring.judgments import JudgmentList
from prodsim.plugin.measuring.measures import Floats, Scorer, depth
from prodsim.plugin.ranking.profile import Profile

from .features import Features, fetch
from .scoring import largest_difference, scores
from .space import Space, space_of
from .study import Choice, search, words_alone_of

Say = Callable[[str], None]
EXACT = 1e-4  # share of a score: the engine's numbers have 24 bits
TUNED = "tuned, on held-out queries"
BASELINES = (*(f"bm25:{kind}" for kind in BM25_KINDS), "hybrid", "vectors")


@dataclass(frozen=True)
class Options:
    """`folds` and `trials` of the cross-validation, `include` and `keep` patterns of numbers (`space_of`)."""

    measure: str = "nDCG@10"
    relevant_from: float | None = None
    folds: int = 5
    trials: int = 200
    seed: int = 0
    include: Sequence[str] = ()
    keep: Sequence[str] = ()


@dataclass(frozen=True)
class Tuned:
    """`means` is contender to its mean, all measured on the engine, the tuned one only on queries that its numbers have
    never seen. `gain` is tuned against untuned. `profile` has the numbers found on all queries, `changes` path to
    (before, after, least and most of the folds), `words` what else changed of how words are matched. `refusal` says
    why it must not be used; empty where it may.
    """

    measure: str
    queries: int
    folds: int
    trials: int
    means: Mapping[str, Estimate]
    gain: Difference
    over_bm25: Difference
    profile: Profile
    changes: Mapping[str, tuple[float, float, float, float]]
    refusal: str
    words: Mapping[str, str] = field(default_factory=dict)


def tune(ring: Ring, profile: Profile, judgments: JudgmentList, options: Options, say: Say) -> Tuned:
    """Cross-validated over queries: for each fold the numbers are searched on the others and measured on it.

    Pins, buries, hides and boosts are left aside: they are decisions about products, and no numbers to search.

    Raises:
        UsageError: too few queries for the folds, nothing to tune. EngineError: the engine's scores are not what the
            profile's formula gives.
    """
    if options.folds < 2 or len(judgments.queries) < 2 * options.folds:
        raise UsageError(
            f"{judgments.name} has {len(judgments.queries)} queries: {options.folds} folds need "
            f"{2 * options.folds} or more, and two folds at least"
        )
    require("optuna")
    bare = without_rules(profile)
    index = serving_index(ring.client, ring.alias)
    filled = [name for name in bare.fields if has_values(ring, index, name)]
    space = space_of(bare, filled, options.include, options.keep)
    queries = judgments.queries
    scorer = Scorer(judgments, [options.measure], options.relevant_from)
    say(f"fetching the parts of the scores of {len(queries)} queries")
    features = fetch(ring, index, bare, queries, space.wordings)
    untuned = rank(ring, index, bare, queries, options)
    check_formula(features, bare, untuned)
    space = that_matters(bare, space, features)
    values = {name: one_measure(scorer, rank_baseline(ring, name, queries, options)) for name in BASELINES}
    values[profile.name] = one_measure(scorer, untuned)
    held_out: Rankings = {}
    choices: list[Choice] = []
    for number, fold in enumerate(folds_of(len(queries), options), 1):
        say(f"fold {number} of {options.folds}: {options.trials} trials")
        others = np.setdiff1d(np.arange(len(queries)), fold)
        choices.append(searched(bare, space, features.only(others.tolist()), judgments, options))
        chosen = as_profile(bare, space, choices[-1])
        held_out |= rank(ring, index, chosen, [queries[place] for place in fold], options)
    values[TUNED] = one_measure(scorer, held_out)
    say(f"all {len(queries)} queries: {options.trials} trials")
    final = searched(bare, space, features, judgments, options)
    strongest = max((f"bm25:{kind}" for kind in BM25_KINDS), key=lambda name: float(values[name].mean()))
    same_list = one_measure(scorer, rank(ring, index, as_profile(bare, space, final), queries, options))
    if same_list.mean() < values[strongest].mean():
        plain = [
            (one_measure(scorer, rank(ring, index, as_profile(bare, space, choice), queries, options)), choice)
            for choice in words_alone_of(bare, space)
        ]
        same_list, final = max(plain, key=lambda found: float(found[0].mean()))
    gain = difference(values[profile.name], values[TUNED], options.seed)
    over_bm25 = difference(values[strongest], values[TUNED], options.seed)
    return Tuned(
        measure=scorer.names[0],
        queries=len(queries),
        folds=options.folds,
        trials=options.trials,
        means={name: estimate(figures, options.seed) for name, figures in values.items()},
        gain=gain,
        over_bm25=over_bm25,
        profile=as_profile(profile, space, final),
        changes=changes_of(profile, space, final, choices),
        words=words_changes(bare, as_profile(bare, space, final)),
        refusal=refusal(gain, over_bm25, float(same_list.mean()), float(values[strongest].mean()), strongest),
    )


def has_values(ring: Ring, index: ProductIndex, field: str) -> bool:
    with engine_errors(f"looking for products with a {field}"):
        body = {"query": {"exists": {"field": field}}, "size": 0, "terminate_after": 1}
        return bool(ring.client.search(index=index.name, body=body)["hits"]["total"]["value"])


def that_matters(profile: Profile, space: Space, features: Features) -> Space:
    """The space without numbers that change no score: of a signal whose field no product has, of a leg without vectors.

    Raises:
        UsageError: none is left.
    """
    middle = {path: (found.low + found.high) / 2 for path, found in space.ranges.items()}
    ranges = {}
    for path, found in space.ranges.items():
        low, high = (scores(features, profile.with_values({**middle, path: end})) for end in (found.low, found.high))
        if not np.array_equal(low, high):
            ranges[path] = found
    if not ranges and len(space.wordings) == 1:
        raise UsageError("none of the numbers to tune changes any score on these queries")
    return Space(ranges, space.wordings)


def without_rules(profile: Profile) -> Profile:
    return profile.model_copy(update={"boosts": (), "pins": (), "buries": (), "hides": (), "diversify": None})


def folds_of(count: int, options: Options) -> list[Floats]:
    return list(np.array_split(np.random.default_rng(options.seed).permutation(count), options.folds))


def searched(profile: Profile, space: Space, features: Features, judgments: JudgmentList, options: Options) -> Choice:
    return search(
        profile, space, features, judgments, options.measure, options.relevant_from, options.trials, options.seed
    )


def as_profile(profile: Profile, space: Space, choice: Choice) -> Profile:
    wording = space.wordings[choice.wording]
    changed = choice.applied(profile).with_values({f"fields.{name}": weight for name, weight in wording.fields.items()})
    return changed.model_copy(update={"words": changed.words.model_copy(update={"type": wording.type})})


def rank(ring: Ring, index: ProductIndex, profile: Profile, queries: Sequence[str], options: Options) -> Rankings:
    """On the engine, through a template that is compiled for it and not stored."""
    contender = ring.templates(profile.name, index, similar=False, sources=ring.profile_sources(profile))
    return ring.rank(contender, queries, depth([options.measure]))


def rank_baseline(ring: Ring, name: str, queries: Sequence[str], options: Options) -> Rankings:
    contender: Contender = ring.contender(name)
    return ring.rank(contender, queries, depth([options.measure]))


def one_measure(scorer: Scorer, found: Rankings) -> Floats:
    return scorer.scores({query: [hit.sku for hit in hits] for query, hits in found.items()})[scorer.names[0]]


def check_formula(features: Features, profile: Profile, measured: Rankings) -> None:
    """Raises EngineError where scores computed from features are not the engine's."""
    far = largest_difference(features, scores(features, profile), measured)
    if far > EXACT:
        raise EngineError(
            f"scores computed for {profile.name} differ from the engine's by up to {far:.1e} of their size: "
            "nothing was tuned"
        )


def changes_of(
    profile: Profile, space: Space, final: Choice, choices: Sequence[Choice]
) -> dict[str, tuple[float, float, float, float]]:
    after = as_profile(profile, space, final).numbers
    folds = [as_profile(profile, space, choice).numbers for choice in choices]
    return {
        path: (before, after[path], min(fold[path] for fold in folds), max(fold[path] for fold in folds))
        for path, before in profile.numbers.items()
        if after[path] != before
    }


def words_changes(before: Profile, after: Profile) -> dict[str, str]:
    settings = ("type", "minimum_should_match")
    return {name: found for name in settings if (found := getattr(after.words, name)) != getattr(before.words, name)}


def refusal(gain: Difference, over_bm25: Difference, tuned: float, bm25: float, strongest: str) -> str:
    """Why the tuned profile must not be used; "" where it may."""
    if tuned < bm25:
        return f"the numbers found on all queries stay below {strongest} on them ({tuned:.4f} < {bm25:.4f})"
    if over_bm25.estimate.mean < 0:
        return f"on held-out queries the tuned profile stays below {strongest} ({over_bm25.estimate.mean:+.4f})"
    if gain.certain <= 0:
        return (
            f"the gain on held-out queries is noise: {gain.estimate.signed}, p {gain.p_value:.3f}; judge more queries, "
            "or keep more numbers as they are"
        )
    return ""
