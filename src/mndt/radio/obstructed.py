"""The loss where no line of sight exists, from the edges that stand in the way.

Diffraction over the roofs alone exceeds what is measured in cities by 10 to 25 dB, because energy also
comes down the streets, and how much it exceeds depends on the city. Its order is right, though: places
deep behind high roofs lose more than places just behind an edge. So the sweep's excess decides where a
place stands among all obstructed places at its distance in this city, and TR 38.901 decides what that
means in dB::

    L = L_free + max(6, T(d) + offset + sigma * clip((D - M(d, h)) / S(d, h), -2.5, 2.5))

with D the sweep's excess, M and S its median and spread at that distance and antenna height in this city
(a `Profile`, from probes spread over the map), T the scenario's median loss without line of sight over
free space (table 7.4.1-1) and sigma the spread that the buildings explain. Nothing in the sum knows
measurements; `mndt fit radio` replaces the prior where there are some.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Float, Float32, Float64

from mndt.radio import pathloss
from mndt.radio.diffraction import Surface, sweep

Array = np.ndarray

GRAZING_DB: Final = 6.0
"""Loss on the boundary of the shadow: half the field, Rec. ITU-R P.526 at v = 0."""

MOST_SPREADS: Final = 2.5

EDGES_M: Final = np.geomspace(20.0, 3000.0, 17)
"""Distances between which a profile counts."""

HEIGHTS_M: Final = (3.0, 10.0, 25.0, 45.0)
"""Antenna heights at which a profile probes; between them it interpolates."""


@dataclass(frozen=True)
class ObstructedLaw:
    """The law's parameters, the same for every city.

    `sigma_db` and `offset_db` were chosen on two windows of central Helsinki, `prior_*` are what the sweep
    finds there; they fill in where a map has too few obstructed places. See `mndt validate obstructed`.
    """

    sigma_db: float = 6.5
    offset_db: float = 0.0
    prior_median_db: float = 46.0
    prior_spread_db: float = 8.5
    prior_weight: float = 200.0  # places

    def excess_db(
        self,
        profile: Profile,
        scenario: str,
        diffraction_db: Float[Array, "places"],
        ground_m: Float[Array, "places"],
        carrier_ghz: float,
        height_m: float,
        user_height_m: float,
    ) -> Float32[Array, "places"]:
        """Loss beyond free space of obstructed places.

        Args:
            profile: of the city.
            scenario: "UMi", "UMa" or "RMa".
            diffraction_db: the sweep's excess.
            ground_m: distance on the map.
            carrier_ghz, height_m, user_height_m: of the link.
        """
        at_m = np.maximum(ground_m, 10.0)
        slant_m = pathloss.slant_distance_m(at_m, height_m, user_height_m)
        blocked_db = pathloss.loss_db(scenario, False, at_m, slant_m, carrier_ghz, height_m, user_height_m)
        target_db = blocked_db - pathloss.free_space_db(slant_m, carrier_ghz) + self.offset_db
        median_db, spread_db = profile.at(at_m, height_m)
        spreads = np.clip((diffraction_db - median_db) / spread_db, -MOST_SPREADS, MOST_SPREADS)
        return np.maximum(target_db + self.sigma_db * spreads, GRAZING_DB).astype(np.float32)


@dataclass(frozen=True)
class Profile:
    """What the sweep finds in a city: median and spread of its excess by antenna height and distance."""

    height_m: Float64[Array, "heights"]
    lg_m: Float64[Array, "bins"]
    median_db: Float64[Array, "heights bins"]
    spread_db: Float64[Array, "heights bins"]

    def at(
        self, ground_m: Float[Array, "places"], height_m: float
    ) -> tuple[Float64[Array, "places"], Float64[Array, "places"]]:
        """Median and spread at a distance, for one antenna height; beyond the profile its border counts."""
        height = float(np.clip(np.log(max(height_m, 0.1)), *np.log(self.height_m[[0, -1]])))
        above = int(np.clip(np.searchsorted(np.log(self.height_m), height), 1, len(self.height_m) - 1))
        low, high = np.log(self.height_m[above - 1 : above + 1])
        rest, lg = (height - low) / (high - low), np.log10(ground_m)
        median_db, spread_db = (
            np.interp(lg, self.lg_m, table[above - 1] * (1.0 - rest) + table[above] * rest)
            for table in (self.median_db, self.spread_db)
        )
        return median_db, spread_db


def profile_of(
    surface: Surface, carrier_ghz: float, user_height_m: float, law: ObstructedLaw, n_probes: int = 24
) -> Profile:
    """Probe a city: sweeps from antennas at outdoor places all over the map, at several heights.

    Which places they are depends on the buildings only, not on the stations: a new site changes no
    other site's map.
    """
    counted = [_probe(surface, height_m, carrier_ghz, user_height_m, n_probes) for height_m in HEIGHTS_M]
    median_db, spread_db = np.empty((2, len(HEIGHTS_M), len(EDGES_M) - 1))
    for i, (excess_db, bins) in enumerate(counted):
        for k in range(len(EDGES_M) - 1):
            found = excess_db[bins == k]
            weight = len(found) / (len(found) + law.prior_weight)
            low, middle, high = np.percentile(found, [15.87, 50.0, 84.13]) if len(found) else (0.0, 0.0, 0.0)
            median_db[i, k] = weight * middle + (1.0 - weight) * law.prior_median_db
            spread_db[i, k] = max(weight * (high - low) / 2.0 + (1.0 - weight) * law.prior_spread_db, 1.0)
    lg_m = 0.5 * (np.log10(EDGES_M[1:]) + np.log10(EDGES_M[:-1]))
    return Profile(np.array(HEIGHTS_M), lg_m, median_db, spread_db)


def _probe(
    surface: Surface, height_m: float, carrier_ghz: float, user_height_m: float, n_probes: int
) -> tuple[Array, Array]:
    """Excess of obstructed places seen from probes of one height, and the distance bin of each."""
    excess, bins = [], []
    rows, cols = surface.building.shape
    outdoor = surface.building < 0
    row_m, col_m = (np.arange(n) + 0.5 for n in (rows, cols))
    for row, col in _spread_out(outdoor, n_probes):
        x_m, y_m = (col + 0.5) * surface.cell_m, (row + 0.5) * surface.cell_m
        found = sweep(surface, x_m, y_m, height_m, carrier_ghz, user_height_m=user_height_m)
        ground_m = np.hypot(row_m[:, None] - row - 0.5, col_m[None, :] - col - 0.5) * surface.cell_m
        hidden = outdoor & (found.excess_db > 0.0)
        excess.append(found.excess_db[hidden])
        bins.append(np.digitize(ground_m[hidden], EDGES_M) - 1)
    return np.concatenate(excess or [np.zeros(0)]), np.concatenate(bins or [np.zeros(0, int)])


def _spread_out(outdoor: Array, n: int) -> list[tuple[int, int]]:
    """Outdoor cells nearest to the points of a Halton sequence, which covers a map evenly and alike every time."""
    from scipy.ndimage import distance_transform_edt
    from scipy.stats import qmc

    if not outdoor.any():
        return []
    nearest = distance_transform_edt(~outdoor, return_distances=False, return_indices=True)
    points = (qmc.Halton(2, scramble=False).random(n + 1)[1:] * outdoor.shape).astype(int)
    return [(int(nearest[0, row, col]), int(nearest[1, row, col])) for row, col in points]
