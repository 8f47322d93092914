"""Where new places may be: anywhere in the plane, or at given places.

Among given places j has weight ``m_j f(d_ij)`` with m_j its popularity and f a deterrence. A process learned
where people share places has learned f itself; one learned in the plane has learned the density p of the
distance, and f = p / q with q the density of the distances there are between people and (popular) places. So
the map decides what there is, and the law how far people go for it; borders and gaps need no special case.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

Array = np.ndarray

MOST_CANDIDATES: Final = 128
_GRID: Final = np.linspace(-6.0, 9.0, 76)
"""Logarithm of the distance, in units of the process's scale, at which densities are tabulated."""


@dataclass(frozen=True)
class Space:
    """Places with their popularity, and the log density of distances to them from where people are and live."""

    x_m: Array
    y_m: Array
    weight: Array
    total: Array  # running sum of the weights
    log_supply: Array  # [2, grid]: log q from here, from home; 0 where f itself is learned

    @classmethod
    def at(
        cls,
        x_m: Array,
        y_m: Array,
        weight: Array,
        origins: tuple[Array, Array] | None = None,
        scale_m: float = 1.0,
    ) -> Space:
        """Places by weight.

        Args:
            x_m, y_m, weight: position and popularity.
            origins: how likely people are, and live, at each place; for a law of the plane.
            scale_m: of the law.
        """
        if origins is None:
            return cls(x_m, y_m, weight, np.cumsum(weight), np.zeros((2, len(_GRID))))
        rng = np.random.default_rng(0)  # which origins stand for all is no draw of the twin
        supply = []
        for from_weight in origins:
            rows = rng.choice(len(x_m), size=min(len(x_m), 300), replace=False)
            rows = rows[from_weight[rows] > 0] if (from_weight[rows] > 0).any() else rows
            d = np.hypot(x_m[rows, None] - x_m, y_m[rows, None] - y_m)
            w = np.maximum(from_weight[rows], 1e-9)[:, None] * weight[None, :] * (d > 1.0)
            supply.append(_density(np.log(np.maximum(d, scale_m / 300.0) / scale_m).ravel(), w.ravel()))
        return cls(x_m, y_m, weight, np.cumsum(weight), np.array(supply))

    def choose(
        self,
        log_gate: Array,
        frames: tuple[Array, ...],
        here: tuple[Array, Array],
        home: tuple[Array, Array],
        known: Array,
        scale_m: float,
        rng: np.random.Generator,
    ) -> Array:
        """The row of a place for each person that is neither where they are, nor home, nor known to them.

        Args:
            log_gate, frames: the law of the displacement, see `_point_net.choosing`.
            here, home: positions.
            known: [people, slots] rows of places remembered.
            scale_m: of the law.
            rng: draws candidates and one of them.
        """
        n, one = len(here[0]), np.arange(len(here[0]))[:, None]
        some = len(self.x_m) > MOST_CANDIDATES
        if some:
            row = np.searchsorted(self.total, rng.random((n, MOST_CANDIDATES)) * self.total[-1], side="right")
            row = np.minimum(row, len(self.x_m) - 1)
        else:
            row = np.broadcast_to(np.arange(len(self.x_m)), (n, len(self.x_m)))
        x, y = self.x_m.astype(np.float32)[row], self.y_m.astype(np.float32)[row]
        here, home = [(p[0].astype(np.float32), p[1].astype(np.float32)) for p in (here, home)]
        axis_x, axis_y = home[0] - here[0], home[1] - here[1]
        length = np.hypot(axis_x, axis_y)
        away = length > 1.0
        score = np.zeros(row.shape, np.float32)
        allowed = np.ones(row.shape, bool)
        for f, (ox, oy) in enumerate((here, home)):
            log_weight, mean, width, kappa = frames[4 * f : 4 * f + 4]
            dx, dy = x - ox[:, None], y - oy[:, None]
            d = np.hypot(dx, dy)
            allowed &= d > 1.0
            table = _mixture(log_weight, mean, width) - self.log_supply[f].astype(np.float32)
            at = np.log(np.maximum(d, scale_m / 300.0) / scale_m) - np.float32(_GRID[0])
            at = np.clip(at / np.float32(_GRID[1] - _GRID[0]), 0.0, np.float32(len(_GRID) - 1.001))
            low = at.astype(int)
            ratio = table[one, low] * (1.0 - (at - low)) + table[one, low + 1] * (at - low)
            sign = 1.0 if f == 0 else -1.0
            cosine = sign * (dx * axis_x[:, None] + dy * axis_y[:, None]) / np.maximum(d * length[:, None], 1e-9)
            strength = np.where(away, kappa, 0.0).astype(np.float32)
            turned = strength[:, None] * cosine - np.log(np.i0(strength))[:, None]
            gate = log_gate[:, f] if f else np.where(away, log_gate[:, 0], 0.0)
            part = np.exp(np.clip(ratio + turned + gate[:, None], -60.0, 60.0))
            score += part if not f else np.where(away[:, None], part, 0.0)
        for slot in range(known.shape[1]):
            allowed &= row != known[:, slot, None]
        if not some:  # who knows all places goes to one of them
            allowed |= ~allowed.any(axis=1, keepdims=True)
        score = np.where(allowed, score if some else score * self.weight[None, :], 0.0)
        total = np.cumsum(score, axis=1, dtype=np.float64)
        hit = (total < (rng.random(n) * total[:, -1])[:, None]).sum(axis=1)
        return np.asarray(row[one[:, 0], np.minimum(hit, row.shape[1] - 1)])


def _density(values: Array, weight: Array) -> Array:
    """Log density on the grid, smoothed over its neighbours; never below a thousandth of the mean."""
    step = _GRID[1] - _GRID[0]
    row = np.clip(np.rint((values - _GRID[0]) / step).astype(int), 0, len(_GRID) - 1)
    count = np.bincount(row, weight, len(_GRID))
    kernel = np.exp(-0.5 * np.linspace(-2, 2, 5) ** 2)
    smooth = np.convolve(count, kernel / kernel.sum(), mode="same")
    smooth = smooth / max(smooth.sum() * step, 1e-300)
    return np.asarray(np.log(np.maximum(smooth, 1e-4)))


def _mixture(log_weight: Array, mean: Array, width: Array) -> Array:
    """[people, grid] log density of a normal mixture."""
    grid = _GRID.astype(np.float32)
    height = (np.exp(log_weight) / width / np.sqrt(2 * np.pi)).astype(np.float32)
    out = np.full((len(mean), len(grid)), 1e-12, np.float32)
    for k in range(mean.shape[1]):  # a component at a time: small arrays stay in the cache
        z = (grid - mean[:, k, None]) / width[:, k, None]
        z *= z
        z *= np.float32(-0.5)
        out += height[:, k, None] * np.exp(z, out=z)
    return np.log(out, out=out)
