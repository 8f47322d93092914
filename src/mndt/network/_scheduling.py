"""The loops of block scheduling in numba. `scheduling` says what they decide.

Every kernel writes only into its `out` array.
"""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np

from mndt.radio._simd import FAST, F, I, log2f, mix, step_of

_mix: Any = mix  # type checkers see the context argument of intrinsics, which numba fills in
_step_of: Any = step_of


@nb.njit(inline="always", **FAST)
def _hash(key: Any, c: Any, counter: Any) -> Any:
    """32 random bits of (key, cell, counter), as an unsigned number in 64 bits."""
    bits = _mix(I(_mix(I(I(key) + _step_of(I(c)))) + _step_of(I(I(counter) + I(1)))))
    return np.uint64(np.uint32(bits))


@nb.njit(inline="always", **FAST)
def _below(bits: Any, n: Any) -> Any:
    """An integer in [0, n) from 32 random bits (bias below n / 2^32)."""
    return np.int64((bits * np.uint64(n)) >> np.uint64(32))


@nb.njit(**FAST)
def random_blocks(key: Any, user: Any, start: Any, blocks: Any, out: Any) -> None:
    """One block for each user of a cell, drawn without replacement; a random subset where users outnumber blocks."""
    perm = np.empty(out.shape[1], np.int32)
    queue = user.copy()
    for c in range(out.shape[0]):
        first, n, n_blocks = start[c], start[c + 1] - start[c], blocks[c]
        for k in range(n_blocks):
            perm[k] = k
        for j in range(min(n, n_blocks)):
            at = j + _below(_hash(key, c, 2 * j), n_blocks - j)
            perm[j], perm[at] = perm[at], perm[j]
            if n > n_blocks:
                other = first + j + _below(_hash(key, c, 2 * j + 1), n - j)
                queue[first + j], queue[other] = queue[other], queue[first + j]
            out[c, perm[j]] = queue[first + j]


@nb.njit(**FAST)
def rotating_blocks(
    key: Any,
    turn: int,
    user: Any,
    start: Any,
    need_bits: Any,
    sinr: Any,
    fade: Any,
    blocks: Any,
    block_hz: Any,
    out: Any,
) -> None:
    """Blocks to the users of a cell in rotation until all blocks are used or all buffers covered."""
    n_most = 0
    for c in range(out.shape[0]):
        n_most = max(n_most, start[c + 1] - start[c])
    queue = np.empty(n_most, np.int32)
    left_bits = np.empty(n_most, np.float32)
    for c in range(out.shape[0]):
        n, n_blocks = start[c + 1] - start[c], np.int64(blocks[c])
        if n == 0 or n_blocks == 0:
            continue
        at = (turn * n_blocks) % n  # the turn goes on where the last second's blocks ended
        for i in range(n):
            queue[i] = user[start[c] + i]
            left_bits[i] = need_bits[queue[i]]
        k = _below(_hash(key, c, 0), n_blocks)
        for _ in range(n_blocks):
            u = queue[at]
            out[c, k] = u
            faded = sinr[u] if fade is None else sinr[u] * fade[u, k]
            left_bits[at] -= block_hz[c] * log2f(F(1.0) + faded)
            k = k + 1 if k + 1 < n_blocks else 0
            if left_bits[at] > F(0.0):
                at += 1
            else:
                n -= 1
                for i in range(at, n):
                    queue[i], left_bits[i] = queue[i + 1], left_bits[i + 1]
            if n == 0:
                break
            at = at if at < n else 0


@nb.njit(**FAST)
def best_blocks(
    key: Any,
    fair: bool,
    window_s: float,
    user: Any,
    start: Any,
    need_bits: Any,
    mean_rate_bps: Any,
    sinr: Any,
    fade: Any,
    blocks: Any,
    block_hz: Any,
    out: Any,
) -> None:
    """Block by block to the user of the cell with the largest metric among those not yet covered."""
    n_cells, width = out.shape
    n_most = 0
    for c in range(n_cells):
        n_most = max(n_most, start[c + 1] - start[c])
    n_columns = 1 if fade is None else (width + 7) // 8 * 8
    of_user = np.zeros((n_most, n_columns), np.float32)
    rate = np.empty((n_columns, n_most), np.float32)  # the same by block: a block's users side by side
    granted, weight = np.empty(n_most, np.float32), np.empty(n_most, np.float32)
    past = F(window_s - 1.0)
    for c in range(n_cells):
        first, n, n_blocks = start[c], start[c + 1] - start[c], np.int64(blocks[c])
        for i in range(n):
            u = user[first + i]
            granted[i] = F(0.0)
            weight[i] = F(1.0) / max(past * mean_rate_bps[u], F(1.0)) if fair else F(1.0)
            if need_bits[u] <= F(0.0):
                weight[i] = F(0.0)
            if fade is None:
                rate[0, i] = block_hz[c] * log2f(F(1.0) + sinr[u])
            else:
                expected, own, row = sinr[u], fade[u], of_user[i]
                for k in range(n_blocks):
                    row[k] = block_hz[c] * log2f(F(1.0) + expected * own[k])
        if fade is not None:
            for low in range(0, n_columns, 8):  # transposed in strips of half a cache line
                for i in range(n):
                    for k in range(8):
                        rate[low + k, i] = of_user[i, low + k]
        k = _below(_hash(key, c, 0), n_blocks) if n_blocks > 0 else 0
        for _ in range(n_blocks):
            row = rate[k] if fade is not None else rate[0]
            top = F(0.0)
            for i in range(n):  # a plain maximum vectorises
                top = max(top, row[i] * weight[i])
            if top > F(0.0):
                i = 0
                while row[i] * weight[i] != top:
                    i += 1
                u = user[first + i]
                out[c, k] = u
                granted[i] += row[i]
                if granted[i] >= need_bits[u]:
                    weight[i] = F(0.0)  # covered
                elif fair:
                    weight[i] = F(1.0) / max(past * mean_rate_bps[u] + granted[i], F(1.0))
            elif fade is None:
                break
            k = k + 1 if k + 1 < n_blocks else 0
