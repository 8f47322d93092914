from __future__ import annotations

import numpy as np
from grid_town import grid_town
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely import LineString, Point, Polygon

from mndt.users.indoor import Indoor, Outlines, Stays

TOWN = grid_town()
OUTLINES = Outlines.from_city(TOWN)


def polygon(area: int) -> Polygon:
    rings = [slice(*TOWN.buildings.point_start[[r, r + 1]]) for r in (2 * area, 2 * area + 1)]
    outer, hole = (list(zip(TOWN.buildings.point_x_m[r], TOWN.buildings.point_y_m[r], strict=True)) for r in rings)
    return Polygon(outer, [hole])


@given(area=st.integers(0, 35), u=st.floats(-0.2, 1.2), v=st.floats(-0.2, 1.2))
def test_containment_agrees_with_shapely(area: int, u: float, v: float) -> None:
    shape = polygon(area)
    x0, y0, x1, y1 = shape.bounds
    point = Point(x0 + u * (x1 - x0), y0 + v * (y1 - y0))
    if shape.boundary.distance(point) < 1e-9:
        return
    inside = OUTLINES.contain(np.array([area]), np.array([point.x]), np.array([point.y]))
    assert bool(inside[0]) == shape.contains(point)


@given(area=st.integers(0, 35), seed=st.integers(0, 10**6))
def test_clear_lines_are_those_shapely_covers(area: int, seed: int) -> None:
    shape, rng = polygon(area), np.random.default_rng(seed)
    x0, y0, x1, y1 = shape.bounds
    ends = []
    while len(ends) < 2:
        point = Point(rng.uniform(x0, x1), rng.uniform(y0, y1))
        if shape.contains(point):
            ends.append(point)
    a, b = ends
    clear = OUTLINES.clear(np.array([area]), *(np.array([v]) for v in (a.x, a.y, b.x, b.y)))
    assert bool(clear[0]) == shape.contains(LineString([a, b]))


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_people_stay_inside_their_area_and_do_move(seed: int) -> None:
    rng = np.random.default_rng(seed)
    indoor = Indoor.from_city(TOWN, 20.0, rng)
    n = 80
    area = rng.integers(36, size=n).astype(np.int32)
    x, y = indoor.random_point(area, rng)
    stays, inside, pace = Stays(x, y), np.arange(n) % 4 > 0, np.full(n, 1.4, np.float32)
    x0, y0 = x, y
    for _ in range(60):
        before = x, y
        stays, x, y, speed = indoor.step(stays, x, y, area, inside, pace, rng)
        moved = np.hypot(x - before[0], y - before[1])
        assert (moved <= 1.3 * 0.65 * 1.4 + 0.8 + 1e-4).all()
        assert np.abs(moved - speed).max() < 1e-3
        assert OUTLINES.contain(area, x.astype(float), y.astype(float)).all()
    assert (x[~inside] == x0[~inside]).all()
    assert (y[~inside] == y0[~inside]).all()
    assert ((x != x0) & inside).mean() > 0.3


def test_doors_are_inside_and_near_the_footway() -> None:
    indoor = Indoor.from_city(TOWN, 20.0, np.random.default_rng(0))
    every = np.arange(36, dtype=np.int32)
    x, y = (v.astype(float) for v in indoor.door(every))
    assert OUTLINES.contain(every, x, y).all()
    node = TOWN.areas.foot_node
    for a in range(36):
        to = Point(TOWN.footways.node_x_m[node[a]], TOWN.footways.node_y_m[node[a]])
        assert to.distance(Point(x[a], y[a])) < to.distance(polygon(a)) + 1.3


def test_people_come_in_at_the_door_and_leave_by_it() -> None:
    rng = np.random.default_rng(1)
    indoor = Indoor.from_city(TOWN, 1e9, rng)
    area = np.arange(36, dtype=np.int32)
    goal_x, goal_y = indoor.random_point(area, rng)
    x, y = indoor.door(area)
    stays, inside, pace = Stays(goal_x, goal_y), np.ones(36, bool), np.full(36, 1.4, np.float32)
    for _ in range(240):
        stays, x, y, _ = indoor.step(stays, x, y, area, inside, pace, rng)
    assert (np.hypot(x - goal_x, y - goal_y) < 0.5).mean() > 0.9
    assert ((x == stays.goal_x_m) & (y == stays.goal_y_m)).all()
    gone = np.zeros(36, bool)
    for _ in range(240):
        stays, there = indoor.leave(stays, area, area, x, y)
        gone |= there
        stays, x, y, _ = indoor.step(stays, x, y, area, inside, pace, rng)
        assert OUTLINES.contain(area, x.astype(float), y.astype(float)).all()
    assert gone.mean() > 0.9


def test_new_goals_of_some_leave_the_others_walking() -> None:
    rng = np.random.default_rng(2)
    indoor = Indoor.from_city(TOWN, 1e9, rng)
    area = np.array([3, 3], np.int32)
    stays = Stays(*(v.copy() for v in (indoor.point_x_m[area, [1, 2]], indoor.point_y_m[area, [1, 2]])))
    x, y = indoor.door(area)
    stays, x, y, _ = indoor.step(stays, x, y, area, np.ones(2, bool), np.full(2, 1.4, np.float32), rng)
    later = stays.towards(np.array([0]), x[:1], y[:1])
    assert later.goal_x_m[0] == x[0]
    assert later.aim[0] == -1
    for name in ("goal_x_m", "velocity_x_mps", "aim", "via", "patience_s"):
        assert getattr(later, name)[1] == getattr(stays, name)[1]


def test_points_fill_the_whole_area_but_the_courtyard() -> None:
    indoor = Indoor.from_city(TOWN, 200.0, np.random.default_rng(0))
    assert indoor.point_x_m.shape == (36, 24)
    dx, dy = (
        indoor.point_x_m - 100 * (np.arange(36) % 6 + 0.5)[:, None],
        indoor.point_y_m - 100 * (np.arange(36) // 6 + 0.5)[:, None],
    )
    assert (np.maximum(np.abs(dx), np.abs(dy)) >= 15).all()
    for sign in (-1, 1):  # all four wings
        assert (dx * sign > 15).sum() > 100
        assert (dy * sign > 15).sum() > 100


def test_an_empty_town() -> None:
    empty = Indoor.from_city(grid_town(empty=True), 200.0, np.random.default_rng(0))
    none = np.zeros(0, np.float32)
    assert len(empty.random_point(np.zeros(0, np.int32), np.random.default_rng(0))[0]) == 0
    stays, x, _, _ = empty.step(
        Stays(none, none), none, none, np.zeros(0, np.int32), np.zeros(0, bool), none, np.random.default_rng(0)
    )
    assert len(x) == len(stays.goal_x_m) == 0
