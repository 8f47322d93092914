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
NEVER: Final = SUBSTEPS + 1
PAST, FROM, TO, DIFFERENCE = range(4)
"""Rows of a filter's course over the sub-steps."""


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
def _lost(
    begin: Any, below: Any, sinr_0: Any, sinr_1: Any, qout_db: Any, qin_db: Any, t310_ms: Any, substep_ms: Any
) -> Any:
    """The timer of lost synchronisation after the sub-steps from `begin` on, and the one at which the
    link fails; `NEVER` if it does not."""
    if below == IDLE and sinr_0 >= qout_db and sinr_1 >= qout_db:
        return IDLE, NEVER
    for i in range(begin + 1, SUBSTEPS + 1):
        quality = sinr_0 + F(i) / F(SUBSTEPS) * (sinr_1 - sinr_0)
        if below != IDLE:
            below = IDLE if quality > qin_db else I(below + substep_ms)
        elif quality < qout_db:
            below = I(0)
        if below != IDLE and below >= t310_ms:
            return below, i
    return below, NEVER


@nb.njit(inline="always", **FAST)
def _follow(course: Any, past_db: Any, begin_db: Any, end_db: Any, better_db: Any) -> Any:
    """The filtered difference of a neighbour to the serving cell at every sub-step; the largest.

    ``F_i = A_i F_0 + B_i m_0 + C_i m_1`` for a level that runs straight from m_0 to m_1.
    """
    top = F(-1e9)
    for i in range(course.shape[1]):
        mine = course[PAST, i] * past_db + course[FROM, i] * begin_db + course[TO, i] * end_db + better_db
        course[DIFFERENCE, i] = mine
        top = max(top, mine)
    return top


@nb.njit(inline="always", **FAST)
def _due(course: Any, begin: Any, timer: Any, enter_db: Any, leave_db: Any, ttt_ms: Any, substep_ms: Any) -> Any:
    """The sub-step after `begin` at which the time to trigger is over (`NEVER`: not in this second), and
    the timer then."""
    for i in range(begin + 1, SUBSTEPS + 1):
        better_db = course[DIFFERENCE, i]
        if timer == IDLE:
            timer = I(0) if better_db > enter_db else IDLE
        else:
            timer = IDLE if better_db < leave_db else I(timer + substep_ms)
        if timer != IDLE and timer >= ttt_ms:
            return i, timer
    return NEVER, timer


@nb.njit(**FAST)
def _strongest(n: Any, begin_dbm: Any, end_dbm: Any, share: Any) -> Any:
    best, top = 0, F(-1e9)
    for j in range(n):
        level = begin_dbm[j] + share * (end_dbm[j] - begin_dbm[j])
        if level > top:
            best, top = j, level
    return best


@nb.njit(**FAST)
def make_course(smooth: Any) -> Any:
    """Coefficients A, B, C of the filter at every sub-step, and room for what they give."""
    course = np.zeros((4, SUBSTEPS + 1), np.float32)
    course[PAST, 0] = F(1.0)
    for i in range(1, SUBSTEPS + 1):
        share = F(i) / F(SUBSTEPS)
        for row in (PAST, FROM, TO):
            course[row, i] = (F(1.0) - smooth) * course[row, i - 1]
        course[FROM, i] += smooth * (F(1.0) - share)
        course[TO, i] += smooth * share
    return course


