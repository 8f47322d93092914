"""One step of road traffic, compiled: plan, register, decide, move, hand over, drive off.

The order is SUMO's: lights; plans of all from the old state; the lists of who approaches each line; then everybody
decides at the lines ahead by those lists (`_decide`, SUMO's processLinkApproaches), takes a speed, moves, and goes
over to the next lanes; then lanes are changed and waiting vehicles drive off.
"""

from __future__ import annotations

import zlib
from math import inf
from pathlib import Path
from typing import Any, Final

from numba import njit

from mndt.users.driving import (
    _insert,
    _krauss,
    _lane_change,
    _lane_help,
    _lane_wish,
    _lanes,
    _links,
    _neighbours,
    _plan,
    _tables,
)
from mndt.users.driving._insert import append, insert
from mndt.users.driving._krauss import HALTING_MPS, MARGIN_M, brake_gap, dawdle, inlined, stop_speed, uniform
from mndt.users.driving._lane_change import change_lanes
from mndt.users.driving._lane_help import patched_speed
from mndt.users.driving._links import (
    POSITION_M,
    after_major,
    goes_first,
    is_conflict_entry,
    is_red,
    is_yellow,
    leaves_junction,
    milliseconds,
    opened,
    yields,
)
from mndt.users.driving._plan import lane_top, plan
from mndt.users.driving._tables import NEVER, REACH

ASIDE_S: Final = 300.0
"""Who has stood for so long, not for red, is in a gridlock (SUMO's default time to teleport)."""


@inlined
def unlink(t, i):  # type: ignore[no-untyped-def]
    """Take vehicle i off its lane's list."""
    t.follower[t.leader[i]] = t.follower[i]
    t.leader[t.follower[i]] = t.leader[i]


@inlined
def _prepare(road, t, s, active):  # type: ignore[no-untyped-def]
    """Lights, and the lists of who stands on each lane, with the front or with the rear only."""
    n, second = t.vehicle.shape[0], int(s.now_s)
    cycle, phase = 0, 0
    for k in range(len(road.signalled)):
        signal = road.signal_of[k]
        if road.signal_cycle[signal] != cycle:  # most lights have one cycle
            cycle = road.signal_cycle[signal]
            phase = second % cycle
        letter = road.signal_state[road.signal_start[signal] + phase]
        if letter != road.shown[k]:
            road.shown[k] = letter
            road.link[road.signalled[k]].state = letter
    for node in range(n, t.leader.shape[0]):
        t.leader[node] = t.follower[node] = node
    t.rear_head[:] = -1
    t.brutto_m[:] = 0.0
    n_rear = 0
    for i in active:  # the first of a lane comes first
        me = t.vehicle[i]
        behind = t.leader[n + me.lane]
        t.leader[i], t.follower[i] = behind, n + me.lane
        t.follower[behind], t.leader[n + me.lane] = i, i
        kind = t.kind[me.kind]
        t.brutto_m[me.lane] += kind.length_m + kind.min_gap_m
        for k in range(me.n_behind):
            t.rear[n_rear, 0], t.rear[n_rear, 1] = i, t.rear_head[me.behind[k]]
            t.rear_head[me.behind[k]] = n_rear
            n_rear += 1
        for e in range(me.first_item, me.first_item + me.n_items):
            item = t.before[e]
            if item.link >= 0:
                item.after = road.link[item.link].approach
                road.link[item.link].approach = e


@inlined
def _forget(road, items, count):  # type: ignore[no-untyped-def]
    """Empty the lists of who approaches a line."""
    for e in range(count):
        link = items[e].link
        if link != -1:
            road.link[link if link >= 0 else -2 - link].approach = -1


