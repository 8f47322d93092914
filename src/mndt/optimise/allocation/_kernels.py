"""Kernels of allocation: rates, exchange of blocks and cells with exact externality, gradient power, WMMSE.

What a step is worth is ``sum over u of weight[u] r[u] + bonus[u] m(r[u], need[u])``: throughput, and what
is delivered up to a need. m is the minimum, rounded within `WIDTH` of the need so that it has a slope.

Interference is a sum in float32 that leaves out the own cell from the start: taking it out of a total again
would lose up to 0.2 bit/s/Hz. Names: u, v users; a, b, c cells; k blocks.
"""

from __future__ import annotations

from typing import Any, Final

import numba as nb
import numpy as np

from mndt.radio._simd import FAST, F, log2f

WIDTH: Final = F(0.25)
"""bit/s/Hz around a need within which the bonus fades."""
_TAKEN: Final = F(-1e30)  # not minus infinity: fastmath assumes there is none
_LN2: Final = F(0.6931472)
_DAMP: Final = F(0.5)
"""Of the tangent price: the loss of others is concave in the power, the tangent overestimates it."""


@nb.njit(inline="always", **FAST)
def dot(a: Any, b: Any) -> Any:
    """Sum of products in float32."""
    total = F(0.0)
    for i in range(a.size):
        total += a[i] * b[i]
    return total


@nb.njit(inline="always", **FAST)
def worth(rate: Any, weight: Any, bonus: Any, need: Any) -> Any:
    """weight r + bonus m(r, need)."""
    over = need + F(0.5) * WIDTH - rate
    over = min(max(over, F(0.0)), WIDTH)
    met = min(rate, need + F(0.5) * WIDTH) - (WIDTH - over) * (WIDTH - over) / (F(2.0) * WIDTH)
    return weight * rate + bonus * met


@nb.njit(inline="always", **FAST)
def slope(rate: Any, weight: Any, bonus: Any, need: Any) -> Any:
    """Derivative of `worth` by the rate."""
    return weight + bonus * min(max((need - rate) / WIDTH + F(0.5), F(0.0)), F(1.0))


@nb.njit(**FAST)
def rates(gain: Any, cell: Any, block: Any, power_w: Any, n_blocks: Any, noise_w: Any) -> Any:
    """Shannon rates in bit/s/Hz of every user, interference from every other cell on his block."""
    n_users, n_cells = gain.shape
    grid = np.zeros((n_blocks, n_cells), np.float32)
    for u in range(n_users):
        grid[block[u], cell[u]] += power_w[u]
    out = np.empty(n_users, np.float32)
    for u in range(n_users):
        b, row = cell[u], grid[block[u]]
        heard = dot(gain[u, :b], row[:b]) + dot(gain[u, b + 1 :], row[b + 1 :]) + F(noise_w)
        out[u] = np.log2(1.0 + np.float64(gain[u, b]) * power_w[u] / heard)
    return out


@nb.njit(**FAST)
def neighbours(gain: Any, cell: Any, block: Any, n_blocks: Any) -> Any:
    """Who disturbs whom, block by block.

    Returns:
        users of the blocks one block after the other, where each block begins, where its matrix begins, and
        the matrices: entry (i, j) is the gain from the cell of the block's j-th user to its i-th, 0 for i = j.
    """
    n_users = cell.size
    first, start = np.zeros(n_blocks + 1, np.int64), np.zeros(n_blocks + 1, np.int64)
    for u in range(n_users):
        first[block[u] + 1] += 1
    for k in range(n_blocks):
        start[k + 1] = start[k] + first[k + 1] * first[k + 1]
        first[k + 1] += first[k]
    users, filled = np.empty(n_users, np.int32), first.copy()
    for u in range(n_users):
        users[filled[block[u]]] = u
        filled[block[u]] += 1
    matrix = np.empty(start[n_blocks], np.float32)
    for k in range(n_blocks):
        low, n, at = first[k], first[k + 1] - first[k], start[k]
        for i in range(n):
            row = gain[users[low + i]]
            for j in range(n):
                matrix[at + i * n + j] = row[cell[users[low + j]]]
            matrix[at + i * n + i] = 0.0
    return users, first, start, matrix


