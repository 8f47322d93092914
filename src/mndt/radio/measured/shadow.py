"""The shadowing map: what is left of the levels once geometry is taken off, carried from place to place.

The rest r of a sample is a Gaussian field in three layers: one common to all cells (the user's
surroundings), one common to the cells of a site, and one of each cell, each with a covariance
sum_l a_l exp(-distance / l), a_l >= 0, found from the products of pairs of rests. Predictions are
the local linear ones of least variance (simple kriging; Cressie 1993, Statistics for Spatial
Data, chapter 3) from the nearest samples of the same cell and of any cell.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Bool, Float64, Int32, Int64

from mndt.parallel import track

Array = np.ndarray

LENGTHS_M: Final = (12.0, 30.0, 75.0, 190.0)
EDGES_M: Final = (0.0, 8.0, 16.0, 28.0, 45.0, 70.0, 110.0, 170.0, 260.0)
STEP_M: Final = 1.0  # of the tables of covariance
REACH_M: Final = 1200.0
SAME_CELL: Final = 14  # neighbours asked for
ANY_CELL: Final = 14


@dataclass(frozen=True)
class Rests:
    """What is left of samples after the mean."""

    cell: Int32[Array, "rows"]
    site: Int32[Array, "rows"]
    x_m: Float64[Array, "rows"]
    y_m: Float64[Array, "rows"]
    rest_db: Float64[Array, "rows"]

    def __len__(self) -> int:
        return len(self.cell)


@dataclass(frozen=True)
class Shadowing:
    """Variances in dB^2 of the three layers at `LENGTHS_M`, of a cell's constant offset, and of single reports."""

    common: Float64[Array, "lengths"]
    site: Float64[Array, "lengths"]
    cell: Float64[Array, "lengths"]
    offset: float
    nugget: float

    @property
    def total(self) -> float:
        """Variance of a rest in a cell never measured."""
        return float(self.common.sum() + self.site.sum() + self.cell.sum() + self.offset + self.nugget)

    def tables(self) -> tuple[Array, Array, Array]:
        """Covariance at 0, `STEP_M`, 2 `STEP_M`, ... of each layer."""
        distance = np.arange(0.0, REACH_M + STEP_M, STEP_M)
        basis = np.exp(-distance[:, None] / np.array(LENGTHS_M)).astype(np.float32)
        return tuple(basis @ layer.astype(np.float32) for layer in (self.common, self.site, self.cell))


def estimate(rests: Rests, rng: np.random.Generator, pairs: int = 400_000) -> Shadowing:
    """Find the covariances from pairs of samples.

    Args:
        rests: with mean about zero.
        rng: draws the pairs.
        pairs: how many to look at.
    """
    from scipy.optimize import nnls

    first, second = _pairs(rests, rng, pairs)
    distance = np.hypot(rests.x_m[first] - rests.x_m[second], rests.y_m[first] - rests.y_m[second])
    same_cell = rests.cell[first] == rests.cell[second]
    same_site = rests.site[first] == rests.site[second]
    product = rests.rest_db[first] * rests.rest_db[second]
    kind = same_site.astype(int) + same_cell
    bins = np.digitize(distance, EDGES_M) - 1
    key = kind * len(EDGES_M) + bins
    n = 3 * len(EDGES_M)
    count = np.bincount(key, minlength=n)
    mean = np.bincount(key, product, n) / np.maximum(count, 1)
    at = np.bincount(key, distance, n) / np.maximum(count, 1)
    basis = np.exp(-at[:, None] / np.array(LENGTHS_M))
    of_kind = np.arange(n) // len(EDGES_M)
    columns = np.column_stack((basis, basis * (of_kind >= 1)[:, None], basis * (of_kind == 2)[:, None], of_kind == 2))
    weight = np.sqrt(np.minimum(count, 20_000))
    found, _ = nnls(columns * weight[:, None], mean * weight)
    k = len(LENGTHS_M)
    power = float(np.mean(rests.rest_db**2))
    nugget = max(power - float(found.sum()), 0.05 * power, 0.1)
    return Shadowing(found[:k], found[k : 2 * k], found[2 * k : 3 * k], float(found[-1]), nugget)


