"""Gain maps: built once per city, kept on disk, aimed per cell, looked up every second.

Two kinds of map share one encoding. A level q (int16) holds a gain of ``(q >> 1) / 64`` dB, and its
lowest bit tells line of sight. Row 0 is the south, pixel (row, col) is centred on
((col + 0.5) cell_m, (row + 0.5) cell_m), and all layers or cells of a pixel lie side by side.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32, Int16, Int32

from mndt.city.model import City
from mndt.errors import InputError
from mndt.parallel import side_by_side
from mndt.radio import antenna, cache
from mndt.radio.layers import LARGEST_DB, STEPS_PER_DB, Layers, encode, fill_layer, lay_ground, layers_of
from mndt.radio.parameters import RadioParameters
from mndt.state import CellSettings
from mndt.units import w_to_dbm

__all__ = [
    "LARGEST_DB",
    "STEPS_PER_DB",
    "GainMaps",
    "RadioParameters",
    "SiteMaps",
    "aim",
    "build_maps",
    "coverage_dbm",
    "encode",
    "estimate",
    "re_aim",
]

Array = np.ndarray

ENGINE_VERSION = 1
"""Raised whenever the same inputs give other maps: it is part of the cache key."""

_TABLE_NODES = 4096


@dataclass(frozen=True)
class SiteMaps:
    """Loss from every place of transmission, as negative gain, without antenna patterns."""

    cell_m: float
    level: Int16[Array, "rows cols layers"]  # read-only, usually memory-mapped
    layers: Layers
    user_height_m: float

    @property
    def nbytes(self) -> int:
        """Size of the levels in bytes."""
        return int(self.level.nbytes)

    def loss_db(self) -> Float32[Array, "rows cols layers"]:
        """L_d + L_s in positive dB, unpacked."""
        return np.asarray((self.level >> 1) / np.float32(-STEPS_PER_DB), dtype=np.float32)

    def sight(self) -> Bool[Array, "rows cols layers"]:
        """Line of sight, unpacked."""
        return (self.level & 1).astype(bool)


@dataclass(frozen=True)
class GainMaps:
    """Large-scale gain of every cell at every pixel: antenna gain minus L_d minus L_s, no fading."""

    cell_m: float
    level: Int16[Array, "rows cols cells"]

    @property
    def nbytes(self) -> int:
        """Size of the levels in bytes."""
        return int(self.level.nbytes)

    def at(self, x_m: Float[Array, "users"], y_m: Float[Array, "users"]) -> Int16[Array, "users cells"]:
        """Levels of the pixels where users stand; outside the map the border counts."""
        rows, cols, _ = self.level.shape
        row = np.clip(np.floor(np.asarray(y_m) / self.cell_m), 0, rows - 1).astype(np.intp)
        col = np.clip(np.floor(np.asarray(x_m) / self.cell_m), 0, cols - 1).astype(np.intp)
        return self.level[row, col]

    def gain_db(self, x_m: Float[Array, "users"], y_m: Float[Array, "users"]) -> Float32[Array, "users cells"]:
        """Gain in dB at the pixel of each user, the plain reference of the kernels' look-up.

        >>> maps = GainMaps(4.0, encode(np.full((2, 2, 1), -80.25), np.ones((2, 2, 1))))
        >>> maps.gain_db(np.array([1.0, 99.0]), np.array([7.0, -3.0])).tolist()
        [[-80.25], [-80.25]]
        """
        return np.asarray((self.at(x_m, y_m) >> 1) / np.float32(STEPS_PER_DB), dtype=np.float32)

    def sight(self, x_m: Float[Array, "users"], y_m: Float[Array, "users"]) -> Bool[Array, "users cells"]:
        """Whether each user has line of sight to each cell."""
        return (self.at(x_m, y_m) & 1).astype(bool)


def build_maps(
    city: City,
    parameters: RadioParameters,
    *,
    seed: int = 0,
    cache_dir: str | os.PathLike[str] | None = None,
    n_jobs: int | None = None,
) -> SiteMaps:
    """The loss from every site to every pixel, from the cache or computed and kept there.

    Args:
        city: buildings, sites and cells.
        parameters: propagation model; fading and noise do not enter the maps.
        seed: of shadowing, wall losses and indoor line of sight.
        cache_dir: where maps are kept; see `mndt.radio.cache.cache_directory`.
        n_jobs: layers computed at a time; default all cores. The result does not depend on it.

    Raises:
        InputError: a city without cells.
    """
    if not len(city.cells):
        raise InputError(
            "cells", 0, allowed="at least 1", fix="place sites or read an inventory first", where=city.name
        )
    layers = layers_of(city)
    directory, key = cache.cache_directory(cache_dir), _key(city, layers, parameters, seed)
    level = cache.load(directory, key)
    if level is None or level.shape != (*map_shape(city, parameters), len(layers)) or level.dtype != np.int16:
        level = _compute(city, layers, parameters, seed, n_jobs)
        rows, cols, n = level.shape
        what = f"{city.name}: {n} layers of {rows} x {cols} pixels of {parameters.resolution_m:g} m, seed {seed}"
        cache.store(directory, key, level, what)
        level.flags.writeable = False
    return SiteMaps(parameters.resolution_m, level, layers, parameters.user_height_m)


def map_shape(city: City, parameters: RadioParameters) -> tuple[int, int]:
    """Rows and columns of the maps of a city."""
    rows, cols = (
        max(1, int(np.ceil(length / parameters.resolution_m))) for length in (city.frame.depth_m, city.frame.width_m)
    )
    return rows, cols


def _compute(
    city: City, layers: Layers, parameters: RadioParameters, seed: int, n_jobs: int | None
) -> Int16[Array, "rows cols layers"]:
    ground = lay_ground(city, parameters, seed)
    level = np.empty((*ground.building.shape, len(layers)), np.int16)

    def fill(layer: int) -> None:
        fill_layer(level, layer, layers, city, ground, parameters, seed)

    fill(0)  # alone, so that kernels are compiled once and not by every thread
    side_by_side(fill, range(1, len(layers)), "gain maps", n_jobs, threads=True)
    return level


def _key(city: City, layers: Layers, parameters: RadioParameters, seed: int) -> str:
    """Hash of everything that the levels depend on."""
    buildings, sites = city.buildings, city.sites
    arrays: Iterable[Array] = (
        *(buildings.height_m, buildings.use, buildings.ring_start, buildings.ring_is_hole),
        *(buildings.point_start, buildings.point_x_m, buildings.point_y_m),
        *(layers.site, layers.carrier_ghz, layers.height_m, layers.x_m, layers.y_m),
        *(sites.indoor, sites.building),
    )
    numbers = (
        *(ENGINE_VERSION, parameters.scenario, float(parameters.resolution_m), float(parameters.user_height_m)),
        *(parameters.o2i, parameters.shadowing, seed, float(city.frame.width_m), float(city.frame.depth_m)),
    )
    digest = hashlib.sha256(repr(numbers).encode())
    for array in arrays:
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:32]


def estimate(city: City, parameters: RadioParameters) -> tuple[float, float]:
    """Seconds on one core and megabytes that `build_maps` will take without the cache."""
    rows, cols = map_shape(city, parameters)
    n_layers = len(layers_of(city))
    links = rows * cols * n_layers
    roofs = city.frame.area_km2 * 1e6 / 4.0
    return 6.0 + 150e-9 * links, (2.0 * links + 60.0 * rows * cols + 20.0 * roofs) / 1e6


def aim(site_maps: SiteMaps, city: City, settings: CellSettings) -> GainMaps:
    """Add each cell's antenna gain, at its settings, to the loss of its layer.

    Gain is taken from the antenna towards the pixel at the users' height, also for blocked links.
    """
    rows, cols, _ = site_maps.level.shape
    cells = np.arange(len(city.cells), dtype=np.int32)
    level = np.empty((rows, cols, len(cells)), np.int16)
    _write_aimed(level, site_maps, city, settings, cells)
    return GainMaps(site_maps.cell_m, level)


def re_aim(
    maps: GainMaps, site_maps: SiteMaps, city: City, settings: CellSettings, cells: Int32[Array, "changed"]
) -> GainMaps:
    """New maps in which only the given cells follow the new settings; `maps` stays as it is."""
    level = maps.level.copy()
    _write_aimed(level, site_maps, city, settings, np.asarray(cells, np.int32))
    return GainMaps(maps.cell_m, level)


def _write_aimed(
    level: Int16[Array, "rows cols cells"], site_maps: SiteMaps, city: City, settings: CellSettings, cells: Array
) -> None:
    from mndt.radio import _map_kernels

    layers, f4 = site_maps.layers, np.float32
    names = np.array(city.cells.pattern)
    cells = np.concatenate((cells[names[cells] != "omni"], cells[names[cells] == "omni"]))
    names, layer = names[cells], layers.of_cell[cells]
    rise_m = layers.height_m - site_maps.user_height_m
    place_m = np.stack((layers.x_m[layer], layers.y_m[layer], rise_m[layer])).astype(f4)
    bearing, tilt = (np.radians(angle[cells]) for angle in (settings.azimuth_deg, settings.mechanical_tilt_deg))
    mount = np.stack((np.sin(bearing), np.cos(bearing), np.sin(tilt), np.cos(tilt))).astype(f4)
    columns, column_of_cell = _columns(names == "panel", settings.electrical_tilt_deg[cells])
    _map_kernels.write_aimed(
        site_maps.level, f4(site_maps.cell_m), cells, layer, place_m, mount, _cuts(),
        columns, column_of_cell, int(np.sum(names != "omni")), level,
    )  # fmt: skip


def _angles_deg() -> Array:
    """Angles whose cosines are the nodes of the tables."""
    return np.degrees(np.arccos(np.linspace(-1.0, 1.0, _TABLE_NODES + 1)))


def _cuts() -> Float32[Array, "2 nodes"]:
    """Horizontal and vertical cut of the element, in steps of 1/64 dB."""
    cuts_db = np.stack((antenna.horizontal_cut_db(_angles_deg()), antenna.vertical_cut_db(_angles_deg())))
    return (cuts_db * STEPS_PER_DB).astype(np.float32)


def _columns(
    is_panel: Bool[Array, "cells"], tilt_deg: Float32[Array, "cells"]
) -> tuple[Float32[Array, "tilts nodes"], Int32[Array, "cells"]]:
    """Array factors in steps of 1/64 dB (row 0 is none, then one per electrical tilt) and each cell's row."""
    tilts = np.unique(tilt_deg[is_panel])
    factors_db = antenna.column_factor_db(_angles_deg()[None, :], tilts[:, None])
    columns = np.concatenate((np.zeros((1, _TABLE_NODES + 1)), factors_db)) * STEPS_PER_DB
    row = np.where(is_panel, np.searchsorted(tilts, tilt_deg) + 1, 0)
    return columns.astype(np.float32), row.astype(np.int32)


def coverage_dbm(
    maps: GainMaps, cells_power_w_per_block: Float[Array, "cells"]
) -> tuple[Float32[Array, "rows cols"], Int32[Array, "rows cols"]]:
    """The strongest cell's received power per block at every pixel, in dBm, and which cell it is.

    A cell of 0 W takes no part; where no cell transmits the level is -inf and the cell -1.
    """
    power_dbm = w_to_dbm(cells_power_w_per_block).astype(np.float32)
    rows, cols, _ = maps.level.shape
    best_dbm, best = np.empty((rows, cols), np.float32), np.empty((rows, cols), np.int32)
    for row in range(rows):  # row by row, to stay small beside the maps
        received_dbm = (maps.level[row] >> 1) / np.float32(STEPS_PER_DB) + power_dbm
        best[row] = received_dbm.argmax(axis=1)
        best_dbm[row] = received_dbm.max(axis=1)
    best[np.isneginf(best_dbm)] = -1
    return best_dbm, best
