"""The Hungarian method, compiled, and what it does in one cell after the other.

`place_users` gives users blocks and lets them keep their powers, as `hungarian_blocks` in NumPy; `trade_places` gives
them blocks and powers that others of the cell have had.
"""

from __future__ import annotations

from typing import Any, Final

import numba as nb
import numpy as np

from mndt.optimise.allocation._kernels import worth
from mndt.radio._simd import FAST, F, I, log2f

_MUCH: Final = 1e30
_BIDS: Final = 6
_LN2: Final = F(0.6931472)
_SILENT: Final = F(1e-4)
"""Of a fair share of a cell's power: with less a place is worth nothing to anyone."""
_GROUP: Final = 56
"""Users who trade places with each other: the time grows with the cube."""


@nb.njit(**FAST)
def hungarian(score: Any, n_rows: Any, taken: Any) -> None:
    """Columns of largest total score, one for each of the first `n_rows` rows, into `taken`.

    Successive shortest paths with potentials (the Hungarian method in the form of R. Jonker and A. Volgenant
    1987, doi:10.1007/BF02278710); at least as many columns as rows.
    """
    n_columns = score.shape[1]
    of_row, of_column = np.zeros(n_rows, np.float32), np.zeros(n_columns, np.float32)
    row_at, way = np.full(n_columns, -1, np.int32), np.empty(n_columns, np.int32)
    least, shut = np.empty(n_columns, np.float32), np.empty(n_columns, np.float32)
    free = np.empty(n_rows, np.int32)
    n_free = _bid(score, n_rows, of_row, of_column, row_at, least, free)
    for first in free[:n_free]:
        of_row[first] = F(0.0)
        least[:] = F(_MUCH)
        shut[:] = F(0.0)
        row, at, passed = first, I(-1), F(0.0)
        while True:
            base, line, best = passed - of_row[row], score[row], F(2.0 * _MUCH)
            for j in range(n_columns):
                length = base - line[j] - of_column[j] + shut[j]
                way[j] = at if length < least[j] else way[j]
                least[j] = min(least[j], length)
                best = min(best, least[j] + shut[j])
            at = I(n_columns)
            for j in range(n_columns):  # a smallest number, not an early end: that is vectorised
                at = min(at, I(j) if least[j] + shut[j] == best else I(n_columns))
            passed = best
            if row_at[at] < 0:
                break
            shut[at] = F(_MUCH)
            row = row_at[at]
        of_row[first] += passed
        for j in range(n_columns):
            if shut[j] > F(0.0):
                of_row[row_at[j]] += passed - least[j]
                of_column[j] -= passed - least[j]
        while at >= 0:
            before = way[at]
            row_at[at] = first if before < 0 else row_at[before]
            at = before
    for j in range(n_columns):
        if row_at[j] >= 0:
            taken[row_at[j]] = j


@nb.njit(inline="always", **FAST)
def _bid(score: Any, n_rows: Any, of_row: Any, of_column: Any, row_at: Any, value: Any, free: Any) -> Any:
    """Rows take their best column in turn and raise its price to where the second best is as good.

    A row that loses its column comes again; after a while those left over are returned, as `free` and their number.
    """
    n_columns = score.shape[1]
    for i in range(n_rows):
        free[i] = n_rows - 1 - i
    n_free = n_rows
    for _ in range(_BIDS * n_rows):
        if n_free == 0:
            break
        row = free[n_free - 1]
        line, best, second = score[row], F(-_MUCH), F(-_MUCH)
        for j in range(n_columns):
            value[j] = line[j] + of_column[j]
            best = max(best, value[j])
        at = I(n_columns)
        for j in range(n_columns):
            at = min(at, I(j) if value[j] == best else I(n_columns))
        value[at] = F(-_MUCH)
        for j in range(n_columns):
            second = max(second, value[j])
        if n_columns == 1:
            second = best
        before = row_at[at]
        of_row[row] = -second
        of_column[at] -= best - second
        row_at[at] = row
        if before >= 0:
            free[n_free - 1] = before
        else:
            n_free -= 1
    return n_free


