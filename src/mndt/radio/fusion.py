"""L_d + L_s of one layer from the buildings themselves: rays where they reach, edges elsewhere.

A pixel's gain is the sum of two disjoint sets of paths. One is the way in the vertical plane of the link:
free space where the station is in sight, the law of `mndt.radio.obstructed` where it is not. The other
are reflected and scattered rays, traced without the direct one, so line of sight counts once. Pixels in
buildings take the gain of their facade, through the wall and 0.5 dB a metre (TR 38.901 clause 7.4.3).
Buildings shadow by themselves here: no random shadowing is added.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int16

from mndt.city.model import City
from mndt.radio import pathloss
from mndt.radio.departures import DepartureMaps, Departures, merge, one_each, stack
from mndt.radio.diffraction import Pixels, Surface, pixels_of, surface_of, sweep, to_pixels
from mndt.radio.ground import ROOF_CELL_M, Ground, Place, each_place, sight_of, wall_db
from mndt.radio.inside import fill_inside
from mndt.radio.layers import encode
from mndt.radio.obstructed import ObstructedLaw
from mndt.radio.parameters import RadioParameters
from mndt.streams import Streams
from mndt.units import db_to_linear, linear_to_db

if TYPE_CHECKING:
    from mndt.radio.raytracing import Rays

Array = np.ndarray

_LEAST_M = 1.0  # minimum coupling distance


@dataclass(frozen=True)
class Scenery:
    """What all layers of a city share."""

    ground: Ground
    surface: Surface
    pixels: Pixels
    parameters: RadioParameters
    law: ObstructedLaw = field(default_factory=ObstructedLaw)


@dataclass(frozen=True)
class Outdoor:
    """One layer under the open sky; values in buildings mean nothing. Stations in buildings radiate
    alike in all directions: theirs are not kept."""

    gain_db: Float32[Array, "rows cols"]
    sight: Bool[Array, "rows cols"]
    departures: Departures | None


def scenery_of(city: City, ground: Ground, parameters: RadioParameters) -> Scenery:
    """Rasters of a city, once for all layers."""
    surface = surface_of(city, ROOF_CELL_M)
    return Scenery(ground, surface, pixels_of(surface, ground.pixel_m, *ground.building.shape), parameters)


def fill_layers(
    level: Int16[Array, "rows cols layers"],
    places: Sequence[Place],
    city: City,
    ground: Ground,
    parameters: RadioParameters,
    seed: int,
    directory: Path,
    n_jobs: int | None,
) -> DepartureMaps:
    """Write all layers and return where their power leaves. Traces are kept one by one in `directory`."""
    scenery = scenery_of(city, ground, parameters)
    outdoor = [place for place in places if place.own < 0]
    rays = trace(city, outdoor, ground, parameters, directory)

    def fill(place: Place) -> Departures | None:
        found = outdoors(scenery, place, rays.get(place.layer))
        _write(level[:, :, place.layer], scenery, place, found, seed)
        return found.departures

    departures = each_place(fill, places, n_jobs)
    cols = ground.building.shape[1]
    return stack(departures, (ground.facade_row * cols + ground.facade_col).ravel().astype(np.int32))


def trace(
    city: City, places: Sequence[Place], ground: Ground, parameters: RadioParameters, directory: Path
) -> dict[int, Rays]:
    """The rays of each layer by its number, where the engine has some.

    Stations in buildings are not to be traced: their rays cost three times as much and bring next to
    nothing outdoors.
    """
    if parameters.engine != "fused":
        return {}
    from mndt.radio.tracing import trace_places  # loads the ray tracer

    return trace_places(city, places, ground, parameters, directory)


def distances_m(
    ground: Ground, place: Place, user_height_m: float
) -> tuple[Float64[Array, "rows cols"], Float64[Array, "rows cols"]]:
    """Distance of every pixel on the map and through the air, the latter at least 1 m."""
    rows, cols = ground.building.shape
    north_m = (np.arange(rows) + 0.5)[:, None] * ground.pixel_m - place.y_m
    east_m = (np.arange(cols) + 0.5)[None, :] * ground.pixel_m - place.x_m
    ground_m = np.hypot(north_m, east_m)
    return ground_m, np.maximum(np.hypot(ground_m, place.height_m - user_height_m), _LEAST_M)


def outdoors(
    scenery: Scenery, place: Place, rays: Rays | None, *, sight: Bool[Array, "rows cols"] | None = None
) -> Outdoor:
    """The layer under the open sky, without the way out of the station's own building.

    Args:
        scenery: of the city.
        place: of the antenna.
        rays: reflected and scattered ones, traced without the direct path; None: none.
        sight: which pixels the station sees, where that is known already.
    """
    ground, parameters = scenery.ground, scenery.parameters
    user_m, carrier_ghz = parameters.user_height_m, place.carrier_ghz
    ground_m, slant_m = distances_m(ground, place, user_m)
    swept = sweep(
        scenery.surface, place.x_m, place.y_m, place.height_m, carrier_ghz, own=place.transparent, user_height_m=user_m
    )
    over = to_pixels(swept, scenery.pixels)
    if sight is None:
        sight = rays.sight if rays is not None else sight_of(ground, place, user_m).astype(bool)
    free_db = pathloss.free_space_db(slant_m, carrier_ghz)
    hidden = ~sight & (ground.building < 0)
    scenario = parameters.scenario if place.own < 0 else "UMi"
    link = ground_m[hidden], carrier_ghz, place.height_m, user_m
    loss_db = free_db.copy()
    loss_db[hidden] += scenery.law.excess_db(scenario, over.excess_db[hidden], *link)
    up_m = np.where(sight, user_m - place.height_m, np.tan(over.elevation_rad) * ground_m)
    departures = _toward_pixels(ground, place, up_m) if place.own < 0 else None
    if rays is not None and departures is not None:
        direct, traced = db_to_linear(-loss_db), rays.gain * db_to_linear(-scenery.law.facade_db)
        departures = merge(departures, direct.ravel(), rays.departures, traced.ravel())
        loss_db = -linear_to_db(direct + traced)
    loss_db[hidden] += scenery.law.missing_db(scenario, (loss_db - free_db)[hidden], *link)
    return Outdoor((-loss_db).astype(np.float32), sight, departures)


def _toward_pixels(ground: Ground, place: Place, up_m: Float64[Array, "rows cols"]) -> Departures:
    """The compass direction of every pixel at the given rise."""
    row, col = np.indices(up_m.shape)
    east_m = np.asarray((col + 0.5) * ground.pixel_m - place.x_m)
    north_m = np.asarray((row + 0.5) * ground.pixel_m - place.y_m)
    return one_each(east_m, north_m, up_m)


def _write(level: Int16[Array, "rows cols"], scenery: Scenery, place: Place, found: Outdoor, seed: int) -> None:
    """Outdoors, behind facades, and in the station's own building."""
    ground, parameters = scenery.ground, scenery.parameters
    entrance = ground.facade_row, ground.facade_col
    inside = ground.building >= 0
    loss_db = place.exit_db - found.gain_db[entrance]
    walls_db = wall_db(ground, place.carrier_ghz)[ground.building[inside]]
    loss_db[inside] += walls_db + pathloss.INSIDE_DB_PER_M * ground.depth_m[inside]
    seen = found.sight & ~inside if place.own < 0 else np.zeros_like(inside)
    level[:] = encode(-loss_db, seen)
    if place.own >= 0:
        fill_inside(level, ground, parameters, place, Streams(seed).generator("shadowing", place.site))
