"""Changing lanes, after vehicles have moved and before others drive off.

The order is SUMO's (MSLaneChanger, 1.28): on each edge of several lanes the vehicles have their turn from the front to
the rear. Each looks to the right first, then to the left. Who wants to change (`_lane_wish`) does so where he and his
new follower need not brake harder than comfortably; who has to and cannot asks for room (`_lane_help`).
"""

from __future__ import annotations

from math import inf
from typing import Final

from mndt.users.driving._krauss import brake_gap, inner
from mndt.users.driving._lane_help import prepare, slow_down_for
from mndt.users.driving._lane_wish import (
    FOLLOWER_BLOCKS,
    HELPS,
    LEADER_BLOCKS,
    LEFT,
    NO_BRAKE,
    RIGHT,
    STAY,
    STRATEGIC,
    URGENT,
    WANTS,
    comfort,
    halts,
    look_on,
    reaches,
    strategy,
)
from mndt.users.driving._lanes import knows_lanes, orient
from mndt.users.driving._links import rear_m
from mndt.users.driving._neighbours import ahead_of, behind_of, list_rears, secure_m
from mndt.users.driving._plan import last_rear
from mndt.users.driving._tables import NEVER, REACH, WIDEST

_RENEW_S: Final = 5  # how often the vehicles ahead are counted


@inner
def _blocks(t, s, i, ahead, ahead_m, behind, behind_m):  # type: ignore[no-untyped-def]
    """Who keeps vehicle i from changing: bits."""
    me = t.vehicle[i]
    kind = t.kind[me.kind]
    bits = 0
    if behind >= 0:
        other = t.vehicle[behind]
        if behind_m < 0.0 or behind_m < secure_m(other.speed_mps, me.speed_mps, t.kind[other.kind], kind, s):
            bits |= FOLLOWER_BLOCKS
    if ahead >= 0:
        other = t.vehicle[ahead]
        if ahead_m < 0.0 or ahead_m < secure_m(me.speed_mps, other.speed_mps, kind, t.kind[other.kind], s):
            bits |= LEADER_BLOCKS
    return bits


@inner
def _exit_is_taken(road, t, s, i, lane):  # type: ignore[no-untyped-def]
    """Whether somebody who leaves a lane ahead, wherever he goes, is too near for vehicle i to fall in behind."""
    n = t.vehicle.shape[0]
    me = t.vehicle[i]
    kind = t.kind[me.kind]
    seen_m = road.lane[lane].length_m - me.position_m
    stop_m = brake_gap(me.speed_mps, kind.decel_mps2, s.step_s, s.ballistic) + me.speed_mps * kind.tau_s
    if seen_m > stop_m + kind.min_gap_m:
        return False
    for link in range(road.lane[lane].first_link, road.lane[lane].link_end):
        out = road.link[link].next_lane
        j = t.leader[n + out]
        if j >= n:
            j = last_rear(road, t, out)
        if j >= 0 and j != i:
            other = t.vehicle[j]
            gap_m = seen_m + rear_m(t, road, j, out) - kind.min_gap_m
            if gap_m < secure_m(me.speed_mps, other.speed_mps, kind, t.kind[other.kind], s):
                return True
    return False


@inner
def _consider(road, t, s, i, side):  # type: ignore[no-untyped-def]
    """What vehicle i wants to do on one side, and what keeps it from it: bits."""
    n = t.vehicle.shape[0]
    me = t.vehicle[i]
    here, there = road.beside[road.lane[me.lane].index], road.beside[road.lane[me.lane].index + side]
    lane = me.lane + side
    j, gap_m = ahead_of(road, t, s, i, me.lane, t.leader[i])
    ahead, ahead_m = ahead_of(road, t, s, i, lane, t.leader[there.next] if there.next < n else t.leader[n + lane])
    behind, behind_m = behind_of(road, t, i, lane, there.next)
    if behind == ahead:
        behind = -1
    blocked = _blocks(t, s, i, ahead, ahead_m, behind, behind_m)
    slow_down_for(t, s, i, here.last_blocked)
    if here.first_blocked != here.last_blocked:
        slow_down_for(t, s, i, here.first_blocked)
    look_on(t, s, me)
    helps = me.intent & HELPS
    wish, left_m = strategy(road, t, s, i, side, j, gap_m, ahead, ahead_m)
    if wish & STAY:
        return helps | wish | blocked
    if wish & URGENT:
        best = reaches(road, t, me, road.lane[me.lane].index, side)[2]
        prepare(road, t, s, i, side, best, left_m, blocked, ahead, ahead_m, behind, behind_m, here.first_blocked)
        return helps | wish | blocked
    return helps | wish | blocked | comfort(road, t, s, i, side, j, gap_m, ahead, ahead_m)


