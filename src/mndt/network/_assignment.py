"""The loops of exact assignment in numba. `assignment` says what they decide.

Words: slot i is a user in hand, its links are entries ``first[i]`` to ``last[i] - 1`` of `link_cell`
and `link_cost`, ``pick[i]`` the entry it holds. The value of a link is its cost plus the price of its
cell. Prices lie between `low` and `top`: at `low` a cell may have free places, at `top` too many users.
"""

from __future__ import annotations

from typing import Any, Final

import numba as nb
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from mndt.radio._simd import FAST

FAR: Final = 1e30
"""Beyond every distance, finite because fast arithmetic knows no infinity."""
WITH_INFINITY: Final[dict[str, Any]] = {**FAST, "fastmath": {"nnan", "nsz", "reassoc", "contract", "arcp", "afn"}}
AS_WRITTEN: Final[dict[str, Any]] = {**FAST, "fastmath": {"reassoc"}}
"""For sums that must show what is no number."""


@intrinsic
def _lesser(typing_context: Any, a: Any, b: Any) -> Any:
    """The lesser of two numbers in the form that loops vectorise: `min` becomes a branch or a masked store."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        flags = ("nnan", "nsz")
        return builder.select(builder.fcmp_ordered("<", *args, flags=flags), *args, flags=flags)

    return types.float64(types.float64, types.float64), codegen


@intrinsic
def _if_so(typing_context: Any, condition: Any, a: Any, b: Any) -> Any:
    """a where the condition holds, else b, never as a branch: which of two is less cannot be predicted."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.select(*args)

    return a(types.boolean, a, a), codegen


@intrinsic
def _below(typing_context: Any, value: Any, at: Any, limit: Any) -> Any:
    """Bit i of a word of 64 says whether value[at + i] <= limit."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        view = context.make_array(signature.args[0])(context, builder, args[0])
        lanes = ir.VectorType(ir.DoubleType(), 64)
        here = builder.bitcast(builder.gep(view.data, [args[1]]), lanes.as_pointer())
        values = builder.load(here, align=8)
        first = builder.insert_element(ir.Constant(lanes, ir.Undefined), args[2], ir.Constant(ir.IntType(32), 0))
        everywhere = ir.Constant(ir.VectorType(ir.IntType(32), 64), [0] * 64)
        limits = builder.shuffle_vector(first, ir.Constant(lanes, ir.Undefined), everywhere)
        return builder.bitcast(builder.fcmp_ordered("<=", values, limits), ir.IntType(64))

    return types.int64(value, types.int64, types.float64), codegen


@intrinsic
def _lowest_bit(typing_context: Any, word: Any) -> Any:
    """Place of the lowest bit that is set."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.int64), codegen


lesser: Any = _lesser  # type checkers see the context argument of intrinsics, which numba fills in
if_so: Any = _if_so
below: Any = _below
lowest_bit: Any = _lowest_bit


@nb.njit(inline="never", **AS_WRITTEN)
def _size(row: Any) -> float:
    """Sum of magnitudes: not a number, or infinite, where an entry is."""
    total = 0.0
    for k in range(row.shape[0]):
        total += abs(row[k])
    return total


@nb.njit(**FAST)
def _thin_out(
    link_cell: Any, link_cost: Any, price: Any, begin: int, end: int, most: int, least: float, margin: float, turn: int
) -> Any:
    """Shorten one user's list to `most` links; returns its new end and what links left out cannot undercut."""
    for _ in range(6):
        margin *= 0.5
        n = begin
        for c in range(begin, end):
            k, mine = link_cell[c], link_cost[c]
            link_cell[n], link_cost[n] = k, mine
            n += mine + price[k] <= least + margin
        end = n
        if end - begin <= most:
            return end, least + margin
    cells, costs = link_cell[begin:end].copy(), link_cost[begin:end].copy()
    n, at = end - begin, begin  # many are about equal: the best, and those that follow a place of the user's own
    for c in range(n):
        if costs[c] + price[cells[c]] <= least:
            link_cell[begin], link_cost[begin] = cells[c], costs[c]
    for c in range(n):
        k = (turn + c) % n
        at += cells[k] != link_cell[begin]
        if at == begin + most:
            break
        link_cell[at], link_cost[at] = cells[k], costs[k]
    return begin + most, least


