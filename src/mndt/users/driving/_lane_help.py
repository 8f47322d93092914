"""Making room for each other: what a driver who has to change lanes asks of others, and how fast all drive for it.

SUMO's MSLCM_LC2013: informLeader, informFollower, slowDownForBlocked, saveBlockerLength and patchSpeed (1.28), written
anew. An advice is a speed for the next step; who could only follow it by braking harder than comfortably ignores it.
"""

from __future__ import annotations

from math import inf
from typing import Final

from mndt.users.driving._krauss import brake_gap, follow_speed, halt_speed, inlined, inner
from mndt.users.driving._lane_wish import (
    BLOCKED,
    COOPERATIVE,
    FOLLOWER_BLOCKS,
    FOR_LEFT,
    FOR_RIGHT,
    HELP_MPS,
    LEADER_BLOCKS,
    LEFT,
    LETS_IN,
    LETS_PASS,
    NO_BRAKE,
    RIGHT,
    STRATEGIC,
    WANTS,
)
from mndt.users.driving._links import POSITION_M
from mndt.users.driving._neighbours import secure_m

_FALL_BEHIND_MPS2 = 7.0 / 3.6
_URGENCY: Final = 2.0
_CUT_IN_LEFT_MPS, _RAMP_M = 27.0, 200.0
_CONGESTED_MPS = 60.0 / 3.6  # slower than this on any road, overtaking on the right is nothing unusual
_FAR_M, _FAR_LEFT_M = 20.0, 40.0  # kept free for those that cannot be seen yet
_OFFSET_M: Final = 1.0


@inner
def advise(t, s, j, mps):  # type: ignore[no-untyped-def]
    """Tell a driver how fast to be in the next step."""
    other = t.vehicle[j]
    if mps >= max(0.0, other.speed_mps - t.kind[other.kind].decel_mps2 * s.step_s) - 1e-9:
        other.advice_mps = min(other.advice_mps, mps)


@inlined
def _follow(t, s, i, gap_m, leader_mps, leader_decel):  # type: ignore[no-untyped-def]
    """Safe speed of i, as far as he can accelerate."""
    me = t.vehicle[i]
    kind = t.kind[me.kind]
    safe = follow_speed(
        gap_m, me.speed_mps, leader_mps, leader_decel, kind.decel_mps2, kind.emergency_mps2, kind.tau_s, s.step_s,
        s.ballistic,
    )  # fmt: skip
    return min(safe, me.speed_mps + kind.accel_mps2 * s.step_s, kind.top_mps)


@inlined
def _stop_m(t, s, me):  # type: ignore[no-untyped-def]
    kind = t.kind[me.kind]
    return brake_gap(me.speed_mps, kind.decel_mps2, s.step_s, s.ballistic)


@inner
def _overtaking_m(t, s, i, j, gap_m, mps, leader_mps):  # type: ignore[no-untyped-def]
    """Way by which i has to gain on j until it can cut in before it."""
    kind, other = t.kind[t.vehicle[i].kind], t.kind[t.vehicle[j].kind]
    safe_m = secure_m(leader_mps, mps, other, kind, s)
    return max(0.0, gap_m + other.length_m + other.min_gap_m + kind.length_m + safe_m)


