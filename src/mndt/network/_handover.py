"""Handover within one second, user by user, in numba. `handover` says what happens.

Every kernel works on the rows `low` to `high` and writes only into its `out_` arrays.
"""

from __future__ import annotations

from typing import Any, Final

import numba as nb
import numpy as np

from mndt.radio._simd import FAST, F, I, exp2f, log2f

SUBSTEPS: Final = 25
IDLE: Final = I(-1)
"""A timer that does not run."""

HANDOVER, HANDOVER_FAILURE, RADIO_LINK_FAILURE = 0, 2, 3
"""As `mndt.state.Mobility`."""

PING_PONG: Final = 8
"""Added to the kind of an entry."""

SLOTS: Final = 8
"""Cells a user measures at most."""

NOT_DUE: Final = F(-1e9)


_LOG2_PER_DB: Final = F(np.log2(10.0) / 10.0)
_DB_PER_LOG2: Final = F(10.0 / np.log2(10.0))
LEAST_W: Final = F(1e-30)
"""Power of nothing, W: logarithms stay finite."""


@nb.njit(inline="always", **FAST)
def _db(ratio: Any) -> Any:
    return _DB_PER_LOG2 * log2f(max(ratio, LEAST_W))


@nb.njit(inline="always", **FAST)
def _sinr_db(own_dbw: Any, total_dbw: Any, noise_w: Any) -> Any:
    own, total = exp2f(own_dbw * _LOG2_PER_DB), exp2f(total_dbw * _LOG2_PER_DB)
    return _db(own / (max(total - own, F(0.0)) + noise_w))


@nb.njit(inline="always", **FAST)
def _find(cells: Any, cell: Any) -> Any:
    for j in range(cells.shape[0]):
        if cells[j] == cell:
            return j
    return -1


@nb.njit(inline="always", **FAST)
def _remember(
    u: Any, cell: Any, rsrp_dbm: Any, old_cell: Any, old_dbm: Any, old_filtered: Any, old_held: Any, same: Any,
    out_cell: Any, out_dbm: Any, out_filtered: Any, out_held: Any, begin_dbm: Any,
) -> int:  # fmt: skip
    """Match this second's report with the memory; returns how many cells are measured.

    `begin_dbm` gets each cell's level at the beginning: a cell measured for the first time has had
    its first value all the time, and so has its filter.
    """
    n = 0
    for j in range(SLOTS):
        out_cell[u, j], out_dbm[u, j] = cell[u, j], rsrp_dbm[u, j]
        out_filtered[u, j], out_held[u, j] = rsrp_dbm[u, j], IDLE
    while n < SLOTS and cell[u, n] >= 0:
        begin_dbm[n] = rsrp_dbm[u, n]
        at = _find(old_cell[u], cell[u, n])
        if at >= 0:
            begin_dbm[n], out_filtered[u, n] = old_dbm[u, at], old_filtered[u, at]
            out_held[u, n] = old_held[u, at] if same else IDLE
        n += 1
    return n


@nb.njit(inline="always", **FAST)
def _is_quiet(n: Any, filtered: Any, begin_dbm: Any, end_dbm: Any, held: Any, offset_db: Any, enter_db: Any) -> Any:
    """Whether no neighbour can meet the entering condition in this second.

    The levels are linear in time and the filter averages: the filtered difference to the serving
    cell stays below the largest of its past value and the differences at both ends.
    """
    for j in range(1, n):
        own = offset_db[j] - offset_db[0]
        most = max(begin_dbm[j] - begin_dbm[0], end_dbm[j] - end_dbm[0], filtered[j] - filtered[0]) + own
        if held[j] != IDLE or most > enter_db:
            return False
    return True


