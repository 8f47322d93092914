"""Vehicles at junctions: no overlap, no red run, right of way, queues, places on the map."""

from dataclasses import replace

import numpy as np
import pytest
from road_grid import grid_ways

from mndt.city.model import Ways
from mndt.users._junctions import STOP_GAP_M
from mndt.users.lanes import CLEARING_RANK, CYCLE_S, Lanes
from mndt.users.routes import RouteGraph, Routes, find_routes
from mndt.users.vehicles import KINDS, VehicleMemory, advance, locate, place, request, stuck

CAR, BICYCLE = 0, 1
STEADY = np.where(np.arange(9) == 5, 0.0, KINDS)  # nobody dawdles


def roads(
    xy: list[tuple[float, float]],
    edges: list[tuple[int, int]],
    *,
    rank: list[int] | None = None,
    lanes: int = 1,
    signal: tuple[int, ...] = (),
    limit_mps: float = 13.89,
) -> Ways:
    x, y = np.array(xy, float).T
    tail, head = np.array(edges).T
    shape = np.column_stack([tail, head]).ravel()
    return Ways(
        node_x_m=x,
        node_y_m=y,
        node_signal=np.isin(np.arange(len(x)), signal),
        edge_from=tail,
        edge_to=head,
        edge_length_m=np.hypot(x[tail] - x[head], y[tail] - y[head]),
        edge_speed_mps=np.full(len(tail), limit_mps),
        edge_lanes=np.full(len(tail), lanes),
        edge_rank=np.array(rank if rank else [0] * len(tail)),
        shape_start=np.arange(0, 2 * len(tail) + 1, 2),
        shape_x_m=x[shape],
        shape_y_m=y[shape],
    )


def routes_of(edges: list[list[int]]) -> Routes:
    ends = np.cumsum([0] + [len(e) for e in edges]).astype(np.int32)
    return Routes(ends, np.concatenate([*edges, []]).astype(np.int32), np.ones(len(edges)))


def asked(lanes: Lanes, edges: list[list[int]], kinds: np.ndarray = STEADY, kind: int = CAR) -> VehicleMemory:
    """Everybody asks to drive off at once; all drivers keep to the limit exactly."""
    n = len(edges)
    memory = VehicleMemory.empty(lanes, n, kinds)
    memory.vehicle["speed_factor"] = 1.0
    return request(memory, np.arange(n), routes_of(edges), np.full(n, kind, np.int8))


def shows_red(lanes: Lanes, edge: np.ndarray, time_s: float) -> np.ndarray:
    cycle = np.maximum(lanes.signal_cycle_s[edge], 1e-9)
    since_green = (time_s - lanes.signal_from_s[edge]) % cycle
    return (lanes.signal_cycle_s[edge] > 0) & (since_green >= (lanes.signal_green_s + lanes.signal_yellow_s)[edge])


def check_second(lanes: Lanes, before: VehicleMemory, after: VehicleMemory, time_s: float) -> None:
    """Nobody overlaps, in a lane or across a line; nobody crossed a red light; nobody braked like no car can."""
    rows, length = after.active, after.kinds[after.vehicle["kind"], 0]
    lane, front = after.lane, after.position_m
    same = lane[rows[1:]] == lane[rows[:-1]]
    gap = front[rows[:-1]] - length[rows[:-1]] - front[rows[1:]]
    assert gap[same].min(initial=9.0) > 0.0
    assert (front[rows] <= lanes.lane_length_m[lane[rows]] + 1e-9).all()
    first = rows[np.r_[len(rows) > 0, ~same][: len(rows)]]
    last = np.full(lanes.n_lanes, -1)
    last[lane[rows]] = rows  # rows of a lane stand in order: the last one stays
    crossing = first[after.vehicle["promised"][first] > 0]
    behind = last[after.next_lane[crossing, 0]]
    crossing, behind = crossing[behind >= 0], behind[behind >= 0]
    across = lanes.lane_length_m[lane[crossing]] - front[crossing] + front[behind] - length[behind]
    assert across.min(initial=9.0) > 0.0
    both = np.intersect1d(before.active, rows)
    moved_on = both[after.vehicle["cursor"][both] > before.vehicle["cursor"][both]]
    assert not shows_red(lanes, lanes.lane_edge[before.lane[moved_on]], time_s + 1).any()
    braking = before.speed_mps[both] - after.speed_mps[both]
    assert (braking <= after.kinds[after.vehicle["kind"][both], 4] + 1e-9).all()