@inner
def inform_leader(road, t, s, i, side, blocked, j, gap_m, rest_s):  # type: ignore[no-untyped-def]
    """Fall in behind the leader j on the other lane, or overtake him: the own planned speed, -1 = overtaking."""
    me = t.vehicle[i]
    kind = t.kind[me.kind]
    planned = min(
        me.speed_mps,
        halt_speed(
            me.left_m - me.reserved_m, me.speed_mps, kind.decel_mps2, kind.emergency_mps2, s.step_s, s.ballistic
        ),
    )
    planned = min(planned, me.advice_mps)
    if j < 0:
        return planned
    other = t.vehicle[j]
    k = t.kind[other.kind]
    next_mps = other.speed_mps - s.step_s * max(1.0, -other.accel_mps2)
    next_gap_m = gap_m + (next_mps - planned) * s.step_s
    lowest = max(0.0, me.speed_mps - kind.decel_mps2 * s.step_s)
    next_mps = max(next_mps, 0.0)
    if not blocked & LEADER_BLOCKS:
        target = max(lowest, _follow(t, s, i, next_gap_m, next_mps, k.decel_mps2))
        advise(t, s, i, target)
        return min(target, planned)
    dv = planned - other.speed_mps
    way_m = _overtaking_m(t, s, i, j, gap_m, me.speed_mps, other.speed_mps)
    need_s = way_m / dv if dv > 0.0 else rest_s + 1.0
    room_m = me.left_m - me.reserved_m - _stop_m(t, s, me) - me.speed_mps * kind.tau_s
    bits = LETS_PASS | (FOR_LEFT if side > 0 else FOR_RIGHT)
    if dv < 0.0 or room_m < way_m or rest_s < need_s:
        other.intent |= bits
        target = max(lowest, _follow(t, s, i, next_gap_m, next_mps, k.decel_mps2))
        if target < me.speed_mps:
            b = min(kind.decel_mps2, max(_FALL_BEHIND_MPS2, (me.speed_mps - target) / rest_s))
            target = min(planned, max(0.0, me.speed_mps - b * s.step_s))
            advise(t, s, i, target)
            return target
        advise(t, s, i, target)
        return planned
    advise(t, s, j, other.speed_mps)
    other.intent |= bits
    return -1.0


@inner
def inform_follower(road, t, s, i, side, blocked, j, gap_m, rest_s, planned):  # type: ignore[no-untyped-def]
    """Ask the follower j on the other lane to leave a gap, or let him pass."""
    if j < 0:
        return
    me, other = t.vehicle[i], t.vehicle[j]
    kind, k = t.kind[me.kind], t.kind[other.kind]
    bits = LETS_IN | (FOR_LEFT if side > 0 else FOR_RIGHT)
    if not blocked & FOLLOWER_BLOCKS:
        if blocked & LEADER_BLOCKS:  # it shall stay so
            safe = _follow(t, s, j, gap_m + planned * s.step_s, planned, kind.decel_mps2)
            advise(t, s, j, _follow(t, s, j, gap_m + (planned - safe) * s.step_s, planned, kind.decel_mps2))
            other.intent |= bits & ~LETS_IN
        return
    if planned - other.speed_mps >= HELP_MPS:
        need_m = secure_m(other.speed_mps, planned, k, kind, s)
        if (need_m - gap_m) / rest_s < planned - other.speed_mps:
            advise(t, s, j, planned - HELP_MPS)
            other.intent |= bits
            return
    slower = max(0.0, other.speed_mps - k.decel_mps2 * s.step_s)
    slower_1s = max(0.0, other.speed_mps - k.decel_mps2)
    dv = planned - slower_1s
    later_m, need_m = gap_m + dv, secure_m(slower_1s, planned, k, kind, s)
    other.intent |= bits
    if later_m > 0.0 and later_m >= need_m:
        safe = max(slower, _follow(t, s, j, gap_m + planned * s.step_s, planned, kind.decel_mps2))
        safe = max(slower, _follow(t, s, j, gap_m + (planned - safe) * s.step_s, planned, kind.decel_mps2))
        advise(t, s, j, safe)
    elif dv > 0.0 and dv * rest_s > need_m - later_m + POSITION_M:
        advise(t, s, j, slower)
    elif side < 0 and other.speed_mps > _CONGESTED_MPS:
        advise(t, s, j, max(slower, HELP_MPS))
    else:
        lane_m = road.lane[me.lane].length_m
        helps = max(other.speed_mps, me.speed_mps + HELP_MPS)
        if other.speed_mps > me.speed_mps and (side < 0 or planned > _CUT_IN_LEFT_MPS or lane_m > _RAMP_M):
            helps = max(slower, me.speed_mps + HELP_MPS)
            if (other.speed_mps - me.speed_mps) / k.decel_mps2 < rest_s:
                advise(t, s, j, helps)
                return
        advise(t, s, j, helps)
        way_m = _overtaking_m(t, s, j, i, gap_m, helps, planned)
        advise(t, s, i, max(helps - way_m / rest_s, me.speed_mps - kind.decel_mps2 * s.step_s))


