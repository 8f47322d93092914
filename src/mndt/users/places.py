"""Where people go: how much each area attracts for each activity, and the law of choice."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from jaxtyping import Bool, Float64, Int32, Int64

from mndt.city.model import AREA_USES, BUILDING_USES, City

Array = np.ndarray

ATTRACTION: Final[dict[str, dict[str, float]]] = {
    "H": {"home": 1.0, "other": 0.1},
    "W": {"home": 0.02, "work": 1.0, "education": 0.3, "shop": 0.5, "leisure": 0.3, "transport": 0.2, "other": 0.3},
    "S": {"education": 1.0},
    "O": {"home": 0.05, "work": 0.1, "education": 0.05, "shop": 1.5, "leisure": 1.0, "transport": 0.5,
          "park": 0.02, "other": 0.2},
}  # fmt: skip
"""Weight per m2 of floor (or open ground) of an area's use for each activity; assumptions of ours."""


MOST_KEPT: Final = 2000
"""Up to this many areas the shares of all pairs are kept, 8 bytes each; beyond, they are computed as needed."""


@dataclass(frozen=True)
class Gravity:
    """Choice of a destination: P(j | i) ~ m_j / max(d_ij, 30 m)^exponent, j != i (singly constrained).

    `mass` holds m_j for each activity letter. 30 m keeps neighbours in one block comparable.
    """

    x_m: Float64[Array, "areas"]
    y_m: Float64[Array, "areas"]
    mass: dict[str, Float64[Array, "areas"]]
    exponent: float
    _kept: dict[str, Array] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def of(cls, city: City, exponent: float) -> Gravity:
        """The gravity field of a city's areas, masses from floor area and use."""
        mass = {letter: mass_of(city, letter) for letter in ATTRACTION}
        return cls(np.asarray(city.areas.x_m, float), np.asarray(city.areas.y_m, float), mass, exponent)

    def draw(self, origin: Int32[Array, "n"], letter: str, rng: np.random.Generator) -> Int32[Array, "n"]:
        """One destination for each origin; the origin itself where nothing else attracts."""
        out = np.asarray(origin, np.int32).copy()
        u = rng.random(len(origin))
        candidates = np.flatnonzero(self.mass[letter] > 0)
        if not len(candidates):
            return out
        if len(self.x_m) <= MOST_KEPT:
            if letter not in self._kept:
                everyone = np.arange(len(self.x_m))
                self._kept[letter] = self._running(everyone, candidates, letter)
            return self._hit(self._kept[letter], origin, origin, u, candidates).astype(np.int32)
        unique, inverse = np.unique(origin, return_inverse=True)
        order = np.argsort(inverse, kind="stable")
        bounds = np.searchsorted(inverse[order], np.arange(len(unique) + 1))
        chunk = max(1, 2_000_000 // len(candidates))
        for first in range(0, len(unique), chunk):
            last = min(first + chunk, len(unique))
            rows = order[bounds[first] : bounds[last]]
            out[rows] = self._draw_block(unique[first:last], inverse[rows] - first, u[rows], candidates, letter)
        return out

    def _draw_block(
        self, places: Array, row: Array, u: Array, candidates: Int64[Array, "candidates"], letter: str
    ) -> Array:
        return self._hit(self._running(places, candidates, letter), places[row], row, u, candidates)

    def _running(self, places: Array, candidates: Int64[Array, "candidates"], letter: str) -> Array:
        """Running shares of the candidates for each place, rows made one ascending sequence by their numbers."""
        dx = self.x_m[places, None] - self.x_m[candidates]
        dy = self.y_m[places, None] - self.y_m[candidates]
        weight = self.mass[letter][candidates] / np.maximum(dx * dx + dy * dy, 900.0) ** (0.5 * self.exponent)
        weight[places[:, None] == candidates] = 0.0
        total = np.cumsum(weight, axis=1)
        reachable = total[:, -1] > 0
        total /= np.where(reachable, total[:, -1], 1.0)[:, None]
        total += np.arange(len(places))[:, None]
        return total

    def _hit(self, running: Array, origin: Array, row: Array, u: Array, candidates: Array) -> Array:
        """One search serves all rows."""
        hit = np.searchsorted(running.ravel(), row + u, side="right") - row.astype(np.int64) * len(candidates)
        choice = candidates[np.clip(hit, 0, len(candidates) - 1)]
        reachable = running[row, -1] > row
        return np.asarray(np.where(reachable & (choice != origin), choice, origin))


def mass_of(city: City, letter: str) -> Float64[Array, "areas"]:
    """Attraction of every area for one activity: weight of its use times its floor area.

    Where a city has nothing of the use, every area counts by its size.
    """
    weight = np.array([ATTRACTION[letter].get(use, 0.0) for use in AREA_USES])
    mass = weight[city.areas.use] * np.asarray(city.areas.size_m2, float)
    if letter == "H":
        # an area of mixed use has residents when its building is residential
        residential = city.buildings.use[np.maximum(city.areas.building, 0)] if len(city.buildings) else np.zeros(0)
        if len(residential):
            lived_in = (city.areas.building >= 0) & (residential == BUILDING_USES.index("residential"))
            mass = np.maximum(mass, np.where(lived_in, np.asarray(city.areas.size_m2, float), 0.0))
    if not mass.any():  # nothing of this use: any area serves, by its size
        mass = np.asarray(city.areas.size_m2, float).copy()
    return mass if mass.any() else np.ones(len(mass))


def pick(weight: Float64[Array, "areas"], n: int, rng: np.random.Generator) -> Int32[Array, "n"]:
    """`n` rows drawn with probability proportional to `weight`."""
    if n == 0:
        return np.zeros(0, np.int32)
    total = np.cumsum(weight)
    hit = np.searchsorted(total, rng.random(n) * total[-1], side="right")
    return np.asarray(np.minimum(hit, len(weight) - 1), dtype=np.int32)


def gates(city: City) -> Bool[Array, "areas"]:
    """Areas where people enter and leave the box: those in its outer tenth, or all if none is."""
    margin = 0.1 * min(city.frame.width_m, city.frame.depth_m)
    x, y = city.areas.x_m, city.areas.y_m
    outer = (x < margin) | (y < margin) | (x > city.frame.width_m - margin) | (y > city.frame.depth_m - margin)
    return np.asarray(outer if outer.any() else np.ones(len(x), bool))