@pytest.mark.parametrize(
    ("seed", "signal_every", "one_way", "bicycles", "spacing_m"),
    [(0, 2, 0.0, 0.0, 95.0), (1, 2, 0.3, 0.2, 95.0), (2, 0, 0.0, 0.2, 60.0), (3, 3, 0.0, 0.0, 30.0)],
)
def test_a_busy_grid_is_safe_and_empties(
    seed: int, signal_every: int, one_way: float, bicycles: float, spacing_m: float
) -> None:
    ways = grid_ways(
        9, jitter_m=spacing_m / 8, seed=seed, signal_every=signal_every, one_way_share=one_way, spacing_m=spacing_m
    )
    lanes, rng, n = Lanes.from_ways(ways), np.random.default_rng(seed), 400
    source, target = rng.integers(0, ways.n_nodes, (2, 3 * n))
    routes = find_routes(RouteGraph.from_ways(ways), source, target)
    kept = np.flatnonzero(np.isfinite(routes.cost) & (source != target))[:n]
    edges = [routes.edges[routes.start[r] : routes.start[r + 1]].tolist() for r in kept]
    kind = (rng.random(n) < bicycles).astype(np.int8)
    under_way, later = np.arange(0, n, 2), np.arange(1, n, 2)
    memory = request(VehicleMemory.empty(lanes, n), under_way, routes_of(edges[::2]), kind[::2])
    memory = place(lanes, memory, under_way, routes_of(edges[::2]), rng.random(len(under_way)))
    check_second(lanes, memory, memory, -1.0)
    departure, n_arrived, worst_s = rng.integers(0, 120, n), 0, 0.0
    for time_s in range(1500):
        due = later[departure[later] == time_s]
        if len(due):
            memory = request(memory, due, routes_of([edges[i] for i in due]), kind[due])
        before = memory
        memory, arrived = advance(lanes, memory, time_s, np.uint32(time_s + 10_000 * seed))
        check_second(lanes, before, memory, time_s)
        n_arrived += len(arrived)
        worst_s = max(worst_s, float(memory.waited_s[memory.active].max(initial=0.0)))
        assert memory.n_aside[0] == 0
        if n_arrived == n:
            break
    assert n_arrived == n
    assert len(memory.active) == len(memory.queue) == 0
    assert worst_s < 200.0


def test_two_streams_merge_without_overlap_and_share_the_lane() -> None:
    lanes = Lanes.from_ways(roads([(-400, 60), (-400, -60), (0, 0), (600, 0)], [(0, 2), (1, 2), (2, 3)]))
    memory, passed = asked(lanes, [[0, 2], [1, 2]] * 30, KINDS), []
    for time_s in range(400):
        before = memory
        memory, _ = advance(lanes, memory, time_s, np.uint32(time_s))
        check_second(lanes, before, memory, time_s)
        on_last = np.flatnonzero((memory.lane == lanes.edge_lane[2]) & (before.lane != memory.lane))
        passed.extend((on_last % 2).tolist())
    assert len(passed) == 60
    first_half = np.bincount(passed[:40], minlength=2)
    assert first_half.min() > 10  # neither street starves
    assert memory.odometer_m.min() > 900


