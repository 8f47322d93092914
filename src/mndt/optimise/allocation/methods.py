"""Methods of allocation by name: the paper's baselines, stronger company, and ours.

Those that solve a step all do it with the same `solve` and the same `Effort`; they differ in what a rate of
each user is worth. Causal methods see the `Moment` and nothing of the future; the planner knows the map and how
everyone will walk.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache
from importlib import resources
from typing import Any, Final

import numpy as np
from jaxtyping import Float32, Float64
from scipy.special import expit

from mndt.errors import unknown_name
from mndt.optimise.allocation import forecast
from mndt.optimise.allocation.forecast import by_mean, mean_rate
from mndt.optimise.allocation.problem import Choice, Episode, Method, Moment, play, rates
from mndt.optimise.allocation.solver import NORMAL, Effort, Worth, first_choice, solve

Array = np.ndarray

LAMBDAS: Final = {0.95: 1.0, 0.99: 3.0}
"""Floor of the satisfaction -> worth of a satisfied bit above that of any bit. Chosen on seeds 500 to 509."""

DIVIDING_BONUS: Final = 50.0
"""Of equally dividing: demands come first, throughput breaks ties."""


def fundamentals(episode: Episode, *, seed: int = 0) -> Method:
    """The network without an optimiser: strongest cell with a place, random block, equal power."""
    return lambda moment: first_choice(moment.gain, moment.limits, seed=seed + moment.step)


def ignoring(episode: Episode, *, seed: int = 0, effort: Effort = NORMAL) -> Method:
    """Ignoring demands, the paper's second baseline: the sum of all rates."""

    def decide(moment: Moment) -> Choice:
        return _solve(moment, Worth.of(np.ones(len(moment.demand))), seed, effort)

    return decide


def equally_dividing(
    episode: Episode, *, seed: int = 0, effort: Effort = NORMAL, bonus: float = DIVIDING_BONUS
) -> Method:
    """Equally dividing, the paper's first baseline: unmet demand in equal parts over the steps left, met first."""

    def decide(moment: Moment) -> Choice:
        users = len(moment.demand)
        worth = Worth.of(np.ones(users), np.full(users, bonus), moment.unmet / moment.steps_left)
        return _solve(moment, worth, seed, effort)

    return decide


def proportional_fair(episode: Episode, *, seed: int = 0, effort: Effort = NORMAL) -> Method:
    """Weights inverse to what was received so far, for the sum of logarithms (Kelly et al. 1998)."""

    def decide(moment: Moment) -> Choice:
        mean = mean_rate(moment)
        if mean is None:
            return _solve(moment, Worth.of(np.ones(len(moment.demand))), seed, effort)
        rate = moment.received / moment.step
        return _solve(moment, Worth.of(mean / np.maximum(rate, 0.05 * mean)), seed, effort)

    return decide


def weighted(episode: Episode, *, seed: int = 0, effort: Effort = NORMAL, lambda_: float = LAMBDAS[0.95]) -> Method:
    """Weights 1 + lambda P(short at the end), if all go on like the average user: a rule, nothing learned."""

    def decide(moment: Moment) -> Choice:
        mean = mean_rate(moment) or float(last_rates(moment, seed, effort).mean())
        return favour(moment, by_mean(moment, mean), lambda_, seed, effort)

    return decide


def learned(
    episode: Episode, *, seed: int = 0, effort: Effort = NORMAL, lambda_: float = LAMBDAS[0.95],
    weights: Mapping[str, Array] | None = None,
) -> Method:  # fmt: skip
    """Weights 1 + lambda P(short at the end) by a network that saw who ended short under its own decisions."""
    network = shipped_forecast() if weights is None else weights

    def decide(moment: Moment) -> Choice:
        seen = forecast.features(moment, last_rates(moment, seed, effort), lambda_)
        return favour(moment, forecast.learned(network, seen), lambda_, seed, effort)

    return decide


def favour(
    moment: Moment, short: Float64[Array, "users"], lambda_: float, seed: int = 0, effort: Effort = NORMAL
) -> Choice:
    """The step solved for weights 1 + lambda P(short at the end); who has all he asked for is not short."""
    return _solve(moment, Worth.of(1.0 + lambda_ * np.where(moment.unmet > 0.0, short, 0.0)), seed, effort)


