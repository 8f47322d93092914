from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from grid_town import grid_town
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse.csgraph import shortest_path
from scipy.spatial.distance import cdist

from mndt.errors import InputError
from mndt.users.crowd.correction import _SHAPES, CUTOFF_M, Correction, read_correction, shipped_correction
from mndt.users.crowd.walking import People, Walls, WayTables, by_area, walk
from mndt.users.indoor import Outlines

Array = np.ndarray


def some_weights(seed: int, size: float = 1.0) -> Correction:
    rng = np.random.default_rng(seed)
    weights = {name: (size * rng.normal(size=shape)).astype(np.float32) for name, shape in _SHAPES.items()}
    physics = {"log_tau": -0.5, "log_push": 0.5, "log_range": -1.3, "ahead": 0.3}
    return Correction.of(weights | {name: np.float32(value) for name, value in physics.items()})


def people(x: Array, goal: Array, pace: float | Array = 1.2, v: Array | None = None) -> People:
    n = len(x)
    v = np.zeros((n, 2)) if v is None else v
    columns = [np.ascontiguousarray(a[:, c], float) for a in (x, v, goal) for c in (0, 1)]
    way = np.hypot(*(goal - x).T)
    zero = np.zeros(n, np.int8)
    return People(*columns, np.broadcast_to(pace, n).astype(float), way, zero, zero.copy(), np.ones(n, bool))


def square(side: float) -> Walls:
    x, y = np.array([0, side, side, 0.0]), np.array([0, 0, side, side])
    return Walls(np.array([0, 4]), x, y, np.roll(x, -1), np.roll(y, -1))


def everyone(n: int) -> tuple[Array, Array]:
    return by_area(np.zeros(n, int), np.ones(n, bool), 1)


def plain_step(p: People, c: Correction, step_s: float) -> tuple[Array, Array]:
    """The law written down as in its description, pair by pair."""
    n, out = len(p.x), []
    soft = lambda a: a / (1 + np.abs(a))  # noqa: E731
    clip = lambda *a: np.clip(np.array(a, float), -1.5, 1.5)  # noqa: E731
    for i in range(n):
        x, v, goal = np.array([p.x[i], p.y[i]]), np.array([p.vx[i], p.vy[i]]), np.array([p.goal_x[i], p.goal_y[i]])
        far = np.hypot(*(goal - x))
        e = (goal - x) / far
        side = np.array([-e[1], e[0]])
        sums, force = np.zeros(16), np.zeros(2)
        for j in range(n):
            r, u = np.array([p.x[j], p.y[j]]) - x, np.array([p.vx[j], p.vy[j]])
            d = np.hypot(*r)
            if j == i or d >= CUTOFF_M:
                continue
            f = clip(r @ e / 4, r @ side / 4, (u - v) @ e / 2, (u - v) @ side / 2, d / 4, 1 / (1 + 4 * d * d),
                     u @ e / 1.5, u @ side / 1.5)  # fmt: skip
            h = np.maximum(f @ c.edge_w + c.edge_b, 0)
            sums += h * (1 - d * d / 16) ** 2
            behind = 1 / (1 + np.exp(-c.ahead))
            view = behind + (1 - behind) * (1 + r @ e / d) / 2
            gate = 1 + soft(h @ c.gate_w + c.gate_b)
            force -= np.exp(c.log_push + (0.6 - d) / np.exp(c.log_range)) * view * gate * r / d
        force *= min(1.0, 10.0 / np.hypot(*force)) if force.any() else 1.0
        own = clip(v @ e / 1.5, v @ side / 1.5, p.pace[i] / 1.5, p.pace[i] / 1.5, 0.0, min(p.way_m[i], 25) / 10 - 1,
                   min(far, 25) / 10 - 1, far / (far + 2))  # fmt: skip
        h = soft(np.concatenate([sums / (2 + sums), own]) @ c.hidden_w + c.hidden_b)
        o = soft(soft(h @ c.second_w + c.second_b) @ c.out_w + c.out_b)
        along = p.pace[i] + o[0] * (1.0 if o[0] > 0 else 0.85 * p.pace[i])
        want = along * e + o[1] * 0.7 * min(1.0, far / 1.5) * side
        v = v + step_s * ((want - v) / np.exp(c.log_tau) + force)
        v = v * min(1.0, (1.3 * p.pace[i] + 0.8) / np.hypot(*v))
        out.append(x + step_s * v)
    return tuple(np.array(out).T)


@pytest.mark.parametrize("n", [12, 70])
def test_the_kernel_follows_the_law_pair_by_pair_with_and_without_cells(n: int) -> None:
    rng = np.random.default_rng(n)
    x = rng.uniform(0, 1.6 * np.sqrt(n), (n, 2))
    p = people(x, rng.uniform(-5, 40, (n, 2)), rng.uniform(0.5, 1.6, n), rng.normal(0, 0.6, (n, 2)))
    law = some_weights(n, 0.5)
    expected = plain_step(p, law, 0.1)
    walk(p, *everyone(n), Walls.none(), WayTables.none(), law, 0.1)
    assert np.abs(np.array([p.x, p.y]) - expected).max() < 2e-5  # the kernel softens distances by a millimetre


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), size=st.floats(0.1, 30.0), far=st.floats(2.0, 40.0))
def test_whatever_the_weights_a_lone_walker_comes_near_his_goal(seed: int, size: float, far: float) -> None:
    p = people(np.zeros((1, 2)), np.array([[far, 0.0]]))
    least = far
    for _ in range(int(20 + far / (0.15 * 1.2))):
        walk(p, *everyone(1), Walls.none(), WayTables.none(), some_weights(seed, size))
        least = min(least, np.hypot(p.x[0] - far, p.y[0]))
    assert least < 2.5


