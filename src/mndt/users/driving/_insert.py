"""Driving off: on which lane, where and how fast a waiting vehicle comes onto the road, and whether there is room."""

from __future__ import annotations

from math import inf
from typing import Final

from mndt.users.driving._krauss import brake_gap, inlined, inner, stop_speed, uniform
from mndt.users.driving._lanes import LOOK_M, next_link, orient
from mndt.users.driving._links import POSITION_M, rear_m
from mndt.users.driving._neighbours import secure_m
from mndt.users.driving._plan import NEAR_M, lane_top, last_rear
from mndt.users.driving._tables import NEVER, WIDEST

_MOST_SEEN: Final = 64
_ANY, _FREE, _ALLOWED, _FIRST = -1, -2, -4, -5  # words for lanes; the others mean the best one
_AVERAGE, _DESIRED, _LIMIT, _LAST, _RANDOM = -6, -3, -4, -5, -1  # words for speeds; the other one means the largest
_BASE_SALT: Final = 5_000_011


@inlined
def append(t, i, lane):  # type: ignore[no-untyped-def]
    """Put vehicle i onto a lane, behind those whose front is farther."""
    n, at_m = t.vehicle.shape[0], t.vehicle[i].position_m
    ahead = t.leader[n + lane]
    while ahead < n and t.vehicle[ahead].position_m < at_m:
        ahead = t.leader[ahead]
    behind = t.follower[ahead]
    t.leader[i], t.follower[i] = ahead, behind
    t.follower[ahead] = i
    t.leader[behind] = i


@inlined
def _can_stop(t, s, other, gap_m):  # type: ignore[no-untyped-def]
    """Whether a vehicle that comes from behind can stop for one that stands `gap_m` ahead."""
    k = t.kind[other.kind]
    stop_m = brake_gap(other.speed_mps, k.decel_mps2, s.step_s, s.ballistic) + other.speed_mps * k.tau_s
    return gap_m - k.min_gap_m >= stop_m


@inlined
def _can_follow(t, s, other, gap_m, i, v):  # type: ignore[no-untyped-def]
    """Whether it can brake comfortably behind vehicle i, `gap_m` ahead and v fast."""
    k = t.kind[other.kind]
    return gap_m - k.min_gap_m >= secure_m(other.speed_mps, v, k, t.kind[t.vehicle[i].kind], s)


@inner
def _room(road, t, s, i, lane, at_m, v):  # type: ignore[no-untyped-def]
    """How fast, up to v, vehicle i may be with its front at a point of a lane, -1 = there is no room for it.

    Nobody is there, nobody ahead is too near, and nobody behind would have to brake hard.
    """
    n = t.vehicle.shape[0]
    kind = t.kind[t.vehicle[i].kind]
    back_m = at_m - kind.length_m
    ahead = t.leader[n + lane]
    behind = n + lane
    while ahead < n and t.vehicle[ahead].position_m < at_m:
        behind, ahead = ahead, t.leader[ahead]
    if ahead >= n:
        ahead = last_rear(road, t, lane)
    if 0 <= ahead < n:
        gap_m = rear_m(t, road, ahead, lane) - at_m - kind.min_gap_m
        if gap_m < 0.0:
            return -1.0
        if v > 0.0:
            other = t.vehicle[ahead]
            b = max(kind.decel_mps2, t.kind[other.kind].decel_mps2)
            reach_m = gap_m + brake_gap(other.speed_mps, b, s.step_s, s.ballistic)
            v = max(0.0, min(v, stop_speed(reach_m, v, kind.decel_mps2, kind.tau_s, s.step_s, s.ballistic)))
    if behind < n:
        other = t.vehicle[behind]
        return v if _can_follow(t, s, other, back_m - other.position_m, i, v) else -1.0
    seen = 0
    for e in range(t.first_approach[lane], t.first_approach[lane + 1]):
        link = t.approach_link[e]
        k = road.link[link].approach
        while k >= 0 and seen < _MOST_SEEN:
            item = t.item[k]
            k = item.after
            seen += 1
            other = t.vehicle[item.vehicle]
            if item.request and other.lane >= 0 and other.lane != lane:
                gap_m = item.distance_m - other.speed_mps * s.step_s + back_m
                near = road.lane[other.lane].internal or item.distance_m < NEAR_M
                if near and not _can_stop(t, s, other, gap_m):
                    return -1.0
    return v


