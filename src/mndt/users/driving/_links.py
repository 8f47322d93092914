"""Who may cross a line: lights, gaps in the traffic that goes first, and vehicles inside a junction.

The rules are SUMO's (MSLink.cpp and MSVehicle.cpp of 1.28), written anew: a driver on a minor way compares when he
would arrive and leave with when everybody on the ways that go first would (`opened`), and follows or stops for
whoever is on a crossing or merging lane of the junction (`mind_junction`). Times are whole milliseconds.
"""

from __future__ import annotations

from math import floor, sqrt
from typing import Final

from mndt.users.driving._krauss import HALTING_MPS, brake_gap, follow_speed, halt_speed, inlined, inner
from mndt.users.driving._tables import NEVER

POSITION_M: Final = 0.1
"""How exactly positions are taken (SUMO's POSITION_EPS)."""

LOOK_AHEAD_MS: Final = 1000
"""Least time between who goes first and who gives way."""

BLOCKED_S: Final = 5.0
"""A vehicle that has stood in a junction for so long is an obstacle, nobody to be polite to."""

_INFINITE_M: Final = -1e300
_RED, _RED_YELLOW = ord("r"), ord("u")
_YELLOW, _YELLOW_MAJOR = ord("y"), ord("Y")
_STOP, _ALL_STOP = ord("s"), ord("w")


@inlined
def milliseconds(time_s):  # type: ignore[no-untyped-def]
    """Seconds as whole milliseconds, rounded."""
    return int(floor(time_s * 1000.0 + 0.5))  # noqa: RUF046 (compiled, floor gives a float)


@inlined
def is_red(link):  # type: ignore[no-untyped-def]
    """Whether a light forbids to cross."""
    return link.state == _RED or link.state == _RED_YELLOW


@inlined
def is_yellow(link):  # type: ignore[no-untyped-def]
    """Whether a light is about to be red."""
    return link.state == _YELLOW or link.state == _YELLOW_MAJOR


@inlined
def goes_first(link):  # type: ignore[no-untyped-def]
    """Whether others give way: capital letters."""
    return 65 <= link.state <= 90


@inlined
def leaving_ms(arrival_ms, arrival_mps, leave_mps, way_m):  # type: ignore[no-untyped-def]
    """When the rear leaves, `way_m` after the line."""
    return arrival_ms + milliseconds(way_m / max(0.5 * (arrival_mps + leave_mps), 0.001))


@inlined
def rear_m(t, road, j, lane):  # type: ignore[no-untyped-def]
    """Where vehicle j ends, measured from the start of a lane it stands on."""
    other = t.vehicle[j]
    at_m = other.position_m - t.kind[other.kind].length_m
    k, here = 0, other.lane
    while here != lane and k < other.n_behind:
        here = other.behind[k]
        at_m += road.lane[here].length_m
        k += 1
    return at_m


@inlined
def _unsafe_merge(first_mps, second_mps, first_decel, second_decel):  # type: ignore[no-untyped-def]
    return first_mps * first_mps / first_decel <= second_mps * second_mps / second_decel


@inner
def _braking_arrival(arrival_ms, foe_ms, impatience, distance_m, decel_mps2, now_ms, step_ms):  # type: ignore[no-untyped-def]
    """When a foe would arrive, and how fast, if it braked for somebody who takes the gap: (ms, m/s)."""
    if arrival_ms - arrival_ms % step_ms == foe_ms - foe_ms % step_ms:
        return foe_ms, -1.0
    m = decel_mps2 * impatience
    dt = (foe_ms - arrival_ms) * 1e-3
    d = dt * m
    a = dt * d / 2.0
    v = distance_m / ((foe_ms - now_ms + step_ms) * 1e-3)
    left_m = distance_m - v * (arrival_ms - now_ms + step_ms) * 1e-3
    if 0.5 * v * v / m <= left_m:
        return foe_ms + 30_000, 0.0
    x = (sqrt(max(0.0, 4.0 * (v - d) * (v - d) - 8.0 * m * a)) * -0.5 - d + v) / m
    return foe_ms + milliseconds(x), v - (dt + x) * m


