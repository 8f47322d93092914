"""One morning hour of Bologna, SUMO's scenario "joined", in our engine and in SUMO."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from jaxtyping import Float64, Int32

from mndt.checks.output import Figure
from mndt.checks.reference_data import reference_file

if TYPE_CHECKING:
    from mndt.formats.sumo_routes import SumoRoutes

Array = np.ndarray

END_S: Final = 3600
FOLDER: Final = "sumo_bologna_joined"
HALTING_MPS: Final = 0.1


@dataclass(frozen=True)
class Trips:
    """Trips that ended within the hour."""

    n: int
    mean_s: float
    seconds: float  # of processor time in `advance`
    n_aside: int
    n_waiting: int  # who could not drive off in time
    n_driving: int


def compare(data: Path | None, seeds: int) -> dict[str, Figure]:
    """Gaps of trips completed and of their mean time, means of `seeds` runs each."""
    from mndt.checks import peer_sumo

    folder = reference_file(f"{FOLDER}/joined_buslanes.net.xml.gz", data).parent
    ours = [drive(folder, seed) for seed in range(seeds)]
    theirs = [
        peer_sumo.kept("bologna", (seed, END_S), lambda seed=seed: peer_sumo.bologna(folder, seed, END_S))  # type: ignore[misc]
        for seed in range(seeds)
    ]
    trips, peer_trips = np.mean([run.n for run in ours]), np.mean([run["trips"] for run in theirs])
    time_s, peer_time_s = np.mean([run.mean_s for run in ours]), np.mean([run["mean_s"] for run in theirs])
    return {
        "bologna_trips_gap": float(trips / peer_trips - 1.0),
        "bologna_time_gap": float(time_s / peer_time_s - 1.0),
        "bologna_trips": float(trips),
        "bologna_time_s": float(time_s),
        "sumo_bologna_trips": float(peer_trips),
        "sumo_bologna_time_s": float(peer_time_s),
    }


def drive(folder: Path, seed: int, end_s: int = END_S) -> Trips:
    """The hour in our engine.

    Args:
        folder: of the scenario.
        seed: draws kinds, speed factors and the drivers' dawdling.
        end_s: when to stop.
    """
    import time

    from mndt.formats.sumo_net import read_net
    from mndt.formats.sumo_routes import read_routes
    from mndt.users.driving.lane_map import LaneMap
    from mndt.users.driving.vehicles import VehicleMemory, advance, request
    from mndt.users.routes import Routes

    lanes = LaneMap.from_sumo(read_net(folder / "joined_buslanes.net.xml.gz", [folder / "joined_tls.add.xml"]))
    routes = read_routes(
        [folder / "joined.rou.xml.gz", folder / "joined_busses.rou.xml"],
        [folder / "joined_vtypes.add.xml", folder / "joined_bus_stops.add.xml"],
    )
    rng, (start, edges) = np.random.default_rng(seed), routes.edges(lanes.edge_name)
    kind = _kinds_of(routes, rng)
    memory = VehicleMemory.empty(lanes, len(routes.name), _table(routes))
    memory.vehicle["speed_factor"] = _factors(routes, kind, rng)
    memory.vehicle["departs"], memory.vehicle["depart_lane"] = 1, routes.depart_lane
    memory.vehicle["depart_m"], memory.vehicle["depart_mps"] = routes.depart_pos_m, routes.depart_speed_mps
    helpful = np.array([each.lane_change.get("lcCooperative", 1.0) > 0.0 for each in routes.kinds])
    memory.vehicle["unhelpful"] = ~helpful[kind]
    halts = Halts.of(routes, lanes, start, edges)
    due, began_s, took_s = np.searchsorted(routes.depart_s, np.arange(end_s + 1)), np.full(len(kind), -1), []
    seconds = 0.0
    for second in range(end_s):
        rows = np.arange(due[second - 1] if second else 0, due[second], dtype=np.int32)
        if len(rows):
            first = start[rows]
            length = start[rows + 1] - first
            own = np.concatenate([edges[start[row] : start[row + 1]] for row in rows])
            ends = np.concatenate(([0], np.cumsum(length))).astype(np.int32)
            memory = request(memory, rows, Routes(ends, own, np.ones(len(rows))), kind[rows])
        halts.order(memory)
        clock = time.process_time()
        memory, arrived = advance(lanes, memory, float(second), rng.integers(0, 2**32, dtype=np.uint32))
        seconds += time.process_time() - clock
        fresh = memory.active[began_s[memory.active] < 0]
        began_s[fresh] = second
        took_s += (second - began_s[arrived]).tolist()
    return Trips(
        len(took_s), float(np.mean(took_s)), seconds, int(memory.n_aside[0]), len(memory.queue), len(memory.active)
    )


@dataclass
class Halts:
    """Stops of buses: each vehicle is told of its next one."""

    start: Int32[Array, "vehicles_plus_1"]
    step: Int32[Array, "stops"]  # which edge of the route
    lane: Int32[Array, "stops"]
    from_m: Float64[Array, "stops"]  # it may stand between these
    at_m: Float64[Array, "stops"]
    duration_s: Float64[Array, "stops"]
    next: Int32[Array, "vehicles"]

    @classmethod
    def of(cls, routes: SumoRoutes, lanes: Any, start: Array, edges: Array) -> Halts:
        """Where on its route each stop lies."""
        row = {name: k for k, name in enumerate(lanes.lane_name)}
        lane = np.array([row[name] for name in routes.stop_lane], np.int32)
        step = np.full(len(routes.stop_lane), -1, np.int32)
        for vehicle in np.flatnonzero(np.diff(routes.stop_start)).tolist():
            at = int(start[vehicle])
            for stop in range(int(routes.stop_start[vehicle]), int(routes.stop_start[vehicle + 1])):
                edge = lanes.lane_edge[lane[stop]]
                found = np.flatnonzero(edges[at : start[vehicle + 1]] == edge)
                if len(found):
                    at += int(found[0])
                    step[stop] = at - int(start[vehicle])
        none_yet = routes.stop_start[:-1].copy()
        at_m = np.minimum(routes.stop_to_m, lanes.lane_length_m[lane])
        return cls(routes.stop_start, step, lane, routes.stop_from_m, at_m, routes.stop_duration_s, none_yet)

    def order(self, memory: Any) -> None:
        """Let those go on who have halted for long enough, and tell everybody who drives of his next stop."""
        vehicle, rows = memory.vehicle, memory.active
        told = np.flatnonzero(vehicle["stop_edge"] >= 0)  # rows of routes may have moved since
        vehicle["stop_edge"][told] = vehicle["route_start"][told] + self.step[self.next[told] - 1]
        there = rows[
            (vehicle["stop_edge"][rows] == vehicle["cursor"][rows]) & (vehicle["speed_mps"][rows] <= HALTING_MPS)
        ]
        there = there[vehicle["position_m"][there] >= self.from_m[self.next[there] - 1]]
        vehicle["stop_s"][there] -= 1.0
        vehicle["waited_s"][there] = 0.0
        done = there[vehicle["stop_s"][there] <= 0.0]
        vehicle["stop_edge"][done], vehicle["known_at"][done] = -1, 0
        rows = rows[(self.next[rows] < self.start[rows + 1]) & (vehicle["stop_edge"][rows] < 0)]
        for row in rows.tolist():
            stop = int(self.next[row])
            self.next[row] += 1
            if self.step[stop] >= 0:
                vehicle["stop_edge"][row] = vehicle["route_start"][row] + self.step[stop]
                vehicle["stop_lane"][row], vehicle["stop_from_m"][row] = self.lane[stop], self.from_m[stop]
                vehicle["known_at"][row] = 0
                vehicle["stop_m"][row], vehicle["stop_s"][row] = self.at_m[stop], self.duration_s[stop]


def _kinds_of(routes: SumoRoutes, rng: np.random.Generator) -> Array:
    """The kind of each vehicle, drawn by the shares of its choices."""
    kind = np.empty(len(routes.name), np.int8)
    for choice in range(len(routes.choice_start) - 1):
        rows = np.flatnonzero(routes.vehicle_choice == choice)
        some = slice(int(routes.choice_start[choice]), int(routes.choice_start[choice + 1]))
        kind[rows] = rng.choice(routes.choice_kind[some], len(rows), p=routes.choice_share[some])
    return kind


def _table(routes: SumoRoutes) -> Float64[Array, "kinds 9"]:
    from mndt.formats.sumo_net import CLASS_BITS

    return np.array([
        [
            kind.length_m, kind.min_gap_m, kind.accel_mps2, kind.decel_mps2, kind.emergency_decel_mps2, kind.sigma,
            kind.tau_s, kind.max_speed_mps, CLASS_BITS[kind.vehicle_class],
        ]
        for kind in routes.kinds
    ])  # fmt: skip


def _factors(routes: SumoRoutes, kind: Array, rng: np.random.Generator) -> Float64[Array, "vehicles"]:
    mean, deviation, least, most = np.array([kind[-5:-1] for kind in routes.kinds], float)[kind].T
    return np.asarray(np.clip(rng.normal(mean, deviation), least, most))
