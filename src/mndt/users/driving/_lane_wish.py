"""Whether a driver wants to change lanes, and why.

SUMO's MSLCM_LC2013::_wantsChange (1.28; Erdmann 2014, "Lane-Changing Model in SUMO"), written anew. Purposes, the
first that holds: to follow the route (strategic), to let somebody in (cooperative), to keep right, to be faster. The
rules for roundabouts, opposite lanes, motorways and pedestrians are left out.
"""

from __future__ import annotations

from typing import Final

from mndt.users.driving._krauss import HALTING_MPS, brake_gap, follow_speed, inlined, inner, stop_speed
from mndt.users.driving._neighbours import secure_m
from mndt.users.driving._tables import WIDEST

RIGHT: Final = 1
LEFT: Final = 2
STRATEGIC: Final = 4
COOPERATIVE: Final = 8
SPEED: Final = 16
KEEP_RIGHT: Final = 32
URGENT: Final = 64
STAY: Final = 128
LEADER_BLOCKS: Final = 256
FOLLOWER_BLOCKS: Final = 512
"""Bits of `intent`: where to, why, and what is in the way."""

LETS_PASS: Final = 1 << 16
LETS_IN: Final = 1 << 17
FOR_RIGHT: Final = 1 << 18
FOR_LEFT: Final = 1 << 19
NO_BRAKE: Final = 1 << 20
HELPS: Final = LETS_PASS | LETS_IN | FOR_RIGHT | FOR_LEFT
"""Bits of `intent` set by others: a leader who should make room, a follower, for whom; and not to brake for others."""

WANTS: Final = RIGHT | LEFT
BLOCKED: Final = LEADER_BLOCKS | FOLLOWER_BLOCKS

HELP_MPS: Final = 10.0 / 3.6
"""Who is so much faster needs no help to cut in."""

_LOOK_S, _LEFT_FACTOR, _MEMORY = 10.0, 2.0, 0.9
_GAIN_FROM_MPS, _STAY_M, _STOPPED_M = 10.0, 200.0, 100.0
_LEFT_AT, _RIGHT_AT = 0.2, 2.0  # thresholds of the gathered wishes
_KEEP_RIGHT_S, _ACCEPTANCE_S, _USEFUL_S = 5.0, 7.0, 20.0
_SLOWER_MPS = 5.0 / 3.6
_FAST_ROAD_MPS = 80.0 / 3.6


@inlined
def halts(t, j):  # type: ignore[no-untyped-def]
    """Whether a vehicle stands at a stop."""
    other = t.vehicle[j]
    at_stop = other.stop_edge >= 0 and other.stop_edge == other.cursor
    return at_stop and other.speed_mps <= HALTING_MPS and other.position_m >= other.stop_from_m


@inner
def _anticipated(t, s, i, j, gap_m, reach_m, top_mps, accelerating):  # type: ignore[no-untyped-def]
    """Speed that can be had behind a leader on a lane that leads on for `reach_m`."""
    me = t.vehicle[i]
    kind = t.kind[me.kind]
    if j < 0:
        v = stop_speed(reach_m, me.speed_mps, kind.decel_mps2, kind.tau_s, s.step_s, s.ballistic)
    else:
        other = t.vehicle[j]
        k = t.kind[other.kind]
        if accelerating:
            v = follow_speed(
                gap_m, me.speed_mps, other.speed_mps, k.decel_mps2, kind.decel_mps2, kind.emergency_mps2, kind.tau_s,
                s.step_s, s.ballistic,
            )  # fmt: skip
            v = min(v, me.speed_mps + kind.accel_mps2 * s.step_s)
        elif gap_m < 0.0:
            v = 0.0
        else:
            reach_m = gap_m + brake_gap(other.speed_mps, max(kind.decel_mps2, k.decel_mps2), s.step_s, s.ballistic)
            v = stop_speed(reach_m, me.speed_mps, kind.decel_mps2, kind.tau_s, s.step_s, s.ballistic)
    return min(top_mps, v)


