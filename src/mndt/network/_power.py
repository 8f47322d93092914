"""The loops of power assignment in numba. `power` says what they decide.

Every kernel works on the cells `low` to `high` and writes only into its `out` array.
"""

from __future__ import annotations

from typing import Any, Final

import numba as nb
import numpy as np

from mndt.network._scheduling import sort_by
from mndt.radio._simd import FAST, F, exp2f, log2f

MOST_BITS: Final = F(60.0)
"""Bit/s/Hz on one block at which wishes end, 180 dB: beyond it numbers would overflow before the budget does."""


@nb.njit(**FAST)
def fair(low: int, high: int, user_of_block: Any, budget_w: Any, n_users: int, out: Any) -> None:
    """A cell's budget in equal parts to the users that hold its blocks, a user's part equally to its blocks."""
    held = np.zeros(n_users + 1, np.int32)  # place 0 counts free blocks: no branch for them
    for c in range(low, high):
        row, power_w, n_holders = user_of_block[c], out[c], 0
        held[0] = 1
        for k in range(row.shape[0]):
            n_holders += 1 if held[row[k] + 1] == 0 else 0
            held[row[k] + 1] += 1
        part = budget_w[c] / F(max(n_holders, 1))
        for k in range(row.shape[0]):
            power_w[k] = (part if row[k] >= 0 else F(0.0)) / F(held[row[k] + 1])
        for k in range(row.shape[0]):
            held[row[k] + 1] = 0


@nb.njit(**FAST)
def _fill(bits: Any, most: Any, log_gain: Any, out: Any) -> None:
    """Bit/s/Hz of each block so that they sum to `bits` at the least power, none above `most`.

    Water filling: ``clip(level + log_gain, 0, most)``. The level is Newton's from all blocks in use on,
    kept between bounds, as the sum is piecewise linear.
    """
    n, low, high, level = out.shape[0], F(1e30), F(-1e30), bits
    for j in range(n):
        low, high, level = min(low, -log_gain[j]), max(high, most - log_gain[j]), level - log_gain[j]
    level /= F(n)
    for _ in range(60):
        total, slope = F(0.0), F(0.0)
        for j in range(n):
            own = level + log_gain[j]
            slope += F(1.0) if F(0.0) < own < most else F(0.0)
            out[j] = min(max(own, F(0.0)), most)
            total += out[j]
        if abs(total - bits) <= F(1e-6) * bits:
            break
        low, high = (low, level) if total > bits else (level, high)
        level += (bits - total) / max(slope, F(0.5))
        level = level if low < level < high else F(0.5) * (low + high)


@nb.njit(**FAST)
def _sinr(efficiency: Any, law: Any) -> Any:
    """The least SINR that carries this many bit/s/Hz, a hair more so that rounding does not miss it."""
    for j in range(law.entry.shape[0]):
        if law.entry[j] >= efficiency * F(0.99999):
            return law.threshold[j] * F(1.00001)
    sinr = (exp2f(efficiency / law.share) - F(1.0)) / law.per_gap
    return max(sinr, law.floor) * F(1.00001)


@nb.njit(**FAST)
def _keep_to_budget(budget_w: Any, wish_w: Any, order: Any, share: Any) -> None:
    """The share of its wish that each user gets: all of it, smallest wish first; what is left goes to the
    others in equal parts."""
    n, left_w, even_w = order.shape[0], np.float64(budget_w), np.float64(-1.0)
    sort_by(wish_w, order)
    for i in range(n):
        wished_w = wish_w[order[i]]
        if even_w < 0.0 and wished_w > left_w:
            even_w = left_w / (n - i)
        share[order[i]] = F(1.0) if even_w < 0.0 else F(even_w / wished_w)
        left_w -= wished_w


@nb.njit(**FAST)
def _chain(row: Any, place: Any, user: Any, head: Any, follower: Any, tail: Any) -> int:
    """The holders of a row of blocks in order of their first block, each with a chain of its blocks."""
    n = 0
    for k in range(row.shape[0]):
        u, follower[k] = row[k], -1
        if u >= 0:
            i = place[u]
            if i < 0:
                i = n
                place[u], user[i], head[i] = i, u, k
                n += 1
            else:
                follower[tail[i]] = k
            tail[i] = k
    for i in range(n):
        place[user[i]] = -1
    return n


@nb.njit(**FAST)
def needed(
    low: int, high: int, user_of_block: Any, budget_w: Any, need_bits: Any, sinr_per_w: Any, fade: Any,
    blocks_per_group: int, block_hz: Any, law: Any, out: Any,
) -> None:  # fmt: skip
    """To each user the least power with which its blocks carry its need, as far as the budget goes."""
    width, place = user_of_block.shape[1], np.full(need_bits.shape[0], -1, np.int32)
    of_user, of_block = np.empty((4, width), np.int32), np.empty((2, width), np.int32)
    user, head, tail, order, follower, block = (
        of_user[0], of_user[1], of_user[2], of_user[3], of_block[0], of_block[1]
    )  # fmt: skip
    floats = np.empty((5, width), np.float32)
    wish_w, share, gain, log_gain, efficiency = floats[0], floats[1], floats[2], floats[3], floats[4]
    most = min(law.ceiling / law.share, MOST_BITS)  # of Shannon's efficiency: the law's is a share of it
    for c in range(low, high):
        power_w, total_w = out[c], np.float64(0.0)  # sums in float64 keep to the budget
        power_w[:] = F(0.0)
        n = _chain(user_of_block[c], place, user, head, follower, tail)
        for i in range(n):
            u, k, m, wish_w[i], order[i] = user[i], head[i], 0, F(0.0), i
            if need_bits[u] <= F(0.0) or sinr_per_w[u] <= F(0.0):
                continue
            while k >= 0:
                own = fade[u, k // blocks_per_group] if fade.shape[1] > 0 else F(1.0)
                gain[m] = max(sinr_per_w[u] * own, F(1e-30))
                log_gain[m], block[m] = log2f(gain[m] * law.per_gap), k
                m, k = m + 1, follower[k]
            bits = min(need_bits[u] / (block_hz[c] * law.share), F(m) * most)
            _fill(bits, most, log_gain[:m], efficiency[:m])
            for j in range(m):
                if efficiency[j] > F(0.0):
                    power_w[block[j]] = _sinr(efficiency[j] * law.share, law) / gain[j]
                    wish_w[i] += power_w[block[j]]
            total_w += wish_w[i]
        if total_w > budget_w[c]:
            _keep_to_budget(budget_w[c], wish_w, order[:n], share)
            for i in range(n):
                k = head[i]
                while k >= 0:
                    power_w[k] *= share[i]
                    k = follower[k]
