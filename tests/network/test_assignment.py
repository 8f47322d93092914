from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.optimize import linear_sum_assignment

from mndt.checks import bench_assignment
from mndt.checks.bench_assignment import radio_cost_db, small_case
from mndt.errors import InputError
from mndt.network import _assignment
from mndt.network.assignment import assign


def optimum_of_scipy(cost, capacity):
    """With a column for each place; None: no feasible assignment."""
    column = np.repeat(np.arange(len(capacity)), capacity)
    try:
        row, place = linear_sum_assignment(cost[:, column])
    except ValueError:
        return None
    return float(cost[row, column[place]].sum()) if len(row) == len(cost) else None


def least_overload_by_hand(cost, capacity):
    """Least overload in total, then least cost, over all assignments along allowed links."""
    best = (np.inf, np.inf)
    for cells in itertools.product(range(len(capacity)), repeat=len(cost)):
        over = np.maximum(np.bincount(cells, minlength=len(capacity)) - capacity, 0).sum()
        total = cost[np.arange(len(cost)), list(cells)].sum()
        best = min(best, (over, total)) if total < np.inf else best
    return best


def prove(found, cost, capacity):
    """The certificate, recomputed from the prices alone, for an assignment without forbidden overload."""
    load = np.bincount(found.cell, minlength=len(capacity))
    finite = np.where(np.isfinite(cost), cost, 1e30)
    dual = (finite + found.price).min(axis=1).sum() - (found.price * capacity).sum()
    scale = max(1.0, np.abs(found.price * capacity).sum() + abs(found.cost))
    np.testing.assert_array_equal(found.overload, np.maximum(load - capacity, 0))
    assert found.cost == pytest.approx(cost[np.arange(len(cost)), found.cell].sum(), abs=1e-12 * scale)
    assert found.bound == pytest.approx(dual, abs=1e-11 * scale)
    assert abs(found.cost - found.bound) <= 1e-9 * max(abs(found.cost), 1e-3)
    if found.overload.sum() == 0:
        assert (found.price >= 0).all()


costs = arrays.arrays(
    np.float64,
    st.tuples(st.integers(1, 12), st.integers(1, 5)),
    elements=st.one_of(st.integers(-3, 3).map(float), st.floats(-50, 50, width=32)),
)


def draw_capacity(data, cost, *, enough):
    n_users, n_cells = cost.shape
    capacity = np.array(data.draw(st.lists(st.integers(0, 5), min_size=n_cells, max_size=n_cells)))
    if enough:
        capacity[data.draw(st.integers(0, n_cells - 1))] += max(0, n_users - capacity.sum())
    return capacity


def test_equals_scipy_on_300_random_cases():
    rng = np.random.default_rng(1)
    for case in range(300):
        cost, capacity = small_case(rng, ties=case % 2 == 1)
        found = assign(cost, capacity)
        prove(found, cost, capacity)
        assert found.cost == pytest.approx(optimum_of_scipy(cost, capacity), abs=1e-9)


@settings(max_examples=200, deadline=None)
@given(costs, st.data())
def test_equals_scipy_whatever_the_costs(cost, data):
    capacity = draw_capacity(data, cost, enough=True)
    found = assign(cost, capacity)
    prove(found, cost, capacity)
    assert found.cost == pytest.approx(optimum_of_scipy(cost, capacity), abs=1e-9)
    np.testing.assert_array_equal(found.cell, assign(cost, capacity, least_overload=True).cell)


@settings(max_examples=150, deadline=None)
@given(costs, st.data())
def test_forbidden_links_are_never_taken(cost, data):
    allowed = data.draw(arrays.arrays(bool, cost.shape))
    cost, capacity = np.where(allowed, cost, np.inf), draw_capacity(data, cost, enough=True)
    expected = optimum_of_scipy(cost, capacity)
    if expected is None:
        with pytest.raises(InputError, match="allowed"):
            assign(cost, capacity)
    else:
        found = assign(cost, capacity)
        prove(found, cost, capacity)
        assert found.cost == pytest.approx(expected, abs=1e-9)


