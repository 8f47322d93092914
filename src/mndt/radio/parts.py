"""What a fused map is made of, for one outdoor station: to be looked at, not to be simulated with."""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32

from mndt.city.model import City
from mndt.radio import cache, fusion, pathloss
from mndt.radio.ground import lay_ground, place_of
from mndt.radio.layers import layers_of
from mndt.radio.parameters import RadioParameters
from mndt.units import linear_to_db

Array = np.ndarray


@dataclass(frozen=True)
class Parts:
    """Gains of one station without its antenna, in dB, and where they hold. Row 0 is the south.

    Names: "rays" (reflected and scattered; nan where none arrived), "sweep" (free space in sight, else the
    law over the roofs), "fused" (their sum), "tr38901" (the mean loss of the scenario in the same state).
    """

    gain_db: dict[str, Float32[Array, "rows cols"]]  # nan in buildings
    sight: Bool[Array, "rows cols"]
    outdoor: Bool[Array, "rows cols"]
    ground_m: Float32[Array, "rows cols"]  # distance to the station
    cell_m: float
    scenario: str
    carrier_ghz: float
    height_m: float
    site: int

    @property
    def names(self) -> tuple[str, ...]:
        """What there is to look at."""
        return tuple(self.gain_db)


def parts_of(
    city: City,
    parameters: RadioParameters,
    site: int,
    *,
    seed: int = 0,
    cache_dir: str | os.PathLike[str] | None = None,
) -> Parts:
    """Take the first layer of an outdoor station apart. Without the engine "fused" there are no rays.

    Args:
        city: with the station.
        parameters: of the maps.
        site: an outdoor one.
        seed: of the maps.
        cache_dir: where traces are kept.
    """
    ground, layers = lay_ground(city, parameters, seed), layers_of(city)
    place = place_of(city, ground, layers, int(np.flatnonzero(layers.site == site)[0]))
    scenery = fusion.scenery_of(city, ground, parameters)
    rays = fusion.trace(city, [place], ground, parameters, cache.cache_directory(cache_dir)).get(place.layer)
    fused = fusion.outdoors(scenery, place, rays)
    over = fusion.outdoors(scenery, place, None, sight=fused.sight)
    ground_m, slant_m = fusion.distances_m(ground, place, parameters.user_height_m)
    heights_m = place.height_m, parameters.user_height_m
    mean_db = pathloss.loss_db(parameters.scenario, fused.sight, ground_m, slant_m, place.carrier_ghz, *heights_m)
    gains = {"sweep": over.gain_db, "fused": fused.gain_db, "tr38901": -mean_db}
    if rays is not None:
        arrived = np.where(rays.gain > 0.0, rays.gain, np.nan)
        gains = {"rays": linear_to_db(arrived), **gains}
    outdoor = ground.building < 0
    shown = {name: np.where(outdoor, gain, np.nan).astype(np.float32) for name, gain in gains.items()}
    return Parts(
        shown, fused.sight & outdoor, outdoor, ground_m.astype(np.float32), ground.pixel_m,
        parameters.scenario, place.carrier_ghz, place.height_m, site,
    )  # fmt: skip
