"""`mndt bench assignment`: exact assignment of users to cells with limited places, beside OR-tools.

Costs are path losses minus transmit powers in dB of users on a square of 2 km: log-distance loss with shadowing,
users spread evenly or half of them in three hot spots. Times are of the solvers alone: what OR-tools takes to
build its graph is not counted.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any, Final

import numpy as np
from jaxtyping import Float64, Int32

from mndt.checks.output import Result

Array = np.ndarray

INSTANCES: Final = {
    "ms_8000x184": (8000, 184, 184, 0.0),
    "ms_tight": (8000, 184, 44, 0.0),
    "ms_hot_spot": (8000, 184, 44, 0.5),
}
"""Key of the time in ms -> users, cells, places of each cell, share of the users in hot spots."""

LARGE: Final = (50_000, 500, 101, 0.5)
QUICK: Final = 8
"""By this many fewer users, places and (for the large one) cells with --quick."""


def run(*, quick: bool = False) -> Result:
    """Time the four instances, OR-tools on three of them, and compare 300 small ones with SciPy.

    Args:
        quick: instances an eighth as large.
    """
    shrink = QUICK if quick else 1
    figures: dict[str, Any] = {}
    theirs: dict[str, float] = {}
    for key, (n_users, n_cells, places, share) in INSTANCES.items():
        cost = path_loss_db(n_users // shrink, n_cells, hot_spot_share=share)
        capacity = np.full(n_cells, -(-places // shrink), np.int32)
        figures[key] = 1e3 * _time_ours(cost, capacity, 9)
        peer_s = _time_ortools(cost, capacity)
        if peer_s is not None:
            theirs[key] = 1e3 * peer_s
    n_users, n_cells, places, share = LARGE
    cost = path_loss_db(n_users // shrink, n_cells // shrink, hot_spot_share=share)
    figures["s_50000x500"] = _time_ours(cost, np.full(n_cells // shrink, places, np.int32), 3)
    figures["max_gap_to_scipy"] = gap_to_scipy(300)
    if not theirs:
        note = "OR-tools is not installed, so there is no ratio: pip install 'mndt[peers]'"
        return Result("assignment", figures, seeds=[0], note=note)
    figures["ratio_to_ortools"] = min(theirs[key] / figures[key] for key in theirs)
    peer = {"name": "OR-tools min-cost flow", "version": version("ortools"), "figures": theirs}
    return Result("assignment", figures, peers=[peer], seeds=[0])


def path_loss_db(
    n_users: int, n_cells: int, *, hot_spot_share: float = 0.0, seed: int = 0
) -> Float64[Array, "users cells"]:
    """Costs of an instance: path loss minus power, dB. Four cells in five transmit 24 dBm, the others 30 dBm.

    >>> path_loss_db(3, 2).shape
    (3, 2)
    """
    rng = np.random.default_rng(seed)
    user_m = 2000.0 * rng.random((n_users, 2))
    n_hot = round(hot_spot_share * n_users)
    spot_m = 2000.0 * rng.random((3, 2))
    user_m[:n_hot] = spot_m[rng.integers(3, size=n_hot)] + rng.normal(0.0, 120.0, (n_hot, 2))
    cell_m = 2000.0 * rng.random((n_cells, 2))
    power_dbm = np.where(np.arange(n_cells) < 0.79 * n_cells, 24.0, 30.0)
    cost = np.empty((n_users, n_cells))
    for low in range(0, n_users, 4096):  # in pieces: the large instance takes 200 MB as it is
        part = slice(low, low + 4096)
        distance_m = np.hypot(*(user_m[part, None] - cell_m).transpose(2, 0, 1))
        cost[part] = 21.0 * np.log10(np.maximum(distance_m, 10.0)) + 43.3 - power_dbm  # 3.5 GHz
        cost[part] += rng.normal(0.0, 6.0, cost[part].shape)
    return cost


def gap_to_scipy(n_cases: int) -> float:
    """Largest difference of our optimum, and of our bound, to SciPy's on columns repeated for each place.

    Small cases with ties, negative costs and cells without places.
    """
    from scipy.optimize import linear_sum_assignment

    from mndt.network.assignment import assign

    rng, worst = np.random.default_rng(1), 0.0
    for case in range(n_cases):
        n_users, n_cells = int(rng.integers(1, 30)), int(rng.integers(1, 9))
        capacity = rng.integers(0, 8, n_cells)
        capacity[rng.integers(n_cells)] += max(0, n_users - capacity.sum())
        cost = rng.normal(size=(n_users, n_cells))
        cost = np.round(2.0 * cost) if case % 2 else cost
        column = np.repeat(np.arange(n_cells), capacity)
        rows, chosen = linear_sum_assignment(cost[:, column])
        optimum = float(cost[rows, column[chosen]].sum())
        found = assign(cost, capacity)
        worst = max(worst, abs(found.cost - optimum), abs(found.bound - optimum))
    return worst


def _time_ours(cost: Float64[Array, "users cells"], capacity: Int32[Array, "cells"], repeats: int) -> float:
    """Median time in s, after one call that compiles."""
    from mndt.network.assignment import assign

    return _median(lambda: assign(cost, capacity), repeats)


def _median(solve: Callable[[], object], repeats: int) -> float:
    solve()
    durations = []
    for _ in range(repeats):
        begin = time.perf_counter()
        solve()
        durations.append(time.perf_counter() - begin)
    return float(np.median(durations))


def _time_ortools(cost: Float64[Array, "users cells"], capacity: Int32[Array, "cells"]) -> float | None:
    """Time of one solution in s, its graph ready; costs in whole thousandths, as it takes integers only."""
    if find_spec("ortools") is None:
        return None
    from ortools.graph.python import min_cost_flow

    n_users, n_cells = cost.shape
    flow = min_cost_flow.SimpleMinCostFlow()
    sink = n_users + n_cells
    user, cell = np.indices(cost.shape, dtype=np.int32)
    flow.add_arcs_with_capacity_and_unit_cost(
        user.ravel(), n_users + cell.ravel(), np.ones(cost.size, np.int64), np.rint(1e3 * cost.ravel()).astype(np.int64)
    )
    flow.add_arcs_with_capacity_and_unit_cost(
        np.arange(n_users, sink, dtype=np.int32), np.full(n_cells, sink, np.int32), capacity.astype(np.int64),
        np.zeros(n_cells, np.int64),
    )  # fmt: skip
    supply = np.zeros(sink + 1, np.int64)
    supply[:n_users], supply[sink] = 1, -n_users
    flow.set_nodes_supplies(np.arange(sink + 1, dtype=np.int32), supply)
    begin = time.perf_counter()
    status = flow.solve()
    duration = time.perf_counter() - begin
    if status != flow.OPTIMAL:
        raise RuntimeError(f"OR-tools found no optimum: status {status}")
    return duration
