"""The city as radio sees it from above: buildings and walls on rasters that all layers share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

import numpy as np
from jaxtyping import Bool, Float32, Int32, UInt8

from mndt.city.model import BUILDING_USES, City
from mndt.parallel import side_by_side
from mndt.radio import pathloss
from mndt.radio.layers import Layers
from mndt.radio.parameters import RadioParameters
from mndt.radio.sight import sight_map
from mndt.streams import Streams

if TYPE_CHECKING:
    from mndt.city.raster import Raster

Array = np.ndarray
Result = TypeVar("Result")

ROOF_CELL_M: Final = 2.0
"""Edge of the raster on which line of sight is decided and edges are found."""

HIGH_LOSS_USES: Final = ("office", "retail", "public")
MIXED_USES: Final = ("other",)


@dataclass(frozen=True)
class Ground:
    """What all layers share: the city on two rasters and its walls. Row 0 is the south."""

    pixel_m: float
    building: Int32[Array, "rows cols"]  # of the map's pixels, -1 outdoors
    facade_row: Int32[Array, "rows cols"]  # nearest outdoor pixel; outdoors the pixel itself
    facade_col: Int32[Array, "rows cols"]
    depth_m: Float32[Array, "rows cols"]  # way inside from the facade, 0 outdoors
    wanted: Bool[Array, "rows cols"]  # pixels whose line of sight is needed
    roof_m: Float32[Array, "roof_rows roof_cols"]
    roof_building: Int32[Array, "roof_rows roof_cols"]
    wall_high: Bool[Array, "buildings"]
    wall_spread: Float32[Array, "buildings"]  # standard normal, the same wall for every station


def lay_ground(city: City, parameters: RadioParameters, seed: int) -> Ground:
    """Rasterise the city once for all its layers."""
    from mndt.city.raster import rasterise

    pixels = rasterise(city.buildings, city.frame, parameters.resolution_m)
    roofs = rasterise(city.buildings, city.frame, ROOF_CELL_M)
    facade_row, facade_col, depth_m = _entrances(pixels)
    wanted = pixels.building < 0
    wanted[facade_row, facade_col] = True
    high, spread = _walls(city, parameters, seed)
    return Ground(
        pixel_m=parameters.resolution_m,
        building=pixels.building,
        facade_row=facade_row,
        facade_col=facade_col,
        depth_m=depth_m,
        wanted=wanted,
        roof_m=roofs.height_m,
        roof_building=roofs.building,
        wall_high=high,
        wall_spread=spread,
    )


def _entrances(pixels: Raster) -> tuple[Array, Array, Array]:
    """Row and column of each pixel's nearest outdoor pixel, and the way inside from the wall in metres."""
    from mndt.city.raster import facade

    inside, walls = pixels.building >= 0, facade(pixels)
    row, col = np.asarray(np.indices(inside.shape, dtype=np.int32))
    depth_m = np.zeros(inside.shape, np.float32)
    row[inside], col[inside] = walls.row, walls.col
    # a map that is built over without a gap has no way inside: each pixel is its own entrance
    depth_m[inside] = np.where(np.isfinite(walls.depth_m), walls.depth_m, 0.0)
    return row, col, depth_m


def _walls(city: City, parameters: RadioParameters, seed: int) -> tuple[Array, Array]:
    rng = Streams(seed).generator("walls")
    n = len(city.buildings)
    coin, spread = rng.random(n) < 0.5, rng.standard_normal(n).astype(np.float32)
    use = np.asarray(city.buildings.use)
    rows = [[BUILDING_USES.index(name) for name in names] for names in (HIGH_LOSS_USES, MIXED_USES)]
    mixed = np.isin(use, rows[0]) | (np.isin(use, rows[1]) & coin)
    high = {"mixed": mixed, "low": np.zeros(n, bool), "high": np.ones(n, bool)}[parameters.o2i]
    return high, spread if parameters.shadowing else np.zeros(n, np.float32)


def wall_db(ground: Ground, carrier_ghz: float) -> Float32[Array, "buildings"]:
    """Entry loss of every building: TR 38.901 table 7.4.3-2 with its spread from building to building."""
    low, high = (pathloss.wall_loss_db(kind, carrier_ghz) for kind in ("low", "high"))
    sigma = np.where(ground.wall_high, pathloss.WALL_SIGMA_DB["high"], pathloss.WALL_SIGMA_DB["low"])
    loss = np.where(ground.wall_high, high, low) + sigma * ground.wall_spread
    return np.asarray(np.maximum(loss, 0.0), dtype=np.float32)


@dataclass(frozen=True)
class Place:
    """Where one layer is transmitted from."""

    layer: int
    site: int
    carrier_ghz: float
    x_m: float
    y_m: float
    height_m: float
    own: int  # the building an indoor station serves, -1 for outdoor stations
    exit_db: float  # way out of that building, 0 outdoors
    transparent: int  # building that does not block: `own`, or the one an antenna stands on the edge of; -1 none


def place_of(city: City, ground: Ground, layers: Layers, layer: int) -> Place:
    """The place of a layer in its surroundings."""
    site, carrier_ghz = int(layers.site[layer]), float(layers.carrier_ghz[layer])
    x_m, y_m, height_m = (float(column[layer]) for column in (layers.x_m, layers.y_m, layers.height_m))
    own, exit_db = -1, 0.0
    if city.sites.indoor[site]:
        here = value_at(ground.building, ground.pixel_m, x_m, y_m)
        own = int(city.sites.building[site])
        own = own if own >= 0 else int(here)
    if own >= 0:
        depth_m = float(value_at(ground.depth_m, ground.pixel_m, x_m, y_m)) if here == own else 0.0
        exit_db = float(wall_db(ground, carrier_ghz)[own]) + pathloss.INSIDE_DB_PER_M * depth_m
    transparent = own if own >= 0 else int(value_at(ground.roof_building, ROOF_CELL_M, x_m, y_m))
    return Place(layer, site, carrier_ghz, x_m, y_m, height_m, own, exit_db, transparent)


def sight_of(ground: Ground, place: Place, user_height_m: float) -> UInt8[Array, "rows cols"]:
    """Which pixels a place sees over the roofs, 1 or 0; those that are not wanted are 0."""
    return sight_map(
        ground.roof_m, ground.roof_building, ROOF_CELL_M, place.x_m, place.y_m, place.height_m,
        own=place.transparent, user_height_m=user_height_m, pixel_m=ground.pixel_m, wanted=ground.wanted,
    )  # fmt: skip


def each_place(work: Callable[[Place], Result], places: Sequence[Place], n_jobs: int | None) -> list[Result]:
    """Do the work of every layer, several at a time; the first one alone, so that kernels are compiled once."""
    first = side_by_side(work, places[:1], "gain maps", 1)
    return first + side_by_side(work, places[1:], "gain maps", n_jobs, threads=True)


def value_at(raster: Array, cell_m: float, x_m: float, y_m: float) -> Any:
    """What a raster says at a place; beyond the raster its border counts."""
    row, col = (min(max(int(v / cell_m), 0), n - 1) for v, n in zip((y_m, x_m), raster.shape, strict=True))
    return raster[row, col]
