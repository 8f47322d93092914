"""Handover within one second, user by user, in numba. `handover` says what happens.

Every kernel works on the rows `low` to `high` and writes only into its `out_` arrays.
"""

from __future__ import annotations

from typing import Any, Final

import numba as nb
import numpy as np

from mndt.radio._simd import FAST, F, I

SUBSTEPS: Final = 25
IDLE: Final = I(-1)
"""A timer that does not run."""

HANDOVER, HANDOVER_FAILURE, RADIO_LINK_FAILURE = 0, 2, 3
"""As `mndt.state.Mobility`."""

PING_PONG: Final = 8
"""Added to the kind of an entry."""


@nb.njit(**FAST)
def _sinr_db(own_dbm: Any, total_dbm: Any, noise_dbm: Any) -> Any:
    own, total, noise = 10.0 ** (0.1 * own_dbm), 10.0 ** (0.1 * total_dbm), 10.0 ** (0.1 * noise_dbm)
    return F(10.0 * np.log10(own / (max(total - own, 0.0) + noise)))


@nb.njit(inline="always", **FAST)
def _find(cells: Any, cell: Any) -> Any:
    for j in range(cells.shape[0]):
        if cells[j] == cell:
            return j
    return -1


@nb.njit(**FAST)
def _remember(
    u: Any, cell: Any, rsrp_dbm: Any, old_cell: Any, old_dbm: Any, old_filtered: Any, old_held: Any, same: Any,
    out_cell: Any, out_dbm: Any, out_filtered: Any, out_held: Any, begin_dbm: Any,
) -> int:  # fmt: skip
    """Match this second's report with the memory; returns how many cells are measured.

    `begin_dbm` gets each cell's level at the beginning: a cell measured for the first time has had
    its first value all the time, and so has its filter.
    """
    n = 0
    for j in range(cell.shape[1]):
        c = cell[u, j]
        out_cell[u, j], out_dbm[u, j], out_filtered[u, j], out_held[u, j] = c, rsrp_dbm[u, j], rsrp_dbm[u, j], IDLE
        if c < 0:
            continue
        n, begin_dbm[j] = j + 1, rsrp_dbm[u, j]
        at = _find(old_cell[u], c)
        if at >= 0:
            begin_dbm[j], out_filtered[u, j] = old_dbm[u, at], old_filtered[u, at]
            out_held[u, j] = old_held[u, at] if same else IDLE
    return n


@nb.njit(**FAST)
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


@nb.njit(**FAST)
def _strongest(n: Any, begin_dbm: Any, end_dbm: Any, share: Any) -> Any:
    best, top = 0, F(-1e9)
    for j in range(n):
        level = begin_dbm[j] + share * (end_dbm[j] - begin_dbm[j])
        if level > top:
            best, top = j, level
    return best


@nb.njit(**FAST)
def _ready(
    n: Any,
    own: Any,
    filtered: Any,
    held: Any,
    offset_db: Any,
    enter_db: Any,
    leave_db: Any,
    ttt_ms: Any,
    substep_ms: Any,
) -> Any:
    """Advance the timers of all neighbours by a sub-step; the best of those due, or -1."""
    best, top = -1, F(-1e9)
    for j in range(n):
        if j == own:
            continue
        better_db = filtered[j] + offset_db[j] - filtered[own] - offset_db[own]
        if held[j] == IDLE:
            held[j] = I(0) if better_db > enter_db else IDLE
        elif better_db < leave_db:
            held[j] = IDLE
        else:
            held[j] += substep_ms
        if held[j] != IDLE and held[j] >= ttt_ms and better_db > top:
            best, top = j, better_db
    return best