@settings(max_examples=150, deadline=None)
@given(
    arrays.arrays(np.float64, st.tuples(st.integers(1, 5), st.integers(1, 3)), elements=st.integers(-4, 4).map(float)),
    st.data(),
    st.booleans(),
)
def test_least_overload_comes_first_and_least_cost_second(cost, data, some_forbidden):
    capacity = np.array(data.draw(st.lists(st.integers(0, 2), min_size=cost.shape[1], max_size=cost.shape[1])))
    if some_forbidden:
        allowed = data.draw(arrays.arrays(bool, cost.shape))
        allowed[:, 0] |= ~allowed.any(axis=1)
        cost = np.where(allowed, cost, np.inf)
    found = assign(cost, capacity, least_overload=True)
    overload, least = least_overload_by_hand(cost, capacity)
    assert found.overload.sum() == overload
    assert found.cost == pytest.approx(least, abs=1e-9)
    assert found.bound == pytest.approx(least, abs=1e-9)
    if not some_forbidden:
        prove(found, cost, capacity)
        assert overload == 0 or (found.price <= 0).all()


CITIES = {
    "places for twice as many": (184, 0.0),
    "tight": (44, 0.0),
    "tight with hot spots": (44, 0.5),
    "places for just as many": (0, 0.3),
    "more users than places": (38, 0.5),
}


@pytest.mark.parametrize("name", CITIES)
def test_a_city_is_solved_exactly_by_way_of_samples(name):
    places, hot_spot_share = CITIES[name]
    cost = radio_cost_db(2000, 46, seed=3, hot_spot_share=hot_spot_share)
    capacity = np.full(46, places) if places else np.bincount(np.arange(2000) % 46)
    before = cost.copy()
    found = assign(cost, capacity, least_overload=True)
    prove(found, cost, capacity)
    assert found.overload.sum() == max(0, 2000 - capacity.sum())
    np.testing.assert_array_equal(cost, before)
    again = assign(cost, capacity, least_overload=True)
    assert found.cell.tobytes() == again.cell.tobytes()
    assert found.price.tobytes() == again.price.tobytes()


def awkward_costs(name):
    rng = np.random.default_rng(2)
    noise = rng.normal(size=(1500, 30))
    return {
        "all equal": np.ones((1500, 30)),
        "identical users": np.tile(noise[0], (1500, 1)),
        "users who agree about cells": noise[:, :1] + noise[0] + 0.01 * noise,
        "an outer product": np.outer(rng.random(1500), rng.random(30)),
        "steps of 10": np.round(radio_cost_db(1500, 30, hot_spot_share=0.5), -1),
        "steps of 1/64": np.round(radio_cost_db(1500, 30) * 64) / 64,
        "no structure": rng.random((1500, 30)),
        "of all magnitudes": np.exp(8 * noise),
        "a closed cell everyone likes": np.where(np.arange(30) == 3, -1000.0, noise),
        "a small cell everyone likes": np.where(np.arange(30) == 5, -1000.0, noise),
        "tiny": 1e-9 * noise,
        "far from zero": 1e6 + noise,
        "sorted by cell": (cost := radio_cost_db(1500, 30))[np.argsort(cost.argmin(axis=1))],
    }[name]


@pytest.mark.parametrize(
    "name",
    [
        "all equal", "identical users", "users who agree about cells", "an outer product", "steps of 10",
        "steps of 1/64", "no structure", "of all magnitudes", "a closed cell everyone likes",
        "a small cell everyone likes", "tiny", "far from zero", "sorted by cell",
    ],
)  # fmt: skip
def test_awkward_costs_are_solved_exactly(name):
    cost = awkward_costs(name)
    capacity = np.bincount(np.arange(1520) % 30)
    capacity[3], capacity[4] = 0, capacity[3] + capacity[4]
    prove(assign(cost, capacity), cost, capacity)


def test_forbidden_links_at_scale():
    rng = np.random.default_rng(4)
    cost = radio_cost_db(1500, 40, hot_spot_share=0.3)
    cost[rng.random(cost.shape) < 0.6] = np.inf
    cost[np.arange(1500), rng.integers(0, 40, 1500)] = 80.0
    capacity = np.full(40, 39)
    prove(assign(cost, capacity), cost, capacity)
    cost[:, :36] = np.inf  # four cells for everyone
    found = assign(cost[np.isfinite(cost).any(axis=1)], capacity, least_overload=True)
    assert found.overload.sum() == len(found.cell) - 4 * 39
    assert found.cost == pytest.approx(found.bound, rel=1e-9)


def test_single_precision_is_read_as_it_is():
    cost = radio_cost_db(900, 20, hot_spot_share=0.5).astype(np.float32)
    single, double = assign(cost, np.full(20, 46)), assign(cost.astype(np.float64), np.full(20, 46))
    np.testing.assert_array_equal(single.cell, double.cell)
    assert single.cost == double.cost


def test_users_without_any_link_stay_out():
    cost = np.array([[np.inf, np.inf], [1.0, 5.0], [2.0, 3.0]])
    found = assign(cost, np.array([1, 1]), least_overload=True)
    assert found.cell.tolist() == [-1, 0, 1]
    assert (found.cost, found.bound) == (4.0, 4.0)
    with pytest.raises(InputError, match="without an allowed link for 1 users"):
        assign(cost, np.array([1, 2]))


