"""The loss where no line of sight exists, from the edges that stand in the way.

Diffraction over the roofs alone exceeds what is measured in cities by 10 to 25 dB, because energy also
comes down the streets, and by how much it exceeds depends on the city. Its order is right, though: places
deep behind high roofs lose more than places just behind an edge. So the sweep's excess D decides where a
place stands among all obstructed places at its distance, and TR 38.901 decides what that means in dB::

    L = L_free + max(6, T(d) + sigma * clip((D - M(d)) / S(d), -2.5, 2.5))

M and S are the median and the spread of D over the station's obstructed places at distance d, T the
scenario's median loss without line of sight over free space (table 7.4.1-1), and sigma the spread that the
buildings explain. Traced rays add to that in the places they reach. Walls of smooth concrete reflect more than
facades with balconies, cars and trees in front of them: rays lose `facade_db`, and what is then still missing
to T in the median of a distance, all obstructed places at that distance lose. So rays and edges say how places
differ, and the standard says where their middle lies. Nothing here knows measurements; `mndt fit radio` fits
them where there are some.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from jaxtyping import Float, Float32, Float64

from mndt.radio import pathloss

Array = np.ndarray

GRAZING_DB: Final = 6.0
"""Loss on the boundary of the shadow: half the field, Rec. ITU-R P.526 at v = 0."""

MOST_SPREADS: Final = 2.5

EDGES_M: Final = np.geomspace(20.0, 3000.0, 17)
"""Distances between which places are compared."""

_LG_M: Final = 0.5 * (np.log10(EDGES_M[1:]) + np.log10(EDGES_M[:-1]))


@dataclass(frozen=True)
class ObstructedLaw:
    """The law's parameters, the same for every city and station.

    `sigma_db` and `facade_db` were chosen on two quarters of central Helsinki (`mndt validate obstructed`), and
    `prior_*` are what the sweep finds there: they speak where a map has few obstructed places.
    """

    sigma_db: float = 6.5
    facade_db: float = 7.0
    prior_median_db: float = 46.0
    prior_spread_db: float = 8.5
    prior_places: float = 30.0

    def excess_db(
        self,
        scenario: str,
        diffraction_db: Float[Array, "places"],
        ground_m: Float[Array, "places"],
        carrier_ghz: float,
        height_m: float,
        user_height_m: float,
    ) -> Float32[Array, "places"]:
        """Loss beyond free space of all obstructed places of one station.

        Args:
            scenario: "UMi", "UMa" or "RMa".
            diffraction_db: the sweep's excess.
            ground_m: distance on the map.
            carrier_ghz, height_m, user_height_m: of the links.
        """
        lg = _lg(ground_m)
        usual = self._by_distance(diffraction_db, ground_m, _Usual(self.prior_median_db, self.prior_spread_db))
        median_db, spread_db = (np.interp(lg, _LG_M, column) for column in usual)
        spreads = np.clip((diffraction_db - median_db) / spread_db, -MOST_SPREADS, MOST_SPREADS)
        target_db = np.interp(lg, _LG_M, self._target_db(scenario, carrier_ghz, height_m, user_height_m))
        return np.asarray(np.maximum(target_db + self.sigma_db * spreads, GRAZING_DB), np.float32)

    def missing_db(
        self,
        scenario: str,
        excess_db: Float[Array, "places"],
        ground_m: Float[Array, "places"],
        carrier_ghz: float,
        height_m: float,
        user_height_m: float,
    ) -> Float32[Array, "places"]:
        """What obstructed places lose beside rays and edges, so that the median of their distance is T.

        Args:
            excess_db: loss beyond free space of all obstructed places of one station, rays counted.
            scenario, ground_m, carrier_ghz, height_m, user_height_m: as for `excess_db`.
        """
        lg = _lg(ground_m)
        beyond_db = excess_db - np.interp(lg, _LG_M, self._target_db(scenario, carrier_ghz, height_m, user_height_m))
        median_db, _ = self._by_distance(beyond_db, ground_m, _Usual(0.0, self.sigma_db))
        return np.asarray(-np.interp(lg, _LG_M, median_db), np.float32)

    def _target_db(
        self, scenario: str, carrier_ghz: float, height_m: float, user_height_m: float
    ) -> Float64[Array, "bins"]:
        """Median loss over free space, which is as good as linear between the middles of the bins."""
        at_m = 10.0**_LG_M
        slant_m = pathloss.slant_distance_m(at_m, height_m, user_height_m)
        blocked_db = pathloss.loss_db(scenario, False, at_m, slant_m, carrier_ghz, height_m, user_height_m)
        return np.asarray(blocked_db - pathloss.free_space_db(slant_m, carrier_ghz))

    def _by_distance(
        self, values_db: Float[Array, "places"], ground_m: Float[Array, "places"], prior: _Usual
    ) -> tuple[Float64[Array, "bins"], Float64[Array, "bins"]]:
        """Median and spread by distance; few places lean on those of all distances, and these on the prior."""
        everywhere = self._of(values_db, prior)
        at = np.digitize(ground_m, EDGES_M) - 1
        order = np.argsort(at, kind="stable")
        parts = np.split(values_db[order], np.searchsorted(at[order], np.arange(len(EDGES_M))))[1:-1]
        median_db, spread_db = np.transpose([self._of(part, everywhere) for part in parts])
        return median_db, spread_db

    def _of(self, values_db: Float[Array, "places"], prior: _Usual) -> _Usual:
        if not len(values_db):
            return prior
        low, middle, high = np.percentile(values_db, [15.87, 50.0, 84.13])
        weight = len(values_db) / (len(values_db) + self.prior_places)
        median_db = prior.median_db + weight * (middle - prior.median_db)
        return _Usual(median_db, max(prior.spread_db + weight * (0.5 * (high - low) - prior.spread_db), 1.0))


def _lg(ground_m: Float[Array, "places"]) -> Float64[Array, "places"]:
    return np.asarray(np.log10(np.maximum(ground_m, 10.0)), np.float64)


class _Usual(NamedTuple):
    median_db: float
    spread_db: float  # half of what the middle 68 % span
