"""Vehicles on lanes: Krauss car following, junctions, lights, queues to drive off.

The law is `_krauss`, the right to cross a line `_links`, what a driver means to do `_plan`, a whole step `_move`; the
rules are those of SUMO 1.28. Positions are those of the front bumper, in metres from the start of the lane.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int8, Int32, Shaped

from mndt.users.driving._placing import Kind, Placing, Spot
from mndt.users.driving._tables import ITEM, KIND, NEVER, REACH, VEHICLE, Step, Traffic
from mndt.users.driving.lane_map import LaneMap
from mndt.users.routes import Routes

__all__ = ["ASIDE_S", "KINDS", "LaneMap", "VehicleMemory", "advance", "locate", "place", "request", "stuck"]

Array = np.ndarray

# SUMO's defaults of vehicle classes "passenger" and "bicycle"
KINDS: Final = np.array([
    # length m, minimum gap m, acceleration, deceleration, emergency m/s^2, sigma, tau s, top speed m/s, classes
    [5.0, 2.5, 2.6, 4.5, 9.0, 0.5, 1.0, 200 / 3.6, 1.0],
    [1.6, 0.5, 1.2, 3.0, 7.0, 0.5, 1.0, 20 / 3.6, 2.0],
])  # fmt: skip
"""Kinds of vehicles, a row each: 0 = car, 1 = bicycle."""

SPEED_DEVIATION: Final = 0.1
"""Standard deviation of drivers' speed factors around 1; cut off at 0.8 and 1.2."""

IMPATIENCE_S: Final = 180.0
"""Who has waited for so long takes every gap that others can still brake for."""

ASIDE_S: Final = 300.0
"""Who has stood for so long is taken off a locked ring (SUMO's default time to teleport)."""

_POOL_LEAST: Final = 65_536
"""Edges in the pool of routes before those of arrived vehicles are looked for."""

MAX_ITEMS: Final = 24
"""Lines ahead that a vehicle notes at most."""