@nb.njit(**WITH_INFINITY)
def list_links(
    cost: Any, user: Any, slot: Any, price: Any, margin: float, most: int, start: int,
    first: Any, last: Any, link_cell: Any, link_cost: Any, reach: Any, out_size: Any,
) -> int:  # fmt: skip
    """The links of each user whose value is within `margin` of its least, at most `most` of them.

    A user with more than that has its margin halved, and of links that are about equal it keeps those
    from a place of its own on. No link left out of slot i has a value below ``reach[i]``. Entries
    are written from `start` on; returns the end. ``out_size[0]`` adds up the magnitudes of all costs.
    """
    n_cells = cost.shape[1]
    value = np.full((n_cells + 63) // 64 * 64, 2.0 * FAR)
    n, size = start, 0.0
    for i in range(user.shape[0]):
        row, s = cost[user[i]], slot[i]
        size += _size(row)
        least = FAR
        for k in range(n_cells):
            value[k] = np.float64(row[k]) + price[k]
            least = lesser(least, value[k])
        limit = least + margin
        begin = n
        for block in range(0, n_cells, 64):
            word = below(value, block, limit)
            while word != 0:
                k = block + lowest_bit(word)
                word &= word - 1
                link_cell[n], link_cost[n] = k, row[k]
                n += 1
        if n - begin > most:
            n, limit = _thin_out(link_cell, link_cost, price, begin, n, most, least, margin, user[i])
        first[s], last[s], reach[s] = begin, n, limit
    out_size[0] += size
    return n


@nb.njit(**FAST)
def choose(slot: Any, first: Any, last: Any, link_cell: Any, link_cost: Any, price: Any, pick: Any) -> float:
    """Each slot picks its link of least value; returns the mean distance to the second."""
    total, n = 0.0, 0
    for s in slot:
        mine, least, second = first[s], FAR, FAR
        for c in range(first[s], last[s]):
            value = link_cost[c] + price[link_cell[c]]
            second = lesser(second, -lesser(-least, -value))
            mine = if_so(value < least, c, mine)
            least = lesser(least, value)
        pick[s] = mine
        if second < FAR:
            total += second - least
            n += 1
    return total / max(n, 1)


@nb.njit(**FAST)
def _solve_laplacian(a: Any, b: Any, n_pairs: int, weight: float, free: Any, want: Any, out: Any) -> None:
    """Conjugate gradients for ``H out = want`` on the free cells, H the graph Laplacian of the pairs."""
    n, ridge = want.shape[0], 0.05 * weight
    diagonal = np.full(n, ridge)
    for i in range(n_pairs):
        diagonal[a[i]] += weight
        diagonal[b[i]] += weight
    r, z, d, h = want.copy(), np.empty(n), np.zeros(n), np.empty(n)
    rz_before, aim = 1.0, 0.0
    out[:] = 0.0
    for step in range(40):
        rz = 0.0
        for k in range(n):
            r[k] *= free[k]
            z[k] = r[k] / diagonal[k]
            rz += r[k] * z[k]
        if step == 0:
            aim = rz * 1e-3
        if rz <= aim:
            break
        beta = rz / rz_before if step > 0 else 0.0
        for k in range(n):
            d[k] = z[k] + beta * d[k]
            h[k] = ridge * d[k]
        for i in range(n_pairs):
            flow = weight * (d[a[i]] - d[b[i]])
            h[a[i]] += flow
            h[b[i]] -= flow
        curvature = 0.0
        for k in range(n):
            curvature += d[k] * h[k] * free[k]
        alpha = rz / curvature
        for k in range(n):
            out[k] += alpha * d[k]
            r[k] -= alpha * h[k]
        rz_before = rz


@nb.njit(**FAST)
def _step_prices(step: Any, free: Any, window: float, low: float, top: float, crowded: bool, price: Any) -> float:
    """Add the step to the prices, none moving more than two windows from the mean of all.

    All prices may rise together at no effect, so that the least comes to lie at `low` or, where there
    are more users than places, the greatest at `top`. Returns how far prices have drifted apart.
    """
    n_cells = step.shape[0]
    mean, n_free = 0.0, 0.0
    for k in range(n_cells):
        mean += free[k] * min(max(step[k], -window), window)
        n_free += free[k]
    mean /= max(n_free, 1.0)
    down, up, least, greatest = FAR, -FAR, FAR, -FAR
    for k in range(n_cells):
        change = min(max(step[k] - mean, -2.0 * window), 2.0 * window) + mean
        new = min(max(price[k] + free[k] * change, low), top)
        down, up = min(down, new - price[k]), max(up, new - price[k])
        least, greatest = min(least, new), max(greatest, new)
        price[k] = new
    shift = top - greatest if crowded else low - least
    for k in range(n_cells):
        price[k] += shift
    return up - down


@nb.njit(**FAST)
def balance(
    first: Any, last: Any, link_cell: Any, link_cost: Any, capacity: Any, low: float, top: float, crowded: bool,
    window: float, rounds: int, patience: int, price: Any, pick: Any, out_units: Any,
) -> float:  # fmt: skip
    """Newton's method on the prices, until loads hardly differ from capacities; returns the last window.

    The load of cell a falls with its price as fast as there are users indifferent between a and b:
    counted in a window of values. Picks follow the prices. A user is looked at again only when
    prices may have drifted apart by more than its choice is clear. ``out_units``: misplaced users
    in the first round and in the best.
    """
    n_slots, n_cells = pick.shape[0], capacity.shape[0]
    room = 4 * n_slots
    a, b = np.empty(room + 1, np.int32), np.empty(room + 1, np.int32)
    undecided, n_undecided = np.empty(n_slots, np.int32), 0
    clear_until = np.full(n_slots, -FAR)
    load, want, free, step = np.zeros(n_cells), np.empty(n_cells), np.empty(n_cells), np.empty(n_cells)
    for i in range(n_slots):
        pick[i] = first[i]
        load[link_cell[first[i]]] += 1.0
        if last[i] - first[i] > 1:
            undecided[n_undecided] = i
            n_undecided += 1
    best_price, best_pick = price.copy(), pick.copy()
    fewest, stale, drift = FAR, 0, 0.0
    for turn in range(rounds):
        n_pairs = 0
        for q in range(n_undecided):
            if clear_until[q] > drift + window:
                continue
            i = undecided[q]
            mine, least, second = first[i], FAR, FAR
            for c in range(first[i], last[i]):
                value = link_cost[c] + price[link_cell[c]]
                second = lesser(second, -lesser(-least, -value))
                mine = if_so(value < least, c, mine)
                least = lesser(least, value)
            clear_until[q] = drift + second - least
            if mine != pick[i]:
                load[link_cell[pick[i]]] -= 1.0
                load[link_cell[mine]] += 1.0
                pick[i] = mine
            if second < least + window:
                for c in range(first[i], last[i]):
                    a[n_pairs], b[n_pairs] = link_cell[mine], link_cell[c]
                    n_pairs += c != mine and link_cost[c] + price[link_cell[c]] < least + window and n_pairs < room
        over, under = 0.0, 0.0
        for k in range(n_cells):
            e = load[k] - capacity[k]
            free[k] = 0.0 if (e <= 0 and price[k] <= low) or (e >= 0 and price[k] >= top) else 1.0
            want[k] = e * free[k]
            over += max(want[k], 0.0)
            under -= min(want[k], 0.0)
        units = max(over, under)
        if turn == 0:
            out_units[0] = units
        stale = 0 if units < 0.8 * fewest else stale + 1
        if units < fewest:
            fewest = units
            best_price[:] = price
            best_pick[:] = pick
        if units == 0.0 or stale >= patience:
            break
        _solve_laplacian(a, b, n_pairs, 0.5 / window, free, want, step)
        drift += _step_prices(step, free, window, low, top, crowded, price)
        if n_pairs > 8 * n_cells:
            window *= 0.6
    price[:] = best_price
    pick[:] = best_pick
    out_units[1] = fewest
    return window


@nb.njit(**FAST)
def _sort_moves(first: Any, last: Any, link_cell: Any, link_cost: Any, pick: Any, start: Any) -> Any:
    """All relocations out of the cells users hold now, cell after cell: where to, extra cost, who."""
    n_slots, n_cells = pick.shape[0], start.shape[0] - 1
    start[:] = 0
    for i in range(n_slots):
        start[link_cell[pick[i]] + 1] += last[i] - first[i] - 1
    for j in range(n_cells):
        start[j + 1] += start[j]
    to, extra, who = np.empty(start[-1], np.int32), np.empty(start[-1]), np.empty(start[-1], np.int32)
    at = start[:-1].copy()
    for i in range(n_slots):
        if last[i] - first[i] > 1:
            mine, own = link_cell[pick[i]], link_cost[pick[i]]
            n = at[mine]
            for c in range(first[i], last[i]):
                if c != pick[i]:
                    to[n], extra[n], who[n] = link_cell[c], link_cost[c] - own, i
                    n += 1
            at[mine] = n
    return to, extra, who


@nb.njit(**FAST)
def _offer(
    i: int, first: Any, last: Any, link_cell: Any, link_cost: Any, pick: Any, out_move: Any, out_who: Any
) -> None:
    """Take the relocations of user i into its cell's cheapest ones."""
    own = link_cost[pick[i]]
    for c in range(first[i], last[i]):
        k = link_cell[c]
        if c != pick[i] and link_cost[c] - own < out_move[k]:
            out_move[k], out_who[k] = link_cost[c] - own, i


@nb.njit(**FAST)
def _cheapest_moves(
    j: int, start: Any, to: Any, extra: Any, who: Any, home: Any, head: Any, after: Any, first: Any, last: Any,
    link_cell: Any, link_cost: Any, pick: Any, out_move: Any, out_who: Any,
) -> None:  # fmt: skip
    """Cheapest relocation of a member of cell j to every other cell, and who would move.

    Members from the beginning that are still there, then those who have come.
    """
    out_move[:] = FAR
    for e in range(start[j], start[j + 1]):
        k, cost = to[e], if_so(home[who[e]] == j, extra[e], FAR)
        out_who[k] = if_so(cost < out_move[k], who[e], out_who[k])
        out_move[k] = lesser(cost, out_move[k])
    i = head[j]
    while i >= 0:
        _offer(i, first, last, link_cell, link_cost, pick, out_move, out_who)
        i = after[i]


@nb.njit(**FAST)
def _relax(base: float, move: Any, price: Any, distance: Any) -> float:
    """Shorten distances by the moves out of one node; returns the least."""
    least = FAR
    for k in range(distance.shape[0]):
        distance[k] = lesser(base + move[k] + price[k], distance[k])
        least = lesser(least, distance[k])
    return least


@nb.njit(**FAST)
def _place(distance: Any, least: float) -> int:
    at = 0
    for k in range(distance.shape[0]):
        at = if_so(distance[k] == least, k, at)
    return at


@nb.njit(**FAST)
def _search(
    excess: Any, move: Any, price: Any, distance: Any, open_price: Any, settled: Any, order: Any, position: Any,
    ends: Any,
) -> Any:  # fmt: skip
    """Dijkstra from all nodes with an excess to those that lack: number of sources, of ends, greatest distance."""
    n = price.shape[0]
    n_sources, n_lacking, n_ends, reached = 0, 0, 0, 0.0
    for k in range(n):
        distance[k], settled[k], open_price[k], position[k] = FAR, FAR, price[k], n
        n_lacking += excess[k] < 0
        if excess[k] > 0:
            settled[k], open_price[k], position[k] = 0.0, 4.0 * FAR, n_sources
            order[n_sources] = k
            n_sources += 1
    least, n_order = FAR, n_sources
    for s in range(n_sources):
        least = _relax(-price[order[s]], move[order[s]], open_price, distance)
    while least < 0.5 * FAR and n_ends < n_lacking:
        j = _place(distance, least)
        settled[j], reached, position[j], order[n_order] = least, least, n_order, j
        distance[j], open_price[j] = 2.0 * FAR, 4.0 * FAR
        n_order += 1
        if excess[j] < 0:
            ends[n_ends] = j
            n_ends += 1
        least = _relax(least - price[j], move[j], open_price, distance)
    return n_sources, n_ends, reached


@nb.njit(**FAST)
def repair(
    first: Any, last: Any, link_cell: Any, link_cost: Any, capacity: Any, low: float, top: float, price: Any,
    pick: Any, over: Any,
) -> bool:  # fmt: skip
    """Shortest paths from cells with too many users to cells with too few, until there are none.

    Nodes are the cells and, last, the ground, where free places lie and overload comes from. Each phase
    is one search from all crowded nodes at once; raising prices by it makes every path of its forest
    tight, and users move along those that share no user. ``over``: overload of each cell. False: no path.
    """
    n_slots, ground = pick.shape[0], capacity.shape[0]
    n = ground + 1
    home, excess, slack = np.empty(n_slots, np.int32), np.zeros(n, np.int64), np.zeros(n, np.int64)
    head, after = np.full(n, -1, np.int32), np.full(n_slots, -2, np.int32)  # users who moved; -2: never
    before = np.empty(n_slots, np.int32)
    over[:] = 0
    for i in range(n_slots):
        home[i] = link_cell[pick[i]]
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
    start = np.empty(n, np.int64)
    to, extra, mover = _sort_moves(first, last, link_cell, link_cost, pick, start)
    move, who = np.empty((n, n)), np.empty((n, n), np.int32)
    stale, moved = np.ones(n, np.bool_), np.full(n_slots, -1, np.int32)
    distance, settled, open_price = np.empty(n), np.empty(n), np.empty(n)
    order, position, ends = np.empty(n, np.int64), np.empty(n, np.int64), np.empty(n, np.int64)
    parent = np.empty(n, np.int64)
    phase = 0
    while np.any(excess > 0):
        for j in range(ground):
            if stale[j]:
                _cheapest_moves(
                    j, start, to, extra, mover, home, head, after, first, last, link_cell, link_cost, pick,
                    move[j], who[j],
                )  # fmt: skip
                stale[j] = False
            move[j, ground] = low if slack[j] > 0 else top
            move[ground, j] = -top if over[j] > 0 else -low
        move[ground, ground] = FAR
        n_sources, n_ends, reached = _search(
            excess, move, price, distance, open_price, settled, order, position, ends
        )  # fmt: skip
        if n_ends == 0:
            return False
        parent[:] = -1
        for e in range(n_ends):
            k, units = ends[e], -excess[ends[e]]
            while position[k] >= n_sources:  # back to a source: how many can go this way
                if parent[k] < 0:
                    least = FAR
                    for s in range(position[k]):
                        j = order[s]
                        if settled[j] + move[j, k] - price[j] < least:
                            least, parent[k] = settled[j] + move[j, k] - price[j], j
                j = parent[k]
                if j == ground:
                    units = min(units, over[k]) if over[k] > 0 else units
                elif k == ground:
                    units = min(units, slack[j]) if slack[j] > 0 else units
                else:
                    units = min(units, 0 if moved[who[j, k]] == phase else 1)
                k = j
            units = min(units, excess[k])
            if units <= 0:
                continue
            excess[k] -= units
            k = ends[e]
            excess[k] += units
            while position[k] >= n_sources:
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
                    i = who[j, k]
                    moved[i] = phase
                    if after[i] != -2:
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
                    for c in range(first[i], last[i]):
                        if link_cell[c] == k:
                            pick[i] = c
                    stale[j] = True
                    if not stale[k]:
                        _offer(i, first, last, link_cell, link_cost, pick, move[k], who[k])
                k = j
        for k in range(n):
            price[k] += reached - min(settled[k], reached)
        lift = price[ground]
        for k in range(n):  # limits are kept but for rounding
            price[k] = min(max(price[k] - lift, low), top)
        price[ground] = 0.0
        phase += 1
    return True


@nb.njit(**WITH_INFINITY)
def undercut(
    cost: Any, user: Any, price: Any, drop: float, reach: Any, link_cell: Any, link_cost: Any, pick: Any, out_slot: Any
) -> int:
    """Slots whose user has a link of less value than the one it holds, by looking where the list may lack it.

    No link left out has come below ``reach - drop``. Equal up to rounding is not less.
    """
    n = 0
    for i in range(pick.shape[0]):
        k = link_cell[pick[i]]
        value = link_cost[pick[i]] + price[k]
        if value <= reach[i] - drop:
            continue
        row, least = cost[user[i]], value
        for c in range(row.shape[0]):
            least = lesser(least, np.float64(row[c]) + price[c])
        if least < value - 1e-13 * (abs(value) + abs(price[k])):
            out_slot[n] = i
            n += 1
    return n
