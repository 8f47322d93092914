"""KPIs over a period: counts add up, ratios are weighted by their denominators, the rest is a mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mndt.network.kpi_field import KpiField, Level, share
from mndt.network.kpi_fields import KPI_FIELDS

Array = np.ndarray


class Period:
    """What the columns of seconds come to, second by second or many at once, in bounded memory.

    Args:
        level: whose KPIs: "total", "cell" or "area".

    >>> period = Period("total")
    >>> period.add({"X.Handovers": np.array([2.0, 3.0]), "RRC.ConnMax": np.array([7.0, 4.0])})
    >>> period.values()
    {'RRC.ConnMax': array(7.), 'X.Handovers': array(5.)}
    """

    def __init__(self, level: Level) -> None:
        self.fields = [f for f in KPI_FIELDS if f.level == level]
        self.seconds = 0
        self._kept: dict[str, _Kept] = {}

    def add(self, columns: Mapping[str, Array]) -> None:
        """Take in seconds: each column has one row a second, then one value a cell or area.

        Columns that are no KPIs of this level are passed over; denominators must come along.
        """
        for f in self.fields:
            if f.column in columns and len(columns[f.column]):
                values = np.asarray(columns[f.column], np.float64)
                weights = np.asarray(columns[f.over], np.float64) if f.over else np.isfinite(values)
                self._kept.setdefault(f.column, _Kept(f, values)).add(values, weights)
        self.seconds += max((len(values) for values in columns.values()), default=0)

    def values(self) -> dict[str, Array]:
        """Each KPI over all seconds taken in, in the order of `KPI_FIELDS`."""
        return {f.column: self._kept[f.column].value() for f in self.fields if f.column in self._kept}


class _Kept:
    """One column over the seconds so far."""

    def __init__(self, field: KpiField, values: Array) -> None:
        self.field = field
        self.sum: Array = np.zeros(values.shape[1:])
        self.weight: Array = np.zeros(values.shape[1:])
        # A ratio that never had a denominator held the value of "nothing there" in every second.
        self.empty: Array = values[0] if field.over else np.full(values.shape[1:], np.nan)
        self.most: Array = np.full(values.shape[1:], -np.inf)

    def add(self, values: Array, weights: Array) -> None:
        if self.field.period == "last":
            self.sum = values[-1]
        elif self.field.period == "max":
            self.most = np.maximum(self.most, values.max(axis=0))
        elif self.field.counted:
            self.sum = self.sum + values.sum(axis=0)
        else:
            self.sum = self.sum + np.multiply(values, weights, where=weights > 0, out=np.zeros_like(values)).sum(axis=0)
            self.weight = self.weight + weights.sum(axis=0)

    def value(self) -> Array:
        if self.field.period == "max":
            return np.asarray(self.most)
        if self.field.period in ("last", "sum"):
            return np.asarray(self.sum)
        mean: Array = np.divide(self.sum, self.weight, out=np.array(self.empty, np.float64), where=self.weight > 0)
        return mean


def summarise(totals: Sequence[Mapping[str, float]] | Mapping[str, Any]) -> dict[str, float]:
    """The totals of a period, from its rows in order of time: column name -> value.

    Ratios and per-user values are weighted by their denominators (`KpiField.over`), counts add up,
    the rest is the mean over the seconds or as `KpiField.period` says. `X.SatisfiedShare` is all
    delivered bits over the first second's backlog plus all offered bits.

    Args:
        totals: rows of `kpi.total_row`, or their columns as arrays.

    >>> rows = [{"X.OutageRatio": 0.5, "DRB.MeanActiveUeDl": 10.0}, {"X.OutageRatio": 0.0, "DRB.MeanActiveUeDl": 30.0}]
    >>> summarise(rows)["X.OutageRatio"]
    0.125
    """
    columns = _columns(totals)
    period = Period("total")
    period.add(columns)
    result = {name: float(value) for name, value in period.values().items()}
    if {"X.ThroughputDl", "X.BacklogDl", "X.OfferedDl"} <= columns.keys():
        delivered = float(columns["X.ThroughputDl"].sum())
        could = float(columns["X.BacklogDl"][:1].sum() + columns["X.OfferedDl"].sum())
        result["X.SatisfiedShare"] = float(share(delivered, could, 1.0))
    return result


def _columns(totals: Sequence[Mapping[str, float]] | Mapping[str, Any]) -> dict[str, Array]:
    if isinstance(totals, Mapping):
        return {name: np.asarray(values, np.float64) for name, values in totals.items()}
    names = totals[0].keys() if totals else ()
    return {name: np.array([row[name] for row in totals], np.float64) for name in names}
