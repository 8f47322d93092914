"""Handover within one second, in numba. `handover` says what happens.

Levels and filters have closed forms within a second, so nothing is stepped through but the timers of the
few neighbours that can come into question. Every kernel writes only into its `out_` arrays and the scratch.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numba as nb
import numpy as np

from mndt.radio._simd import FAST, F, I, exp2f, log2f

SUBSTEPS: Final = 25
SLOTS: Final = 8
"""Cells a user measures at most."""

IDLE: Final = I(-1)
"""A timer that does not run."""

HANDOVER, HANDOVER_FAILURE, RADIO_LINK_FAILURE = 0, 2, 3
"""As `mndt.state.Mobility`."""

PING_PONG: Final = 8
"""Added to the kind of an entry."""

NEVER: Final = SUBSTEPS + 1
STOPPED: Final = F(IDLE)
LEAST_DB: Final = F(-1e9)
MOST_DB: Final = F(1e9)
DB_PER_MW: Final = F(-30.0)
LEAST_W: Final = F(1e-30)
"""Power of nothing, W: logarithms stay finite."""

CROWD: Final = 32
"""Users whose slots stay in the nearest cache."""

ROWS: Final = 11
CELL, END, OLD_CELL, OLD_END, OLD_FILTERED, OLD_HELD, BEGIN, FILTERED, HELD, OFFSET, SETTLED = range(ROWS)
"""Rows of the slots' scratch: one array, so that the compiler sees that its rows do not overlap."""

PAST, FIRST = 0, 1
"""Rows of the curves over sub-steps."""

_LOG2_PER_DB: Final = F(np.log2(10.0) / 10.0)
_DB_PER_LOG2: Final = F(10.0 / np.log2(10.0))


class Rules(NamedTuple):
    """What the user has set, in the kernels' units and types."""

    substep_ms: int
    ttt_ms: int
    enter_db: np.float32  # a neighbour better by more enters the condition
    leave_db: np.float32  # and by less leaves it
    qout_db: np.float32
    qin_db: np.float32
    t310_ms: int
    ping_pong_ms: int


@nb.njit(inline="always", **FAST)
def _db(ratio: Any) -> Any:
    return _DB_PER_LOG2 * log2f(max(ratio, LEAST_W))


@nb.njit(inline="always", **FAST)
def _sinr_db(own_dbm: Any, load: Any, total_dbw: Any, noise_w: Any) -> Any:
    """Of a cell that contributes a share `load` of its own level to the total."""
    own, total = exp2f((own_dbm + DB_PER_MW) * _LOG2_PER_DB), exp2f(total_dbw * _LOG2_PER_DB)
    return _db(own / (max(total - load * own, F(0.0)) + noise_w))


@nb.njit(**FAST)
def _curves(smooth: Any, out: Any) -> None:
    """Weights of the past filter and of the first level in the filter after each sub-step.

    With b = 1 - a and levels m_i linear from m_0 to m_n, ``F_i = b F_(i-1) + a m_i`` gives
    ``F_i = m_n + b^i (F_0 - m_n) + w_i (m_0 - m_n)``, where ``w_i = b w_(i-1) + a (1 - i / n)``:
    a level that stays the same stays exactly the same.
    """
    b, w = 1.0, 0.0
    for i in range(SUBSTEPS):
        b, w = b * (1.0 - smooth), w * (1.0 - smooth) + smooth * (1.0 - (i + 1) / SUBSTEPS)
        out[PAST, i], out[FIRST, i] = b, w


@nb.njit(**FAST)
def _read(
    cell: Any, rsrp_dbm: Any, old_cell: Any, old_dbm: Any, old_filtered: Any, old_held: Any, offset_db: Any, s: Any
) -> None:
    """The slots of a crowd, and the same slots in the second before. Loops of one array each vectorise."""
    n = len(cell)
    for i in range(n):
        s[CELL, i] = F(cell[i])
    for i in range(n):
        s[END, i] = rsrp_dbm[i] if cell[i] >= 0 else F(0.0)
    for i in range(n):
        s[OLD_CELL, i] = F(old_cell[i])
    for i in range(n):
        s[OLD_END, i] = old_dbm[i]
    for i in range(n):
        s[OLD_FILTERED, i] = old_filtered[i]
    for i in range(n):
        s[OLD_HELD, i] = F(old_held[i])
    for i in range(n):
        s[OFFSET, i] = offset_db[max(cell[i], 0)]
    for i in range(n):
        s[BEGIN, i], s[FILTERED, i], s[HELD, i] = s[OLD_END, i], s[OLD_FILTERED, i], s[OLD_HELD, i]


@nb.njit(**FAST)
def _receive(
    serving: Any, own_w: Any, others_w: Any, noise_w: Any, load: Any, out_total_dbw: Any, out_sinr_db: Any
) -> None:
    for i in range(len(serving)):
        out_total_dbw[i] = _db(load[max(serving[i], 0)] * own_w[i] + others_w[i])
    for i in range(len(serving)):
        out_sinr_db[i] = _db(own_w[i] / (others_w[i] + noise_w[max(serving[i], 0)]))


