"""The radio step in fused, vectorised numba. `radio.link` holds the same formulas, written to be read.

Conventions: row u a user, column c a cell, k a block. Every kernel works on the rows `low` to `high`
and writes only into its `out_` arrays, so that halves can run on two threads with the same result.

A link's level is a whole number q: ``q >> 1`` is its gain in steps of 1/64 dB, the lowest bit tells
line of sight. A cell's weight is its power per block in the same steps, see `channel.rank_weights`.
"""

from __future__ import annotations

from typing import Any, Final

import numba as nb
import numpy as np

from mndt.radio._simd import FAST, F, I, exp2f, log2f, mix, prefetch, step_of

LOG2_PER_STEP: Final = F(np.log2(10.0) / 640.0)
"""Levels count steps of 1/64 dB: this turns steps into log2 of the gain."""

AHEAD: Final = 12
"""Rows by which a walk over users asks for the next pixel's cells: memory answers meanwhile."""

RANK_BITS: Final = 15
"""Low bits of a rank hold 2^15 - 1 minus the cell's row, so that the largest rank names its cell."""


@nb.njit(inline="always", **FAST)
def _pixel(position_m: Any, per_pixel: Any, n: Any) -> Any:
    """Row or column of a pixel; the nearest border pixel beyond the map."""
    return min(max(int(position_m * per_pixel), 0), n - 1)


@nb.njit(**FAST)
def look_up(
    low: int, high: int, level: Any, per_pixel: Any, x_m: Any, y_m: Any, weight: Any, out_level: Any, out_rank: Any
) -> None:
    """Level of every link from the pixel a user stands in, and the rank of its strongest cell.

    One pixel's cells are contiguous. ``rank = ((level >> 1) << 15) + weight[c]``: the larger the stronger.
    """
    rows, columns, n_cells = level.shape
    for u in range(low, high):
        ahead = min(u + AHEAD, high - 1)
        prefetch(level, _pixel(y_m[ahead], per_pixel, rows), _pixel(x_m[ahead], per_pixel, columns))
        pixel = level[_pixel(y_m[u], per_pixel, rows), _pixel(x_m[u], per_pixel, columns)]
        own, top = out_level[u], I(-(2**31))
        for c in range(n_cells):
            q = pixel[c]
            own[c] = q
            top = max(top, I(I(I(I(q) >> I(1)) << I(RANK_BITS)) + weight[c]))
        out_rank[u] = top


@nb.njit(**FAST)
def gains(low: int, high: int, level: Any, out_gain: Any) -> None:
    """Linear gain of every link."""
    for u in range(low, high):
        row, gain = level[u], out_gain[u]
        for c in range(row.shape[0]):
            gain[c] = exp2f(F(I(I(row[c]) >> I(1))) * LOG2_PER_STEP)


@nb.njit(**FAST)
def level_by_formula(
    low: int, high: int, x_m: Any, y_m: Any, cell_x_m: Any, cell_y_m: Any, height_difference_m: float,
    breakpoint_m: float, carrier_ghz: float, out_level: Any,
) -> None:  # fmt: skip
    """TR 38.901 UMi line-of-sight level (table 7.4.1-1) straight from positions, without maps.

    For studies without a city, and to compare speed with simulators that have no maps.
    """
    near = F(-3.24 * np.log2(10.0)) - F(2.0) * log2f(F(carrier_ghz))
    squared_height = F(height_difference_m * height_difference_m)
    far = near + F(0.95) * log2f(F(breakpoint_m * breakpoint_m) + squared_height)
    squared_breakpoint = F(breakpoint_m * breakpoint_m)
    steps = F(1.0) / LOG2_PER_STEP
    for u in range(low, high):
        level = out_level[u]
        for c in range(cell_x_m.shape[0]):
            dx, dy = x_m[u] - cell_x_m[c], y_m[u] - cell_y_m[c]
            flat = dx * dx + dy * dy
            log_squared = log2f(flat + squared_height)
            log_gain = near - F(1.05) * log_squared
            beyond = far - F(2.0) * log_squared
            q = I((log_gain if flat <= squared_breakpoint else beyond) * steps - F(0.5))  # all are below 0 dB
            level[c] = np.int16(I(q + q) + I(1))