@nb.njit(inline="always", **FAST)
def _lost(below: Any, sinr_0: Any, sinr_1: Any, qout_db: Any, qin_db: Any, t310_ms: Any, substep_ms: Any) -> Any:
    """The timer of lost synchronisation after a second on one cell; T310 or more if the link fails in it."""
    if below == IDLE and sinr_0 >= qout_db and sinr_1 >= qout_db:
        return IDLE
    for i in range(1, SUBSTEPS + 1):
        quality = sinr_0 + F(i) / F(SUBSTEPS) * (sinr_1 - sinr_0)
        if below != IDLE:
            below = IDLE if quality > qin_db else I(below + substep_ms)
        elif quality < qout_db:
            below = I(0)
        if below != IDLE and below >= t310_ms:
            return below
    return below


@nb.njit(**FAST)
def _strongest(n: Any, begin_dbm: Any, end_dbm: Any, share: Any) -> Any:
    best, top = 0, F(-1e9)
    for j in range(n):
        level = begin_dbm[j] + share * (end_dbm[j] - begin_dbm[j])
        if level > top:
            best, top = j, level
    return best


BEGIN, RISE, OFFSET, FILTERED, TIMER, SCORE = range(6)
"""Rows of one user's scratch: one array, so that the compiler sees that its rows do not overlap."""


@nb.njit(inline="always", **FAST)
def _advance(
    slot: Any, n: Any, own: Any, share: Any, smooth: Any, enter_db: Any, leave_db: Any, ttt_ms: Any, substep_ms: Any
) -> Any:
    """Advance filters and timers of n cells by a sub-step; how much better the best neighbour due is."""
    for j in range(n):
        slot[FILTERED, j] += smooth * (slot[BEGIN, j] + share * slot[RISE, j] - slot[FILTERED, j])
    base_db = slot[FILTERED, own] + slot[OFFSET, own]
    for j in range(n):
        better_db, timer = slot[FILTERED, j] + slot[OFFSET, j] - base_db, slot[TIMER, j]
        begins = F(0.0) if better_db > enter_db else F(IDLE)
        goes_on = timer + substep_ms if better_db >= leave_db else F(IDLE)
        timer = goes_on if timer >= F(0.0) else begins
        slot[TIMER, j] = timer
        slot[SCORE, j] = better_db if timer >= ttt_ms else NOT_DUE
    slot[TIMER, own], slot[SCORE, own] = F(IDLE), NOT_DUE
    top = NOT_DUE
    for j in range(n):
        top = max(top, slot[SCORE, j])
    return top