@nb.njit(inline="always", **FAST)
def _share(logit: Any, slack: Any, cell: Any, limit_w: Any, total: Any, power_w: Any) -> None:
    """Powers from logits: a softmax over the users of a cell and its slack."""
    for c in range(slack.size):
        total[c] = np.exp(slack[c])
    for i in range(cell.size):
        power_w[i] = np.exp(logit[i])
        total[cell[i]] += power_w[i]
    for i in range(cell.size):
        power_w[i] *= limit_w[cell[i]] / total[cell[i]]


@nb.njit(**FAST)
def gradient(
    users: Any, first: Any, start: Any, matrix: Any, cell: Any, own_gain: Any, noise_w: Any, weight: Any, bonus: Any,
    need: Any, power_w: Any, grad: Any,
) -> Any:  # fmt: skip
    """The worth of powers, and into `grad` its derivative by each, in nats: divide by ln 2 for bits per watt.

    All arrays in the order of `users`, see `neighbours`.
    """
    value, harm = 0.0, np.empty(first.size, np.float32)
    for k in range(first.size - 1):
        low, n, at = first[k], first[k + 1] - first[k], start[k]
        if harm.size < n:
            harm = np.empty(n, np.float32)
        power = power_w[low : low + n]
        harm[:n] = 0.0
        for i in range(n):
            row = matrix[at + i * n : at + (i + 1) * n]
            heard = dot(row, power) + noise_w
            u = low + i
            signal = own_gain[u] * power[i]
            r = log2f(F(1.0) + signal / heard)
            value += worth(r, weight[u], bonus[u], need[u])
            s = slope(r, weight[u], bonus[u], need[u])
            grad[u] = s * own_gain[u] / (heard + signal)
            h = s * signal / (heard * (heard + signal))
            for j in range(n):
                harm[j] += h * row[j]
        for i in range(n):
            grad[low + i] -= harm[i]
    return value


@nb.njit(**FAST)
def tune_power(
    gain: Any, cell_of: Any, block_of: Any, limit_w: Any, noise_w: Any, weight_of: Any, bonus_of: Any, need_of: Any,
    n_blocks: Any, n_steps: Any, rate: Any, power_of: Any, fade: Any,
) -> None:  # fmt: skip
    """Adam on the exact gradient of the worth, in logits of a softmax per cell with one share unused.

    `fade` is the fading of each user's own link on each block, or one row for all. Changes `power_of`.
    """
    n_users, n_cells = gain.shape
    users, first, start, matrix = neighbours(gain, cell_of, block_of, n_blocks)
    cell, power_w, own_gain = cell_of[users], power_of[users], np.empty(n_users, np.float32)
    weight, bonus, need = weight_of[users], bonus_of[users], need_of[users]
    logit, slack = np.empty(n_users, np.float32), np.empty(n_cells, np.float32)
    mean, speed = np.zeros(n_users, np.float32), np.zeros(n_users, np.float32)
    slack_mean, slack_speed = np.zeros(n_cells, np.float32), np.zeros(n_cells, np.float32)
    total, average, count = np.zeros(n_cells, np.float32), np.zeros(n_cells, np.float32), np.zeros(n_cells, np.float32)
    grad = np.empty(n_users, np.float32)
    for i in range(n_users):
        own_gain[i] = gain[users[i], cell[i]] * fade[users[i] % fade.shape[0], block_of[users[i]]]
        total[cell[i]] += power_w[i]
        count[cell[i]] += 1
    for c in range(n_cells):
        slack[c] = np.log(max(F(1.0) - total[c] / limit_w[c], F(1e-3)))
    for i in range(n_users):
        logit[i] = np.log(max(power_w[i] / limit_w[cell[i]], F(1e-4) / count[cell[i]]))
    for step in range(n_steps):
        _share(logit, slack, cell, limit_w, total, power_w)
        gradient(users, first, start, matrix, cell, own_gain, noise_w, weight, bonus, need, power_w, grad)
        average[:] = 0.0
        for i in range(n_users):
            average[cell[i]] += power_w[i] * grad[i]
        mean_unit = rate / (F(1.0) - F(0.9) ** F(step + 1))
        speed_unit = F(1.0) / (F(1.0) - F(0.99) ** F(step + 1))
        for c in range(n_cells):
            average[c] /= limit_w[c]
            g = -limit_w[c] * np.exp(slack[c]) / total[c] * average[c]
            slack_mean[c] = F(0.9) * slack_mean[c] + F(0.1) * g
            slack_speed[c] = F(0.99) * slack_speed[c] + F(0.01) * g * g
            slack[c] += mean_unit * slack_mean[c] / (np.sqrt(slack_speed[c] * speed_unit) + F(1e-8))
        for i in range(n_users):
            g = power_w[i] * (grad[i] - average[cell[i]])
            mean[i] = F(0.9) * mean[i] + F(0.1) * g
            speed[i] = F(0.99) * speed[i] + F(0.01) * g * g
            logit[i] = max(logit[i] + mean_unit * mean[i] / (np.sqrt(speed[i] * speed_unit) + F(1e-8)), F(-30.0))
    _share(logit, slack, cell, limit_w, total, power_w)
    for i in range(n_users):
        power_of[users[i]] = power_w[i]


