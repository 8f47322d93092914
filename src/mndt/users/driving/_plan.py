"""What a driver means to do in a step: a speed, and how he would take each line ahead of him.

SUMO's MSVehicle::planMoveInternal and checkRewindLinkLanes (1.28), written anew. A driver looks over the lanes to
come as far as he could have to brake for, and on until he knows whether there is room behind the next junction.
For every line he notes a speed if he may cross and one if he has to stop, when he would arrive, and whether he
means to cross. Everything is planned from the state of the step before.
"""

from __future__ import annotations

from math import inf
from typing import Final

from mndt.users.driving._krauss import (
    HALTING_MPS,
    MARGIN_M,
    arrival_time,
    brake_gap,
    follow_speed,
    free_speed,
    halt_speed,
    inlined,
    inner,
    law,
    speed_after,
    stop_speed,
    stops_within,
    uniform,
)
from mndt.users.driving._lanes import next_link
from mndt.users.driving._links import (
    POSITION_M,
    after_major,
    goes_first,
    is_red,
    is_yellow,
    keeps_clear,
    leaves_junction,
    leaving_ms,
    milliseconds,
    mind_junction,
    opened,
    rear_m,
)

STOP_GAP_M: Final = 1.0
"""Drivers who have to stop for a light do so this far before the line."""

YELLOW_DECEL: Final = 3.0
"""Least deceleration, m/s^2, that is accepted to stop for yellow or red."""

SPACE_LENGTHS: Final = 5.0
"""Drivers look this many of their lengths into the lane behind a junction."""

MAX_ITEMS: Final = 24
"""Lines ahead that are noted at most."""

NEAR_M: Final = 60.0
"""Who drives off looks out for those who are nearer than this to the line behind him."""

_EPS_MPS: Final = 0.1 * MARGIN_M
_EQUAL: Final = ord("=")


@inlined
def lane_top(lane, me, kind):  # type: ignore[no-untyped-def]
    """The speed a driver wants on a lane."""
    return min(lane.limit_mps * me.speed_factor, kind.top_mps)


@inlined
def _follow(road, t, s, i, j, gap_m, seen_m, lane, first, last, v, v_pass):  # type: ignore[no-untyped-def]
    """Adapt to a vehicle ahead on the lanes to come: (v, v_pass)."""
    me, kind, other = t.vehicle[i], t.kind[t.vehicle[i].kind], t.vehicle[j]
    k = t.kind[other.kind]
    on_way = True
    if gap_m < 0.0 and last >= 0 and t.item[last].link >= 0:
        back = other.lane if other.n_behind == 0 else other.behind[other.n_behind - 1]
        on_way = back == lane or back == me.lane
        for e in range(first, last + 1):
            on_way = on_way or road.link[t.item[e].link].next_lane == back
    top_mps = min(me.speed_mps + kind.accel_mps2 * s.step_s, kind.top_mps)
    reach_m = -1.0  # most leaders are far away: then no speed has to be found
    if gap_m >= 0.0 and not s.ballistic:
        reach_m = gap_m + brake_gap(other.speed_mps, max(kind.decel_mps2, k.decel_mps2), s.step_s, False)
    if reach_m >= 0.0 and stops_within(reach_m, max(v, v_pass), kind.decel_mps2, kind.tau_s, s.step_s):
        safe = top_mps
    elif on_way:
        safe = follow_speed(
            gap_m, me.speed_mps, other.speed_mps, k.decel_mps2, kind.decel_mps2, kind.emergency_mps2, kind.tau_s,
            s.step_s, s.ballistic,
        )  # fmt: skip
    else:  # it comes from elsewhere and covers the whole lane: stop before that, outside the junction
        stop_m = seen_m - road.lane[lane].length_m - POSITION_M
        before = road.link[t.item[last].link].from_lane
        if road.lane[before].internal:
            stop_m -= road.lane[before].length_m
        safe = halt_speed(stop_m, me.speed_mps, kind.decel_mps2, kind.emergency_mps2, s.step_s, s.ballistic)
    safe = min(safe, top_mps)
    if last >= 0:
        leave = t.item[last].leave_mps
        if reach_m < 0.0 or not stops_within(reach_m, leave, kind.decel_mps2, kind.tau_s, s.step_s):
            later = follow_speed(
                gap_m, leave, other.speed_mps, k.decel_mps2, kind.decel_mps2, kind.emergency_mps2, kind.tau_s,
                s.step_s, s.ballistic,
            )  # fmt: skip
            later = min(later, leave + kind.accel_mps2 * s.step_s, kind.top_mps)
            t.item[last].leave_mps = min(leave, later)
    return min(v, safe), min(v_pass, safe)


