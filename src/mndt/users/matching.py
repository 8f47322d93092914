"""Matching homes and main activities: the doubly constrained gravity law.

``T_ij = A_i O_i B_j D_j f(d_ij)``, where A and B are balanced until rows sum to O and columns to D
(Wilson 1967, doi:10.1016/0041-1647(67)90035-4; the iteration is Furness's). Within an area the distance is
half the square root of its ground.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Float64, Int32

from mndt.errors import InputError

Array = np.ndarray

MOST_ZONES: Final = 1500
"""Above this many areas the balance is kept between the squares of a grid."""


def doubly_constrained(
    origins: Float64[Array, "rows"],
    targets: Float64[Array, "columns"],
    deterrence: Float64[Array, "rows columns"],
    *,
    tolerance: float = 1e-6,
    most: int = 2000,
) -> Float64[Array, "rows columns"]:
    """Trips between all pairs whose rows sum to `origins` and columns to `targets`.

    Args:
        origins: O_i, trips that begin in i.
        targets: D_j, trips that end in j; their sum is scaled to that of O.
        deterrence: f(d_ij), above 0 wherever O_i and D_j are.
        tolerance: largest relative error of a row's or column's sum.
        most: iterations.

    Raises:
        InputError: no table has these sums, or the balance is not reached.

    >>> t = doubly_constrained(np.array([3.0, 1.0]), np.array([2.0, 2.0]), np.array([[1.0, 0.5], [0.5, 1.0]]))
    >>> t.sum(axis=1).round(6).tolist(), t.sum(axis=0).round(6).tolist()
    ([3.0, 1.0], [2.0, 2.0])
    """
    if not origins.sum() > 0 or not targets.sum() > 0:
        return np.zeros_like(deterrence)
    targets = targets * (origins.sum() / targets.sum())
    a, b = np.ones(len(origins)), np.ones(len(targets))
    gap = np.inf
    for _ in range(most):
        reach = deterrence @ (b * targets)
        a = np.where(origins > 0, 1.0 / np.maximum(reach, 1e-300), 0.0)
        supply = (a * origins) @ deterrence
        # before B is renewed the columns sum to D * B * supply; rows are exact
        gap = float(np.max(np.abs(b * supply - 1.0)[targets > 0], initial=0.0))
        if gap < tolerance:
            return np.asarray((a * origins)[:, None] * deterrence * (b * targets)[None, :])
        b = np.where(targets > 0, 1.0 / np.maximum(supply, 1e-300), 0.0)
    raise InputError(
        "sums of the matrix", f"off by {gap:.1e}", allowed=f"up to {tolerance:g}",
        fix="use a smaller gravity exponent",
    )  # fmt: skip


def distances(
    x_m: Float64[Array, "areas"], y_m: Float64[Array, "areas"], ground_m2: Float64[Array, "areas"]
) -> Float64[Array, "areas areas"]:
    """Beelines between all pairs; within an area half the square root of its ground, and at least 10 m."""
    d = np.hypot(x_m[:, None] - x_m, y_m[:, None] - y_m)
    np.fill_diagonal(d, 0.5 * np.sqrt(ground_m2))
    return np.asarray(np.maximum(d, 10.0))


@dataclass(frozen=True)
class Match:
    """Who of the homes in a zone goes to which zone, and to which area in it."""

    zone: Int32[Array, "areas"]
    share: Float64[Array, "zones zones"]  # running sums over the columns, the last is 1 (or 0: nobody)
    order: Int32[Array, "areas"]  # areas sorted by zone
    running: Float64[Array, "areas"]  # zone's number plus running share of the target's mass, in that order

    def draw(self, home: Int32[Array, "n"], rng: np.random.Generator) -> Int32[Array, "n"]:
        """An area for each home; home itself where nothing is reached."""
        u, v = rng.random(len(home)), rng.random(len(home))
        from_zone = self.zone[home]
        flat = (self.share + np.arange(len(self.share))[:, None]).ravel()
        to_zone = np.searchsorted(flat, from_zone + u, side="right") - from_zone * self.share.shape[1]
        reached = self.share[from_zone, -1] > 0
        to_zone = np.clip(to_zone, 0, len(self.share) - 1)
        hit = np.searchsorted(self.running, to_zone + v, side="right")
        chosen = self.order[np.minimum(hit, len(self.order) - 1)]
        return np.where(reached, chosen, home).astype(np.int32)


def match(
    x_m: Float64[Array, "areas"],
    y_m: Float64[Array, "areas"],
    ground_m2: Float64[Array, "areas"],
    homes: Float64[Array, "areas"],
    jobs: Float64[Array, "areas"],
    exponent: float,
    *,
    zone: Int32[Array, "areas"] | None = None,
    table: Float64[Array, "zones zones"] | None = None,
) -> Match:
    """Match homes with jobs, by gravity or by a given table of trips between zones.

    Args:
        x_m, y_m, ground_m2: of the areas.
        homes, jobs: O_i and D_j of the areas, in any unit.
        exponent: of the gravity law, f(d) = d^-exponent.
        zone: of each area, -1 for none; needed with `table`.
        table: trips between zones, used as they are.
    """
    if zone is None:
        zone = _zones(x_m, y_m)
    n = len(table) if table is not None else int(zone.max(initial=-1)) + 1
    inside = zone >= 0
    if table is None:
        ground = np.bincount(zone, ground_m2, n)
        number = np.maximum(np.bincount(zone, minlength=n), 1)
        cx, cy = np.bincount(zone, x_m, n) / number, np.bincount(zone, y_m, n) / number
        law = distances(cx, cy, ground) ** -exponent
        table = doubly_constrained(np.bincount(zone, homes, n), np.bincount(zone, jobs, n), law)
    mass = np.where(inside, jobs, 0.0)
    per_zone = np.bincount(zone[inside], mass[inside], n)
    table = np.where(per_zone[None, :] > 0, table, 0.0)
    total = np.cumsum(table, axis=1)
    whole = np.where(total[:, -1:] > 0, total[:, -1:], 1.0)
    order = np.argsort(np.where(inside, zone, n), kind="stable").astype(np.int32)[: int(inside.sum())]
    in_order = zone[order]
    share = mass[order] / np.where(per_zone[in_order] > 0, per_zone[in_order], 1.0)
    running = np.cumsum(share)
    before = np.concatenate([[0.0], running])[np.searchsorted(in_order, in_order)]
    running = np.minimum(running - before, 1.0) + in_order
    return Match(np.maximum(zone, 0).astype(np.int32), total / whole, order, running)


def _zones(x_m: Array, y_m: Array) -> Int32[Array, "areas"]:
    """Areas themselves, or, where they are very many, the squares of a grid they lie in."""
    n = len(x_m)
    if n <= MOST_ZONES:
        return np.arange(n, dtype=np.int32)
    side = np.sqrt(max(np.ptp(x_m), 1.0) * max(np.ptp(y_m), 1.0) / MOST_ZONES)
    square = np.floor(np.column_stack([x_m, y_m]) / side).astype(np.int64)
    return np.unique(square, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int32)
