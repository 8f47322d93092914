"""How a KPI is shown to people: its label, its unit on paper, and which way is better.

Meaning and denominators stay in `mndt.network.kpi`; here is only its dress.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from mndt.network.kpi import KPI_FIELDS


@dataclass(frozen=True)
class Shown:
    """One KPI on paper: `value * scale` in `unit`."""

    label: str
    scale: float = 1.0
    unit: str = ""
    better: int = 0  # 1 = more is better, -1 = less is better, 0 = neither by itself


SHOWN: Final[dict[str, Shown]] = {
    "X.ThroughputDl": Shown("Throughput", 1e-6, "Mbit/s", 1),
    "X.SatisfiedShare": Shown("Satisfied share of demand", 100.0, "%", 1),
    "X.OutageRatio": Shown("Outage ratio", 100.0, "%", -1),
    "X.RefusedRatio": Shown("Refused share of active users", 100.0, "%", -1),
    "X.Refused": Shown("Refused users", better=-1),
    "DRB.MeanActiveUeDl": Shown("Active users"),
    "RRC.ConnMean": Shown("Connected users"),
    "RRC.ConnMax": Shown("Connected users, greatest"),
    "X.OfferedDl": Shown("Offered traffic", 1e-6, "Mbit/s"),
    "X.BacklogDl": Shown("Backlog", 1e-6, "Mbit", -1),
    "X.UserRateMean": Shown("User rate, mean", 1e-6, "Mbit/s", 1),
    "X.UserRateP5": Shown("User rate, 5th percentile", 1e-3, "kbit/s", 1),
    "DRB.UEThpDl": Shown("Throughput per active user", 1.0, "kbit/s", 1),
    "X.SumRate": Shown("Sum of cell rates", 1e-6, "Mbit/s", 1),
    "X.TransmitPower": Shown("Transmit power", 1.0, "W", -1),
    "PEE.AvgPower": Shown("Power consumed", 1e-3, "kW", -1),
    "PEE.Energy": Shown("Energy consumed", 1.0, "kWh", -1),
    "X.CellsOn": Shown("Cells on"),
    "RRU.PrbUsedDl": Shown("Blocks in use"),
    "RRU.PrbAvailDl": Shown("Blocks available"),
    "RRU.PrbTotDl": Shown("Block use", 1.0, "%"),
    "X.SinrMedian": Shown("SINR, median", 1.0, "dB", 1),
    "X.Handovers": Shown("Handovers"),
    "X.HandoverFailures": Shown("Handover failures", better=-1),
    "X.HandoversRefused": Shown("Handovers refused", better=-1),
    "X.RadioLinkFailures": Shown("Radio-link failures", better=-1),
    "X.PingPongs": Shown("Ping-pongs", better=-1),
}


def shown(column: str) -> Shown:
    """The dress of a KPI; one that is not listed keeps its name and unit.

    >>> shown("X.OutageRatio").unit
    '%'
    """
    known = {f.column: f.unit for f in KPI_FIELDS if f.level == "total"}
    return SHOWN.get(column, Shown(column, 1.0, known.get(column, "")))


def digits(value: float) -> str:
    """A figure as people read it: three digits that count, thousands apart, a true minus.

    >>> digits(12345.6), digits(-3.14159), digits(0.5), digits(float("nan"))
    ('12,346', '−3.14', '0.500', '–')
    """
    if not math.isfinite(value):
        return "–"
    size = abs(value)
    places = 0 if size >= 100 or size == 0 else 1 if size >= 10 else 2 if size >= 1 else 3
    text = f"{size:,.{places}f}"
    return f"−{text}" if value < 0 and float(text.replace(",", "")) != 0 else text


def signed(value: float) -> str:
    """A difference with its sign.

    >>> signed(2.5), signed(-2.5), signed(0.0)
    ('+2.50', '−2.50', '0')
    """
    text = digits(value)
    return f"+{text}" if value > 0 and float(text.replace(",", "")) != 0 else text