@inlined
def _last_on(road, t, lane, i):  # type: ignore[no-untyped-def]
    """Who is met first on entering a lane, -1 = nobody."""
    n = t.vehicle.shape[0]
    j = t.leader[n + lane]
    if j < n:
        return j
    return last_rear(road, t, lane)


@inner
def _hindmost(road, t, lane):  # type: ignore[no-untyped-def]
    best, best_m = -1, inf
    e = t.rear_head[lane]
    while e >= 0:
        j = t.rear[e, 0]
        front_m = rear_m(t, road, j, lane) + t.kind[t.vehicle[j].kind].length_m
        if front_m < best_m:
            best, best_m = j, front_m
        e = t.rear[e, 1]
    return best


@inlined
def last_rear(road, t, lane):  # type: ignore[no-untyped-def]
    """Of the vehicles that only end on a lane, the hindmost; -1 = none."""
    return -1 if t.rear_head[lane] < 0 else _hindmost(road, t, lane)


@inlined
def _end(t, e, i, v, distance_m, space_m):  # type: ignore[no-untyped-def]
    """Note that nothing beyond matters."""
    item = t.item[e]
    item.link, item.vehicle, item.request, item.stopped_ahead = -1, i, 0, 0
    item.pass_mps = item.wait_mps = v
    item.leave_mps, item.arrival_mps, item.braking_mps = -1.0, 0.0, 0.0
    item.after, item.arrival_ms, item.leaving_ms, item.waited_ms = -1, 0, 0, 0
    item.distance_m, item.space_m = distance_m, space_m


@inlined
def _is_free(road, t, s, me, kind, lane, seen_m, v):  # type: ignore[no-untyped-def]
    """Whether nothing beyond a plain lane could slow a driver down now, and nobody asks when he comes there."""
    if s.ballistic or me.cursor + 2 >= me.route_end or 0 <= me.stop_edge - me.cursor <= 1 or t.rear_head[lane] >= 0:
        return False
    there = road.lane[road.link[road.lane[lane].first_link].next_lane]
    beyond = road.lane[road.link[there.first_link].next_lane]
    if not there.plain or there.edge != t.route_edge[me.cursor + 1] or beyond.edge != t.route_edge[me.cursor + 2]:
        return False
    if there.length_m <= kind.length_m * SPACE_LENGTHS or lane_top(there, me, kind) < v:
        return False
    if not there.classes & int(kind.classes) or not beyond.classes & int(kind.classes):
        return False
    j = t.leader[t.vehicle.shape[0] + road.link[road.lane[lane].first_link].next_lane]
    if j < t.vehicle.shape[0] and t.vehicle[j].position_m < t.kind[t.vehicle[j].kind].length_m:
        return False
    gap_m = seen_m - max(kind.min_gap_m, STOP_GAP_M) - 0.01
    return stops_within(gap_m, v, kind.decel_mps2, kind.tau_s, s.step_s) and stops_within(
        gap_m, v, kind.decel_mps2, s.step_s, s.step_s
    )


