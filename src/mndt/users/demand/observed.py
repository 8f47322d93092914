"""Traffic as an operator counts it: one series for each place, in slots of equal length."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

Array = np.ndarray

DAY_S = 24 * 3600


@dataclass(frozen=True)
class Observed:
    """Series of traffic without gaps, all over the same slots; the first slot begins at midnight."""

    traffic: Float64[Array, "series slots"]  # sum over a slot, in the table's unit
    group: Int64[Array, "series"]  # neighbouring series have the same number: a tile, a site, a district
    slot_s: int  # length of a slot
    users: Float64[Array, "series slots"] | None = None  # mean number of users in a slot

    def __len__(self) -> int:
        return len(self.traffic)

    @property
    def slots_per_day(self) -> int:
        """Slots of a day."""
        return DAY_S // self.slot_s

    def take(self, rows: Array) -> Observed:
        """The series of these rows, a mask or numbers."""
        users = None if self.users is None else self.users[rows]
        return Observed(self.traffic[rows], self.group[rows], self.slot_s, users)

    @property
    def quantum(self) -> float:
        """The grain in which traffic is counted: the smallest above zero, at most a thousandth of the median."""
        above = self.traffic[self.traffic > 0]
        return float(min(above.min(), 1e-3 * np.median(above)))
