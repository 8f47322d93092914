"""The loops of exact assignment in numba: links and prices. `assignment` says what they decide.

Words: slot i is a user in hand, its links are entries ``first[i]`` to ``last[i] - 1`` of the lists'
`cell` and `cost`, ``pick[i]`` the entry it holds. The value of a link is its cost plus the price of its
cell. Prices lie between `low` and `top`: at `low` a cell may have free places, at `top` too many users.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numba as nb
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from mndt.radio._simd import FAST, prefetch

FAR: Final = 1e30
"""Beyond every distance, finite because fast arithmetic knows no infinity."""
SAME: Final = 1e-13
"""Values that differ by this share of their terms are equal up to rounding."""
WITH_INFINITY: Final[dict[str, Any]] = {**FAST, "fastmath": {"nnan", "nsz", "reassoc", "contract", "arcp", "afn"}}


class Lists(NamedTuple):
    """The links of all slots."""

    first: Any  # int64[slots]
    last: Any  # int64[slots]
    cell: Any  # int32[entries]
    cost: Any  # float64[entries]


@intrinsic
def _lesser(typing_context: Any, a: Any, b: Any) -> Any:
    """The lesser of two numbers in the form that loops vectorise: `min` becomes a branch or a masked store."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        flags = ("nnan", "nsz")
        return builder.select(builder.fcmp_ordered("<", *args, flags=flags), *args, flags=flags)

    return types.float64(types.float64, types.float64), codegen


@intrinsic
def _plus_size(typing_context: Any, total: Any, x: Any) -> Any:
    """total + abs(x), which must not be fast: it shows infinities and what is no number."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        number = ir.DoubleType()
        absolute = builder.module.declare_intrinsic("llvm.fabs", [number], ir.FunctionType(number, [number]))
        return builder.fadd(args[0], builder.call(absolute, [args[1]]), flags=("reassoc",))

    return types.float64(types.float64, types.float64), codegen


@intrinsic
def _if_so(typing_context: Any, condition: Any, a: Any, b: Any) -> Any:
    """a where the condition holds, else b, never as a branch: which of two is less cannot be predicted."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.select(*args)

    return a(types.boolean, a, a), codegen


@intrinsic
def _below(typing_context: Any, value: Any, at: Any, limit: Any, turn: Any) -> Any:
    """Bit i of a word of 64 says whether value[at + (i + turn) % 64] <= limit."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        view = context.make_array(signature.args[0])(context, builder, args[0])
        lanes, word = ir.VectorType(ir.DoubleType(), 64), ir.IntType(64)
        here = builder.bitcast(builder.gep(view.data, [args[1]]), lanes.as_pointer())
        values = builder.load(here, align=8)
        first = builder.insert_element(ir.Constant(lanes, ir.Undefined), args[2], ir.Constant(ir.IntType(32), 0))
        everywhere = ir.Constant(ir.VectorType(ir.IntType(32), 64), [0] * 64)
        limits = builder.shuffle_vector(first, ir.Constant(lanes, ir.Undefined), everywhere)
        bits = builder.bitcast(builder.fcmp_ordered("<=", values, limits), word)
        rotate = builder.module.declare_intrinsic("llvm.fshr", [word], ir.FunctionType(word, [word] * 3))
        return builder.call(rotate, [bits, bits, args[3]])

    return types.int64(value, types.int64, types.float64, types.int64), codegen


@intrinsic
def _lowest_bit(typing_context: Any, word: Any) -> Any:
    """Place of the lowest bit that is set."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.int64), codegen


plus_size: Any = _plus_size
lesser: Any = _lesser  # type checkers see the context argument of intrinsics, which numba fills in
if_so: Any = _if_so
below: Any = _below
lowest_bit: Any = _lowest_bit
fetch_early: Any = prefetch


@nb.njit(**FAST)
def _thin_out(lists: Lists, price: Any, begin: int, end: int, most: int, least: float, margin: float) -> Any:
    """Shorten one user's list to `most` links; returns its new end and what links left out cannot undercut."""
    _, _, cell, cost = lists
    for _ in range(7):
        n = begin
        for c in range(begin, end):  # without a branch: written always, kept where it counts
            k, mine = cell[c], cost[c]
            cell[n], cost[n] = k, mine
            n += mine + price[k] <= least + margin
        end = n
        if end - begin <= most:
            return end, least + margin
        margin *= 0.5
    for c in range(begin + most, end):  # many are about equal: the first ones will do, and the best
        if cost[c] + price[cell[c]] <= least:
            cell[begin], cost[begin] = cell[c], cost[c]
    return begin + most, least