@inner
def look_on(t, s, me):  # type: ignore[no-untyped-def]
    """Renew the speed by which a driver looks for his lane: it follows his own at once upward, slowly downward."""
    if me.speed_mps > me.look_mps:
        me.look_mps = me.speed_mps
    else:
        memory = 1.0 - (1.0 - _MEMORY) * s.step_s
        me.look_mps = memory * me.look_mps + (1.0 - memory) * me.speed_mps


@inner
def reaches(road, t, me, k, side):  # type: ignore[no-untyped-def]
    """(way on from lane k, way on from the lane beside, lanes to the best one)."""
    best = int(me.side[k])
    if best == 0 and me.side[k + side] == 0:
        best = side
    here_m, there_m = me.reach_m[k], me.reach_m[k + side]
    if me.stop_edge >= 0 and me.stop_edge == me.cursor:
        here_m, there_m = max(here_m, me.stop_m), max(there_m, me.stop_m)
    return here_m, there_m, best


@inner
def strategy(road, t, s, i, side, j, gap_m, there, there_gap_m):  # type: ignore[no-untyped-def]
    """What the route asks for: (bits, way left on the own lane in m).

    Args:
        side: 1 = left, -1 = right.
        j: leader, -1 = nobody, `gap_m` ahead.
        there: leader on the lane beside.
    """
    me = t.vehicle[i]
    kind = t.kind[me.kind]
    k = road.lane[me.lane].index
    here_m, there_m, best = reaches(road, t, me, k, side)
    bit = LEFT if side > 0 else RIGHT
    to_best = best * side > 0
    own_m = kind.length_m + kind.min_gap_m
    look_m = me.look_mps * _LOOK_S * (_LEFT_FACTOR if side > 0 else 1.0) + 2.0 * own_m
    at_m = me.position_m
    j_halts = j >= 0 and halts(t, j)
    if best == 0 and j_halts and gap_m < here_m - at_m:
        other = t.kind[t.vehicle[j].kind]
        look_m = 0.5 * (own_m + other.length_m + other.min_gap_m + gap_m)
    elif best == side and there >= 0 and halts(t, there) and there_gap_m < here_m - at_m:
        other = t.kind[t.vehicle[there].kind]
        look_m = own_m + other.length_m + other.min_gap_m + there_gap_m
    best_k = min(max(k + best, 0), WIDEST - 1)
    jam_here_m = me.jam_m[k] + road.beside[k].jam_m
    jam_there_m = me.jam_m[k + side] + road.beside[k + side].jam_m
    usable_m = here_m - at_m - (me.jam_m[best_k] + road.beside[best_k].jam_m)
    if me.stop_edge >= 0 and me.stop_edge == me.cursor:
        usable_m = max(usable_m, me.stop_m - at_m)
    there_left_m = max(0.0, there_m - at_m - max(jam_here_m, jam_there_m))
    if to_best and best == me.side[k] and usable_m < abs(best) * look_m:
        return bit | STRATEGIC | URGENT, here_m - at_m
    if j_halts and gap_m < _STOPPED_M:
        other = t.kind[t.vehicle[j].kind]
        past_m = gap_m + kind.length_m + other.length_m + other.min_gap_m
        free = there < 0 or not halts(t, there) or there_gap_m > past_m
        if free and min(there_m, here_m) - at_m > past_m:
            return bit | STRATEGIC | URGENT, gap_m
    if not to_best and there_left_m < (abs(best) + 2) * look_m:
        return STAY | STRATEGIC, 0.0
    if best == 0 and there_left_m * 2.0 < look_m:
        return STAY | STRATEGIC, 0.0
    if best == 0 and not j_halts and (me.is_open >> (k + side)) & 1 and there_m < _STAY_M:
        return STAY | STRATEGIC, 0.0
    return 0, 0.0