@nb.njit(inline="always", **FAST)
def _window(key: Any, u: Any, group: Any, mask: Any) -> Any:
    """Where in the bank of fading this user's draws on this group of blocks begin."""
    return mix(I(mix(I(I(key) + step_of(I(u)))) ^ step_of(I(I(group) + I(0x51ED))))) & mask


@nb.njit(**FAST)
def own_fading(
    low: int, high: int, key: Any, serving: Any, level: Any, bank: Any, mask: Any, n_groups: int, out: Any
) -> None:
    """Fading power of each user's own link on every group of blocks: the same draws as in `block_sinr`."""
    for u in range(low, high):
        c = serving[u]
        for group in range(n_groups):
            if c < 0:
                out[u, group] = F(1.0)
            else:
                out[u, group] = bank[I(level[u, c]) & I(1), _window(key[u], u, group, mask) + c]


@nb.njit(inline="always", **FAST)
def _interference(gain: Any, power_w: Any, sight: Any, blocked: Any, seen: Any, own: Any) -> Any:
    """Sum over all cells but the own one, which is left out link by link: subtracting it from a
    float32 total would lose the interference of users with a strong signal."""
    total = F(0.0)
    for b in range(gain.shape[0]):
        received = gain[b] * power_w[b] * (blocked[b] + sight[b] * (seen[b] - blocked[b]))
        total += received if I(b) != own else F(0.0)
    return total


@nb.njit(inline="always", **FAST)
def _interference_blocked(gain: Any, power_w: Any, blocked: Any, own: Any) -> Any:
    """The same for a user that sees no cell: half of the bank is not needed."""
    total = F(0.0)
    for b in range(gain.shape[0]):
        received = gain[b] * power_w[b] * blocked[b]
        total += received if I(b) != own else F(0.0)
    return total


@nb.njit(**FAST)
def sort_blocks(user_of_block: Any, power_w: Any, out_start: Any, out_place: Any) -> None:
    """Used blocks by user: those of user u are ``out_place[out_start[u]:out_start[u + 1]]``, each
    cell * blocks + block. A block without power is not used. `out_start` comes in as zeros."""
    n_cells, n_blocks = user_of_block.shape
    for c in range(n_cells):
        for k in range(n_blocks):
            u = user_of_block[c, k]
            if u >= 0 and power_w[c, k] > F(0.0):
                out_start[u + 2] += I(1)
    for u in range(2, out_start.shape[0]):
        out_start[u] += out_start[u - 1]
    for c in range(n_cells):
        for k in range(n_blocks):
            u = user_of_block[c, k]
            if u >= 0 and power_w[c, k] > F(0.0):
                out_place[out_start[u + 1]] = c * n_blocks + k
                out_start[u + 1] += I(1)


