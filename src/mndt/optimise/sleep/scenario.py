"""A fleet for traffic that comes without cells: types of devices, capacities and stations by a stated rule.

The peak of the whole series dimensions a grid, as an operator would have built it; no method is told it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Float64, Int64

from mndt.errors import InputError
from mndt.optimise.sleep.fleet import Fleet
from mndt.users.demand.observed import Observed

Array = np.ndarray


@dataclass(frozen=True)
class Kind:
    """A type of device; watts without baseband and cooling."""

    name: str
    size: float  # capacity by that of a macro cell
    idle_w: float
    load_w: float
    sleep_w: float
    bbu_w: float


KINDS: Final = (
    # EARTH (Auer et al. 2011, table 2), a sector of two chains (micro: two) less 52 to 60 W of baseband.
    Kind("macro", 1.0, 200.0, 188.0, 90.0, 200.0),
    Kind("RRH", 1.0, 110.0, 112.0, 52.0, 200.0),
    Kind("micro", 0.5, 60.0, 33.0, 22.0, 200.0),
    # Active antenna of a 5G macro cell: assumed, in the middle of published field reports.
    Kind("AAU", 5.0, 480.0, 600.0, 150.0, 350.0),
)
"""Types of devices. The baseband of a station is that of its largest type; assumed."""

CELLS: Final = (2, 6)
"""Fewest and most cells of a grid."""
SPREAD: Final = 0.15
"""Capacities of equal devices differ by up to this share."""
STATION_CELLS: Final = 3
"""Most cells of a station in one grid."""


def fleet_for(
    observed: Observed, seed: int, *, margin: float = 1.5, share: float = 0.3, switching: float = 1.0
) -> Fleet:
    """Cells and stations for series of traffic.

    Each grid has 2 to 6 cells of two to four types, scaled together until they carry `margin` times the largest
    demand of a slot. A grid of up to three cells is one station, others are two. Then `share` of all stations
    span two grids of the same group: stations of two grids become one.

    Args:
        observed: one series for each grid.
        seed: of the draws.
        margin: capacity of a grid by its peak.
        share: of stations that have cells in two grids.
        switching: scale of switching costs.

    Raises:
        InputError: a margin below 1, or a share or scale out of range.
    """
    _check("margin", margin, 1.0, 10.0)
    _check("share", share, 0.0, 0.8)
    _check("switching", switching, 0.0, 100.0)
    rng = np.random.default_rng([seed, 7])
    grids, kinds, sizes = [], [], []
    for number, peak in enumerate(observed.traffic.max(axis=1)):
        own, size = _cells_of(rng, margin * max(float(peak), observed.quantum))
        grids += [number] * len(own)
        kinds += own
        sizes.append(size)
    grid = np.array(grids, np.int64)
    kind = np.array(kinds, np.int64)
    station = _stations(grid, observed.group, share, rng)
    watts = np.array([(k.idle_w, k.load_w, k.sleep_w) for k in KINDS])[kind]
    bbu_w = np.zeros(int(station.max()) + 1)
    np.maximum.at(bbu_w, station, np.array([k.bbu_w for k in KINDS])[kind])
    return Fleet(
        grid=grid, station=station, kind=np.array([k.name for k in KINDS])[kind], capacity=np.concatenate(sizes),
        idle_w=watts[:, 0], load_w=watts[:, 1], sleep_w=watts[:, 2], bbu_w=bbu_w, slot_s=observed.slot_s,
        switching=switching,
    )  # fmt: skip


def _check(field: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise InputError(field, value, allowed=f"{low:g} to {high:g}", fix="change it")


def _cells_of(rng: np.random.Generator, capacity: float) -> tuple[list[int], Float64[Array, "own"]]:
    """Types and capacities of one grid's cells."""
    n = int(rng.integers(CELLS[0], CELLS[1] + 1))
    types = rng.permutation(len(KINDS))[: int(rng.integers(2, len(KINDS) + 1))]
    own = rng.choice(types, n)
    size = np.array([KINDS[k].size for k in own]) * rng.uniform(1.0 - SPREAD, 1.0 + SPREAD, n)
    return own.tolist(), size * (capacity / size.sum())


def _stations(
    grid: Int64[Array, "cells"], group: Int64[Array, "grids"], share: float, rng: np.random.Generator
) -> Int64[Array, "cells"]:
    """Station of each cell."""
    n_cells = np.bincount(grid)
    parts = np.where(n_cells <= STATION_CELLS, 1, 2)
    place = np.arange(len(grid)) - np.searchsorted(grid, grid)
    base = np.concatenate([[0], np.cumsum(parts)[:-1]])
    station = base[grid] + (place * parts[grid]) // n_cells[grid]
    owner = np.repeat(np.arange(len(parts)), parts)  # grid of each station
    joined, free, n = np.arange(len(owner)), np.ones(len(owner), bool), len(owner)
    wanted = share * n / (1.0 + share)  # each union makes one station of two
    for s in rng.permutation(n):
        others = np.flatnonzero(free & (group[owner] == group[owner[s]]) & (owner != owner[s]))
        if wanted < 1.0 or not free[s] or not len(others):
            continue
        other = int(rng.choice(others))
        joined[other], free[s], free[other], wanted = s, False, False, wanted - 1.0
    _, number = np.unique(joined[station], return_inverse=True)
    return number.astype(np.int64)
