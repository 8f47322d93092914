"""Vehicles on lanes: Krauss car following, stop lines, lights, queues to drive off.

The law is `_krauss`, the right to cross a stop line `_junctions`, one second of everything `_motion`.
Positions are those of the front bumper, in metres from the start of the lane. A second goes: lights
show their colour, junctions promise lines, everybody plans a speed from the old state of all, all
move, vehicles beyond their lane's end go to the next lane, waiting vehicles drive off, arrivals leave.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int8, Int32

from mndt.users._junctions import FREE, INTAKE, LOOK, REQUEST, VEHICLE, Requests, Traffic
from mndt.users._motion import find_places, second
from mndt.users._placing import Kind, Placing, Spot
from mndt.users.lanes import Lanes
from mndt.users.routes import Routes

__all__ = ["KINDS", "Lanes", "VehicleMemory", "advance", "locate", "place", "request", "stuck"]

Array = np.ndarray

# SUMO's defaults of vehicle classes "passenger" and "bicycle"; the last column: rides on bicycle lanes
KINDS: Final = np.array([
    # length m, minimum gap m, acceleration, deceleration, emergency m/s^2, sigma, tau s, top speed m/s, bicycle
    [5.0, 2.5, 2.6, 4.5, 9.0, 0.5, 1.0, 200 / 3.6, 0.0],
    [1.6, 0.5, 1.2, 3.0, 7.0, 0.5, 1.0, 20 / 3.6, 1.0],
])  # fmt: skip
"""Kinds of vehicles, a row each: 0 = car, 1 = bicycle."""

SPEED_DEVIATION: Final = 0.1
"""Standard deviation of drivers' speed factors around 1; cut off at 0.8 and 1.2."""


@dataclass(frozen=True)
class VehicleMemory:
    """All vehicles, one row per user of the population; `lane` is -1 where nobody drives."""

    lane: Int32[Array, "users"]
    position_m: Float64[Array, "users"]
    speed_mps: Float64[Array, "users"]
    odometer_m: Float64[Array, "users"]  # since the trip began
    kind: Int8[Array, "users"]  # row of `kinds`
    speed_factor: Float64[Array, "users"]  # the driver's own share of speed limits
    route_start: Int32[Array, "users"]  # rows of `route_edge`
    cursor: Int32[Array, "users"]  # the edge being driven
    route_end: Int32[Array, "users"]
    next_lane: Int32[Array, "users look"]  # lanes behind the lines that are promised
    promised: Int32[Array, "users"]  # lines ahead that may be crossed
    waited_s: Float64[Array, "users"]  # standing first at a line, not for red, or waiting to drive off
    active: Int32[Array, "driving"]  # rows on the road, lane by lane, from the first in a lane to the last
    queue: Int32[Array, "waiting"]  # rows that wait to drive off, first come first
    route_edge: Int32[Array, "total"]
    kinds: Float64[Array, "kinds 9"]

    @classmethod
    def empty(cls, lanes: Lanes, n_users: int, kinds: Float64[Array, "kinds 9"] = KINDS) -> VehicleMemory:
        """Nobody on the road."""
        ints, floats = np.zeros(n_users, np.int32), np.zeros(n_users)
        none = np.zeros(0, np.int32)
        return cls(
            lane=ints - np.int32(1),
            position_m=floats,
            speed_mps=floats,
            odometer_m=floats,
            kind=np.zeros(n_users, np.int8),
            speed_factor=_temperaments(n_users),
            route_start=ints,
            cursor=ints,
            route_end=ints,
            next_lane=np.zeros((n_users, LOOK), np.int32),
            promised=ints,
            waited_s=floats,
            active=none,
            queue=none,
            route_edge=none,
            kinds=np.array(kinds, np.float64),
        )


def _temperaments(n_users: int) -> Float64[Array, "users"]:
    """Speed factors N(1, 0.1) cut off at two deviations: a property of the person, the same in every run."""
    normal = np.random.Generator(np.random.Philox(20)).standard_normal(n_users)
    return np.asarray(1.0 + SPEED_DEVIATION * np.clip(normal, -2.0, 2.0))


