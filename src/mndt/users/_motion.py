"""One second of road traffic, compiled: decide, plan, move, hand over, drive off. Also locating."""

from __future__ import annotations

import zlib
from math import inf, sqrt
from pathlib import Path
from typing import Any

import numpy as np
from numba import njit

from mndt.users import _junctions, _krauss
from mndt.users._junctions import BOOKED, FREE, LOOK, STOP_GAP_M, collect, decide
from mndt.users._krauss import dawdle, follow_speed, free_speed, inlined, inner, stop_speed, uniform

Array = np.ndarray

STANDS_MPS = 0.1
"""Slower than this is standing (SUMO's waiting)."""

ASIDE_S = 300.0
"""Who has stood first at a line for so long, not for red, is in a gridlock (SUMO's default time to teleport)."""


@inlined
def _allowed_mps(lane, me, kind):  # type: ignore[no-untyped-def]
    """The speed a driver wants on a lane: limit or top speed, times his own factor."""
    return min(lane.limit_mps, kind.top_mps) * me.speed_factor


@inlined
def _safe_mps(t, kind, other, rear_lane_m, step_s):  # type: ignore[no-untyped-def]
    """Safe speed behind another vehicle whose lane begins `rear_lane_m` ahead of the own front."""
    other_kind = t.kind[other.kind]
    gap_m = rear_lane_m + other.position_m - other_kind.length_m - kind.min_gap_m
    return follow_speed(gap_m, other.speed_mps, other_kind.decel_mps2, kind.decel_mps2, kind.tau_s, step_s)


@inlined
def _plan(road, t, i, key, step_s):  # type: ignore[no-untyped-def]
    """The next speed of vehicle i from the old state of all (Krauss, in SUMO's order of limits)."""
    n, me, kind = t.vehicle.shape[0], t.vehicle[i], t.kind[t.vehicle[i].kind]
    lane, ahead, speed = road.lane[me.lane], t.leader[i], me.speed_mps
    safe, rear_lane_m = min(speed + kind.accel_mps2 * step_s, _allowed_mps(lane, me, kind)), -me.position_m
    see_m, distance_m, k, to_line_m, follows = t.note[i].sight_m, lane.length_m - me.position_m, 0, inf, False
    while True:
        if not follows and ahead < n:
            follows = True
            safe = min(safe, _safe_mps(t, kind, t.vehicle[ahead], rear_lane_m, step_s))
        if distance_m > see_m or me.cursor + k + 1 >= me.route_end:
            break
        if k >= me.promised:
            safe = min(safe, stop_speed(max(distance_m - STOP_GAP_M, 0.0), kind.decel_mps2, step_s, step_s))
            to_line_m = distance_m
            break
        lane, ahead, rear_lane_m = road.lane[t.next_lane[i, k]], t.leader[n + t.next_lane[i, k]], distance_m
        safe = min(safe, free_speed(distance_m, _allowed_mps(lane, me, kind), kind.decel_mps2, step_s))
        distance_m += lane.length_m
        k += 1
    plan = max(safe, speed - kind.emergency_mps2 * step_s, 0.0)
    if kind.sigma > 0.0:  # dawdling never brakes harder than planned or comfortable
        dawdled = dawdle(plan, kind.accel_mps2, kind.sigma, uniform(key, i), step_s)
        plan = max(dawdled, min(plan, max(0.0, speed - kind.decel_mps2 * step_s)))
    return min(plan, max(to_line_m - 1e-6, 0.0) / step_s)  # whatever happens, nobody runs over a line


@inlined
def _link(t, i, lane):  # type: ignore[no-untyped-def]
    """Put vehicle i into the list of a lane, behind everyone further on."""
    n, me = t.vehicle.shape[0], t.vehicle[i]
    ahead = t.leader[n + lane]
    while ahead < n and t.vehicle[ahead].position_m < me.position_m:
        ahead = t.leader[ahead]
    behind = t.follower[ahead]
    t.leader[i], t.follower[i] = ahead, behind
    t.follower[ahead] = i
    t.leader[behind] = i
    me.lane = lane


@inner
def _hand_over(road, t):  # type: ignore[no-untyped-def]
    """Move those beyond their lane's end to the next lane, and those beyond their route's end off the road."""
    n = t.vehicle.shape[0]
    for lane in range(road.lane.shape[0]):
        i = t.follower[n + lane]
        while i < n and t.vehicle[i].position_m > road.lane[lane].length_m:
            me, here = t.vehicle[i], int(lane)
            t.follower[n + lane] = t.follower[i]
            t.leader[t.follower[i]] = n + lane
            while here >= 0 and me.position_m > road.lane[here].length_m:
                me.position_m -= road.lane[here].length_m
                me.cursor += 1
                here = t.next_lane[i, 0] if me.cursor < me.route_end else -1
                for k in range(1, LOOK):
                    t.next_lane[i, k - 1] = t.next_lane[i, k]
                me.promised = max(me.promised - 1, 0)
            me.lane = here
            if here >= 0:
                _link(t, np.int64(i), here)
            i = t.follower[n + lane]


