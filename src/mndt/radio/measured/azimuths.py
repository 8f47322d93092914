"""Which cells point elsewhere than the inventory says: the levels around a cell tell its bearing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Float64

from mndt.radio.measured.case import Case
from mndt.radio.measured.law import TERMS
from mndt.radio.measured.members import Selected

Array = np.ndarray

TURNS_DEG: Final = np.arange(-180.0, 180.0, 10.0)
LEAST_TURN_DEG: Final = 30.0
LEAST_BLOCKS: Final = 12.0  # independent observations a verdict needs
LEAST_GAIN: Final = 8.0  # of log-likelihood, over the bearing of the inventory


@dataclass(frozen=True)
class Suspect:
    """A cell whose levels fit another bearing better."""

    cell: int
    turn_deg: float  # clockwise, from the inventory's azimuth to the one that fits best
    gain: float  # of log-likelihood


def suspects(case: Case, chosen: Selected) -> tuple[Suspect, ...]:
    """Turn the pattern of every cell in steps of ten degrees and see where its levels fit best.

    Levels carry the horizontal pattern by the share that the law found, at least a half: with many wrong azimuths
    the fit itself takes it for weak. A turn also moves where the cell would win the contest; that is not counted.
    """
    share = max(float(chosen.law.coefficient[[t.name for t in TERMS].index("across_share")]), 0.5)
    s, cells, own = case.samples, case.cells, case.links
    bearing = np.degrees(np.arctan2(s.x_m - cells.x_m[s.cell], s.y_m - cells.y_m[s.cell]))
    rest = s.rsrp_dbm - chosen.mean_dbm - chosen.surplus_db
    rest = rest + chosen.law.coefficient[[t.name for t in TERMS].index("across_share")] * own["across_db"]
    variance = chosen.law.sigma_db**2
    found = []
    for cell in range(len(cells)):
        rows = np.flatnonzero(s.cell == cell)
        weight = case.weight[rows]
        if cells.omni[cell] or weight.sum() < LEAST_BLOCKS:
            continue
        misfit = _misfits(rest[rows], bearing[rows] - cells.azimuth_deg[cell], weight, share)
        best = int(np.argmin(misfit))
        gain = 0.5 * float(misfit[np.flatnonzero(TURNS_DEG == 0.0)[0]] - misfit[best]) / variance
        if abs(TURNS_DEG[best]) >= LEAST_TURN_DEG and gain >= LEAST_GAIN:
            found.append(Suspect(cell, float(TURNS_DEG[best]), gain))
    return tuple(sorted(found, key=lambda suspect: -suspect.gain))


def _misfits(rest: Array, off_deg: Array, weight: Array, share: float) -> Float64[Array, "turns"]:
    """Weighted squares left with the pattern at each turn and the best offset."""
    phi = (off_deg[None, :] - TURNS_DEG[:, None] + 180.0) % 360.0 - 180.0
    left = rest + share * np.minimum(12.0 * np.square(phi / 65.0), 25.0)
    left = left - (left @ weight / weight.sum())[:, None]
    return np.asarray(np.square(left) @ weight)
