"""Who may cross which stop line this second.

A driver plans to stop at every line that has not been promised to him. Each second all drivers close
enough to a line ask for it; a junction answers in the order of rank, then of arrival. A promise is
given when light, lane, room and crossing traffic allow it, and it holds for this second only, except
for drivers who could no longer stop: theirs is renewed before anyone else is heard. Whoever has
no promise can therefore always stop, and whoever has one never meets another in the same lane:

* Light: red never, yellow only for those who can no longer stop.
* Lane: in one second a lane takes drivers from one lane only, and only if the first of them can
  follow the lane's last vehicle without hard braking. Followers from that lane come in order.
* Room: behind a vehicle that stands or may stop there must be room for the whole vehicle.
* Crossing traffic: paths over the junction that cut each other are not promised together, nor while a
  vehicle on one of them still leaves the junction; who had to stop there is driven around.

A driver who has stood at a line for `PATIENCE_S` is heard first; what keeps him from going is then
promised to nobody of lower rank, so that even a steady stream lets him in. The order of hearing
is total, every promise comes true within seconds because there was room for it, and lights change:
nobody waits for himself. Only a ring of full streets can stand, as it can in a city; it is opened by drivers who pull
aside after five minutes (`_motion.ASIDE_S`).
"""

from __future__ import annotations

from math import inf, pi
from typing import Final, NamedTuple

import numpy as np

from mndt.users._krauss import brake_gap, follow_speed, inlined, inner

Array = np.ndarray

LOOK: Final = 4
"""Lines ahead that can be promised at the same time: short edges are passed without slowing down."""

STOP_GAP_M: Final = 1.0
"""Drivers stop this far before a line, as in SUMO."""

PATIENCE_S: Final = 30.0
SLOW_MPS: Final = 2.0
"""A last vehicle slower than this, or slower by this than the one who asks, may be the end of a queue."""

RED, YELLOW, GREEN = range(3)
_CLEARS, _KEEPS, _INSISTS = -30.0, -20.0, -10.0  # ranks before all ranks of roads
FREE, BOOKED = -1, -2  # instead of the lane whose drivers a lane takes in

VEHICLE: Final = np.dtype(
    [
        ("lane", np.int32),  # -1 where nobody drives
        ("kind", np.int32),  # row of the table of kinds
        ("route_start", np.int32),  # rows of the pool of routes: first edge, edge being driven, end
        ("cursor", np.int32),
        ("route_end", np.int32),
        ("promised", np.int32),  # lines ahead that may be crossed
        ("position_m", np.float64),  # of the front bumper, from the start of the lane
        ("speed_mps", np.float64),
        ("odometer_m", np.float64),  # since the trip began
        ("waited_s", np.float64),  # standing first at a line, not for red, or waiting to drive off
        ("speed_factor", np.float64),  # the driver's own share of speed limits
    ]
)
"""What a vehicle remembers from second to second."""

NOTE: Final = np.dtype(
    [
        ("won", np.int32),  # bit k = line k is promised this second
        ("limit", np.int32),  # promises that still lead along its lanes
        ("at_red", np.int32),  # the light stops it
        ("sight_m", np.float64),
        ("next_mps", np.float64),
    ]
)
"""What is noted about a vehicle within one second."""

KIND: Final = np.dtype(
    [
        ("length_m", np.float64),
        ("min_gap_m", np.float64),
        ("accel_mps2", np.float64),
        ("decel_mps2", np.float64),
        ("emergency_mps2", np.float64),
        ("sigma", np.float64),
        ("tau_s", np.float64),
        ("top_mps", np.float64),
        ("cycles", np.float64),  # rides on bicycle lanes
    ]
)
"""A row of `VehicleMemory.kinds`."""