def request(
    memory: VehicleMemory, rows: Int32[Array, "n"], routes: Routes, vehicle_class: Int8[Array, "n"]
) -> VehicleMemory:
    """Ask for a place at the start of the first edge of each route.

    Args:
        memory: the vehicles.
        rows: users that neither drive nor wait, each once.
        routes: their routes; one without edges arrives with the next second.
        vehicle_class: their rows of `VehicleMemory.kinds`.

    Returns:
        The memory with these users at the end of the queue. They drive off, standing, as soon as there is
        room and nobody was promised the lane; on each edge first come, first served.
    """
    rows = np.asarray(rows, np.int32)
    kind, odometer_m, waited_s = memory.kind.copy(), memory.odometer_m.copy(), memory.waited_s.copy()
    kind[rows], odometer_m[rows], waited_s[rows] = vehicle_class, 0.0, 0.0
    memory = replace(memory, kind=kind, odometer_m=odometer_m, waited_s=waited_s)
    return replace(_with_routes(memory, rows, routes), queue=np.concatenate((memory.queue, rows)))


def place(
    lanes: Lanes, memory: VehicleMemory, rows: Int32[Array, "n"], routes: Routes, progress: Float64[Array, "n"]
) -> VehicleMemory:
    """Put users on the road who are already under way when the simulation starts.

    Args:
        lanes: the roads.
        memory: the vehicles; users of `rows` may wait in its queue (after `request`, which sets their kind).
        rows: users that do not drive.
        routes: their routes.
        progress: shares of the routes' lengths that lie behind them, 0 to 1.

    Returns:
        The memory with each of them on its route at that share or at the next place where it fits between
        the others, as fast as is safe there. Who finds no place waits to drive off on the edge where he should be.
    """
    rows = np.asarray(rows, np.int32)
    memory = _with_routes(memory, rows, routes)
    lane, position, speed = memory.lane.copy(), memory.position_m.copy(), memory.speed_mps.copy()
    start, cursor, waited = memory.route_start.copy(), memory.cursor.copy(), memory.waited_s.copy()
    promised = memory.promised.copy()
    promised[rows], waited[rows] = 0, 0.0
    placing, placed = Placing(lanes), np.zeros(len(rows), bool)
    for row in memory.active.tolist():
        placing.add(int(lane[row]), Spot(float(position[row]), float(speed[row]), _kind_of(memory, row)))
    for k, row in enumerate(rows.tolist()):
        edges = memory.route_edge[start[row] : memory.route_end[row]].tolist()
        length_m = lanes.lane_length_m[lanes.edge_lane[edges]] if edges else np.zeros(0)
        along_m = float(np.clip(progress[k], 0.0, 1.0) * length_m.sum())
        found = placing.find(edges, along_m, _kind_of(memory, row))
        if found:
            edge, lane[row], spot = found
            position[row], speed[row], placed[k] = spot.position_m, spot.speed_mps, True
            placing.add(int(lane[row]), spot)
        else:
            edge = min(int(np.searchsorted(np.cumsum(length_m), along_m, "right")), max(len(edges) - 1, 0))
        start[row] += edge
        cursor[row] = start[row]
    active = np.concatenate((memory.active, rows[placed]))
    return replace(
        memory,
        lane=lane,
        position_m=position,
        speed_mps=speed,
        route_start=start,
        cursor=cursor,
        waited_s=waited,
        promised=promised,
        active=active[np.lexsort((-position[active], lane[active]))],
        queue=np.concatenate((memory.queue[~np.isin(memory.queue, rows)], rows[~placed])),
    )


def _kind_of(memory: VehicleMemory, row: int) -> Kind:
    return Kind(*map(float, (*memory.kinds[memory.kind[row]], memory.speed_factor[row])))


def advance(
    lanes: Lanes, memory: VehicleMemory, time_s: float, key: np.uint32, step_s: float = 1.0
) -> tuple[VehicleMemory, Int32[Array, "arrived"]]:
    """Move all vehicles from `time_s` to ``time_s + step_s``.

    Args:
        lanes: the roads.
        memory: the vehicles.
        time_s: time since midnight, for the lights.
        key: for the drivers' dawdling, new every second (`Streams.key`); each user's draw depends on nothing else.
        step_s: length of the step.

    Returns:
        The new memory, and the rows that reached the end of their routes.
    """
    rows = np.concatenate((memory.active, memory.queue))
    n_driving, traffic = len(memory.active), _pack(lanes, memory, rows)
    requests = Requests(
        # a vehicle may ask for LOOK lines and still clear a junction
        request=np.empty(n_driving * (LOOK + 1) + 1, REQUEST),
        first=np.full(len(lanes.node_alone), -1, np.int32),
        intake=np.zeros(lanes.n_lanes, INTAKE),
    )
    requests.intake["taken_by"] = FREE
    out, blocked = np.empty((3, len(rows)), np.int32), np.zeros(lanes.n_lanes, np.bool_)
    counts = second(
        lanes.road, traffic, requests, blocked, n_driving, out, float(time_s), np.uint32(key), float(step_s)
    )
    active, queue, arrived = (rows[line[:count]] for line, count in zip(out, counts, strict=True))
    return replace(_unpack(memory, rows, traffic), active=active, queue=queue), arrived


