"""One search for the best numbers on some queries, through Optuna."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from prodsim.plugin.measuring.judgments import JudgmentList
from prodsim.plugin.measuring.measures import Floats, Scorer, depth
from prodsim.plugin.ranking.profile import ONE_WORD, Profile

from .features import Features
from .floor import kept_floor
from .scoring import ranked, scores
from .space import Space

if TYPE_CHECKING:
    import optuna

BEST_SHARE = 0.1
LEAST_BEST = 5
WORDING = "wording"


@dataclass(frozen=True)
class Choice:
    """Numbers by path, and which of the space's wordings. `plain`: every hit by a word is one, as in plain BM25."""

    values: Mapping[str, float]
    wording: int = 0
    plain: bool = False

    def applied(self, profile: Profile) -> Profile:
        """The profile with the numbers, rounded as a person would write them, over the floor that goes with them."""
        changed = profile.with_values({path: float(f"{value:.3g}") for path, value in self.values.items()})
        if self.plain:
            words = changed.words.model_copy(update={"minimum_should_match": ONE_WORD, "partial": 1.0})
            return changed.model_copy(update={"words": words, "floor": 0.0})
        return changed.with_values({"floor": float(f"{kept_floor(profile, changed):.3g}")})


@dataclass
class Objective:
    """What a profile reaches on the features' queries: the mean of one measure."""

    profile: Profile
    space: Space
    features: Features
    scorer: Scorer

    def values(self, choice: Choice) -> Floats:
        """One figure a query."""
        profile = choice.applied(self.profile)
        found = ranked(self.features, scores(self.features, profile, choice.wording), depth(self.scorer.names))
        return self.scorer.scores(found)[self.scorer.names[0]]

    def mean(self, choice: Choice) -> float:
        return float(self.values(choice).mean())


def search(
    profile: Profile,
    space: Space,
    features: Features,
    judgments: JudgmentList,
    measure: str,
    relevant_from: float | None,
    trials: int,
    seed: int,
) -> Choice:
    """The numbers to take, by these queries alone.

    Optuna's tree-structured Parzen estimator (Bergstra et al. 2011) proposes; the profile as it is and BM25 alone are
    among the trials. The answer is the average of the best tenth: the measure is a rugged function of few
    queries, its single best point is mostly luck, and the middle of the good region holds up better on other queries.
    Where only half of the way there is worse by no more than one standard error, half of the way is gone. The answer is
    never worse on these queries than the profile as it is or BM25 alone.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    scorer = Scorer(judgments.only(features.queries), [measure], relevant_from)
    objective = Objective(profile, space, features, scorer)
    as_it_is = Choice({path: own(profile, path, space) for path in space.ranges})
    words_alone = words_alone_of(profile, space)
    partly = Choice(words_alone[0].values)
    study = optuna.create_study(
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=seed, n_startup_trials=max(10, trials // 6), multivariate=True),
    )
    for known in (as_it_is, partly):
        study.enqueue_trial({**known.values, **({WORDING: 0} if len(space.wordings) > 1 else {})})
    study.optimize(lambda trial: objective.mean(proposed(trial, space)), n_trials=trials)
    finished = sorted(
        (trial for trial in study.trials if trial.value is not None), key=lambda trial: trial.value or 0, reverse=True
    )
    best = [choice_of(trial.params, space) for trial in finished[: max(LEAST_BEST, round(trials * BEST_SHARE))]]
    middle = average(best, space)
    halfway = Choice(between(as_it_is.values, middle.values, space), middle.wording)
    lost = objective.values(middle) - objective.values(halfway)
    if lost.mean() <= lost.std() / math.sqrt(len(lost)):
        middle = halfway
    fallbacks = [middle, best[0], as_it_is, *words_alone]
    means = [objective.mean(choice) for choice in fallbacks]
    return middle if means[0] >= max(means[2:]) else fallbacks[int(np.argmax(means))]


def words_alone_of(profile: Profile, space: Space) -> list[Choice]:
    """Plain BM25 in each of the wordings, as far as the space lets everything else be switched off."""
    values = {path: own(profile, path, space) for path in space.ranges} | space.words_alone
    return [Choice(values, wording, plain=True) for wording in range(len(space.wordings))]


def own(profile: Profile, path: str, space: Space) -> float:
    found = space.ranges[path]
    return min(found.high, max(found.low, profile.numbers[path]))


def proposed(trial: optuna.Trial, space: Space) -> Choice:
    ranges = space.ranges.items()
    values = {path: trial.suggest_float(path, found.low, found.high, log=found.log) for path, found in ranges}
    many = len(space.wordings)
    wording = trial.suggest_categorical(WORDING, list(range(many))) if many > 1 else 0
    return Choice(values, wording)


def choice_of(params: Mapping[str, float], space: Space) -> Choice:
    return Choice({path: params[path] for path in space.ranges}, int(params.get(WORDING, 0)))


def between(one: Mapping[str, float], other: Mapping[str, float], space: Space) -> dict[str, float]:
    """Halfway from one to the other."""
    return dict(average([Choice(one), Choice(other)], space).values)


def average(choices: Sequence[Choice], space: Space) -> Choice:
    """The middle of choices: of numbers the mean (of those by magnitude the geometric one).

    A wording other than the profile's own is taken only where more than half of the choices agree on it.
    """
    counts = np.bincount([choice.wording for choice in choices])
    wording = int(np.argmax(counts)) if counts.max() > len(choices) / 2 else 0
    values: dict[str, float] = {}
    for path, found in space.ranges.items():
        numbers = [choice.values[path] for choice in choices]
        values[path] = (
            math.exp(sum(map(math.log, numbers)) / len(numbers)) if found.log else sum(numbers) / len(numbers)
        )
    return Choice(values, wording)