@nb.njit(**FAST)
def _write(s: Any, cell: Any, out_cell: Any, out_dbm: Any, out_filtered: Any, out_held: Any) -> None:
    n = len(cell)
    for i in range(n):
        out_cell[i] = cell[i]
    for i in range(n):
        out_dbm[i] = s[END, i]
    for i in range(n):
        out_filtered[i] = s[SETTLED, i]
    for i in range(n):
        out_held[i] = I(s[HELD, i])


@nb.njit(inline="always", **FAST)
def _have_moved(s: Any, w: Any) -> Any:
    """Whether a slot holds another cell than in the second before."""
    n = F(0.0)
    for j in range(SLOTS):
        n += F(1.0) if s[CELL, w, j] != s[OLD_CELL, w, j] else F(0.0)
    return n > F(0.0)


@nb.njit(inline="always", **FAST)
def _match(s: Any, w: Any) -> None:
    """Find what is remembered of each cell. A cell measured for the first time has had its first value
    all the time, and so has its filter."""
    for j in range(SLOTS):
        s[BEGIN, w, j], s[FILTERED, w, j], s[HELD, w, j] = s[END, w, j], s[END, w, j], STOPPED
    for j in range(SLOTS):
        c = s[CELL, w, j]
        if c < F(0.0):
            break
        for k in range(SLOTS):
            if s[OLD_CELL, w, k] == c:
                s[BEGIN, w, j], s[FILTERED, w, j] = s[OLD_END, w, k], s[OLD_FILTERED, w, k]
                s[HELD, w, j] = s[OLD_HELD, w, k]
                break


@nb.njit(inline="always", **FAST)
def _most(s: Any, w: Any) -> Any:
    """At least as much as any neighbour is better than the serving cell in this second, offsets included.

    The levels are linear in time and the filter averages: the filtered difference stays below the
    largest of its past value and the differences at both ends. A timer that runs counts as beyond all.
    """
    begin, end, filtered, offset = s[BEGIN, w, 0], s[END, w, 0], s[FILTERED, w, 0], s[OFFSET, w, 0]
    most = LEAST_DB
    for j in range(SLOTS):
        better_db = max(max(s[BEGIN, w, j] - begin, s[END, w, j] - end), s[FILTERED, w, j] - filtered)
        better_db += s[OFFSET, w, j] - offset
        better_db = better_db if s[HELD, w, j] < F(0.0) else MOST_DB
        better_db = better_db if j > 0 and s[CELL, w, j] >= F(0.0) else LEAST_DB
        most = max(most, better_db)
    return most


@nb.njit(inline="always", **FAST)
def _due(s: Any, w: Any, j: Any, own: Any, done: Any, curve: Any, rules: Any) -> Any:
    """The sub-step after `done` in which a neighbour's time to trigger is over, and by how much it is better then.

    Its timer moves on to there, or to the end of the second.
    """
    end, timer = s[END, w, j] - s[END, w, own], s[HELD, w, j]
    past, first = s[FILTERED, w, j] - s[FILTERED, w, own] - end, s[BEGIN, w, j] - s[BEGIN, w, own] - end
    end += s[OFFSET, w, j] - s[OFFSET, w, own]
    if timer < F(0.0) and end + max(max(past, first), F(0.0)) <= rules.enter_db:
        return NEVER, LEAST_DB
    at, better_db = NEVER, LEAST_DB
    for i in range(done, SUBSTEPS):
        better_db = end + (curve[PAST, i] * past + curve[FIRST, i] * first)
        if timer < F(0.0):
            timer = F(0.0) if better_db > rules.enter_db else STOPPED
        else:
            timer = STOPPED if better_db < rules.leave_db else timer + F(rules.substep_ms)
        if timer >= F(rules.ttt_ms):
            at = i + 1
            break
    s[HELD, w, j] = timer
    return at, better_db


@nb.njit(inline="always", **FAST)
def _lost(sinr_0: Any, sinr_1: Any, done: Any, below: Any, rules: Any) -> Any:
    """The sub-step after `done` in which the link has been out of synchronisation for T310, and the timer then."""
    if below == IDLE and min(sinr_0, sinr_1) >= rules.qout_db:
        return NEVER, below
    for i in range(done + 1, SUBSTEPS + 1):
        quality_db = sinr_0 + F(i) / F(SUBSTEPS) * (sinr_1 - sinr_0)
        if below != IDLE:
            below = IDLE if quality_db > rules.qin_db else I(below + rules.substep_ms)
        elif quality_db < rules.qout_db:
            below = I(0)
        if below != IDLE and below >= rules.t310_ms:
            return i, below
    return NEVER, below


@nb.njit(inline="always", **FAST)
def _level(s: Any, w: Any, j: Any, share: Any) -> Any:
    return s[BEGIN, w, j] + share * (s[END, w, j] - s[BEGIN, w, j])


@nb.njit(inline="always", **FAST)
def _strongest(s: Any, w: Any, n: Any, share: Any) -> Any:
    best, top = 0, LEAST_DB
    for j in range(n):
        level = _level(s, w, j, share)
        if level > top:
            best, top = j, level
    return best


