"""`mndt bench assignment`: exact assignment to cells with limited places, beside OR-tools in the same run.

The same instance for both: path loss minus transmit power in dB of a 2 x 2 km square. Timed are `assign` on
costs and capacities that lie ready, and of OR-tools' min-cost flow `solve` alone, without building its
graph; CPU time of one thread. OR-tools wants whole costs: it gets thousandths of a dB.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib import metadata
from typing import Any, Final

import numpy as np
from jaxtyping import Float64, Int64

from mndt.checks.output import Result

Array = np.ndarray

INSTANCES: Final = {  # figure: (places of each of 184 cells, share of the 8,000 users in three hot spots)
    "ms_8000x184": (184, 0.0),
    "ms_tight": (44, 0.0),
    "ms_hot_spot": (44, 0.5),
}


def run(*, quick: bool = False) -> Result:
    """Time four instances and compare 300 small ones with SciPy.

    Args:
        quick: OR-tools runs once, the large instance once, 100 small cases.

    Returns:
        Figures under the keys of the benchmark table (medians), and the peer's.
    """
    from mndt.network.assignment import assign

    assign(np.zeros((2, 2)), np.array([1, 1]))  # compiles
    figures: dict[str, Any] = {}
    theirs: dict[str, float] = {}
    gaps: list[float] = []
    for name, (places, hot_spot_share) in INSTANCES.items():
        cost = radio_cost_db(8000, 184, hot_spot_share=hot_spot_share)
        capacity = np.full(184, places)
        figures[name] = 1e3 * _median_s(lambda: assign(cost, capacity), 21)  # noqa: B023 - called at once
        found = assign(cost, capacity)
        gaps.append((found.cost - found.bound) / abs(found.cost))
        if _has_ortools():
            theirs[name], their_cost = _ortools(cost, capacity, repeats=1 if quick else 3)
            assert abs(their_cost - found.cost) < 1e-3 * len(cost), "OR-tools disagrees"
    figures["ratio_to_ortools"] = min(theirs[name] / figures[name] for name in theirs) if theirs else None
    cost = radio_cost_db(50_000, 500, hot_spot_share=0.5)
    capacity = np.full(500, 101)
    figures["s_50000x500"] = _median_s(lambda: assign(cost, capacity), 1 if quick else 5)
    found = assign(cost, capacity)
    gaps.append((found.cost - found.bound) / abs(found.cost))
    figures["max_gap_to_scipy"] = _gap_to_scipy(100 if quick else 300)
    figures["max_duality_gap"] = max(map(abs, gaps))
    if not theirs:
        note = "OR-tools is not installed, so there is no ratio: pip install 'mndt[peers]'"
        return Result("assignment", figures, seeds=[0], note=note)
    peer = {"name": "OR-tools SimpleMinCostFlow", "version": metadata.version("ortools"), "figures": theirs}
    note = "OR-tools' times are those of solve() alone; max_gap_to_scipy is in units of cost, the duality gap relative"
    return Result("assignment", figures, peers=[peer], seeds=[0], note=note)


def radio_cost_db(
    n_users: int, n_cells: int, *, seed: int = 0, hot_spot_share: float = 0.0
) -> Float64[Array, "users cells"]:
    """Path loss minus transmit power: log-distance with log-normal shadowing of 6 dB, at 3.5 GHz.

    Users and cells are uniform on a square of 2 km; `hot_spot_share` of the users stand around three
    points (standard deviation 120 m). 79 % of the cells send 24 dBm, the others 30 dBm.
    """
    rng = np.random.default_rng(seed)
    user_m = rng.random((n_users, 2)) * 2000
    n_hot = int(hot_spot_share * n_users)
    centre_m = rng.random((3, 2)) * 2000
    user_m[:n_hot] = centre_m[rng.integers(0, 3, n_hot)] + rng.normal(0, 120, (n_hot, 2))
    cell_m = rng.random((n_cells, 2)) * 2000
    power_dbm = np.where(np.arange(n_cells) < 0.79 * n_cells, 24.0, 30.0)
    cost_db = np.empty((n_users, n_cells))
    for low in range(0, n_users, 2000):  # in pieces: temporary arrays stay small
        part = slice(low, low + 2000)
        distance_m = np.linalg.norm(user_m[part, None] - cell_m[None], axis=2)
        loss_db = 32.4 + 21 * np.log10(np.maximum(distance_m, 10)) + 20 * np.log10(3.5)
        cost_db[part] = loss_db + rng.normal(0, 6, distance_m.shape) - power_dbm
    return cost_db


def _median_s(call: Callable[[], Any], repeats: int) -> float:
    """Median CPU time after one call that does not count."""
    call()
    durations = []
    for _ in range(repeats):
        begin = time.process_time()
        call()
        durations.append(time.process_time() - begin)
    return float(np.median(durations))


def _gap_to_scipy(n_cases: int) -> float:
    """Greatest difference of the optimum, on small cases with ties, negative costs and closed cells."""
    from scipy.optimize import linear_sum_assignment

    from mndt.network.assignment import assign

    rng, worst = np.random.default_rng(1), 0.0
    for case in range(n_cases):
        cost, capacity = small_case(rng, ties=case % 2 == 1)
        column = np.repeat(np.arange(len(capacity)), capacity)  # a column for each place
        row, place = linear_sum_assignment(cost[:, column])
        worst = max(worst, abs(assign(cost, capacity).cost - cost[row, column[place]].sum()))
    return worst


def small_case(rng: np.random.Generator, *, ties: bool) -> tuple[Float64[Array, "users cells"], Int64[Array, "cells"]]:
    """Costs around 0 for up to 29 users and 8 cells, of which some are closed; places suffice."""
    n_users, n_cells = rng.integers(1, 30), rng.integers(1, 9)
    capacity = rng.integers(0, 8, n_cells)
    capacity[rng.integers(n_cells)] += max(0, n_users - capacity.sum())
    cost = rng.normal(size=(n_users, n_cells))
    return (np.round(cost * 2) if ties else cost), capacity


def _has_ortools() -> bool:
    from importlib.util import find_spec

    return find_spec("ortools") is not None


def _ortools(cost: Array, capacity: Array, *, repeats: int) -> tuple[float, float]:
    """Median milliseconds of OR-tools' min-cost flow, and the optimum it found."""
    from ortools.graph.python import min_cost_flow

    n_users, n_cells = cost.shape
    user = np.repeat(np.arange(n_users, dtype=np.int32), n_cells)
    cell = n_users + np.tile(np.arange(n_cells, dtype=np.int32), n_users)
    sink, all_cells = n_users + n_cells, np.arange(n_users, n_users + n_cells, dtype=np.int32)
    supply = np.zeros(sink + 1, np.int64)
    supply[:n_users], supply[sink] = 1, -n_users
    durations = []
    for _ in range(repeats):
        flow = min_cost_flow.SimpleMinCostFlow()
        arcs = flow.add_arcs_with_capacity_and_unit_cost(
            user, cell, np.ones(user.size, np.int64), np.rint(cost.ravel() * 1000).astype(np.int64)
        )
        flow.add_arcs_with_capacity_and_unit_cost(
            all_cells, np.full(n_cells, sink, np.int32), capacity.astype(np.int64), np.zeros(n_cells, np.int64)
        )
        flow.set_nodes_supplies(np.arange(sink + 1, dtype=np.int32), supply)
        begin = time.process_time()
        status = flow.solve()
        durations.append(time.process_time() - begin)
        assert status == flow.OPTIMAL
        taken = np.flatnonzero(flow.flows(arcs))
    return 1e3 * float(np.median(durations)), float(cost.ravel()[taken].sum())