@nb.njit(**FAST)
def place_users(
    gain: Any, order: Any, cell: Any, power_w: Any, noise_w: Any, demand: Any, bonus: Any, damp: Any, inner_w: Any,
    inner_b: Any, outer_w: Any, n_blocks: Any, block: Any,
) -> None:  # fmt: skip
    """One cell after the other in `order` gives its users the blocks of largest total score; changes `block`.

    Powers are those of the users, wherever they are.

    The score of an edge is ``rate + bonus min(rate, demand) - damp p harm`` plus first and bonus times second output
    of a network of one hidden layer, see `mndt.learn.edge_weights.block_features` for its inputs.
    """
    n_users, n_cells = gain.shape
    hidden = outer_w.shape[0]
    gain_t = np.ascontiguousarray(gain.T)
    grid, number = np.zeros((n_cells, n_blocks), np.float32), np.zeros(n_blocks, np.int64)
    heard, signal = np.empty(n_users, np.float64), np.empty(n_users, np.float32)
    first, members = np.zeros(n_cells + 1, np.int64), np.empty(n_users, np.int32)
    for u in range(n_users):
        grid[cell[u], block[u]] = power_w[u]
        signal[u] = gain[u, cell[u]] * power_w[u]
        number[block[u]] += 1
        first[cell[u] + 1] += 1
        heard[u] = noise_w
    for c in range(n_cells):
        first[c + 1] += first[c]
        row, hears = grid[c], gain_t[c]
        for u in range(n_users):
            if cell[u] != c:
                heard[u] += np.float64(hears[u]) * row[block[u]]
    filled = first.copy()
    for u in range(n_users):
        members[filled[cell[u]]] = u
        filled[cell[u]] += 1
    score, taken = np.empty((n_blocks, n_blocks), np.float32), np.empty(n_blocks, np.int32)
    harm, said = np.empty(n_blocks, np.float32), np.empty((hidden, n_blocks), np.float32)
    rate, level, met = np.empty(n_blocks, np.float32), np.empty(n_blocks, np.float32), np.empty(n_blocks, np.float32)
    around = np.empty((n_blocks, n_blocks), np.float32)
    cost, loud = np.empty(n_blocks, np.float32), np.empty(n_blocks, np.float32)
    for c in order:
        who = members[first[c] : first[c + 1]]
        if who.size == 0:
            continue
        for u in who:
            number[block[u]] -= 1
        row, hears = grid[c], gain_t[c]
        harm[:] = F(0.0)
        for v in range(n_users):
            if cell[v] != c:
                heard[v] = max(heard[v] - np.float64(hears[v]) * row[block[v]], np.float64(noise_w))
                at = F(heard[v])
                short = F(1.0) + bonus[v] if log2f(F(1.0) + signal[v] / at) < demand[v] else F(1.0)
                harm[block[v]] += short * signal[v] / (at * (at + signal[v])) * hears[v]
        row[:] = F(0.0)
        mean, total = F(0.0), F(0.0)
        for u in who:
            total += power_w[u]
        share = F(who.size) / total
        for k in range(n_blocks):
            harm[k] /= _LN2
            mean += F(number[k])
        mean = max(mean / F(n_blocks), F(1.0))
        for k in range(n_blocks):
            crowd = F(number[k]) / mean - F(1.0)
            for i in range(hidden):
                said[i, k] = inner_b[i] + inner_w[7, i] * crowd
        for n in range(who.size):
            u = who[n]
            line, near, more, power = score[n], around[n], bonus[u], power_w[u]
            mine = log2f(power * share) * F(1.0 / 8.0)
            near[:] = F(noise_w)
            for b in range(n_cells):
                if b != c:
                    g, other = gain[u, b], grid[b]
                    for k in range(n_blocks):
                        near[k] += g * other[k]
            mean = F(0.0)
            for k in range(n_blocks):
                rate[k] = log2f(F(1.0) + signal[u] / near[k])
                level[k] = log2f(near[k] / F(noise_w)) * F(1.0 / 16.0)
                met[k] = min(rate[k], demand[u])
                cost[k] = power * harm[k]
                loud[k] = log2f(F(1.0) + F(10.0) * cost[k]) * _LN2
                line[k] = rate[k] + more * met[k] - damp * cost[k]
                mean += rate[k]
            mean /= F(n_blocks)
            for i in range(hidden):
                const = inner_w[5, i] * F(0.25) * demand[u] - inner_w[2, i] * F(0.25) * mean + inner_w[8, i] * mine
                a, b2, m = inner_w[0, i] + F(0.25) * inner_w[2, i], inner_w[1, i], F(0.25) * inner_w[6, i]
                p, q, w = inner_w[3, i], inner_w[4, i], outer_w[i, 0] + more * outer_w[i, 1]
                for k in range(n_blocks):
                    z = said[i, k] + const + a * rate[k] + b2 * level[k] + m * met[k] + p * cost[k] + q * loud[k]
                    line[k] += w * max(z, F(0.0))
        hungarian(score, who.size, taken)
        for n in range(who.size):
            k = taken[n]
            block[who[n]] = k
            number[k] += 1
            row[k] = power_w[who[n]]
            heard[who[n]] = around[n, k]
        for v in range(n_users):
            if cell[v] != c:
                heard[v] += np.float64(hears[v]) * row[block[v]]