@inlined
def _decide(road, t, s, i):  # type: ignore[no-untyped-def]
    """Speed by the lines ahead, the least speed to clear one, and whether the vehicle waits at one."""
    me = t.vehicle[i]
    kind = t.kind[me.kind]
    safe, least, least_m, can_stop_least, waits = inf, -inf, 0.0, False, 0
    v_i, decel = me.speed_mps, kind.decel_mps2
    now_ms, waited_ms = milliseconds(s.now_s), milliseconds(me.waited_s)
    v_max = min(v_i + kind.accel_mps2 * s.step_s, kind.top_mps)
    brake_m = brake_gap(v_i, decel, s.step_s, s.ballistic)
    for e in range(me.first_item, me.first_item + me.n_items):
        item = t.item[e]
        if item.link == -1 and item.request:  # nothing ahead but a leader, see `_plan`
            safe, waits = item.pass_mps, int(item.pass_mps < min(decel, v_max))
            break
        if item.link < 0 or not item.request:
            inside = item.link >= 0 and road.lane[me.lane].internal and road.link[item.link].from_inside
            if inside and road.link[item.link].junction == road.link[road.lane[me.lane].junction_entry].junction:
                yields(me)
            safe = item.wait_mps
            waits = 1 if safe < v_i or safe < HALTING_MPS else waits
            break
        one = road.link[item.link]
        yellow = is_yellow(one)
        can_brake = item.distance_m > brake_m or (not s.ballistic and v_i < decel * s.step_s)
        beyond = item.distance_m < 0.0
        if yellow and can_brake and not beyond:
            safe, waits = item.wait_mps, 1
            break
        impatience = min(1.0, me.waited_s / s.impatience_s) if can_brake else 1.0
        is_open = yellow or opened(
            road.link, road.lane, road.response, t.vehicle, t.kind, t.item, item.link, i,
            item.arrival_ms, item.arrival_mps, item.leave_mps, impatience, waited_ms,
            now_ms, milliseconds(s.step_s),
        )  # fmt: skip
        if is_open and not goes_first(one) and not after_major(road, one) and not one.cont:
            if item.distance_m > one.visibility_m and (can_brake or not yellow):
                safe, waits = item.wait_mps, 1
                break
            least_m = item.distance_m  # past the point of no return: fast enough to make it
            harder = v_i + kind.accel_mps2 * s.step_s
            over = (least_m + POSITION_M) / s.step_s
            if s.ballistic:
                over = (2.0 * least_m + MARGIN_M) / s.step_s - v_i
            least = min(over, item.pass_mps, min(harder, kind.top_mps))
            can_stop_least = can_brake
        if is_open:
            safe = item.pass_mps
            if safe < decel and safe <= item.wait_mps and safe < v_max:
                waits = 1
        elif (
            not can_brake
            and one.signal < 0
            and item.distance_m < brake_gap(v_i, kind.emergency_mps2, s.step_s, s.ballistic)
        ):
            safe = item.pass_mps
        else:
            safe, waits = item.wait_mps, 1
            break
    if safe + MARGIN_M < least:
        if can_stop_least and safe < v_i:
            lowest = v_i - decel * s.step_s if s.ballistic else max(v_i - decel * s.step_s, 0.0)
            safe = min(safe, max(lowest, stop_speed(least_m, v_i, decel, s.step_s, s.step_s, s.ballistic)))
            least, waits = 0.0, 1
        else:
            least = safe
    me.waits = waits
    return safe, least


@inlined
def _drive(road, t, s, i):  # type: ignore[no-untyped-def]
    """Take a speed and move, on the lane as if it had no end."""
    me = t.vehicle[i]
    kind = t.kind[me.kind]
    safe, least = _decide(road, t, s, i)
    v_i, step_s = me.speed_mps, s.step_s
    lowest, hardest = v_i - kind.decel_mps2 * step_s, v_i - kind.emergency_mps2 * step_s
    if not s.ballistic:
        lowest, hardest = max(lowest, 0.0), max(hardest, 0.0)
    low = min(lowest, max(safe, hardest))
    high = max(lane_top(road.lane[me.lane], me, kind), safe)
    high = max(low, min(high, min(v_i + kind.accel_mps2 * step_s, kind.top_mps), safe))
    v = high
    if kind.sigma > 0.0 and high > 0.0:
        v = max(low, dawdle(high, kind.accel_mps2, kind.sigma, uniform(s.key, i), step_s))
    if me.advice_mps < inf or me.intent or me.reserved_m > 0.0:  # for somebody's change of lanes
        v = patched_speed(t, s, i, low, v, high)
    if v > 0.0:
        v = max(v, least)
    if -0.1 * MARGIN_M < v < 0.1 * MARGIN_M:
        v = 0.0
    if s.ballistic:
        if v >= 0.0:
            way_m = 0.5 * (v_i + v) * step_s
        else:
            way_m = 0.5 * v_i * v_i / (v_i - v) * step_s
            v = 0.0
    else:
        v = max(v, 0.0)
        way_m = v * step_s
    me.accel_mps2 = (v - v_i) / step_s
    me.speed_mps = v
    me.position_m += way_m
    me.odometer_m += way_m
    if v <= HALTING_MPS and me.accel_mps2 <= 0.5 * kind.accel_mps2:  # faster than that is setting off
        me.waited_s += step_s
    else:
        me.waited_s = 0.0


