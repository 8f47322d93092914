"""The exact choice and the oracle, against all there is to try."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from small_sleep import observed_of, pair_of_grids, small_problem

from mndt.optimise.sleep.choice import Layout
from mndt.optimise.sleep.fleet import Fleet
from mndt.optimise.sleep.oracle import oracle
from mndt.optimise.sleep.problem import Setting, play, serve, start
from mndt.optimise.sleep.rules import forbidding
from mndt.optimise.sleep.scenario import fleet_for
from mndt.users.demand.observed import Observed


@pytest.fixture
def pair() -> Fleet:
    return pair_of_grids()


@pytest.fixture
def small() -> tuple[Fleet, Observed]:
    return small_problem()


def one_grid(seed: int) -> Fleet:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 5))
    return Fleet(
        grid=np.zeros(n, np.int64), station=np.sort(rng.integers(0, 2, n)) * np.arange(n).clip(0, 1),
        kind=np.array(["macro"] * n), capacity=rng.uniform(0.5, 3, n), idle_w=rng.uniform(50, 500, n),
        load_w=rng.uniform(20, 500, n), sleep_w=rng.uniform(10, 50, n), bbu_w=rng.uniform(50, 300, 2),
    )  # fmt: skip


@pytest.mark.parametrize("setting", list(Setting))
@pytest.mark.parametrize("seed", range(6))
def test_the_choice_is_the_best_of_all_states(seed: int, setting: Setting) -> None:
    fleet, rng = one_grid(seed), np.random.default_rng(seed + 100)
    n = len(fleet.grid)
    before = rng.integers(0, 3, n).astype(np.int8)
    demands = np.sort(rng.uniform(0, 1.1 * fleet.capacity.sum(), (1, 7)), axis=1)
    mass, price = rng.dirichlet(np.ones(7)), np.array([400.0])

    def cost(wanted: tuple[int, ...]) -> float:
        rows = [serve(fleet, before, np.array(wanted), demand, setting) for demand in demands.T]
        each = [row.energy_wh + row.switching_wh + price[0] * row.unserved[0] for row in rows]
        return float(mass @ each)

    chosen = Layout(fleet, 3).choose(before, demands, price, setting, mass=mass)
    best = min(cost(wanted) for wanted in product(range(3), repeat=n))
    assert cost(tuple(chosen.tolist())) == pytest.approx(best, rel=1e-9)


def test_the_oracle_is_the_best_of_all_courses(pair: Fleet) -> None:
    demand = np.array([[0.5, 2.5, 0.2], [0.4, 0.3, 2.2]])
    found = oracle(pair, demand, rounds=60, base=2)
    states = [np.array(s, np.int8) for s in product((0, 2), repeat=4)]
    least = np.inf
    for course in product(states, repeat=3):
        status, total = start(pair), 0.0
        for slot, wanted in enumerate(course):
            row = serve(pair, status, wanted, demand[:, slot], Setting.KNOWN)
            total += row.energy_wh + row.switching_wh + 1e9 * row.unserved.sum()
            status = row.status
            if total >= least:
                break
        least = min(least, total)
    assert found.cost_wh == pytest.approx(least)
    assert found.bound_wh <= least * (1 + 1e-9)


def test_the_bound_is_near_and_below(small: tuple[Fleet, Observed]) -> None:
    fleet, observed = small
    assert (np.bincount(np.unique(np.stack([fleet.grid, fleet.station]), axis=1)[1]) > 1).any()
    demand = observed.traffic[:, 48:]
    found = oracle(fleet, demand)
    assert 0 <= found.gap < 0.002
    outcome = play(fleet, observed.traffic, Setting.KNOWN, lambda m: found.status[m.slot - 48], begin=48)
    assert outcome.unserved.max() < 1e-9
    assert outcome.energy_wh.sum() + outcome.switching_wh.sum() == pytest.approx(found.cost_wh)


def test_what_comes_after_is_what_the_oracle_pays() -> None:
    fleet = one_grid(3)
    demand = np.random.default_rng(5).uniform(0, 0.9 * fleet.capacity.sum(), (1, 6))
    value = Layout(fleet, 3).ahead(start(fleet), demand[:, None, :], forbidding(fleet))
    assert value[0] == pytest.approx(oracle(fleet, demand).cost_wh)  # state 0: all on


def test_fleets_carry_the_margin_and_share_stations() -> None:
    observed = observed_of(60, 96, 2)
    fleet = fleet_for(observed, 1, margin=1.5, share=0.3)
    assert fleet.grid_capacity == pytest.approx(1.5 * observed.traffic.max(axis=1))
    spans = np.bincount(np.unique(np.stack([fleet.grid, fleet.station]), axis=1)[1])
    assert spans.max() == 2
    assert 0.2 < (spans == 2).mean() < 0.4
    assert np.bincount(np.unique(np.stack([fleet_for(observed, 1, share=0.0).grid, fleet_for(observed, 1, share=0.0).station]), axis=1)[1]).max() == 1  # fmt: skip  # noqa: E501