@nb.njit(inline="always", **FAST)
def _loss(
    members: Any, n: Any, u: Any, hears: Any, power: Any, left: Any, left_power: Any, limit: Any, heard: Any,
    signal: Any, weight: Any, bonus: Any, need: Any,
) -> Any:  # fmt: skip
    """What the other users of a block lose by `power` from a cell; stops once above `limit`.

    `hears` and `left` are the gains from that cell and from the one that is left with `left_power`.
    """
    lost = F(0.0)
    for i in range(n):
        v = members[i]
        if v != u:
            s = signal[v]
            before = F(heard[v] - np.float64(left[v]) * left_power)
            after = before + hears[v] * power
            lost += worth(log2f(F(1.0) + s / before), weight[v], bonus[v], need[v]) - worth(
                log2f(F(1.0) + s / after), weight[v], bonus[v], need[v]
            )
            if lost > limit:
                break
    return lost


@nb.njit(inline="always", **FAST)
def _harm(heard: Any, signal: Any, weight: Any, bonus: Any, need: Any) -> Any:
    """By how much a user's worth falls with each watt he hears more, bit/s/Hz/W."""
    s = slope(log2f(F(1.0) + signal / heard), weight, bonus, need)
    return s * signal / (heard * (heard + signal)) / _LN2