@inlined
def plan(road, t, s, i, first, lengths_m, quiet=False):  # type: ignore[no-untyped-def]
    """Note the lines ahead of vehicle i in rows of `t.item` from `first` on; how many they are.

    Args:
        lengths_m: lengths and gaps of the vehicles before it on its lane.
        quiet: nobody waits to drive off, who would ask for those that come near.
    """
    n = t.vehicle.shape[0]
    me = t.vehicle[i]
    kind = t.kind[me.kind]
    accel, decel, v_i, step_s = kind.accel_mps2, kind.decel_mps2, me.speed_mps, s.step_s
    now_ms = milliseconds(s.now_s)
    v_max = min(v_i + accel * step_s, kind.top_mps)
    comfortable = v_i - decel * step_s if s.ballistic else max(v_i - decel * step_s, 0.0)
    lane = me.lane
    lane_v = max(lane_top(road.lane[lane], me, kind), comfortable)
    v = min(v_max, lane_v)
    dist_m = v_max * step_s + brake_gap(v_max, decel, step_s, s.ballistic) + v_max * kind.tau_s
    seen_m = road.lane[lane].length_m - me.position_m
    outside_m, inside_m = 0.0, seen_m if road.lane[lane].internal else 0.0
    v_pass = lane_v if v >= lane_v else min(lane_v, speed_after(seen_m, v, accel, kind.top_mps))
    e, last, cursor = first, -1, me.cursor
    had_outside, slowed = False, False
    ahead = t.leader[i] if t.leader[i] < n else last_rear(road, t, lane)
    halt_m = inf
    while e < first + MAX_ITEMS:
        if ahead >= 0 and ahead != i:
            back_m = rear_m(t, road, ahead, lane)
            if last < 0:
                gap_m = back_m - me.position_m - kind.min_gap_m
            else:
                gap_m = back_m + seen_m - road.lane[lane].length_m - kind.min_gap_m
            v, v_pass = _follow(road, t, s, i, ahead, gap_m, seen_m, lane, first, last, v, v_pass)
        if last >= 0:
            t.item[last].wait_mps = min(t.item[last].wait_mps, v)
        elif v <= _EPS_MPS and not road.lane[lane].internal:  # it stands behind somebody: no line matters
            _end(t, e, i, v, seen_m, 0.0)
            return 1
        far = seen_m > dist_m and (quiet or seen_m >= NEAR_M)
        if last < 0 and far and road.lane[lane].plain and _is_free(road, t, s, me, kind, lane, seen_m, v):
            _end(t, e, i, v, seen_m, 0.0)
            t.item[e].request = 1
            return 1
        if me.stop_edge == cursor and not road.lane[lane].internal:  # a halt on this edge: nothing beyond matters
            halt_m = seen_m + me.stop_m + MARGIN_M - road.lane[lane].length_m
            stop = max(halt_speed(halt_m, v_i, decel, kind.emergency_mps2, step_s, s.ballistic), comfortable)
            if last >= 0:
                t.item[last].leave_mps = min(
                    t.item[last].leave_mps, stop_speed(me.stop_m, v_pass, decel, step_s, step_s, s.ballistic)
                )
            v = min(v, stop)
            _end(t, e, i, v, halt_m, 0.0)
            e += 1
            break
        if cursor + 1 >= me.route_end and not road.lane[lane].internal:  # the last edge: drive off it
            off = max(MARGIN_M, free_speed(seen_m - lane_v * step_s, v_i, lane_v, decel, step_s, s.ballistic))
            v = min(v, off)
            if last >= 0:
                t.item[last].leave_mps = min(t.item[last].leave_mps, off)
            fringe = road.lane[lane].first_link == road.lane[lane].link_end
            _end(t, e, i, v, seen_m, 1000.0 if fringe else 0.0)
            e += 1
            break
        link = next_link(road, t, me, lane, cursor)
        if link < 0:  # this lane does not lead on
            stop = halt_speed(seen_m, v_i, decel, kind.emergency_mps2, step_s, s.ballistic)
            if last >= 0:
                t.item[last].leave_mps = min(t.item[last].leave_mps, stop)
            v = min(v, stop)
            _end(t, e, i, v, seen_m, 0.0)
            e += 1
            break
        one = road.link[link]
        stops = is_red(one) or is_yellow(one)
        first_right = goes_first(one)
        stop_decel = max(min(YELLOW_DECEL, kind.emergency_mps2), decel) if stops else decel
        brake_m = brake_gap(v_i, stop_decel, step_s, s.ballistic)
        can_brake = seen_m >= brake_m
        offset_m = STOP_GAP_M
        if not stops:
            offset_m = min(one.visibility_m - POSITION_M, STOP_GAP_M if first_right else 0.0)
        if can_brake:
            offset_m = min(offset_m, seen_m - brake_m)
        offset_m = max(POSITION_M, offset_m)
        stop_m = max(0.0, seen_m - offset_m)
        leaving = road.lane[me.lane].internal and last < 0
        request = (v > _EPS_MPS and not (slowed and not one.from_inside)) or leaving
        v_wait = v
        if s.ballistic or not stops_within(stop_m, v, stop_decel, step_s, step_s):
            v_wait = min(v, halt_speed(stop_m, v_i, stop_decel, kind.emergency_mps2, step_s, s.ballistic))
        item = t.item[e]
        item.link, item.vehicle, item.stopped_ahead = link, i, 0
        item.distance_m, item.space_m = seen_m, 0.0
        item.waited_ms = milliseconds(me.waited_s)
        if road.lane[lane].internal:
            v, v_pass, v_wait, request = mind_junction(
                road, t, s, i, link, lane, seen_m, last, v, v_pass, v_wait, request
            )
        if stops and can_brake:
            arrives_s = arrival_time(seen_m, v_i if s.ballistic else v, v_pass, accel, decel)
            item.arrival_ms = now_ms - milliseconds(step_s) + milliseconds(arrives_s)
            item.pass_mps, item.wait_mps, item.request = v, v_wait, 0
            item.arrival_mps, item.braking_mps, item.leave_mps = v_wait, 0.0, -1.0
            e += 1
            break
        if last >= 0:
            t.item[last].leave_mps = min(t.item[last].leave_mps, lane_v)
        arrival_mps = v_pass
        minor = not first_right and brake_m < seen_m and not after_major(road, one)
        if minor and seen_m > one.visibility_m:
            # slow down so far that a halt is possible where foes are seen, and accelerate from there
            there = halt_speed_without_reaction(one.visibility_m, v_i, decel, step_s, s.ballistic)
            arrival_mps = min(v_pass, speed_after(one.visibility_m, there, accel, kind.top_mps))
            slowed = True
        elif one.state == _EQUAL and me.waited_s > 0.0 and uniform(s.key, i + 7_000_003) < 0.002:
            request = False  # nobody goes first and all wait for each other: somebody lets go
        arrives_s = arrival_time(seen_m, v_i if s.ballistic else v, arrival_mps, accel, decel)
        braking_mps = 0.0
        if seen_m < dist_m and seen_m < brake_gap(v, decel, step_s, s.ballistic) + v * kind.tau_s:
            braking_mps = _braked(seen_m, v, arrival_mps, kind)
        next_lane = one.next_lane
        leave_mps = lane_top(road.lane[next_lane], me, kind)
        if arrival_mps < leave_mps:
            leave_mps = min(leave_mps, speed_after(one.length_m, arrival_mps, accel, kind.top_mps))
        item.arrival_ms = now_ms - milliseconds(step_s) + milliseconds(arrives_s)
        item.pass_mps, item.wait_mps, item.request = v, v_wait, request
        item.arrival_mps, item.braking_mps, item.leave_mps = arrival_mps, braking_mps, leave_mps
        if not one.into_inside:
            had_outside = True
            cursor += 1
        far = not request or v <= 0.0 or seen_m > dist_m
        e += 1
        if far and had_outside and outside_m > max(kind.length_m * SPACE_LENGTHS, kind.length_m + inside_m):
            break
        lane = next_lane
        lane_v = lane_top(road.lane[lane], me, kind)
        if v > lane_v:
            slower = free_speed(seen_m, v_i, lane_v, decel, step_s, s.ballistic)
            if slower < comfortable - 1e-9:  # by more than rounding: that decides who just reaches a line
                slower = comfortable
            v = min(v, slower)
        if road.lane[lane].internal:
            inside_m += road.lane[lane].length_m
        else:
            outside_m += road.lane[lane].length_m
        ahead = _last_on(road, t, lane, i)
        seen_m += road.lane[lane].length_m
        v_pass = lane_v
        if v < lane_v:
            v_pass = min(lane_v, speed_after(road.lane[lane].length_m, v, accel, kind.top_mps))
        last = e - 1
    _rewind(road, t, s, i, first, e, lengths_m)
    for k in range(first, e):
        item = t.item[k]
        if item.link >= 0:
            leave = item.pass_mps if item.leave_mps < 0.0 else item.leave_mps
            item.leave_mps = leave
            item.leaving_ms = leaving_ms(
                item.arrival_ms, item.arrival_mps, leave, road.link[item.link].length_m + kind.length_m
            )
    return e - first


