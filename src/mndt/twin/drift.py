"""Whether a network still is the one that was calibrated: cumulative sums of standardised innovations.

Two-sided CUSUM (Page 1954, doi:10.1093/biomet/41.1-2.100) for each cell; one alarm for the network, as many cells raise
alarms by chance: the threshold is meant for the number of cells at hand.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from mndt.errors import InputError

Array = np.ndarray


@dataclass(frozen=True)
class Drift:
    """Sums of one network so far."""

    up: Float64[Array, "cells"]
    down: Float64[Array, "cells"]
    slack: float  # standard deviations of a step that are no drift
    threshold: float

    def add(self, innovation: Float64[Array, "cells"]) -> Drift:
        """One more step; cells of which nothing was heard (NaN) stay as they are.

        >>> begin_drift(1, slack=0.5, threshold=4.0).add(np.array([3.0])).up.tolist()
        [2.5]
        """
        heard = np.isfinite(innovation)
        e = np.where(heard, innovation, 0.0)
        up = np.where(heard, np.maximum(0.0, self.up + e - self.slack), self.up)
        down = np.where(heard, np.maximum(0.0, self.down - e - self.slack), self.down)
        return Drift(up, down, self.slack, self.threshold)

    @property
    def alarm(self) -> bool:
        """Whether the network asks for calibration."""
        return bool(np.any(np.maximum(self.up, self.down) > self.threshold))

    @property
    def cell(self) -> int:
        """Row of the cell that speaks most for it."""
        return int(np.argmax(np.maximum(self.up, self.down)))


def begin_drift(n_cells: int, *, slack: float = 1.0, threshold: float = 8.0) -> Drift:
    """Nothing heard yet.

    Args:
        n_cells: of the network.
        slack: half the shift that matters, in standard deviations.
        threshold: of the sums; higher means fewer false alarms, and later ones.

    Raises:
        InputError: a slack below 0 or no threshold.
    """
    if slack < 0 or threshold <= 0:
        raise InputError("threshold", threshold, allowed="above 0, and a slack of 0 or more", fix="choose others")
    return Drift(np.zeros(n_cells), np.zeros(n_cells), slack, threshold)


def innovations(
    error_db: Float64[Array, "samples"], variance: Float64[Array, "samples"], cell: Array, n_cells: int, noise_db: float
) -> Float64[Array, "cells"]:
    """Mean error of each cell's samples over its standard deviation; NaN for cells without samples.

    Args:
        error_db: measured minus predicted.
        variance: of the prediction, taken as common to all samples of a cell: the cautious end.
        cell: row of each sample.
        n_cells: of the network.
        noise_db: standard deviation of one measurement, independent.
    """
    number = np.bincount(cell, minlength=n_cells)
    n = np.maximum(number, 1)
    mean = np.bincount(cell, error_db, n_cells) / n
    spread = np.sqrt(np.bincount(cell, variance, n_cells) / n + noise_db**2 / n)
    return np.where(number > 0, mean / np.maximum(spread, 1e-9), np.nan)
