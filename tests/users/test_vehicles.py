"""Vehicles behind their front: nobody overlaps or runs red lights, queues, places, memory."""

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from road_grid import grid_ways

from mndt.checks._vehicle_watch import Watch
from mndt.formats.sumo_net import read_net
from mndt.users.driving.vehicles import KINDS, LaneMap, VehicleMemory, advance, locate, place, request, stuck
from mndt.users.routes import RouteGraph, Routes, find_routes

CAR, BICYCLE = 0, 1
ROADS = grid_ways(6, signal_every=2, lanes=(1,))
LANES = LaneMap.from_ways(ROADS)


def random_routes(n: int, seed: int) -> Routes:
    ends = np.random.default_rng(seed).integers(0, ROADS.n_nodes, (2, n)).astype(np.int32)
    return find_routes(RouteGraph.from_ways(ROADS), *ends)


def routes_of(edges: list[list[int]]) -> Routes:
    ends = np.cumsum([0] + [len(e) for e in edges]).astype(np.int32)
    return Routes(ends, np.concatenate([*edges, []]).astype(np.int32), np.ones(len(edges)))


def asking(n: int, seed: int) -> VehicleMemory:
    kind = (np.arange(n) % 5 == 0).astype(np.int8)
    return request(VehicleMemory.empty(LANES, n), np.arange(n), random_routes(n, seed), kind)


def drive(memory: VehicleMemory, steps: int, seed: int, watch: Watch | None = None) -> tuple[VehicleMemory, set[int]]:
    arrived: set[int] = set()
    for second in range(steps):
        memory, there = advance(LANES, memory, second, np.uint32(1000 * seed + second))
        arrived |= set(there.tolist())
        if watch is not None:
            watch.look(memory, second)
    return memory, arrived


def check_nobody_overlaps_or_runs_red(seed: int, steps: int) -> None:
    watch = Watch(LANES)
    _, arrived = drive(asking(250, seed), steps, seed, watch)
    assert watch.overlaps == 0
    assert watch.red_crossings == 0
    assert len(arrived) > 0.5 * 250


@pytest.mark.parametrize("seed", [0, 1])
def test_nobody_overlaps_or_crosses_on_red(seed: int) -> None:
    check_nobody_overlaps_or_runs_red(seed, 300)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 22))
def test_nobody_overlaps_or_crosses_on_red_in_an_hour(seed: int) -> None:
    check_nobody_overlaps_or_runs_red(seed, 3600)


def test_everyone_arrives_and_a_route_without_edges_arrives_at_once() -> None:
    memory = asking(60, 3)
    empty = np.flatnonzero(np.diff(random_routes(60, 3).start) == 0)
    _, first = advance(LANES, memory, 0, np.uint32(0))
    assert set(empty.tolist()) <= set(first.tolist())
    memory, arrived = drive(memory, 900, 3)
    assert arrived == set(range(60))
    assert not len(memory.active)
    assert not len(memory.queue)


def test_first_come_first_served_on_an_edge() -> None:
    edge = int(random_routes(1, 5).edges[0])
    memory = request(
        VehicleMemory.empty(LANES, 5), np.array([3, 1, 4, 0, 2]), routes_of([[edge]] * 5), np.zeros(5, np.int8)
    )
    order: list[int] = []
    for second in range(120):
        memory, _ = advance(LANES, memory, second, np.uint32(second))
        order += [row for row in memory.active.tolist() if row not in order]
    assert order == [3, 1, 4, 0, 2]


def test_same_key_same_bytes_and_memory_is_all_there_is() -> None:
    memory, _ = drive(asking(120, 7), 60, 7)
    copied = replace(memory, **{f.name: np.array(getattr(memory, f.name)) for f in fields(memory)})
    a, _ = drive(memory, 30, 8)
    b, _ = drive(copied, 30, 8)
    for field in fields(a):
        assert getattr(a, field.name).tobytes() == getattr(b, field.name).tobytes(), field.name


