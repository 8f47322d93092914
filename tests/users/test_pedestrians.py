from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from grid_town import PITCH_M, grid_town
from hypothesis import given, settings
from hypothesis import strategies as st

from mndt.city.model import Ways
from mndt.users import pedestrians
from mndt.users.pedestrians import Footpath, Paths, Signals, Walks, weidmann_speed

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


# -- how people slow each other --------------------------------------------------------------------

EDGES, EDGE_M = 6, 50.0


def ring() -> Ways:
    """Six edges of 50 m in a circle, both ways round: rows 0-5 and 6-11."""
    node = np.arange(EDGES)
    tail, head = np.r_[node, (node + 1) % EDGES], np.r_[(node + 1) % EDGES, node]
    n = len(tail)
    return Ways(
        node_x_m=node * EDGE_M, node_y_m=0.0 * node, node_signal=np.zeros(EDGES, bool), edge_from=tail, edge_to=head,
        edge_length_m=np.full(n, EDGE_M), edge_speed_mps=np.full(n, 1.34), edge_lanes=np.ones(n, int),
        edge_rank=np.zeros(n, int), shape_start=np.arange(0, 2 * n + 1, 2), shape_x_m=np.tile([0.0, EDGE_M], n),
        shape_y_m=np.zeros(2 * n),
    )  # fmt: skip


def around(n: int, share_back: float, seed: int) -> Walks:
    """People at random places of the ring, on their way for many rounds."""
    rng = np.random.default_rng(seed)
    edge, offset = rng.integers(0, EDGES, n), rng.uniform(0, EDGE_M, n)
    back = np.arange(n) >= n * (1 - share_back)
    step = np.where(back, -1, 1)[:, None] * np.arange(10 * EDGES)
    edges = (edge[:, None] + step) % EDGES + EDGES * back[:, None]
    none = np.zeros(n)
    start = (np.arange(n + 1) * edges.shape[1]).astype(np.int32)
    walks = pedestrians.begin(Walks.empty(), np.arange(n), (none, none), (none, none), start, edges.ravel())
    return replace(walks, part=np.zeros(n, np.int32), offset_m=offset)