REQUEST: Final = np.dtype(
    [
        ("after", np.int32),  # the next in the node's list
        ("vehicle", np.int32),
        ("line", np.int32),  # 0 = the line at the end of the vehicle's lane, 1 = the next, ...
        ("from_lane", np.int32),
        ("from_edge", np.int32),
        ("to_edge", np.int32),
        ("ahead", np.int32),  # the vehicle in front on the way to the line, -1 = none
        ("ahead_line", np.int32),  # the same line, counted by the vehicle in front
        ("stands", np.int32),  # promised or booked: an obstacle for paths that cross
        ("rank", np.float64),
        ("arrival_s", np.float64),
        ("distance_m", np.float64),
    ]
)

INTAKE: Final = np.dtype([("taken_by", np.int32), ("room_used_m", np.float64)])
"""What a lane takes in this second: from which lane (or FREE, BOOKED), and the room they need."""


class Traffic(NamedTuple):
    """All vehicles, one row per user of the population, as compiled code changes them."""

    vehicle: Array  # VEHICLE
    note: Array  # NOTE
    next_lane: Array  # i32[users, LOOK]
    leader: Array  # i32[users + lanes]: a circular list for each lane; entry users + lane is the lane itself
    follower: Array
    route_edge: Array
    kind: Array  # KIND


class Requests(NamedTuple):
    """Requests of one second in a list per node, most urgent first."""

    request: Array  # REQUEST
    first: Array  # per node: the head of its list, -1 = none
    intake: Array  # INTAKE, per lane


@inlined
def _sight_m(speed_mps, kind, step_s):  # type: ignore[no-untyped-def]
    """How far a driver looks: beyond it neither a line nor a vehicle across it can matter this step."""
    fastest = speed_mps + kind.accel_mps2 * step_s
    return brake_gap(fastest, kind.decel_mps2, step_s) + fastest * (kind.tau_s + 2.0 * step_s) + 10.0


@inlined
def _light(edge, time_s):  # type: ignore[no-untyped-def]
    """What the light at the end of an edge shows; GREEN where there is none."""
    if edge.signal_cycle_s <= 0.0:
        return GREEN
    since_green_s = (time_s - edge.signal_from_s) % edge.signal_cycle_s
    if since_green_s < edge.signal_green_s:
        return GREEN
    return YELLOW if since_green_s < edge.signal_green_s + edge.signal_yellow_s else RED


@inlined
def _paths_cross(edge, a, b):  # type: ignore[no-untyped-def]
    """Whether two paths over a junction cut each other: as chords between points on a circle around it."""
    if a.from_edge == b.from_edge or a.to_edge == b.to_edge:
        return False  # one behind the other, or side by side into lanes that are given out one by one
    start = edge[a.from_edge].enter_rad
    span = (edge[a.to_edge].leave_rad - start) % (2.0 * pi)
    enters = (edge[b.from_edge].enter_rad - start) % (2.0 * pi) < span
    leaves = (edge[b.to_edge].leave_rad - start) % (2.0 * pi) < span
    return enters != leaves


@inner
def _file(r, e, node):  # type: ignore[no-untyped-def]
    """Put request e into the list of a node: by rank, arrival, vehicle."""
    new, before, behind = r.request[e], -1, r.first[node]
    while behind >= 0:
        old = r.request[behind]
        if old.rank > new.rank or (old.rank == new.rank and old.arrival_s > new.arrival_s):
            break
        before, behind = behind, old.after
    new.after = behind
    if before < 0:
        r.first[node] = e
    else:
        r.request[before].after = e