@inner
def _drive_off(road, t, r, i, blocked):  # type: ignore[no-untyped-def]
    """Put a waiting vehicle at the start of its first edge, standing, if there is room that nobody was promised."""
    n, me, kind = t.vehicle.shape[0], t.vehicle[i], t.kind[t.vehicle[i].kind]
    edge = road.edge[t.route_edge[me.cursor]]
    while road.lane[edge.first_lane].length_m < kind.length_m and me.cursor + 1 < me.route_end:
        me.cursor += 1  # an edge shorter than the vehicle is left out
        edge = road.edge[t.route_edge[me.cursor]]
    me.route_start = me.cursor
    lane, end = edge.first_lane, edge.car_end
    if kind.cycles > 0.0 and edge.lane_end > edge.car_end:
        lane, end = edge.car_end, edge.lane_end
    best, best_m = -1, -inf
    while lane < end:
        last, free_m = t.leader[n + lane], road.lane[lane].length_m
        if last < n:
            other = t.vehicle[last]
            free_m = other.position_m - t.kind[other.kind].length_m - kind.min_gap_m - kind.length_m
        open_here = (r.intake[lane].taken_by == FREE or r.intake[lane].taken_by == BOOKED) and not blocked[lane]
        if open_here and free_m >= 0.0 and free_m > best_m:
            best, best_m = lane, free_m
        lane += 1
    if best < 0:
        for k in range(edge.first_lane, edge.lane_end):
            blocked[k] = blocked[k] or (k >= edge.car_end) == (kind.cycles > 0.0)  # first come, first served
        return False
    me.position_m, me.speed_mps, me.waited_s, me.promised = kind.length_m, 0.0, 0.0, 0
    me.position_m = min(me.position_m, road.lane[best].length_m)
    _link(t, i, best)
    return True


def _compiled(stamp: int) -> Any:
    """`second`, kept on disk. numba renews what it kept when this file changes; the stamp, part of the key because
    it is a closure's value, makes it do so for the files of the functions called from here, too.
    """

    @njit(cache=True, nogil=True, error_model="numpy")
    def second(road, t, r, blocked, active, queue, out, time_s, key, step_s):  # type: ignore[no-untyped-def]
        """One step. Rows of `out` take the vehicles on the road, in the queue, arrived; their numbers are returned."""
        if stamp < 0:
            return 0, 0, 0, 0
        n, n_queue, n_arrived = t.vehicle.shape[0], 0, 0
        for node in range(n, t.leader.shape[0]):
            t.leader[node], t.follower[node] = node, node
        for i in active:
            t.note[i].won, t.note[i].limit, t.note[i].at_red = 0, LOOK, 0
            _link(t, np.int64(i), np.int64(t.vehicle[i].lane))
        collect(road, t, r, time_s + step_s, step_s)
        decide(road, t, r, active, queue, step_s)
        for i in active:
            t.note[i].next_mps = _plan(road, t, i, key, step_s)
        for i in active:
            me, note = t.vehicle[i], t.note[i]
            me.speed_mps = note.next_mps
            me.position_m += note.next_mps * step_s
            me.odometer_m += note.next_mps * step_s
            waits = t.leader[i] >= n and note.next_mps < STANDS_MPS and not note.at_red
            me.waited_s = me.waited_s + step_s if waits else 0.0
        _hand_over(road, t)
        for i in active:
            me = t.vehicle[i]
            if me.lane < 0:
                me.speed_mps = 0.0
                out[2, n_arrived] = i
                n_arrived += 1
            elif me.waited_s >= ASIDE_S:  # it makes room and waits at the kerb of the next street
                t.leader[t.follower[i]], t.follower[t.leader[i]] = t.leader[i], t.follower[i]
                me.lane, me.cursor, me.waited_s = -1, me.cursor + 1, 0.0
                out[1, n_queue] = i
                n_queue += 1
        n_aside = n_queue
        for i in queue:
            if t.vehicle[i].cursor >= t.vehicle[i].route_end:  # a route without edges
                out[2, n_arrived] = i
                n_arrived += 1
            elif not _drive_off(road, t, r, np.int64(i), blocked):
                t.vehicle[i].waited_s += step_s
                out[1, n_queue] = i
                n_queue += 1
        count = 0
        for lane in range(road.lane.shape[0]):
            i = t.follower[n + lane]
            while i < n:
                out[0, count] = i
                count += 1
                i = t.follower[i]
        return count, n_queue, n_arrived, n_aside

    return second


second = _compiled(sum(zlib.crc32(Path(str(module.__file__)).read_bytes()) for module in (_junctions, _krauss)))


@njit(cache=True, nogil=True, error_model="numpy")
def find_places(lane_edge, lane_offset_m, shape_start, shape, vehicle, rows, xy_m):  # type: ignore[no-untyped-def]
    """Coordinates of the vehicles on the road: a point of the edge's shape, moved right to the lane's middle.

    Rows of `shape`: x, y, distance along the edge. Rows of `xy_m`: x, y.
    """
    for i in rows:
        lane, at = vehicle[i].lane, vehicle[i].position_m
        p, last = shape_start[lane_edge[lane]], shape_start[lane_edge[lane] + 1] - 2
        while p < last and shape[2, p + 1] < at:
            p += 1
        dx, dy = shape[0, p + 1] - shape[0, p], shape[1, p + 1] - shape[1, p]
        share = (at - shape[2, p]) / max(shape[2, p + 1] - shape[2, p], 1e-9)
        right = lane_offset_m[lane] / max(sqrt(dx * dx + dy * dy), 1e-9)
        xy_m[0, i] = shape[0, p] + share * dx + right * dy
        xy_m[1, i] = shape[1, p] + share * dy - right * dx