@nb.njit(**FAST)
def hand_over(
    low: int, high: int, now_ms: int, substep_ms: int, smooth: Any, ttt_ms: int, enter_db: Any, leave_db: Any,
    qout_db: Any, qin_db: Any, t310_ms: int, ping_pong_ms: int,
    cell: Any, rsrp_dbm: Any, own_w: Any, others_w: Any, noise_w: Any, offset_db: Any,
    old_cell: Any, old_dbm: Any, old_filtered: Any, old_held: Any, old_serving: Any, old_below: Any, old_sinr: Any,
    old_total: Any, out_cell: Any, out_dbm: Any, out_filtered: Any, out_held: Any, out_serving: Any, out_below: Any,
    out_sinr: Any, out_total: Any, out_left: Any, out_left_ms: Any, out_n: Any, out_first: Any, out_entry: Any,
) -> None:  # fmt: skip
    """One second of every user that reports a serving cell: event by event, until none is left in it."""
    begin_dbm, offsets, past_dbm = np.empty(SLOTS, np.float32), np.empty(SLOTS, np.float32), np.empty(SLOTS, np.float32)
    course = make_course(smooth)
    a, b, c = course[PAST, SUBSTEPS], course[FROM, SUBSTEPS], course[TO, SUBSTEPS]
    at = low * SUBSTEPS  # entries follow one another from here
    for u in range(low, high):
        out_n[u], out_serving[u], out_first[u] = 0, cell[u, 0], at
        same = old_serving[u] == cell[u, 0] and cell[u, 0] >= 0
        below = old_below[u] if same else IDLE
        total_1 = _db(own_w[u] + others_w[u])
        sinr_1 = _db(own_w[u] / (others_w[u] + noise_w[max(cell[u, 0], 0)]))
        sinr_0 = old_sinr[u] if same else sinr_1
        total_0 = old_total[u] if old_serving[u] >= 0 else total_1
        out_total[u] = total_1
        n = _remember(
            u, cell, rsrp_dbm, old_cell, old_dbm, old_filtered, old_held, same,
            out_cell, out_dbm, out_filtered, out_held, begin_dbm,
        )  # fmt: skip
        filtered, held, end_dbm = out_filtered[u], out_held[u], out_dbm[u]
        for j in range(n):
            offsets[j], past_dbm[j] = offset_db[cell[u, j]], filtered[j]
            filtered[j] = a * past_dbm[j] + b * begin_dbm[j] + c * end_dbm[j]
        own, i = 0, 0
        while n > 0 and i < SUBSTEPS:  # from event to event
            below, event = _lost(i, below, sinr_0, sinr_1, qout_db, qin_db, t310_ms, substep_ms)
            kind, due, top = RADIO_LINK_FAILURE, own, NOT_DUE
            for j in range(n):
                if j == own:
                    continue
                most = _follow(
                    course, past_dbm[j] - past_dbm[own], begin_dbm[j] - begin_dbm[own], end_dbm[j] - end_dbm[own],
                    offsets[j] - offsets[own],
                )  # fmt: skip
                if held[j] == IDLE and most <= enter_db:
                    continue
                when, held[j] = _due(course, i, held[j], enter_db, leave_db, ttt_ms, substep_ms)
                if when < event or (when == event and kind == HANDOVER and course[DIFFERENCE, when] > top):
                    event, kind, due, top = when, HANDOVER, j, course[DIFFERENCE, when]
            if event == NEVER:
                break
            i, share, target = event, F(event) / F(SUBSTEPS), due
            if kind == HANDOVER:
                there = begin_dbm[due] + share * (end_dbm[due] - begin_dbm[due])
                total = total_0 + share * (total_1 - total_0)
                if _sinr_db(there - F(30.0), total, noise_w[cell[u, due]]) < qout_db:
                    kind = HANDOVER_FAILURE
            if kind != HANDOVER:
                target = _strongest(n, begin_dbm, end_dbm, share)
            at_ms = now_ms + i * substep_ms
            back = out_left[u] == cell[u, target] and target != own and at_ms - out_left_ms[u] < ping_pong_ms
            entry = out_entry[at]
            entry[0], entry[1] = i * substep_ms, kind + (PING_PONG if back and kind == HANDOVER else 0)
            entry[2], entry[3] = cell[u, own], cell[u, due if kind == HANDOVER_FAILURE else target]
            out_n[u] += 1
            at += 1
            if target != own:
                out_left[u], out_left_ms[u] = cell[u, own], at_ms
            own, below = target, IDLE
            for j in range(n):
                held[j] = IDLE
            noise = noise_w[cell[u, own]]
            sinr_0 = _sinr_db(begin_dbm[own] - F(30.0), total_0, noise)
            sinr_1 = _sinr_db(end_dbm[own] - F(30.0), total_1, noise)
        out_serving[u], out_below[u], out_sinr[u] = cell[u, own], below, sinr_1
