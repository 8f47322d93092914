"""What a KPI is: one row of the tables in `kpi_fields`, and the sums they share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from mndt.state import Kpis

Array = np.ndarray

Level = Literal["total", "cell", "user", "area"]


@dataclass(frozen=True)
class KpiField:
    """One KPI: `value` computes its column, in `unit`, from what `kpi.measure` kept of one second."""

    column: str
    unit: str
    level: Level
    definition: str  # of one second, with its denominator
    field: str  # fields of mndt.state.Kpis it is made of
    value: Callable[[Kpis], Any]
    over: str = ""  # column whose sum is the denominator over a period; "" = as `period` says
    period: Literal["mean", "sum", "max", "last", "own"] = "mean"  # over the seconds; "own" = as the definition says
    clause: str = ""  # of TS 28.552, where the name comes from there

    @property
    def counted(self) -> bool:
        """Whether it is a count or a volume: over a period it adds up."""
        return self.period == "sum"

    @property
    def rule(self) -> str:
        """What it is over a period, for people."""
        words = {"mean": "mean", "sum": "sum", "max": "greatest", "last": "at its end", "own": "as defined"}
        return f"weighted by {self.over}" if self.over else words[self.period]


def share(part: Any, whole: Any, of_nothing: float) -> Any:
    """part / whole, and a stated value where there is nothing to divide by.

    >>> share([1, 0], [4, 0], 1.0).tolist()
    [0.25, 1.0]
    """
    part, whole = np.asarray(part, np.float64), np.asarray(whole, np.float64)
    found = np.divide(part, whole, out=np.full(np.broadcast(part, whole).shape, of_nothing), where=whole > 0)
    return found if found.ndim else float(found)


def total(values: Array) -> float:
    """Sum in double precision."""
    return float(np.sum(values, dtype=np.float64))