@inner
def _lane_to_start(road, t, s, i):  # type: ignore[no-untyped-def]
    """The lane of its edge that vehicle i starts on, -1 = none: of those that it may choose, the one where the last
    vehicle is farthest."""
    n = t.vehicle.shape[0]
    me = t.vehicle[i]
    edge = t.route_edge[me.cursor]
    first, end = road.edge_lane[edge], road.edge_lane[edge + 1]
    classes, word = int(t.kind[me.kind].classes), me.depart_lane if me.departs else -3
    if word >= 0:
        lane = first + word
        return lane if lane < end and road.lane[lane].classes & classes else -1
    least_m, pick = 0.0, -1
    if end - first > 1:
        me.lane = first
        orient(road, t, me, True)
        me.lane = -1
        for k in range(min(WIDEST, end - first)):
            least_m = max(least_m, me.reach_m[k])
        least_m = min(least_m, LOOK_M)
        if word == _ANY:
            pick = int(uniform(s.key, i + _BASE_SALT) * (end - first))
    best, best_m = -1, -inf
    for k in range(min(WIDEST, end - first)):
        lane = first + k
        if not road.lane[lane].classes & classes:
            continue
        if word == _FIRST or pick == k:
            return lane
        if word == _ALLOWED and me.cursor + 1 < me.route_end and next_link(road, t, me, lane, me.cursor) < 0:
            continue
        if word != _ANY and word != _FREE and word != _ALLOWED and end - first > 1 and me.reach_m[k] < least_m:
            continue
        last = t.leader[n + lane]
        free_m = t.vehicle[last].position_m if last < n else road.lane[lane].length_m
        if free_m > best_m:
            best, best_m = lane, free_m
    return best


@inner
def _speed_to_start(road, t, s, i, lane):  # type: ignore[no-untyped-def]
    """How fast vehicle i wants to start on a lane."""
    n = t.vehicle.shape[0]
    me = t.vehicle[i]
    word = me.depart_mps
    if word >= 0.0:
        return word
    top = lane_top(road.lane[lane], me, t.kind[me.kind])
    if word == _LIMIT:
        return min(top, road.lane[lane].limit_mps)
    if word == _RANDOM:
        return top * uniform(s.key, i + _BASE_SALT)
    last = t.leader[n + lane]
    if last >= n:
        return min(top, road.lane[lane].limit_mps) if word == _AVERAGE else top
    if word == _LAST:
        return min(top, t.vehicle[last].speed_mps)
    if word == _AVERAGE:
        total, count = 0.0, 0
        while last < n:
            total, count, last = total + t.vehicle[last].speed_mps, count + 1, t.leader[last]
        return min(top, total / count)
    return top


@inner
def insert(road, t, s, i):  # type: ignore[no-untyped-def]
    """Let a waiting vehicle drive off on its edge where there is room: the lane or -1."""
    me = t.vehicle[i]
    kind = t.kind[me.kind]
    lane = _lane_to_start(road, t, s, i)
    if lane < 0:
        return -1
    length_m, v = road.lane[lane].length_m, 0.0
    at_m = min(kind.length_m + POSITION_M, length_m)
    if me.departs:
        v = _speed_to_start(road, t, s, i, lane)
        if me.depart_m >= 0.0:
            at_m = min(me.depart_m, length_m)
        elif me.depart_m < -100.0:
            at_m = max(0.0, length_m + me.depart_m + 100.0)
        if v > 0.0:  # it must be able to stop at the end of the lane
            v = min(v, stop_speed(length_m - at_m, v, kind.decel_mps2, kind.tau_s, s.step_s, s.ballistic))
    fits_mps = _room(road, t, s, i, lane, at_m, v)
    if fits_mps < 0.0 or (fits_mps < v and me.departs and (me.depart_mps >= 0.0 or me.depart_mps == _DESIRED)):
        return -1
    me.lane, me.position_m, me.speed_mps, me.accel_mps2 = lane, at_m, fits_mps, 0.0
    me.n_behind, me.n_items, me.waits, me.waited_s = 0, 0, 0, 0.0
    me.entered_s = me.entered_once_s = me.conflict_s = NEVER
    me.advice_mps, me.intent = inf, 0
    me.eager = me.eager_right = me.look_mps = me.reserved_m = me.left_m = 0.0
    if road.lane[lane].many > 1 or road.lane[lane].fans:
        orient(road, t, me, True)
    append(t, i, lane)
    t.brutto_m[lane] += kind.length_m + kind.min_gap_m
    return lane
