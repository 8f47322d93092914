"""The loss where no line of sight exists, from the edges that stand in the way.

Diffraction over the roofs alone exceeds what is measured in cities by 10 to 25 dB, because energy also
comes down the streets, and how much it exceeds depends on the city. Its order is right, though: places
deep behind high roofs lose more than places just behind an edge. So the sweep's excess decides where a
place stands among all obstructed places at its distance in this city, and TR 38.901 decides what that
means in dB::

    L = L_free + max(6, T(d) + offset + sigma * clip((D - M(d, h)) / S(d, h), -2.5, 2.5))

with D the sweep's excess, M and S its median and spread at that distance, T the scenario's median loss
without line of sight over free space (table 7.4.1-1) and sigma the spread that the buildings explain. M and
S are drawn partly from the station's own map, partly from the city (a `Profile`, from probes spread over it
at several antenna heights), so a station hemmed in by high roofs stays behind its neighbours. Nothing in the sum knows
measurements; `mndt fit radio` replaces the prior where there are some.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

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

LG_M: Final = 0.5 * (np.log10(EDGES_M[1:]) + np.log10(EDGES_M[:-1]))
"""Their middles, as logarithms."""

HEIGHTS_M: Final = (3.0, 10.0, 25.0, 45.0)
"""Antenna heights at which a profile probes; between them it interpolates."""


@dataclass(frozen=True)
class ObstructedLaw:
    """The law's parameters, the same for every city.

    `sigma_db` and `offset_db` were chosen on two windows of central Helsinki, `prior_*` are what the sweep
    finds there; they fill in where a map has too few obstructed places. See `mndt validate obstructed`.
    """

    sigma_db: float = 6.5
    offset_db: float = 0.5
    prior_median_db: float = 46.0
    prior_spread_db: float = 8.5
    prior_weight: float = 200.0  # places
    own_share: float = 0.85  # of median and spread that is the station's own

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
        own = _count(diffraction_db, at_m)
        weight = np.interp(np.log10(at_m), LG_M, self.own_share * own.places / (own.places + self.prior_weight))
        median_db += weight * (np.interp(np.log10(at_m), LG_M, own.median_db) - median_db)
        spread_db += weight * (np.interp(np.log10(at_m), LG_M, own.spread_db) - spread_db)
        spreads = np.clip((diffraction_db - median_db) / spread_db, -MOST_SPREADS, MOST_SPREADS)
        return np.maximum(target_db + self.sigma_db * spreads, GRAZING_DB).astype(np.float32)


@dataclass(frozen=True)
class Profile:
    """What the sweep finds in a city: median and spread of its excess by antenna height and distance."""

    height_m: Float64[Array, "heights"]
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
            np.interp(lg, LG_M, table[above - 1] * (1.0 - rest) + table[above] * rest)
            for table in (self.median_db, self.spread_db)
        )
        return median_db, spread_db


def profile_of(
    surface: Surface, carrier_ghz: float, user_height_m: float, law: ObstructedLaw, n_probes: int = 16
) -> Profile:
    """Probe a city: sweeps from antennas at outdoor places all over the map, at several heights.

    Which places they are depends on the buildings only, not on the stations: a new site changes no
    other site's map.
    """
    median_db, spread_db = np.empty((2, len(HEIGHTS_M), len(LG_M)))
    for i, height_m in enumerate(HEIGHTS_M):
        found = _count(*_probe(surface, height_m, carrier_ghz, user_height_m, n_probes))
        weight = found.places / (found.places + law.prior_weight)
        median_db[i] = weight * found.median_db + (1.0 - weight) * law.prior_median_db
        spread_db[i] = np.maximum(weight * found.spread_db + (1.0 - weight) * law.prior_spread_db, 1.0)
    return Profile(np.array(HEIGHTS_M), median_db, spread_db)


class _Counted(NamedTuple):
    places: Float64[Array, "bins"]
    median_db: Float64[Array, "bins"]
    spread_db: Float64[Array, "bins"]  # half of what the middle 68 % span


def _count(excess_db: Float[Array, "places"], ground_m: Float[Array, "places"]) -> _Counted:
    """Excess by distance. A bin without places takes the numbers of all."""
    at = np.digitize(ground_m, EDGES_M) - 1
    parts = [excess_db[at == k] for k in range(len(LG_M))]
    everywhere = excess_db if len(excess_db) else np.zeros(1)
    low, middle, high = np.transpose([np.percentile(p if len(p) else everywhere, [15.87, 50.0, 84.13]) for p in parts])
    return _Counted(np.array([len(part) for part in parts], float), middle, (high - low) / 2.0)


def _probe(
    surface: Surface, height_m: float, carrier_ghz: float, user_height_m: float, n_probes: int
) -> tuple[Array, Array]:
    """Excess and distance of obstructed places, seen from probes of one height."""
    excess, ground = [np.zeros(0)], [np.zeros(0)]
    rows, cols = surface.building.shape
    outdoor = surface.building < 0
    row_m, col_m = (np.arange(n) + 0.5 for n in (rows, cols))
    for row, col in _spread_out(outdoor, n_probes):
        x_m, y_m = (col + 0.5) * surface.cell_m, (row + 0.5) * surface.cell_m
        found = sweep(surface, x_m, y_m, height_m, carrier_ghz, user_height_m=user_height_m)
        ground_m = np.hypot(row_m[:, None] - row - 0.5, col_m[None, :] - col - 0.5) * surface.cell_m
        hidden = outdoor & (found.excess_db > 0.0)
        excess.append(found.excess_db[hidden])
        ground.append(ground_m[hidden])
    return np.concatenate(excess), np.concatenate(ground)


def _spread_out(outdoor: Array, n: int) -> list[tuple[int, int]]:
    """Outdoor cells nearest to the points of a Halton sequence, which covers a map evenly and alike every time."""
    from scipy.ndimage import distance_transform_edt
    from scipy.stats import qmc

    if not outdoor.any():
        return []
    nearest = distance_transform_edt(~outdoor, return_distances=False, return_indices=True)
    points = (qmc.Halton(2, scramble=False).random(n + 1)[1:] * outdoor.shape).astype(int)
    return [(int(nearest[0, row, col]), int(nearest[1, row, col])) for row, col in points]
