"""Changing lanes, after vehicles have moved and before others drive off.

What matters of SUMO's LC2013 (Erdmann 2014, "Lane-Changing Model in SUMO"), written anew: a driver changes because
his lane does not lead on along the route (strategic), because the other lane is faster (speed gain), or to keep
right. He changes only where nobody has to brake harder than comfortably. Who has to change and cannot slows down
to fall in behind the vehicle beside him, and the one who would follow him lets him in (cooperation).
"""

from __future__ import annotations

from math import inf
from typing import Final

from mndt.users.driving._krauss import brake_gap, follow_speed, inlined, inner
from mndt.users.driving._tables import NEVER

LOOK_S: Final = 40.0
"""Drivers think of the lane they will need this long before they need it. LC2013 says 10 s to the right and 20 s to the
left from the end of the queue there; without that queue, 40 s from the end of the lane come nearest to SUMO in Bologna's
morning hour (10, 20, 30, 80 s: fewer trips)."""

DEPTH: Final = 6
"""Edges that drivers look ahead for it, at most."""

_LEFT_AT, _RIGHT_AT = 0.2, 2.0  # thresholds of the wish to change, gathered over seconds
_ACCEPTANCE_S, _KEEP_RIGHT_S = 7.0, 5.0
_GAIN_LEAST = 0.001
_USEFUL_S = 20.0  # a faster lane must lead on for so long


@inner
def reach_m(road, t, me, lane, cursor):  # type: ignore[no-untyped-def]
    """How far the route can be driven from the start of a lane without changing lanes, up to `DEPTH` edges ahead."""
    first, best_m = lane, 0.0
    lanes_0, lanes_1, n_lanes = first, -1, 1
    way_m = road.lane[lane].length_m
    best_m = way_m
    for depth in range(DEPTH):
        at = cursor + depth + 1
        if at >= me.route_end:
            return 1e6
        edge, next_0, next_1, n_next, length_m = t.route_edge[at], -1, -1, 0, 0.0
        for k in range(n_lanes):
            here = lanes_0 if k == 0 else lanes_1
            for link in range(road.lane[here].first_link, road.lane[here].link_end):
                to = road.link[link].to_lane
                if road.lane[to].edge != edge or not road.lane[to].classes & int(t.kind[me.kind].classes):
                    continue
                length_m = road.lane[to].length_m
                if n_next == 0:
                    next_0, n_next = to, 1
                elif n_next == 1 and to != next_0:
                    next_1, n_next = to, 2
        if n_next == 0:
            return best_m
        best_m += length_m
        lanes_0, lanes_1, n_lanes = next_0, next_1, n_next
    return 1e6


@inlined
def _secure_m(v, leader_mps, kind, leader, s):  # type: ignore[no-untyped-def]
    """Gap at which a follower need not brake harder than comfortably if the leader brakes now."""
    b = kind.decel_mps2
    stop_m = brake_gap(v, b, s.step_s, s.ballistic) + v * kind.tau_s
    return max(0.0, stop_m - brake_gap(leader_mps, max(b, leader.decel_mps2), s.step_s, s.ballistic))


@inner
def _beside(road, t, i, lane):  # type: ignore[no-untyped-def]
    """Who would be before and behind vehicle i on another lane of its edge: (leader, its rear in m, follower)."""
    n = t.vehicle.shape[0]
    at_m, behind = t.vehicle[i].position_m, -1
    ahead = t.leader[n + lane]
    while ahead < n and t.vehicle[ahead].position_m < at_m:
        behind, ahead = ahead, t.leader[ahead]
    if ahead < n:
        return ahead, t.vehicle[ahead].position_m - t.kind[t.vehicle[ahead].kind].length_m, behind
    best, best_m = -1, inf
    for link in range(road.lane[lane].first_link, road.lane[lane].link_end):
        j = t.leader[n + road.link[link].next_lane]
        if j < n:
            rear_m = t.vehicle[j].position_m - t.kind[t.vehicle[j].kind].length_m
            reaches_back = rear_m < 0.0 and t.vehicle[j].n_behind > 0 and t.vehicle[j].behind[0] == lane
            if reaches_back and road.lane[lane].length_m + rear_m < best_m:
                best, best_m = j, road.lane[lane].length_m + rear_m
    return best, best_m, behind


