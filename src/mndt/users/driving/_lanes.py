"""Which lanes lead on along a route, how far, and which link to take.

SUMO's MSVehicle::updateBestLanes (1.28), written anew: over the next `LOOK_M` of the route, from the far end back,
every lane gets the way that can be driven from it without changing lanes, and how many lanes to the side the best is.
"""

from __future__ import annotations

from typing import Final

from mndt.users.driving._krauss import inner
from mndt.users.driving._links import goes_first
from mndt.users.driving._tables import WAY, WIDEST

LOOK_M: Final = 3000.0
"""Drivers know so far ahead which lanes lead on along their routes."""

LEAST_EDGES: Final = 8
"""They know at least so many edges ahead."""

MOST_EDGES: Final = 48
"""And at most so many."""


@inner
def _links_to(road, lane, edge, classes):  # type: ignore[no-untyped-def]
    """Of the links of a lane that lead to lanes of an edge that one may use: (the first, how many)."""
    found, count = -1, 0
    for link in range(road.lane[lane].first_link, road.lane[lane].link_end):
        to = road.lane[road.link[link].to_lane]
        if to.edge == edge and to.classes & classes:
            found = link if count == 0 else found
            count += 1
    return found, count


@inner
def next_link(road, t, me, lane, cursor):  # type: ignore[no-untyped-def]
    """The link to take from a lane at row `cursor` of the pool of routes; -1 where the lane does not lead on.

    Of several links to the next edge, the one that `orient` chose, or else one to a lane that leads on from there.
    """
    here = road.lane[lane]
    if here.internal:
        return here.first_link
    if cursor + 1 >= me.route_end:
        return -1
    classes, edge = int(t.kind[me.kind].classes), t.route_edge[cursor + 1]
    first, count = _links_to(road, lane, edge, classes)
    if count < 2:
        return first
    ahead = cursor - me.route_start - me.known_at + 1
    if me.known_at > 0 and 0 <= ahead < WAY and me.way[ahead] >= 0 and road.link[me.way[ahead]].from_lane == lane:
        return me.way[ahead]
    if cursor + 2 >= me.route_end:
        return first
    for link in range(here.first_link, here.link_end):
        to = road.link[link].to_lane
        fits = road.lane[to].edge == edge and road.lane[to].classes & classes
        if fits and _links_to(road, to, t.route_edge[cursor + 2], classes)[1] > 0:
            return link
    return first


@inner
def knows_lanes(me):  # type: ignore[no-untyped-def]
    """Whether what `orient` found holds for the edge being driven."""
    return me.known_at == me.cursor - me.route_start + 1


@inner
def forget_lanes(me):  # type: ignore[no-untyped-def]
    """Have the lanes ahead looked over again."""
    me.known_at = 0


@inner
def _lay_out(road, t, me):  # type: ignore[no-untyped-def]
    """Write the lanes of the edges ahead into `road.ahead`, `WIDEST` rows an edge; how many edges."""
    classes = int(t.kind[me.kind].classes)
    depth, seen_m = 0, 0.0
    while True:
        row = me.cursor + depth
        edge, last, halts = t.route_edge[row], row + 1 >= me.route_end, me.stop_edge == row
        first = road.edge_lane[edge]
        for k in range(min(WIDEST, road.edge_lane[edge + 1] - first)):
            lane, q = road.lane[first + k], road.ahead[depth * WIDEST + k]
            q.length_m = lane.length_m if lane.classes & classes else 0.0
            q.jam_m, q.side, q.link, q.reached = 0.0, 0, -1, 0
            q.leads_on = last or _links_to(road, first + k, t.route_edge[row + 1], classes)[1] > 0
            q.is_open = lane.link_end > lane.first_link
            if halts and me.stop_lane != first + k:
                q.leads_on, q.length_m = 0, me.stop_m
        seen_m += road.lane[first].length_m
        depth += 1
        if last or halts or depth == MOST_EDGES or (depth > LEAST_EDGES and seen_m >= LOOK_M):
            return depth


@inner
def _aside(k, best, best_end):  # type: ignore[no-untyped-def]
    """Lanes from lane k to the nearer one of two: to the left positive."""
    return best - k if abs(best - k) < abs(best_end - k) else best_end - k


@inner
def _weigh_last(road, depth, n_lanes):  # type: ignore[no-untyped-def]
    """At the end of the view the longest lanes are the best ones."""
    rows, best, best_end = (depth - 1) * WIDEST, 0, 0
    for k in range(1, n_lanes):
        if road.ahead[rows + k].length_m > road.ahead[rows + best].length_m:
            best = best_end = k
        elif road.ahead[rows + k].length_m == road.ahead[rows + best].length_m:
            best_end = k
    for k in range(n_lanes):
        if road.ahead[rows + k].length_m < road.ahead[rows + best].length_m:
            road.ahead[rows + k].side = _aside(k, best, best_end)


@inner
def _rank(road, q):  # type: ignore[no-untyped-def]
    """Links that go first are better; -1 = no link."""
    return -1 if q.link < 0 else int(goes_first(road.link[q.link]))


