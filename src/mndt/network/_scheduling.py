"""The loops of block scheduling in numba. `scheduling` says what they decide.

Every kernel works on the cells `low` to `high` and writes only into its `out` array, so that halves
can run on two threads with the same result. Blocks in one group fade alike: a user's rate is
computed once for each group. `fade` without columns stands for a channel that does not fade.
"""

from __future__ import annotations

from typing import Any, Final

import numba as nb
import numpy as np

from mndt.radio._mcs import rate, rates
from mndt.radio._simd import FAST, F, I, bits_of_float, mix, step_of

_mix: Any = mix  # type checkers see the context argument of intrinsics, which numba fills in
_step_of: Any = step_of
_bits: Any = bits_of_float

LANES: Final = 32
"""Metrics of a cell are padded to a multiple of this with zeros, so that searching them has no remainder."""


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
def by_cell(serving: Any, active: Any, out_start: Any, out_user: Any) -> None:
    """Active users grouped by cell, in order of their rows; `out_start` comes as zeros."""
    n_cells = out_start.shape[0] - 1
    for u in range(serving.shape[0]):
        if active[u] and serving[u] >= 0:
            out_start[serving[u] + 1] += 1
    for c in range(n_cells):
        out_start[c + 1] += out_start[c]
    at = out_start.copy()
    for u in range(serving.shape[0]):
        if active[u] and serving[u] >= 0:
            out_user[at[serving[u]]] = u
            at[serving[u]] += 1


@nb.njit(inline="always", **FAST)
def _most_users(low: Any, high: Any, start: Any) -> Any:
    """Users of the fullest cell."""
    most = 0
    for c in range(low, high):
        most = max(most, start[c + 1] - start[c])
    return most


@nb.njit(**FAST)
def random_blocks(low: int, high: int, key: Any, user: Any, start: Any, blocks: Any, out: Any) -> None:
    """One block for each user of a cell, drawn without replacement; a random subset where users outnumber blocks."""
    perm = np.empty(out.shape[1], np.int32)
    queue = np.empty(_most_users(low, high, start), np.int32)
    for c in range(low, high):
        first, n, n_blocks = start[c], start[c + 1] - start[c], blocks[c]
        for k in range(n_blocks):
            perm[k] = k
        for i in range(n):
            queue[i] = user[first + i]
        for j in range(min(n, n_blocks)):
            at = j + _below(_hash(key, c, 2 * j), n_blocks - j)
            perm[j], perm[at] = perm[at], perm[j]
            if n > n_blocks:
                other = j + _below(_hash(key, c, 2 * j + 1), n - j)
                queue[j], queue[other] = queue[other], queue[j]
            out[c, perm[j]] = queue[j]