def test_the_minor_road_yields_and_patience_ends_a_steady_stream() -> None:
    # a main road from west to east, a side road from the south that goes on to the north
    cross = roads(
        [(-900, 0), (0, 0), (900, 0), (0, -200), (0, 200)], [(0, 1), (1, 2), (3, 1), (1, 4)], rank=[0, 0, 3, 3]
    )
    lanes = Lanes.from_ways(cross)
    memory = asked(lanes, [[0, 1]] * 120 + [[2, 3]])
    side, free = 120, asked(lanes, [[2, 3]])
    crossed_s = free_s = 0
    for time_s in range(400):
        memory, _ = advance(lanes, memory, time_s, np.uint32(time_s))
        free, _ = advance(lanes, free, time_s, np.uint32(time_s))
        crossed_s += memory.lane[side] in (-1, lanes.edge_lane[2])
        free_s += free.lane[0] in (-1, lanes.edge_lane[2])
        if memory.lane[side] == lanes.edge_lane[3]:
            break
        if 30 < time_s < 60:  # the stream is dense, the side road's driver stands at the line
            assert memory.lane[side] in (-1, lanes.edge_lane[2])
    assert memory.lane[side] == lanes.edge_lane[3]
    stream_left = int((memory.lane == lanes.edge_lane[0]).sum()) + len(memory.queue)
    assert stream_left > 20  # it went before the stream had ended


def test_a_red_exit_fills_the_street_and_nobody_enters_a_full_one() -> None:
    line = roads([(-300, 0), (0, 0), (40, 0), (400, 0), (0, 300)], [(0, 1), (1, 2), (2, 3), (4, 1)])
    lanes = Lanes.from_ways(line)
    red = np.array([0.0, 1.0, 0.0, 0.0])
    lanes = replace(lanes, signal_cycle_s=red, signal_green_s=0 * red, signal_yellow_s=0 * red)
    memory = asked(lanes, [[0, 1, 2]] * 15 + [[3, 1, 2]] * 5)
    for time_s in range(300):
        before = memory
        memory, _ = advance(lanes, memory, time_s, np.uint32(time_s))
        check_second(lanes, before, memory, time_s)
    inside = memory.position_m[memory.lane == lanes.edge_lane[1]]
    assert len(inside) == 5  # 40 m hold five cars of 7.5 m
    assert inside.min() >= KINDS[CAR, 0]  # the last one does not stand on the junction
    assert memory.waited_s.max() > 200
    assert (stuck(memory, 200.0)[memory.lane == lanes.edge_lane[0]]).sum() == 1


def test_a_locked_ring_of_streets_opens_again() -> None:
    # four short one-way streets in a ring, full, and everybody wants to go on by two streets and out
    square = [(0, 0), (16, 0), (16, 16), (0, 16)]
    outside = [(0, -300), (316, 0), (16, 316), (-300, 16)]
    ring = [(0, 1), (1, 2), (2, 3), (3, 0)]
    ways = roads(square + outside, ring + [(k, k + 4) for k in range(4)] + [(k + 4, k) for k in range(4)])
    lanes = Lanes.from_ways(ways)
    edges = [[k, (k + 1) % 4, (k + 2) % 4, 4 + (k + 3) % 4] for k in range(4) for _ in range(2)]
    memory = VehicleMemory.empty(lanes, 8, STEADY)
    for name, values in {
        "lane": lanes.edge_lane[np.repeat(np.arange(4), 2)], "position_m": np.tile([15.0, 7.5], 4),
        "route_start": 4 * np.arange(8), "cursor": 4 * np.arange(8), "route_end": 4 * np.arange(1, 9),
    }.items():  # fmt: skip
        memory.vehicle[name] = values
    order = np.lexsort((-memory.position_m, memory.lane)).astype(np.int32)
    memory = replace(memory, active=order, route_edge=np.concatenate(edges).astype(np.int32))
    n_arrived, longest_s = 0, 0.0
    for time_s in range(2500):
        before = memory
        memory, arrived = advance(lanes, memory, time_s, np.uint32(time_s))
        check_second(lanes, before, memory, time_s)
        n_arrived += len(arrived)
        longest_s = max(longest_s, float(memory.waited_s.max()))
        if time_s == 250:
            assert stuck(memory, 200.0).sum() == 4
            assert n_arrived == 0
    assert n_arrived == 8
    assert memory.n_aside[0] >= 4
    assert longest_s == 299.0