@inner
def opened(  # type: ignore[no-untyped-def]
    links,
    lanes,
    response,
    vehicles,
    kinds,
    items,
    link,
    i,
    arrival_ms,
    arrival_mps,
    leave_mps,
    impatience,
    waited_ms,
    now_ms,
    step_ms,
):
    """Whether nobody who goes first is in the way of vehicle i crossing a line at that time and speed."""
    one = links[link]
    if is_red(one):
        return False
    if one.cont:
        return True
    first = goes_first(one)
    after_red = False
    if one.from_inside and one.into_inside:  # a waiting place: what the light showed where one came in counts
        came = links[lanes[one.from_lane].junction_entry]
        first = first or came.state == 71  # G
        after_red = is_red(came)
    if first:
        return True
    if (one.state == _STOP or one.state == _ALL_STOP) and waited_ms == 0:
        return False
    kind = kinds[vehicles[i].kind]
    leave = leaving_ms(arrival_ms, arrival_mps, leave_mps, one.length_m + kind.length_m)
    for r in range(one.first_response, one.response_end):
        foe_link = links[response[r]]
        same = foe_link.to_lane == one.to_lane
        e = foe_link.approach
        while e >= 0:
            foe = items[e]
            e = foe.after
            if foe.vehicle == i or not foe.request:
                continue
            other = vehicles[foe.vehicle]
            if after_red and other.speed_mps <= HALTING_MPS:
                continue
            if one.state == _ALL_STOP and (
                waited_ms > foe.waited_ms or (waited_ms == foe.waited_ms and arrival_ms < foe.arrival_ms)
            ):
                continue
            foe_ms, braking_mps = foe.arrival_ms, foe.braking_mps
            decel = kinds[other.kind].decel_mps2
            if impatience > 0.0 and arrival_ms < foe_ms:
                late_ms, slow_mps = _braking_arrival(
                    arrival_ms, foe_ms, impatience, foe.distance_m, decel, now_ms, step_ms
                )
                braking_mps = slow_mps if slow_mps >= 0.0 else braking_mps
                foe_ms = int((1.0 - impatience) * foe_ms + impatience * late_ms)
            if foe.leaving_ms < arrival_ms:  # behind it
                if same and (
                    arrival_ms - foe.leaving_ms < LOOK_AHEAD_MS
                    or _unsafe_merge(foe.leave_mps, arrival_mps, decel, kind.decel_mps2)
                ):
                    return False
            elif foe_ms > leave + LOOK_AHEAD_MS:  # before it
                if same and _unsafe_merge(leave_mps, braking_mps, kind.decel_mps2, decel):
                    return False
            else:
                return False
    return True


@inner
def _is_leader(road, t, s, i, link, j, gap_m):  # type: ignore[no-untyped-def]
    """Whether vehicle i, on its way over `link`, lets j inside the junction go first."""
    me, other = t.vehicle[i], t.vehicle[j]
    mine, its = road.lane[me.lane], road.lane[other.lane]
    one = road.link[link]
    if not mine.internal or road.link[mine.junction_entry].junction != one.junction:
        return True
    if not its.internal or road.link[its.junction_entry].junction != one.junction:
        return True
    my_s, its_s = me.conflict_s, other.entered_s
    entry, foe_entry = road.link[mine.junction_entry], road.link[its.junction_entry]
    if entry.from_lane == foe_entry.from_lane:
        my_s, its_s = me.entered_once_s, other.entered_once_s
    else:
        yields, foe_yields = False, False
        if is_red(entry) or is_red(foe_entry):
            if not is_red(foe_entry) and other.speed_mps > HALTING_MPS and gap_m < 0.0:
                k = t.kind[other.kind]
                stop_m = brake_gap(other.speed_mps, k.decel_mps2, s.step_s, s.ballistic) + other.speed_mps * k.tau_s
                yields = -gap_m - k.length_m < stop_m
                foe_yields = not yields
            else:
                yields, foe_yields = is_red(foe_entry), is_red(entry)
        elif goes_first(entry) != goes_first(foe_entry):
            yields, foe_yields = not goes_first(entry), not goes_first(foe_entry)
        elif is_yellow(entry) and is_yellow(foe_entry):
            yields, foe_yields = other.speed_mps >= me.speed_mps, me.speed_mps >= other.speed_mps
        else:
            yields = _responds(road, mine.junction_entry, its.junction_entry)
            foe_yields = _responds(road, its.junction_entry, mine.junction_entry)
        if not yields:
            my_s, its_s = me.entered_s, other.conflict_s
        elif foe_yields:
            my_s, its_s = me.conflict_s, other.conflict_s
    if my_s == its_s:
        if me.speed_mps == other.speed_mps:
            return i < j
        return me.speed_mps < other.speed_mps
    return my_s > its_s