def test_nobody_and_nowhere():
    nobody = assign(np.zeros((0, 3)), np.array([1, 0, 2]))
    assert nobody.cell.shape == (0,)
    assert nobody.price.tolist() == [0.0, 0.0, 0.0]
    nowhere = assign(np.zeros((2, 0)), np.zeros(0, int), least_overload=True)
    assert nowhere.cell.tolist() == [-1, -1]
    with pytest.raises(InputError, match="0 places for 2 users"):
        assign(np.zeros((2, 0)), np.zeros(0, int))


@pytest.mark.parametrize(
    ("cost", "capacity", "message"),
    [
        (np.zeros((3, 2)), [1, 1], "capacity is 2 places for 3 users, allowed is at least a place for each user"),
        (np.zeros((3, 2)), [1, 1, 1], r"capacity is of shape \(3,\)"),
        (np.zeros(3), [1, 1, 1], "cost has the shape"),
        (np.zeros((3, 2)), [1.5, 2.0], "whole numbers"),
        (np.zeros((3, 2)), [4, -1], "capacity is -1, allowed is 0 or more"),
        (np.array([[0.0, np.nan]]), [1, 1], "not a number"),
        (np.array([[0.0, -np.inf]]), [1, 1], "minus infinity"),
        (np.array([[0.0, 1e16]]), [1, 1], "enormous"),
        (np.array([[0.0, np.inf], [1.0, np.inf]]), [1, 5], "too small for the allowed links"),
    ],
)
def test_what_does_not_fit_is_said_in_a_sentence(cost, capacity, message):
    with pytest.raises(InputError, match=message):
        assign(cost, np.array(capacity))


@pytest.mark.parametrize("n_cells", [1, 7, 63, 64, 65, 130])
@pytest.mark.parametrize("most", [4, 1000])
def test_lists_hold_all_links_that_may_matter(n_cells, most):
    rng = np.random.default_rng(n_cells)
    n_users, margin = 50, 1.5
    cost, price = rng.normal(size=(n_users, 1, n_cells)), rng.random(n_cells)
    lowest = price - np.where(rng.random(n_cells) < 0.2, 0.7, 0.0)
    out = _assignment.Lists(*np.empty((2, n_users), int), np.empty(10**4, np.int32), np.empty(10**4))
    reach, size, everyone = np.empty(n_users), np.zeros(1), np.arange(n_users)
    end = _assignment.list_links(cost, everyone, everyone, price, lowest, margin, most, 0, out, reach, size)
    assert end == out.last[-1]
    assert size[0] == pytest.approx(np.abs(cost).sum())
    for u in range(n_users):
        listed = out.cell[out.first[u] : out.last[u]]
        value = cost[u, 0] + price
        np.testing.assert_array_equal(out.cost[out.first[u] : out.last[u]], cost[u, 0, listed])
        assert len(set(listed)) == len(listed) <= max(most, 1)
        assert value.argmin() in listed
        assert (np.delete(value, listed) >= reach[u] - 1e-12).all()
        if most > n_cells:
            np.testing.assert_array_equal(
                np.sort(listed), np.flatnonzero(cost[u, 0] + lowest <= value.min() + margin)
            )  # fmt: skip


@pytest.mark.peer
def test_equals_ortools():
    cost, capacity = radio_cost_db(600, 30, hot_spot_share=0.5), np.full(30, 21)
    _, theirs = bench_assignment._ortools(cost, capacity, repeats=1)
    assert assign(cost, capacity).cost == pytest.approx(theirs, abs=600 * 1e-3)  # theirs rounds to 0.001 dB


def test_the_benchmark_says_what_it_could_not_compare(monkeypatch):
    make = radio_cost_db
    monkeypatch.setattr(bench_assignment, "radio_cost_db", lambda n_users, n_cells, **kw: make(300, n_cells, **kw))
    monkeypatch.setattr(bench_assignment, "_has_ortools", lambda: False)
    monkeypatch.setattr(bench_assignment, "_median_s", lambda call, repeats: 0.002 if call() else 1.0)
    found = bench_assignment.run(quick=True)
    assert found.figures["ratio_to_ortools"] is None
    assert "pip install" in found.note
    assert found.figures["ms_tight"] == pytest.approx(2.0)
    assert found.figures["max_gap_to_scipy"] < 1e-9
    assert found.figures["max_duality_gap"] < 1e-9