@inlined
def _safe_mps(t, s, i, j, rear_m, top_mps):  # type: ignore[no-untyped-def]
    """Speed on a lane behind a leader."""
    if j < 0:
        return top_mps
    me, other = t.vehicle[i], t.vehicle[j]
    kind, k = t.kind[me.kind], t.kind[other.kind]
    gap_m = max(0.0, rear_m - me.position_m - kind.min_gap_m)
    return min(
        top_mps,
        follow_speed(
            gap_m, me.speed_mps, other.speed_mps, k.decel_mps2, kind.decel_mps2, kind.emergency_mps2, kind.tau_s,
            s.step_s, s.ballistic,
        ),
    )  # fmt: skip


@inner
def _fits(t, s, i, ahead, rear_m, behind):  # type: ignore[no-untyped-def]
    """Whether i can go there: (room to the leader, room to the follower)."""
    me = t.vehicle[i]
    kind = t.kind[me.kind]
    front, back = True, True
    if ahead >= 0:
        gap_m = rear_m - me.position_m - kind.min_gap_m
        other = t.vehicle[ahead]
        front = gap_m >= 0.0 and gap_m >= _secure_m(me.speed_mps, other.speed_mps, kind, t.kind[other.kind], s)
    if behind >= 0:
        other = t.vehicle[behind]
        k = t.kind[other.kind]
        gap_m = me.position_m - kind.length_m - other.position_m - k.min_gap_m
        back = gap_m >= 0.0 and gap_m >= _secure_m(other.speed_mps, me.speed_mps, k, kind, s)
    return front, back


@inner
def _wish(road, t, s, i, lane, side, reach_here_m, reach_there_m, ahead, rear_m):  # type: ignore[no-untyped-def]
    """Whether i wants one lane to the left (side 1) or right (-1): 0 = no, 1 = would like to, 2 = has to."""
    n = t.vehicle.shape[0]
    me = t.vehicle[i]
    kind = t.kind[me.kind]
    here, there = road.lane[me.lane], road.lane[lane]
    top = min(here.limit_mps * me.speed_factor, kind.top_mps)
    look_m = max(me.speed_mps, 0.5 * top) * LOOK_S + 2.0 * kind.length_m
    left_m, other_m = reach_here_m - me.position_m, reach_there_m - me.position_m
    if left_m < look_m and other_m > left_m + 1.0:
        return 2
    if other_m < look_m and other_m < left_m:
        return 0  # it would have to come back
    j = t.leader[i]
    j = j if j < n else -1
    j_rear_m = t.vehicle[j].position_m - t.kind[t.vehicle[j].kind].length_m if j >= 0 else 0.0
    now_mps = _safe_mps(t, s, i, j, j_rear_m, top)
    there_top = min(there.limit_mps * me.speed_factor, kind.top_mps)
    then_mps = _safe_mps(t, s, i, ahead, rear_m, there_top)
    gain = (then_mps - now_mps) / max(then_mps, 0.1)
    if side > 0:
        me.eager_left = me.eager_left * 0.5 if gain < 0.0 < me.eager_left else max(0.0, me.eager_left + s.step_s * gain)
        useful = other_m / max(0.1, me.speed_mps) > _USEFUL_S
        return 1 if me.eager_left > _LEFT_AT and gain > _GAIN_LEAST and useful else 0
    free_m, free_s = max(0.0, min(other_m, there_top * _ACCEPTANCE_S)), _ACCEPTANCE_S
    if ahead >= 0 and t.vehicle[ahead].speed_mps < there_top:
        other = t.vehicle[ahead]
        secure_m = _secure_m(there_top, other.speed_mps, kind, t.kind[other.kind], s)
        free_m = max(0.0, min(free_m, rear_m - me.position_m - kind.min_gap_m - secure_m))
        free_s = min(free_s, free_m / max(there_top - other.speed_mps, 0.1))
    me.eager_right += s.step_s * _RIGHT_AT * min(free_s, free_m / max(there_top, 0.1)) / _ACCEPTANCE_S / _KEEP_RIGHT_S
    return 1 if me.eager_right > _RIGHT_AT else 0


