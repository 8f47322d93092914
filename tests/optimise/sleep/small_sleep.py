"""Small problems of cell sleep."""

from __future__ import annotations

import numpy as np

from mndt.optimise.sleep.fleet import Fleet
from mndt.optimise.sleep.scenario import fleet_for
from mndt.users.demand.observed import Observed


def observed_of(grids: int, slots: int, seed: int) -> Observed:
    rng = np.random.default_rng(seed)
    day = 1.2 + np.sin(2 * np.pi * (np.arange(slots) / 48 - 0.4))
    traffic = 100.0 * day * np.exp(0.4 * rng.standard_normal((grids, slots)))
    return Observed(traffic, np.arange(grids) // 3, 1800)


def small_problem() -> tuple[Fleet, Observed]:
    """Six grids in two groups, three days."""
    observed = observed_of(6, 144, 1)
    return fleet_for(observed, 0), observed


def pair_of_grids() -> Fleet:
    """Two grids of two cells; one station has a cell in each."""
    return Fleet(
        grid=np.array([0, 0, 1, 1]), station=np.array([0, 1, 1, 2]), kind=np.array(["macro"] * 4),
        capacity=np.array([1.0, 2.0, 1.5, 1.0]), idle_w=np.array([200.0, 300.0, 250.0, 150.0]),
        load_w=np.array([100.0, 200.0, 120.0, 80.0]), sleep_w=np.array([90.0, 100.0, 80.0, 60.0]),
        bbu_w=np.array([150.0, 200.0, 100.0]),
    )  # fmt: skip