@settings(max_examples=40, deadline=None)
@given(pace=st.floats(0.3, 2.0), far=st.floats(0.5, 80.0), bearing=st.floats(0.0, 6.3))
def test_with_the_shipped_weights_a_lone_walker_arrives(pace: float, far: float, bearing: float) -> None:
    goal = far * np.array([np.cos(bearing), np.sin(bearing)])
    p = people(np.zeros((1, 2)), goal[None], pace)
    walk(p, *everyone(1), Walls.none(), WayTables.none(), shipped_correction(), 10 + 3 * far / pace)
    assert not p.walking[0]
    assert np.hypot(p.x[0] - goal[0], p.y[0] - goal[1]) < 0.6


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10**6), per_m2=st.sampled_from([0.3, 1.0, 2.5, 4.0]))
def test_in_halls_of_any_density_nobody_leaves_or_flies(seed: int, per_m2: float) -> None:
    rng, side = np.random.default_rng(seed), 10.0
    n = int(per_m2 * side * side)
    p = people(rng.uniform(0.3, side - 0.3, (n, 2)), rng.uniform(0.5, side - 0.5, (n, 2)))
    for _ in range(15):
        before = p.x.copy(), p.y.copy()
        walk(p, *everyone(n), square(side), WayTables.none(), shipped_correction())
        assert ((p.x > 0) & (p.x < side) & (p.y > 0) & (p.y < side)).all()
        assert np.hypot(p.x - before[0], p.y - before[1]).max() <= 1.3 * 1.2 + 0.8 + 1e-6


def test_strangers_who_meet_do_not_walk_through_each_other() -> None:
    rng = np.random.default_rng(5)
    nearest, asides = [], rng.uniform(-0.3, 0.3, 20)
    for aside in asides:
        p = people(np.array([[0, 0], [12, aside]]), np.array([[12, 0], [0, aside]]))
        least = np.inf
        for _ in range(80):
            walk(p, *everyone(2), Walls.none(), WayTables.none(), shipped_correction(), 0.1)
            if p.walking.all():
                least = min(least, np.hypot(p.x[0] - p.x[1], p.y[0] - p.y[1]))
        nearest.append(least)
    assert np.median(nearest) > 1.2 * np.median(np.abs(asides))  # as near as they would come without a look


def test_a_dense_hall_is_not_a_heap() -> None:
    rng, side = np.random.default_rng(3), 12.0
    n = 200
    p = people(rng.uniform(0.5, side - 0.5, (n, 2)), rng.uniform(0.5, side - 0.5, (n, 2)))
    goals = p.goal_x.copy(), p.goal_y.copy()
    close = []
    for _ in range(30):
        walk(p, *everyone(n), square(side), WayTables.none(), shipped_correction())
        d = cdist(np.c_[p.x, p.y], np.c_[p.x, p.y])[np.triu_indices(n, 1)]
        close.append((d < 0.2).sum() / n)
    by_chance = (n - 1) / 2 * np.pi * 0.2**2 / side**2
    assert np.mean(close) < by_chance
    assert np.hypot(p.x - goals[0], p.y - goals[1]).mean() < 2.0


def test_ways_lead_around_courtyards_and_are_the_shortest() -> None:
    outlines = Outlines.from_city(grid_town())
    rng = np.random.default_rng(0)
    area = np.full(400, 7, np.int32)
    first, last = outlines.start[7], outlines.start[8]
    low, high = outlines.ax_m[first:last].min(), outlines.ax_m[first:last].max()
    bottom, top = outlines.ay_m[first:last].min(), outlines.ay_m[first:last].max()
    x, y = rng.uniform(low, high, 400), rng.uniform(bottom, top, 400)
    inside = np.flatnonzero(outlines.contain(area, x, y))[:12]
    x, y = x[inside], y[inside]
    walls = outlines.walls()
    mine = Walls(np.array([0, last - first]), *(wall[first:last] for wall in walls[1:]))
    ways = WayTables.between(x[None], y[None], mine)
    i, j = (a.ravel() for a in np.indices((12, 12)))
    sees = outlines.clear(area[: 12 * 12], x[i], y[i], x[j], y[j]).reshape(12, 12)
    d = np.where(sees, cdist(np.c_[x, y], np.c_[x, y]), 0.0)
    assert not sees.all()
    expected = shortest_path(d)
    found = np.where(ways.length[0] < 0, np.inf, ways.length[0])
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    for a in range(12):
        for b in range(12):
            if a != b and np.isfinite(expected[a, b]):
                k = ways.hop[0, a, b]
                assert sees[a, k]
                assert abs(d[a, k] + expected[k, b] - expected[a, b]) < 1e-2


def test_weights_that_do_not_fit_are_refused_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="written by 'mndt train crowd'"):
        read_correction(tmp_path / "nothing.npz")
    good = {name: np.zeros(shape, np.float32) for name, shape in _SHAPES.items()}
    for name, value in (("edge_w", np.zeros((3, 3))), ("out_b", np.array([np.nan, 0]))):
        np.savez(tmp_path / "bad.npz", **(good | {name: value}))
        with pytest.raises(InputError, match="does not fit"):
            read_correction(tmp_path / "bad.npz")
    np.savez(tmp_path / "good.npz", **good)
    assert len(read_correction(tmp_path / "good.npz").table()) == sum(int(np.prod(s)) for s in _SHAPES.values())
