"""One source of positions per second: the twin's own movement model, or other sources behind one protocol.

`OwnMobility` joins the rooms' parts: plans (`schedule`) become trips; a trip is a walk to the street
or to the vehicle, the way itself (`pedestrians` on footways, `driving` on lanes, both on routes of
`routes`), and a walk to the place inside; between trips people are `indoor`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float32, Int8, Int32, Int64

from mndt.city.model import City
from mndt.state import Mode, NoWay, Users
from mndt.streams import Streams
from mndt.users import pedestrians
from mndt.users.driving.vehicles import LaneMap, VehicleMemory, advance, locate, place, request
from mndt.users.indoor import Indoor, Stays
from mndt.users.pedestrians import Footpath, Paths, Signals, Walks
from mndt.users.population import Population, UserParameters
from mndt.users.routes import RouteGraph, Routes, find_routes
from mndt.users.tracks import RecordedTracks, StraightLines

__all__ = ["MobilitySource", "OwnMemory", "OwnMobility", "RecordedTracks", "StraightLines", "UserParameters"]

Array = np.ndarray

DOOR_WAIT_S: Final = 300
"""Whoever has not reached the door so long after his time to leave sets out from where he is."""

VEHICLE_CLASS: Final = {Mode.CAR: 0, Mode.BICYCLE: 1}
"""Rows of `mndt.users.driving.vehicles.KINDS`."""


@runtime_checkable
class MobilitySource(Protocol):
    """Anything that says where everyone is each second."""

    @property
    def n_users(self) -> int:
        """Rows of the population, absent ones counted."""

    def start(self, time_s: int, streams: Streams) -> tuple[Any, Users]:
        """The memory and everyone's place at `time_s`."""

    def step(self, memory: Any, time_s: int, streams: Streams) -> tuple[Any, Users]:
        """Move everyone from `time_s` to `time_s + 1`."""


@dataclass(frozen=True)
class OwnMemory:
    """Memory of `OwnMobility`."""

    users: Users
    trip: Int32[Array, "users"]  # row of the population's trips being made, -1 inside
    origin: Int32[Array, "users"]  # area in which it began: the plan's, or another after a trip without a way
    to_vehicle: Bool[Array, "users"]  # walking to the vehicle, not from it
    next_trip: Int32[Array, "users"]  # row of the trip to make next; the user's last row + 1 when none is left
    goal_x_m: Float32[Array, "users"]  # where the trip will end inside its area
    goal_y_m: Float32[Array, "users"]
    stays: Stays
    walks: Walks
    vehicles: VehicleMemory
    n_started: Int64[Array, "1"]  # trips begun since the start
    n_arrived: Int64[Array, "1"]
    n_disconnected: Int64[Array, "1"]  # trips given up because no way leads there
    no_way: NoWay  # those of the last second; at the start, those that would be under way


