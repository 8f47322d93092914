"""Rates, worth, gradient, exchange and WMMSE against plain references; the solver's promises."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mndt.optimise.allocation import _kernels
from mndt.optimise.allocation.places import first_choice, strongest_cells
from mndt.optimise.allocation.problem import Choice, Limits, check, rates
from mndt.optimise.allocation.solver import NORMAL, Effort, Worth, flat, solve

NOISE_W = np.float32(1e-13)
Array = np.ndarray


def small(seed: int, n_users: int = 24, n_cells: int = 5, n_blocks: int = 8) -> tuple[Array, Limits, Worth]:
    """A town of a few cells, and users who differ in what they are worth."""
    rng = np.random.default_rng(seed)
    gain = (10.0 ** rng.uniform(-13, -8, (n_users, n_cells))).astype(np.float32)
    limits = Limits(rng.uniform(0.2, 1.0, n_cells).astype(np.float32), n_blocks, float(NOISE_W))
    bonus = rng.uniform(0, 3, n_users) * rng.integers(0, 2, n_users)
    return gain, limits, Worth.of(rng.uniform(0.5, 2, n_users), bonus, rng.uniform(0, 8, n_users))


def plain_rates(gain: Array, choice: Choice, noise_w: float) -> Array:
    """User by user, in double precision."""
    out = np.zeros(len(choice))
    for u in range(len(choice)):
        others = [
            v for v in range(len(choice)) if choice.block[v] == choice.block[u] and choice.cell[v] != choice.cell[u]
        ]
        heard = noise_w + sum(float(gain[u, choice.cell[v]]) * float(choice.power_w[v]) for v in others)
        out[u] = np.log2(1.0 + float(gain[u, choice.cell[u]]) * float(choice.power_w[u]) / heard)
    return out


def plain_worth(rate: Array, worth: Worth) -> float:
    """The rounded minimum by its integral, numerically."""
    total = 0.0
    for r, weight, bonus, need in zip(rate, worth.weight, worth.bonus, worth.need, strict=True):
        x = (np.arange(4000) + 0.5) / 4000 * r
        met = np.clip((need - x) / float(_kernels.WIDTH) + 0.5, 0, 1).mean() * r
        total += float(weight) * r + float(bonus) * met
    return total


def order_of(choice: Choice, n_blocks: int, gain: Array, worth: Worth) -> tuple[Array, tuple[Array, ...]]:
    """Arguments of the gradient, block by block."""
    users, first, start, matrix = _kernels.neighbours(gain, choice.cell, choice.block, n_blocks)
    own = gain[users, choice.cell[users]]
    terms = (worth.weight[users], worth.bonus[users], worth.need[users])
    return users, (users, first, start, matrix, choice.cell[users], own, NOISE_W, *terms)


@given(seed=st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_rates_equal_a_plain_sum_over_disturbers(seed: int) -> None:
    gain, limits, _ = small(seed)
    choice = first_choice(gain, limits, seed=seed)
    np.testing.assert_allclose(rates(gain, choice, limits), plain_rates(gain, choice, limits.noise_w), rtol=2e-5)


def test_worth_of_a_rate_is_the_integral_of_its_slope() -> None:
    gain, limits, worth = small(1)
    choice = first_choice(gain, limits)
    _, arguments = order_of(choice, limits.n_blocks, gain, worth)
    users = arguments[0]
    value = _kernels.gradient(*arguments, choice.power_w[users], np.empty(len(users), np.float32))
    assert value == pytest.approx(plain_worth(plain_rates(gain, choice, limits.noise_w), worth), rel=1e-4)


@given(seed=st.integers(0, 10_000))
@settings(max_examples=10, deadline=None)
def test_the_gradient_is_that_of_the_worth(seed: int) -> None:
    gain, limits, worth = small(seed)
    choice = first_choice(gain, limits, seed=seed)
    users, arguments = order_of(choice, limits.n_blocks, gain, worth)
    grad = np.empty(len(users), np.float32)
    _kernels.gradient(*arguments, choice.power_w[users], grad)
    for i in np.random.default_rng(seed).choice(len(users), 6, replace=False):
        step_w = 1e-3 * choice.power_w[users[i]]
        moved = []
        for sign in (-1, 1):
            power_w = choice.power_w.astype(np.float64)
            power_w[users[i]] += sign * step_w
            moved.append(plain_worth(plain_rates(gain, replace(choice, power_w=power_w), limits.noise_w), worth))
        slope = (moved[1] - moved[0]) / (2.0 * step_w) * np.log(2.0)
        own_w = float(choice.power_w[users[i]])
        assert grad[i] * own_w == pytest.approx(slope * own_w, rel=2e-2, abs=2e-3)


@given(seed=st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_no_move_makes_the_whole_worse(seed: int) -> None:
    gain, limits, worth = small(seed)
    choice = first_choice(gain, limits, seed=seed)
    power_w = (0.7 * choice.power_w).astype(np.float32)
    before = plain_worth(plain_rates(gain, replace(choice, power_w=power_w), limits.noise_w), worth)
    cell, block = choice.cell.copy(), choice.block.copy()
    near = strongest_cells(gain, limits.power_w, 3)
    moves = _kernels.exchange(
        gain, near, np.random.default_rng(seed).permutation(len(cell)), limits.power_w, NOISE_W, limits.places,
        worth.weight, worth.bonus, worth.need, limits.n_blocks, 6, cell, block, power_w, flat(limits.n_blocks),
    )  # fmt: skip
    after = Choice(cell, block, power_w)
    check(after, limits, len(cell))
    assert plain_worth(plain_rates(gain, after, limits.noise_w), worth) >= before - 1e-3
    if moves == 0:
        assert (cell == choice.cell).all()


def test_a_lonely_user_goes_where_nobody_disturbs() -> None:
    gain = np.array([[1e-9, 1e-9], [1e-9, 1e-9], [2e-9, 1e-12]], np.float32)
    limits = Limits(np.ones(2, np.float32), n_blocks=3, noise_w=float(NOISE_W))
    cell, block = np.array([1, 1, 0], np.int32), np.array([0, 1, 0], np.int32)
    power_w, ones = np.full(3, 0.3, np.float32), np.ones(3, np.float32)
    _kernels.exchange(
        gain, np.array([[1], [1], [0]], np.int32), np.array([2, 0, 1]), limits.power_w, NOISE_W, 3, ones, 0 * ones,
        0 * ones, 3, 4, cell, block, power_w, flat(3),
    )  # fmt: skip
    assert block.tolist() == [0, 1, 2]


@given(seed=st.integers(0, 10_000))
@settings(max_examples=15, deadline=None)
def test_the_worth_never_falls_under_wmmse(seed: int) -> None:
    gain, limits, worth = small(seed, n_users=20)
    worth = Worth.of(worth.weight)
    choice = first_choice(gain, limits, seed=seed)
    power_w, values = choice.power_w.copy(), np.zeros(31)
    _kernels.wmmse(
        gain, choice.cell, choice.block, limits.power_w, NOISE_W, worth.weight, worth.bonus, worth.need,
        limits.n_blocks, 30, power_w, values,
    )  # fmt: skip
    assert (np.diff(values) > -1e-4 * values[:-1]).all()
    check(replace(choice, power_w=power_w), limits, len(power_w))
    found = plain_worth(plain_rates(gain, replace(choice, power_w=power_w), limits.noise_w), worth)
    assert values[-1] == pytest.approx(found, rel=1e-3)


@pytest.mark.parametrize("by", ["gradient", "wmmse"])
def test_powers_of_two_users_reach_the_best_of_a_grid(by: str) -> None:
    for seed in range(20):
        rng = np.random.default_rng(seed)
        gain = (10.0 ** rng.uniform(-11, -9, (2, 2))).astype(np.float32)
        gain[0, 0], gain[1, 1] = 1e-9, 1e-9
        limits, worth = Limits(np.ones(2, np.float32), 1, 1e-11), Worth.of(rng.uniform(0.5, 2, 2))
        terms = (worth.weight, worth.bonus, worth.need, 1)
        even = Choice(np.arange(2, dtype=np.int32), np.zeros(2, np.int32), np.full(2, 0.5, np.float32))
        found = []
        for start in ((0.5, 0.5), (0.9, 0.02), (0.02, 0.9)):  # the problem has several local optima
            choice = replace(even, power_w=np.array(start, np.float32))
            where = (gain, choice.cell, choice.block, limits.power_w, np.float32(limits.noise_w), *terms)
            if by == "gradient":
                _kernels.tune_power(*where, 400, np.float32(0.2), choice.power_w, flat(1))
            else:
                _kernels.wmmse(*where, 400, choice.power_w, np.zeros(401))
            found.append((worth.weight * plain_rates(gain, choice, limits.noise_w)).sum())
        grid = (replace(even, power_w=np.array(p)) for p in product(np.linspace(0, 1, 41), repeat=2))
        best = max((worth.weight * plain_rates(gain, choice, limits.noise_w)).sum() for choice in grid)
        assert max(found) > 0.999 * best


def test_strongest_cells_are_those_of_sorting() -> None:
    gain, limits, _ = small(3, n_users=50, n_cells=9)
    expected = np.argsort(-gain * limits.power_w, axis=1)[:, :4]
    assert (strongest_cells(gain, limits.power_w, 4) == expected).all()


@given(
    seed=st.integers(0, 10_000), n_users=st.integers(1, 30), n_cells=st.integers(1, 6), warm=st.booleans(),
    full=st.booleans(),
)  # fmt: skip
@settings(max_examples=40, deadline=None)
def test_what_the_solver_finds_is_feasible(seed: int, n_users: int, n_cells: int, warm: bool, full: bool) -> None:
    n_blocks = -(-n_users // n_cells) if full else n_users
    gain, limits, worth = small(seed, n_users, n_cells, n_blocks)
    start = first_choice(gain, limits, seed=seed) if warm else None
    found = solve(gain, limits, worth, warm=start, effort=Effort(power_steps=10), seed=seed)
    check(found, limits, n_users)
    again = solve(gain, limits, worth, warm=start, effort=Effort(power_steps=10), seed=seed)
    assert all(np.array_equal(a, b) for a, b in zip(vars(found).values(), vars(again).values(), strict=True))


def test_more_effort_finds_more() -> None:
    gain, limits, worth = small(7, 120, 10, 20)
    worth = Worth.of(worth.weight)

    def value(effort: Effort) -> float:
        return float((worth.weight * rates(gain, solve(gain, limits, worth, effort=effort), limits)).sum())

    nothing = first_choice(gain, limits)
    start = float((worth.weight * rates(gain, nothing, limits)).sum())
    assert start < value(replace(NORMAL, first_rounds=1)) < value(replace(NORMAL, first_rounds=12)) * 1.001