@nb.njit(**WITH_INFINITY)
def list_links(
    costs: Any, user: Any, slot: Any, price: Any, lowest: Any, margin: float, most: int, start: int, out: Lists,
    out_reach: Any, out_size: Any,
) -> int:  # fmt: skip
    """The links of each user whose value is within `margin` of its least, at most `most` of them.

    A user with more than that has its margin halved. Cells of which `lowest` is below `price` are listed
    as if that were their price. Lists begin at a place that differs from user to user. Entries are
    written from `start` on; returns the end. No link left out has a value below ``out_reach[slot]``;
    ``out_size[0]`` adds up the magnitudes of all costs [users, 1, cells].
    """
    n_cells, n, size = costs.shape[2], start, 0.0
    n_blocks = (n_cells + 63) // 64
    value = np.full(n_blocks * 64, 8.0 * FAR)  # beyond the limit of a user without links
    for i in range(user.shape[0]):
        row, s = costs[user[i], 0], slot[i]
        if i + 1 < user.shape[0]:
            fetch_early(costs, user[i + 1], 0)
        least = FAR
        for k in range(n_cells):
            size = plus_size(size, np.float64(row[k]))
            value[k] = np.float64(row[k]) + lowest[k]
            least = lesser(least, np.float64(row[k]) + price[k])
        limit = least + margin
        begin, turn = n, (user[i] * 40503) >> 4  # users in equal positions shall not choose alike
        block = (turn >> 6) % n_blocks * 64
        for _ in range(n_blocks):
            word = below(value, block, limit, turn)
            while word != 0:
                k = block + ((lowest_bit(word) + turn) & 63)
                word &= word - 1
                out.cell[n], out.cost[n] = k, row[k]
                n += 1
            block = block + 64 if block + 64 < n_cells else 0
        if n - begin > most:
            n, limit = _thin_out(out, price, begin, n, most, least, margin)
        out.first[s], out.last[s], out_reach[s] = begin, n, limit
    out_size[0] += size
    return n


@nb.njit(**FAST)
def _best_two(lists: Lists, i: int, price: Any) -> Any:
    """The entry of least value of a slot, that value and the second."""
    mine, least, second = lists.first[i], FAR, FAR
    for c in range(lists.first[i], lists.last[i]):
        value = lists.cost[c] + price[lists.cell[c]]
        second = lesser(second, -lesser(-least, -value))
        mine = if_so(value < least, c, mine)
        least = lesser(least, value)
    return mine, least, second


@nb.njit(**FAST)
def choose(slot: Any, home: Any, lists: Lists, price: Any, pick: Any) -> float:
    """Each slot picks its best link, `home` where that is as good; returns the mean distance to the second."""
    total, n = 0.0, 0
    for s in slot:
        pick[s], least, second = _best_two(lists, s, price)
        for c in range(lists.first[s], lists.last[s]):
            value, mine = lists.cost[c] + price[lists.cell[c]], price[lists.cell[c]]
            if lists.cell[c] == home[s] and value <= least + SAME * (abs(value) + abs(mine)):
                pick[s] = c
        if second < FAR:
            total += second - least
            n += 1
    return total / max(n, 1)


