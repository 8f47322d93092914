"""Which cells point elsewhere than the inventory says: where the reports of a cell come from tells its bearing.

Levels tell little, as phones report a cell only where it is strong. But that very selection spreads reports
around the boresight. How they spread is learnt from all cells of the file together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Float64

from mndt.radio.measured.case import Case

Array = np.ndarray

STEP_DEG: Final = 10.0
TURNS_DEG: Final = np.arange(-180.0, 180.0, STEP_DEG)
LEAST_TURN_DEG: Final = 50.0
LEAST_BLOCKS: Final = 8.0  # independent observations a verdict needs
LEAST_GAIN: Final = (
    12.0  # of log-likelihood, over the bearing of the inventory; neighbouring blocks depend on each other
)


@dataclass(frozen=True)
class Suspect:
    """A cell whose reports fit another bearing better."""

    cell: int
    turn_deg: float  # clockwise, from the inventory's azimuth to the one that fits best
    gain: float  # of log-likelihood


def suspects(case: Case) -> tuple[Suspect, ...]:
    """Turn every sector in steps of ten degrees and see where its reports are most likely; surest first."""
    s, cells = case.samples, case.cells
    bearing = np.degrees(np.arctan2(s.x_m - cells.x_m[s.cell], s.y_m - cells.y_m[s.cell]))
    off = bearing - cells.azimuth_deg[s.cell]
    blocks = np.bincount(s.cell, case.weight, len(cells))
    spread = np.log(_spread(off, case.weight / np.sqrt(blocks[s.cell]), ~cells.omni[s.cell]))
    order = np.argsort(s.cell, kind="stable")
    ends = np.searchsorted(s.cell[order], np.arange(len(cells) + 1))
    found = []
    for cell in np.flatnonzero((blocks >= LEAST_BLOCKS) & ~cells.omni):
        rows = order[ends[cell] : ends[cell + 1]]
        likely = spread[_bins(off[rows][None, :] - TURNS_DEG[:, None])] @ case.weight[rows]
        best = int(np.argmax(likely))
        gain = float(likely[best] - likely[len(TURNS_DEG) // 2])
        if abs(TURNS_DEG[best]) >= LEAST_TURN_DEG and gain >= LEAST_GAIN:
            found.append(Suspect(int(cell), float(TURNS_DEG[best]), gain))
    return tuple(sorted(found, key=lambda suspect: -suspect.gain))


def _bins(off_deg: Array) -> Array:
    aside = np.abs((off_deg + 180.0) % 360.0 - 180.0)
    return np.minimum((aside / STEP_DEG).astype(np.int64), int(180.0 / STEP_DEG) - 1)


def _spread(off_deg: Array, weight: Array, directed: Array) -> Float64[Array, "bins"]:
    """Share of reports in each ring of directions off boresight, of all sectors; a little everywhere."""
    n = int(180.0 / STEP_DEG)
    share = np.bincount(_bins(off_deg[directed]), weight[directed], n)
    share = share + 0.01 * max(share.sum(), 1e-9)
    return np.asarray(share / share.sum())
