"""What the mirror takes in, counts, and answers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float64

from mndt.plants import Configuration

Array = np.ndarray


@dataclass(frozen=True)
class Record:
    """What one cell measured in one period."""

    cell: str
    end_s: float  # of the period, by the network's clock
    arrival_s: float  # here, by the same clock
    values: Mapping[str, float]  # counter -> value


@dataclass
class Counts:
    """What became of records."""

    taken: int = 0
    out_of_order: int = 0  # taken, after a later one of the same cell
    duplicate: int = 0  # same cell, period and values: left out
    contradicting: int = 0  # same cell and period, other values: the first one counts
    late: int = 0  # after the window: kept apart
    unknown_cell: int = 0  # left out
    impossible_time: int = 0  # off the grid of periods, or from the future: left out
    impossible_value: int = 0  # values, not records: left out, the rest of the record counts
    missing_value: int = 0  # counters that a record lacks
    missing: int = 0  # records of periods that are closed
    gaps: int = 0  # closed periods without a record of any cell


@dataclass(frozen=True)
class State:
    """What was known of a network at some time: last good values, and how old they are."""

    time_s: float
    cell: tuple[str, ...]
    counters: tuple[str, ...]
    value: Float64[Array, "cells counters"]  # NaN where there never was one
    age_s: Float64[Array, "cells counters"]  # inf where there never was one
    configuration: Configuration | None

    def of(self, counter: str) -> Float64[Array, "cells"]:
        """One counter of all cells."""
        return self.value[:, self.counters.index(counter)]

    def stale(self, limit_s: float) -> Bool[Array, "cells"]:
        """Cells of which nothing is younger than this."""
        return np.asarray(self.age_s.min(axis=1, initial=math.inf) > limit_s)


@dataclass
class Lags:
    """How late records came, as a histogram."""

    edges_s: Array = field(default_factory=lambda: np.concatenate(([0.0], np.geomspace(1e-3, 1e4, 71))))
    number: Array = field(default_factory=lambda: np.zeros(73, np.int64))
    worst_s: float = 0.0

    def add(self, lag_s: float) -> None:
        """One more record; clocks that differ make a lag of less than nothing, which is none."""
        self.number[np.searchsorted(self.edges_s, max(lag_s, 0.0), side="left")] += 1
        self.worst_s = max(self.worst_s, lag_s)

    def percentile_s(self, percent: float) -> float:
        """The lag that this share of the records kept within, at most 26 % too high; NaN without records."""
        total = int(self.number.sum())
        if not total:
            return math.nan
        bin_ = int(np.searchsorted(np.cumsum(self.number), total * percent / 100.0, side="left"))
        return float(min(self.edges_s[min(bin_, len(self.edges_s) - 1)], self.worst_s))
