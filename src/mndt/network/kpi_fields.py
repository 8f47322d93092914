"""The table of KPIs: name, unit, definition, denominator, and what each is over a period.

`KPI_FIELDS` is the one table: files, reports and docs/kpis.md are made from it. Names are those of
3GPP TS 28.552 (Release 17) where the counter means the same; our own carry the prefix ``X.``.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from mndt.network.energy import JOULE_PER_KWH
from mndt.network.kpi_cells import AREA_FIELDS, CELL_FIELDS
from mndt.network.kpi_field import KpiField, share, total
from mndt.state import Kpis, Mobility, Status
from mndt.units import linear_to_db

Array = np.ndarray


def _percentile(values: Array, percent: float) -> float:
    return float(np.percentile(values, percent)) if len(values) else 0.0


def _decibel(k: Kpis) -> Array:
    return linear_to_db(k.user_sinr).astype(np.float32)


def _median_sinr_db(k: Kpis) -> float:
    served = k.user_sinr[k.user_sinr > 0]
    return float(linear_to_db(np.median(served))) if len(served) else float("nan")


def _entries(k: Kpis, kind: Mobility) -> float:
    return float(np.count_nonzero(k.mobility.kind == kind))


def _satisfied(k: Kpis) -> Array:
    waiting_bits = k.user_backlog_bits + k.user_offered_bits
    return np.asarray(k.user_active & (k.user_delivered_bits >= waiting_bits))


TOTAL_FIELDS: Final[tuple[KpiField, ...]] = (
    KpiField(
        "DRB.MeanActiveUeDl", "", "total",
        "Active users: users with bits to receive in this second, newly arrived or left from before.",
        "user_active", lambda k: float(np.count_nonzero(k.user_active)), clause="5.1.1.23.1",
    ),
    KpiField(
        "RRC.ConnMean", "", "total",
        "Connected users: active users that a cell admitted. Idle users camp and are not counted.",
        "cell_connected", lambda k: total(k.cell_connected), clause="5.1.1.4.1",
    ),
    KpiField(
        "RRC.ConnMax", "", "total",
        "RRC.ConnMean of this second.",
        "cell_connected", lambda k: total(k.cell_connected), period="max", clause="5.1.1.4.2",
    ),
    KpiField(
        "X.OfferedDl", "bit/s", "total",
        "Bits that newly arrived for all users in this second.",
        "user_offered_bits", lambda k: total(k.user_offered_bits),
    ),
    KpiField(
        "X.BacklogDl", "bit", "total",
        "Bits left waiting from earlier seconds, before the new arrivals. Bits that users gave up on no longer wait.",
        "user_backlog_bits", lambda k: total(k.user_backlog_bits),
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
        "satisfied_share", lambda k: float(k.satisfied_share), period="own",
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
        lambda k: 1.0 - share(total(k.cell_connected), np.count_nonzero(k.user_active), 1.0), "DRB.MeanActiveUeDl",
    ),
    KpiField(
        "X.Refused", "", "total",
        "Active users that no cell admitted: the numerator of X.RefusedRatio.",
        "user_active, cell_connected", lambda k: np.count_nonzero(k.user_active) - total(k.cell_connected),
    ),
    KpiField(
        "X.UserRateMean", "bit/s", "total",
        "Mean of X.UserRate over all active users, unconnected ones and those without a block counted as 0.",
        "user_rate_bps", lambda k: share(total(k.user_rate_bps[k.user_active]), np.count_nonzero(k.user_active), 0.0),
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
        lambda k: share(total(k.user_delivered_bits) / 1e3, np.count_nonzero(k.user_active), 0.0),
        "DRB.MeanActiveUeDl", clause="5.1.1.3.1",
    ),
    KpiField(
        "X.SumRate", "bit/s", "total",
        "Sum of the cell sum rates: what the allocated blocks could carry, delivered or not.",
        "cell_rate_bps", lambda k: total(k.cell_rate_bps),
    ),
    KpiField(
        "X.TransmitPower", "W", "total",
        "Power radiated by all cells. Not the power they consume.",
        "cell_power_w", lambda k: total(k.cell_power_w),
    ),
    KpiField(
        "PEE.AvgPower", "W", "total",
        "Power that all stations consume at the mains: radio units, basebands and cooling. Empty without an energy "
        "model.",
        "cell_consumed_w", lambda k: total(k.cell_consumed_w), clause="5.1.1.19.2.1",
    ),
    KpiField(
        "PEE.Energy", "kWh", "total",
        "Energy that all stations consume in this second: PEE.AvgPower times one second.",
        "cell_consumed_w", lambda k: total(k.cell_consumed_w) / JOULE_PER_KWH, period="sum", clause="5.1.1.19.3",
    ),
    KpiField(
        "X.CellsOn", "", "total",
        "Cells that are neither asleep nor off.",
        "cell_status", lambda k: float(np.count_nonzero(k.cell_status == Status.ON)),
    ),
    KpiField(
        "RRU.PrbUsedDl", "", "total",
        "Blocks in use.",
        "cell_blocks_used", lambda k: total(k.cell_blocks_used), clause="5.1.1.2.5",
    ),
    KpiField(
        "RRU.PrbAvailDl", "", "total",
        "Blocks of the cells that are on.",
        "cell_blocks_available", lambda k: total(k.cell_blocks_available), clause="5.1.1.2.6",
    ),
    KpiField(
        "RRU.PrbTotDl", "%", "total",
        "Blocks in use over blocks of the cells that are on; 0 when none is on.",
        "cell_blocks_used, cell_blocks_available",
        lambda k: 100.0 * share(total(k.cell_blocks_used), total(k.cell_blocks_available), 0.0), "RRU.PrbAvailDl",
        clause="5.1.1.2.1",
    ),
    KpiField(
        "X.SinrMedian", "dB", "total",
        "Median of X.Sinr over the users that hold a block; users without one have no SINR and do not count.",
        "user_sinr", _median_sinr_db,
    ),
    KpiField(
        "X.Handovers", "", "total",
        "Handovers done: a connected user goes over to another cell. Cell changes of idle users do not count. Where "
        "the rules of handover are not simulated: users that held a place in one cell in the last second and hold one "
        "in another cell now.",
        "handovers", lambda k: float(k.handovers), period="sum",
    ),
    KpiField(
        "X.HandoverFailures", "", "total",
        "Handovers begun whose target was too weak when the user came.",
        "mobility", lambda k: _entries(k, Mobility.HANDOVER_FAILURE), period="sum",
    ),
    KpiField(
        "X.HandoversRefused", "", "total",
        "Handovers asked for whose target had no place for the user, which stays where it is.",
        "mobility", lambda k: _entries(k, Mobility.REFUSED), period="sum",
    ),
    KpiField(
        "X.RadioLinkFailures", "", "total",
        "Users that lost their cell because it was too weak for too long.",
        "mobility", lambda k: _entries(k, Mobility.RADIO_LINK_FAILURE), period="sum",
    ),
    KpiField(
        "X.PingPongs", "", "total",
        "Handovers done back to the cell that the user had left shortly before.",
        "mobility", lambda k: float(np.count_nonzero(k.mobility.ping_pong)), period="sum",
    ),
)  # fmt: skip

USER_FIELDS: Final[tuple[KpiField, ...]] = (
    KpiField(
        "X.UserRate", "bit/s", "user",
        "Sum of the rates of the user's blocks in this second, by the rate law in force, 0 without a block: what it "
        "could receive.",
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
        "X.Blocks", "", "user",
        "Blocks the user holds.",
        "user_blocks", lambda k: k.user_blocks,
    ),
    KpiField(
        "X.Active", "", "user",
        "Whether the user has bits to receive in this second.",
        "user_active", lambda k: k.user_active,
    ),
    KpiField(
        "X.Satisfied", "", "user",
        "Active, and all bits that waited were delivered in this second.",
        "user_active, user_delivered_bits, user_offered_bits, user_backlog_bits", _satisfied,
    ),
    KpiField(
        "X.Outage", "", "user",
        "Active, and unconnected or with X.UserRate below the minimum of the service and below what waits.",
        "user_outage", lambda k: k.user_outage,
    ),
)  # fmt: skip

KPI_FIELDS: Final = (*TOTAL_FIELDS, *CELL_FIELDS, *USER_FIELDS, *AREA_FIELDS)
"""Every KPI of the twin, in the order in which tables show them."""