def _pairs(rests: Rests, rng: np.random.Generator, n: int) -> tuple[Int64[Array, "pairs"], Int64[Array, "pairs"]]:
    """Near pairs of any cells, and pairs within cells: neighbours in an order along a curve, at random strides."""
    out = []
    for order in (_along(rests, by_cell=False), _along(rests, by_cell=True)):
        stride = np.exp(rng.uniform(0.0, np.log(max(len(rests) / 4.0, 2.0)), n // 2)).astype(np.int64)
        start = rng.integers(0, len(rests), n // 2)
        inside = start + stride < len(rests)
        out.append(np.stack((order[start[inside]], order[(start + stride)[inside]])))
    # half of the near pairs come by a search, as an order along a line breaks neighbourhoods
    from scipy.spatial import cKDTree

    some = rng.choice(len(rests), min(n // 16, len(rests)), replace=False)
    places = np.column_stack((rests.x_m, rests.y_m))
    near = cKDTree(places).query(places[some], k=min(10, len(rests)))[1]
    out.append(np.stack((np.repeat(some, near.shape[1]), near.ravel())))
    first, second = np.concatenate(out, axis=1)
    apart = first != second
    return first[apart], second[apart]


def _along(rests: Rests, *, by_cell: bool) -> Int64[Array, "rows"]:
    stripe = np.floor(rests.y_m / 30.0)
    keys = (rests.x_m, stripe, rests.cell) if by_cell else (rests.x_m, stripe)
    return np.lexsort(keys)


def offsets_db(rests: Rests, shadowing: Shadowing, weight: Array, n_cells: int) -> tuple[Array, Array]:
    """Constant part of every cell and its variance: the weighted mean of its rests, drawn to zero."""
    total = np.bincount(rests.cell, weight, n_cells)
    mean = np.bincount(rests.cell, weight * rests.rest_db, n_cells) / np.maximum(total, 1e-9)
    one = shadowing.cell.sum() + shadowing.site.sum() + shadowing.common.sum() + shadowing.nugget
    share = shadowing.offset / (shadowing.offset + one / np.maximum(total, 1e-9)) if shadowing.offset > 0 else 0 * mean
    return mean * share, shadowing.offset * (1.0 - share)


@dataclass(frozen=True)
class Prediction:
    """Rests expected at places, with the standard deviation of a single report there."""

    mean_db: Float64[Array, "places"]
    sd_db: Float64[Array, "places"]


def predict(
    at: Rests,
    given: Rests,
    shadowing: Shadowing,
    offset_db: Float64[Array, "cells"],
    offset_var: Float64[Array, "cells"],
) -> Prediction:
    """Predict rests at places from those given.

    Args:
        at: places and cells; their rests are not looked at.
        given: samples, of the same cells or others.
        shadowing: covariances.
        offset_db, offset_var: result of `offsets_db` of `given`; zero and `shadowing.offset` for unseen cells.
    """
    mean, sd = np.empty(len(at)), np.empty(len(at))
    known = given.rest_db - offset_db[given.cell]
    neighbours = _neighbours(at, given)
    tables = shadowing.tables()
    for low in track(range(0, len(at), 4096), "shadowing"):
        rows = slice(low, min(low + 4096, len(at)))
        mean[rows], variance = _solve(at, given, known, neighbours[rows], rows, shadowing, tables)
        sd[rows] = np.sqrt(np.maximum(variance, 0.05 * shadowing.nugget) + shadowing.nugget + offset_var[at.cell[rows]])
    return Prediction(mean + offset_db[at.cell], sd)


def _neighbours(at: Rests, given: Rests) -> Int64[Array, "places k"]:
    """Rows of `given` near each place, -1 where there are fewer or one comes twice."""
    from scipy.spatial import cKDTree

    places, known = np.column_stack((at.x_m, at.y_m)), np.column_stack((given.x_m, given.y_m))
    out = np.full((len(at), SAME_CELL + ANY_CELL), -1, np.int64)
    if len(given):
        k = min(ANY_CELL, len(given))
        found = cKDTree(known).query(places, k=k, workers=2)[1].reshape(len(at), k)
        out[:, SAME_CELL : SAME_CELL + k] = found
    order, wanted = np.argsort(given.cell, kind="stable"), np.argsort(at.cell, kind="stable")
    for cell in np.unique(at.cell):
        mine = order[slice(*np.searchsorted(given.cell[order], [cell, cell + 1]))]
        rows = wanted[slice(*np.searchsorted(at.cell[wanted], [cell, cell + 1]))]
        k = min(SAME_CELL, len(mine))
        if k:
            found = cKDTree(known[mine]).query(places[rows], k=k)[1].reshape(len(rows), k)
            out[rows, :k] = mine[found]
    out.sort(axis=1)
    out[:, 1:][out[:, 1:] == out[:, :-1]] = -1
    return out


def _solve(
    at: Rests, given: Rests, known: Array, near: Array, rows: slice, shadowing: Shadowing, tables: tuple[Array, ...]
) -> tuple[Array, Array]:
    """Mean and variance of the field at places, from the rows `near` of `given`."""
    none: Bool[Array, "places k"] = near < 0
    x, y, cell, site = given.x_m[near], given.y_m[near], given.cell[near], given.site[near]
    x0, y0 = at.x_m[rows, None], at.y_m[rows, None]
    between = _covariance(
        np.hypot(x[:, :, None] - x[:, None, :], y[:, :, None] - y[:, None, :]),
        site[:, :, None] == site[:, None, :], cell[:, :, None] == cell[:, None, :], tables,
    )  # fmt: skip
    towards = _covariance(np.hypot(x - x0, y - y0), site == at.site[rows, None], cell == at.cell[rows, None], tables)
    towards[none] = 0.0
    between[none[:, :, None] | none[:, None, :]] = 0.0
    k = near.shape[1]
    between[:, np.arange(k), np.arange(k)] += np.float32(shadowing.nugget)
    solved = np.linalg.solve(between, towards[..., None])[..., 0]
    value = np.where(none, 0.0, known[near])
    prior = float(sum(table[0] for table in tables))
    return (solved * value).sum(axis=1), prior - (solved * towards).sum(axis=1)


def _covariance(distance_m: Array, same_site: Array, same_cell: Array, tables: tuple[Array, ...]) -> Array:
    step = np.minimum(distance_m / STEP_M + 0.5, len(tables[0]) - 1).astype(np.int32)
    common, site, cell = tables
    out = common[step]
    # cells of a site follow from it, so each mask is looked at once
    np.add(out, site[step], out=out, where=same_site)
    np.add(out, cell[step], out=out, where=same_cell)
    return out
