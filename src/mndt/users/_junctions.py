"""Who may cross which stop line this second.

A driver plans to stop at every line that has not been promised to him. Each second all drivers close
enough to a line ask for it; a junction answers in the order of rank, then of arrival. A promise is
given when light, lane, room and crossing traffic allow it, and it holds for this second only, except
for drivers who could no longer stop: theirs is renewed before anyone else is heard. Whoever has
no promise can therefore always stop, and whoever has one never meets another in the same lane:

* Light: red never, yellow only for those who can no longer stop.
* Lane: in one second a lane takes drivers from one lane only, and only if the first of them can
  follow the lane's last vehicle without hard braking. Followers from that lane come in order.
* Room: behind a standing vehicle there must be room for the whole vehicle.
* Crossing traffic: paths over the junction that cut each other are not promised together.

A driver who has stood at a line for `PATIENCE_S` is heard first; what keeps him from going is then
promised to nobody of lower rank, so that even a steady stream lets him in. The order of hearing
is total, every promise comes true within seconds because there was room for it, and lights change:
nobody waits for himself. Only a ring of full streets can stand, as it can in a city.
"""

from __future__ import annotations

from math import inf, pi
from typing import Final, NamedTuple

import numpy as np
from numba import njit

from mndt.users._krauss import brake_gap, follow_speed
from mndt.users.lanes import Lanes

Array = np.ndarray

LENGTH, MIN_GAP, ACCEL, DECEL, EMERGENCY, SIGMA, TAU, MAX_SPEED, CYCLES = range(9)
"""Columns of the table of vehicle kinds."""

LOOK: Final = 4
"""Lines ahead that can be promised at the same time: short edges are passed without slowing down."""

STOP_GAP_M: Final = 1.0
"""Drivers stop this far before a line, as in SUMO."""

PATIENCE_S: Final = 30.0
SLOW_MPS: Final = 1.0
"""A last vehicle below this may be the end of a queue: room behind it is counted."""

RED, YELLOW, GREEN = range(3)
_CLEARS, _KEEPS, _INSISTS = -30.0, -20.0, -10.0  # ranks before all ranks of roads
FREE, BOOKED = -1, -2  # instead of the lane whose drivers a lane takes in


class Traffic(NamedTuple):
    """All vehicles, one row per user; see `mndt.users.vehicles.VehicleMemory`. Kernels write into it."""

    lane: Array
    position_m: Array
    speed_mps: Array
    odometer_m: Array
    kind: Array
    speed_factor: Array
    route_start: Array
    cursor: Array
    route_end: Array
    next_lane: Array
    promised: Array
    waited_s: Array
    leader: Array
    follower: Array
    active: Array
    queue: Array
    route_edge: Array
    kinds: Array


class Requests(NamedTuple):
    """Requests of one second in a list per node, most urgent first."""

    first: Array  # per node: the head of its list, -1 = none
    after: Array  # per request: the next of the list
    rank: Array
    arrival_s: Array
    vehicle: Array
    line: Array  # 0 = the line at the end of the vehicle's lane, 1 = the next, ...
    distance_m: Array
    from_lane: Array
    to_edge: Array
    ahead: Array  # the vehicle in front on the way to the line, -1 = none
    ahead_line: Array  # the same line, counted by the vehicle in front
    stands: Array  # promised or booked: an obstacle for paths that cross
    won: Array  # per vehicle: bit k = line k is promised this second
    limit: Array  # per vehicle: promises that still lead along its lanes
    at_red: Array  # per vehicle: the light stops it
    taken_by: Array  # per lane: the lane whose drivers it takes in, FREE or BOOKED
    room_used_m: Array  # per lane: by those promised this second


@njit(cache=True, nogil=True, error_model="numpy")
def light(lanes: Lanes, edge: int, time_s: float) -> int:
    """What the light at the end of an edge shows; GREEN where there is none."""
    cycle_s = lanes.signal_cycle_s[edge]
    if cycle_s <= 0.0:
        return GREEN
    since_green_s = (time_s - lanes.signal_from_s[edge]) % cycle_s
    if since_green_s < lanes.signal_green_s[edge]:
        return GREEN
    return YELLOW if since_green_s < lanes.signal_green_s[edge] + lanes.signal_yellow_s[edge] else RED