def mean_speed(walks: Walks, footpath: Footpath, seconds: int = 160) -> float:
    """Mean over the people and the second half of the time, all wanting to walk 1.34 m/s."""
    paths = Paths.from_ways(ring())
    desired = np.full(len(walks), 1.34, np.float32)
    speed, seen = desired, []
    for k in range(seconds):
        walks, speed, done = pedestrians.step(
            paths, walks, desired, ALWAYS_GREEN, k, footpath=footpath, speed_mps=speed
        )
        assert not done.any()
        seen.append(float(speed.mean()))
    return float(np.mean(seen[seconds // 2 :]))


@pytest.mark.parametrize(
    ("per_m2", "share_back"),
    [(0.1, 0.5), (0.5, 0.0), (0.5, 0.5), (1.0, 0.0), (1.0, 0.5), (1.5, 0.5), (2.0, 0.0), (3.0, 0.0), (4.0, 0.0)],
)
def test_people_on_a_ring_walk_as_weidmann_s_diagram_says(per_m2: float, share_back: float) -> None:
    footpath = Footpath("density", width_m=2.0)
    n = round(per_m2 * EDGES * EDGE_M * footpath.width_m)
    expected = float(weidmann_speed(np.array(per_m2)))
    # in dense crowds waves arise, in which most people are where it is densest
    tolerance = 0.02 if per_m2 <= 1.0 else 0.08
    assert mean_speed(around(n, share_back, 1), footpath) == pytest.approx(expected, rel=tolerance)


def test_weidmann_s_diagram_at_published_points() -> None:
    """Free speed, capacity of 1.22 persons per second and metre near 1.75 per m2, and standstill."""
    density = np.linspace(0.01, 5.4, 2000)
    flow = density * weidmann_speed(density)
    assert flow.max() == pytest.approx(1.22, abs=0.01)
    assert density[flow.argmax()] == pytest.approx(1.75, abs=0.03)
    assert weidmann_speed(np.array([0.0, 5.4, 9.0])) == pytest.approx([1.34, 0.0, 0.0])


@pytest.mark.parametrize("per_m", [0.3, 0.8, 1.0, 1.5])
def test_single_file_follows_krauss_and_comes_near_the_measured_diagram(per_m: float) -> None:
    """Each strip holds k persons a metre: the law gives v = min(v0, 1/k - 0.465), measured is (1/k - 0.36) / 1.06."""
    footpath = Footpath("krauss", width_m=2.0)
    assert footpath.strips == 2
    n = round(per_m * EDGES * EDGE_M * footpath.strips)
    speed = mean_speed(around(n, 0.0, 2), footpath)
    assert speed == pytest.approx(min(1.34, 1 / per_m - 0.465), abs=0.01)
    assert speed == pytest.approx(min(1.34, (1 / per_m - 0.36) / 1.06), abs=0.1)


def test_nobody_in_single_file_passes_another() -> None:
    paths, footpath = Paths.from_ways(ring()), Footpath("krauss", width_m=1.0)
    walks = around(120, 0.0, 3)
    walks = replace(walks, offset_m=np.linspace(0, EDGE_M, 20, endpoint=False)[np.arange(120) % 20])
    walks = replace(walks, first=walks.first + (np.arange(120) // 20 - walks.edges[walks.first]) % EDGES)
    desired = np.random.default_rng(4).uniform(0.8, 1.8, 120).astype(np.float32)
    speed = desired

    def place(w: Walks) -> np.ndarray:
        return np.asarray(((w.first - np.arange(120) * 60) + w.part) * EDGE_M + w.offset_m)

    turn = np.argsort(place(walks) % (EDGES * EDGE_M))
    for k in range(200):
        walks, speed, _ = pedestrians.step(paths, walks, desired, ALWAYS_GREEN, k, footpath=footpath, speed_mps=speed)
        at = (place(walks) + walks.edges[np.arange(120) * 60] * EDGE_M)[turn]
        gap = np.diff(np.append(at, at[0] + EDGES * EDGE_M)) % (EDGES * EDGE_M)
        assert gap.min() > 0.2  # bodies of 0.215 m never overlap by more than rounding


def test_both_directions_of_a_path_share_its_crowd() -> None:
    paths = Paths.from_ways(ring())
    crowd = replace(around(40, 0.0, 0), offset_m=np.full(40, 20.0), first=np.zeros(40, np.int32))  # all on one spot
    lone = replace(around(1, 1.0, 0), offset_m=np.array([EDGE_M - 22.0]))  # coming towards them
    lone = replace(lone, edges=np.roll(lone.edges, -int(np.flatnonzero(lone.edges == EDGES + crowd.edges[0])[0])))
    both = pedestrians.begin(
        crowd, np.array([99]), (np.zeros(1), np.zeros(1)), (np.zeros(1), np.zeros(1)), np.array([0, 60]), lone.edges
    )
    both = replace(both, part=np.zeros(41, np.int32), offset_m=np.append(crowd.offset_m, lone.offset_m))
    desired = np.full(41, 1.34, np.float32)
    for model, slowed in (("density", True), ("free", False)):
        _, speed, _ = pedestrians.step(paths, both, desired, ALWAYS_GREEN, 0, footpath=Footpath(model, 2.0))
        assert (speed[40] < 1.1) == slowed


def test_a_jam_dissolves_from_its_edge() -> None:
    paths = Paths.from_ways(ring())
    n, desired = 200, np.full(200, 1.34, np.float32)
    walks = replace(around(n, 0.0, 0), offset_m=np.linspace(20.0, 30.0, n), first=np.zeros(n, np.int32))  # 10 per m2
    _, speed, _ = pedestrians.step(paths, walks, desired, ALWAYS_GREEN, 0, footpath=Footpath("density", 2.0))
    assert np.median(speed) < 0.15
    for k in range(400):
        walks, speed, _ = pedestrians.step(paths, walks, desired, ALWAYS_GREEN, k, footpath=Footpath("density", 2.0))
    assert np.median(speed) > 0.8


@pytest.mark.parametrize("model", ["density", "krauss"])
def test_five_thousand_walkers_take_milliseconds(model: str) -> None:
    from time import process_time

    paths, walks = Paths.from_ways(ring()), around(5000, 0.5, 5)
    desired = np.full(5000, 1.34, np.float32)
    times = []
    for k in range(10):
        begin = process_time()
        pedestrians.step(paths, walks, desired, ALWAYS_GREEN, k, footpath=Footpath(model, 20.0), speed_mps=desired)
        times.append(process_time() - begin)
    assert min(times) < 0.006  # 0.6 and 1.5 ms alone on the machine