def test_those_under_way_are_placed_without_overlap_and_stand_on_lanes() -> None:
    routes = random_routes(150, 9)
    n = len(routes)
    memory = place(LANES, VehicleMemory.empty(LANES, n), np.arange(n), routes, np.linspace(0.0, 1.0, n))
    watch = Watch(LANES)
    watch.look(memory, 0)
    assert watch.overlaps == 0
    assert len(memory.active) > 0.8 * (np.diff(routes.start) > 0).sum()
    x, y, speed = locate(LANES, memory)
    on = memory.lane >= 0
    assert np.isfinite(x[on]).all()
    assert np.isnan(x[~on]).all()
    assert (speed[on] >= 0.0).all()
    points = LANES.shape[:2]
    for row in memory.active[:20]:
        lane = memory.lane[row]
        own = points[:, LANES.shape_start[lane] : LANES.shape_start[lane + 1]]
        low, high = own.min(axis=1) - 1e-3, own.max(axis=1) + 1e-3
        assert (low <= [x[row], y[row]]).all()
        assert ([x[row], y[row]] <= high).all()


def test_bicycles_keep_to_their_lane() -> None:
    memory = asking(250, 11)
    for second in range(150):
        memory, _ = advance(LANES, memory, second, np.uint32(second))
        rows = memory.active[~LANES.lane_internal[memory.lane[memory.active]]]
        classes = LANES.lane_classes[memory.lane[rows]].astype(int)
        wanted = KINDS[memory.vehicle["kind"][rows], 8].astype(int)
        assert ((classes & wanted) != 0).all()


def test_who_stands_long_is_seen_and_taken_aside() -> None:
    memory, _ = drive(asking(20, 13), 40, 13)
    vehicle = memory.vehicle.copy()
    row = memory.active[0]
    vehicle["waited_s"][row], vehicle["speed_mps"][row] = 400.0, 0.0
    memory = replace(memory, vehicle=vehicle)
    assert stuck(memory)[row]
    after, _ = advance(LANES, memory, 40, np.uint32(0), aside_s=1e-9)
    assert after.n_aside[0] >= 0
    never, _ = advance(LANES, memory, 40, np.uint32(0), aside_s=np.inf)
    assert never.n_aside[0] == 0


def ring(folder: Path, arcs: int = 6, arc_m: float = 120.0) -> LaneMap:
    """A closed ring of one lane without junctions, as SUMO writes it."""
    edges = "".join(
        f'<edge id="e{k}" from="n{k}" to="n{(k + 1) % arcs}" priority="-1"><lane id="e{k}_0" index="0" speed="13.89"'
        f' length="{arc_m}" shape="{100 * k},0 {100 * k + 100},0"/></edge>'
        for k in range(arcs)
    )
    nodes = "".join(
        f'<junction id="n{k}" type="priority" x="{100 * k}" y="0" incLanes="e{(k - 1) % arcs}_0" intLanes="" shape="">'
        f'<request index="0" response="0" foes="0" cont="0"/></junction>'
        for k in range(arcs)
    )
    links = "".join(
        f'<connection from="e{k}" to="e{(k + 1) % arcs}" fromLane="0" toLane="0" dir="s" state="M"/>'
        for k in range(arcs)
    )
    (folder / "ring.net.xml").write_text(f'<net version="1.20">{edges}{nodes}{links}</net>', encoding="utf-8")
    return LaneMap.from_sumo(read_net(folder / "ring.net.xml"))


@pytest.mark.parametrize("waiting", [0, 40])
def test_lanes_that_need_no_thought_change_no_trajectory(tmp_path: Path, waiting: int) -> None:
    lanes = ring(tmp_path)
    assert lanes.road.lane["plain"].all()
    n, rng = 60, np.random.default_rng(7)
    routes = routes_of([[(k + j) % 6 for j in range(40)] for k in rng.integers(0, 6, n).tolist()])
    ways_m, n_lines = [], []
    for plain in (1, 0):
        lanes.road.lane["plain"] = plain
        rows = np.arange(n, dtype=np.int32)
        memory = request(VehicleMemory.empty(lanes, n), rows, routes, np.zeros(n, np.int8))
        first = rows[waiting:]
        parts = [np.arange(routes.start[k], routes.start[k + 1]) for k in first]
        theirs = routes_of([routes.edges[part].tolist() for part in parts])
        memory = place(lanes, memory, first, theirs, np.linspace(0.0, 0.2, len(first)))
        count = 0
        for second in range(300):
            memory, _ = advance(lanes, memory, second, np.uint32(second))
            count += len(memory.lines)
        ways_m.append(memory.odometer_m.copy())
        n_lines.append(count)
    assert n_lines[0] < n_lines[1]
    assert np.array_equal(ways_m[0], ways_m[1])