@inlined
def _hand_over(road, t, s, i):  # type: ignore[no-untyped-def]
    """Go over to the lanes reached; False when the vehicle has arrived."""
    me = t.vehicle[i]
    length_m = t.kind[me.kind].length_m
    e, moved = me.first_item, False
    while me.position_m > road.lane[me.lane].length_m and e < me.first_item + me.n_items:
        link = t.item[e].link
        e += 1
        if link < 0 or (me.cursor + 1 >= me.route_end and not road.lane[me.lane].internal):
            break
        one = road.link[link]
        if is_red(one) and t.item[e - 1].distance_m >= 0.0 and not one.from_inside:
            break  # an emergency stop
        if not moved:
            unlink(t, i)
            moved = True
        k = min(me.n_behind, REACH - 1)
        while k > 0:
            me.behind[k] = me.behind[k - 1]
            k -= 1
        me.behind[0] = me.lane
        me.n_behind = min(me.n_behind + 1, REACH)
        me.position_m -= road.lane[me.lane].length_m
        me.lane = one.next_lane
        if not road.lane[me.lane].internal:
            me.cursor += 1
        if one.into_inside and not one.from_inside:
            me.entered_s = me.entered_once_s = s.now_s
        if is_conflict_entry(one):
            me.conflict_s = s.now_s
            me.entered_s = me.entered_once_s
        if leaves_junction(one):
            me.entered_s = me.entered_once_s = me.conflict_s = NEVER
    lane = road.lane[me.lane]
    if me.cursor + 1 >= me.route_end and not lane.internal and me.position_m > lane.length_m - POSITION_M:
        if not moved:
            unlink(t, i)
        me.lane = -1
        return False
    if me.position_m > lane.length_m:
        me.position_m, me.speed_mps = lane.length_m, 0.0
    k, back_m = 0, me.position_m - length_m
    while back_m < 0.0 and k < me.n_behind:
        back_m += road.lane[me.behind[k]].length_m
        k += 1
    me.n_behind = k
    if moved:
        append(t, i, me.lane)
    return True


def _compiled(stamp: int) -> Any:
    """`step`, kept on disk. numba renews what it kept when this file changes; the stamp, part of the key because
    it is a closure's value, makes it do so for the files of the functions called from here, too.
    """

    @njit(cache=True, nogil=True, error_model="numpy")
    def step(road, t, s, active, queue, aside, out):  # type: ignore[no-untyped-def]
        """One step of everything; writes who drives, who waits and who arrived into the rows of `out`.

        Args:
            active: rows on the road, lane by lane, the first of a lane first.
            queue: rows that wait to drive off, first come first.
            aside: seconds of standing after which a vehicle is taken off a locked ring; inf = never.

        Returns:
            How many there are of each, and how many were taken aside.
        """
        if stamp < 0:
            return 0, 0, 0, 0, 0
        n, n_lanes = t.vehicle.shape[0], road.lane.shape[0]
        _prepare(road, t, s, active)
        lane, lengths_m, used = -1, 0.0, 0
        firsts = out[0]
        for k in range(len(active)):
            i = active[k]
            me = t.vehicle[i]
            if me.lane != lane:
                lane, lengths_m = me.lane, 0.0
            count = plan(road, t, s, i, used, lengths_m, len(queue) == 0)
            firsts[k] = used
            used += count
            kind = t.kind[me.kind]
            lengths_m += kind.length_m + kind.min_gap_m
        _forget(road, t.before, len(t.before))
        for k in range(len(active)):
            me = t.vehicle[active[k]]
            me.first_item = firsts[k]
            me.n_items = (firsts[k + 1] if k + 1 < len(active) else used) - firsts[k]
            for e in range(me.first_item, me.first_item + me.n_items):
                item = t.item[e]
                if item.link >= 0:
                    item.after = road.link[item.link].approach
                    road.link[item.link].approach = e
        n_arrived, n_aside, n_waiting, n_over, longest_s = 0, 0, 0, 0, 0.0
        for i in active:
            _drive(road, t, s, i)
            me = t.vehicle[i]
            longest_s = max(longest_s, me.waited_s)
            if me.n_behind > 0 or me.position_m > road.lane[me.lane].length_m - POSITION_M:
                out[1, n_over] = i
                n_over += 1
        for i in out[1, :n_over]:
            if not _hand_over(road, t, s, i):
                out[2, n_arrived] = i
                n_arrived += 1
        change_lanes(road, t, s, active)
        if longest_s > aside:
            for i in active:
                me = t.vehicle[i]
                if me.lane >= 0 and me.waited_s > aside and me.stop_edge != me.cursor:
                    unlink(t, i)
                    me.lane, me.n_behind, me.waited_s = -1, 0, 0.0
                    me.cursor = min(me.cursor + 1, me.route_end - 1)
                    out[1, n_waiting] = i
                    n_waiting += 1
                    n_aside += 1
        for i in queue:
            me = t.vehicle[i]
            if me.cursor >= me.route_end:
                out[2, n_arrived] = i
                n_arrived += 1
            elif insert(road, t, s, i) < 0:
                me.waited_s += s.step_s
                out[1, n_waiting] = i
                n_waiting += 1
        _forget(road, t.item, used)
        n_active = 0
        for lane in range(n_lanes):
            i = t.follower[n + lane]
            while i < n:
                out[0, n_active] = i
                n_active += 1
                i = t.follower[i]
        return n_active, n_waiting, n_arrived, n_aside, used

    return step


step = _compiled(
    sum(
        zlib.crc32(Path(str(m.__file__)).read_bytes())
        for m in (
            *(_insert, _krauss, _lane_change, _lane_help, _lane_wish),
            *(_lanes, _links, _neighbours, _plan, _tables),
        )
    )
)
