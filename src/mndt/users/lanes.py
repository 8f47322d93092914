"""Lanes, rights of way and traffic lights of the roads: the ground that vehicles drive on.

Every directed edge has its car lanes and, beside them, one lane for bicycles, so that bicycles never
hold up cars. A junction is a point: lanes end at its stop line and the lanes of the next edge
begin there. From any lane a driver may go on to any lane of the next edge.

Right of way where there is no light: the more important road class goes first (`edge_rank`), then who
does not turn left, then who arrives first. At a light everyone with green is of the same class.
Lights run a fixed programme of two phases; junctions with lights that stand within 35 m along
the road are one crossing with one programme, and the short pieces between them are kept clear.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final, NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int32

from mndt.city.model import Ways

Array = np.ndarray

LANE_WIDTH_M: Final = 3.2
GREEN_S: Final = 30
YELLOW_S: Final = 3
ALL_RED_S: Final = 2
CYCLE_S: Final = 2 * (GREEN_S + YELLOW_S + ALL_RED_S)
CROSSING_GREEN_S: Final = 45
"""Green for cars where a light only lets walkers cross."""

CLUSTER_M: Final = 35.0
WAVE_MPS: Final = 11.0
"""Speed of the green wave that the programmes' offsets follow towards the north-east."""

CLEARING_RANK: Final = -1
"""Rank of the pieces between lights of one crossing: who is on them leaves first."""

_KERB_RAD: Final = 0.01  # right-hand traffic: entries lie a little to the left of an arm's axis, exits to the right


LANE: Final = np.dtype([("edge", np.int32), ("length_m", np.float64), ("limit_mps", np.float64)])
EDGE: Final = np.dtype(
    [
        ("first_lane", np.int32),
        ("car_end", np.int32),  # its car lanes end here, the bicycle lane begins
        ("lane_end", np.int32),
        ("start_node", np.int32),
        ("end_node", np.int32),
        ("rank", np.int32),
        ("alone", np.int32),  # one lane of cars leads to its start: nobody to wait for
        ("enter_rad", np.float64),
        ("leave_rad", np.float64),
        ("signal_cycle_s", np.float64),
        ("signal_from_s", np.float64),
        ("signal_green_s", np.float64),
        ("signal_yellow_s", np.float64),
    ]
)


class Road(NamedTuple):
    """`Lanes` as compiled code takes them: two tables."""

    lane: Array  # LANE
    edge: Array  # EDGE


