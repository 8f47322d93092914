"""KPIs per cell and per area of interest."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from mndt.network.energy import JOULE_PER_KWH
from mndt.network.kpi_field import KpiField, share

Array = np.ndarray


def _single(values: Any) -> Array:
    return np.asarray(values, np.float32)


CELL_FIELDS: Final[tuple[KpiField, ...]] = (
    KpiField(
        "X.OfferedDl", "bit/s", "cell",
        "Demand on the cell: bits that newly arrived in this second for the users it admitted, and for users that "
        "wanted it first and that no cell admitted.",
        "cell_offered_bits", lambda k: k.cell_offered_bits,
    ),
    KpiField(
        "DRB.PdcpSduVolumeDL", "Mbit", "cell",
        "Bits delivered to the cell's users in this second.",
        "cell_delivered_bits", lambda k: _single(k.cell_delivered_bits / np.float32(1e6)),
        period="sum", clause="5.1.2.1.1.1",
    ),
    KpiField(
        "X.SumRate", "bit/s", "cell",
        "Cell sum rate: rates of the cell's used blocks, whether or not their users had that much to receive.",
        "cell_rate_bps", lambda k: k.cell_rate_bps,
    ),
    KpiField(
        "X.WaitingDl", "bit", "cell",
        "Bits that could have been delivered in this second: backlog plus newly arrived, of the users in "
        "X.OfferedDl.",
        "cell_waiting_bits", lambda k: k.cell_waiting_bits,
    ),
    KpiField(
        "X.Overload", "ratio", "cell",
        "Demand above what the cell delivered: 1 minus delivered over waiting bits (X.WaitingDl); 0 when nothing "
        "waited. A file that takes ten seconds counts in each of them.",
        "cell_delivered_bits, cell_waiting_bits",
        lambda k: _single(np.maximum(0.0, 1.0 - share(k.cell_delivered_bits, k.cell_waiting_bits, 1.0))),
        over="X.WaitingDl",
    ),
    KpiField(
        "DRB.UEThpDl", "kbit/s", "cell",
        "Delivered bits per active user of the cell (DRB.MeanActiveUeDl), refused ones included; 0 without one. "
        "TS 28.552 counts only bursts that outlast a slot.",
        "cell_delivered_bits, cell_connected, cell_refused",
        lambda k: _single(share(k.cell_delivered_bits / 1e3, k.cell_connected + k.cell_refused, 0.0)),
        over="DRB.MeanActiveUeDl", clause="5.1.1.3.1",
    ),
    KpiField(
        "X.Users", "", "cell",
        "Users in the cell: connected to it or, idle, camping on it.",
        "cell_users", lambda k: k.cell_users,
    ),
    KpiField(
        "DRB.MeanActiveUeDl", "", "cell",
        "Active users of the cell: those it admitted, and those that wanted it first and that no cell admitted, which "
        "a real cell would not see.",
        "cell_connected, cell_refused", lambda k: k.cell_connected + k.cell_refused, clause="5.1.1.23.1",
    ),
    KpiField(
        "RRC.ConnMean", "", "cell",
        "Active users the cell admitted.",
        "cell_connected", lambda k: k.cell_connected, clause="5.1.1.4.1",
    ),
    KpiField(
        "RRC.ConnMax", "", "cell",
        "RRC.ConnMean of this second.",
        "cell_connected", lambda k: k.cell_connected, period="max", clause="5.1.1.4.2",
    ),
    KpiField(
        "X.Satisfied", "", "cell",
        "Of the users the cell admitted, those that received all bits that waited for them. The others, "
        "RRC.ConnMean minus this, are unsatisfied.",
        "cell_satisfied", lambda k: k.cell_satisfied,
    ),
    KpiField(
        "X.BelowMinimum", "", "cell",
        "Of the users the cell admitted, those below the minimum as in X.OutageRatio of the totals.",
        "cell_below_minimum", lambda k: k.cell_below_minimum,
    ),
    KpiField(
        "X.Refused", "", "cell",
        "Active users whose first choice was this cell and that no cell admitted. 0 where a policy names the serving "
        "cells outright, for then nobody chooses.",
        "cell_refused", lambda k: k.cell_refused,
    ),
    KpiField(
        "X.Outage", "", "cell",
        "Users in outage: X.BelowMinimum plus X.Refused.",
        "cell_below_minimum, cell_refused", lambda k: k.cell_below_minimum + k.cell_refused,
    ),
    KpiField(
        "X.TransmitPower", "W", "cell",
        "Power radiated: sum over the used blocks. (CARR.MeanTxPwr is the same in dBm, and has no value at 0 W.)",
        "cell_power_w", lambda k: k.cell_power_w,
    ),
    KpiField(
        "PEE.AvgPower", "W", "cell",
        "Power consumed at the mains: the cell's radio unit and its share of its station's baseband and cooling. "
        "TS 28.552 measures the whole station. Empty without an energy model.",
        "cell_consumed_w", lambda k: k.cell_consumed_w, clause="5.1.1.19.2.1",
    ),
    KpiField(
        "PEE.Energy", "kWh", "cell",
        "Energy consumed in this second: PEE.AvgPower times one second.",
        "cell_consumed_w", lambda k: _single(k.cell_consumed_w / JOULE_PER_KWH), period="sum", clause="5.1.1.19.3",
    ),
    KpiField(
        "X.Status", "", "cell",
        "0 on, 1 asleep, 2 off (`mndt.state.Status`).",
        "cell_status", lambda k: k.cell_status, period="last",
    ),
    KpiField(
        "X.NodeStatus", "", "cell",
        "0 in order, 1 on batteries, 2 failed, 3 without power (`mndt.network.incidents.NodeStatus`).",
        "cell_node_status", lambda k: k.cell_node_status, period="last",
    ),
    KpiField(
        "RRU.PrbUsedDl", "", "cell",
        "Blocks in use.",
        "cell_blocks_used", lambda k: k.cell_blocks_used, clause="5.1.1.2.5",
    ),
    KpiField(
        "RRU.PrbAvailDl", "", "cell",
        "Blocks the cell may use; 0 for a cell asleep or off.",
        "cell_blocks_available", lambda k: k.cell_blocks_available, clause="5.1.1.2.6",
    ),
    KpiField(
        "RRU.PrbTotDl", "%", "cell",
        "Blocks in use over blocks available; 0 for a cell asleep or off.",
        "cell_blocks_used, cell_blocks_available",
        lambda k: _single(100.0 * share(k.cell_blocks_used, k.cell_blocks_available, 0.0)),
        over="RRU.PrbAvailDl", clause="5.1.1.2.1",
    ),
    KpiField(
        "MM.HoExeInterReq", "", "cell",
        "Handovers begun from this cell to one of another station, done or failed.",
        "cell_inter_tried", lambda k: k.cell_inter_tried, period="sum", clause="5.1.1.6.1.7",
    ),
    KpiField(
        "MM.HoExeInterSucc", "", "cell",
        "Of MM.HoExeInterReq, those done.",
        "cell_inter_done", lambda k: k.cell_inter_done, period="sum", clause="5.1.1.6.1.8",
    ),
    KpiField(
        "MM.HoExeInterFail", "", "cell",
        "Of MM.HoExeInterReq, those that failed: the target was too weak when the user came. TS 28.552 splits it by "
        "cause; this is the sum.",
        "cell_inter_tried, cell_inter_done", lambda k: k.cell_inter_tried - k.cell_inter_done,
        period="sum", clause="5.1.1.6.1.9",
    ),
    KpiField(
        "MM.HoExeIntraReq", "", "cell",
        "Handovers begun from this cell to another one of its station, done or failed.",
        "cell_intra_tried", lambda k: k.cell_intra_tried, period="sum", clause="5.1.1.6.2.1",
    ),
    KpiField(
        "MM.HoExeIntraSucc", "", "cell",
        "Of MM.HoExeIntraReq, those done; the others failed.",
        "cell_intra_done", lambda k: k.cell_intra_done, period="sum", clause="5.1.1.6.2.2",
    ),
    KpiField(
        "X.HandoversRefused", "", "cell",
        "Handovers that users of this cell asked for and whose target had no place for them.",
        "cell_handovers_refused", lambda k: k.cell_handovers_refused, period="sum",
    ),
    KpiField(
        "X.RadioLinkFailures", "", "cell",
        "Users that lost this cell because it was too weak for too long.",
        "cell_link_failures", lambda k: k.cell_link_failures, period="sum",
    ),
    KpiField(
        "X.PingPongs", "", "cell",
        "Handovers done from this cell back to the one that the user had left for it shortly before.",
        "cell_ping_pongs", lambda k: k.cell_ping_pongs, period="sum",
    ),
)  # fmt: skip

AREA_FIELDS: Final[tuple[KpiField, ...]] = (
    KpiField(
        "X.Users", "", "area",
        "Users in the area, idle or active.",
        "area_users", lambda k: k.area_users,
    ),
    KpiField(
        "DRB.MeanActiveUeDl", "", "area",
        "Active users in the area.",
        "area_active", lambda k: k.area_active, clause="5.1.1.23.1",
    ),
    KpiField(
        "RRC.ConnMean", "", "area",
        "Active users in the area that a cell admitted.",
        "area_connected", lambda k: k.area_connected, clause="5.1.1.4.1",
    ),
    KpiField(
        "X.OfferedDl", "bit/s", "area",
        "Demand: bits that newly arrived for the users in the area in this second.",
        "area_offered_bits", lambda k: k.area_offered_bits,
    ),
    KpiField(
        "X.ThroughputDl", "bit/s", "area",
        "Bits delivered to the users in the area in this second.",
        "area_delivered_bits", lambda k: k.area_delivered_bits,
    ),
    KpiField(
        "X.OutageRatio", "ratio", "area",
        "Users in outage, as in the totals, over the active users in the area; 0 when nobody is active.",
        "area_outage, area_active", lambda k: _single(share(k.area_outage, k.area_active, 0.0)),
        over="DRB.MeanActiveUeDl",
    ),
)  # fmt: skip