def test_waiting_vehicles_drive_off_in_order_and_only_into_gaps() -> None:
    lanes = Lanes.from_ways(roads([(0, 0), (500, 0)], [(0, 1)]))
    memory, started = asked(lanes, [[0]] * 12), []
    for time_s in range(60):
        before = memory
        memory, _ = advance(lanes, memory, time_s, np.uint32(0))
        check_second(lanes, before, memory, time_s)
        started.extend(np.setdiff1d(memory.active, before.active).tolist())
    assert started == list(range(12))


def test_a_route_without_edges_arrives_at_once() -> None:
    lanes = Lanes.from_ways(roads([(0, 0), (500, 0)], [(0, 1)]))
    memory, arrived = advance(lanes, asked(lanes, [[], [0]]), 0, np.uint32(0))
    assert arrived.tolist() == [0]
    assert memory.active.tolist() == [1]


def test_bicycles_do_not_hold_up_cars() -> None:
    lanes = Lanes.from_ways(roads([(0, 0), (1000, 0), (2000, 0)], [(0, 1), (1, 2)]))
    kinds = STEADY
    memory = VehicleMemory.empty(lanes, 2, kinds)
    memory.vehicle["speed_factor"] = 1.0
    memory = request(memory, np.array([0, 1]), routes_of([[0, 1]] * 2), np.array([BICYCLE, CAR], np.int8))
    for time_s in range(60):
        memory, _ = advance(lanes, memory, time_s, np.uint32(0))
    assert lanes.lane_offset_m[memory.lane[0]] > lanes.lane_offset_m[memory.lane[1]]
    assert memory.speed_mps.tolist() == pytest.approx([20 / 3.6, 13.89])


def test_dawdling_depends_on_key_and_row_only() -> None:
    lanes = Lanes.from_ways(roads([(0, 0), (2000, 0), (0, 500), (2000, 500)], [(0, 1), (2, 3)]))
    alone, crowd = asked(lanes, [[0]], KINDS), asked(lanes, [[0]] + [[1]] * 20, KINDS)
    other = alone
    for time_s in range(60):
        alone, _ = advance(lanes, alone, time_s, np.uint32(time_s))
        crowd, _ = advance(lanes, crowd, time_s, np.uint32(time_s))
        other, _ = advance(lanes, other, time_s, np.uint32(time_s + 1000))
    assert alone.position_m[0] == crowd.position_m[0]
    assert alone.position_m[0] != other.position_m[0]
    share = np.diff(np.sort(crowd.position_m[1:])).mean()
    assert share > 7.5


def test_a_step_changes_nothing_it_was_given() -> None:
    lanes = Lanes.from_ways(roads([(0, 0), (300, 0), (600, 0)], [(0, 1), (1, 2)]))
    memory = asked(lanes, [[0, 1]] * 5, KINDS)
    for time_s in range(20):
        memory, _ = advance(lanes, memory, time_s, np.uint32(0))
    kept = [getattr(memory, name).copy() for name in ("vehicle", "next_lane", "active", "queue")]
    one, _ = advance(lanes, memory, 20, np.uint32(7))
    two, _ = advance(lanes, memory, 20, np.uint32(7))
    for name, value in zip(("vehicle", "next_lane", "active", "queue"), kept, strict=True):
        np.testing.assert_array_equal(getattr(memory, name), value)
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))
    assert (one.position_m != memory.position_m).any()


def test_places_on_the_map_lie_to_the_right_of_the_middle() -> None:
    bent = roads([(0, 0), (100, 100)], [(0, 1), (1, 0)])
    bent = replace(  # east, then north; and back
        bent,
        edge_length_m=np.array([200.0, 200.0]),
        shape_start=np.array([0, 3, 6]),
        shape_x_m=np.array([0.0, 100, 100, 100, 100, 0]),
        shape_y_m=np.array([0.0, 0, 100, 100, 0, 0]),
    )
    lanes = Lanes.from_ways(bent)
    memory = VehicleMemory.empty(lanes, 4, STEADY)
    memory = place(lanes, memory, np.array([0, 1, 3]), routes_of([[0], [0], [1]]), np.array([0.25, 0.75, 0.75]))
    x, y, speed = locate(lanes, memory)
    np.testing.assert_allclose(x, [50, 101.6, np.nan, 50], rtol=1e-6)
    np.testing.assert_allclose(y, [-1.6, 50, np.nan, 1.6], rtol=1e-6)
    assert speed[[0, 1, 3]].min() > 5
    assert speed[2] == 0