@inner
def _trail(road, t, me):  # type: ignore[no-untyped-def]
    """The lanes that a vehicle's rear stands on after a change: those that lead to its new lane."""
    back_m = me.position_m - t.kind[me.kind].length_m
    n_before, me.n_behind = me.n_behind, 0
    lane = me.lane
    while back_m < 0.0 and me.n_behind < min(n_before, REACH):
        found = -1
        for e in range(t.first_approach[lane], t.first_approach[lane + 1]):
            came = road.link[t.approach_link[e]].from_lane
            if found < 0 or road.lane[came].edge == road.lane[me.behind[me.n_behind]].edge:
                found = came
        if found < 0 or road.lane[found].edge != road.lane[me.behind[me.n_behind]].edge:
            return
        me.behind[me.n_behind] = found
        me.n_behind += 1
        back_m += road.lane[found].length_m
        lane = found


@inner
def _change(road, t, i, lane, behind):  # type: ignore[no-untyped-def]
    """Go over to another lane of the same edge, before `behind` in its list."""
    me = t.vehicle[i]
    t.follower[t.leader[i]] = t.follower[i]
    t.leader[t.follower[i]] = t.leader[i]
    ahead = t.leader[behind]
    t.leader[i], t.follower[i] = ahead, behind
    t.follower[ahead] = i
    t.leader[behind] = i
    me.lane = lane
    me.eager = me.eager_right = me.look_mps = 0.0
    me.intent, me.advice_mps = 0, inf
    if me.side[road.lane[lane].index] == 0:
        me.reserved_m = me.left_m = 0.0
    me.entered_s = me.entered_once_s = me.conflict_s = NEVER
    if me.n_behind > 0:
        _trail(road, t, me)
    orient(road, t, me, False)
    for e in range(me.first_item, me.first_item + me.n_items):  # nobody shall reckon with it at the old lines
        t.item[e].request = 0
        if t.item[e].link >= 0:
            t.item[e].link = -2 - t.item[e].link


@inner
def _turn(road, t, s, i):  # type: ignore[no-untyped-def]
    """Vehicle i has its turn: whether it has changed lanes."""
    me = t.vehicle[i]
    k, edge = road.lane[me.lane].index, road.lane[me.lane].edge
    first, end = road.edge_lane[edge], road.edge_lane[edge + 1]
    classes, both = int(t.kind[me.kind].classes), 0
    if halts(t, i) or k >= WIDEST:
        return False
    for side in (-1, 1):
        lane = me.lane + side
        if lane < first or lane >= min(end, first + WIDEST) or not road.lane[lane].classes & classes:
            continue
        bits = _consider(road, t, s, i, side)
        bit = LEFT if side > 0 else RIGHT
        if bits & bit and not bits & (LEADER_BLOCKS | FOLLOWER_BLOCKS) and _exit_is_taken(road, t, s, i, lane):
            bits |= LEADER_BLOCKS
        if bits & bit and not bits & (LEADER_BLOCKS | FOLLOWER_BLOCKS):
            _change(road, t, i, lane, road.beside[k + side].next)
            road.beside[k + side].jam_m += t.kind[me.kind].length_m + t.kind[me.kind].min_gap_m
            return True
        if bits & bit and bits & URGENT:
            there = road.beside[k + side]
            there.last_blocked = i
            if there.first_blocked < 0:
                there.first_blocked = i
        if side > 0 and bits & URGENT and both & URGENT:
            bits = 0  # to both sides: to the right it is
        both |= bits
    me.intent = both | (me.intent & NO_BRAKE)
    return False


@inner
def _renew(road, t, s, active):  # type: ignore[no-untyped-def]
    """Forget what was wished for in the step before; who has come to an edge looks over its lanes."""
    second = int(s.now_s)
    for i in active:
        me = t.vehicle[i]
        if me.lane < 0:
            continue
        me.intent = me.intent & WANTS if me.intent & STRATEGIC else 0
        me.advice_mps, me.reserved_m, me.left_m = inf, 0.0, 0.0
        lane = road.lane[me.lane]
        if not lane.internal and (lane.many > 1 or lane.fans):
            if not knows_lanes(me):
                orient(road, t, me, True)
            elif lane.many > 1 and (second + i) % _RENEW_S == 0:
                orient(road, t, me, False)


@inner
def change_lanes(road, t, s, active):  # type: ignore[no-untyped-def]
    """Let everybody on an edge of several lanes change by one lane if he wants to and there is room."""
    n = t.vehicle.shape[0]
    if len(road.wide_edge) == 0:
        return
    list_rears(road, t, active)
    _renew(road, t, s, active)
    for edge in road.wide_edge:
        first = road.edge_lane[edge]
        n_lanes = min(WIDEST, road.edge_lane[edge + 1] - first)
        for k in range(n_lanes):
            one = road.beside[k]
            one.next, one.first_blocked, one.last_blocked, one.jam_m = t.follower[n + first + k], -1, -1, 0.0
        while True:
            best, best_m = -1, -inf
            for k in range(n_lanes):
                i = road.beside[k].next
                if i < n and t.vehicle[i].position_m > best_m:
                    best, best_m = k, t.vehicle[i].position_m
            if best < 0:
                break
            one = road.beside[best]
            i = one.next
            one.next = t.follower[i]
            if not _turn(road, t, s, i):
                kind = t.kind[t.vehicle[i].kind]
                one.jam_m += kind.length_m + kind.min_gap_m