def locate(
    lanes: Lanes, memory: VehicleMemory
) -> tuple[Float32[Array, "users"], Float32[Array, "users"], Float32[Array, "users"]]:
    """Coordinates in m of the front bumpers, in the middle of their lanes, and speeds in m/s.

    Rows that are not on the road have coordinates NaN and speed 0.
    """
    xy_m = np.full((2, len(memory.lane)), np.nan, np.float32)
    speed_mps = np.zeros(len(memory.lane), np.float32)
    find_places(
        lanes.lane_edge,
        lanes.lane_offset_m,
        lanes.shape_start,
        lanes.shape,
        memory.lane,
        memory.position_m,
        memory.active,
        xy_m,
    )
    speed_mps[memory.active] = memory.speed_mps[memory.active]
    return xy_m[0], xy_m[1], speed_mps


def stuck(memory: VehicleMemory, limit_s: float = 300.0) -> Bool[Array, "users"]:
    """Who has stood first at a line for longer than the limit for reasons other than red: the deadlock watch."""
    return np.asarray((memory.lane >= 0) & (memory.waited_s > limit_s))


def _with_routes(memory: VehicleMemory, rows: Int32[Array, "n"], routes: Routes) -> VehicleMemory:
    """The memory with new routes for some rows; routes that nobody needs any more are dropped now and then."""
    start, cursor, end = memory.route_start.copy(), memory.cursor.copy(), memory.route_end.copy()
    pool = memory.route_edge
    users = np.setdiff1d(np.concatenate((memory.active, memory.queue)), rows)
    length = (end - start)[users]
    if len(pool) > 2 * length.sum() + 1024:
        first = np.cumsum(length) - length
        pool = pool[np.repeat(start[users] - first, length) + np.arange(length.sum())]
        cursor[users] += (first - start[users]).astype(np.int32)
        start[users], end[users] = first, first + length
    start[rows] = cursor[rows] = len(pool) + routes.start[:-1]
    end[rows] = len(pool) + routes.start[1:]
    pool = np.concatenate((pool, routes.edges.astype(np.int32)))
    return replace(memory, route_start=start, cursor=cursor, route_end=end, route_edge=pool)


_FIELDS: Final = tuple(VEHICLE.names or ())
_MOVING: Final = _FIELDS[: _FIELDS.index("length_m")]  # the columns of the memory
_KIND: Final = _FIELDS[_FIELDS.index("length_m") : _FIELDS.index("row")]


def _pack(lanes: Lanes, memory: VehicleMemory, rows: Int32[Array, "n"]) -> Traffic:
    """Some rows of the memory as the table that compiled code works on."""
    vehicle = np.zeros(len(rows), VEHICLE)
    for name in _MOVING:
        vehicle[name] = getattr(memory, name)[rows]
    for name, column in zip(_KIND, memory.kinds.T, strict=True):
        vehicle[name] = column[memory.kind[rows]]
    vehicle["row"], vehicle["limit"] = rows, LOOK
    leader, follower = np.tile(np.arange(len(rows) + lanes.n_lanes, dtype=np.int32), (2, 1))
    return Traffic(vehicle, memory.next_lane[rows], leader, follower, memory.route_edge)


def _unpack(memory: VehicleMemory, rows: Int32[Array, "n"], traffic: Traffic) -> VehicleMemory:
    """The memory with these rows as compiled code left them."""
    columns = {name: getattr(memory, name).copy() for name in (*_MOVING, "next_lane")}
    for name in _MOVING:
        columns[name][rows] = traffic.vehicle[name]
    columns["next_lane"][rows] = traffic.next_lane
    return replace(memory, **columns)