def last_rates(moment: Moment, seed: int = 0, effort: Effort = NORMAL) -> Float32[Array, "users"]:
    """Rates of the step before; in the first step of a trial with all weights one."""
    if moment.rate is not None:
        return moment.rate
    choice = _solve(moment, Worth.of(np.ones(len(moment.demand))), seed, effort)
    return rates(moment.gain, choice, moment.limits)


class Planner:
    """Knows every gain to come: plays the episode in mind and gives each user one weight for all of it.

    At the optimum of the relaxed problem a user's weight is 1 plus a multiplier between 0 and lambda that is
    the same in all steps: lambda where he ends short, 0 where he gets more than he asks for. The multipliers
    come from a few passes over the episode; each pass begins every step where the last one left it. With
    ``lambda_=0`` it ignores demands, with the same effort.
    """

    def __init__(
        self, episode: Episode, *, seed: int = 0, effort: Effort = NORMAL, lambda_: float = LAMBDAS[0.95],
        passes: int = 6,
    ) -> None:  # fmt: skip
        self.episode, self.seed, self.effort, self.lambda_, self.passes = episode, seed, effort, lambda_, passes
        self.choices: list[Choice] = []

    def __call__(self, moment: Moment) -> Choice:
        """The planned choice of a step; the plan is made at the first."""
        if moment.step == 0:
            self.choices = self._planned()
        return self.choices[moment.step]

    def _planned(self) -> list[Choice]:
        """Choices for all steps."""
        choices, lack = self._pass(0, [], None)
        share = expit(lack / _FIRST_LACK)
        for number in range(1, self.passes):
            choices, lack = self._pass(number, choices, share)
            share = np.clip(share + lack / (_LACK * (1.0 + 0.5 * number)), 0.0, 1.0)
        return choices

    def _pass(
        self, number: int, before: list[Choice], share: Float64[Array, "users"] | None
    ) -> tuple[list[Choice], Float64[Array, "users"]]:
        """Play the episode once; the first time by the causal rule. Returns choices and what everyone lacks."""
        first = weighted(self.episode, seed=self.seed, effort=self.effort, lambda_=self.lambda_)
        choices: list[Choice] = []

        def decide(moment: Moment) -> Choice:
            if share is None:
                choices.append(first(moment))
            else:
                known = replace(moment, previous=before[moment.step])
                worth = Worth.of(1.0 + self.lambda_ * share)
                choices.append(_solve(known, worth, self.seed + 100 * number, self.effort))
            return choices[-1]

        received = play(self.episode, decide).received
        return choices, self.episode.demand - received


_FIRST_LACK: Final = 4.0
"""Units of bandwidth over which a multiplier goes from 0 to lambda at first (logistic scale)."""
_LACK: Final = 60.0
"""And how much of a lack moves it all the way in the second pass; later ones move it less."""


def _solve(moment: Moment, worth: Worth, seed: int, effort: Effort) -> Choice:
    """One step from the one before."""
    return solve(moment.gain, moment.limits, worth, warm=moment.previous, effort=effort, seed=seed + moment.step)


@lru_cache(maxsize=1)
def shipped_forecast() -> dict[str, Array]:
    """The network that comes with the package; its card says what it was trained on."""
    path = resources.files("mndt.data") / "allocation_forecast.npz"
    with path.open("rb") as file, np.load(file) as archive:
        return {name: archive[name] for name in archive.files}


METHODS: Final[dict[str, Callable[..., Method]]] = {
    "fundamentals": fundamentals,
    "proportional-fair": proportional_fair,
    "equally-dividing": equally_dividing,
    "ignoring": ignoring,
    "weighted": weighted,
    "learned": learned,
    "planner": Planner,
}
"""Name -> factory (episode, seed, knobs)."""


def make_method(name: str, episode: Episode, seed: int = 0, **knobs: Any) -> Method:
    """The method of that name for an episode; raises InputError for an unknown name.

    Args:
        name: of `METHODS`.
        episode: what will be played; only the planner looks ahead in it.
        seed: of the orders in which users are looked at.
        knobs: `effort`, `lambda_` and others that the method has.
    """
    if name not in METHODS:
        raise unknown_name("method", name, METHODS)
    return METHODS[name](episode, seed=seed, **knobs)
