"""The loops of exact assignment in numba: shortest paths over the cells. Words as in `_assignment`.

The nodes are the cells and, last, the ground, where free places lie and overload comes from. An edge from
cell j to cell k is the cheapest relocation of one of j's users to k.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba as nb
import numpy as np

from mndt.network._assignment import FAR, Lists, if_so, lesser
from mndt.radio._simd import FAST

NEVER = np.int32(-2)


class Members(NamedTuple):
    """Who is in which cell; those who have moved are chained, cell by cell."""

    home: Any  # int32[slots]
    head: Any  # int32[cells]
    after: Any  # int32[slots], NEVER: has not moved
    before: Any  # int32[slots]


class Moves(NamedTuple):
    """Relocations of those who have not moved, those out of cell j at start[j] to start[j + 1] - 1."""

    start: Any  # int64[cells + 1]
    to: Any  # int32[moves]
    extra: Any  # float64[moves]
    who: Any  # int32[moves]


class Edges(NamedTuple):
    """The cheapest relocations between nodes."""

    cost: Any  # float64[nodes, nodes]
    who: Any  # int32[nodes, nodes]
    lot: Any  # int64[nodes], of those of one node: which of equal ones it is


@nb.njit(**FAST)
def _sort_moves(lists: Lists, price: Any, pick: Any, near: float, more: Any) -> Any:
    """Relocations that raise the value by at most `near`, and `more` of both cells, cell after cell."""
    first, last, cell, cost = lists
    n_slots, n_links = pick.shape[0], 0
    for i in range(n_slots):
        n_links += last[i] - first[i] if last[i] - first[i] > 1 else 0
    at, mover = np.empty(n_links + 1, np.int64), np.empty(n_links + 1, np.int32)
    n, start = 0, np.zeros(price.shape[0], np.int64)
    for i in range(n_slots):
        if last[i] - first[i] > 1:
            j, before = cell[pick[i]], n
            most = cost[pick[i]] + price[j] + near + more[j]
            for c in range(first[i], last[i]):  # without a branch: written always, kept where it counts
                at[n], mover[n] = c, i
                k = cell[c]
                n += (c != pick[i]) & (cost[c] + price[k] - more[k] <= most)
            start[j + 1] += n - before
    for j in range(start.shape[0] - 1):
        start[j + 1] += start[j]
    to, extra, who = np.empty(n, np.int32), np.empty(n), np.empty(n, np.int32)
    place = start.copy()
    for m in range(n):
        own = pick[mover[m]]
        e = place[cell[own]]
        place[cell[own]] = e + 1
        to[e], extra[e], who[e] = cell[at[m]], cost[at[m]] - cost[own], mover[m]
    return Moves(start, to, extra, who)


@nb.njit(**FAST)
def _offer(i: int, j: int, lists: Lists, pick: Any, edges: Edges) -> None:
    """Take the relocations of user i into the edges of its cell j."""
    own = lists.cost[pick[i]]
    for c in range(lists.first[i], lists.last[i]):
        k, extra = lists.cell[c], lists.cost[c] - own
        if c != pick[i] and extra < edges.cost[j, k]:
            edges.cost[j, k], edges.who[j, k] = extra, i


@nb.njit(**FAST)
def _renew(j: int, moves: Moves, members: Members, lists: Lists, pick: Any, edges: Edges) -> None:
    """The edges out of cell j: of members who never moved and are still there, and of those who came.

    Among equal relocations a hash decides, so that not one user stands for all edges.
    """
    out, who, lot = edges.cost[j], edges.who[j], edges.lot
    out[:] = FAR
    lot[:] = 0
    for e in range(moves.start[j], moves.start[j + 1]):
        k, i = moves.to[e], moves.who[e]
        extra = if_so(members.home[i] == j, moves.extra[e], FAR)
        drawn = ((np.int64(i) * 0x9E3779B1 + np.int64(k) * 0x85EBCA77) >> 13) & 0xFFFF
        better = (extra < out[k]) | ((extra == out[k]) & (drawn > lot[k]))
        who[k] = if_so(better, i, who[k])
        lot[k] = if_so(better, drawn, lot[k])
        out[k] = lesser(extra, out[k])
    i = members.head[j]
    while i >= 0:
        _offer(i, j, lists, pick, edges)
        i = members.after[i]


@nb.njit(**FAST)
def _relocate(i: int, j: int, k: int, lists: Lists, members: Members, pick: Any) -> None:
    """User i moves from cell j to cell k."""
    home, head, after, before = members
    if after[i] != NEVER:
        if before[i] >= 0:
            after[before[i]] = after[i]
        else:
            head[j] = after[i]
        if after[i] >= 0:
            before[after[i]] = before[i]
    before[i], after[i] = -1, head[k]
    if head[k] >= 0:
        before[head[k]] = i
    head[k], home[i] = i, k
    for c in range(lists.first[i], lists.last[i]):
        if lists.cell[c] == k:
            pick[i] = c


@nb.njit(**FAST)
def _relax(j: int, base: float, edge: Any, price: Any, distance: Any, parent: Any) -> float:
    """Shorten distances by the edges out of node j; returns the least."""
    least = FAR
    for k in range(distance.shape[0]):
        old, new = distance[k], base + edge[k] + price[k]
        parent[k] = if_so(new < old, j, parent[k])
        distance[k] = lesser(new, old)
        least = lesser(least, distance[k])
    return least


@nb.njit(**FAST)
def _place(distance: Any, least: float) -> int:
    at = 0
    for k in range(distance.shape[0]):
        at = if_so(distance[k] == least, k, at)
    return at


@nb.njit(**FAST)
def _search(excess: Any, edge: Any, price: Any, distance: Any, open_price: Any, settled: Any, parent: Any,
            ends: Any) -> Any:  # fmt: skip
    """Dijkstra from all nodes with an excess to those that lack: number of ends found, distance of the last.

    Lengths are reduced costs, edge + price of the end - price of the start, which are never negative.
    """
    n_lacking, n_ends, reached, least = 0, 0, 0.0, FAR
    for k in range(price.shape[0]):
        n_lacking += excess[k] < 0
        distance[k], settled[k], open_price[k], parent[k] = FAR, FAR, price[k], -1
        if excess[k] > 0:
            distance[k], settled[k], open_price[k] = 2.0 * FAR, 0.0, 4.0 * FAR
    for j in range(price.shape[0]):
        if excess[j] > 0:
            least = _relax(j, -price[j], edge[j], open_price, distance, parent)
    while least < 0.5 * FAR and n_ends < n_lacking:
        j = _place(distance, least)
        settled[j] = least
        distance[j], open_price[j] = 2.0 * FAR, 4.0 * FAR  # closed
        if excess[j] < 0:
            ends[n_ends], reached = j, least
            n_ends += 1
        least = _relax(j, least - price[j], edge[j], open_price, distance, parent)
    return n_ends, reached


@nb.njit(**FAST)
def _free_on_path(
    end: int, parent: Any, excess: Any, who: Any, moved: Any, phase: int, slack: Any, over: Any
) -> int:  # fmt: skip
    """How many users can go along the path to this end: a user can go once in a phase."""
    ground, k, units = parent.shape[0] - 1, end, -excess[end]
    while parent[k] >= 0:
        j = parent[k]
        if j == ground:
            units = min(units, over[k]) if over[k] > 0 else units
        elif k == ground:
            units = min(units, slack[j]) if slack[j] > 0 else units
        else:
            units = min(units, 0 if moved[who[j, k]] == phase else 1)
        k = j
    return int(min(units, excess[k]))


@nb.njit(**FAST)
def _start(lists: Lists, pick: Any, capacity: Any, low: float, top: float, price: Any, excess: Any, slack: Any,
           over: Any) -> Any:  # fmt: skip
    """Count members; what cells at the limits of prices have too few or too many is the ground's."""
    n_slots, ground = pick.shape[0], capacity.shape[0]
    home = np.empty(n_slots, np.int32)
    for i in range(n_slots):
        home[i] = lists.cell[pick[i]]
        excess[home[i]] += 1
    excess[ground] = -n_slots
    for j in range(ground):
        excess[j] -= capacity[j]
        excess[ground] += capacity[j]
        if excess[j] < 0 and price[j] <= low:
            slack[j] = -excess[j]
        elif excess[j] > 0 and price[j] >= top:
            over[j] = excess[j]
        excess[j] += slack[j] - over[j]
        excess[ground] += over[j] - slack[j]
    head, after = np.full(ground, -1, np.int32), np.full(n_slots, NEVER)
    return Members(home, head, after, np.empty(n_slots, np.int32))


