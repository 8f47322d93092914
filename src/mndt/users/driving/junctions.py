"""Building the junctions of a city's roads: lanes, paths inside junctions, right of way and lights.

The outcome is a network in the form that SUMO's files have, so that one engine drives on both.

Right of way where there is no light: who is in a roundabout goes first, then the more important road,
then the two arms that run on into each other, then who does not turn left. At a light everyone with green is
of the same class, and who turns left yields to oncoming traffic. Bicycles have a lane of their own at the
right of every edge and yield to cars where paths cross. The order is total at every junction: nobody
waits for someone who waits for him.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from jaxtyping import Bool

from mndt.city.model import Ways
from mndt.formats.sumo_net import (
    CLASS_BITS,
    EVERYONE,
    VISIBILITY_M,
    SumoConnection,
    SumoEdge,
    SumoJunction,
    SumoLane,
    SumoNet,
    SumoRequest,
    SumoSignal,
)
from mndt.users.driving._junction_lights import INSIDE, Lights, lights_of, phases_of
from mndt.users.driving._junction_paths import Path, find_conflicts, waiting_point
from mndt.users.driving._junction_shapes import (
    BICYCLE_WIDTH_M,
    LANE_WIDTH_M,
    Arms,
    Points,
    arms_of,
    as_points,
    beside,
    between,
    curve,
    lane_offsets,
    length_of,
    split_at,
)
from mndt.users.driving._junction_turns import STRAIGHT_RAD, turns_of

Array = np.ndarray

BICYCLES: Final = CLASS_BITS["bicycle"]
CARS: Final = EVERYONE & ~BICYCLES

TURN_MPS2: Final = 5.5
"""Sideways acceleration in curves (netconvert's --junctions.limit-turn-speed)."""

_FREE_TURN_RAD: Final = np.deg2rad(15.0)  # turns up to here slow nobody down, as in netconvert
_LEAST_SPEED_MPS: Final = 2.0
_LIGHT_VISIBILITY_M: Final = 100.0
"""At a light drivers see who else has green and need not slow down to look."""

_CHANGING_M: Final = 50.0
"""On shorter pieces nobody has room to change lanes."""

_ROUNDABOUT_M: Final = 250.0
_TURN_BACK_RAD: Final = np.deg2rad(170.0)


def build_net(roads: Ways) -> SumoNet:
    """Junctions for all nodes of the ways; edge e is named ``e<e>``, node v is junction ``n<v>``."""
    return _Builder(roads).net()


@dataclass
class _Plan:
    """The links of one node."""

    node: int
    paths: list[Path] = field(default_factory=list)
    yields: list[set[int]] = field(default_factory=list)
    foes: list[set[int]] = field(default_factory=list)
    wait_m: list[float] = field(default_factory=list)  # where to wait inside, 0 = at the line


class _Builder:
    """One city's roads on their way to a network."""

    def __init__(self, roads: Ways) -> None:
        self.roads = roads
        self.arms: Arms = arms_of(roads)
        self.lights: Lights = lights_of(roads, self.arms.enter_rad)
        self.ring = _roundabouts(roads, self.arms)
        self.shapes = [self._lane_shapes(e) for e in range(roads.n_edges)]
        self.lengths = [
            max(float(roads.edge_length_m[e] - self.arms.cut_start_m[e] - self.arms.cut_end_m[e]), 0.5)
            for e in range(roads.n_edges)
        ]

    def net(self) -> SumoNet:
        into, out_of = (
            _by_node(self.roads.edge_to, self.roads.n_nodes),
            _by_node(self.roads.edge_from, self.roads.n_nodes),
        )
        plans = [_Plan(v, list(self._paths(into[v], out_of[v]))) for v in range(self.roads.n_nodes)]
        find_conflicts([plan.paths for plan in plans], [plan.foes for plan in plans])
        edges, connections = [self._edge(e) for e in range(self.roads.n_edges)], list[SumoConnection]()
        junctions, signals = list[SumoJunction](), dict[str, SumoSignal]()
        for plan in plans:
            self._decide(plan)
            parts = self._parts(plan, into[plan.node])
            edges += parts.edges
            connections += parts.connections
            junctions += parts.junctions
            if signal := self._signal(plan):
                signals[signal.name] = signal
        return SumoNet(tuple(edges), tuple(connections), tuple(junctions), signals)

    def _lane_shapes(self, e: int) -> list[Array]:
        roads, arms = self.roads, self.arms
        part = slice(roads.shape_start[e], roads.shape_start[e + 1])
        line = between(roads.shape_x_m[part], roads.shape_y_m[part], arms.cut_start_m[e], arms.cut_end_m[e])
        return [beside(line, offset) for offset in lane_offsets(int(roads.edge_lanes[e]), bool(arms.two_way[e]))]

    def _edge(self, e: int) -> SumoEdge:
        roads, lanes = self.roads, []
        for k, shape in enumerate(self.shapes[e]):
            width_m, classes = (BICYCLE_WIDTH_M, BICYCLES) if k == 0 else (LANE_WIDTH_M, CARS)
            limit_mps = float(roads.edge_speed_mps[e])
            lanes.append(SumoLane(f"e{e}_{k}", limit_mps, self.lengths[e], width_m, classes, as_points(shape)))
        start, end = f"n{roads.edge_from[e]}", f"n{roads.edge_to[e]}"
        return SumoEdge(f"e{e}", False, start, end, -int(roads.edge_rank[e]), tuple(lanes))

    def _paths(self, into: list[int], out_of: list[int]) -> Iterator[Path]:
        """Paths over one node, edge by edge and lane by lane, as SUMO numbers links."""
        for e in into:
            heading = self.arms.enter_rad[e] + np.pi
            turn = {f: (self.arms.leave_rad[f] - heading + np.pi) % (2 * np.pi) - np.pi for f in out_of}
            back = {f for f in out_of if self._is_back(e, f, turn[f])}
            ways = sorted((f for f in out_of if f not in back), key=lambda f: (turn[f], f)) or sorted(back)
            if not ways:
                continue
            found = [(0, f, 0, turn[f]) for f in ways]
            angles = [np.pi if f in back else float(turn[f]) for f in ways]
            short = self.lengths[e] < _CHANGING_M
            n_lanes, targets = int(self.roads.edge_lanes[e]), self.roads.edge_lanes[ways].tolist()
            for lane, k, target in turns_of(n_lanes, angles, targets, short=short):
                found.append((1 + lane, ways[k], 1 + target, angles[k]))
            for lane, f, target, angle in found:
                yield self._path(e, lane, f, target, float(angle), f in back)

    def _is_back(self, e: int, f: int, turn_rad: float) -> bool:
        roads = self.roads
        return bool(roads.edge_to[f] == roads.edge_from[e] and abs(turn_rad) > _TURN_BACK_RAD)

    def _path(self, e: int, lane: int, f: int, target: int, turn_rad: float, back: bool) -> Path:
        a, b = self.shapes[e][lane], self.shapes[f][target]
        angles = [float(np.arctan2(*(p[1] - p[0])[::-1])) for p in (a[-2:], b[:2])]
        line = curve(a[-1], angles[0], b[0], angles[1])
        limits = self.roads.edge_speed_mps[[e, f]]
        limit_mps = 0.5 * float(limits.sum())
        bend = max(abs(turn_rad) - _FREE_TURN_RAD, 0.0)
        if bend > 0:
            limit_mps = min(limit_mps, float(np.sqrt(TURN_MPS2 * length_of(line) / bend)))
        letter = "t" if back else "s" if abs(turn_rad) <= STRAIGHT_RAD else "l" if turn_rad > 0 else "r"
        return Path(e, lane, f, target, line, max(limit_mps, _LEAST_SPEED_MPS), letter)

    def _decide(self, plan: _Plan) -> None:
        """Who yields to whom, and where those who turn left wait inside the junction."""
        rank = self._order(plan)
        plan.yields = [{j for j in foes if rank[j] < rank[k]} for k, foes in enumerate(plan.foes)]
        phase = self.lights.phase
        for k, path in enumerate(plan.paths):
            p = phase[path.start]
            oncoming = [j for j in plan.yields[k] if p < 0 or phase[plan.paths[j].start] in (p, INSIDE)]
            waits = path.lane > 0 and path.turn == "l" and p != INSIDE and len(oncoming) > 0
            plan.wait_m.append(waiting_point(path, [plan.paths[j] for j in oncoming]) if waits else 0.0)

    def _order(self, plan: _Plan) -> list[tuple[float, ...]]:
        main = self._main_axis(sorted({path.start for path in plan.paths}))
        order = list[tuple[float, ...]]()
        for k, path in enumerate(plan.paths):
            e, light = path.start, int(self.lights.phase[path.start])
            first = 0 if self.ring[e] or light == INSIDE else 1
            road = (light, 0) if light >= 0 else (int(self.roads.edge_rank[e]), 0 if e in main else 1)
            turn = "srlt".index(path.turn)
            order.append((float(path.lane == 0), first, *road, turn, k))
        return order

    def _main_axis(self, edges: list[int]) -> set[int]:
        """The two arms that together are most important and run on into each other."""
        pairs = [(a, b) for k, a in enumerate(edges) for b in edges[k + 1 :]]
        if not pairs:
            return set(edges)
        rank, angle = self.roads.edge_rank, self.arms.enter_rad
        cost = [float(rank[a] + rank[b] + 2.0 + 2.0 * np.cos(angle[a] - angle[b])) for a, b in pairs]
        return set(pairs[int(np.argmin(cost))])

    def _signal(self, plan: _Plan) -> SumoSignal | None:
        node = plan.node
        if not self.roads.node_signal[node] or not plan.paths:
            return None
        phase = [int(self.lights.phase[path.start]) for path in plan.paths]
        phases = phases_of(phase, plan.yields, bool(self.lights.alone[node]))
        return SumoSignal(f"n{node}", "0", "static", float(self.lights.offset_s[node]), phases)

    def _parts(self, plan: _Plan, into: list[int]) -> _NodeParts:
        parts = _NodeParts(plan, bool(self.roads.node_signal[plan.node]))
        x_m, y_m = float(self.roads.node_x_m[plan.node]), float(self.roads.node_y_m[plan.node])
        lanes = tuple(f"e{e}_{k}" for e in into for k in range(len(self.shapes[e])))
        parts.build(x_m, y_m, lanes)
        return parts


class _NodeParts:
    """One node's edges, connections and junctions."""

    def __init__(self, plan: _Plan, light: bool) -> None:
        self.plan, self.light, self.name = plan, light, f"n{plan.node}"
        self.edges: list[SumoEdge] = []
        self.connections: list[SumoConnection] = []
        self.junctions: list[SumoJunction] = []

    def build(self, x_m: float, y_m: float, lanes: tuple[str, ...]) -> None:
        plan = self.plan
        inside = [self._path(k) for k in range(len(plan.paths))]
        requests = tuple(
            SumoRequest(_bits(plan.yields[k]), _bits(plan.foes[k]), plan.wait_m[k] > 0) for k in range(len(plan.paths))
        )
        kind = "traffic_light" if self.light else "priority" if plan.paths else "dead_end"
        self.junctions.insert(0, SumoJunction(self.name, kind, x_m, y_m, lanes, tuple(inside), requests))

    def _path(self, k: int) -> str:
        """Lanes and connections of link k; the name of its last lane inside."""
        path, wait_m = self.plan.paths[k], self.plan.wait_m[k]
        lines = split_at(path.line, wait_m) if wait_m > 0 else (path.line,)
        names = [f":{self.name}_{k}", f":{self.name}_{len(self.plan.paths) + k}"][: len(lines)]
        width_m, classes = (BICYCLE_WIDTH_M, BICYCLES) if path.lane == 0 else (LANE_WIDTH_M, CARS)
        for name, line in zip(names, lines, strict=True):
            lane = SumoLane(f"{name}_0", path.limit_mps, max(length_of(line), 0.1), width_m, classes, as_points(line))
            self.edges.append(SumoEdge(name, True, self.name, self.name, -1, (lane,)))
        end = f"e{path.end}", path.target
        light, index = (self.name, k) if self.light else ("", -1)
        sight_m = _LIGHT_VISIBILITY_M if self.light else VISIBILITY_M
        state = "m" if self.plan.yields[k] else "M"
        start = f"e{path.start}", path.lane
        self._connect(start, end, f"{names[0]}_0", light, index, path.turn, state, sight_m)
        for n, name in enumerate(names):
            via = f"{names[n + 1]}_0" if n + 1 < len(names) else ""
            self._connect((name, 0), end, via, "", -1, path.turn, "m" if via else "M", sight_m)
        if len(names) > 1:
            self._waiting_place(k, names[1], path.line, wait_m)
        return f"{names[-1]}_0"

    def _connect(
        self,
        start: tuple[str, int],
        end: tuple[str, int],
        via: str,
        light: str,
        index: int,
        turn: str,
        state: str,
        sight_m: float,
    ) -> None:
        self.connections.append(SumoConnection(start, end, via, light, index, turn, state, True, sight_m))

    def _waiting_place(self, k: int, name: str, line: Array, wait_m: float) -> None:
        plan = self.plan
        x_m, y_m = (float(v) for v in split_at(line, wait_m)[1][0])
        waits_for = sorted(plan.yields[k])
        from_lanes = dict.fromkeys(f"e{plan.paths[j].start}_{plan.paths[j].lane}" for j in waits_for)
        lanes = (f":{self.name}_{k}_0", *from_lanes)
        inside = tuple(f":{self.name}_{j}_0" for j in sorted(plan.foes[k]))
        self.junctions.append(SumoJunction(f"{name}_0", "internal", x_m, y_m, lanes, inside, ()))


def _bits(links: set[int]) -> int:
    return sum(1 << k for k in links)


def _by_node(node: Array, n_nodes: int) -> list[list[int]]:
    lists: list[list[int]] = [[] for _ in range(n_nodes)]
    for e, v in enumerate(node.tolist()):
        lists[v].append(e)
    return lists


def _roundabouts(roads: Ways, arms: Arms) -> Bool[Array, "edges"]:
    """One-way edges on a small ring that is driven counter-clockwise."""
    out_of = _by_node(roads.edge_from, roads.n_nodes)
    ring = np.zeros(roads.n_edges, bool)
    for e in np.flatnonzero(~arms.two_way):
        edges, length_m = [int(e)], float(roads.edge_length_m[e])
        while length_m <= _ROUNDABOUT_M and len(edges) < 40:
            heading = arms.enter_rad[edges[-1]] + np.pi
            ways = [f for f in out_of[roads.edge_to[edges[-1]]] if not arms.two_way[f]]
            if not ways:
                break
            following = max(ways, key=lambda f: (arms.leave_rad[f] - heading + np.pi) % (2 * np.pi))
            if following == e:
                ring[edges] |= _turns_left(roads, edges)
                break
            edges.append(following)
            length_m += float(roads.edge_length_m[following])
    return ring


def _turns_left(roads: Ways, edges: list[int]) -> bool:
    """Whether a ring of edges is driven counter-clockwise: the area inside is positive."""
    points: Points = []
    for e in edges:
        part = slice(roads.shape_start[e], roads.shape_start[e + 1] - 1)
        points += list(zip(roads.shape_x_m[part].tolist(), roads.shape_y_m[part].tolist(), strict=True))
    x, y = np.array(points).T
    return bool((x * np.roll(y, -1) - y * np.roll(x, -1)).sum() > 0)
