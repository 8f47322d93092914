"""The propagation law that is fitted: a linear mixed model whose every coefficient means something.

    rsrp + free space - power = gain + sum_k b_k x_k + u_cell + e

with priors b_k ~ N(mean, sd^2) from TR 38.901 and experience, and an offset of every cell
u_cell ~ N(0, tau^2). Cells with many reports speak for themselves, cells with few are drawn to the
mean; a new cell has u = 0. tau and the residual's sigma are found by expectation maximisation
(Dempster, Laird and Rubin 1977, doi:10.1111/j.2517-6161.1977.tb01600.x; Harville 1977,
doi:10.1080/01621459.1977.10480998).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Float64, Int

from mndt.radio.measured.features import Links

Array = np.ndarray


@dataclass(frozen=True)
class Term:
    """One coefficient of the law."""

    name: str
    unit: str
    mean: float  # prior
    sd: float  # prior
    meaning: str


TERMS: Final = (
    Term("gain_db", "dB", 10.0, 15.0, "antenna gain less losses common to all cells, and what inventories call power"),
    Term("los_slope_db", "dB/decade", 0.0, 4.0, "beyond free space, with line of sight"),
    Term("across_share", "", 0.7, 0.3, "share of a 65 degree horizontal pattern's attenuation that is felt"),
    Term("down_share", "", 0.3, 0.3, "share of a 10 degree vertical pattern's attenuation that is felt"),
    Term("obstructed_db", "dB", -8.0, 8.0, "step at 100 m where the straight line is obstructed"),
    Term("obstructed_slope_db", "dB/decade", -12.0, 8.0, "more beyond free space, where it is obstructed"),
    Term("excess_share", "", -0.3, 0.25, "share of the diffraction loss over the roofs that is felt"),
    Term("blocked_db", "dB", -3.0, 5.0, "a straight line that runs wholly below the roofs"),
    Term("wall_db", "dB", -12.0, 6.0, "places inside buildings, walls and mix of users"),
    Term("depth_db_per_m", "dB/m", -0.3, 0.3, "every metre behind the wall"),
    Term("built_db", "dB", 0.0, 6.0, "wholly built surroundings within 150 m against none"),
    Term("rise_db_per_m", "dB/m", 0.0, 0.1, "user's ground above the cell's"),
    Term("height_db", "dB/decade", 0.0, 6.0, "antenna height, where the line is obstructed"),
    Term("carrier_db", "dB/decade", 0.0, 5.0, "carrier beyond free space, where the line is obstructed"),
)


def design(links: Links) -> Float64[Array, "links terms"]:
    """One column for each of `TERMS`."""
    hidden = links["obstructed"].astype(np.float64)
    beyond = links["log_slant"].astype(np.float64)
    return np.column_stack((
        np.ones(len(links)), beyond * (1.0 - hidden), links["across_db"], links["down_db"],
        hidden, hidden * beyond, links["excess_db"], links["blocked"] * hidden, links["indoor"], links["depth_m"],
        links["built_150"], links["rise_m"], hidden * np.log10(np.maximum(links["height_m"], 2.0) / 25.0),
        hidden * np.log10(links["carrier_ghz"] / 2.0),
    ))  # fmt: skip


def reference_dbm(links: Links) -> Float64[Array, "links"]:
    """Level in free space with isotropic antennas."""
    return np.asarray(links["power_dbm"].astype(np.float64) - links["free_space_db"])


@dataclass(frozen=True)
class Law:
    """A fitted law; see the module."""

    coefficient: Float64[Array, "terms"]
    covariance: Float64[Array, "terms terms"]
    offset_db: Float64[Array, "cells"]  # u, 0 for cells without samples
    tau_db: float
    sigma_db: float

    def mean_dbm(self, x: Float64[Array, "links terms"], links: Links, *, known: bool = False) -> Array:
        """Expected level of each link, with the cells' own offsets if they are `known`."""
        level = reference_dbm(links) + x @ self.coefficient
        return np.asarray(level + self.offset_db[links.cell] if known else level)


def fit(
    x: Float64[Array, "rows terms"],
    y_db: Float64[Array, "rows"],
    cell: Int[Array, "rows"],
    weight: Float64[Array, "rows"],
    n_cells: int,
    *,
    terms: tuple[Term, ...] = TERMS,
    rounds: int = 12,
) -> Law:
    """Fit coefficients and offsets together.

    Args:
        x: result of `design`.
        y_db: level beyond `reference_dbm`.
        cell: of each row.
        weight: how many independent observations a row is worth; neighbouring reports share one shadow.
        n_cells: length of the offsets.
        terms: priors, one a column.
        rounds: of expectation maximisation; rows far off count less (Huber) from the second on.
    """
    prior = np.array([term.mean for term in terms])
    precision = np.diag([term.sd**-2.0 for term in terms])
    tau2, sigma2 = 25.0, 64.0
    robust = np.ones(len(y_db))
    for turn in range(rounds):
        w = weight * robust
        if turn < 4:  # sums change with the weights only
            total = np.bincount(cell, w, n_cells)
            y_sum = np.bincount(cell, w * y_db, n_cells)
            x_sum = np.column_stack([np.bincount(cell, w * column, n_cells) for column in x.T])
            xx, xy = x.T @ (x * w[:, None]), x.T @ (w * y_db)
        shrink = 1.0 / (total / sigma2 + 1.0 / tau2)  # variance of an offset, given the coefficients
        information = xx / sigma2 - (x_sum.T * shrink) @ x_sum / sigma2**2 + precision
        right = xy / sigma2 - x_sum.T @ (shrink * y_sum) / sigma2**2 + precision @ prior
        covariance = np.linalg.inv(information)
        coefficient = covariance @ right
        offset = shrink * (y_sum - x_sum @ coefficient) / sigma2
        rest = y_db - x @ coefficient - offset[cell]
        seen = total > 0
        pull = (x_sum * (shrink / sigma2)[:, None])[seen]
        spread = shrink[seen] + np.einsum("ij,jk,ik->i", pull, covariance, pull)
        tau2 = max(float(np.mean(offset[seen] ** 2 + spread)), 0.01)
        sigma2 = max(float((w @ rest**2) / w.sum()), 0.01)
        if turn < 3:
            robust = 1.0 / np.maximum(np.abs(rest) / (2.5 * np.sqrt(sigma2)), 1.0)
    return Law(coefficient, covariance, offset, float(np.sqrt(tau2)), float(np.sqrt(sigma2)))


def block_weights(cell: Array, x_m: Array, y_m: Array, block_m: float = 50.0) -> Float64[Array, "rows"]:
    """Weights by which the reports of a cell from one block of `block_m` count as one observation."""
    col, row = np.floor(x_m / block_m).astype(np.int64), np.floor(y_m / block_m).astype(np.int64)
    col, row = col - col.min(), row - row.min()
    key = (cell.astype(np.int64) * (row.max() + 1) + row) * (col.max() + 1) + col
    _, which, count = np.unique(key, return_inverse=True, return_counts=True)
    return np.asarray(1.0 / count[which.reshape(-1)])
