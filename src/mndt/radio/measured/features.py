"""What is known of a link before anything is measured: distance, directions, roofs on the way, clutter, walls.

Every feature has a physical meaning, so that what is learnt on some cells holds on others.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from jaxtyping import Float32, Float64, Int32

from mndt.city.raster import Raster, facade
from mndt.parallel import track
from mndt.radio.antenna import own_frame_deg
from mndt.radio.measured.samples import Ground, MeasuredCells, Pixels
from mndt.radio.pathloss import free_space_db

Array = np.ndarray

USER_M: Final = 1.5
"""Height of a phone above the ground in metres."""
LEAST_M: Final = 5.0
"""Links shorter than this are as long: positions are not known better."""
MOST_EXCESS_DB: Final = 60.0
"""Diffraction beyond this is no longer what a phone hears: energy finds ways through the streets."""

LINK: Final = (
    "slant_m", "log_slant", "free_space_db", "off_azimuth_deg", "below_deg", "across_db", "down_db", "behind",
    "excess_db", "obstructed", "edges", "built", "blocked", "above_m", "near_built", "rise_m",
)  # fmt: skip
PLACE: Final = ("indoor", "depth_m", "roof_m", "built_50", "built_150", "roof_50_m", "ground_m")
CELL: Final = ("height_m", "over_roofs_m", "tilt_deg", "power_dbm", "carrier_ghz", "omni")
NAMES: Final = LINK + PLACE + CELL


@dataclass(frozen=True)
class Links:
    """Pairs of a cell and a place, with everything that geometry says about them."""

    cell: Int32[Array, "links"]
    x_m: Float64[Array, "links"]
    y_m: Float64[Array, "links"]
    values: Float32[Array, "links names"]  # columns are NAMES

    def __len__(self) -> int:
        return len(self.cell)

    def __getitem__(self, name: str) -> Float32[Array, "links"]:
        return self.values[:, NAMES.index(name)]

    def at(self, rows: Array) -> Links:
        """Some of the links."""
        return Links(self.cell[rows], self.x_m[rows], self.y_m[rows], self.values[rows])


@dataclass(frozen=True)
class Surroundings:
    """What a raster of buildings says about places, computed once."""

    ground: Ground

    @cached_property
    def _doors(self) -> tuple[Array, Array, Float32[Array, "rows cols"]]:
        """Outdoor pixel through which each pixel is reached (itself outdoors), and the depth behind its wall."""
        building = self.ground.building
        at: Array = np.indices(building.shape).astype(np.int32)
        row, col = at[0], at[1]
        depth: Array = np.zeros(building.shape, np.float32)
        inside = building >= 0
        if inside.any() and not inside.all():
            door = facade(Raster(self.ground.cell_m, self.ground.roof_m, building))
            row[inside], col[inside], depth[inside] = door.row, door.col, np.minimum(door.depth_m, 50.0)
        return row, col, depth

    @cached_property
    def _clutter(self) -> tuple[Array, Array, Array]:
        """Share of built ground within 50 and 150 m, and the mean roof height within 50 m."""
        from scipy.ndimage import uniform_filter

        built = (self.ground.building >= 0).astype(np.float32)
        sizes = [max(3, int(2 * reach / self.ground.cell_m) | 1) for reach in (50.0, 150.0)]
        small, large = (uniform_filter(built, size, mode="nearest") for size in sizes)
        return small, large, uniform_filter(self.ground.roof_m, sizes[0], mode="nearest")

    def street(self, pixels: Pixels) -> tuple[Array, Array]:
        """Row and column of the outdoor pixel from which each place is reached."""
        row, col, _ = self._doors
        return row[pixels.row, pixels.col], col[pixels.row, pixels.col]

    def places(self, pixels: Pixels) -> Float32[Array, "places 7"]:
        """The columns `PLACE`; beyond the raster a place is outdoors."""
        row, col = pixels.row, pixels.col
        indoor = (self.ground.building[row, col] >= 0) & pixels.inside
        depth = np.where(indoor, self._doors[2][row, col], 0.0)
        roof = np.where(indoor, self.ground.roof_m[row, col], 0.0)
        clutter = [layer[row, col] for layer in self._clutter]
        return np.column_stack((indoor, depth, roof, *clutter, self.ground.ground_m[row, col])).astype(np.float32)


def links(
    cell: Int32[Array, "links"],
    x_m: Float64[Array, "links"],
    y_m: Float64[Array, "links"],
    cells: MeasuredCells,
    around: Surroundings,
) -> Links:
    """Compute the features of pairs of a cell and a place.

    Args:
        cell: row of `cells` for each link.
        x_m, y_m: where the user is, in the frame of `cells`.
        cells: the inventory.
        around: the buildings and the ground.

    Roofs on the way come twice: as diffraction loss of the sweep (Rec. ITU-R P.526), computed once for
    every antenna, and as plain shares of the straight line, which do not depend on a diffraction model.
    """
    ground = around.ground
    pixels = ground.pixels(x_m, y_m)
    out = np.empty((len(cell), len(NAMES)), np.float32)
    at = {name: out[:, k] for k, name in enumerate(NAMES)}
    places = around.places(pixels)
    for k, name in enumerate(PLACE):
        at[name][:] = places[:, k]
    cell_ground_m = _cell_ground_m(cells, ground)
    dx, dy = x_m - cells.x_m[cell], y_m - cells.y_m[cell]
    flat_m = np.hypot(dx, dy)
    drop_m = cells.height_m[cell] + cell_ground_m[cell] - USER_M - at["ground_m"]
    at["slant_m"][:] = np.maximum(np.hypot(flat_m, drop_m), LEAST_M)
    at["log_slant"][:] = np.log10(at["slant_m"] / 100.0)
    at["free_space_db"][:] = free_space_db(at["slant_m"], cells.carrier_ghz[cell])
    at["rise_m"][:] = at["ground_m"] - cell_ground_m[cell]
    _aim(at, cell, dx, dy, flat_m, drop_m, cells)
    _sweep(at, cell, pixels, cells, around)
    _walk(at, cell, x_m, y_m, cells, cell_ground_m, ground)
    site = ground.pixels(cells.x_m, cells.y_m)
    clutter_m = around._clutter[2][site.row, site.col]
    columns = (
        cells.height_m, cells.height_m - clutter_m, cells.mechanical_tilt_deg + cells.electrical_tilt_deg,
        cells.power_dbm, cells.carrier_ghz, cells.omni,
    )  # fmt: skip
    for name, values in zip(CELL, columns, strict=True):
        at[name][:] = values[cell]
    return Links(cell.astype(np.int32), np.asarray(x_m, float), np.asarray(y_m, float), out)


def _cell_ground_m(cells: MeasuredCells, ground: Ground) -> Float32[Array, "cells"]:
    site = ground.pixels(cells.x_m, cells.y_m)
    return np.asarray(ground.ground_m[site.row, site.col])


def _aim(
    at: dict[str, Array], cell: Array, dx: Array, dy: Array, flat_m: Array, drop_m: Array, cells: MeasuredCells
) -> None:
    """Directions off boresight and the attenuation of a 65 x 10 degree pattern, its two cuts apart.

    Real patterns are unknown; the fit weighs the two cuts. Both are zero for omnidirectional cells.
    """
    bearing_deg = np.degrees(np.arctan2(dx, dy))
    below_deg = np.degrees(np.arctan2(drop_m, np.maximum(flat_m, 1.0)))
    # electrical and mechanical tilt differ behind the antenna only, where the pattern is low
    phi, _ = own_frame_deg(bearing_deg, 90.0 + below_deg, cells.azimuth_deg[cell], cells.mechanical_tilt_deg[cell])
    directed = ~cells.omni[cell]
    tilt_deg = cells.electrical_tilt_deg[cell] + cells.mechanical_tilt_deg[cell] * np.cos(np.radians(phi))
    at["off_azimuth_deg"][:] = np.abs(phi) * directed
    at["below_deg"][:] = below_deg - tilt_deg
    at["across_db"][:] = -np.minimum(12.0 * np.square(phi / 65.0), 25.0) * directed
    at["down_db"][:] = -np.minimum(12.0 * np.square((below_deg - tilt_deg) / 10.0), 20.0) * directed
    at["behind"][:] = 0.5 * (1.0 - np.cos(np.radians(phi))) * directed


def _sweep(at: dict[str, Array], cell: Array, pixels: Pixels, cells: MeasuredCells, around: Surroundings) -> None:
    """Diffraction over roofs, one sweep for every antenna position and carrier."""
    ground = around.ground
    for name in ("excess_db", "obstructed", "edges"):
        at[name][:] = 0.0
    if ground.is_bare:
        return
    from mndt.radio.diffraction import Surface, sweep

    surface = Surface(ground.cell_m, ground.roof_m, ground.building, ground.ground_m - ground.ground_m.min())
    kind = np.column_stack((cells.x_m, cells.y_m, cells.height_m, np.round(cells.carrier_ghz, 1)))
    antennas, antenna_of = np.unique(kind, axis=0, return_inverse=True)
    antenna_of_link = antenna_of.reshape(-1)[cell]
    order = np.argsort(antenna_of_link, kind="stable")
    ends = np.searchsorted(antenna_of_link[order], np.arange(len(antennas) + 1))
    street_row, street_col = around.street(pixels)
    for k in track(range(len(antennas)), "sweeps"):
        rows = order[ends[k] : ends[k + 1]]
        if not len(rows):
            continue
        x_m, y_m, height_m, carrier_ghz = antennas[k]
        place = ground.pixels(antennas[k : k + 1, 0], antennas[k : k + 1, 1])
        own = int(ground.building[place.row[0], place.col[0]]) if place.inside[0] else -1
        if not place.inside[0]:
            continue  # an antenna beyond the raster: nothing is known of the way
        found = sweep(surface, x_m - ground.west_m, y_m - ground.south_m, height_m, carrier_ghz, own=own)
        excess = found.excess_db[street_row[rows], street_col[rows]]
        at["excess_db"][rows] = np.clip(excess, 0.0, MOST_EXCESS_DB)
        at["obstructed"][rows] = excess > 0.0
        at["edges"][rows] = found.edges[street_row[rows], street_col[rows]]


def _walk(
    at: dict[str, Array],
    cell: Array,
    x_m: Array,
    y_m: Array,
    cells: MeasuredCells,
    cell_ground_m: Array,
    ground: Ground,
) -> None:
    """Built and blocked shares of the straight line; see `_path.walk`."""
    names = ("built", "blocked", "above_m", "near_built")
    if ground.is_bare:
        for name in names:
            at[name][:] = 0.0
        return
    from mndt.parallel import by_rows
    from mndt.radio.measured._path import walk

    corner = np.array([ground.west_m, ground.south_m, 0.0])
    heights_m = cells.height_m + cell_ground_m
    start = np.column_stack((cells.x_m, cells.y_m, heights_m))[cell] - corner
    end = np.column_stack((x_m, y_m, at["ground_m"] + USER_M)) - corner
    found = np.empty((len(cell), 4), np.float64)
    spacing_m = max(ground.cell_m, 5.0)
    by_rows(walk, len(cell), ground.roof_m, ground.ground_m, ground.cell_m, start, end, spacing_m, found)
    for k, name in enumerate(names):
        at[name][:] = np.minimum(found[:, k], 100.0)