class OwnMobility:
    """The twin's own mobility.

    Args:
        city: where people move.
        population: their plans, see `mndt.users.schedule.make_population`.
        parameters: speeds and waiting times.
        streams: for the fixed points inside areas.
    """

    def __init__(self, city: City, population: Population, parameters: UserParameters, streams: Streams) -> None:
        self.city, self.population, self.parameters = city, population, parameters
        self.paths = Paths.from_ways(city.footways)
        self.lanes = LaneMap.from_ways(city.roads)
        self.foot_graph = RouteGraph.from_ways(city.footways, cost="length")
        self.road_graph = RouteGraph.from_ways(city.roads, cost="time")
        self.signals = Signals(parameters.signal_cycle_s, parameters.signal_green_s)
        self.footpath = Footpath(parameters.walk_model, parameters.path_width_m)
        self.indoor = Indoor.from_city(city, parameters.stand_s, streams.generator("indoor-points"))

    @property
    def n_users(self) -> int:
        """People with a plan."""
        return len(self.population)

    def start(self, time_s: int, streams: Streams) -> tuple[OwnMemory, Users]:
        """Everyone where the plan has them: inside, or at a share of the way."""
        plan, n, rng = self.population, self.n_users, streams.generator("mobility-start", time_s)
        next_trip = _first_after(plan, time_s)
        last = next_trip - 1
        has_last = last >= plan.trip_start[:-1]
        area = plan.home.copy()
        area[has_last] = plan.to_area[last[has_last]]
        x, y = self.indoor.random_point(area, rng)
        users = Users(x, y, np.zeros(n, np.float32), np.full(n, Mode.INSIDE, np.int8), area)
        none = np.zeros(1, np.int64)
        memory = OwnMemory(
            users=users,
            trip=np.full(n, -1, np.int32),
            origin=np.full(n, -1, np.int32),
            to_vehicle=np.zeros(n, bool),
            next_trip=next_trip,
            goal_x_m=x.copy(),
            goal_y_m=y.copy(),
            stays=Stays(x.copy(), y.copy()),
            walks=Walks.empty(),
            vehicles=VehicleMemory.empty(self.lanes, n),
            n_started=none,
            n_arrived=none,
            n_disconnected=none,
            no_way=NoWay(*np.zeros((4, 0), np.int32)),
        )
        rows = np.flatnonzero(has_last)
        rows = rows[plan.departure_s[last[rows]] + plan.duration_s[last[rows]] > time_s]
        memory = self._put_under_way(memory, rows, last[rows], time_s, rng)
        return memory, memory.users

    def step(self, memory: OwnMemory, time_s: int, streams: Streams) -> tuple[OwnMemory, Users]:
        """One second: departures, walks, vehicles, arrivals, and the people inside."""
        rng = streams.generator("mobility", time_s)
        found = memory.no_way
        now = found.time_s == time_s  # what the start has found belongs to the first second
        memory = replace(memory, no_way=NoWay(*(column[now] for column in vars(found).values())))
        memory = self._depart(memory, time_s, rng)
        memory = self._walk(memory, time_s)
        memory = self._drive(memory, time_s, streams)
        memory = self._stay(memory, rng)
        return memory, memory.users

    # -- the parts of a second ---------------------------------------------------------------

    def _depart(self, memory: OwnMemory, time_s: int, rng: np.random.Generator) -> OwnMemory:
        """Everyone inside whose next trip is due sets out."""
        plan, users = self.population, memory.users
        waiting = np.flatnonzero((users.mode == Mode.INSIDE) & (memory.next_trip < plan.trip_start[1:]))
        due = waiting[plan.departure_s[memory.next_trip[waiting]] <= time_s]
        due, memory = self._at_doors(memory, due, time_s)
        if not len(due):
            return memory
        trip, next_trip = memory.next_trip[due], memory.next_trip.copy()
        next_trip[due] += 1
        memory = replace(memory, next_trip=next_trip)
        origin, target = users.area[due], plan.to_area[trip]
        moves = origin != target
        return self._set_out(memory, due[moves], trip[moves], origin[moves], time_s, rng)

    def _at_doors(
        self, memory: OwnMemory, due: Int64[Array, "n"], time_s: int
    ) -> tuple[Int64[Array, "some"], OwnMemory]:
        """Who wants to leave an area walks to its door first; who is there, or late by `DOOR_WAIT_S`, goes."""
        if not len(due):
            return due, memory
        plan, users, trip = self.population, memory.users, memory.next_trip[due]
        moves = users.area[due] != plan.to_area[trip]
        rows = due[moves]
        stays, there = self.indoor.leave(memory.stays, rows, users.area[rows], users.x_m[rows], users.y_m[rows])
        ready = ~moves
        ready[moves] = there | (time_s - plan.departure_s[trip[moves]] > DOOR_WAIT_S)
        return due[ready], replace(memory, stays=stays)

    def _set_out(
        self,
        memory: OwnMemory,
        rows: Int64[Array, "n"],
        trip: Int32[Array, "n"],
        origin: Int32[Array, "n"],
        time_s: int,
        rng: np.random.Generator,
    ) -> OwnMemory:
        """Routes and first walks of trips; those without a way stay, are counted and become events."""
        mode, target = self.population.mode[trip], self.population.to_area[trip]
        areas = self.city.areas
        on_foot = (mode == Mode.WALK) | (areas.road_node[origin] == areas.road_node[target])
        foot = self._foot_routes(origin[on_foot], target[on_foot])
        possible = np.empty(len(rows), bool)
        possible[on_foot] = np.isfinite(foot.cost)
        possible[~on_foot] = np.isfinite(self._road_routes(origin[~on_foot], target[~on_foot]).cost)
        goal_x, goal_y = self.indoor.random_point(target, rng)
        memory = replace(
            memory,
            trip=_put(memory.trip, rows[possible], trip[possible]),
            origin=_put(memory.origin, rows[possible], origin[possible]),
            goal_x_m=_put(memory.goal_x_m, rows[possible], goal_x[possible]),
            goal_y_m=_put(memory.goal_y_m, rows[possible], goal_y[possible]),
            n_started=memory.n_started + int(possible.sum()),
            n_disconnected=memory.n_disconnected + int((~possible).sum()),
            no_way=_with(memory.no_way, time_s, rows[~possible], origin[~possible], target[~possible]),
            to_vehicle=_put(memory.to_vehicle, rows[possible], ~on_foot[possible]),
            users=_changed(memory.users, rows[possible], mode=Mode.WALK, area=-1),
        )
        go = possible[on_foot]
        door = self.indoor.door(target[on_foot][go])
        memory = self._begin_walk(memory, rows[on_foot][go], door, _kept(foot, go))
        drives = possible & ~on_foot
        return self._begin_walk(memory, rows[drives], self._kerb(origin[drives]), None)

    def _walk(self, memory: OwnMemory, time_s: int) -> OwnMemory:
        """Pedestrians move; those at the end of their walk enter their area or mount their vehicle."""
        if not len(memory.walks):
            return memory
        pace = self.population.walk_speed_mps[memory.walks.user]
        before = memory.users.speed_mps[memory.walks.user]
        walks, speed, ended = pedestrians.step(
            self.paths, memory.walks, pace, self.signals, time_s, footpath=self.footpath, speed_mps=before
        )
        x, y = pedestrians.locate(self.paths, walks)
        users = _changed(memory.users, walks.user, x_m=x, y_m=y, speed_mps=speed)
        memory = replace(memory, users=users, walks=pedestrians.drop(walks, ended))
        rows = walks.user[ended]
        mounts = memory.to_vehicle[rows]
        return self._mount(self._enter(memory, rows[~mounts]), rows[mounts])

    def _enter(self, memory: OwnMemory, rows: Int32[Array, "n"]) -> OwnMemory:
        """Trips end: people are inside the door of their target area and walk on to their place."""
        if not len(rows):
            return memory
        area = self.population.to_area[memory.trip[rows]]
        x, y = self.indoor.door(area)
        return replace(
            memory,
            users=_changed(memory.users, rows, x_m=x, y_m=y, mode=Mode.INSIDE, area=area),
            stays=memory.stays.towards(rows, memory.goal_x_m[rows], memory.goal_y_m[rows]),
            trip=_put(memory.trip, rows, -1),
            n_arrived=memory.n_arrived + len(rows),
        )

    def _mount(self, memory: OwnMemory, rows: Int32[Array, "n"]) -> OwnMemory:
        """People at their vehicles ask for a place on the road."""
        if not len(rows):
            return memory
        trip, plan = memory.trip[rows], self.population
        routes = self._road_routes(memory.origin[rows], plan.to_area[trip])
        mode = plan.mode[trip]
        return replace(
            memory,
            vehicles=request(memory.vehicles, rows, routes, vehicle_class(mode)),
            to_vehicle=_put(memory.to_vehicle, rows, False),
            users=_changed(memory.users, rows, mode=mode, speed_mps=0.0),
        )

    def _drive(self, memory: OwnMemory, time_s: int, streams: Streams) -> OwnMemory:
        """Vehicles move; who arrives gets off and walks to the door."""
        vehicles, arrived = advance(self.lanes, memory.vehicles, time_s, streams.key("vehicles", time_s))
        memory = self._where_vehicles_are(replace(memory, vehicles=vehicles))
        if not len(arrived):
            return memory
        x, y = self._kerb(self.population.to_area[memory.trip[arrived]])
        users = _changed(memory.users, arrived, x_m=x, y_m=y, speed_mps=0.0, mode=Mode.WALK)
        door = self.indoor.door(self.population.to_area[memory.trip[arrived]])
        return self._begin_walk(replace(memory, users=users), arrived, door, None)

    def _stay(self, memory: OwnMemory, rng: np.random.Generator) -> OwnMemory:
        """People inside stand, sit or walk about."""
        users, pace = memory.users, self.population.walk_speed_mps
        inside = users.mode == Mode.INSIDE
        stays, x, y, speed = self.indoor.step(memory.stays, users.x_m, users.y_m, users.area, inside, pace, rng)
        users = replace(users, x_m=x, y_m=y, speed_mps=np.where(inside, speed, users.speed_mps))
        return replace(memory, users=users, stays=stays)

    # -- helpers -----------------------------------------------------------------------------

    def _put_under_way(
        self, memory: OwnMemory, rows: Array, trip: Int32[Array, "n"], time_s: int, rng: np.random.Generator
    ) -> OwnMemory:
        """Place people on a share of their trips, as planned at `time_s`."""
        if not len(rows):
            return memory
        plan = self.population
        origin = plan.from_area[trip]
        x, y = self.indoor.random_point(origin, rng)
        stays = memory.stays.towards(rows, x, y)
        users = _changed(memory.users, rows, x_m=x, y_m=y, area=origin)
        memory = self._set_out(replace(memory, users=users, stays=stays), rows, trip, origin, time_s, rng)
        share = np.zeros(self.n_users)
        share[rows] = (time_s - plan.departure_s[trip]) / np.maximum(plan.duration_s[trip], 1)
        # whoever is past the first steps of a vehicle's trip is on the road already
        walker = memory.walks.user
        drives = memory.to_vehicle[walker] & (share[walker] > 0.05)
        drivers = walker[drives]
        walks = pedestrians.drop(memory.walks, drives)
        on_foot = np.where(memory.to_vehicle[walks.user], share[walks.user] / 0.05, share[walks.user])
        walks = pedestrians.skip(self.paths, walks, on_foot)
        x, y = pedestrians.locate(self.paths, walks)
        memory = replace(memory, walks=walks, users=_changed(memory.users, walks.user, x_m=x, y_m=y))
        kerb_x, kerb_y = self._kerb(plan.from_area[memory.trip[drivers]])
        memory = replace(memory, users=_changed(memory.users, drivers, x_m=kerb_x, y_m=kerb_y))
        memory = self._mount(memory, drivers)
        if len(drivers):
            ways = self._road_routes(plan.from_area[memory.trip[drivers]], plan.to_area[memory.trip[drivers]])
            memory = replace(memory, vehicles=place(self.lanes, memory.vehicles, drivers, ways, share[drivers]))
        return self._where_vehicles_are(self._at_their_edges(memory))

    def _at_their_edges(self, memory: OwnMemory) -> OwnMemory:
        """Those who wait to drive off stand where their first edge begins."""
        vehicles, roads = memory.vehicles, self.city.roads
        node = roads.edge_from[vehicles.route_edge[vehicles.cursor[vehicles.queue]]]
        users = _changed(memory.users, vehicles.queue, x_m=roads.node_x_m[node], y_m=roads.node_y_m[node])
        return replace(memory, users=users)

    def _where_vehicles_are(self, memory: OwnMemory) -> OwnMemory:
        """Positions of those on the road; who waits for a place on it stands at the kerb."""
        x, y, speed = locate(self.lanes, memory.vehicles)
        rows = np.flatnonzero(memory.vehicles.lane >= 0)
        return replace(memory, users=_changed(memory.users, rows, x_m=x[rows], y_m=y[rows], speed_mps=speed[rows]))

    def _begin_walk(
        self, memory: OwnMemory, rows: Array, to_xy: tuple[Array, Array], routes: Routes | None
    ) -> OwnMemory:
        """A walk from where people are, along a route if there is one, to a point."""
        if not len(rows):
            return memory
        start = np.zeros(len(rows) + 1, np.int32) if routes is None else routes.start
        edges = np.zeros(0, np.int32) if routes is None else routes.edges
        from_xy = memory.users.x_m[rows], memory.users.y_m[rows]
        return replace(memory, walks=pedestrians.begin(memory.walks, rows, from_xy, to_xy, start, edges))

    def _kerb(self, area: Int32[Array, "n"]) -> tuple[Array, Array]:
        """Where vehicles wait for people of an area."""
        node = self.city.areas.road_node[area]
        return self.city.roads.node_x_m[node], self.city.roads.node_y_m[node]

    def _foot_routes(self, origin: Int32[Array, "n"], target: Int32[Array, "n"]) -> Routes:
        node = self.city.areas.foot_node.astype(np.int32)
        return find_routes(self.foot_graph, node[origin], node[target])

    def _road_routes(self, origin: Int32[Array, "n"], target: Int32[Array, "n"]) -> Routes:
        node = self.city.areas.road_node.astype(np.int32)
        return find_routes(self.road_graph, node[origin], node[target])


