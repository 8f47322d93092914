"""Methods without learning: what operators and the literature do, and exact choices with forecasts by formula.

All see the same moments as the learned one. Where the demand of a slot is not known they take an estimate.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Float64, Int8, Int64

from mndt.learn.traffic_quantiles import MASS, MIDDLES
from mndt.optimise.sleep.choice import Layout
from mndt.optimise.sleep.fleet import Fleet
from mndt.optimise.sleep.outlook import logs
from mndt.optimise.sleep.problem import SEEN, Method, Moment, Setting, start
from mndt.state import Status

Array = np.ndarray

FORBIDDING: Final = 1e3
"""Price of what is not served, by the largest idle energy of a unit of capacity, where demand is known."""


def estimate(moment: Moment, margin: float, slots: int) -> Float64[Array, "grids"]:
    """The demand where it is known, else the largest of the last `slots` times a margin."""
    return moment.demand if moment.demand is not None else margin * moment.past[:, -slots:].max(axis=1)


def forbidding(fleet: Fleet) -> Float64[Array, "grids"]:
    """A price at which nothing stays unserved that can be served."""
    return np.full(fleet.n_grids, FORBIDDING * float((fleet.idle_wh / fleet.capacity).max()))


def original(fleet: Fleet) -> Method:
    """Every cell on."""
    return lambda moment: start(fleet)


def largest_first(fleet: Fleet) -> Float64[Array, "cells"]:
    """Capacity of those that come before a cell when the largest of a grid are switched on first."""
    order = np.lexsort((-fleet.capacity, fleet.grid))
    total = np.cumsum(fleet.capacity[order]) - fleet.capacity[order]
    out = np.empty(len(order))
    out[order] = total - total[fleet.first[:-1]][fleet.grid]
    return out


def minimal(fleet: Fleet, *, margin: float = 1.3, slots: int = 4) -> Method:
    """The least number of cells that carry the demand, the largest first (Peng et al., MobiCom 2011).

    At least one cell of a grid is on.
    """
    before = largest_first(fleet)

    def decide(moment: Moment) -> Int8[Array, "cells"]:
        needed = estimate(moment, margin, slots)[fleet.grid]
        return np.where((before < needed) | (before <= 0.0), Status.ON, Status.OFF).astype(np.int8)

    return decide


def nested(fleet: Fleet, day: Float64[Array, "grids slots"], *, margin: float = 1.0) -> Method:
    """As `minimal` for a day that is known, each cell switched at most once in either direction a day.

    From the peak on the number of cells only falls until the least demand, then it only rises.
    """
    slots = day.shape[1]
    before, needed = largest_first(fleet), np.empty_like(day)
    for grid, course in enumerate(margin * day):
        peak = int(course.argmax())
        turned = np.roll(course, -peak)
        valley = int(turned.argmin())
        falling = np.maximum.accumulate(turned[: valley + 1][::-1])[::-1]
        needed[grid] = np.roll(np.concatenate([falling, np.maximum.accumulate(turned[valley:])[1:]]), peak)

    def decide(moment: Moment) -> Int8[Array, "cells"]:
        least = needed[:, moment.slot_of_day % slots][fleet.grid]
        if moment.demand is not None:
            least = np.maximum(least, moment.demand[fleet.grid])
        return np.where((before < least) | (before <= 0.0), Status.ON, Status.OFF).astype(np.int8)

    return decide


def myopic(fleet: Fleet, setting: Setting, *, weight: float = 0.5, margin: float = 1.3, slots: int = 4) -> Method:
    """The state of least energy that carries the demand, switching weighted: 0 is the exact minimum of each slot."""
    layout, price = Layout(fleet, 2), forbidding(fleet)

    def decide(moment: Moment) -> Int8[Array, "cells"]:
        needed = np.minimum(estimate(moment, margin, slots), fleet.grid_capacity)
        return layout.choose(moment.status, needed[:, None], price, setting, weight=weight)

    return decide


@dataclass(frozen=True)
class Linear:
    """Logarithm of the next slot, linear in those of the last four and in waves of the day; residuals by grid."""

    mean: Float64[Array, "grids"]
    factors: Float64[Array, "numbers"]
    spread: Float64[Array, "grids"]
    slots_per_day: int

    @classmethod
    def fit(cls, day: Float64[Array, "grids slots"], slots_per_day: int) -> Linear:
        """Least squares over one day or more of all grids."""
        mean = np.maximum(day.mean(axis=1), 1e-9)
        x = logs(day, mean)
        slots = range(SEEN, day.shape[1])
        seen = np.stack([cls._row(x[:, t - SEEN : t], t % slots_per_day, slots_per_day) for t in slots], axis=1)
        came = x[:, SEEN:]
        factors = np.linalg.lstsq(seen.reshape(-1, seen.shape[2]), came.ravel(), rcond=None)[0]
        return cls(mean, factors, (came - seen @ factors).std(axis=1), slots_per_day)

    @staticmethod
    def _row(x: Float64[Array, "grids 4"], slot_of_day: int, slots_per_day: int) -> Float64[Array, "grids numbers"]:
        angle = 2.0 * np.pi * slot_of_day / slots_per_day * np.arange(1, 4)
        return np.concatenate([x, np.tile([1.0, *np.sin(angle), *np.cos(angle)], (len(x), 1))], axis=1)

    def distribution(self, past: Float64[Array, "grids 4"], slot_of_day: int) -> Float64[Array, "grids levels"]:
        """Demands of the slot, ascending; their probabilities are `MASS`."""
        from scipy.special import ndtri

        x = self._row(logs(past, self.mean), slot_of_day, self.slots_per_day) @ self.factors
        return np.asarray(np.exp(x[:, None] + self.spread[:, None] * ndtri(MIDDLES)) * self.mean[:, None])


Distribution = Callable[[Float64[Array, "grids 4"], int], Float64[Array, "grids levels"]]


def weighing(
    fleet: Fleet, setting: Setting, price: Float64[Array, "grids"], distribution: Distribution,
    *, weight: float = 0.5, base: int | None = None,
) -> Method:  # fmt: skip
    """The state of least expected cost, what is not served priced: a newsvendor with all states of a grid.

    Args:
        fleet: of the problem.
        setting: CAUSAL or RESERVE.
        price: Wh for a unit of traffic that is not served.
        distribution: what the demand of a slot may be, from the past and the slot of the day.
        weight: of switching costs.
        base: 3 lets cells sleep; None: where they can be woken.
    """
    layout = Layout(fleet, base or (3 if setting.wakes else 2))

    def decide(moment: Moment) -> Int8[Array, "cells"]:
        demands = distribution(moment.past, moment.slot_of_day)
        return layout.choose(moment.status, demands, price, setting, mass=MASS, weight=weight)

    return decide


def dropping(fleet: Fleet, *, weight: float = 0.5, margin: float = 1.3, slots: int = 4) -> Method:
    """From all cells on, those are dropped in turn that save most, as long as the others carry the demand."""
    from mndt.optimise.sleep._drop import drop

    members: Int64[Array, "stations"] = np.bincount(fleet.station, minlength=len(fleet.bbu_w)).astype(np.int64)

    def decide(moment: Moment) -> Int8[Array, "cells"]:
        f, out = fleet, start(fleet)
        drop(f.first, f.station, f.capacity, f.idle_wh, f.bbu_wh, weight * f.start_wh, weight * f.station_wh, members,
             moment.status, np.minimum(estimate(moment, margin, slots), f.grid_capacity), out)  # fmt: skip
        return out

    return decide