@inner
def collect(road, t, r, time_s, step_s):  # type: ignore[no-untyped-def]
    """File everybody's requests for the lines they see, and those still clearing a junction as obstacles."""
    n, e = t.vehicle.shape[0], np.int64(0)
    for first_lane in range(road.lane.shape[0]):
        i, latest_s = t.follower[n + first_lane], -inf
        while i < n:
            me, lane, depth, k = t.vehicle[i], first_lane, 0, 0
            kind, needs_m = t.kind[me.kind], -1.0
            t.note[i].sight_m = see_m = _sight_m(me.speed_mps, kind, step_s)
            distance_m = road.lane[lane].length_m - me.position_m
            ahead = t.leader[i] if t.leader[i] < n else -1
            clears = me.position_m < kind.length_m and me.cursor > me.route_start and me.speed_mps > 0.0
            while clears or (k < LOOK and distance_m <= see_m and me.cursor + k + 1 < me.route_end):
                new = r.request[e]
                new.vehicle, new.line, new.from_lane, new.distance_m = i, k, lane, distance_m
                new.ahead, new.ahead_line, new.stands = ahead, k - depth, clears
                if clears:  # its front is in the lane, its rear still on the junction
                    new.from_edge, new.to_edge = t.route_edge[me.cursor - 1], road.lane[lane].edge
                    new.rank, new.arrival_s = _CLEARS, 0.0
                    _file(r, e, road.edge[new.to_edge].start_node)
                    e, clears = e + 1, False
                    continue
                new.from_edge, new.to_edge = road.lane[lane].edge, t.route_edge[me.cursor + k + 1]
                edge = road.edge[new.from_edge]
                shows, spare_m = _light(edge, time_s), distance_m - STOP_GAP_M
                if shows == GREEN:
                    spare_m = max(spare_m, 0.0)
                if needs_m < 0.0:
                    needs_m = brake_gap(me.speed_mps, kind.decel_mps2, step_s)
                keeps = shows != RED and k < me.promised and spare_m < needs_m
                if shows != GREEN and not keeps:
                    t.note[i].at_red = k == 0
                    break
                left = (road.edge[new.to_edge].leave_rad - edge.enter_rad) % (2.0 * pi) > 1.25 * pi
                new.rank = 2.0 * edge.rank + (1.0 if left else 0.0)
                new.arrival_s = distance_m / max(me.speed_mps, 1.0)
                if k == 0:  # who is behind in the lane is heard later
                    new.arrival_s = latest_s = max(new.arrival_s, latest_s + 1e-6)
                if keeps:
                    new.rank = _KEEPS
                elif k == 0 and me.waited_s >= PATIENCE_S:
                    new.rank, new.arrival_s = _INSISTS, -me.waited_s
                _file(r, e, edge.end_node)
                e += 1
                if k >= me.promised:
                    break
                lane = t.next_lane[i, k]
                distance_m += road.lane[lane].length_m
                k += 1
                if ahead < 0 and t.leader[n + lane] < n:
                    ahead, depth = t.leader[n + lane], k
            i = t.follower[i]


@inner
def _promise(t, r, one, lane):  # type: ignore[no-untyped-def]
    i, k = one.vehicle, one.line
    me, note = t.vehicle[i], t.note[i]
    if k < me.promised and t.next_lane[i, k] != lane:
        note.limit = min(note.limit, k + 1)  # later promises began on another lane
    t.next_lane[i, k] = lane
    note.won |= 1 << k
    one.stands = True
    r.intake[lane].taken_by = one.from_lane
    r.intake[lane].room_used_m += t.kind[me.kind].length_m + t.kind[me.kind].min_gap_m


@inner
def _best_lane(road, t, r, one, step_s):  # type: ignore[no-untyped-def]
    """The lane of the next edge to enter: the one with most room at its start, the own side if equal; -1 = none."""
    n, me, edge, came = t.vehicle.shape[0], t.vehicle[one.vehicle], road.edge[one.to_edge], one.from_lane
    kind, same_side = t.kind[me.kind], came - road.edge[one.from_edge].first_lane + edge.first_lane
    best, best_m, lane = -1, -inf, edge.first_lane
    end = edge.car_end
    if kind.cycles > 0.0 and edge.lane_end > edge.car_end:
        lane, end = edge.car_end, edge.lane_end
    while lane < end:
        intake, last, free_m = r.intake[lane], t.leader[n + lane], 60.0
        fits = intake.taken_by == FREE or intake.taken_by == came
        if fits and last < n:
            other = t.vehicle[last]
            other_kind = t.kind[other.kind]
            rear_m = other.position_m - other_kind.length_m - kind.min_gap_m
            gap_m, free_m = one.distance_m + rear_m, min(free_m, other.position_m)
            if intake.taken_by == FREE:  # the first of this second has to be able to follow
                safe = follow_speed(gap_m, other.speed_mps, other_kind.decel_mps2, kind.decel_mps2, kind.tau_s, step_s)
                fits = gap_m >= -0.1 and safe >= me.speed_mps - kind.decel_mps2 * step_s
            queues = other.speed_mps < SLOW_MPS or other.speed_mps < me.speed_mps - SLOW_MPS
            if other.cursor == other.route_start or t.route_edge[other.cursor - 1] != one.from_edge:
                queues = True  # it came from elsewhere: what it follows is not what I followed
            if queues and not edge.alone:  # will there be room when it stops?
                rear_m += brake_gap(other.speed_mps, other_kind.decel_mps2, step_s) - intake.room_used_m
                fits = fits and rear_m >= kind.length_m
        if lane == same_side:
            free_m += 0.5
        if fits and free_m > best_m:
            best, best_m = lane, free_m
        lane += 1
    return best