@nb.njit(**WITH_INFINITY)
def undercut(
    costs: Any, user: Any, price: Any, drop: float, reach: Any, lists: Lists, pick: Any, out_slot: Any
) -> int:  # fmt: skip
    """Slots whose user has a link of less value than the one it holds: looks where the list may lack it.

    No link left out has come below ``reach - drop``. Equal up to rounding is not less.
    """
    n = 0
    for i in range(pick.shape[0]):
        k = lists.cell[pick[i]]
        value = lists.cost[pick[i]] + price[k]
        if value <= reach[i] - drop:
            continue
        row, least = costs[user[i]], value
        for c in range(row.shape[0]):
            least = lesser(least, np.float64(row[c]) + price[c])
        if least < value - SAME * (abs(value) + abs(price[k])):
            out_slot[n] = i
            n += 1
    return n


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
            aim = rz * 1e-3  # prices need not be exact
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
    are more users than places, the greatest at `top`. Returns the least change of a price.
    """
    n_cells = step.shape[0]
    mean, n_free = 0.0, 0.0
    for k in range(n_cells):
        mean += free[k] * min(max(step[k], -window), window)
        n_free += free[k]
    mean /= max(n_free, 1.0)
    down, least, greatest = FAR, FAR, -FAR
    for k in range(n_cells):
        change = min(max(step[k] - mean, -2.0 * window), 2.0 * window) + mean
        new = min(max(price[k] + free[k] * change, low), top)
        down = min(down, new - price[k])
        least, greatest = min(least, new), max(greatest, new)
        price[k] = new
    shift = top - greatest if crowded else low - least
    for k in range(n_cells):
        price[k] = min(max(price[k] + shift, low), top)
    return down + shift


@nb.njit(**FAST)
def _undecided(lists: Lists, pick: Any, out_decided: Any) -> Any:
    """Slots with a choice; those without are picked and counted."""
    out, n = np.empty(pick.shape[0], np.int32), 0
    for i in range(pick.shape[0]):
        only = lists.last[i] - lists.first[i] == 1
        pick[i], out[n] = lists.first[i], i
        out_decided[lists.cell[lists.first[i]]] += only
        n += not only
    return out[:n]


@nb.njit(**FAST)
def _copy(source: Any, out: Any) -> None:
    """As ``out[:] = source``, which takes numba seconds to compile."""
    for k in range(out.shape[0]):
        out[k] = source[k]


@nb.njit(**FAST)
def balance(
    lists: Lists, capacity: Any, low: float, top: float, crowded: bool, window: float, rounds: int, price: Any,
    pick: Any, out_units: Any, out_near: Any,
) -> float:  # fmt: skip
    """Newton's method on the prices, until loads hardly differ from capacities; returns the last window.

    The load of cell a falls with its price as fast as there are users indifferent between a and b:
    counted in a window of values, which narrows until few are left. Picks follow the prices. A user is
    looked at again only when its cell may have become dearer, against any other, by more than its choice
    was clear. ``out_units``: misplaced users in the first round and in the best; ``out_near``: users
    within the window.
    """
    n_slots, n_cells = pick.shape[0], capacity.shape[0]
    decided, load, limit = np.zeros(n_cells), np.empty(n_cells), np.empty(n_cells)
    want, free, step = np.empty(n_cells), np.empty(n_cells), np.empty(n_cells)
    slot = _undecided(lists, pick, decided)
    n, room = slot.shape[0], 4 * n_slots + n_cells
    own, clear, least = np.zeros(n, np.int32), np.full(n, -2.0 * FAR), np.empty(n)
    look, near = np.empty(n + 1, np.int32), np.empty(n + 1, np.int32)
    a, b = np.empty(room + 1, np.int32), np.empty(room + 1, np.int32)
    best_price, best_pick = price.copy(), pick.copy()
    fewest, stale, fall, n_pairs, counts = FAR, 0, 0.0, np.int64(0), True
    for turn in range(rounds):
        for k in range(n_cells):
            limit[k] = price[k] - fall + (window if counts else 0.0)
        n_look, n_near = 0, 0
        for m in range(n):
            look[n_look] = m
            n_look += clear[m] <= limit[own[m]]
        for m in range(n_look):
            q = np.int64(look[m])
            mine, least[q], second = _best_two(lists, np.int64(slot[q]), price)
            k = lists.cell[mine]
            pick[slot[q]], own[q], clear[q] = mine, k, second - least[q] + price[k] - fall
            near[n_near] = q
            n_near += second < least[q] + window
        n_pairs = np.int64(0) if counts else n_pairs
        for m in range(n_near if counts else 0):
            q = near[m]
            mine, most = own[q], least[q] + window
            for c in range(lists.first[slot[q]], lists.last[slot[q]]):
                k = lists.cell[c]
                a[n_pairs], b[n_pairs] = mine, k
                n_pairs += (lists.cost[c] + price[k] < most) & (k != mine)
            n_pairs = min(n_pairs, room - n_cells)
        _copy(decided, load)
        for m in range(n):
            load[own[m]] += 1.0
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
        stale = 0 if units < 0.8 * fewest else stale + 1 + (units < n_cells)
        if units < fewest:
            fewest = units
            _copy(price, best_price)
            _copy(pick, best_pick)
        if units == 0.0 or stale >= 2:
            break
        _solve_laplacian(a, b, n_pairs, 0.5 / window, free, want, step)
        fall += _step_prices(step, free, window, low, top, crowded, price)
        counts = n_pairs > 8 * n_cells
        window *= 0.6 if counts else 1.0
    _copy(best_price, price)
    _copy(best_pick, pick)
    out_units[1] = fewest
    out_near[:] = 0.0
    for m in range(n_pairs):
        out_near[a[m]] += 1.0
        out_near[b[m]] += 1.0
    return window
