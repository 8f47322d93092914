"""One second of road traffic, compiled: decide, plan, move, hand over, drive off. Also placing and locating."""

from __future__ import annotations

from math import inf, sqrt
from typing import Any

import numpy as np
from numba import njit

from mndt.users._junctions import (
    ACCEL,
    BOOKED,
    CYCLES,
    DECEL,
    EMERGENCY,
    FREE,
    LENGTH,
    LOOK,
    MAX_SPEED,
    MIN_GAP,
    SIGMA,
    STOP_GAP_M,
    TAU,
    Requests,
    Traffic,
    car_or_cycle_lanes,
    collect,
    decide,
    sight_m,
)
from mndt.users._krauss import dawdle, follow_speed, free_speed, stop_speed, uniform
from mndt.users.lanes import Lanes

Array = np.ndarray

STANDS_MPS = 0.1
"""Slower than this is standing (SUMO's waiting)."""


@njit(cache=True, nogil=True, error_model="numpy")
def allowed_mps(lanes: Lanes, t: Traffic, i: int, lane: int) -> float:
    """The speed a driver wants on a lane: limit or top speed, times his own factor."""
    return float(min(lanes.lane_limit_mps[lane], t.kinds[t.kind[i], MAX_SPEED]) * t.speed_factor[i])


@njit(cache=True, nogil=True, error_model="numpy")
def _behind(t: Traffic, i: int, j: int, to_rear_lane_m: float, step_s: float) -> float:
    """Safe speed of i behind j, whose lane begins `to_rear_lane_m` ahead of the front of i."""
    kind, other = t.kinds[t.kind[i]], t.kinds[t.kind[j]]
    gap_m = to_rear_lane_m + t.position_m[j] - other[LENGTH] - kind[MIN_GAP]
    return follow_speed(gap_m, t.speed_mps[j], other[DECEL], kind[DECEL], kind[TAU], step_s)


@njit(cache=True, nogil=True, error_model="numpy")
def _plan(lanes: Lanes, t: Traffic, i: int, key: Any, step_s: float) -> float:
    """The next speed of vehicle i from the old state of all (Krauss, in SUMO's order of limits)."""
    n, kind, lane, speed = t.lane.shape[0], t.kinds[t.kind[i]], t.lane[i], t.speed_mps[i]
    safe = min(speed + kind[ACCEL] * step_s, allowed_mps(lanes, t, i, lane))
    see_m, distance_m, k, to_line_m = sight_m(t, i, step_s), lanes.lane_length_m[lane] - t.position_m[i], 0, inf
    follows = t.leader[i] < n
    if follows:
        safe = min(safe, _behind(t, i, t.leader[i], -t.position_m[i], step_s))
    while distance_m <= see_m and t.cursor[i] + k + 1 < t.route_end[i]:
        if k >= t.promised[i]:
            safe = min(safe, stop_speed(max(distance_m - STOP_GAP_M, 0.0), kind[DECEL], step_s, step_s))
            to_line_m = distance_m
            break
        lane = t.next_lane[i, k]
        safe = min(safe, free_speed(distance_m, allowed_mps(lanes, t, i, lane), kind[DECEL], step_s))
        if not follows and t.leader[n + lane] < n:
            follows = True
            safe = min(safe, _behind(t, i, t.leader[n + lane], distance_m, step_s))
        distance_m += lanes.lane_length_m[lane]
        k += 1
    plan = max(safe, speed - kind[EMERGENCY] * step_s, 0.0)
    if kind[SIGMA] > 0.0:  # dawdling never brakes harder than planned or comfortable
        dawdled = dawdle(plan, kind[ACCEL], kind[SIGMA], uniform(key, i), step_s)
        plan = max(dawdled, min(plan, max(0.0, speed - kind[DECEL] * step_s)))
    return float(min(plan, max(to_line_m - 1e-6, 0.0) / step_s))  # whatever happens, nobody runs over a line


@njit(cache=True, nogil=True, error_model="numpy")
def _link(t: Traffic, i: int, lane: int) -> None:
    """Put vehicle i into the circular list of a lane; node n + lane of the list is the lane itself."""
    n = t.lane.shape[0]
    ahead = t.leader[n + lane]
    while ahead < n and t.position_m[ahead] < t.position_m[i]:
        ahead = t.leader[ahead]
    behind = t.follower[ahead]
    t.leader[i], t.follower[i] = ahead, behind
    t.follower[ahead] = i
    t.leader[behind] = i
    t.lane[i] = lane