@nb.njit(**FAST)
def block_sinr(
    low: int, high: int, level: Any, start: Any, place: Any, power_of_block_w: Any, noise_w: Any,
    key: Any, bank: Any, mask: Any, blocks_per_group: int, out_sinr: Any,
) -> None:  # fmt: skip
    """SINR of the blocks that the users `low` to `high` hold, with fading on signal and interferers.

    A user's gains are made linear once for all its blocks. `power_of_block_w` is [blocks, cells]: the
    interferers of a block are contiguous. `out_sinr` is flat, in the order of `place`, and holds zeros.
    """
    n_cells, n_blocks = level.shape[1], power_of_block_w.shape[0]
    gain, sight = np.empty(n_cells, np.float32), np.empty(n_cells, np.float32)
    for u in range(low, high):
        if start[u] == start[u + 1]:
            continue
        row, n_seen = level[u], F(0.0)
        for b in range(n_cells):
            q = I(row[b])
            gain[b] = exp2f(F(I(q >> I(1))) * LOG2_PER_STEP)
            seen_b = F(I(q & I(1)))
            sight[b] = seen_b
            n_seen += seen_b
        for i in range(start[u], start[u + 1]):
            c, k = place[i] // n_blocks, place[i] % n_blocks
            at = _window(key[u], u, k // blocks_per_group, mask)
            blocked, seen = bank[0, at : at + n_cells], bank[1, at : at + n_cells]
            if n_seen == F(0.0):
                interference = _interference_blocked(gain, power_of_block_w[k], blocked, I(c))
            else:
                interference = _interference(gain, power_of_block_w[k], sight, blocked, seen, I(c))
            signal = gain[c] * power_of_block_w[k, c] * (blocked[c] + sight[c] * (seen[c] - blocked[c]))
            out_sinr[place[i]] = signal / (interference + noise_w[c])


@nb.njit(inline="always", **FAST)
def _others(level: Any, power_w: Any, own: Any) -> Any:
    """Power received from all cells but the own one, without fading."""
    total = F(0.0)
    for b in range(level.shape[0]):
        received = exp2f(F(I(I(level[b]) >> I(1))) * LOG2_PER_STEP) * power_w[b]
        total += received if b != own else F(0.0)
    return total


@nb.njit(**FAST)
def received(
    low: int, high: int, level: Any, pilot_w: Any, load_w: Any, serving: Any, out_own_w: Any, out_others_w: Any
) -> None:
    """Power per block from the serving cell, and from all others together.

    `pilot_w` and `load_w` per block and cell; without fading. Both are 0 for users without a cell.
    """
    for u in range(low, high):
        c = serving[u]
        if c < 0:
            out_own_w[u], out_others_w[u] = F(0.0), F(0.0)
            continue
        out_own_w[u] = exp2f(F(I(I(level[u, c]) >> I(1))) * LOG2_PER_STEP) * pilot_w[c]
        out_others_w[u] = _others(level[u], load_w, I(c))


CHUNK: Final = 32
"""Cells whose ranks are compared at once before any of them is looked at alone."""


@nb.njit(inline="always", **FAST)
def _rank(q: Any, weight: Any) -> Any:
    return I(I(I(I(q) >> I(1)) << I(RANK_BITS)) + weight)


@nb.njit(inline="always", **FAST)
def _best_rank(level: Any, weight: Any, own: Any) -> Any:
    """Highest rank of all cells but the own one."""
    top = I(-(2**31))
    for c in range(level.shape[0]):
        rank = _rank(level[c], weight[c])
        top = max(top, rank if I(c) != own else I(-(2**31)))
    return top


@nb.njit(inline="always", **FAST)
def _insert(cell: Any, rank: Any, n: Any, c: Any, mine: Any) -> Any:
    """Put a cell into a list of n sorted by falling rank, its first place excepted; the new length."""
    room = cell.shape[0]
    if n == room and mine <= rank[n - 1]:
        return n
    j = n if n < room else n - 1
    while j > 1 and rank[j - 1] < mine:
        cell[j], rank[j] = cell[j - 1], rank[j - 1]
        j -= 1
    cell[j], rank[j] = c, mine
    return min(n + 1, room)


@nb.njit(**FAST)
def report(
    low: int, high: int, level: Any, weight: Any, serving: Any, alone: Any, window_steps: int, out_cell: Any,
    out_rank: Any,
) -> None:  # fmt: skip
    """The cells a user measures: its serving cell, then the strongest others within a window below it.

    `alone` users measure their serving cell only. `out_cell` is -1 beyond the last one, and for users
    without a serving cell.
    """
    n_cells = level.shape[1]
    for u in range(low, high):
        row, own, cell, rank = level[u], serving[u], out_cell[u], out_rank[u]
        n = 0
        if own >= 0:
            n, cell[0], rank[0] = 1, own, _rank(row[own], weight[own])
            floor = I(I(I(rank[0] >> I(RANK_BITS)) - I(window_steps)) << I(RANK_BITS))
            some = not alone[u] and _best_rank(row, weight, I(own)) >= floor
            for begin in range(0, n_cells if some else 0, CHUNK):
                end = min(begin + CHUNK, n_cells)
                if _best_rank(row[begin:end], weight[begin:end], I(own - begin)) < floor:
                    continue
                for c in range(begin, end):
                    mine = _rank(row[c], weight[c])
                    if mine >= floor and c != own:
                        n = _insert(cell, rank, n, c, mine)
        for j in range(n, cell.shape[0]):
            cell[j], rank[j] = -1, I(-(2**31))