@inner
def _choose(road, t, me, k, lane, after, first_next, n_next):  # type: ignore[no-untyped-def]
    """The best link of lane k to the next edge, whose lanes are rows of `road.ahead` from `after` on; -1 = none."""
    best, best_link = -1, -1
    classes = int(t.kind[me.kind].classes)
    for link in range(road.lane[lane].first_link, road.lane[lane].link_end):
        to = road.link[link].to_lane - first_next
        if to < 0 or to >= n_next:
            continue
        q = road.ahead[after + to]
        q.reached = 1
        if not road.lane[first_next + to].classes & classes:
            continue
        if best < 0:
            better = True
        else:
            other = road.ahead[after + best]
            better = q.length_m > other.length_m
            if q.length_m == other.length_m:
                better = abs(q.side) < abs(other.side) or (abs(q.side) == abs(other.side) and to < best)
        if better:
            best, best_link = to, link
    return best_link


@inner
def _weigh(road, t, me, depth):  # type: ignore[no-untyped-def]
    """Lengths and best lanes of one edge from those of the next."""
    edge, then = t.route_edge[me.cursor + depth], t.route_edge[me.cursor + depth + 1]
    first, first_next = road.edge_lane[edge], road.edge_lane[then]
    n = min(WIDEST, road.edge_lane[edge + 1] - first)
    n_next = min(WIDEST, road.edge_lane[then + 1] - first_next)
    rows, after = depth * WIDEST, (depth + 1) * WIDEST
    for k in range(n):
        link = _choose(road, t, me, k, first + k, after, first_next, n_next)
        road.ahead[rows + k].link = link if road.ahead[rows + k].leads_on else -1
    longest_m, longest_reached_m = -1.0, -1.0
    for m in range(n_next):
        q = road.ahead[after + m]
        longest_m = max(longest_m, q.length_m)
        if q.reached:
            longest_reached_m = max(longest_reached_m, q.length_m)
    if longest_reached_m <= 0.0:
        return
    best, best_end = 0, 0
    for k in range(n):
        q = road.ahead[rows + k]
        if q.link >= 0:
            to = road.link[q.link].to_lane
            one = road.ahead[after + to - first_next]
            q.length_m += longest_m if one.length_m == longest_reached_m and abs(one.side) < 2 else one.length_m
            q.side, q.is_open, q.jam_m = one.side, one.is_open, one.jam_m + t.brutto_m[to]
        b = road.ahead[rows + best]
        rank, best_rank = _rank(road, q), _rank(road, b)
        alike = q.length_m == b.length_m and abs(q.side) == abs(b.side)
        if (
            b.length_m < q.length_m
            or (b.length_m == q.length_m and abs(b.side) > abs(q.side))
            or (alike and best_rank < rank)
        ):
            best = best_end = k
        elif alike and rank == best_rank:
            best_end = k
    b = road.ahead[rows + best]
    best_m, best_side, best_rank = b.length_m, abs(b.side), _rank(road, b)
    for k in range(n):
        q = road.ahead[rows + k]
        rank = _rank(road, q)
        if q.length_m < best_m or (q.length_m == best_m and abs(q.side) > best_side) or rank < best_rank:
            q.side = _aside(k, best, best_end)
            if rank < best_rank:  # away from the lane that gives way before it ends
                q.length_m = road.lane[first + k].length_m if road.lane[first + k].classes & 0xFFFF else 0.0
        else:
            q.side = 0


@inner
def orient(road, t, me, afresh):  # type: ignore[no-untyped-def]
    """Look over the lanes ahead of a vehicle: how far each lane of its edge leads, where the best one is, which links
    its own lane takes, and how many metres of vehicles are on the way.

    Args:
        afresh: note everything; else the links and the vehicles only.
    """
    depth = _lay_out(road, t, me)
    last = t.route_edge[me.cursor + depth - 1]
    _weigh_last(road, depth, min(WIDEST, road.edge_lane[last + 1] - road.edge_lane[last]))
    for d in range(depth - 2, -1, -1):
        _weigh(road, t, me, d)
    edge = t.route_edge[me.cursor]
    first = road.edge_lane[edge]
    if afresh:
        me.known_at = me.cursor - me.route_start + 1
        me.leads_on = me.is_open = 0
    for k in range(min(WIDEST, road.edge_lane[edge + 1] - first)):
        q = road.ahead[k]
        me.jam_m[k] = q.jam_m
        if afresh:
            me.reach_m[k], me.side[k] = q.length_m, q.side
            me.leads_on |= int(q.link >= 0) << k
            me.is_open |= int(q.is_open) << k
    k = me.lane - first
    for d in range(WAY):
        me.way[d] = -1
    for d in range(min(depth - 1, WAY)):
        if k < 0 or k >= WIDEST or road.ahead[d * WIDEST + k].link < 0:
            return
        me.way[d] = road.ahead[d * WIDEST + k].link
        k = road.link[me.way[d]].to_lane - road.edge_lane[t.route_edge[me.cursor + d + 1]]