@njit(cache=True, nogil=True, error_model="numpy")
def _hand_over(lanes: Lanes, t: Traffic) -> None:
    """Move those beyond their lane's end to the next lane, and those beyond their route's end off the road."""
    n = t.lane.shape[0]
    for lane in range(lanes.lane_edge.shape[0]):
        i = t.follower[n + lane]
        while i < n and t.position_m[i] > lanes.lane_length_m[lane]:
            t.follower[n + lane] = t.follower[i]
            t.leader[t.follower[i]] = n + lane
            here = lane
            while here >= 0 and t.position_m[i] > lanes.lane_length_m[here]:
                t.position_m[i] -= lanes.lane_length_m[here]
                t.cursor[i] += 1
                here = t.next_lane[i, 0] if t.cursor[i] < t.route_end[i] else -1
                for k in range(1, LOOK):
                    t.next_lane[i, k - 1] = t.next_lane[i, k]
                t.promised[i] = max(t.promised[i] - 1, 0)
            t.lane[i] = here
            if here >= 0:
                _link(t, i, here)
            i = t.follower[n + lane]


@njit(cache=True, nogil=True, error_model="numpy")
def _drive_off(lanes: Lanes, t: Traffic, r: Requests, edge_blocked: Array, i: int) -> bool:
    """Insert a waiting vehicle at the start of its first edge, standing, if there is room and nobody has a promise."""
    n, kind = t.lane.shape[0], t.kinds[t.kind[i]]
    while True:  # an edge shorter than the vehicle is left out
        edge = t.route_edge[t.cursor[i]]
        first, end = car_or_cycle_lanes(lanes, edge, kind[CYCLES] > 0.0)
        if lanes.lane_length_m[first] >= kind[LENGTH] or t.cursor[i] + 1 >= t.route_end[i]:
            break
        t.cursor[i] += 1
    t.route_start[i] = t.cursor[i]
    best, best_m = -1, -inf
    for lane in range(first, end):
        last, free_m = t.leader[n + lane], lanes.lane_length_m[lane]
        if last < n:
            free_m = t.position_m[last] - t.kinds[t.kind[last], LENGTH] - kind[MIN_GAP] - kind[LENGTH]
        if (r.taken_by[lane] == FREE or r.taken_by[lane] == BOOKED) and free_m >= 0.0 and free_m > best_m:
            best, best_m = lane, free_m
    if best < 0 or edge_blocked[edge]:
        edge_blocked[edge] = True  # first come, first served
        return False
    t.position_m[i] = min(kind[LENGTH], lanes.lane_length_m[best])
    t.speed_mps[i] = 0.0
    t.waited_s[i] = 0.0
    t.promised[i] = 0
    _link(t, i, best)
    return True


@njit(cache=True, nogil=True, error_model="numpy")
def second(
    lanes: Lanes,
    t: Traffic,
    r: Requests,
    edge_blocked: Array,
    next_mps: Array,
    out: Any,
    time_s: float,
    key: Any,
    step_s: float,
) -> tuple[int, int, int]:
    """One step. `out` takes the new rows on the road, the new queue and the arrivals; their numbers are returned."""
    n, (active, queue, arrived) = t.lane.shape[0], out
    collect(lanes, t, r, time_s + step_s, step_s)
    decide(lanes, t, r, step_s)
    for a in range(t.active.shape[0]):
        next_mps[a] = _plan(lanes, t, t.active[a], key, step_s)
    for a in range(t.active.shape[0]):
        i = t.active[a]
        t.speed_mps[i] = next_mps[a]
        t.position_m[i] += next_mps[a] * step_s
        t.odometer_m[i] += next_mps[a] * step_s
        waits = t.leader[i] >= n and next_mps[a] < STANDS_MPS and not r.at_red[i]
        t.waited_s[i] = t.waited_s[i] + step_s if waits else 0.0
    _hand_over(lanes, t)
    n_active, n_queue, n_arrived = 0, 0, 0
    for i in t.active:
        if t.lane[i] >= 0:
            active[n_active] = i
            n_active += 1
        else:
            t.speed_mps[i] = 0.0
            arrived[n_arrived] = i
            n_arrived += 1
    for i in t.queue:
        if t.cursor[i] >= t.route_end[i]:  # a route without edges
            arrived[n_arrived] = i
            n_arrived += 1
        elif _drive_off(lanes, t, r, edge_blocked, i):
            active[n_active] = i
            n_active += 1
        else:
            t.waited_s[i] += step_s
            queue[n_queue] = i
            n_queue += 1
    return n_active, n_queue, n_arrived