def vehicle_class(mode: Int8[Array, "n"]) -> Int8[Array, "n"]:
    """Vehicle class of a mode.

    >>> vehicle_class(np.array([Mode.CAR, Mode.BICYCLE])).tolist()
    [0, 1]
    """
    return np.where(mode == Mode.BICYCLE, VEHICLE_CLASS[Mode.BICYCLE], VEHICLE_CLASS[Mode.CAR]).astype(np.int8)


def _first_after(plan: Population, time_s: int) -> Int32[Array, "users"]:
    """Row of each user's first trip that leaves after `time_s`."""
    gone = np.concatenate([[0], np.cumsum(plan.departure_s <= time_s)])
    first, end = plan.trip_start[:-1], plan.trip_start[1:]
    return np.asarray(first + gone[end] - gone[first], dtype=np.int32)


def _put(values: Array, rows: Array, new: Any) -> Array:
    """A copy with some rows changed."""
    out = values.copy()
    out[rows] = new
    return out


def _with(no_way: NoWay, time_s: int, user: Array, from_area: Array, to_area: Array) -> NoWay:
    """Further trips without a way."""
    new = (np.full(len(user), time_s), user, from_area, to_area)
    columns = zip(vars(no_way).values(), new, strict=True)
    return NoWay(*(np.concatenate([old, more]).astype(np.int32) for old, more in columns))


def _changed(users: Users, rows: Array, **new: Any) -> Users:
    """Users with some rows of some columns changed."""
    return replace(users, **{name: _put(getattr(users, name), rows, value) for name, value in new.items()})


def _kept(routes: Routes, keep: Bool[Array, "n"]) -> Routes:
    """Some of the routes."""
    if keep.all():
        return routes
    n = np.diff(routes.start)
    start = np.zeros(int(keep.sum()) + 1, np.int32)
    np.cumsum(n[keep], out=start[1:])
    return Routes(start=start, edges=routes.edges[np.repeat(keep, n)], cost=routes.cost[keep])