@nb.njit(**FAST)
def hand_over(
    low: int, high: int, now_ms: int, substep_ms: int, smooth: Any, ttt_ms: int, enter_db: Any, leave_db: Any,
    qout_db: Any, qin_db: Any, t310_ms: int, ping_pong_ms: int,
    cell: Any, rsrp_dbm: Any, own_w: Any, others_w: Any, noise_w: Any, offset_db: Any,
    old_cell: Any, old_dbm: Any, old_filtered: Any, old_held: Any, old_serving: Any, old_below: Any, old_sinr: Any,
    old_total: Any, out_cell: Any, out_dbm: Any, out_filtered: Any, out_held: Any, out_serving: Any, out_below: Any,
    out_sinr: Any, out_total: Any, out_left: Any, out_left_ms: Any, out_n: Any, out_first: Any, out_entry: Any,
) -> None:  # fmt: skip
    """One second of every user that reports a serving cell. The filter's closed form over a quiet second:
    ``F_n = b^n F_0 + (1 - b^n - w) m_0 + w m_1`` with b = 1 - a and w = a sum of b^(n - i) i / n."""
    slot = np.zeros((6, SLOTS), np.float32)
    begin_dbm, offsets = slot[BEGIN], slot[OFFSET]
    keep, weight = F(1.0), F(0.0)
    for i in range(SUBSTEPS):
        keep *= F(1.0) - smooth
        weight = (F(1.0) - smooth) * weight + smooth * F(i + 1) / F(SUBSTEPS)
    at = low * SUBSTEPS  # entries follow one another from here
    for u in range(low, high):
        out_n[u], out_serving[u], out_first[u] = 0, cell[u, 0], at
        same = old_serving[u] == cell[u, 0] and cell[u, 0] >= 0
        below = old_below[u] if same else IDLE
        total_1 = _db(own_w[u] + others_w[u])
        sinr_1 = _db(own_w[u] / (others_w[u] + noise_w[max(cell[u, 0], 0)]))
        out_below[u], out_sinr[u], out_total[u] = below, sinr_1, total_1
        n = _remember(
            u, cell, rsrp_dbm, old_cell, old_dbm, old_filtered, old_held, same,
            out_cell, out_dbm, out_filtered, out_held, begin_dbm,
        )  # fmt: skip
        if n == 0:
            continue
        filtered, held, end_dbm = out_filtered[u], out_held[u], out_dbm[u]
        for j in range(n):
            offsets[j] = offset_db[cell[u, j]]
        sinr_0 = old_sinr[u] if same else sinr_1
        lost = _lost(below, sinr_0, sinr_1, qout_db, qin_db, t310_ms, substep_ms)
        if lost < t310_ms and _is_quiet(n, filtered, begin_dbm, end_dbm, held, offsets, enter_db):
            out_below[u] = lost
            for j in range(n):
                filtered[j] = keep * filtered[j] + (F(1.0) - keep - weight) * begin_dbm[j] + weight * end_dbm[j]
            continue
        own = 0
        for j in range(n):
            slot[RISE, j], slot[FILTERED, j], slot[TIMER, j] = end_dbm[j] - begin_dbm[j], filtered[j], F(held[j])
        total_0 = old_total[u] if old_serving[u] >= 0 else total_1
        for i in range(1, SUBSTEPS + 1):
            share = F(i) / F(SUBSTEPS)
            top = _advance(slot, n, own, share, smooth, enter_db, leave_db, F(ttt_ms), F(substep_ms))
            quality = sinr_0 + share * (sinr_1 - sinr_0)
            if below != IDLE:
                below = IDLE if quality > qin_db else I(below + substep_ms)
            elif quality < qout_db:
                below = I(0)
            target, kind, at_ms = own, HANDOVER, now_ms + i * substep_ms
            if below != IDLE and below >= t310_ms:
                target, kind = _strongest(n, begin_dbm, end_dbm, share), RADIO_LINK_FAILURE
            else:
                if top == NOT_DUE:
                    continue
                due = 0
                while slot[SCORE, due] != top:
                    due += 1
                target = due
                there = begin_dbm[due] + share * (end_dbm[due] - begin_dbm[due])
                total = total_0 + share * (total_1 - total_0)
                if _sinr_db(there - F(30.0), total, noise_w[cell[u, due]]) < qout_db:
                    target, kind = _strongest(n, begin_dbm, end_dbm, share), HANDOVER_FAILURE
            back = out_left[u] == cell[u, target] and target != own and at_ms - out_left_ms[u] < ping_pong_ms
            entry = out_entry[at]
            entry[0], entry[1] = i * substep_ms, kind + (PING_PONG if back and kind == HANDOVER else 0)
            entry[2], entry[3] = cell[u, own], cell[u, target]
            if kind == HANDOVER_FAILURE:
                entry[3] = cell[u, due]
            out_n[u] += 1
            at += 1
            if target != own:
                out_left[u], out_left_ms[u] = cell[u, own], at_ms
            own, below = target, IDLE
            for j in range(n):
                slot[TIMER, j] = F(IDLE)
            noise = noise_w[cell[u, own]]
            sinr_0 = _sinr_db(begin_dbm[own] - F(30.0), total_0, noise)
            sinr_1 = _sinr_db(end_dbm[own] - F(30.0), total_1, noise)
        for j in range(n):
            filtered[j], held[j] = slot[FILTERED, j], I(slot[TIMER, j])
        out_serving[u], out_below[u], out_sinr[u] = cell[u, own], below, sinr_1