@nb.njit(**FAST)
def exchange(
    gain: Any, candidates: Any, order: Any, limit_w: Any, noise_w: Any, places: Any, weight: Any, bonus: Any,
    need: Any, n_blocks: Any, shortlist: Any, cell: Any, block: Any, power_w: Any, fade: Any,
) -> Any:  # fmt: skip
    """One sweep: each user in turn goes where his worth less the exact loss of all others is largest.

    `candidates` lists the cells a user may be served by, his present one is always among the choices.
    A new cell gives what it has left, at most a fair share. Places are ranked by prices, the marginal loss of
    a block's users per watt from each cell, and the best of them checked exactly. Prices of who stays are
    those at the beginning of the sweep. `fade` as for `tune_power`. Changes `cell`, `block` and `power_w`;
    returns the number of moves.
    """
    n_users, n_cells = gain.shape
    n_near = candidates.shape[1]
    gain_t = np.ascontiguousarray(gain.T)
    grid, grid_t = np.zeros((n_blocks, n_cells), np.float32), np.zeros((n_cells, n_blocks), np.float32)
    price, holder = np.zeros((n_cells, n_blocks), np.float32), np.full((n_cells, n_blocks), -1, np.int32)
    members, size = np.empty((n_blocks, n_cells), np.int32), np.zeros(n_blocks, np.int32)
    place, harm = np.empty(n_users, np.int32), np.empty(n_users, np.float32)
    heard, signal = np.empty(n_users, np.float64), np.empty(n_users, np.float32)
    count, spare_w = np.zeros(n_cells, np.int32), limit_w.copy()
    by_block = np.zeros((n_blocks, n_cells), np.float32)
    for u in range(n_users):
        b, k = cell[u], block[u]
        grid[k, b] = grid_t[b, k] = power_w[u]
        holder[b, k], place[u], members[k, size[k]] = u, size[k], u
        size[k] += 1
        count[b] += 1
        spare_w[b] -= power_w[u]
    for u in range(n_users):
        b, k = cell[u], block[u]
        row = grid[k]
        heard[u] = dot(gain[u, :b], row[:b]) + dot(gain[u, b + 1 :], row[b + 1 :]) + noise_w
        signal[u] = gain[u, b] * power_w[u] * fade[u % fade.shape[0], k]
        h = _harm(F(heard[u]), signal[u], weight[u], bonus[u], need[u])
        harm[u] = h
        target = by_block[k]
        kept = target[b]
        for c in range(n_cells):
            target[c] += h * gain[u, c]
        target[b] = kept
    for k in range(n_blocks):
        for c in range(n_cells):
            price[c, k] = by_block[k, c]
    around, base, own = np.empty(n_cells, np.float32), np.empty(n_blocks, np.float32), np.empty(n_blocks, np.float32)
    estimate = np.empty((n_near + 1, n_blocks), np.float32)
    options, powers, tops = (
        np.empty(n_near + 1, np.int32),
        np.empty(n_near + 1, np.float32),
        np.empty(n_near + 1, np.int64),
    )
    n_moves = 0
    for u in order:
        b0, k0, p0 = cell[u], block[u], power_w[u]
        w, bo, ne = weight[u], bonus[u], need[u]
        grid[k0, b0] = grid_t[b0, k0] = 0.0
        n_options = 1
        options[0], powers[0] = b0, p0
        for i in range(n_near):
            a = candidates[u, i]
            if a != b0 and count[a] < places:
                fair = limit_w[a] / F(count[a] + 1)
                p = min(spare_w[a], fair)
                if p > F(0.05) * fair:
                    options[n_options], powers[n_options] = a, p
                    n_options += 1
        around[:] = gain[u]
        for i in range(n_options):
            around[options[i]] = 0.0
        for k in range(n_blocks):
            base[k] = dot(around, grid[k]) + noise_w
        for i in range(n_options):
            a, p = options[i], powers[i]
            s, dear = gain[u, a] * p, _DAMP * p
            own[:] = base
            for j in range(n_options):
                if j != i:
                    g, other = gain[u, options[j]], grid_t[options[j]]
                    for k in range(n_blocks):
                        own[k] += g * other[k]
            row, cost, held, faded = estimate[i], price[a], holder[a], fade[u % fade.shape[0]]
            for k in range(n_blocks):
                score = worth(log2f(F(1.0) + s * faded[k] / own[k]), w, bo, ne) - dear * cost[k]
                row[k] = score if held[k] < 0 or held[k] == u else _TAKEN
        left = gain_t[b0]
        best = estimate[0, k0] + _DAMP * p0 * price[b0, k0]
        best -= _loss(members[k0], size[k0], u, left, p0, left, p0, F(1e30), heard, signal, weight, bonus, need)
        best_i, best_k = 0, k0
        estimate[0, k0] = _TAKEN
        for i in range(n_options):
            tops[i] = np.argmax(estimate[i])
        for _ in range(shortlist):
            i = 0
            for j in range(1, n_options):
                if estimate[j, tops[j]] > estimate[i, tops[i]]:
                    i = j
            k = tops[i]
            if estimate[i, k] == _TAKEN:
                break
            a, p = options[i], powers[i]
            value = estimate[i, k] + _DAMP * p * price[a, k]
            estimate[i, k] = _TAKEN
            tops[i] = np.argmax(estimate[i])
            if value > best:
                gone = p0 if k == k0 else F(0.0)
                value -= _loss(
                    members[k], size[k], u, gain_t[a], p, left, gone, value - best, heard, signal, weight, bonus, need
                )
                if value > best:
                    best, best_i, best_k = value, i, k
        a, p = options[best_i], powers[best_i]
        grid[best_k, a] = grid_t[a, best_k] = p
        if best_k == k0 and a == b0:
            continue
        n_moves += 1
        for i in range(size[k0]):
            v = members[k0, i]
            if v != u:
                heard[v] = max(heard[v] - np.float64(left[v]) * p0, np.float64(noise_w))
        for c in range(n_cells):
            if c != b0:
                price[c, k0] -= harm[u] * gain[u, c]
        last = members[k0, size[k0] - 1]
        members[k0, place[u]], place[last] = last, place[u]
        size[k0] -= 1
        hears = gain_t[a]
        for i in range(size[best_k]):
            v = members[best_k, i]
            heard[v] += np.float64(hears[v]) * p
        members[best_k, size[best_k]], place[u] = u, size[best_k]
        size[best_k] += 1
        holder[b0, k0] = -1
        holder[a, best_k] = u
        if a != b0:
            count[b0] -= 1
            count[a] += 1
            spare_w[b0] += p0
            spare_w[a] -= p
            cell[u], power_w[u] = a, p
        block[u], signal[u] = best_k, gain[u, a] * p * fade[u % fade.shape[0], best_k]
        row = grid[best_k]
        heard[u] = dot(gain[u, :a], row[:a]) + dot(gain[u, a + 1 :], row[a + 1 :]) + noise_w
        harm[u] = _harm(F(heard[u]), signal[u], w, bo, ne)
        for c in range(n_cells):
            if c != a:
                price[c, best_k] += harm[u] * gain[u, c]
    return n_moves