@inner
def _keep_right(t, s, me, kind, there, there_gap_m, there_m, top_mps, limit_mps):  # type: ignore[no-untyped-def]
    """Gather the wish to keep right: the longer the right lane can be driven at full speed, the more."""
    accept_s = _ACCEPTANCE_S * top_mps / limit_mps * max(1.0, me.speed_mps)
    stop_m = brake_gap(top_mps, kind.decel_mps2, s.step_s, s.ballistic) + top_mps * kind.tau_s
    free_m = max(0.0, there_m - stop_m)
    free_s = min(accept_s, free_m / top_mps)
    if there >= 0 and t.vehicle[there].speed_mps < top_mps:
        other = t.vehicle[there]
        safe_m = secure_m(top_mps, other.speed_mps, kind, t.kind[other.kind], s)
        free_m = max(0.0, min(free_m, there_gap_m - safe_m))
        free_s = min(free_s, free_m / (top_mps - other.speed_mps))
    me.eager_right += s.step_s * _RIGHT_AT * (free_s / accept_s) / _KEEP_RIGHT_S
    return me.eager_right > _RIGHT_AT


@inner
def comfort(road, t, s, i, side, j, gap_m, there, there_gap_m):  # type: ignore[no-untyped-def]
    """What helpfulness, the rule to keep right and speed ask for, where the route leaves the choice: bits."""
    me = t.vehicle[i]
    kind = t.kind[me.kind]
    here, lane_there = road.lane[me.lane], road.lane[me.lane + side]
    k = here.index
    here_m, there_m, best = reaches(road, t, me, k, side)
    bit = LEFT if side > 0 else RIGHT
    to_best = best * side > 0
    top = min(here.limit_mps * me.speed_factor, kind.top_mps)
    top_there = min(lane_there.limit_mps * me.speed_factor, kind.top_mps)
    speeding = (there >= 0 and t.vehicle[there].accel_mps2 > 0.0) or (j >= 0 and t.vehicle[j].accel_mps2 > 0.0)
    then_mps = _anticipated(t, s, i, there, there_gap_m, there_m, top_there, speeding)
    now_mps = _anticipated(t, s, i, j, gap_m, here_m, top, speeding)
    bother = me.eager / _RIGHT_AT if side < 0 else -me.eager / _LEFT_AT
    bother = min(1.0, max(now_mps / max(then_mps, 1e-9) - 1.0, bother))
    if side < 0 and best == 0 and here.limit_mps > _FAST_ROAD_MPS and me.look_mps > HALTING_MPS:
        return STAY | STRATEGIC
    own_m = kind.length_m + kind.min_gap_m
    look_m = me.look_mps * _LOOK_S * (_LEFT_FACTOR if side > 0 else 1.0) + 2.0 * own_m
    asked = me.intent & LETS_IN and me.intent & (FOR_RIGHT if side < 0 else FOR_LEFT)
    willing = bother <= (0.0 if me.unhelpful else 1.0)
    if asked and willing and (to_best or there_m >= (abs(best) + 1) * look_m):
        return bit | COOPERATIVE | URGENT
    gain = (then_mps - now_mps) / max(then_mps, _GAIN_FROM_MPS)
    useful = there_m / max(0.1, me.speed_mps) > _USEFUL_S
    if side < 0:
        if now_mps - _SLOWER_MPS > then_mps:
            if me.eager < 0.0:
                me.eager *= 0.5**s.step_s
        else:
            if me.eager < 0.0 or gain > 0.0:
                me.eager -= s.step_s * gain
            if _keep_right(t, s, me, kind, there, there_gap_m, there_m, top, here.limit_mps):
                return bit | KEEP_RIGHT
        if me.eager < -_RIGHT_AT and useful:
            return bit | SPEED
    else:
        if now_mps > then_mps:
            if me.eager > 0.0:
                me.eager *= 0.5**s.step_s
        elif now_mps == then_mps:
            if me.eager > 0.0:
                me.eager *= 0.8**s.step_s
        else:
            me.eager += s.step_s * gain
        if me.eager > _LEFT_AT and gain > 0.001 and useful:
            return bit | SPEED
    if to_best and best == me.side[k] and gain >= 0.0 and me.eager * side > 0.0:
        return bit | STRATEGIC  # towards the right lane, and it costs no time
    return 0