@nb.njit(**FAST)
def rotating_blocks(
    low: int, high: int, key: Any, turn: int, user: Any, start: Any, need_bits: Any, sinr: Any, fade: Any,
    blocks_per_group: int, law: Any, blocks: Any, block_hz: Any, out: Any,
) -> None:  # fmt: skip
    """Blocks to the users of a cell in rotation until all blocks are used or all buffers covered."""
    n_most, fades = _most_users(low, high, start), fade.shape[1] > 0
    left_bits, follower = np.empty(n_most, np.float32), np.empty(n_most, np.int32)
    for c in range(low, high):
        first, n, n_blocks = start[c], start[c + 1] - start[c], np.int64(blocks[c])
        if n == 0 or n_blocks == 0:
            continue
        for i in range(n):
            left_bits[i], follower[i] = need_bits[user[first + i]], i + 1
        follower[n - 1] = 0
        at = np.int64((turn * n_blocks) % n)  # the turn goes on where the last second's blocks ended
        before = (at + n - 1) % n
        k = _below(_hash(key, c, 0), n_blocks)
        for _ in range(n_blocks):
            u = user[first + at]
            out[c, k] = u
            faded = sinr[u] * fade[u, I(k) // I(blocks_per_group)] if fades else sinr[u]
            left_bits[at] -= rate(faded, block_hz[c], law)
            if left_bits[at] > F(0.0):
                before = at
            elif follower[at] == at:
                break
            else:
                follower[before] = follower[at]  # covered: the rotation skips it
            at = np.int64(follower[at])
            k = k + 1 if k + 1 < n_blocks else 0


@nb.njit(**FAST)
def _expect(users: Any, sinr: Any, fade: Any, block_hz: Any, law: Any, scratch: Any, out: Any) -> None:
    """Expected rates of a cell's n users: those on blocks of group g are ``out[g * n : (g + 1) * n]``."""
    n, n_groups = users.shape[0], max(fade.shape[1], 1)
    for i in range(n):
        u = users[i]
        expected, own, at = sinr[u], fade[u], i
        for g in range(fade.shape[1]):
            scratch[at] = expected * own[g]
            at += n
        if fade.shape[1] == 0:
            scratch[i] = expected
    rates(scratch[: n_groups * n], block_hz, law, out[: n_groups * n])


@nb.njit(inline="always", **FAST)
def _largest(metric: Any, but: Any) -> Any:
    """The largest metric of all but one user, and the first place that has it.

    Metrics are the bits of floats, none below 0: these rank like the floats, and their maximum vectorises.
    """
    n = I(metric.shape[0])
    top, place = I(0), n
    for i in range(metric.shape[0]):
        top = max(top, metric[i] if I(i) != but else I(0))
    for i in range(metric.shape[0]):
        place = min(place, (I(i) if metric[i] == top else n) if I(i) != but else n)
    return top, place


@nb.njit(**FAST)
def _grant_best(
    k: Any, n_blocks: Any, blocks_per_group: Any, users: Any, need_bits: Any, expected: Any, fair: Any, past_bits: Any,
    weight: Any, granted: Any, metric: Any, out: Any,
) -> None:  # fmt: skip
    """The blocks of one cell from k on, each to the user with the largest ``expected * weight``."""
    n, waiting, left = users.shape[0], 0, n_blocks
    for i in range(n):
        waiting += 1 if weight[i] > F(0.0) else 0
    padded = metric.shape[0]
    while left > 0 and waiting > 0:
        group = k // blocks_per_group
        end = min(min((group + 1) * blocks_per_group, n_blocks), k + left)
        left -= end - k
        bps = expected[group * n : group * n + padded]
        for i in range(padded):
            metric[i] = _bits(F(bps[i] * weight[i]))
        top, best = _largest(metric, I(-1))
        while k < end and top > I(0):
            u, rate_bps = users[best], bps[best]
            out[k] = u
            k += 1
            bits = granted[best] + rate_bps
            granted[best] = bits
            covered = bits >= need_bits[u]
            waiting -= 1 if covered else 0
            if fair or covered:
                weight[best] = F(0.0) if covered else F(1.0) / max(past_bits[best] + bits, F(1.0))
                if k == end:
                    break
                top = _bits(F(rate_bps * weight[best]))
                rival, place = _largest(metric, best)  # needs not wait for the division
                metric[best] = top
                if rival > top or (rival == top and place < best):
                    top, best = rival, place
        k = end if end < n_blocks else 0


@nb.njit(**FAST)
def best_blocks(
    low: int, high: int, key: Any, fair: bool, window_s: float, user: Any, start: Any, need_bits: Any,
    mean_rate_bps: Any, sinr: Any, fade: Any, blocks_per_group: int, law: Any, blocks: Any, block_hz: Any, out: Any,
) -> None:  # fmt: skip
    """Block by block to the user of the cell with the largest metric among those not yet covered."""
    n_most, n_groups = _most_users(low, high, start), max(fade.shape[1], 1)
    n_padded = (n_most + LANES - 1) // LANES * LANES
    scratch, expected = np.empty(n_groups * n_most, np.float32), np.zeros(n_groups * n_most + LANES, np.float32)
    granted, weight, past_bits = np.empty((3, n_padded), np.float32)
    metric = np.empty(n_padded, np.int32)
    for c in range(low, high):
        n, n_blocks = start[c + 1] - start[c], np.int64(blocks[c])
        if n == 0 or n_blocks == 0:
            continue
        users = user[start[c] : start[c + 1]]
        _expect(users, sinr, fade, block_hz[c], law, scratch, expected)
        for i in range(n):
            granted[i], past_bits[i] = F(0.0), F(window_s - 1.0) * mean_rate_bps[users[i]]
            first = F(1.0) / max(past_bits[i], F(1.0)) if fair else F(1.0)
            weight[i] = first if need_bits[users[i]] > F(0.0) else F(0.0)
        candidates = metric[: (n + LANES - 1) // LANES * LANES]
        weight[n:] = F(0.0)
        k = _below(_hash(key, c, 0), n_blocks)
        _grant_best(
            k, n_blocks, blocks_per_group, users, need_bits, expected, fair, past_bits, weight, granted, candidates,
            out[c],
        )  # fmt: skip


@nb.njit(**FAST)
def sort_by(key: Any, order: Any) -> None:
    """Sort the numbers in `order` by their keys, equal keys by number (Shell's method: lists are short)."""
    n, gap = order.shape[0], 1
    while gap < n // 3:
        gap = 3 * gap + 1
    while gap > 0:
        for j in range(gap, n):
            i, moved = j, order[j]
            while i >= gap and (
                key[order[i - gap]] > key[moved] or (key[order[i - gap]] == key[moved] and order[i - gap] > moved)
            ):
                order[i] = order[i - gap]
                i -= gap
            order[i] = moved
        gap //= 3


@nb.njit(**FAST)
def _serve(
    u: Any, left_bits: Any, n_free: Any, first: Any, blocks_per_group: Any, n_blocks: Any, sinr: Any, own: Any,
    block_hz: Any, law: Any, taken: Any, room: Any, out: Any,
) -> Any:  # fmt: skip
    """Free blocks to user u, those with its best fading first, until its need is met. Returns how many stay free.

    ``taken[g]`` counts the blocks of group g that are gone, ``room[g]`` is 1 while there are others; a
    group fills from its own starting block on.
    """
    least_bits = left_bits * F(1e-6)  # a block only for rounding is not worth it
    while left_bits > least_bits and n_free > 0:
        best, power = I(0), F(-1.0)
        for g in range(taken.shape[0]):
            score = own[g] * room[g]
            best = I(g) if score > power else best
            power = score if score > power else power
        bps = rate(sinr * power, block_hz, law)
        if bps <= F(0.0):
            break
        size = min(blocks_per_group, n_blocks - best * blocks_per_group)
        wanted = min(np.ceil((left_bits - least_bits) / bps), F(size - taken[best]))
        for _ in range(np.int64(wanted)):
            at = first % size + taken[best]
            out[best * blocks_per_group + (at if at < size else at - size)] = u
            taken[best] += 1
        room[best] = F(1.0) if taken[best] < size else F(0.0)
        n_free -= np.int64(wanted)
        left_bits -= wanted * bps
    return n_free


@nb.njit(**FAST)
def needed_blocks(
    low: int, high: int, key: Any, user: Any, start: Any, need_bits: Any, sinr: Any, fade: Any,
    blocks_per_group: int, law: Any, blocks: Any, block_hz: Any, out: Any,
) -> None:  # fmt: skip
    """To each user the fewest blocks that carry its need; users that need the fewest come first."""
    n_most = _most_users(low, high, start)
    wanted, order = np.empty(n_most, np.float32), np.empty(n_most, np.int32)
    taken, room = np.empty(max(fade.shape[1], 1), np.int32), np.empty(max(fade.shape[1], 1), np.float32)
    steady = np.ones(1, np.float32)
    for c in range(low, high):
        n, n_blocks = start[c + 1] - start[c], np.int64(blocks[c])
        if n == 0 or n_blocks == 0:
            continue
        users, per_group = user[start[c] : start[c + 1]], min(np.int64(blocks_per_group), n_blocks)
        for i in range(n):
            bps = rate(sinr[users[i]], block_hz[c], law)
            wanted[i], order[i] = need_bits[users[i]] / max(bps, F(1e-3)), i
        sort_by(wanted, order[:n])
        groups = taken[: (n_blocks + per_group - 1) // per_group]
        groups[:] = 0
        room[:] = F(1.0)
        free, first = n_blocks, _below(_hash(key, c, 0), n_blocks)
        for i in order[:n]:
            u = users[i]
            own = fade[u] if fade.shape[1] > 0 else steady
            free = _serve(
                u, need_bits[u], free, first, per_group, n_blocks, sinr[u], own, block_hz[c], law, groups, room, out[c]
            )
            if free == 0:
                break