@law
def halt_speed_without_reaction(gap_m, speed_mps, decel_mps2, step_s, ballistic):  # type: ignore[no-untyped-def]
    """Largest speed from which a halt within `gap_m` is possible by braking at once, without any headway."""
    if ballistic:
        return stop_speed(gap_m, speed_mps, decel_mps2, step_s, step_s, True)
    gap = gap_m - MARGIN_M
    if gap < 0.0:
        return 0.0
    b = decel_mps2 * step_s * step_s
    n = int(0.5 + 0.5 * (1.0 + 8.0 * gap / b) ** 0.5)
    way = 0.5 * n * (n - 1) * b
    return (n * b + (gap - way) / n) / step_s


@inlined
def _braked(distance_m, v, arrival_mps, kind):  # type: ignore[no-untyped-def]
    """Speed at a line that is too near to stop before, if the driver brakes from now on."""
    rest_m = distance_m - v * kind.tau_s
    if distance_m < v:
        return arrival_mps
    if -2.0 * rest_m * kind.decel_mps2 + v * v >= 0.0:
        return min(arrival_mps, speed_after(rest_m, v, -kind.decel_mps2, kind.top_mps))
    return min(arrival_mps, kind.decel_mps2)


@inlined
def _space_on(road, t, lane, i):  # type: ignore[no-untyped-def]
    """Room on a lane up to the first vehicle that stands, less those that will drive up to it: (m, somebody stands)."""
    n = t.vehicle.shape[0]
    lengths_m = 0.0
    j = t.leader[n + lane]
    while j < n:
        other = t.vehicle[j]
        kind = t.kind[other.kind]
        if other.speed_mps < HALTING_MPS and j != i:
            return other.position_m - kind.length_m + other.speed_mps * kind.tau_s - lengths_m, True
        lengths_m += kind.length_m + kind.min_gap_m
        j = t.leader[j]
    return road.lane[lane].length_m - lengths_m, False


