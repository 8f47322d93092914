"""One layer of loss per antenna place and carrier: L_d + L_s from a station to every pixel of the map.

A layer is a site, carrier and antenna height; the cells that share them share its loss. Links cross
walls as TR 38.901 clause 7.4.3 says: loss over the whole distance in the state of the outdoor part,
plus the wall, plus 0.5 dB per metre inside, with the shadowing of that state in place of the outdoor one.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int16, Int32

from mndt.city.model import BUILDING_USES, City
from mndt.radio import pathloss, sight
from mndt.radio.parameters import RadioParameters
from mndt.radio.shadowing import unit_field
from mndt.streams import Streams

if TYPE_CHECKING:
    from mndt.city.raster import Raster

Array = np.ndarray

ROOF_CELL_M: Final = 2.0
"""Edge of the raster on which line of sight is decided."""

STEPS_PER_DB: Final = 64
LARGEST_DB: Final = 255.0

HIGH_LOSS_USES: Final = ("office", "retail", "public")
MIXED_USES: Final = ("other",)

_LEAST_M = 1.0  # minimum coupling distance
_UNUSED = np.zeros((1, 1), np.float32)


def encode(gain_db: Array, line_of_sight: Array) -> Int16[Array, "..."]:
    """Pack gains in steps of 1/64 dB, limited to +-255 dB, with line of sight in the lowest bit."""
    steps = np.rint(np.clip(gain_db, -LARGEST_DB, LARGEST_DB) * STEPS_PER_DB).astype(np.int16)
    return np.asarray(2 * steps + np.asarray(line_of_sight, np.int16), dtype=np.int16)


@dataclass(frozen=True)
class Layers:
    """Places of transmission: unique (site, carrier, height), in order of their first cell."""

    site: Int32[Array, "layers"]
    carrier_ghz: Float64[Array, "layers"]
    height_m: Float64[Array, "layers"]
    x_m: Float64[Array, "layers"]
    y_m: Float64[Array, "layers"]
    of_cell: Int32[Array, "cells"]

    def __len__(self) -> int:
        return len(self.site)


def layers_of(city: City) -> Layers:
    """Group the cells of a city by site, carrier and antenna height."""
    cells, sites = city.cells, city.sites
    columns = (cells.site, np.asarray(cells.carrier_hz) / 1e9, cells.height_m)
    places = np.column_stack([np.asarray(column, np.float64) for column in columns]).reshape(-1, 3)
    unique, first, inverse = np.unique(places, axis=0, return_index=True, return_inverse=True)
    order = np.argsort(first)
    unique, of_cell = unique[order], np.argsort(order)[inverse.ravel()]
    site = unique[:, 0].astype(np.int32)
    x_m, y_m = (np.asarray(column, np.float64)[site] for column in (sites.x_m, sites.y_m))
    return Layers(site, unique[:, 1], unique[:, 2], x_m, y_m, of_cell.astype(np.int32))


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


def fill_layer(
    level: Int16[Array, "rows cols layers"],
    layer: int,
    layers: Layers,
    city: City,
    ground: Ground,
    parameters: RadioParameters,
    seed: int,
) -> None:
    """Write one layer: line of sight, loss, walls and shadowing to every pixel."""
    from mndt.radio import _map_kernels

    site, height_m = int(layers.site[layer]), float(layers.height_m[layer])
    carrier_ghz, x_m, y_m = (float(column[layer]) for column in (layers.carrier_ghz, layers.x_m, layers.y_m))
    own, depth_m = _home(city, ground, site, x_m, y_m)
    scenario = parameters.scenario if own < 0 else "UMi"
    walls_db = wall_db(ground, carrier_ghz)
    exit_db = float(walls_db[own]) + pathloss.INSIDE_DB_PER_M * depth_m if own >= 0 else 0.0
    transparent = own if own >= 0 else _at(ground.roof_building, ROOF_CELL_M, x_m, y_m)
    seen = sight.sight_map(
        ground.roof_m, ground.roof_building, ROOF_CELL_M, x_m, y_m, height_m, own=int(transparent),
        user_height_m=parameters.user_height_m, pixel_m=ground.pixel_m, wanted=ground.wanted,
    )  # fmt: skip
    rng = Streams(seed).generator("shadowing", site)
    sigma_db, fields = _shadows(ground, parameters, scenario, own, rng)
    law = pathloss.loss_law(scenario, carrier_ghz, height_m, parameters.user_height_m)
    f = np.float32
    _map_kernels.write_loss(
        ground.building, ground.facade_row, ground.facade_col, ground.depth_m, seen, f(ground.pixel_m),
        f(x_m), f(y_m), f(height_m - parameters.user_height_m), np.array(astuple(law), f), sigma_db,
        *fields, parameters.shadowing, np.int32(own), f(exit_db), walls_db, f(pathloss.INSIDE_DB_PER_M),
        level, layer,
    )  # fmt: skip
    if own >= 0:
        _fill_inside(level[:, :, layer], ground, parameters, own, (x_m, y_m, height_m), carrier_ghz, rng)


def _home(city: City, ground: Ground, site: int, x_m: float, y_m: float) -> tuple[int, float]:
    """The building an indoor station serves (-1 for outdoor stations) and its way to the facade."""
    if not city.sites.indoor[site]:
        return -1, 0.0
    here = _at(ground.building, ground.pixel_m, x_m, y_m)
    own = int(city.sites.building[site])
    own = own if own >= 0 else here
    return own, float(_at(ground.depth_m, ground.pixel_m, x_m, y_m)) if here == own else 0.0


def _at(raster: Array, cell_m: float, x_m: float, y_m: float) -> Any:
    row, col = (min(max(int(v / cell_m), 0), n - 1) for v, n in zip((y_m, x_m), raster.shape, strict=True))
    return raster[row, col]


def _shadows(
    ground: Ground, parameters: RadioParameters, scenario: str, own: int, rng: np.random.Generator
) -> tuple[Float32[Array, "4"], tuple[Array, Array, Array]]:
    """Deviations (los near, los far, nlos, through a wall) and unit fields (los, nlos, through a wall)."""
    states = pathloss.SHADOWING[scenario]
    near = states["los"].sigma_db
    far = pathloss.RMA_FAR_SIGMA_DB if scenario == "RMa" else near
    sigma_db = np.array([near, far, states["nlos"].sigma_db, states["o2i"].sigma_db], np.float32)
    if not parameters.shadowing:
        return sigma_db, (_UNUSED, _UNUSED, _UNUSED)
    rows, cols = ground.building.shape
    names = ("o2i",) if own >= 0 else ("o2i", "los", "nlos")  # behind walls only one state occurs
    fields = {name: unit_field(rows, cols, ground.pixel_m, states[name].correlation_m, rng) for name in names}
    return sigma_db, (fields.get("los", _UNUSED), fields.get("nlos", _UNUSED), fields["o2i"])


def _fill_inside(
    level: Int16[Array, "rows cols"],
    ground: Ground,
    parameters: RadioParameters,
    own: int,
    place_m: tuple[float, float, float],
    carrier_ghz: float,
    rng: np.random.Generator,
) -> None:
    """The station's own building: InH, mixed office.

    The state is drawn once for the map: line of sight where a unit field with the correlation distance
    of InH, turned into a uniform variable, lies below the probability of table 7.4.2-1. So the share of
    pixels in sight follows the table at every distance, in patches rather than as noise.
    """
    from scipy.special import ndtr

    row, col = np.nonzero(ground.building == own)
    if not len(row):
        return
    states = pathloss.SHADOWING["InH"]
    first_row, first_col = row.min(), col.min()
    size = int(row.max() - first_row) + 1, int(col.max() - first_col) + 1
    at = row - first_row, col - first_col
    state, clear, blocked = (
        unit_field(*size, ground.pixel_m, states[name].correlation_m, rng)[at] for name in ("los", "los", "nlos")
    )
    x_m, y_m, height_m = place_m
    ground_m = np.hypot((col + 0.5) * ground.pixel_m - x_m, (row + 0.5) * ground.pixel_m - y_m)
    slant_m = np.maximum(np.hypot(ground_m, height_m - parameters.user_height_m), _LEAST_M)
    los = ndtr(state) < pathloss.los_probability("InH", ground_m)
    loss_db = pathloss.loss_db("InH", los, ground_m, slant_m, carrier_ghz, height_m, parameters.user_height_m)
    if parameters.shadowing:
        loss_db = loss_db + np.where(los, states["los"].sigma_db * clear, states["nlos"].sigma_db * blocked)
    level[row, col] = encode(-loss_db, los)