@nb.njit(**FAST)
def trade_places(
    gain: Any, order: Any, limit_w: Any, noise_w: Any, weight: Any, bonus: Any, need: Any, n_blocks: Any, cell: Any,
    block: Any, power_w: Any, fade: Any,
) -> None:  # fmt: skip
    """In every cell users change places, a block with its power, so that the cell's worth is largest.

    What is sent stays as it was, so nobody else hears a difference: the sum of all worths never falls. Many users
    trade in groups of at most `_GROUP`, those who come one after the other in `order`. `fade` as for
    `mndt.optimise.allocation._kernels.tune_power`. Changes `block` and `power_w`.
    """
    n_users, n_cells = gain.shape
    grid, first = np.zeros((n_blocks, n_cells), np.float32), np.zeros(n_cells + 1, np.int64)
    for u in range(n_users):
        grid[block[u], cell[u]] = power_w[u]
        first[cell[u] + 1] += 1
    for c in range(n_cells):
        first[c + 1] += first[c]
    members, filled = np.empty(n_users, np.int32), first.copy()
    for u in order:
        members[filled[cell[u]]] = u
        filled[cell[u]] += 1
    score, taken = np.empty((_GROUP, _GROUP), np.float32), np.empty(_GROUP, np.int32)
    hears, sent = np.empty((_GROUP, n_cells), np.float32), np.empty((_GROUP, n_cells), np.float32)
    old_block, old_w = np.empty(_GROUP, np.int32), np.empty(_GROUP, np.float32)
    loud, idle, served = np.empty(_GROUP, np.int32), np.empty(_GROUP, np.int32), np.empty(_GROUP, np.bool_)
    for c in range(n_cells):
        n_here = first[c + 1] - first[c]
        n_groups = (n_here + _GROUP - 1) // _GROUP
        for group in range(n_groups):
            who = members[first[c] + group * n_here // n_groups : first[c] + (group + 1) * n_here // n_groups]
            n, m = who.size, 0
            for i in range(n):
                u = who[i]
                old_block[i], old_w[i], served[i] = block[u], power_w[u], False
                hears[i] = gain[u]
                hears[i, c] = F(0.0)
                if power_w[u] * F(n_here) > _SILENT * limit_w[c]:
                    loud[m] = i
                    sent[m] = grid[block[u]]
                    m += 1
            if m == 0 or n == 1:
                continue
            around = np.dot(sent[:m], hears[:n].T)
            for j in range(m):
                k, power = old_block[loud[j]], old_w[loud[j]]
                for i in range(n):
                    u = who[i]
                    signal = gain[u, c] * power * fade[u % fade.shape[0], k]
                    rate = log2f(F(1.0) + signal / (around[j, i] + F(noise_w)))
                    score[j, i] = worth(rate, weight[u], bonus[u], need[u])
            hungarian(score[:m, :n], m, taken)
            for j in range(m):
                u = who[taken[j]]
                block[u], power_w[u], served[taken[j]] = old_block[loud[j]], old_w[loud[j]], True
            x = 0
            for i in range(n):  # places without power of those who have some now
                if served[i] and old_w[i] * F(n_here) <= _SILENT * limit_w[c]:
                    idle[x] = i
                    x += 1
            for j in range(m):
                if not served[loud[j]]:
                    x -= 1
                    u = who[loud[j]]
                    block[u], power_w[u] = old_block[idle[x]], old_w[idle[x]]