@njit(cache=True, nogil=True, error_model="numpy")
def _fits(lanes: Lanes, t: Traffic, i: int, lane: int, at_m: float) -> float:
    """The speed at which vehicle i can be put at a place without anyone braking hard; -1 if it does not fit."""
    n, kind, step_s = t.lane.shape[0], t.kinds[t.kind[i]], 1.0
    ahead = t.leader[n + lane]
    while ahead < n and t.position_m[ahead] < at_m:
        ahead = t.leader[ahead]
    behind = t.follower[ahead]
    speed = min(
        allowed_mps(lanes, t, i, lane),
        stop_speed(lanes.lane_length_m[lane] - at_m - STOP_GAP_M, kind[DECEL], step_s, step_s),
    )
    if ahead < n:
        other = t.kinds[t.kind[ahead]]
        gap_m = t.position_m[ahead] - other[LENGTH] - kind[MIN_GAP] - at_m
        if gap_m < 0.0:
            return -1.0
        speed = min(speed, follow_speed(gap_m, t.speed_mps[ahead], other[DECEL], kind[DECEL], kind[TAU], step_s))
    if behind < n:
        other = t.kinds[t.kind[behind]]
        gap_m = at_m - kind[LENGTH] - other[MIN_GAP] - t.position_m[behind]
        if (
            gap_m < 0.0
            or follow_speed(gap_m, speed, kind[DECEL], other[DECEL], other[TAU], step_s) < t.speed_mps[behind]
        ):
            return -1.0
    return speed


@njit(cache=True, nogil=True, error_model="numpy")
def put_under_way(lanes: Lanes, t: Traffic, i: int, along_m: float) -> bool:
    """Put vehicle i about `along_m` into its route, or at the next free place further on; False if there is none."""
    kind = t.kinds[t.kind[i]]
    while t.cursor[i] + 1 < t.route_end[i]:
        length_m = lanes.lane_length_m[lanes.edge_lane[t.route_edge[t.cursor[i]]]]
        if along_m < length_m:
            break
        along_m -= length_m
        t.cursor[i] += 1
    while t.cursor[i] < t.route_end[i]:
        edge = t.route_edge[t.cursor[i]]
        first, end = car_or_cycle_lanes(lanes, edge, kind[CYCLES] > 0.0)
        at_m = max(along_m, kind[LENGTH])
        while at_m <= lanes.lane_length_m[first] - STOP_GAP_M:
            best, best_mps = -1, -1.0
            for lane in range(first, end):
                speed = _fits(lanes, t, i, lane, at_m)
                if speed > best_mps:
                    best, best_mps = lane, speed
            if best >= 0:
                t.position_m[i], t.speed_mps[i], t.route_start[i] = at_m, best_mps, t.cursor[i]
                _link(t, i, best)
                return True
            at_m += 2.0
        t.cursor[i] += 1
        along_m = 0.0
    return False


@njit(cache=True, nogil=True, error_model="numpy")
def put_all(lanes: Lanes, t: Traffic, rows: Array, along_m: Array, placed: Array) -> None:
    """Put the vehicles of `rows` one after the other; who finds no place goes back to where he wanted to be."""
    for a in range(rows.shape[0]):
        i = rows[a]
        placed[a] = put_under_way(lanes, t, i, along_m[a])
        if not placed[a]:
            t.cursor[i] = t.route_start[i]


@njit(cache=True, nogil=True, error_model="numpy")
def find_places(lanes: Lanes, lane_of: Array, position_m: Array, rows: Array, x_m: Array, y_m: Array) -> None:
    """Coordinates of the vehicles on the road: a point of the edge's shape, moved right to the lane's middle."""
    for i in rows:
        lane, at = lane_of[i], position_m[i]
        edge = lanes.lane_edge[lane]
        p, last = lanes.shape_start[edge], lanes.shape_start[edge + 1] - 2
        while p < last and lanes.shape_at_m[p + 1] < at:
            p += 1
        dx, dy = lanes.shape_x_m[p + 1] - lanes.shape_x_m[p], lanes.shape_y_m[p + 1] - lanes.shape_y_m[p]
        span = max(lanes.shape_at_m[p + 1] - lanes.shape_at_m[p], 1e-9)
        share, norm = (at - lanes.shape_at_m[p]) / span, max(sqrt(dx * dx + dy * dy), 1e-9)
        x_m[i] = lanes.shape_x_m[p] + share * dx + lanes.lane_offset_m[lane] * dy / norm
        y_m[i] = lanes.shape_y_m[p] + share * dy - lanes.lane_offset_m[lane] * dx / norm