@inner
def _hear(road, t, r, head, step_s):  # type: ignore[no-untyped-def]
    """Answer the requests of one node that are not renewals."""
    n, e = t.vehicle.shape[0], head
    while e >= 0:
        one = r.request[e]
        e = one.after
        if one.rank < _INSISTS:
            continue
        ahead, k = one.ahead, one.ahead_line
        while k == 0 and ahead >= 0 and t.vehicle[ahead].cursor + 1 >= t.vehicle[ahead].route_end:
            ahead = t.leader[ahead] if t.leader[ahead] < n else -1  # it leaves the road here: who is before it?
        if ahead >= 0:  # behind a vehicle that uses the same line and has no promise for it?
            other = t.vehicle[ahead]
            same = k == 0 or (k <= other.promised and t.next_lane[ahead, k - 1] == one.from_lane)
            if same and other.cursor + k + 1 < other.route_end and not (t.note[ahead].won >> k) & 1:
                continue
        lane = _best_lane(road, t, r, one, step_s)
        if lane < 0:
            continue
        cut, other_e = False, head
        while other_e >= 0 and not cut:
            cut = r.request[other_e].stands and _paths_cross(road.edge, one, r.request[other_e])
            other_e = r.request[other_e].after
        if not cut:
            _promise(t, r, one, lane)
        elif one.rank == _INSISTS:
            one.stands = True
            r.intake[lane].taken_by = one.from_lane


@inner
def decide(road, t, r, active, queue, step_s):  # type: ignore[no-untyped-def]
    """Renew promises, keep the start of lanes free for those long waiting to drive off, hear the others."""
    n_nodes, n = r.first.shape[0], t.vehicle.shape[0]
    for node in range(n_nodes):
        e = r.first[node]
        while e >= 0 and r.request[e].rank <= _KEEPS:
            one = r.request[e]
            if one.rank == _KEEPS:
                _promise(t, r, one, np.int64(t.next_lane[one.vehicle, one.line]))
            e = one.after
    for i in queue:
        me, kind = t.vehicle[i], t.kind[t.vehicle[i].kind]
        if me.waited_s >= PATIENCE_S and me.cursor < me.route_end:
            edge = road.edge[t.route_edge[me.cursor]]
            lane = edge.car_end if kind.cycles > 0.0 and edge.lane_end > edge.car_end else edge.first_lane
            last = t.leader[n + lane]
            clear_m = inf if last >= n else t.vehicle[last].position_m - t.kind[t.vehicle[last].kind].length_m
            if r.intake[lane].taken_by == FREE and clear_m >= kind.length_m + kind.min_gap_m:
                r.intake[lane].taken_by = BOOKED
    for node in range(n_nodes):
        if r.first[node] >= 0:
            _hear(road, t, r, r.first[node], step_s)
    for i in active:
        note, k = t.note[i], 0
        while k < note.limit and (note.won >> k) & 1:
            k += 1
        t.vehicle[i].promised = k
