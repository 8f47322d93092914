"""The exact choice of a slot: for every grid the state of least expected cost among all states of its cells."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from jaxtyping import Float64, Int8, Int64

from mndt.optimise.sleep import _states
from mndt.optimise.sleep.fleet import Fleet
from mndt.optimise.sleep.problem import Setting

Array = np.ndarray

ROUNDS: Final = 3
"""How many times grids choose in turn: with stations in two grids each sees what the other chose."""


@dataclass(frozen=True)
class Layout:
    """A fleet as the kernels see it: cells and stations numbered within their grid."""

    fleet: Fleet
    base: int  # states of a cell: 2 on and off, 3 also asleep

    @cached_property
    def _pairs(self) -> tuple[Array, Array]:
        f = self.fleet
        key = f.grid * len(f.bbu_w) + f.station
        pairs, which = np.unique(key, return_inverse=True)
        return pairs, which

    @cached_property
    def member(self) -> Int64[Array, "pairs"]:
        """Station of each pair of a grid and a station, grid by grid."""
        return np.asarray(self._pairs[0] % len(self.fleet.bbu_w))

    @cached_property
    def station_first(self) -> Int64[Array, "grids+1"]:
        """First pair of each grid."""
        owner = self._pairs[0] // len(self.fleet.bbu_w)
        return np.searchsorted(owner, np.arange(self.fleet.n_grids + 1)).astype(np.int64)

    @cached_property
    def local(self) -> Int64[Array, "cells"]:
        """Number of each cell's station within its grid."""
        return np.asarray(self._pairs[1] - self.station_first[self.fleet.grid]).astype(np.int64)

    @cached_property
    def value_first(self) -> Int64[Array, "grids+1"]:
        """Where the states of each grid begin in an array of all."""
        return np.concatenate([[0], np.cumsum(self.base ** np.diff(self.fleet.first))]).astype(np.int64)

    def choose(
        self, status: Int8[Array, "cells"], demands: Float64[Array, "grids samples"], price: Float64[Array, "grids"],
        setting: Setting, *, mass: Float64[Array, "samples"] | None = None, weight: float = 1.0,
        value: Float64[Array, "states"] | None = None,
    ) -> Int8[Array, "cells"]:  # fmt: skip
        """Statuses of least mean cost.

        Args:
            status: at the end of the slot before.
            demands: of the slot, what it may be, ascending; one column where it is known.
            price: Wh for a unit of traffic that is not served.
            setting: what a start costs in capacity, and whether cells are woken.
            mass: probability of each column; None: all the same.
            weight: of switching costs.
            value: cost of what comes after, for each state of each grid; None: none.
        """
        f, out = self.fleet, np.empty(len(status), np.int8)
        mass = np.full(demands.shape[1], 1.0 / demands.shape[1]) if mass is None else mass
        below = np.concatenate([np.zeros((len(demands), 1)), np.cumsum(mass * demands, axis=1)], axis=1)
        _states.decide(
            self.base, f.first, self.local, self.member, self.station_first, f.capacity, f.idle_wh, f.load_wh,
            f.sleep_wh, f.boot_wh, f.start_wh, f.wake_wh, f.bbu_wh, f.station_wh, status, demands, mass, below,
            np.zeros(0) if value is None else value, self.value_first, weight, price,
            0.0 if setting.knows else f.boot_loss, f.wake_loss, setting.wakes, ROUNDS, out,
        )  # fmt: skip
        return out

    def ahead(
        self, status: Int8[Array, "cells"], courses: Float64[Array, "grids samples slots"],
        price: Float64[Array, "grids"],
    ) -> Float64[Array, "states"]:  # fmt: skip
        """Cost of what comes after, for each state of each grid: a mean over equally likely courses of demand.

        Each course counts with the best that could be done were it known, which is less than can be done; what
        counts are differences between states.
        """
        f, out = self.fleet, np.empty(int(self.value_first[-1]))
        _states.ahead(
            self.base, f.first, f.station, self.local, self.member, self.station_first, f.capacity, f.idle_wh,
            f.load_wh, f.sleep_wh, f.boot_wh, f.start_wh, f.wake_wh, f.bbu_wh, f.station_wh, status,
            np.ascontiguousarray(courses), price, self.value_first, out,
        )  # fmt: skip
        return out
