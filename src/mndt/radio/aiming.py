"""Turning antennas on gain maps that are already there: no new tracing, milliseconds a cell.

The loss from a station is the same for every antenna on its mast, so the maps keep it without
patterns, with the directions in which the power of each pixel leaves (`mndt.radio.departures`). A
cell's gain is that loss plus its pattern, turned and tilted, averaged over those directions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float, Float32, Int16, Int32

from mndt.parallel import by_rows
from mndt.radio import antenna
from mndt.radio.departures import straight
from mndt.radio.layers import STEPS_PER_DB
from mndt.units import w_to_dbm

if TYPE_CHECKING:
    from mndt.city.model import City
    from mndt.radio.maps import SiteMaps
    from mndt.state import CellSettings

Array = np.ndarray

_LEAST_ROWS = 32  # of a map for a thread of its own


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

        >>> from mndt.radio.layers import encode
        >>> maps = GainMaps(4.0, encode(np.full((2, 2, 1), -80.25), np.ones((2, 2, 1))))
        >>> maps.gain_db(np.array([1.0, 99.0]), np.array([7.0, -3.0])).tolist()
        [[-80.25], [-80.25]]
        """
        return np.asarray((self.at(x_m, y_m) >> 1) / np.float32(STEPS_PER_DB), dtype=np.float32)

    def sight(self, x_m: Float[Array, "users"], y_m: Float[Array, "users"]) -> Bool[Array, "users cells"]:
        """Whether each user has line of sight to each cell."""
        return (self.at(x_m, y_m) & 1).astype(bool)


def aim(site_maps: SiteMaps, city: City, settings: CellSettings) -> GainMaps:
    """Add each cell's antenna gain, at its settings, to the loss of its layer."""
    rows, cols, _ = site_maps.level.shape
    cells = np.arange(len(city.cells), dtype=np.int32)
    level = np.empty((rows, cols, len(cells)), np.int16)
    _write(level, site_maps, city, settings, cells)
    return GainMaps(site_maps.cell_m, level)


def re_aim(
    maps: GainMaps, site_maps: SiteMaps, city: City, settings: CellSettings, cells: Int32[Array, "changed"]
) -> GainMaps:
    """New maps in which only the given cells follow the new settings; `maps` stays as it is."""
    level = maps.level.copy()
    _write(level, site_maps, city, settings, np.asarray(cells, np.int32))
    return GainMaps(maps.cell_m, level)


def _write(
    level: Int16[Array, "rows cols cells"], site_maps: SiteMaps, city: City, settings: CellSettings, cells: Array
) -> None:
    from mndt.radio import _aiming

    layers, f4 = site_maps.layers, np.float32
    departures = site_maps.departures or straight(len(layers))
    layer = layers.of_cell[cells]
    names = [city.cells.pattern[cell] for cell in cells]
    rise_m = layers.height_m - site_maps.user_height_m
    place_m = np.stack((layers.x_m[layer], layers.y_m[layer], rise_m[layer]), axis=1).astype(f4)
    bearing, tilt = (np.radians(angle[cells]) for angle in (settings.azimuth_deg, settings.mechanical_tilt_deg))
    mount = np.stack((np.sin(bearing), np.cos(bearing), np.sin(tilt), np.cos(tilt)), axis=1).astype(f4)
    cuts = antenna.cut_tables(names, settings.electrical_tilt_deg[cells], city.antennas)
    peak = np.stack((cuts.gain_db, cuts.cap_db), axis=1).astype(f4)
    omni = np.array([name == "omni" for name in names], bool)
    by_rows(
        _aiming.write_aimed, level.shape[0], site_maps.level, f4(site_maps.cell_m), cells, layer, place_m, mount,
        omni, cuts.right, cuts.left, cuts.vertical, cuts.column, peak,
        departures.slot[layer], departures.of_pixel, departures.start, departures.toward, departures.share,
        level, least=_LEAST_ROWS,
    )  # fmt: skip


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
