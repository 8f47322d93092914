"""An eye on vehicles that knows nothing of the engine: who overlaps, who crosses on red.

It sees lane and position of everybody once a step and the map. What it cannot see are ways that cross inside a
junction: only vehicles on one lane count as overlapping, those whose rear still stands on it included.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from mndt.users.driving.lane_map import LaneMap
    from mndt.users.driving.vehicles import VehicleMemory

Array = np.ndarray

TOUCH_M: Final = 1e-6
RED: Final = (ord("r"), ord("u"))
_HOPS: Final = 6  # lanes inside junctions that one step may pass


@dataclass
class Watch:
    """Counts up to the last look."""

    lanes: LaneMap
    overlaps: int = 0  # pairs that overlap, counted in each step
    red_crossings: int = 0
    _lane: dict[int, int] = field(default_factory=dict)
    _trail: dict[int, list[int]] = field(default_factory=dict)  # lanes behind, the nearest first

    def look(self, memory: VehicleMemory, second: int) -> None:
        """Take note of everybody at the end of the step that began at a second."""
        rows = memory.active
        lane, position_m = memory.lane[rows], memory.position_m[rows]
        length_m = memory.kinds[memory.vehicle["kind"][rows], 0]
        for row, now in zip(rows.tolist(), lane.tolist(), strict=True):
            before = self._lane.get(row, now)
            if now != before:
                self._went(row, before, now, second)
        self._lane = dict(zip(rows.tolist(), lane.tolist(), strict=True))
        self.overlaps += self._overlapping(rows, lane, position_m, length_m)

    def _went(self, row: int, before: int, now: int, second: int) -> None:
        m = self.lanes
        if m.lane_edge[before] == m.lane_edge[now]:  # beside each other
            self._trail[row] = []
            return
        links = self._way(before, now)
        for link in links:
            self.red_crossings += int(self._letter(link, second) in RED)
        if links and int(m.link_next[links[-1]]) != now:  # it has changed lanes since
            self._trail[row] = []
            return
        passed = [int(m.link_from[link]) for link in reversed(links)]
        self._trail[row] = (passed + self._trail.get(row, []))[:_HOPS]

    def _way(self, before: int, now: int) -> list[int]:
        """Links from one lane to another or, where there is no way, to a lane beside it."""
        return self._links(before, lambda lane: lane == now) or self._links(
            before, lambda lane: self.lanes.lane_edge[lane] == self.lanes.lane_edge[now]
        )

    def _links(self, before: int, is_there: Callable[[int], bool]) -> list[int]:
        m, ways = self.lanes, [[before]]
        trails: list[list[int]] = [[]]
        for _ in range(_HOPS):
            longer: list[list[int]] = []
            reached: list[list[int]] = []
            for lanes_of, links in zip(ways, trails, strict=True):
                for link in range(int(m.lane_link[lanes_of[-1]]), int(m.lane_link[lanes_of[-1] + 1])):
                    to = int(m.link_next[link])
                    if is_there(to):
                        return [*links, link]
                    longer.append([*lanes_of, to])
                    reached.append([*links, link])
            ways, trails = longer, reached
        return []

    def _letter(self, link: int, second: int) -> int:
        m, signal = self.lanes, int(self.lanes.link_signal[link])
        if signal < 0:
            return 0
        return int(m.signal_state[m.signal_start[signal] + second % m.signal_cycle_s[signal]])

    def _overlapping(self, rows: Array, lane: Array, front_m: Array, length_m: Array) -> int:
        """Pairs on one lane: each vehicle takes a piece of its own lane, and of those its rear still stands on."""
        pieces_lane, pieces_to, pieces_from = lane.tolist(), front_m.tolist(), (front_m - length_m).tolist()
        for k in np.flatnonzero(front_m < length_m).tolist():
            rear_m = float(front_m[k] - length_m[k])
            for behind in self._trail.get(int(rows[k]), []):
                end_m = float(self.lanes.lane_length_m[behind])
                pieces_lane.append(behind)
                pieces_to.append(end_m)
                pieces_from.append(end_m + rear_m)
                rear_m += end_m
                if rear_m >= 0.0:
                    break
        where, to, since = np.array(pieces_lane, np.int64), np.array(pieces_to), np.array(pieces_from)
        order = np.lexsort((since, where))
        same = where[order][1:] == where[order][:-1]
        return int((same & (to[order][:-1] - since[order][1:] > TOUCH_M)).sum())