@dataclass(frozen=True)
class VehicleMemory:
    """All vehicles, one row per user of the population."""

    vehicle: Shaped[Array, "users"]  # of `VEHICLE`; the properties below are its fields
    lines: Shaped[Array, "lines"]  # of `ITEM`: how drivers meant to take the lines ahead in the last step
    active: Int32[Array, "driving"]  # rows on the road, lane by lane, from the first in a lane to the last
    queue: Int32[Array, "waiting"]  # rows that wait to drive off, first come first
    route_edge: Int32[Array, "total"]  # the edges of all routes
    kinds: Float64[Array, "kinds 9"]
    n_aside: Int32[Array, "1"]  # how often a driver pulled aside so far, see `advance`

    @classmethod
    def empty(cls, lanes: LaneMap, n_users: int, kinds: Float64[Array, "kinds 9"] = KINDS) -> VehicleMemory:
        """Nobody on the road."""
        vehicle, none = np.zeros(n_users, VEHICLE), np.zeros(0, np.int32)
        vehicle["lane"], vehicle["stop_edge"], vehicle["speed_factor"] = -1, -1, _temperaments(n_users)
        for name in ("entered_s", "entered_once_s", "conflict_s"):
            vehicle[name] = NEVER
        vehicle["advice_mps"] = np.inf
        return cls(
            vehicle=vehicle,
            lines=np.zeros(0, ITEM),
            active=none,
            queue=none,
            route_edge=none,
            kinds=np.array(kinds, np.float64),
            n_aside=np.zeros(1, np.int32),
        )

    @property
    def lane(self) -> Int32[Array, "users"]:
        """Row of `LaneMap`, -1 where nobody drives."""
        return np.asarray(self.vehicle["lane"])

    @property
    def position_m(self) -> Float64[Array, "users"]:
        """Front bumper, from the start of the lane."""
        return np.asarray(self.vehicle["position_m"])

    @property
    def speed_mps(self) -> Float64[Array, "users"]:
        """Speed of the last step."""
        return np.asarray(self.vehicle["speed_mps"])

    @property
    def odometer_m(self) -> Float64[Array, "users"]:
        """Way since the trip began."""
        return np.asarray(self.vehicle["odometer_m"])

    @property
    def cursor(self) -> Int32[Array, "users"]:
        """Row of `route_edge` that is being driven, or where a waiting vehicle will drive off."""
        return np.asarray(self.vehicle["cursor"])

    @property
    def waited_s(self) -> Float64[Array, "users"]:
        """Time standing, or waiting to drive off."""
        return np.asarray(self.vehicle["waited_s"])


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
        The memory with these users at the end of the queue. They drive off, standing, as soon as there is room and
        nobody would have to brake hard for them; on each edge first come, first served.
    """
    rows = np.asarray(rows, np.int32)
    memory = _with_routes(memory, rows, routes)
    vehicle = memory.vehicle  # a copy already
    vehicle["kind"][rows], vehicle["odometer_m"][rows], vehicle["waited_s"][rows] = vehicle_class, 0.0, 0.0
    return replace(memory, queue=np.concatenate((memory.queue, rows)))


def place(
    lanes: LaneMap, memory: VehicleMemory, rows: Int32[Array, "n"], routes: Routes, progress: Float64[Array, "n"]
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
    vehicle, placing, placed = memory.vehicle, Placing(lanes), np.zeros(len(rows), bool)
    for row in memory.active.tolist():
        spot = Spot(float(vehicle["position_m"][row]), float(vehicle["speed_mps"][row]), _kind_of(memory, row))
        placing.add(int(vehicle["lane"][row]), spot)
    for k, row in enumerate(rows.tolist()):
        edges = routes.edges[routes.start[k] : routes.start[k + 1]].tolist()
        length_m = lanes.lane_length_m[lanes.edge_lane[edges]] if edges else np.zeros(0)
        along_m = float(np.clip(progress[k], 0.0, 1.0) * length_m.sum())
        edge = min(int(np.searchsorted(np.cumsum(length_m), along_m, "right")), max(len(edges) - 1, 0))
        found = placing.find(edges, along_m, _kind_of(memory, row))
        if found:
            edge, lane, spot = found
            placing.add(lane, spot)
            vehicle["lane"][row], vehicle["position_m"][row], vehicle["speed_mps"][row] = lane, *spot[:2]
            placed[k] = True
        vehicle["route_start"][row] += edge
        vehicle["cursor"][row] = vehicle["route_start"][row]
    for name in ("waited_s", "n_behind", "n_items", "waits"):
        vehicle[name][rows] = 0
    for name in ("entered_s", "entered_once_s", "conflict_s"):
        vehicle[name][rows] = NEVER
    vehicle["advice_mps"][rows] = np.inf
    active = np.concatenate((memory.active, rows[placed]))
    return replace(
        memory,
        vehicle=vehicle,
        active=active[np.lexsort((-vehicle["position_m"][active], vehicle["lane"][active]))],
        queue=np.concatenate((memory.queue[~np.isin(memory.queue, rows)], rows[~placed])),
    )


def _kind_of(memory: VehicleMemory, row: int) -> Kind:
    parameters = memory.kinds[memory.vehicle["kind"][row]]
    return Kind(*map(float, (*parameters, memory.vehicle["speed_factor"][row])))


def advance(
    lanes: LaneMap,
    memory: VehicleMemory,
    time_s: float,
    key: np.uint32,
    step_s: float = 1.0,
    *,
    ballistic: bool = False,
    aside_s: float = ASIDE_S,
) -> tuple[VehicleMemory, Int32[Array, "arrived"]]:
    """Move all vehicles from `time_s` to ``time_s + step_s``.

    Args:
        lanes: the roads.
        memory: the vehicles.
        time_s: time since midnight, for the lights.
        key: for the drivers' dawdling, new every second (`Streams.key`); each user's draw depends on nothing else.
        step_s: length of the step.
        ballistic: SUMO's ballistic update instead of its Euler update.
        aside_s: who has stood for longer, in a ring of full streets that has locked itself, pulls aside: he waits
            like those who want to drive off, at the start of the next street; inf = never.
            `VehicleMemory.n_aside` counts these.

    Returns:
        The new memory, and the rows that reached the end of their routes.
    """
    from mndt.users.driving._move import step

    n_users, n_driving, n_rows = len(memory.vehicle), len(memory.active), len(memory.active) + len(memory.queue)
    leader, follower = np.empty((2, n_users + lanes.n_lanes), np.int32)
    first_approach, approach_link = lanes.incoming
    traffic = Traffic(
        vehicle=_copy(memory.vehicle),
        leader=leader,
        follower=follower,
        route_edge=memory.route_edge,
        kind=np.ascontiguousarray(memory.kinds).view(KIND)[:, 0],
        before=memory.lines,
        item=np.empty(n_driving * MAX_ITEMS, ITEM),
        brutto_m=np.empty(lanes.n_lanes),
        rear_head=np.empty(lanes.n_lanes, np.int32),
        rear=np.empty((n_driving * REACH, 2), np.int32),
        first_approach=first_approach,
        approach_link=approach_link,
    )
    out = np.empty((3, n_rows), np.int32)
    when = Step(float(time_s), float(step_s), np.uint32(key), bool(ballistic), IMPATIENCE_S)
    *counts, n_aside, n_lines = step(lanes.road, traffic, when, memory.active, memory.queue, float(aside_s), out)
    active, queue, arrived = (line[:count].copy() for line, count in zip(out, counts, strict=True))
    memory = replace(
        memory,
        vehicle=traffic.vehicle,
        lines=traffic.item[:n_lines].copy(),
        active=active,
        queue=queue,
        n_aside=(memory.n_aside + n_aside).astype(np.int32),
    )
    return memory, arrived


def locate(
    lanes: LaneMap, memory: VehicleMemory
) -> tuple[Float32[Array, "users"], Float32[Array, "users"], Float32[Array, "users"]]:
    """Coordinates in m of the front bumpers, in the middle of their lanes, and speeds in m/s.

    Rows that are not on the road have coordinates NaN and speed 0.
    """
    xy_m = np.full((2, len(memory.lane)), np.nan, np.float32)
    speed_mps = np.zeros(len(memory.lane), np.float32)
    rows = memory.active
    lane = memory.lane[rows]
    tape_m, start_m = lanes.tape
    at_m = start_m[lane] + np.minimum(memory.position_m[rows], lanes.lane_length_m[lane])
    b = np.clip(np.searchsorted(tape_m, at_m), lanes.shape_start[lane] + 1, lanes.shape_start[lane + 1] - 1)
    a = b - 1
    share = np.clip((at_m - tape_m[a]) / np.maximum(tape_m[b] - tape_m[a], 1e-9), 0.0, 1.0)
    xy_m[:, rows] = lanes.shape[:2, a] + share * (lanes.shape[:2, b] - lanes.shape[:2, a])
    speed_mps[rows] = memory.speed_mps[rows]
    return xy_m[0], xy_m[1], speed_mps


def stuck(memory: VehicleMemory, limit_s: float = 120.0) -> Bool[Array, "users"]:
    """Who has stood on the road for longer than the limit: the deadlock watch."""
    return np.asarray((memory.lane >= 0) & (memory.waited_s > limit_s))


def _with_routes(memory: VehicleMemory, rows: Int32[Array, "n"], routes: Routes) -> VehicleMemory:
    """The memory with new routes for some rows; routes that nobody needs any more are dropped now and then."""
    vehicle, pool = _copy(memory.vehicle), memory.route_edge
    start, cursor, end = vehicle["route_start"], vehicle["cursor"], vehicle["route_end"]
    if len(pool) > _POOL_LEAST:  # else nobody minds
        users = np.setdiff1d(np.concatenate((memory.active, memory.queue)), rows)
        length = (end - start)[users]
        if len(pool) > 2 * length.sum():
            first = np.cumsum(length) - length
            pool = pool[np.repeat(start[users] - first, length) + np.arange(length.sum())]
            moved = (first - start[users]).astype(np.int32)
            cursor[users] += moved
            vehicle["stop_edge"][users] += np.where(vehicle["stop_edge"][users] >= 0, moved, 0)
            start[users], end[users] = first, first + length
    vehicle["known_at"][rows] = 0
    start[rows] = cursor[rows] = len(pool) + routes.start[:-1]
    end[rows] = len(pool) + routes.start[1:]
    return replace(memory, vehicle=vehicle, route_edge=np.concatenate((pool, routes.edges.astype(np.int32))))


def _copy(vehicle: Shaped[Array, "users"]) -> Shaped[Array, "users"]:
    """A copy of rows of `VEHICLE`, all their bytes at once: NumPy's own copy goes field by field."""
    return np.frombuffer(bytearray(np.ascontiguousarray(vehicle).view(np.uint8)), VEHICLE)