@nb.njit(**FAST)
def hand_over(
    low: int, high: int, now_ms: int, substep_ms: int, smooth: Any, ttt_ms: int, enter_db: Any, leave_db: Any,
    qout_db: Any, qin_db: Any, t310_ms: int, ping_pong_ms: int,
    cell: Any, rsrp_dbm: Any, sinr_db: Any, total_dbm: Any, noise_dbm: Any, offset_db: Any,
    old_cell: Any, old_dbm: Any, old_filtered: Any, old_held: Any, old_serving: Any, old_below: Any, old_sinr: Any,
    old_total: Any, out_cell: Any, out_dbm: Any, out_filtered: Any, out_held: Any, out_serving: Any, out_below: Any,
    out_sinr: Any, out_total: Any, out_left: Any, out_left_ms: Any, out_n: Any, out_entry: Any,
) -> None:  # fmt: skip
    """One second of every user that reports a serving cell. The filter's closed form over a quiet second:
    ``F_n = b^n F_0 + (1 - b^n - w) m_0 + w m_1`` with b = 1 - a and w = a sum of b^(n - i) i / n."""
    slots = cell.shape[1]
    begin_dbm, offsets = np.empty(slots, np.float32), np.empty(slots, np.float32)
    keep, weight = F(1.0), F(0.0)
    for i in range(SUBSTEPS):
        keep *= F(1.0) - smooth
        weight = (F(1.0) - smooth) * weight + smooth * F(i + 1) / F(SUBSTEPS)
    for u in range(low, high):
        out_n[u], out_serving[u] = 0, cell[u, 0]
        same = old_serving[u] == cell[u, 0] and cell[u, 0] >= 0
        below = old_below[u] if same else IDLE
        out_below[u], out_sinr[u], out_total[u] = below, sinr_db[u], total_dbm[u]
        n = _remember(
            u, cell, rsrp_dbm, old_cell, old_dbm, old_filtered, old_held, same,
            out_cell, out_dbm, out_filtered, out_held, begin_dbm,
        )  # fmt: skip
        if n == 0:
            continue
        filtered, held, end_dbm = out_filtered[u], out_held[u], out_dbm[u]
        for j in range(n):
            offsets[j] = offset_db[cell[u, j]]
        sinr_0, sinr_1 = old_sinr[u] if same else sinr_db[u], sinr_db[u]
        heard = below == IDLE and sinr_0 >= qout_db and sinr_1 >= qout_db
        if heard and _is_quiet(n, filtered, begin_dbm, end_dbm, held, offsets, enter_db):
            for j in range(n):
                filtered[j] = keep * filtered[j] + (F(1.0) - keep - weight) * begin_dbm[j] + weight * end_dbm[j]
            continue
        own = 0
        total_0 = old_total[u] if old_serving[u] >= 0 else total_dbm[u]
        for i in range(1, SUBSTEPS + 1):
            share = F(i) / F(SUBSTEPS)
            for j in range(n):
                filtered[j] += smooth * (begin_dbm[j] + share * (end_dbm[j] - begin_dbm[j]) - filtered[j])
            quality = sinr_0 + share * (sinr_1 - sinr_0)
            if below != IDLE:
                below = IDLE if quality > qin_db else I(below + substep_ms)
            elif quality < qout_db:
                below = I(0)
            target, kind, at_ms = own, HANDOVER, now_ms + i * substep_ms
            if below != IDLE and below >= t310_ms:
                target, kind = _strongest(n, begin_dbm, end_dbm, share), RADIO_LINK_FAILURE
            else:
                due = _ready(n, own, filtered, held, offsets, enter_db, leave_db, ttt_ms, substep_ms)
                if due < 0:
                    continue
                target = due
                there = begin_dbm[due] + share * (end_dbm[due] - begin_dbm[due])
                total = total_0 + share * (total_dbm[u] - total_0)
                if _sinr_db(there, total, noise_dbm[cell[u, due]]) < qout_db:
                    target, kind = _strongest(n, begin_dbm, end_dbm, share), HANDOVER_FAILURE
            back = out_left[u] == cell[u, target] and target != own and at_ms - out_left_ms[u] < ping_pong_ms
            entry = out_entry[u, out_n[u]]
            entry[0], entry[1] = i * substep_ms, kind + (PING_PONG if back and kind == HANDOVER else 0)
            entry[2], entry[3] = cell[u, own], cell[u, target]
            if kind == HANDOVER_FAILURE:
                entry[3] = cell[u, due]
            out_n[u] += 1
            if target != own:
                out_left[u], out_left_ms[u] = cell[u, own], at_ms
            own, below = target, IDLE
            for j in range(n):
                held[j] = IDLE
            noise = noise_dbm[cell[u, own]]
            sinr_0, sinr_1 = _sinr_db(begin_dbm[own], total_0, noise), _sinr_db(end_dbm[own], total_dbm[u], noise)
        out_serving[u], out_below[u], out_sinr[u] = cell[u, own], below, sinr_1