@inner
def slow_down_for(t, s, i, j):  # type: ignore[no-untyped-def]
    """Whoever stands beside the gap ahead and cannot come in: slow drivers brake for him."""
    if j < 0:
        return
    me, other = t.vehicle[i], t.vehicle[j]
    kind = t.kind[me.kind]
    gap_m = other.position_m - t.kind[other.kind].length_m - me.position_m - kind.min_gap_m
    if gap_m > POSITION_M and me.speed_mps < kind.decel_mps2:
        advise(t, s, i, _follow(t, s, i, gap_m - POSITION_M, other.speed_mps, t.kind[other.kind].decel_mps2))


@inner
def reserve(t, s, i, j, side, goes_on):  # type: ignore[no-untyped-def]
    """Keep room at the lane's end for j, who has to change the other way, or have him keep it: whether it is kept."""
    if j < 0 or not t.vehicle[j].intent & (RIGHT if side > 0 else LEFT):
        return True
    me, other = t.vehicle[i], t.vehicle[j]
    k = t.kind[other.kind]
    its_m = k.length_m + k.min_gap_m
    if its_m <= me.left_m - _stop_m(t, s, me):
        me.reserved_m = max(its_m, me.reserved_m)
        return True
    kind = t.kind[me.kind]
    own_m = kind.length_m + kind.min_gap_m
    can = other.left_m - _stop_m(t, s, other) - other.speed_mps * s.step_s >= own_m
    if can or other.left_m > me.left_m:
        other.reserved_m = max(own_m, other.reserved_m)
    if not can and not goes_on:
        me.reserved_m = max(its_m, me.reserved_m)
    return can


@inner
def prepare(road, t, s, i, side, best, left_m, blocked, ahead, ahead_m, behind, behind_m, first_blocked):  # type: ignore[no-untyped-def]
    """Everything a driver does who has to change lanes: leave room, fall in, ask for a gap."""
    me = t.vehicle[i]
    me.left_m = left_m
    if best * side > 1:
        me.reserved_m = max(_FAR_LEFT_M if side > 0 else _FAR_M, me.reserved_m)
    goes_on = (me.leads_on >> road.lane[me.lane].index) & 1
    kept = reserve(t, s, i, ahead, side, goes_on)
    if first_blocked != ahead:
        kept = reserve(t, s, i, first_blocked, side, goes_on) and kept
    if not kept and goes_on:
        me.intent |= NO_BRAKE
    rest_s = max(s.step_s, left_m / max(me.look_mps, 0.001) / max(1, abs(best)) / _URGENCY)
    planned = inform_leader(road, t, s, i, side, blocked, ahead, ahead_m, rest_s)
    if planned >= 0.0:
        inform_follower(road, t, s, i, side, blocked, behind, behind_m, rest_s, planned)


@inner
def patched_speed(t, s, i, low, wanted, high):  # type: ignore[no-untyped-def]
    """The speed for the next step after all advice: `wanted` where there is none."""
    me = t.vehicle[i]
    kind = t.kind[me.kind]
    v, heeds = wanted, False
    if me.reserved_m > 0.0:
        room_m = me.left_m - me.reserved_m - _OFFSET_M - kind.min_gap_m
        if room_m > 0.0:
            hardest = max(0.0, me.speed_mps - kind.emergency_mps2 * s.step_s)
            safe = halt_speed(room_m, me.speed_mps, kind.decel_mps2, kind.emergency_mps2, s.step_s, s.ballistic)
            high = min(high, max(safe, hardest))
            if safe < wanted:
                if hardest <= safe < low:
                    low = max(hardest, safe)
                v, heeds = max(low, safe), True
    if me.advice_mps < inf and me.advice_mps <= high:
        advised = max(low, me.advice_mps)
        v, heeds = min(wanted if me.unhelpful else advised, v), True
    if heeds and not me.intent & NO_BRAKE:
        return v
    if me.intent & WANTS and me.intent & BLOCKED:
        if me.intent & STRATEGIC:
            return 0.5 * (high + wanted)
        if me.intent & COOPERATIVE and me.intent & LEADER_BLOCKS:
            return 0.5 * (max(0.0, low) + wanted)
        if me.intent & COOPERATIVE:
            return 0.5 * (high + wanted)
    if me.intent & LETS_PASS:
        return 0.5 * (high + wanted)
    return wanted