@njit(cache=True, nogil=True, error_model="numpy")
def sight_m(t: Traffic, i: int, step_s: float) -> float:
    """How far a driver looks: beyond it neither a line nor a vehicle across it can matter this step."""
    kind = t.kinds[t.kind[i]]
    fastest = t.speed_mps[i] + kind[ACCEL] * step_s
    return float(brake_gap(fastest, kind[DECEL], step_s) + fastest * (kind[TAU] + 2.0 * step_s) + 10.0)


@njit(cache=True, nogil=True, error_model="numpy")
def turns_left(lanes: Lanes, from_edge: int, to_edge: int) -> bool:
    """Whether the path bends to the left by more than 45 degrees."""
    return bool((lanes.leave_rad[to_edge] - lanes.enter_rad[from_edge]) % (2.0 * pi) > 1.25 * pi)


@njit(cache=True, nogil=True, error_model="numpy")
def paths_cross(lanes: Lanes, from_a: int, to_a: int, from_b: int, to_b: int) -> bool:
    """Whether two paths over a junction cut each other: as chords between points on a circle around it."""
    if from_a == from_b or to_a == to_b:
        return False  # one behind the other, or side by side into lanes that are given out one by one
    span = (lanes.leave_rad[to_a] - lanes.enter_rad[from_a]) % (2.0 * pi)
    enters = (lanes.enter_rad[from_b] - lanes.enter_rad[from_a]) % (2.0 * pi) < span
    leaves = (lanes.leave_rad[to_b] - lanes.enter_rad[from_a]) % (2.0 * pi) < span
    return bool(enters != leaves)


@njit(cache=True, nogil=True, error_model="numpy")
def _file(r: Requests, e: int, node: int) -> None:
    """Put request e into the list of a node: by rank, arrival, vehicle."""
    before, e_next = -1, r.first[node]
    while e_next >= 0 and (
        r.rank[e_next] < r.rank[e]
        or (
            r.rank[e_next] == r.rank[e]
            and (
                r.arrival_s[e_next] < r.arrival_s[e]
                or (r.arrival_s[e_next] == r.arrival_s[e] and r.vehicle[e_next] < r.vehicle[e])
            )
        )
    ):
        before, e_next = e_next, r.after[e_next]
    r.after[e] = e_next
    if before < 0:
        r.first[node] = e
    else:
        r.after[before] = e


@njit(cache=True, nogil=True, error_model="numpy")
def _ask(lanes: Lanes, t: Traffic, r: Requests, i: int, latest_s: float, e: int, time_s: float, step_s: float):  # type: ignore[no-untyped-def]
    """File the requests of vehicle i for the lines it sees; the next free request and its arrival at the first."""
    n, kind = t.lane.shape[0], t.kinds[t.kind[i]]
    speed, see_m, lane = t.speed_mps[i], sight_m(t, i, step_s), t.lane[i]
    needs_m = brake_gap(speed, kind[DECEL], step_s)
    distance_m = lanes.lane_length_m[lane] - t.position_m[i]
    ahead, depth, k = t.leader[i], 0, 0
    if ahead >= n:
        ahead = -1
    while k <= t.promised[i] and k < LOOK and distance_m <= see_m and t.cursor[i] + k + 1 < t.route_end[i]:
        edge, to_edge = lanes.lane_edge[lane], t.route_edge[t.cursor[i] + k + 1]
        shows, spare_m = light(lanes, edge, time_s), distance_m - STOP_GAP_M
        if shows == GREEN:
            spare_m = max(spare_m, 0.0)
        keeps = shows != RED and k < t.promised[i] and spare_m < needs_m
        if shows != GREEN and not keeps:
            r.at_red[i] = k == 0
            break
        arrival_s = distance_m / max(speed, 1.0)
        if k == 0:  # who is behind in the lane is heard later
            arrival_s = max(arrival_s, latest_s + 1e-6)
            latest_s = arrival_s
        rank = 2.0 * lanes.edge_rank[edge] + (1.0 if turns_left(lanes, edge, to_edge) else 0.0)
        if keeps:
            rank = _KEEPS
        elif k == 0 and t.waited_s[i] >= PATIENCE_S:
            rank, arrival_s = _INSISTS, -float(t.waited_s[i])
        r.rank[e], r.arrival_s[e], r.vehicle[e], r.line[e], r.distance_m[e] = rank, arrival_s, i, k, distance_m
        r.from_lane[e], r.to_edge[e], r.ahead[e], r.ahead_line[e], r.stands[e] = lane, to_edge, ahead, k - depth, False
        _file(r, e, lanes.edge_to[edge])
        e += 1
        if k >= t.promised[i]:
            break
        lane = t.next_lane[i, k]
        distance_m += lanes.lane_length_m[lane]
        k += 1
        if ahead < 0 and t.leader[n + lane] < n:
            ahead, depth = t.leader[n + lane], k
    return e, latest_s


