"""Phones report the cell that serves them: what that does to a sample, and how to undo it.

Far from a cell only its lucky reports are seen, where its level was above the others'; the apparent slope
is then far too flat. With the level of a link N(mu, sigma^2) and the best rival's N(m, sigma^2), reported
only where the first wins, the reported levels have the mean

    mu + sigma^2 / s * lambda((mu - m) / s),   s^2 = 2 sigma^2 + sigma_0^2,   lambda = phi / Phi

(Heckman 1979, doi:10.2307/1912352). sigma_0 is how far from the strongest a phone may be served.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int32, Int64

from mndt.radio.measured.samples import MeasuredCells, Samples

Array = np.ndarray

ATTACH_DB = 3.0  # sigma_0: hysteresis and time to trigger keep phones at a cell that is no longer the best


@dataclass(frozen=True)
class Contest:
    """Coarse places where samples lie; every cell competes there with those of its carrier."""

    x_m: Float64[Array, "places"]
    y_m: Float64[Array, "places"]
    place: Int64[Array, "rows"]  # of each sample
    band: Int32[Array, "cells"]  # cells of one carrier

    def pairs(self) -> tuple[Int32[Array, "pairs"], Array, Array]:
        """Cell, x and y of every pair of a cell and a place, cell by cell."""
        n = len(self.band)
        cell = np.repeat(np.arange(n, dtype=np.int32), len(self.x_m))
        return cell, np.tile(self.x_m, n), np.tile(self.y_m, n)


def contest(samples: Samples, cells: MeasuredCells, *, pairs: int = 1_200_000) -> Contest:
    """Places at the finest grid (20 m or coarser) at which all pairs with cells number at most `pairs`."""
    step_m = 20.0
    band = np.unique(np.round(cells.carrier_ghz, 1), return_inverse=True)[1].reshape(-1).astype(np.int32)
    while True:
        col, row = np.floor(samples.x_m / step_m), np.floor(samples.y_m / step_m)
        spots, place = np.unique(np.column_stack((col, row)), axis=0, return_inverse=True)
        if len(spots) * len(cells) <= pairs or step_m > 500.0:
            break
        step_m *= 1.3
    middle = (spots + 0.5) * step_m
    return Contest(middle[:, 0], middle[:, 1], place.reshape(-1), band)


def rival_dbm(
    mean_dbm: Float64[Array, "cells places"], field: Contest, cell: Int32[Array, "rows"], place: Array, sigma_db: float
) -> Float64[Array, "rows"]:
    """Mean of the strongest other cell of the same carrier, whose levels spread by `sigma_db`.

    The mean of the largest of several Gumbel variables of that spread: g ln sum exp(mu / g), g = sigma sqrt(6) / pi.
    """
    g = max(sigma_db, 1.0) * np.sqrt(6.0) / np.pi
    out = np.empty(len(cell))
    for band in np.unique(field.band):
        members = np.flatnonzero(field.band == band)
        mine = np.flatnonzero(field.band[cell] == band)
        if len(members) < 2:
            out[mine] = -200.0
            continue
        levels = mean_dbm[members]
        top = levels.max(axis=0)
        total = np.exp((levels - top) / g).sum(axis=0)
        at = place[mine]
        own = np.exp((mean_dbm[cell[mine], at] - top[at]) / g)
        rest = np.maximum(total[at] - own, 1e-12)
        close = rest < 1e-6 * total[at]  # cancellation: the own cell is all there is
        out[mine] = top[at] + g * np.log(rest)
        if close.any():
            rows = mine[close]
            out[rows] = _second_dbm(mean_dbm, members, cell[rows], place[rows])
    return out


def _second_dbm(mean_dbm: Array, members: Array, cell: Array, place: Array) -> Array:
    levels = mean_dbm[np.ix_(members, place)].copy()
    levels[np.searchsorted(members, cell), np.arange(len(cell))] = -np.inf
    return np.asarray(np.maximum(levels.max(axis=0), -200.0))


def surplus_db(mean_dbm: Array, rival: Array, sigma_db: float) -> Float64[Array, "rows"]:
    """How far reported levels lie above the mean of all, see the module; grows without bound for lucky reports.

    >>> bool(abs(surplus_db(np.zeros(1), np.zeros(1), 5.0)[0] - 25 / np.sqrt(59) * np.sqrt(2 / np.pi)) < 1e-9)
    True
    """
    from scipy.special import log_ndtr

    s = np.sqrt(2.0 * sigma_db**2 + ATTACH_DB**2)
    alpha = (np.asarray(mean_dbm) - rival) / s
    return np.asarray(sigma_db**2 / s * np.exp(-0.5 * alpha**2 - 0.5 * np.log(2.0 * np.pi) - log_ndtr(alpha)))