@inlined
def _responds(road, link, foe):  # type: ignore[no-untyped-def]
    one = road.link[link]
    found = False
    for r in range(one.first_response, one.response_end):
        found = found or road.response[r] == foe
    return found


@inlined
def _will_pass(t, j, link, same_target):  # type: ignore[no-untyped-def]
    """Whether j meant to cross a line in the step before; who changed lanes is taken to."""
    other = t.vehicle[j]
    for e in range(other.first_item, other.first_item + other.n_items):
        if t.before[e].link == link:
            return t.before[e].request != 0
    return same_target


@inlined
def _before(road, lane):  # type: ignore[no-untyped-def]
    """The lane before one inside a junction; -1 - lane for others, so that no two are the same."""
    entry = road.lane[lane].entry
    return road.link[entry].from_lane if entry >= 0 else -1 - lane


@inner
def _adapt(road, t, s, i, j, gap_m, crossing_m, seen_m, lane, v, v_pass, last):  # type: ignore[no-untyped-def]
    """Speed for a vehicle inside the junction: follow it, or stop before the lane or before the crossing."""
    me, kind, other = t.vehicle[i], t.kind[t.vehicle[i].kind], t.vehicle[j]
    v_i, b = me.speed_mps, kind.decel_mps2
    safe = 0.0 if not s.ballistic else -1e9
    if gap_m >= 0.0:
        k = t.kind[other.kind]
        safe = follow_speed(
            gap_m, v_i, other.speed_mps, k.decel_mps2, b, kind.emergency_mps2, kind.tau_s, s.step_s, s.ballistic
        )
    else:
        stop_m = seen_m - road.lane[lane].length_m - POSITION_M
        safe = halt_speed(stop_m, v_i, b, kind.emergency_mps2, s.step_s, s.ballistic)
    most = min(v_i + kind.accel_mps2 * s.step_s, kind.top_mps)
    safe = min(safe, most)
    if crossing_m >= 0.0:
        stop = halt_speed(crossing_m - kind.min_gap_m, v_i, b, kind.emergency_mps2, s.step_s, s.ballistic)
        if gap_m == _INFINITE_M:
            safe = max(safe, min(stop, most))
        else:
            past_s = (crossing_m - gap_m) / max(other.speed_mps, HALTING_MPS)
            end_mps = max(v_i, 2.0 * (crossing_m - kind.min_gap_m) / past_s - v_i)
            safe = max(safe, min(v_i + (end_mps - v_i) / past_s * s.step_s, min(stop, most)))
    if last >= 0:
        t.item[last].leave_mps = min(t.item[last].leave_mps, safe)
    return min(v, safe), min(v_pass, safe)