@njit(cache=True, nogil=True, error_model="numpy")
def collect(lanes: Lanes, t: Traffic, r: Requests, time_s: float, step_s: float) -> int:
    """File everybody's requests, and those still clearing a junction as obstacles; the number of requests."""
    n, e = t.lane.shape[0], 0
    for lane in range(lanes.lane_edge.shape[0]):
        i, latest_s = t.follower[n + lane], -inf
        while i < n:
            if t.position_m[i] < t.kinds[t.kind[i], LENGTH] and t.cursor[i] > t.route_start[i]:
                edge = lanes.lane_edge[lane]
                r.rank[e], r.arrival_s[e], r.vehicle[e], r.stands[e] = _CLEARS, 0.0, i, True
                r.from_lane[e], r.to_edge[e] = lanes.edge_lane[t.route_edge[t.cursor[i] - 1]], edge
                _file(r, e, lanes.edge_from[edge])
                e += 1
            e, latest_s = _ask(lanes, t, r, i, latest_s, e, time_s, step_s)
            i = t.follower[i]
    return e


@njit(cache=True, nogil=True, error_model="numpy")
def _promise(t: Traffic, r: Requests, e: int, lane: int) -> None:
    i, k = r.vehicle[e], r.line[e]
    if k < t.promised[i] and t.next_lane[i, k] != lane:
        r.limit[i] = min(r.limit[i], k + 1)  # later promises began on another lane
    t.next_lane[i, k] = lane
    r.won[i] |= np.int32(1 << k)
    r.stands[e] = True
    r.taken_by[lane] = r.from_lane[e]
    r.room_used_m[lane] += t.kinds[t.kind[i], LENGTH] + t.kinds[t.kind[i], MIN_GAP]


@njit(cache=True, nogil=True, error_model="numpy")
def _stuck_behind(t: Traffic, r: Requests, e: int) -> bool:
    """Whether the vehicle in front uses the same line and has no promise for it."""
    j, k = r.ahead[e], r.ahead_line[e]
    if j < 0 or t.cursor[j] + k + 1 >= t.route_end[j] or (r.won[j] >> k) & 1:
        return False
    return bool(k == 0 or (k <= t.promised[j] and t.next_lane[j, k - 1] == r.from_lane[e]))


@njit(cache=True, nogil=True, error_model="numpy")
def _best_lane(lanes: Lanes, t: Traffic, r: Requests, e: int, step_s: float) -> int:
    """The lane of the next edge to enter: the one with most room at its start, the own side if equal; -1 = none."""
    n, i, came = t.lane.shape[0], r.vehicle[e], r.from_lane[e]
    kind, from_edge, edge = t.kinds[t.kind[i]], lanes.lane_edge[came], r.to_edge[e]
    first, end = car_or_cycle_lanes(lanes, edge, kind[CYCLES] > 0.0)
    alone, best, best_m = lanes.node_alone[lanes.edge_from[edge]], -1, -inf
    for lane in range(first, end):
        taken, last, free_m = r.taken_by[lane], t.leader[n + lane], 60.0
        if taken != FREE and taken != came:
            continue
        if last < n:
            last_kind = t.kinds[t.kind[last]]
            rear_m = t.position_m[last] - last_kind[LENGTH] - kind[MIN_GAP]
            gap_m, last_mps = r.distance_m[e] + rear_m, t.speed_mps[last]
            if taken == FREE:
                if gap_m < -0.1:
                    continue
                safe = follow_speed(max(gap_m, 0.0), last_mps, last_kind[DECEL], kind[DECEL], kind[TAU], step_s)
                if safe < t.speed_mps[i] - kind[DECEL] * step_s:
                    continue
            if not alone and last_mps < SLOW_MPS and rear_m - r.room_used_m[lane] < kind[LENGTH]:
                continue
            free_m = min(free_m, t.position_m[last])
        if lane - first == came - lanes.edge_lane[from_edge]:
            free_m += 0.5
        if free_m > best_m:
            best, best_m = lane, free_m
    return best