@inlined
def _rewind(road, t, s, i, first, end, lengths_m):  # type: ignore[no-untyped-def]
    """Take back the wish to enter a junction when there is no room behind it."""
    me = t.vehicle[i]
    kind = t.kind[me.kind]
    own_m = kind.length_m + kind.min_gap_m
    space_m, stands = -lengths_m, False
    for e in range(first, end):
        item = t.item[e]
        if item.link < 0 or stands:
            item.space_m = space_m if stands else item.space_m + space_m
            continue
        one = road.link[item.link]
        lane = one.next_lane
        if one.into_inside:
            if keeps_clear(one):
                space_m -= t.brutto_m[lane]
                if lane == me.lane:
                    space_m += own_m
            else:
                more_m, halts = _space_on(road, t, lane, i)
                stands = stands or halts
                space_m += more_m
            item.space_m = space_m
            continue
        j = _last_on(road, t, lane, i)
        if j < 0 or j == i:
            if road.lane[lane].length_m > kind.length_m or keeps_clear(one):
                space_m += road.lane[lane].length_m
        else:
            more_m, halts = _space_on(road, t, lane, i)
            space_m += more_m
            if halts or t.vehicle[j].waits:
                stands = True
                item.stopped_ahead = 1
        item.space_m = space_m
    waited_ms = milliseconds(me.waited_s)
    for e in range(end - 1, first, -1):
        item, after = t.item[e - 1], t.item[e]
        one = road.link[item.link]
        clears = not one.into_inside or after.link < 0 or after.request
        leave = item.pass_mps if item.leave_mps < 0.0 else item.leave_mps
        may = clears and (
            goes_first(one)
            or e == first + 1
            or opened(
                road.link, road.lane, road.response, t.vehicle, t.kind, t.before, item.link, i,
                item.arrival_ms, item.arrival_mps, leave,
                min(1.0, me.waited_s / s.impatience_s), waited_ms, milliseconds(s.now_s), milliseconds(s.step_s),
            )
        )  # fmt: skip
        goes_on = (one.cont or may) and not item.stopped_ahead
        if not may:
            stands = True
            if e > first + 1 and road.link[t.item[e - 2].link].cont:
                goes_on = True
        if goes_on:
            item.space_m = after.space_m
    if not stands:
        return
    begin = -1
    for e in range(first, end):
        item = t.item[e]
        if item.link >= 0 and item.space_m - own_m < 0.0 and keeps_clear(road.link[item.link]):
            begin = e
            break
    if begin < 0 or (begin == first and road.lane[me.lane].internal):
        return
    brake_m = brake_gap(me.speed_mps, kind.decel_mps2, s.step_s, s.ballistic)
    for e in range(begin, end):
        item = t.item[e]
        if item.link < 0:
            break
        item.pass_mps = item.wait_mps
        out = leaves_junction(road.link[item.link])
        if item.distance_m >= brake_m + POSITION_M and not (out and e > first and t.item[e - 1].request):
            item.request = 0