def test_under_way_vehicles_never_overlap_and_the_rest_waits() -> None:
    lanes = Lanes.from_ways(roads([(0, 0), (60, 0)], [(0, 1)]))
    memory = place(lanes, VehicleMemory.empty(lanes, 20), np.arange(20), routes_of([[0]] * 20), np.full(20, 0.1))
    check_second(lanes, memory, memory, 0.0)
    assert 4 <= len(memory.active) <= 8
    assert len(memory.active) + len(memory.queue) == 20
    assert memory.position_m[memory.active].max() <= 60 - STOP_GAP_M


def test_old_routes_are_forgotten() -> None:
    lanes = Lanes.from_ways(roads([(0, 0), (30, 0), (60, 0), (0, 50), (9000, 50)], [(0, 1), (1, 2), (3, 4)]))
    memory = VehicleMemory.empty(lanes, 2, STEADY)
    memory = request(memory, np.array([1]), routes_of([[2]]), np.zeros(1, np.int8))
    for time_s in range(400):
        if memory.lane[0] < 0 and len(memory.queue) == 0:
            memory = request(memory, np.array([0]), routes_of([[0, 1] + [1] * 200]), np.zeros(1, np.int8))
            memory.vehicle["route_end"][0] = memory.vehicle["route_start"][0] + 2
        memory, _ = advance(lanes, memory, time_s, np.uint32(0))
        assert len(memory.route_edge) < 3000
    assert memory.odometer_m[1] == pytest.approx(memory.position_m[1] - KINDS[CAR, 0])
    assert memory.odometer_m[1] > 4000


def test_lights_have_two_phases_that_never_meet() -> None:
    ways = grid_ways(5, jitter_m=10.0, seed=4, signal_every=2)
    lanes = Lanes.from_ways(ways)
    for node in np.flatnonzero(ways.node_signal):
        edges = np.flatnonzero(ways.edge_to == node)
        green = np.array([
            (t - lanes.signal_from_s[edges]) % CYCLE_S < lanes.signal_green_s[edges] + lanes.signal_yellow_s[edges]
            for t in range(CYCLE_S)
        ])  # fmt: skip
        across = np.abs(np.cos(lanes.enter_rad[edges][:, None] - lanes.enter_rad[edges])) < 0.5
        for a, b in np.argwhere(across):
            assert not (green[:, a] & green[:, b]).any()
        assert green.any(axis=0).all()


def test_lights_close_together_are_one_crossing() -> None:
    # a dual carriageway: two junctions 20 m apart, both with lights
    ways = roads(
        [(0, 0), (20, 0), (-200, 0), (220, 0), (0, 200), (20, -200)],
        [(2, 0), (0, 1), (1, 3), (4, 0), (5, 1)],
        signal=(0, 1),
    )
    lanes = Lanes.from_ways(ways)
    assert lanes.edge_rank.tolist() == [0, CLEARING_RANK, 0, 0, 0]
    assert (lanes.signal_cycle_s > 0).tolist() == [True, False, False, True, True]
    assert lanes.signal_from_s[3] == lanes.signal_from_s[4]
    assert abs(lanes.signal_from_s[0] - lanes.signal_from_s[3]) == CYCLE_S / 2


def test_a_light_for_walkers_only_is_green_most_of_the_time() -> None:
    lanes = Lanes.from_ways(roads([(0, 0), (200, 0), (400, 0)], [(0, 1), (1, 2), (2, 1), (1, 0)], signal=(1,)))
    assert lanes.signal_green_s[lanes.signal_cycle_s > 0].tolist() == [45, 45]
