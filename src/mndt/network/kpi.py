"""The KPIs: what is measured, under which name, in which unit, over which denominator.

`KPI_FIELDS` is the one table: files, reports and docs/kpis.md are made from it. Names are those of
3GPP TS 28.552 where the counter means the same; our own carry the prefix ``X.``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from jaxtyping import Bool, Float32, Int8, Int32

from mndt.city.schema import SERVICES
from mndt.state import Kpis
from mndt.units import linear_to_db

Array = np.ndarray


@dataclass(frozen=True)
class KpiField:
    """One KPI: `value` computes its column, in `unit`, from what `measure` kept of one second."""

    column: str
    unit: str
    level: Literal["total", "cell", "user"]
    definition: str  # of one second, with its denominator
    field: str  # fields of mndt.state.Kpis it is made of
    value: Callable[[Kpis], Any]
    over: str = ""  # column whose sum is the denominator over a period; "" = plain mean over seconds
    counted: bool = False  # a count: over a period it adds up


def _share(part: Any, whole: Any, of_nothing: float) -> Any:
    """part / whole, and a stated value where there is nothing to divide by."""
    part, whole = np.asarray(part, np.float64), np.asarray(whole, np.float64)
    share = np.divide(part, whole, out=np.full(np.broadcast(part, whole).shape, of_nothing), where=whole > 0)
    return share if share.ndim else float(share)


def _sum(values: Array) -> float:
    return float(np.sum(values, dtype=np.float64))


def _percentile(values: Array, percent: float) -> float:
    return float(np.percentile(values, percent)) if len(values) else 0.0


def _decibel(k: Kpis) -> Array:
    return linear_to_db(k.user_sinr).astype(np.float32)


def _median_sinr_db(k: Kpis) -> float:
    served = k.user_sinr[k.user_sinr > 0]
    return float(linear_to_db(np.median(served))) if len(served) else float("nan")


KPI_FIELDS: Final[tuple[KpiField, ...]] = (
    KpiField(
        "DRB.MeanActiveUeDl", "", "total",
        "Active users: users with bits to receive in this second, newly arrived or left from before.",
        "user_active", lambda k: float(np.count_nonzero(k.user_active)),
    ),
    KpiField(
        "RRC.ConnMean", "", "total",
        "Connected users: active users that a cell admitted. Idle users camp and are not counted.",
        "cell_connected", lambda k: _sum(k.cell_connected),
    ),
    KpiField(
        "X.OfferedDl", "bit/s", "total",
        "Bits that newly arrived for all users in this second.",
        "user_offered_bits", lambda k: _sum(k.user_offered_bits),
    ),
    KpiField(
        "X.BacklogDl", "bit", "total",
        "Bits left waiting from earlier seconds, before the new arrivals. Bits that users gave up on no longer wait.",
        "user_backlog_bits", lambda k: _sum(k.user_backlog_bits),
    ),
    KpiField(
        "X.ThroughputDl", "bit/s", "total",
        "Bits delivered to all users in this second: never more than was waiting.",
        "throughput_bps", lambda k: float(k.throughput_bps),
    ),
    KpiField(
        "X.SatisfiedShare", "ratio", "total",
        "Delivered bits over the bits that could have been delivered: backlog plus newly offered, of all users, "
        "refused ones included. 1 when nothing waited. Over a period: all delivered bits over the backlog at its "
        "start plus all bits offered in it, so that a bit waiting for ten seconds is counted once, and bits that users "
        "gave up on, or that still wait at the end, count as not delivered.",
        "satisfied_share", lambda k: float(k.satisfied_share),
    ),
    KpiField(
        "X.OutageRatio", "ratio", "total",
        "Active users that are unconnected, or whose rate is below the minimum of their service and does not carry "
        "all that waits either, over all active "
        "users. The rate is what their blocks carry (X.UserRate), 0 without a block. 0 when nobody is active. Over "
        "a period: weighted by active users.",
        "outage_ratio", lambda k: float(k.outage_ratio), "DRB.MeanActiveUeDl",
    ),
    KpiField(
        "X.RefusedRatio", "ratio", "total",
        "Active users that no cell admitted, over all active users: the unconnected part of X.OutageRatio.",
        "user_active, cell_connected",
        lambda k: 1.0 - _share(_sum(k.cell_connected), np.count_nonzero(k.user_active), 1.0), "DRB.MeanActiveUeDl",
    ),
    KpiField(
        "X.UserRateMean", "bit/s", "total",
        "Mean of X.UserRate over all active users, unconnected ones and those without a block counted as 0.",
        "user_rate_bps", lambda k: _share(_sum(k.user_rate_bps[k.user_active]), np.count_nonzero(k.user_active), 0.0),
        "DRB.MeanActiveUeDl",
    ),
    KpiField(
        "X.UserRateP5", "bit/s", "total",
        "5th percentile of X.UserRate over all active users, unconnected ones and those without a block counted as "
        "0. Over a period: mean of the seconds' percentiles, weighted by active users (not the percentile of all "
        "user-seconds).",
        "user_rate_bps", lambda k: _percentile(k.user_rate_bps[k.user_active], 5), "DRB.MeanActiveUeDl",
    ),
    KpiField(
        "DRB.UEThpDl", "kbit/s", "total",
        "Delivered bits per active user in this second: the denominator is all active users, refused ones included. "
        "TS 28.552 counts only bursts that outlast a slot; here a second in which little arrived lowers the value.",
        "user_delivered_bits, user_active",
        lambda k: _share(_sum(k.user_delivered_bits) / 1e3, np.count_nonzero(k.user_active), 0.0),
        "DRB.MeanActiveUeDl",
    ),
    KpiField(
        "X.SumRate", "bit/s", "total",
        "Sum of the cell sum rates: what the allocated blocks could carry, delivered or not.",
        "cell_rate_bps", lambda k: _sum(k.cell_rate_bps),
    ),
    KpiField(
        "X.TransmitPower", "W", "total",
        "Power radiated by all cells. Not the power they consume.",
        "cell_power_w", lambda k: _sum(k.cell_power_w),
    ),
    KpiField(
        "RRU.PrbUsedDl", "", "total",
        "Blocks in use.",
        "cell_blocks_used", lambda k: _sum(k.cell_blocks_used),
    ),
    KpiField(
        "RRU.PrbAvailDl", "", "total",
        "Blocks of the cells that are on.",
        "cell_blocks_available", lambda k: _sum(k.cell_blocks_available),
    ),
    KpiField(
        "RRU.PrbTotDl", "%", "total",
        "Blocks in use over blocks of the cells that are on; 0 when none is on.",
        "cell_blocks_used, cell_blocks_available",
        lambda k: 100.0 * _share(_sum(k.cell_blocks_used), _sum(k.cell_blocks_available), 0.0), "RRU.PrbAvailDl",
    ),
    KpiField(
        "X.SinrMedian", "dB", "total",
        "Median of X.Sinr over the users that hold a block; users without one have no SINR and do not count.",
        "user_sinr", _median_sinr_db,
    ),
    KpiField(
        "X.Handovers", "", "total",
        "Users that held a place in one cell in the last second and hold one in another cell now. Cell changes of "
        "idle users do not count.",
        "handovers", lambda k: float(k.handovers), counted=True,
    ),
    KpiField(
        "X.SumRate", "bit/s", "cell",
        "Cell sum rate: Shannon rates of the cell's used blocks, whether or not their users had that much to receive.",
        "cell_rate_bps", lambda k: k.cell_rate_bps,
    ),
    KpiField(
        "DRB.PdcpSduVolumeDL", "Mbit", "cell",
        "Bits delivered to the cell's users in this second.",
        "cell_delivered_bits", lambda k: (k.cell_delivered_bits / np.float32(1e6)).astype(np.float32), counted=True,
    ),
    KpiField(
        "X.TransmitPower", "W", "cell",
        "Power radiated: sum over the used blocks. (CARR.MeanTxPwr is the same in dBm, and has no value at 0 W.)",
        "cell_power_w", lambda k: k.cell_power_w,
    ),
    KpiField(
        "RRC.ConnMean", "", "cell",
        "Active users the cell admitted.",
        "cell_connected", lambda k: k.cell_connected,
    ),
    KpiField(
        "X.BelowMinimum", "", "cell",
        "Of the users the cell admitted, those below the minimum as in X.OutageRatio. Refused users "
        "belong to no cell: they appear in the totals only.",
        "cell_below_minimum", lambda k: k.cell_below_minimum,
    ),
    KpiField(
        "RRU.PrbUsedDl", "", "cell",
        "Blocks in use.",
        "cell_blocks_used", lambda k: k.cell_blocks_used,
    ),
    KpiField(
        "RRU.PrbAvailDl", "", "cell",
        "Blocks the cell may use; 0 for a cell asleep or off.",
        "cell_blocks_available", lambda k: k.cell_blocks_available,
    ),
    KpiField(
        "RRU.PrbTotDl", "%", "cell",
        "Blocks in use over blocks available; 0 for a cell asleep or off.",
        "cell_blocks_used, cell_blocks_available",
        lambda k: (100.0 * _share(k.cell_blocks_used, k.cell_blocks_available, 0.0)).astype(np.float32),
    ),
    KpiField(
        "X.UserRate", "bit/s", "user",
        "Sum of the Shannon rates of the user's blocks in this second, 0 without a block: what it could receive.",
        "user_rate_bps", lambda k: k.user_rate_bps,
    ),
    KpiField(
        "X.Delivered", "bit", "user",
        "Bits delivered in this second: the smaller of rate times one second and what was waiting.",
        "user_delivered_bits", lambda k: k.user_delivered_bits,
    ),
    KpiField(
        "X.Offered", "bit", "user",
        "Bits that newly arrived in this second.",
        "user_offered_bits", lambda k: k.user_offered_bits,
    ),
    KpiField(
        "X.Backlog", "bit", "user",
        "Bits left waiting from earlier seconds.",
        "user_backlog_bits", lambda k: k.user_backlog_bits,
    ),
    KpiField(
        "X.Sinr", "dB", "user",
        "Mean of the linear SINR over the user's blocks; -inf without one.",
        "user_sinr", _decibel,
    ),
    KpiField(
        "X.Rsrp", "dBm", "user",
        "Power received from the serving cell on one block at its budget divided by its blocks, without fading; "
        "-inf without a serving cell.",
        "user_rsrp_dbm", lambda k: k.user_rsrp_dbm,
    ),
    KpiField(
        "X.Active", "", "user",
        "Whether the user has bits to receive in this second.",
        "user_active", lambda k: k.user_active,
    ),
    KpiField(
        "X.Outage", "", "user",
        "Active, and unconnected or with X.UserRate below the minimum of the service and below what waits.",
        "user_outage", lambda k: k.user_outage,
    ),
)  # fmt: skip
"""Every KPI of the twin, in the order in which tables show them."""


def minimum_rates_bps(service: Int8[Array, "users"]) -> Float32[Array, "users"]:
    """The minimum rate of each user's service (row of `schema.SERVICES`); 0 for idle users (-1).

    >>> minimum_rates_bps(np.int8([0, -1])).tolist()
    [24400.0, 0.0]
    """
    rates: Array = np.array([s.min_rate_bps for s in SERVICES] + [0.0], np.float32)[service]  # -1 is the last row
    return rates


def measure(
    *,
    time_s: int,
    serving: Int32[Array, "users"],
    previous_serving: Int32[Array, "users"],
    active: Bool[Array, "users"],
    user_of_block: Int32[Array, "cells blocks"],
    power_w: Float32[Array, "cells blocks"],
    blocks: Int32[Array, "cells"],
    user_rate_bps: Float32[Array, "users"],
    user_sinr: Float32[Array, "users"],
    user_rsrp_dbm: Float32[Array, "users"],
    min_rate_bps: Float32[Array, "users"],
    backlog_bits: Float32[Array, "users"],
    offered_bits: Float32[Array, "users"],
    delivered_bits: Float32[Array, "users"],
) -> Kpis:
    """The KPIs of one second, as `KPI_FIELDS` defines them.

    Args:
        time_s: seconds since midnight.
        serving: serving cell, -1 = none; idle users may camp on a cell.
        previous_serving: cell in which the user held a place in the last second, -1 for none and
            for users that were idle: the array that `association.associate` takes.
        active: users with bits to receive in this second.
        user_of_block: user of every block, -1 = free.
        power_w: power of every block.
        blocks: blocks each cell may use, 0 for cells asleep or off.
        user_rate_bps: sum of the Shannon rates of the user's blocks.
        user_sinr: linear, mean over the user's blocks, 0 without one.
        user_rsrp_dbm: from the serving cell, -inf without one.
        min_rate_bps: minimum of the user's service (`minimum_rates_bps`).
        backlog_bits: waiting from earlier seconds, before the new arrivals.
        offered_bits: newly arrived.
        delivered_bits: taken from the buffers in this second.
    """
    n_cells = len(blocks)
    connected = active & (serving >= 0)
    # A user whose last few bits all went out is served, however low the rate that took.
    below = connected & (user_rate_bps < np.minimum(min_rate_bps, backlog_bits + offered_bits))
    outage = below | (active & ~connected)
    waiting, delivered = _sum(backlog_bits) + _sum(offered_bits), _sum(delivered_bits)
    handed_over = connected & (previous_serving >= 0) & (previous_serving != serving)

    def per_cell(members: Bool[Array, "users"], values: Array | None = None) -> Array:
        weights = None if values is None else values[members].astype(np.float64)
        summed = np.bincount(serving[members], weights, minlength=n_cells)
        return summed.astype(np.int32 if values is None else np.float32)

    return Kpis(
        time_s=time_s,
        cell_rate_bps=per_cell(connected, user_rate_bps),
        cell_power_w=power_w.sum(axis=1, dtype=np.float64).astype(np.float32),
        cell_delivered_bits=per_cell(connected, delivered_bits),
        cell_connected=per_cell(connected),
        cell_below_minimum=per_cell(below),
        cell_blocks_used=np.count_nonzero(user_of_block >= 0, axis=1).astype(np.int32),
        cell_blocks_available=blocks.astype(np.int32),
        user_rate_bps=user_rate_bps,
        user_delivered_bits=delivered_bits,
        user_offered_bits=offered_bits,
        user_backlog_bits=backlog_bits,
        user_sinr=user_sinr,
        user_rsrp_dbm=user_rsrp_dbm,
        user_active=active,
        user_outage=outage,
        throughput_bps=delivered,
        satisfied_share=float(_share(delivered, waiting, 1.0)),
        outage_ratio=float(_share(np.count_nonzero(outage), np.count_nonzero(active), 0.0)),
        handovers=int(np.count_nonzero(handed_over)),
    )


def total_row(kpis: Kpis) -> dict[str, float]:
    """One row of the table of totals: column name -> value."""
    return {f.column: float(f.value(kpis)) for f in KPI_FIELDS if f.level == "total"}


def cell_columns(kpis: Kpis) -> dict[str, Array]:
    """The columns of the table of cells in this second: column name -> one value per cell."""
    return {f.column: f.value(kpis) for f in KPI_FIELDS if f.level == "cell"}


def user_columns(kpis: Kpis) -> dict[str, Array]:
    """The columns of the table of users in this second: column name -> one value per user."""
    return {f.column: f.value(kpis) for f in KPI_FIELDS if f.level == "user"}


def summarise(totals: Sequence[Mapping[str, float]] | Mapping[str, Any]) -> dict[str, float]:
    """The totals of a period, from its rows in order of time: column name -> value.

    Ratios and per-user values are weighted by their denominators (`KpiField.over`), counts add up,
    the rest is the mean over the seconds. `X.SatisfiedShare` is all delivered bits over the first
    second's backlog plus all offered bits.

    Args:
        totals: rows of `total_row`, or their columns as arrays.

    >>> rows = [{"X.OutageRatio": 0.5, "DRB.MeanActiveUeDl": 10.0}, {"X.OutageRatio": 0.0, "DRB.MeanActiveUeDl": 30.0}]
    >>> summarise(rows)["X.OutageRatio"]
    0.125
    """
    columns = _columns(totals)
    result: dict[str, float] = {}
    for f in KPI_FIELDS:
        if f.level == "total" and f.column in columns:
            result[f.column] = _over_period(f, columns)
    if {"X.ThroughputDl", "X.BacklogDl", "X.OfferedDl"} <= columns.keys():
        delivered = float(columns["X.ThroughputDl"].sum())
        could = float(columns["X.BacklogDl"][:1].sum() + columns["X.OfferedDl"].sum())
        result["X.SatisfiedShare"] = float(_share(delivered, could, 1.0))
    return result


def _columns(totals: Sequence[Mapping[str, float]] | Mapping[str, Any]) -> dict[str, Array]:
    if isinstance(totals, Mapping):
        return {name: np.asarray(values, np.float64) for name, values in totals.items()}
    names = totals[0].keys() if totals else ()
    return {name: np.array([row[name] for row in totals], np.float64) for name in names}


def _over_period(f: KpiField, columns: Mapping[str, Array]) -> float:
    values = columns[f.column]
    if f.counted:
        return float(values.sum())
    if f.over:
        weights = columns[f.over]
        empty = float(values[0]) if len(values) else 0.0  # every second held the value of "nothing there"
        return float(_share((values * weights).sum(), weights.sum(), empty))
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else float("nan")


def document() -> str:
    """docs/kpis.md: the definition of every KPI, made from `KPI_FIELDS`."""
    titles = {"total": "Totals of the network", "cell": "Per cell", "user": "Per user"}
    lines = [
        "# KPIs",
        "",
        "What the twin measures in every second, in the downlink. Names are those of 3GPP TS 28.552 where the counter",
        "means the same; our own carry the prefix `X.`. A user is *active* when it has bits to receive in this second,",
        "*connected* when it is active and a cell admitted it. This page is made from `mndt.network.kpi.KPI_FIELDS`.",
        "",
        "Over a period, ratios and per-user values are weighted by their denominators, counts (handovers, volume) add",
        "up, everything else is the mean over the seconds.",
    ]
    for level, title in titles.items():
        lines += ["", f"## {title}", "", "| name | unit | definition | from `Kpis` |", "|---|---|---|---|"]
        for f in KPI_FIELDS:
            if f.level == level:
                source = ", ".join(f"`{name}`" for name in f.field.split(", "))
                lines.append(f"| `{f.column}` | {f.unit or '-'} | {f.definition} | {source} |")
    lines += [
        "",
        "Minimum rates by service, in bit/s (below them an active user is in outage):",
        "",
        "| service | minimum rate |",
        "|---|---|",
        *(f"| {s.name} | {s.min_rate_bps:,.0f} |" for s in SERVICES),
    ]
    return "\n".join(lines) + "\n"