@nb.njit(**FAST)
def strongest(gain: Any, power_w: Any, near: Any) -> None:
    """Into each row of `near` the cells received strongest at full power, strongest first."""
    n_near = near.shape[1]
    level = np.empty(n_near, np.float32)
    for u in range(gain.shape[0]):
        n = 0
        for c in range(gain.shape[1]):
            x = gain[u, c] * power_w[c]
            if n < n_near or x > level[n_near - 1]:
                i = min(n, n_near - 1)
                while i > 0 and level[i - 1] < x:
                    level[i], near[u, i] = level[i - 1], near[u, i - 1]
                    i -= 1
                level[i], near[u, i] = x, c
                n = min(n + 1, n_near)


@nb.njit(**FAST)
def wmmse(
    gain: Any, cell_of: Any, block_of: Any, limit_w: Any, noise_w: Any, weight_of: Any, bonus_of: Any, need_of: Any,
    n_blocks: Any, n_steps: Any, power_of: Any, values: Any,
) -> None:  # fmt: skip
    """Powers by weighted mean-square errors (Shi et al. 2011, doi:10.1109/TSP.2011.2147784), single antennas.

    Each step: receivers for the present powers, their errors' inverses as weights, then amplitudes under the
    powers of the cells, whose multipliers are found by bisection. Where the worth has a kink its slope at
    the present rate is the weight. Changes `power_of`; the worth before each step and after the last goes
    into `values`, which never falls where the worth is linear.
    """
    n_users, n_cells = gain.shape
    users, first, start, matrix = neighbours(gain, cell_of, block_of, n_blocks)
    cell, power_w = cell_of[users], power_of[users].astype(np.float64)
    weight, bonus, need = weight_of[users], bonus_of[users], need_of[users]
    above, below = np.empty(n_users), np.empty(n_users)
    load, low, high = np.empty(n_cells), np.empty(n_cells), np.empty(n_cells)
    for step in range(n_steps + 1):
        value = 0.0
        below[:] = 0.0
        for k in range(n_blocks):
            at, n = first[k], first[k + 1] - first[k]
            for i in range(n):
                u, row = at + i, start[k] + i * n
                heard = np.float64(noise_w)
                for j in range(n):
                    heard += np.float64(matrix[row + j]) * power_w[at + j]
                own = np.float64(gain[users[u], cell[u]])
                signal = own * power_w[u]
                rate = F(np.log2(1.0 + signal / heard))
                value += worth(rate, weight[u], bonus[u], need[u])
                a = np.float64(slope(rate, weight[u], bonus[u], need[u])) * (1.0 + signal / heard)
                receiver = np.sqrt(signal) / (heard + signal)
                above[u] = a * receiver * np.sqrt(own)
                cost = a * receiver * receiver
                below[u] += cost * own
                for j in range(n):
                    below[at + j] += cost * np.float64(matrix[row + j])
        values[step] = value
        if step == n_steps:
            break
        low[:] = 0.0
        load[:] = 0.0
        high[:] = 0.0
        for u in range(n_users):
            if below[u] > 0.0:
                load[cell[u]] += (above[u] / below[u]) ** 2
            high[cell[u]] += above[u] ** 2
        for c in range(n_cells):
            high[c] = np.sqrt(high[c] / limit_w[c]) if load[c] > limit_w[c] else 0.0
        for _ in range(40):
            load[:] = 0.0
            for u in range(n_users):
                c = cell[u]
                if below[u] > 0.0:
                    load[c] += (above[u] / (below[u] + 0.5 * (low[c] + high[c]))) ** 2
            for c in range(n_cells):
                middle = 0.5 * (low[c] + high[c])
                if load[c] > limit_w[c]:
                    low[c] = middle
                else:
                    high[c] = middle
        for u in range(n_users):
            if below[u] > 0.0:
                power_w[u] = (above[u] / (below[u] + high[cell[u]])) ** 2
    for i in range(n_users):
        power_of[users[i]] = F(power_w[i])