@inlined
def mind_junction(road, t, s, i, link, lane, seen_m, last, v, v_pass, v_wait, request):  # type: ignore[no-untyped-def]
    """Adapt to the vehicles on lanes that cross or join the one that `link` leaves: (v, v_pass, v_wait, request)."""
    n = t.vehicle.shape[0]
    me, one = t.vehicle[i], road.link[link]
    kind = t.kind[me.kind]
    between = one.from_inside and one.into_inside
    for c in range(one.first_conflict, one.conflict_end):
        conflict = road.conflict[c]
        foe_lane = conflict.lane
        leader = t.leader[n + foe_lane]
        part = t.rear_head[foe_lane]
        if leader >= n and part < 0:
            continue
        foe_exit = road.lane[foe_lane].first_link
        foe_out = road.link[foe_exit]
        crossing_m = seen_m - conflict.behind_m
        foe_crossing_m = road.lane[foe_lane].length_m - conflict.foe_behind_m
        foe_between = foe_out.into_inside  # a waiting place inside the junction ends that lane
        same_target = one.to_lane == foe_out.to_lane and not between and not foe_between
        entry = road.link[road.lane[one.from_lane].junction_entry]
        foe_entry = road.link[road.lane[foe_lane].junction_entry]
        same_source = entry.from_lane == foe_entry.from_lane
        alike = same_target or same_source
        width_m = 0.0 if alike else conflict.size_m
        foe_width_m = 0.0 if alike else conflict.foe_size_m
        waiting = foe_between and not (between or one.after_waiting)
        if crossing_m + width_m < 0.0 and not same_target:
            continue
        ignore_waiting = False
        if waiting:
            green = (entry.state | 32) == 103 and (foe_entry.state | 32) == 103
            ignore_waiting = green and entry.from_lane != foe_entry.from_lane
        reach_m = kind.length_m + 2.0
        sagitta_m = 0.0
        if one.radius_m < 1e8:
            square = one.radius_m * one.radius_m - 0.25 * reach_m * reach_m
            sagitta_m = one.radius_m - sqrt(square) if square >= 0.0 else 0.0
        while True:
            if leader < n:
                j = leader
                leader = t.leader[j]
            elif part >= 0:
                j = t.rear[part, 0]
                part = t.rear[part, 1]
            else:
                break
            if j == i:
                continue
            other = t.vehicle[j]
            length_m = t.kind[other.kind].length_m
            back_m = rear_m(t, road, j, foe_lane)
            left_m = foe_crossing_m - back_m
            past = left_m + foe_width_m + sagitta_m < 0.0
            entered = left_m < length_m
            front_here = other.lane == foe_lane
            cannot_ignore = waiting or same_target or same_source
            in_way = (
                ((not past and crossing_m > 0.0) or (same_target and crossing_m > left_m - length_m))
                and entered
                and not foe_between
            )
            if not in_way and ignore_waiting:
                continue
            if crossing_m < -POSITION_M and not in_way:
                continue
            if (
                same_source
                and road.lane[me.lane].edge == road.lane[one.from_lane].edge
                and back_m + length_m < me.position_m - kind.length_m
            ):
                continue
            may_ignore = (not cannot_ignore or same_target) and not in_way and front_here
            if may_ignore and not _will_pass(t, j, foe_exit, same_target):
                continue
            if waiting and not same_source:
                gap_m = _INFINITE_M
            else:
                if past and not same_target:
                    continue
                if same_target and left_m < 0.0:
                    left_m += max(0.0, conflict.foe_behind_m - conflict.behind_m)
                gap_m = crossing_m - kind.min_gap_m - left_m - foe_width_m
            at_once = cannot_ignore if front_here else (same_target or same_source)
            if not (in_way or _is_leader(road, t, s, i, link, j, gap_m)):
                continue
            stop_m = -1.0 if at_once else crossing_m
            v, v_pass = _adapt(road, t, s, i, j, gap_m, stop_m, seen_m, lane, v, v_pass, last)
            if last >= 0:
                v = max(v, t.item[last].wait_mps)
            if v < HALTING_MPS:
                its = _before(road, other.lane)
                if its == _before(road, me.lane) or its == me.lane or other.waited_s > BLOCKED_S:
                    request = False
                    if last >= 0 and its == me.lane:
                        t.item[last].request = False
    return v, v_pass, min(v_wait, v), request


@inlined
def after_major(road, link):  # type: ignore[no-untyped-def]
    """Whether a line at a waiting place was reached by a way that goes first, or at yellow."""
    if not (link.from_inside and link.into_inside):
        return False
    came = road.link[road.lane[link.from_lane].junction_entry]
    return goes_first(came) or is_yellow(came)


@inlined
def keeps_clear(link):  # type: ignore[no-untyped-def]
    """Whether nobody should halt in the junction behind a line."""
    return link.has_foes and link.keep_clear


@inlined
def is_conflict_entry(link):  # type: ignore[no-untyped-def]
    """Whether ways cross right behind a line: it has no waiting place, or is one."""
    return not link.cont and link.into_inside


@inlined
def leaves_junction(link):  # type: ignore[no-untyped-def]
    """Whether a junction ends with a line."""
    return link.from_inside and not link.into_inside


@inlined
def yields(vehicle):  # type: ignore[no-untyped-def]
    """A vehicle that is blocked in a junction lets others become leaders."""
    vehicle.entered_s = NEVER
    vehicle.conflict_s = NEVER