@nb.njit(**FAST)
def _any_crowded(excess: Any) -> bool:
    crowded = False
    for units in excess:
        crowded |= units > 0
    return crowded


@nb.njit(**FAST)
def repair(
    lists: Lists, capacity: Any, low: float, top: float, near: float, price: Any, pick: Any, over: Any
) -> bool:  # fmt: skip
    """Shortest paths from cells with too many users to cells with too few, until there are none.

    Each phase is one search from all crowded nodes at once. Raising prices by what it found makes every
    path of its forest tight, and users move along those that share no user. Only relocations that raise a
    user's value by little more than `near` are looked at, which is exact until prices have drifted apart by
    as much: then, or without a path, returns False. ``price`` ends with the ground's, 0; ``over`` is overload.
    """
    ground, n = capacity.shape[0], capacity.shape[0] + 1
    excess, slack = np.zeros(n, np.int64), np.zeros(n, np.int64)
    over[:] = 0
    members = _start(lists, pick, capacity, low, top, price, excess, slack, over)
    if not _any_crowded(excess):
        return True
    more = np.empty(n)
    for k in range(n):  # prices of cells that are too full or too empty have furthest to go
        more[k] = 0.0 if excess[k] == 0 else near
    moves = _sort_moves(lists, price, pick, near, more)
    edges = Edges(np.empty((n, n)), np.empty((n, n), np.int32), np.empty(n, np.int64))
    stale, moved = np.ones(n, np.bool_), np.full(pick.shape[0], -1, np.int32)
    distance, settled, open_price, rise = np.empty(n), np.empty(n), np.empty(n), np.zeros(n)
    parent, ends = np.empty(n, np.int64), np.empty(n, np.int64)
    phase = np.int64(0)
    while _any_crowded(excess):
        for j in range(ground):
            if stale[j]:
                _renew(j, moves, members, lists, pick, edges)
                stale[j] = False
            edges.cost[j, ground] = low if slack[j] > 0 else top
            edges.cost[ground, j] = -top if over[j] > 0 else -low
        edges.cost[ground, ground] = FAR
        n_ends, reached = _search(excess, edges.cost, price, distance, open_price, settled, parent, ends)
        least, greatest = FAR, -FAR
        for k in range(n):
            settled[k] = reached - min(settled[k], reached)  # from here on: by how much the price rises
            rise[k] += settled[k]
            least, greatest = min(least, rise[k] + more[k]), max(greatest, rise[k] - more[k])
        if n_ends == 0 or greatest - least > near:
            return False
        for e in range(n_ends):
            k = ends[e]
            units = _free_on_path(k, parent, excess, edges.who, moved, phase, slack, over)
            if units <= 0:
                continue
            excess[k] += units
            while parent[k] >= 0:
                j = parent[k]
                if j == ground:
                    if over[k] > 0:
                        over[k] -= units
                    else:
                        slack[k] += units
                elif k == ground:
                    if slack[j] > 0:
                        slack[j] -= units
                    else:
                        over[j] += units
                else:
                    i = edges.who[j, k]
                    moved[i], stale[j] = phase, True
                    _relocate(i, j, k, lists, members, pick)
                    if not stale[k]:
                        _offer(i, k, lists, pick, edges)
                k = j
            excess[k] -= units
        lift = price[ground] + settled[ground]
        for k in range(n):  # limits are kept but for rounding
            price[k] = min(max(price[k] + settled[k] - lift, low), top)
        price[ground] = 0.0
        phase += 1
    return True