@dataclass(frozen=True)
class Lanes:
    """Every lane of every directed edge.

    Lanes of edge e are rows ``edge_lane[e]:edge_lane[e + 1]``: first its `edge_car_lanes[e]` car lanes
    from the centre line to the kerb, then its bicycle lane.
    """

    lane_edge: Int32[Array, "lanes"]
    lane_length_m: Float64[Array, "lanes"]
    lane_limit_mps: Float64[Array, "lanes"]
    lane_offset_m: Float64[Array, "lanes"]  # of its middle, to the right of the edge's shape
    edge_lane: Int32[Array, "edges_plus_1"]
    edge_car_lanes: Int32[Array, "edges"]
    edge_from: Int32[Array, "edges"]
    edge_to: Int32[Array, "edges"]
    edge_rank: Int32[Array, "edges"]  # who goes first at the edge's end: the smaller number
    enter_rad: Float64[Array, "edges"]  # where, around the node at its end, traffic comes in
    leave_rad: Float64[Array, "edges"]  # where, around the node at its start, traffic goes out
    signal_cycle_s: Float64[Array, "edges"]  # of the light at the edge's end; 0 = no light
    signal_from_s: Float64[Array, "edges"]  # when green begins in the cycle
    signal_green_s: Float64[Array, "edges"]
    signal_yellow_s: Float64[Array, "edges"]  # after green; the rest of the cycle is red
    node_alone: Bool[Array, "nodes"]  # one lane of cars leads here: nobody to wait for
    shape_start: Int32[Array, "edges_plus_1"]
    shape: Float64[Array, "3 points"]  # x and y in m, and distance from the edge's start, scaled to the edge's length

    @cached_property
    def road(self) -> Road:
        """The tables that compiled code reads."""
        lane, edge = np.zeros(self.n_lanes, LANE), np.zeros(len(self.edge_from), EDGE)
        lane["edge"], lane["length_m"], lane["limit_mps"] = self.lane_edge, self.lane_length_m, self.lane_limit_mps
        edge["first_lane"], edge["car_end"] = self.edge_lane[:-1], self.edge_lane[:-1] + self.edge_car_lanes
        edge["lane_end"], edge["start_node"], edge["end_node"] = self.edge_lane[1:], self.edge_from, self.edge_to
        edge["rank"], edge["alone"] = self.edge_rank, self.node_alone[self.edge_from]
        for name in tuple(EDGE.names or ())[-6:]:  # angles and lights
            edge[name] = getattr(self, name)
        return Road(lane, edge)

    @property
    def n_lanes(self) -> int:
        """All lanes, those for bicycles included."""
        return len(self.lane_edge)

    @classmethod
    def from_ways(cls, roads: Ways) -> Lanes:
        """Lanes, priorities and light programmes of a city's roads.

        >>> import numpy as np
        >>> one = np.zeros(1, np.int32)
        >>> road = Ways(np.array([0.0, 90.0]), np.zeros(2), np.zeros(2, bool), one, one + 1, np.array([90.0]),
        ...             np.array([13.9]), one + 2, one, np.array([0, 2]), np.array([0.0, 90.0]), np.zeros(2))
        >>> Lanes.from_ways(road).lane_offset_m.round(2).tolist()  # a one-way street: two car lanes and the bicycles'
        [-1.6, 1.6, 4.0]
        """
        n_lanes = roads.edge_lanes.astype(np.int32) + 1
        edge_lane = np.concatenate(([0], np.cumsum(n_lanes))).astype(np.int32)
        lane_edge = np.repeat(np.arange(roads.n_edges, dtype=np.int32), n_lanes)
        enter_rad, leave_rad = _directions(roads)
        crossing = _crossings(roads)
        inside = _inside_crossing(roads, crossing)
        signal = _programmes(roads, crossing, inside, enter_rad)
        at_light = roads.node_signal[roads.edge_to]
        return cls(
            lane_edge=lane_edge,
            lane_length_m=np.maximum(roads.edge_length_m, 1.0).astype(np.float64)[lane_edge],
            lane_limit_mps=roads.edge_speed_mps.astype(np.float64)[lane_edge],
            lane_offset_m=_offsets(roads, edge_lane, lane_edge),
            edge_lane=edge_lane,
            edge_car_lanes=roads.edge_lanes.astype(np.int32),
            edge_from=roads.edge_from.astype(np.int32),
            edge_to=roads.edge_to.astype(np.int32),
            edge_rank=np.where(inside, CLEARING_RANK, np.where(at_light, 0, roads.edge_rank)).astype(np.int32),
            enter_rad=enter_rad + _KERB_RAD,
            leave_rad=leave_rad - _KERB_RAD,
            signal_cycle_s=signal[0],
            signal_from_s=signal[1],
            signal_green_s=signal[2],
            signal_yellow_s=signal[3],
            node_alone=np.bincount(roads.edge_to, roads.edge_lanes, roads.n_nodes) <= 1,
            shape_start=roads.shape_start.astype(np.int32),
            shape=np.stack([roads.shape_x_m, roads.shape_y_m, _distances(roads)]),
        )


def _directions(roads: Ways) -> tuple[Float64[Array, "edges"], Float64[Array, "edges"]]:
    """Angles of an edge's arm, seen from the node at its end and from the node at its start."""
    first, last = roads.shape_start[:-1], roads.shape_start[1:] - 1
    x, y = roads.shape_x_m, roads.shape_y_m
    enter = np.arctan2(y[last - 1] - y[last], x[last - 1] - x[last])
    leave = np.arctan2(y[first + 1] - y[first], x[first + 1] - x[first])
    return enter, leave


