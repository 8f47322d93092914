"""The best course with all demands known, and a bound that proves how good it is.

Grids are coupled only by stations that have cells in two of them. The course: dynamic programming over all states of
each grid, grid after grid, each given what the others do, until nothing improves. The bound: shared
stations relaxed (Lagrange multipliers for "a station runs where a grid uses it"), which splits the problem into
grids and stations; ascent by subgradients.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Bool, Float64, Int8

from mndt.optimise.sleep import _states
from mndt.optimise.sleep.choice import Layout
from mndt.optimise.sleep.fleet import Fleet
from mndt.state import Status

Array = np.ndarray

UNSERVED: Final = 1e3
"""Price of what is not served, by the largest idle energy of a unit of capacity: it is never worth it."""

RESPONSES: Final = 8
"""Most rounds of grids that answer one another."""

RESPOND_EVERY: Final = 10
"""Steps of the ascent between two attempts at a better course."""

AIM: Final = 0.9997
"""The bound's steps are as long as if the optimum were this share of the best course."""


@dataclass(frozen=True)
class Oracle:
    """A course and its proof."""

    status: Int8[Array, "slots cells"]
    cost_wh: float  # energy and switching of the course
    bound_wh: float  # no course costs less

    @property
    def gap(self) -> float:
        """By how much a better course could be cheaper, at most."""
        return self.cost_wh / self.bound_wh - 1.0


def oracle(
    fleet: Fleet, demand: Float64[Array, "grids slots"], *, rounds: int = 30, base: int = 3,
    after: Callable[[float, float], object] | None = None,
) -> Oracle:  # fmt: skip
    """The best course found, from all on, and a proven bound.

    Args:
        fleet: of the problem.
        demand: of the slots that are played.
        rounds: steps of the bound's ascent; they also lead to better courses.
        base: 3 with sleep, 2 without.
        after: called with course and bound, in Wh, after each step of the ascent.

    Ways from off to on cost switching and the energy of a start; demand beyond all cells of a grid is left out of
    course and bound alike.
    """
    parts = _Parts(fleet, demand, base)
    status, cost = parts.respond(*parts.begin())
    bound, shares, scale, stalled = -np.inf, parts.halves(), 1.5, 0
    for step in range(rounds + 1):
        found, slope = parts.relaxed(shares)
        stalled = 0 if found > bound else stalled + 1
        bound = max(bound, found)
        if stalled == 2:
            scale, stalled = 0.7 * scale, 0
        if step == rounds or step % RESPOND_EVERY == RESPOND_EVERY - 1:
            other, less = parts.respond(parts.status, parts.all_uses())
            if less < cost:
                status, cost = other, less
        if after is not None:
            after(cost, bound)
        length = (AIM * cost - found) / max(float((slope * slope).sum()), 1e-12)
        shares = np.maximum(shares + scale * length * slope, 0.0)
    return Oracle(status, cost, bound)


