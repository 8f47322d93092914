"""Who drives ahead of and behind a vehicle on its lane or on one beside, for changing lanes.

SUMO's getRealLeader and getRealFollower, written anew. Where the lane has nobody ahead, the lanes it leads to are
looked over as far as the vehicle needs to brake; where nobody is behind, the lanes that lead to it.
"""

from __future__ import annotations

from math import inf
from typing import Final

from mndt.users.driving._krauss import HALTING_MPS, brake_gap, inlined, inner
from mndt.users.driving._lanes import next_link
from mndt.users.driving._links import goes_first, rear_m
from mndt.users.driving._plan import last_rear

_BEHIND_M: Final = 60.0  # followers farther behind can brake
_HOPS: Final = 4


@inlined
def secure_m(v, leader_mps, kind, leader, s):  # type: ignore[no-untyped-def]
    """Gap at which a follower need not brake harder than comfortably if the leader brakes now."""
    b = kind.decel_mps2
    stop_m = brake_gap(v, b, s.step_s, s.ballistic) + v * kind.tau_s
    return max(0.0, stop_m - brake_gap(leader_mps, max(b, leader.decel_mps2), s.step_s, s.ballistic))


@inner
def list_rears(road, t, active):  # type: ignore[no-untyped-def]
    """Note who stands on a lane with the rear only, after everybody has moved."""
    t.rear_head[:] = -1
    n_rear = 0
    for i in active:
        me = t.vehicle[i]
        if me.lane < 0:
            continue
        for k in range(me.n_behind):
            t.rear[n_rear, 0], t.rear[n_rear, 1] = i, t.rear_head[me.behind[k]]
            t.rear_head[me.behind[k]] = n_rear
            n_rear += 1


@inner
def ahead_of(road, t, s, i, lane, ahead):  # type: ignore[no-untyped-def]
    """Leader of vehicle i on a lane of its edge, where `ahead` is next in the lane's list: (-1 = nobody, gap in m)."""
    n = t.vehicle.shape[0]
    me = t.vehicle[i]
    kind = t.kind[me.kind]
    if ahead < n:
        other = t.vehicle[ahead]
        return ahead, other.position_m - t.kind[other.kind].length_m - me.position_m - kind.min_gap_m
    j = last_rear(road, t, lane)
    if j >= 0 and j != i:
        return j, rear_m(t, road, j, lane) - me.position_m - kind.min_gap_m
    seen_m = road.lane[lane].length_m - me.position_m
    look_m = brake_gap(me.speed_mps, kind.decel_mps2, s.step_s, s.ballistic) + me.speed_mps * kind.tau_s
    look_m += kind.min_gap_m
    cursor = me.cursor
    for _ in range(2 * _HOPS):
        if seen_m > look_m:
            break
        link = next_link(road, t, me, lane, cursor)
        if link < 0:
            break
        lane = road.link[link].next_lane
        cursor += int(not road.lane[lane].internal)
        j = t.leader[n + lane]
        if j >= n:
            j = last_rear(road, t, lane)
        if j >= 0 and j != i:
            return j, seen_m + rear_m(t, road, j, lane) - kind.min_gap_m
        seen_m += road.lane[lane].length_m
    return -1, 0.0


@inner
def behind_of(road, t, i, lane, behind):  # type: ignore[no-untyped-def]
    """Follower of vehicle i on a lane of its edge, where `behind` is next in the lane's list: (-1 = nobody, gap)."""
    n = t.vehicle.shape[0]
    me = t.vehicle[i]
    back_m = me.position_m - t.kind[me.kind].length_m
    if behind < n:
        other = t.vehicle[behind]
        return behind, back_m - other.position_m - t.kind[other.kind].min_gap_m
    best, best_m = -1, inf
    for e in range(t.first_approach[lane], t.first_approach[lane + 1]):
        j, gap_m = _upstream(road, t, i, t.approach_link[e], back_m)
        if j >= 0 and gap_m < best_m:
            best, best_m = j, gap_m
    return best, best_m


@inner
def _upstream(road, t, i, link, back_m):  # type: ignore[no-untyped-def]
    """The first vehicle that could come over a link, and its gap to a rear `back_m` beyond it: (-1 = nobody, gap)."""
    n = t.vehicle.shape[0]
    first = link
    for _ in range(_HOPS):
        lane = road.link[link].from_lane
        j = t.follower[n + lane]
        part = t.rear_head[lane]
        while part >= 0:  # its front has gone elsewhere: it is in the way with its flank
            if t.rear[part, 0] != i and not _comes_from(t, t.rear[part, 0], i, lane):
                return t.rear[part, 0], back_m
            part = t.rear[part, 1]
        if j < n and j != i:
            other = t.vehicle[j]
            gap_m = road.lane[lane].length_m - other.position_m + back_m - t.kind[other.kind].min_gap_m
            if not goes_first(road.link[first]) and other.speed_mps < HALTING_MPS:
                gap_m = max(gap_m, 0.0)  # who waits on a side road does not keep others from changing
            return j, gap_m
        back_m += road.lane[lane].length_m
        if back_m > _BEHIND_M or not road.lane[lane].internal:
            break
        link = road.lane[lane].entry
        if link < 0:
            break
    return -1, 0.0


@inner
def _comes_from(t, j, i, lane):  # type: ignore[no-untyped-def]
    """Whether j is ahead of i on the same way: i's rear is there, too, or j is on i's lane."""
    me = t.vehicle[i]
    found = t.vehicle[j].lane == me.lane
    for k in range(me.n_behind):
        found = found or me.behind[k] == lane
    return found