def _offsets(roads: Ways, edge_lane: Int32[Array, "edges_plus_1"], lane_edge: Int32[Array, "lanes"]) -> Array:
    """Lanes lie to the right of the shape where the street is two-way, around it where it is one-way."""
    pairs = set(zip(roads.edge_from.tolist(), roads.edge_to.tolist(), strict=True))
    two_way = np.array([(b, a) in pairs for a, b in zip(roads.edge_from.tolist(), roads.edge_to.tolist(), strict=True)])
    index = np.arange(len(lane_edge)) - edge_lane[lane_edge]
    n_cars = roads.edge_lanes[lane_edge]
    left_m = np.where(two_way[lane_edge], 0.0, -0.5 * n_cars * LANE_WIDTH_M)
    return np.asarray(left_m + np.where(index < n_cars, (index + 0.5) * LANE_WIDTH_M, n_cars * LANE_WIDTH_M + 0.8))


def _distances(roads: Ways) -> Float64[Array, "points"]:
    """Distance of every shape point from its edge's start, so that the last lies at the edge's length."""
    step = np.hypot(np.diff(roads.shape_x_m, prepend=0.0), np.diff(roads.shape_y_m, prepend=0.0))
    along = np.cumsum(step)
    count = np.diff(roads.shape_start)
    at = along - np.repeat(along[roads.shape_start[:-1]], count)
    length = np.maximum(at[roads.shape_start[1:] - 1], 1e-9)
    return np.asarray(at * np.repeat(np.maximum(roads.edge_length_m, 1.0) / length, count))


def _crossings(roads: Ways) -> Int32[Array, "nodes"]:
    """The crossing of every node with a light (nodes joined by short edges are one), -1 elsewhere."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    joined = roads.node_signal[roads.edge_from] & roads.node_signal[roads.edge_to] & (roads.edge_length_m < CLUSTER_M)
    ends = (roads.edge_from[joined], roads.edge_to[joined])
    graph = coo_matrix((np.ones(joined.sum(), np.int8), ends), shape=(roads.n_nodes, roads.n_nodes))
    _, label = connected_components(graph, directed=False)
    return np.where(roads.node_signal, label, -1).astype(np.int32)


def _inside_crossing(roads: Ways, crossing: Int32[Array, "nodes"]) -> Bool[Array, "edges"]:
    a, b = crossing[roads.edge_from], crossing[roads.edge_to]
    return np.asarray((a >= 0) & (a == b) & (roads.edge_length_m < CLUSTER_M))


def _programmes(
    roads: Ways, crossing: Int32[Array, "nodes"], inside: Bool[Array, "edges"], enter_rad: Float64[Array, "edges"]
) -> Float64[Array, "4 edges"]:
    """Cycle, start of green, green and yellow of the light at every edge's end; cycle 0 where there is none.

    Approaches within 45 degrees of the axis of the most important approach share its phase, the others have the
    second one. Where all share one axis the light is for walkers and cars have the longer green.
    """
    signal = np.zeros((4, roads.n_edges))
    group = np.where(inside, -1, crossing[roads.edge_to])
    for c in np.unique(group[group >= 0]):
        edges = np.flatnonzero(group == c)
        main = edges[np.lexsort((edges, -roads.edge_lanes[edges], roads.edge_rank[edges]))[0]]
        second = np.abs(np.cos(enter_rad[edges] - enter_rad[main])) < np.cos(np.pi / 4)
        node = roads.edge_to[main]
        offset_s = round((roads.node_x_m[node] + roads.node_y_m[node]) / WAVE_MPS) % CYCLE_S
        signal[0, edges] = CYCLE_S
        signal[1, edges] = (offset_s + np.where(second, CYCLE_S // 2, 0)) % CYCLE_S
        signal[2, edges] = GREEN_S if second.any() else CROSSING_GREEN_S
        signal[3, edges] = YELLOW_S
    return signal
