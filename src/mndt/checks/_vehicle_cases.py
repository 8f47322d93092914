"""Vehicles that drive for as long as anybody looks, the same ones in our engine and in a peer."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np
from jaxtyping import Float64

if TYPE_CHECKING:
    from mndt.checks._vehicle_watch import Watch
    from mndt.users.driving.lane_map import LaneMap
    from mndt.users.driving.vehicles import VehicleMemory

Array = np.ndarray

SPACING_M: Final = 15.0  # between vehicles that start on one edge
EDGES: Final = 90  # of a walk on the grid: nobody arrives within five cycles of 90 s at 50 km/h


@dataclass(frozen=True)
class Fleet:
    """Vehicles on the road, standing."""

    routes: tuple[tuple[str, ...], ...]  # names of edges
    position_m: Float64[Array, "vehicles"]  # on the first edge
    speed_factor: Float64[Array, "vehicles"]  # times the limit: what the driver likes
    sigma: float


def walkers(lanes: LaneMap, n: int, seed: int, sigma: float = 0.5) -> Fleet:
    """Random walks without turning round: the count of vehicles stays what it is.

    Args:
        lanes: a network whose edges all lead on.
        n: vehicles, spread evenly over all edges.
        seed: draws edges, turns, places and speed factors, N(1, 0.1) cut off at 0.2 and 2 as SUMO's cars'.
        sigma: the drivers' imperfection.
    """
    rng = np.random.default_rng(seed)
    onward: list[list[int]] = [[] for _ in range(lanes.n_roads)]
    for link in np.flatnonzero(~lanes.lane_internal[lanes.link_from] & (lanes.link_dir != ord("t"))).tolist():
        onward[lanes.lane_edge[lanes.link_from[link]]].append(int(lanes.lane_edge[lanes.link_to[link]]))
    order = rng.permutation([edge for edge in range(lanes.n_roads) if onward[edge]])
    routes, position_m = [], np.empty(n)
    for i in range(n):
        route = [int(order[i % len(order)])]
        rank, length_m = i // len(order), lanes.lane_length_m[lanes.edge_lane[route[0]]]
        position_m[i] = length_m - 5.0 - rank * SPACING_M - rng.uniform(0.0, 5.0)
        while len(route) < EDGES:
            route.append(int(rng.choice(onward[route[-1]])))
        routes.append(tuple(lanes.edge_name[edge] for edge in route))
    factor = np.clip(rng.normal(1.0, 0.1, n), 0.2, 2.0)
    return Fleet(tuple(routes), np.round(position_m, 2), np.round(factor, 6), sigma)


def rings(n_rings: int, per_ring: int, arcs: int = 8, arc_m: float = 125.0, seed: int = 0, laps: int = 20) -> Fleet:
    """Rings of `mndt.checks.peer_sumo.ring_net`, vehicles almost evenly on them; nobody dawdles."""
    rng = np.random.default_rng(seed)
    routes, position_m = [], []
    for ring in range(n_rings):
        for i in range(per_ring):
            along_m = arcs * arc_m / per_ring * i + float(rng.uniform(0.0, 3.0))
            arc = int(along_m // arc_m)
            routes.append(tuple(f"r{ring}_{(arc + k) % arcs}" for k in range(laps * arcs)))
            position_m.append(max(along_m - arc * arc_m, 5.5) if i == 0 else along_m - arc * arc_m)
    n = len(routes)
    return Fleet(tuple(routes), np.round(position_m, 2), np.ones(n), 0.0)


def on_the_road(lanes: LaneMap, fleet: Fleet) -> VehicleMemory:
    """The fleet in our engine."""
    from mndt.users.driving.vehicles import KINDS, VehicleMemory, request
    from mndt.users.routes import Routes

    kinds, row = KINDS[:1].copy(), {name: k for k, name in enumerate(lanes.edge_name)}
    kinds[0, 5] = fleet.sigma
    n, rows = len(fleet.routes), np.arange(len(fleet.routes), dtype=np.int32)
    start = np.cumsum([0] + [len(route) for route in fleet.routes]).astype(np.int32)
    edges = np.array([row[name] for route in fleet.routes for name in route], np.int32)
    memory = VehicleMemory.empty(lanes, n, kinds)
    memory = request(memory, rows, Routes(start, edges, np.ones(n)), np.zeros(n, np.int8))
    vehicle = memory.vehicle
    vehicle["lane"], vehicle["position_m"] = lanes.edge_lane[edges[start[:-1]]], fleet.position_m
    vehicle["speed_factor"] = fleet.speed_factor
    active = rows[np.lexsort((-fleet.position_m, vehicle["lane"]))]
    return replace(memory, active=active, queue=np.zeros(0, np.int32))


@dataclass(frozen=True)
class Drive:
    """What came of it."""

    memory: VehicleMemory
    speed_mps: Float64[Array, "steps"]  # mean of everybody on the road
    seconds: float  # of processor time in `advance`


def drive(lanes: LaneMap, fleet: Fleet, steps: int, seed: int, watch: Watch | None = None) -> Drive:
    """Let our engine drive a fleet, from second 1 on: second 0 is when a peer puts it on the road."""
    from mndt.users.driving.vehicles import advance

    memory = on_the_road(lanes, fleet)
    advance(lanes, memory, 1.0, np.uint32(0), aside_s=np.inf)  # compiles
    key, speed_mps, seconds = np.random.default_rng(seed).integers(0, 2**32, steps + 1, np.uint32), [], 0.0
    if watch is not None:
        watch.look(memory, 0)
    for second in range(1, steps + 1):
        began = time.process_time()
        memory, _ = advance(lanes, memory, float(second), key[second], aside_s=np.inf)
        seconds += time.process_time() - began
        speed_mps.append(float(memory.speed_mps[memory.active].mean()))
        if watch is not None:
            watch.look(memory, second)
    return Drive(memory, np.array(speed_mps), seconds)