@nb.njit(**FAST)
def hand_over(
    low: int, high: int, now_ms: int, smooth: Any, rules: Any,
    cell: Any, rsrp_dbm: Any, own_w: Any, others_w: Any, noise_w: Any, load: Any, offset_db: Any,
    old_cell: Any, old_dbm: Any, old_filtered: Any, old_held: Any, old_serving: Any, old_below: Any, old_sinr: Any,
    old_total: Any, out_cell: Any, out_dbm: Any, out_filtered: Any, out_held: Any, out_serving: Any, out_below: Any,
    out_sinr: Any, out_total: Any, out_left: Any, out_left_ms: Any, out_n: Any, out_first: Any, out_entry: Any,
) -> None:  # fmt: skip
    """One second of the users in the rows `low` to `high`; slots come as flat arrays, SLOTS a user."""
    s, curve = np.zeros((ROWS, CROWD, SLOTS), np.float32), np.empty((2, SUBSTEPS), np.float32)
    flat = s.reshape(ROWS, CROWD * SLOTS)
    _curves(smooth, curve)
    past, begin = curve[PAST, SUBSTEPS - 1], curve[FIRST, SUBSTEPS - 1]
    row = low * SUBSTEPS  # entries follow one another from here
    for first in range(low, high, CROWD):
        last = min(first + CROWD, high)
        a, b = first * SLOTS, last * SLOTS
        _read(cell[a:b], rsrp_dbm[a:b], old_cell[a:b], old_dbm[a:b], old_filtered[a:b], old_held[a:b], offset_db, flat)
        _receive(
            cell[a:b:SLOTS], own_w[first:last], others_w[first:last], noise_w, load,
            out_total[first:last], out_sinr[first:last],
        )  # fmt: skip
        for w in range(last - first):
            if _have_moved(s, w):
                _match(s, w)
            if old_serving[first + w] != cell[a + w * SLOTS]:
                for j in range(SLOTS):
                    s[HELD, w, j] = STOPPED
        for i in range(b - a):
            end = flat[END, i]
            flat[SETTLED, i] = end + past * (flat[FILTERED, i] - end) + begin * (flat[BEGIN, i] - end)
        for w in range(last - first):
            u = first + w
            serving = cell[u * SLOTS]
            same = old_serving[u] == serving and serving >= 0
            below = old_below[u] if same else IDLE
            out_n[u], out_first[u], out_serving[u], out_below[u] = 0, row, serving, below
            sinr_1, total_1 = out_sinr[u], out_total[u]
            sinr_0 = old_sinr[u] if same else sinr_1
            heard = below == IDLE and min(sinr_0, sinr_1) >= rules.qout_db
            if serving < 0 or (heard and _most(s, w) <= rules.enter_db):
                continue
            total_0 = old_total[u] if old_serving[u] >= 0 else total_1
            mine, n = cell[u * SLOTS : (u + 1) * SLOTS], 1
            while n < SLOTS and mine[n] >= 0:
                n += 1
            own, done = 0, 0
            while True:  # from event to event
                when, below_then = _lost(sinr_0, sinr_1, done, below, rules)
                kind, due, top = RADIO_LINK_FAILURE, -1, LEAST_DB
                for j in range(n):
                    if j == own:
                        continue
                    at, better_db = _due(s, w, j, own, done, curve, rules)
                    if at < when or (at == when and due >= 0 and better_db > top):
                        when, kind, due, top = at, HANDOVER, j, better_db
                if when == NEVER:
                    below = below_then
                    break
                share, at_ms = F(when) / F(SUBSTEPS), now_ms + when * rules.substep_ms
                if kind == HANDOVER:
                    c, total = mine[due], total_0 + share * (total_1 - total_0)
                    if _sinr_db(_level(s, w, due, share), load[c], total, noise_w[c]) < rules.qout_db:
                        kind = HANDOVER_FAILURE
                target = due if kind == HANDOVER else _strongest(s, w, n, share)
                c = mine[target]
                back = kind == HANDOVER and out_left[u] == c and at_ms - out_left_ms[u] < rules.ping_pong_ms
                out_entry[row, 0], out_entry[row, 1] = when * rules.substep_ms, kind + (PING_PONG if back else 0)
                out_entry[row, 2] = mine[own]
                out_entry[row, 3] = mine[due] if kind == HANDOVER_FAILURE else c
                out_n[u] += 1
                row += 1
                if target != own:
                    out_left[u], out_left_ms[u] = mine[own], at_ms
                own, done, below = target, when, IDLE
                for j in range(SLOTS):
                    s[HELD, w, j] = STOPPED
                sinr_0 = _sinr_db(s[BEGIN, w, own], load[c], total_0, noise_w[c])
                sinr_1 = _sinr_db(s[END, w, own], load[c], total_1, noise_w[c])
            s[HELD, w, own] = STOPPED
            out_serving[u], out_below[u], out_sinr[u] = mine[own], below, sinr_1
        _write(flat, cell[a:b], out_cell[a:b], out_dbm[a:b], out_filtered[a:b], out_held[a:b])