@njit(cache=True, nogil=True, error_model="numpy")
def car_or_cycle_lanes(lanes: Lanes, edge: int, cycles: bool):  # type: ignore[no-untyped-def]
    """First lane and end of the lanes of an edge that a kind of vehicle uses."""
    first = lanes.edge_lane[edge]
    middle, end = first + lanes.edge_car_lanes[edge], lanes.edge_lane[edge + 1]
    if cycles and middle < end:
        return middle, end
    return first, middle


@njit(cache=True, nogil=True, error_model="numpy")
def _path_is_cut(lanes: Lanes, r: Requests, e: int, head: int) -> bool:
    """Whether a path over the junction that is already promised, or not yet cleared, cuts this one."""
    from_edge, other = lanes.lane_edge[r.from_lane[e]], head
    while other >= 0:
        if r.stands[other] and other != e:
            other_from = lanes.lane_edge[r.from_lane[other]]
            if paths_cross(lanes, from_edge, r.to_edge[e], other_from, r.to_edge[other]):
                return True
        other = r.after[other]
    return False


@njit(cache=True, nogil=True, error_model="numpy")
def _hear(lanes: Lanes, t: Traffic, r: Requests, head: int, step_s: float) -> None:
    """Answer the requests of one node that are not renewals."""
    e = head
    while e >= 0:
        if r.rank[e] >= _INSISTS and not _stuck_behind(t, r, e):
            lane = _best_lane(lanes, t, r, e, step_s)
            if lane >= 0:
                if not _path_is_cut(lanes, r, e, head):
                    _promise(t, r, e, lane)
                elif r.rank[e] == _INSISTS:
                    r.stands[e] = True
                    r.taken_by[lane] = r.from_lane[e]
        e = r.after[e]


@njit(cache=True, nogil=True, error_model="numpy")
def decide(lanes: Lanes, t: Traffic, r: Requests, step_s: float) -> None:
    """Renew promises, keep the start of lanes free for those long waiting to drive off, hear the others."""
    n_nodes, n = r.first.shape[0], t.lane.shape[0]
    for node in range(n_nodes):
        e = r.first[node]
        while e >= 0 and r.rank[e] <= _KEEPS:
            if r.rank[e] == _KEEPS:
                _promise(t, r, e, t.next_lane[r.vehicle[e], r.line[e]])
            e = r.after[e]
    for q in range(t.queue.shape[0]):
        i = t.queue[q]
        if t.waited_s[i] >= PATIENCE_S and t.cursor[i] < t.route_end[i]:
            first, end = car_or_cycle_lanes(lanes, t.route_edge[t.cursor[i]], t.kinds[t.kind[i], CYCLES] > 0.0)
            for lane in range(first, end):
                last, need_m = t.leader[n + lane], t.kinds[t.kind[i], LENGTH] + t.kinds[t.kind[i], MIN_GAP]
                if r.taken_by[lane] == FREE and (
                    last >= n or t.position_m[last] - t.kinds[t.kind[last], LENGTH] >= need_m
                ):
                    r.taken_by[lane] = BOOKED
                    break
    for node in range(n_nodes):
        if r.first[node] >= 0:
            _hear(lanes, t, r, r.first[node], step_s)
    for a in range(t.active.shape[0]):
        i, k = t.active[a], 0
        while k < r.limit[i] and (r.won[i] >> k) & 1:
            k += 1
        t.promised[i] = k
