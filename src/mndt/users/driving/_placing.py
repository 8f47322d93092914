"""Putting vehicles on the road that are under way when the simulation starts: plain Python, done once."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np

from mndt.users.driving._krauss import follow_speed, stop_speed
from mndt.users.driving.lane_map import LaneMap

Array = np.ndarray

STOP_GAP_M: Final = 1.0
_STEP_M = 2.0  # how finely free places are looked for
_STEP_S = 1.0
_PACE = 0.5  # share of the wanted speed at which people are found under way in a city


class Kind(NamedTuple):
    """A row of the table of kinds, and the driver's speed factor."""

    length_m: float
    min_gap_m: float
    accel_mps2: float
    decel_mps2: float
    emergency_mps2: float
    sigma: float
    tau_s: float
    top_mps: float
    classes: float
    speed_factor: float


class Spot(NamedTuple):
    """A vehicle on a lane."""

    position_m: float
    speed_mps: float
    kind: Kind


@dataclass
class Placing:
    """Who stands where while vehicles are put on the road one after the other."""

    lanes: LaneMap
    on_lane: dict[int, list[Spot]] = field(default_factory=dict)  # by position, last vehicle first

    def add(self, lane: int, spot: Spot) -> None:
        """Take note of a vehicle."""
        spots = self.on_lane.setdefault(lane, [])
        spots.insert(bisect_left([s.position_m for s in spots], spot.position_m), spot)

    def find(self, edges: Sequence[int], along_m: float, kind: Kind) -> tuple[int, int, Spot] | None:
        """The first free place at or after `along_m` of a route: index of the edge, lane, spot."""
        for k, edge in enumerate(edges):
            rows = self.lanes_for(edge, edges[k + 1] if k + 1 < len(edges) else -1, kind)
            if not rows:
                return None
            length_m = float(self.lanes.lane_length_m[rows[0]])
            if along_m >= length_m and k + 1 < len(edges):
                along_m -= length_m
                continue
            for at_m in np.arange(max(along_m, kind.length_m), length_m - STOP_GAP_M, _STEP_M).tolist():
                speed_mps, lane = max((self._fits(lane, at_m, kind), -lane) for lane in rows)
                if speed_mps >= 0:
                    return k, -lane, Spot(at_m, speed_mps, kind)
            along_m = 0.0
        return None

    def lanes_for(self, edge: int, then: int, kind: Kind) -> list[int]:
        """Lanes of an edge that a kind of vehicle may use; those that lead on to edge `then`, if there are any."""
        m = self.lanes
        may = [
            lane
            for lane in range(int(m.edge_lane[edge]), int(m.edge_lane[edge + 1]))
            if int(m.lane_classes[lane]) & int(kind.classes)
        ]
        leads = [
            lane for lane in may if (m.lane_edge[m.link_to[m.lane_link[lane] : m.lane_link[lane + 1]]] == then).any()
        ]
        return leads or may

    def _fits(self, lane: int, at_m: float, kind: Kind) -> float:
        """The speed at which a vehicle can be put there so that nobody has to brake hard; -1 if it does not fit."""
        spots = self.on_lane.get(lane, [])
        k = bisect_left([s.position_m for s in spots], at_m)
        to_line_m = float(self.lanes.lane_length_m[lane]) - at_m - STOP_GAP_M
        speed = _PACE * min(float(self.lanes.lane_limit_mps[lane]), kind.top_mps) * kind.speed_factor
        speed = min(speed, stop_speed(to_line_m, 0.0, kind.decel_mps2, _STEP_S, _STEP_S, False))
        if k < len(spots):
            gap_m = spots[k].position_m - spots[k].kind.length_m - kind.min_gap_m - at_m
            if gap_m < 0:
                return -1.0
            speed = min(speed, _behind(gap_m, spots[k].speed_mps, spots[k].kind, kind))
        if k > 0:
            other = spots[k - 1]
            gap_m = at_m - kind.length_m - other.kind.min_gap_m - other.position_m
            if gap_m < 0 or _behind(gap_m, speed, kind, other.kind) < other.speed_mps:
                return -1.0
        return speed  # type: ignore[no-any-return]


def _behind(gap_m: float, leader_mps: float, leader: Kind, kind: Kind) -> float:
    b = kind.decel_mps2  # as emergency deceleration, too: nobody shall need more
    return float(follow_speed(gap_m, 0.0, leader_mps, leader.decel_mps2, b, b, kind.tau_s, _STEP_S, False))
