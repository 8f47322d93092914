"""Handover by event A3, radio-link failure and ping-pong (3GPP TS 38.331, clauses 5.3.10, 5.5.3.2, 5.5.4.4).

A connected user measures its serving cell and the strongest neighbours every 40 ms. Between the ends of a
second the received power of each cell, and the SINR of the serving one, run linearly in dB; a cell measured
for the first time has had its first value all the time. The layer 3 filter ``F += a (M - F)`` is defined by
``a = 2^(-k/4)`` for a value every 200 ms (the period of TS 38.133, 9.2.5.2, below 7 GHz); at 40 ms it is
``1 - (1 - a)^(1/5)``, so that its memory lasts as long.
A neighbour's entering condition is ``F_n + O_n - hysteresis > F_p + O_p + offset``, its leaving condition
``F_n + O_n + hysteresis < F_p + O_p + offset``, with the cells' individual offsets O. Once the first has held,
and the second not come true, for the time to trigger, the user goes to the best such neighbour. Clause 5.5.4.1
is stricter: there one measurement without the first begins the time to trigger anew.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from jaxtyping import Float32, Int32

from mndt.network.handover_parameters import SUBSTEP_MS, HandoverParameters
from mndt.parallel import by_rows
from mndt.radio.channel import Received
from mndt.state import Mobility, MobilityLog

Array = np.ndarray

SLOTS: Final = 8
"""Cells a user measures at most, the serving one included (TS 38.133 asks for 8 per carrier)."""

_SUBSTEPS: Final = 1000 // SUBSTEP_MS
_REPORT_MS: Final = 200
_NO_TIMER: Final = -1
_PING_PONG: Final = 8


@dataclass(frozen=True)
class Measurements:
    """What users remember from second to second; -1 in a timer: it does not run."""

    cell: Int32[Array, "users slots"]  # measured in the last second, -1 = none
    rsrp_dbm: Float32[Array, "users slots"]  # at its end
    filtered_dbm: Float32[Array, "users slots"]
    held_ms: Int32[Array, "users slots"]  # since when the entering condition has held
    serving: Int32[Array, "users"]  # -1 = did not measure
    below_ms: Int32[Array, "users"]  # since when the link is out of synchronisation
    sinr_db: Float32[Array, "users"]
    total_dbw: Float32[Array, "users"]  # received from all cells in one block
    left: Int32[Array, "users"]  # cell the user left last
    left_ms: Int32[Array, "users"]  # when, since midnight
    barred_ms: Int32[Array, "users"]  # until when the network does not try to hand the user over


def start(n_users: int) -> Measurements:
    """Nobody has measured anything.

    >>> start(3).cell.shape
    (3, 8)
    """
    slots = (n_users, SLOTS)
    none = np.full(n_users, -1, np.int32)
    nothing = np.zeros(n_users, np.float32)
    return Measurements(
        cell=np.full(slots, -1, np.int32),
        rsrp_dbm=np.zeros(slots, np.float32),
        filtered_dbm=np.zeros(slots, np.float32),
        held_ms=np.full(slots, _NO_TIMER, np.int32),
        serving=none,
        below_ms=none,
        sinr_db=nothing,
        total_dbw=nothing,
        left=none,
        left_ms=np.zeros(n_users, np.int32),
        barred_ms=np.zeros(n_users, np.int32),
    )


def smoothing(filter_k: int, step_ms: int = SUBSTEP_MS) -> float:
    """The filter's coefficient a at a measurement every `step_ms`, its memory in time kept.

    >>> smoothing(0), round(smoothing(4, 200), 6), round((1 - smoothing(4)) ** 5, 6)
    (1.0, 0.5, 0.5)
    """
    return float(1.0 - (1.0 - 2.0 ** (-filter_k / 4.0)) ** (step_ms / _REPORT_MS))


def hand_over(
    parameters: HandoverParameters,
    memory: Measurements,
    *,
    time_s: int,
    cell: Int32[Array, "users slots"],
    rsrp_dbm: Float32[Array, "users slots"],
    received: Received,
    noise_w: Float32[Array, "cells"],
    offset_db: Float32[Array, "cells"],
    load: Float32[Array, "cells"] | None = None,
) -> tuple[Measurements, Int32[Array, "users"], MobilityLog]:
    """What happens to serving cells in the second that begins at `time_s`.

    A handover whose target is below Qout when it is carried out fails: the user selects the strongest
    cell it measures. So does one whose link has been out of synchronisation for T310; every
    measurement counts as an indication (N310 = N311 = 1). A cell that falls out of the report is forgotten.

    Args:
        memory: of the second before. Where it names another serving cell, timers begin anew.
        cell, rsrp_dbm: measured at the end of the second (`Links.measured`): the serving cell first;
            -1 in the first column for users without a connection.
        received: from the serving cell and all others at the end of the second (`Links.received_w`).
        noise_w: in one block.
        offset_db: the cells' individual offsets.
        load: share of its pilot's level at which each cell counts among the others in `received`;
            None: all cells transmit evenly, 1.

    Returns:
        The new memory; the cell every user wants at the end of the second, -1 without a connection;
        and the log. A target may still refuse the user: see `refused` and `stayed`.
    """
    from mndt.network import _handover

    p, n_users = parameters, len(cell)
    rules = _handover.Rules(
        substep_ms=SUBSTEP_MS,
        ttt_ms=p.time_to_trigger_ms,
        enter_db=np.float32(p.offset_db + p.hysteresis_db),
        leave_db=np.float32(p.offset_db - p.hysteresis_db),
        qout_db=np.float32(p.qout_db),
        qin_db=np.float32(p.qin_db),
        t310_ms=p.t310_ms,
        ping_pong_ms=round(1000 * p.ping_pong_s),
    )
    new = replace(memory, **_room(n_users), left=memory.left.copy(), left_ms=memory.left_ms.copy())
    n, first = np.empty(n_users, np.int32), np.empty(n_users, np.int32)
    entry = np.empty((n_users * _SUBSTEPS, 4), np.int32)
    by_rows(
        _handover.hand_over, n_users, time_s * 1000, smoothing(p.filter_k), rules,
        cell.reshape(-1), rsrp_dbm.reshape(-1), received.own_w, received.others_w, noise_w,
        np.ones(len(noise_w), np.float32) if load is None else load, offset_db, *_arrays(memory), *_arrays(new),
        new.left, new.left_ms, n, first, entry,
    )  # fmt: skip
    return new, new.serving, _log(n, first, entry)


def refused(log: MobilityLog, wanted: Int32[Array, "users"], got: Int32[Array, "users"]) -> MobilityLog:
    """The log with what did not happen, as the target had no place for the user, marked as refused.

    Of a user that did not get the cell it wanted, these are all handovers after it last came to the
    cell it got, or last lost its link; and a failure at the very cell it wanted: without a place
    there the user would not have been sent.

    >>> log = MobilityLog(np.int32([40]), np.int32([0]), np.int8([0]), np.int32([1]), np.int32([2]), np.array([False]))
    >>> refused(log, np.int32([2]), np.int32([1])).kind.tolist() == [Mobility.REFUSED]
    True
    """
    done, u = log.kind == Mobility.HANDOVER, log.user
    settled = (done & (log.to_cell == got[u])) | (log.kind == Mobility.RADIO_LINK_FAILURE)
    since_ms = np.full(len(got), -1, np.int32)
    np.maximum.at(since_ms, u[settled], log.offset_ms[settled])
    sent = done | ((log.kind == Mobility.HANDOVER_FAILURE) & (log.to_cell == wanted[u]))
    missed = sent & (got[u] != wanted[u]) & (log.offset_ms > since_ms[u])
    kind = np.where(missed, np.int8(Mobility.REFUSED), log.kind)
    return replace(log, kind=kind, ping_pong=log.ping_pong & ~missed)


def stayed(
    before: Measurements, after: Measurements, wanted: Int32[Array, "users"], got: Int32[Array, "users"],
    until_ms: int = 0,
) -> Measurements:  # fmt: skip
    """The memory after `hand_over`, in which users that were refused have not left the cell they are in,
    and are not handed over before `until_ms`.

    >>> before, after = start(1), replace(start(1), left=np.int32([4]))
    >>> memory = stayed(before, after, np.int32([2]), np.int32([4]), until_ms=9000)
    >>> memory.left.tolist(), memory.barred_ms.tolist()
    ([-1], [9000])
    """
    moved = (got == wanted) | (wanted < 0)
    return replace(
        after,
        left=np.where(moved, after.left, before.left),
        left_ms=np.where(moved, after.left_ms, before.left_ms),
        barred_ms=np.where(moved, after.barred_ms, np.int32(until_ms)),
    )


def _arrays(memory: Measurements) -> list[Array]:
    """What the kernel reads and writes, slots one after another."""
    m = memory
    slots = [array.reshape(-1) for array in (m.cell, m.rsrp_dbm, m.filtered_dbm, m.held_ms)]
    return [*slots, m.serving, m.below_ms, m.sinr_db, m.total_dbw]


def _room(n_users: int) -> dict[str, Array]:
    """Arrays the kernel fills."""
    slots = (n_users, SLOTS)
    return {
        "cell": np.empty(slots, np.int32),
        "rsrp_dbm": np.empty(slots, np.float32),
        "filtered_dbm": np.empty(slots, np.float32),
        "held_ms": np.empty(slots, np.int32),
        "serving": np.empty(n_users, np.int32),
        "below_ms": np.empty(n_users, np.int32),
        "sinr_db": np.empty(n_users, np.float32),
        "total_dbw": np.empty(n_users, np.float32),
    }


def _log(n: Int32[Array, "users"], first: Int32[Array, "users"], entry: Int32[Array, "rows 4"]) -> MobilityLog:
    """All entries in order of time, then of user; those of user u are ``entry[first[u]:first[u] + n[u]]``."""
    users = np.flatnonzero(n)
    who = np.repeat(users, n[users]).astype(np.int32)
    before = np.cumsum(n[users]) - n[users]
    rows = entry[np.repeat(first[users] - before, n[users]) + np.arange(len(who))]
    order = np.lexsort((who, rows[:, 0]))
    rows, who = rows[order], who[order]
    return MobilityLog(
        offset_ms=rows[:, 0].copy(),
        user=who,
        kind=(rows[:, 1] % _PING_PONG).astype(np.int8),
        from_cell=rows[:, 2].copy(),
        to_cell=rows[:, 3].copy(),
        ping_pong=rows[:, 1] >= _PING_PONG,
    )