@inner
def _cooperate(t, s, i, ahead, rear_m, behind, front, back):  # type: ignore[no-untyped-def]
    """Somebody has to change and cannot: he makes room for himself, or the one behind makes it."""
    me = t.vehicle[i]
    kind = t.kind[me.kind]
    if not front and ahead >= 0:
        me.advice_mps = max(me.speed_mps - kind.decel_mps2 * s.step_s, _safe_mps(t, s, i, ahead, rear_m, kind.top_mps))
    if not back and behind >= 0:
        other = t.vehicle[behind]
        k = t.kind[other.kind]
        gap_m = me.position_m - kind.length_m - other.position_m - k.min_gap_m
        if gap_m >= 0.0 or other.speed_mps <= me.speed_mps:
            safe = follow_speed(
                max(gap_m, 0.0), other.speed_mps, me.speed_mps, kind.decel_mps2, k.decel_mps2, k.emergency_mps2,
                k.tau_s, s.step_s, s.ballistic,
            )  # fmt: skip
            other.advice_mps = max(other.speed_mps - 0.5 * k.decel_mps2 * s.step_s, safe)
        else:  # level with each other: the one who has to change falls back
            me.advice_mps = max(0.0, min(me.advice_mps, me.speed_mps - 1.0 * s.step_s))


@inner
def _change(t, i, lane):  # type: ignore[no-untyped-def]
    """Go over to another lane of the same edge."""
    n = t.vehicle.shape[0]
    me = t.vehicle[i]
    t.follower[t.leader[i]] = t.follower[i]
    t.leader[t.follower[i]] = t.leader[i]
    ahead = t.leader[n + lane]
    while ahead < n and t.vehicle[ahead].position_m < me.position_m:
        ahead = t.leader[ahead]
    behind = t.follower[ahead]
    t.leader[i], t.follower[i] = ahead, behind
    t.follower[ahead] = i
    t.leader[behind] = i
    me.lane = lane
    me.eager_left = me.eager_right = 0.0
    me.entered_s = me.entered_once_s = me.conflict_s = NEVER
    for e in range(me.first_item, me.first_item + me.n_items):  # nobody shall reckon with it at the old lines
        t.item[e].request = 0
        if t.item[e].link >= 0:
            t.item[e].link = -2 - t.item[e].link


@inner
def change_lanes(road, t, s, active):  # type: ignore[no-untyped-def]
    """Let everybody on an edge of several lanes change by one lane if he wants to and there is room."""
    for i in active:
        me = t.vehicle[i]
        if me.lane < 0 or road.lane[me.lane].internal or me.n_behind > 0:
            continue
        me.advice_mps = inf
    for i in active:
        me = t.vehicle[i]
        if me.lane < 0 or road.lane[me.lane].internal or me.n_behind > 0:
            continue
        edge = road.lane[me.lane].edge
        first, end = road.edge_lane[edge], road.edge_lane[edge + 1]
        if end - first < 2:
            continue
        classes = int(t.kind[me.kind].classes)
        here_m = reach_m(road, t, me, me.lane, me.cursor)
        for side in (-1, 1):
            lane = me.lane + side
            if lane < first or lane >= end or not road.lane[lane].classes & classes:
                continue
            there_m = _best_beyond(road, t, me, lane, side, first, end, classes)
            ahead, rear_m, behind = _beside(road, t, i, lane)
            wish = _wish(road, t, s, i, lane, side, here_m, there_m, ahead, rear_m)
            if wish == 0:
                continue
            front, back = _fits(t, s, i, ahead, rear_m, behind)
            if front and back:
                _change(t, i, lane)
                break
            if wish == 2:
                _cooperate(t, s, i, ahead, rear_m, behind, front, back)


@inner
def _best_beyond(road, t, me, lane, side, first, end, classes):  # type: ignore[no-untyped-def]
    """Reach of a lane or, where the ones farther on that side lead farther, of those: a change may need two steps."""
    best_m = reach_m(road, t, me, lane, me.cursor)
    lane += side
    while first <= lane < end and road.lane[lane].classes & classes:
        best_m = max(best_m, reach_m(road, t, me, lane, me.cursor) - 0.5)
        lane += side
    return best_m
