from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from grid_town import PITCH_M, grid_town
from hypothesis import given, settings
from hypothesis import strategies as st

from mndt.users import pedestrians
from mndt.users.pedestrians import Paths, Signals, Walks

ALWAYS_GREEN = Signals(cycle_s=1, green_s=1)


def edge_between(paths: Paths, a: int, b: int) -> int:
    return int(np.flatnonzero((paths.ways.edge_from == a) & (paths.ways.edge_to == b))[0])


def one_walk(paths: Paths, nodes: list[int], start: tuple[float, float], end: tuple[float, float]) -> Walks:
    edges = np.array([edge_between(paths, a, b) for a, b in pairwise(nodes)], np.int32)
    return pedestrians.begin(
        Walks.empty(),
        np.array([5]),
        (np.array([start[0]]), np.array([start[1]])),
        (np.array([end[0]]), np.array([end[1]])),
        np.array([0, len(edges)], np.int32),
        edges,
    )


def test_a_walk_takes_its_length_over_its_speed() -> None:
    paths = Paths.from_ways(grid_town(signals=False).footways)
    walks = one_walk(paths, [0, 1, 2], (0.0, -30.0), (200.0, 40.0))  # 30 + 100 + 100 + 40 m
    speed = np.array([1.5], np.float32)
    seconds, done = 0, np.zeros(1, bool)
    while not done.any():
        before = pedestrians.locate(paths, walks)
        walks, moved, done = pedestrians.step(paths, walks, speed, ALWAYS_GREEN, seconds)
        after = pedestrians.locate(paths, walks)
        # a corner shortens the straight distance, never lengthens it
        assert np.hypot(after[0] - before[0], after[1] - before[1])[0] <= moved[0] + 1e-6
        seconds += 1
    assert seconds == int(np.ceil(270.0 / 1.5))
    assert pedestrians.locate(paths, walks)[0][0] == pytest.approx(200.0)
    assert pedestrians.locate(paths, walks)[1][0] == pytest.approx(40.0)


def test_a_straight_leg_without_edges() -> None:
    paths = Paths.from_ways(grid_town().footways)
    walks = one_walk(paths, [], (0.0, 0.0), (3.0, 4.0))
    walks, moved, done = pedestrians.step(paths, walks, np.array([2.5], np.float32), ALWAYS_GREEN, 0)
    assert moved[0] == 2.5
    assert not done[0]
    x, y = pedestrians.locate(paths, walks)
    assert (x[0], y[0]) == (pytest.approx(1.5), pytest.approx(2.0))
    assert pedestrians.step(paths, walks, np.array([2.5], np.float32), ALWAYS_GREEN, 1)[2][0]


def test_people_wait_at_red_and_go_on_at_green() -> None:
    paths = Paths.from_ways(grid_town(signals=True).footways)
    signals = Signals(cycle_s=90, green_s=30)
    walks = one_walk(paths, [0, 1, 2], (0.0, 0.0), (200.0, 0.0))
    waited, time_s, done = [], 0, np.zeros(1, bool)
    while not done.any():
        red = bool(signals.is_red(np.array([1]), time_s)[0])
        walks, moved, done = pedestrians.step(paths, walks, np.array([2.0], np.float32), signals, time_s)
        x = pedestrians.locate(paths, walks)[0][0]
        if moved[0] == 0 and x == 100.0:
            waited.append(time_s)
            assert red
        time_s += 1
        assert time_s < 400
    assert len(waited) <= 60


@given(node=st.integers(0, 10**6), begin=st.integers(0, 86_400))
def test_green_lasts_its_share_of_every_cycle(node: int, begin: int) -> None:
    signals = Signals(cycle_s=90, green_s=30)
    red = sum(bool(signals.is_red(np.array([node]), begin + k)[0]) for k in range(90))
    assert red == 60


@settings(deadline=None, max_examples=15)
@given(share=st.floats(0, 0.998), turns=st.lists(st.sampled_from([1, 7, -1, -7]), min_size=1, max_size=12))
def test_skipping_is_linear_in_the_way(share: float, turns: list[int]) -> None:
    paths = Paths.from_ways(grid_town(signals=False).footways)
    nodes = [24]
    for turn in turns:
        step = nodes[-1] + turn
        legal = 0 <= step < 49 and (abs(turn) == 7 or step // 7 == nodes[-1] // 7)
        if legal:
            nodes.append(step)
    first, last = (np.array([paths.ways.node_x_m[n], paths.ways.node_y_m[n]]) for n in (nodes[0], nodes[-1]))
    walks = one_walk(paths, nodes, (first[0] - 10.0, first[1]), (last[0], last[1] + 20.0))
    total = 10.0 + PITCH_M * (len(nodes) - 1) + 20.0
    if len(nodes) == 1:
        total = np.hypot(10.0, 20.0)
    skipped = pedestrians.skip(paths, walks, np.array([share]))
    rest, done, steps = skipped, np.zeros(1, bool), 0
    while not done.any():
        rest, _, done = pedestrians.step(paths, rest, np.array([1.0], np.float32), ALWAYS_GREEN, steps)
        steps += 1
    assert steps == pytest.approx((1 - share) * total, abs=1.01)


def test_dropping_keeps_the_others_routes() -> None:
    paths = Paths.from_ways(grid_town(signals=False).footways)
    a, b = one_walk(paths, [0, 1, 2], (0.0, 0.0), (200.0, 0.0)), one_walk(paths, [7, 8], (0.0, 100.0), (100.0, 100.0))
    both = pedestrians.begin(
        a, np.array([6]), (b.from_x_m, b.from_y_m), (b.to_x_m, b.to_y_m), np.array([0, 1], np.int32), b.edges
    )
    kept = pedestrians.drop(both, np.array([True, False]))
    assert kept.user.tolist() == [6]
    assert kept.edges.tolist() == b.edges.tolist()
    assert kept.first.tolist() == [0]


def test_nobody_walks() -> None:
    paths = Paths.from_ways(grid_town().footways)
    walks, speed, done = pedestrians.step(paths, Walks.empty(), np.zeros(0, np.float32), ALWAYS_GREEN, 0)
    assert len(walks) == len(speed) == len(done) == 0
    assert len(pedestrians.locate(paths, walks)[0]) == 0