class _Parts:
    """One problem taken apart into grids and the stations they share."""

    def __init__(self, fleet: Fleet, demand: Float64[Array, "grids slots"], base: int) -> None:
        self.fleet, self.layout = fleet, Layout(fleet, base)
        f, lay = fleet, self.layout
        self.demand = np.minimum(demand, f.grid_capacity[:, None])
        self.price = np.full(f.n_grids, UNSERVED * float((f.idle_wh / f.capacity).max()))
        self.pair_grid = np.repeat(np.arange(f.n_grids), np.diff(lay.station_first))
        users = np.bincount(lay.member, minlength=len(f.bbu_w))
        self.shared = np.flatnonzero(users[lay.member] > 1)  # pairs
        slots = demand.shape[1]
        self.status = np.zeros((slots, len(f.grid)), np.int8)
        self.cost = np.zeros(f.n_grids)
        self.charge = np.repeat(f.bbu_wh[lay.member][:, None], slots, axis=1)
        self.entry = np.repeat(f.station_wh[lay.member][:, None], slots, axis=1)
        mates = [np.flatnonzero(lay.member == lay.member[p]) for p in self.shared]
        self.mates = [mate[mate != p] for mate, p in zip(mates, self.shared, strict=True)]

    def solve(self, grids: Array) -> None:
        """Courses and costs of the named grids at what stations cost them now."""
        f, lay = self.fleet, self.layout
        _states.week(
            lay.base, f.first, lay.local, lay.station_first, f.capacity, f.idle_wh, f.load_wh, f.sleep_wh, f.boot_wh,
            f.start_wh, f.wake_wh, self.demand, self.charge, self.entry, self.price, grids.astype(np.int64),
            self.status, self.cost,
        )  # fmt: skip

    def uses(self, pair: int) -> Bool[Array, "slots"]:
        """When a grid uses a station."""
        f, lay = self.fleet, self.layout
        grid = self.pair_grid[pair]
        cells = slice(f.first[grid], f.first[grid + 1])
        own = lay.local[cells] == pair - lay.station_first[grid]
        return np.asarray((self.status[:, cells][:, own] != Status.OFF).any(axis=1))

    def halves(self) -> Float64[Array, "shared slots"]:
        """Every grid pays an equal share of a baseband that runs."""
        lay = self.layout
        users = np.bincount(lay.member)[lay.member[self.shared]]
        each = self.fleet.bbu_wh[lay.member[self.shared]] / users
        return np.repeat(each[:, None], self.demand.shape[1], axis=1)

    def begin(self) -> tuple[Int8[Array, "slots cells"], dict[int, Array]]:
        """Courses in which each grid pays half of what it shares."""
        self.charge[self.shared] = self.halves()
        self.entry[self.shared] *= 0.5
        self.solve(np.arange(self.fleet.n_grids))
        return self.status, self.all_uses()

    def all_uses(self) -> dict[int, Array]:
        """When each shared station is used by each of its grids, by pair."""
        return {p: self.uses(p) for p in self.shared.tolist()}

    def respond(
        self, status: Int8[Array, "slots cells"], used: dict[int, Array]
    ) -> tuple[Int8[Array, "slots cells"], float]:
        """Grids in turn, each given the others, until nobody can do better; the courses and what they cost."""
        self.status[:] = status
        mates = {int(p): mate for p, mate in zip(self.shared, self.mates, strict=True)}
        for _ in range(RESPONSES):
            changed = False
            for grid in np.unique(self.pair_grid[self.shared]):
                pairs = [p for p in mates if self.pair_grid[p] == grid]
                for p in pairs:
                    self._price(p, np.any([used[int(q)] for q in mates[p]], axis=0))
                self.solve(np.array([grid]))
                for p in pairs:
                    now = self.uses(p)
                    changed |= bool((now != used[p]).any())
                    used[p] = now
            if not changed:
                break
        return self.status.copy(), self._course()

    def _price(self, pair: int, others: Bool[Array, "slots"]) -> None:
        """What a station costs a grid when others use it at given times."""
        station = self.layout.member[pair]
        before = np.concatenate([[True], others[:-1]])
        start = float(self.fleet.station_wh[station])
        self.charge[pair] = np.where(others, 0.0, self.fleet.bbu_wh[station])
        self.entry[pair] = np.where(others | before, 0.0, start)
        # Where the others start it, running until then saves that.
        self.charge[pair, :-1] -= np.where(others & ~before, start, 0.0)[1:]

    def _course(self) -> float:
        """Cost of the courses as they are."""
        from mndt.optimise.sleep.problem import Setting, serve, start

        total, status = 0.0, start(self.fleet)
        for slot, wanted in enumerate(self.status):
            row = serve(self.fleet, status, wanted, self.demand[:, slot], Setting.KNOWN)
            total, status = total + row.energy_wh + row.switching_wh, row.status
        return total

    def relaxed(self, shares: Float64[Array, "shared slots"]) -> tuple[float, Float64[Array, "shared slots"]]:
        """The bound at given multipliers and its slope."""
        self.charge[self.shared], self.entry[self.shared] = shares, 0.0
        self.solve(np.unique(self.pair_grid[self.shared]))
        used = np.array([self.uses(p) for p in self.shared.tolist()]).reshape(shares.shape)
        runs, stations = self._stations(shares)
        return float(self.cost.sum() + stations), used.astype(np.float64) - runs

    def _stations(self, shares: Float64[Array, "shared slots"]) -> tuple[Float64[Array, "shared slots"], float]:
        """When shared stations run, were they paid by the multipliers; and what that costs."""
        f, slots = self.fleet, shares.shape[1]
        names, which = np.unique(self.layout.member[self.shared], return_inverse=True)
        each = np.repeat(f.bbu_wh[names][:, None], slots, axis=1)
        np.subtract.at(each, which, shares)
        start, ahead = f.station_wh[names], np.zeros((slots + 1, 2, len(names)))  # [slot, runs before, station]
        for t in range(slots - 1, -1, -1):
            on, off = each[:, t] + ahead[t + 1, 1], ahead[t + 1, 0]
            ahead[t, 1], ahead[t, 0] = np.minimum(on, off), np.minimum(on + start, off)
        runs, now = np.zeros((slots, len(names))), np.ones(len(names), bool)
        for t in range(slots):
            now = each[:, t] + ahead[t + 1, 1] + np.where(now, 0.0, start) < ahead[t + 1, 0]
            runs[t] = now
        return runs.T[which], float(ahead[0, 1].sum())
