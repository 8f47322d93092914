"""Ours: exact choices with a learned outlook; what is not learned, two knobs, is chosen on the day learned from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from jaxtyping import Float64, Int8

from mndt.optimise.sleep.choice import Layout
from mndt.optimise.sleep.fleet import Fleet
from mndt.optimise.sleep.outlook import Outlook
from mndt.optimise.sleep.problem import SEEN, Method, Moment, Setting, play
from mndt.optimise.sleep.rules import forbidding, weighing
from mndt.optimise.sleep.scores import price_of, score

Array = np.ndarray

AHEAD: Final = 4
"""Slots that are looked ahead where the demand of the slot itself is known."""
COURSES: Final = 32
FACTORS: Final = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0)
"""Of the price of what is not served: forecasts err more on other days than on the one they were learned from."""


def looking_ahead(fleet: Fleet, outlook: Outlook, *, seed: int = 0, slots: int = AHEAD, n: int = COURSES) -> Method:
    """Demand of the slot known: least energy and switching now and, on average over likely courses, after.

    Each course is weighed with the best that could be done were it known (hindsight optimisation).
    """
    layout, price, rng = Layout(fleet, 2), forbidding(fleet), np.random.default_rng(seed)

    def decide(moment: Moment) -> Int8[Array, "cells"]:
        assert moment.demand is not None
        past = np.concatenate([moment.past[:, 1:], moment.demand[:, None]], axis=1)
        courses = outlook.courses(past, moment.slot_of_day + 1, 1, slots, n, rng)
        value = layout.ahead(moment.status, np.minimum(courses, fleet.grid_capacity[:, None, None]), price)
        now = np.minimum(moment.demand, fleet.grid_capacity)
        return layout.choose(moment.status, now[:, None], price, Setting.KNOWN, value=value)

    return decide


@dataclass(frozen=True)
class Rehearsal:
    """How each factor of the price would have done on the day learned from."""

    factors: tuple[float, ...]  # ascending
    j10u: tuple[float, ...]
    unserved: tuple[float, ...]

    @property
    def best(self) -> float:
        """Factor of least cost with unserved traffic at its price."""
        return self.factors[int(np.argmin(self.j10u))]

    def careful(self, most_unserved: float) -> float:
        """Least factor that leaves at most this share of the traffic unserved, or the largest."""
        pairs = zip(self.factors, self.unserved, strict=True)
        return next((factor for factor, unserved in pairs if unserved <= most_unserved), self.factors[-1])


def rehearse(
    fleet: Fleet, day: Float64[Array, "grids slots"], setting: Setting, outlook: Outlook,
    factors: Sequence[float] = FACTORS,
) -> Rehearsal:  # fmt: skip
    """Play the day learned from with each factor; a grid is foretold by networks that did not learn from it.

    Args:
        fleet: of the problem.
        day: traffic of that day.
        setting: CAUSAL or RESERVE.
        outlook: learned from it.
        factors: of the price, ascending.
    """
    price, apart, per_day = price_of(fleet, day), replace(outlook, crossed=True), day.shape[1]
    found = []
    for factor in factors:
        method = weighing(fleet, setting, factor * price, apart.distribution)
        outcome = play(fleet, day, setting, method, begin=SEEN, slots_per_day=per_day)
        found.append(score(fleet, day, outcome, begin=SEEN, slots_per_day=per_day))
    return Rehearsal(tuple(factors), tuple(one["j10u"] for one in found), tuple(one["unserved"] for one in found))
