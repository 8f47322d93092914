"""Over-roof diffraction: from one antenna to every outdoor cell of a raster of buildings and ground.

In the vertical plane through antenna and user all edges of the profile are replaced by one, where the
rays over both horizons meet (Bullington; Recommendation ITU-R P.526-16, annex 1, clause 4.5.1). Its
knife-edge loss is clause 4.1's J(v). With v written as 2 sqrt(detour / wavelength), where `detour` is how
much longer the way over the edge is than the straight line, equation and geometry hold on steep links,
too; for flat ones it is clause 4.1's v = h sqrt(2 d / (wavelength d1 d2)).

The loss is what obstructed links have beyond free space; links in sight have none. Clause 4.1 also gives
links that pass just above an edge (-0.78 < v <= 0) up to 6 dB: they are left to whatever describes links in
sight, so that 0 means sight and nothing else. Streets guide waves, and blocks are no knife edges: in a city the
loss lies far above what is measured. It ranks places by geometry and has to be calibrated before use.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Bool, Float, Float32, Int32, Int64, UInt8

from mndt.city.model import City
from mndt.errors import InputError
from mndt.units import LIGHT_MPS

Array = np.ndarray

INSIDE_DB: Final = 400.0
"""Written to cells in buildings, for which a sweep says nothing."""


@dataclass(frozen=True)
class Surface:
    """What stands on what: buildings and ground. Row 0 is the south; cell (row, col) is centred on
    ((col + 0.5) cell_m, (row + 0.5) cell_m)."""

    cell_m: float
    roof_m: Float32[Array, "rows cols"]  # height of the building above the ground at that cell, 0 outdoors
    building: Int32[Array, "rows cols"]  # its number, -1 outdoors
    ground_m: Float32[Array, "rows cols"] | None = None  # altitude of the ground; None = flat at 0


@dataclass(frozen=True)
class Sweep:
    """One antenna's loss beyond free space. Cells in buildings hold `INSIDE_DB`, 0 and 0."""

    excess_db: Float32[Array, "rows cols"]  # 0 in line of sight
    edges: UInt8[Array, "rows cols"]  # of roofs and ground on the way, 0 in line of sight, at most 255
    elevation_rad: Float32[Array, "rows cols"]  # departure, towards the first edge or the user; up is positive


def surface_of(city: City, cell_m: float = 2.0) -> Surface:
    """The buildings of a city on flat ground.

    Raises:
        InputError: `cell_m` is not a positive number.
    """
    from mndt.city.raster import rasterise

    roofs = rasterise(city.buildings, city.frame, cell_m)
    return Surface(roofs.cell_m, roofs.height_m, roofs.building)


def surface_of_terrain(
    ground_m: Float[Array, "rows cols"],
    roof_m: Float[Array, "rows cols"] | None = None,
    *,
    cell_m: float,
    least_roof_m: float = 2.0,
) -> Surface:
    """A surface from rasters of altitude and building height; connected cells are one building.

    Args:
        ground_m: altitude of the bare ground, row 0 in the south.
        roof_m: height of buildings above it, 0 outdoors; None = no buildings.
        cell_m: edge of a cell.
        least_roof_m: lower things than this are no buildings.

    Raises:
        InputError: rasters of different shape, gaps, or a cell size that is no positive number.
    """
    from scipy.ndimage import label

    if not 0 < cell_m < np.inf:
        raise InputError("cell_m", cell_m, allowed="above 0 m", fix="give the edge of a cell in metres")
    ground = np.ascontiguousarray(ground_m, np.float32)
    roof = np.zeros_like(ground) if roof_m is None else np.ascontiguousarray(roof_m, np.float32)
    if roof.shape != ground.shape or ground.ndim != 2:
        raise InputError("shape of roof_m", roof.shape, allowed=f"{ground.shape}", fix="give both on one raster")
    for name, raster in (("ground_m", ground), ("roof_m", roof)):
        gaps = int((~np.isfinite(raster)).sum())
        if gaps:
            raise InputError(f"gaps in {name}", gaps, allowed="0", fix="fill them from their neighbours")
    walls = roof >= least_roof_m
    building = label(walls)[0].astype(np.int32) - 1
    return Surface(float(cell_m), np.where(walls, roof, np.float32(0)), building, ground)


def sweep(
    surface: Surface,
    x_m: float,
    y_m: float,
    height_m: float,
    carrier_ghz: float,
    *,
    own: int = -1,
    user_height_m: float = 1.5,
) -> Sweep:
    """Diffraction loss from one antenna to every outdoor cell.

    Args:
        surface: buildings and ground.
        x_m, y_m: place of the antenna. Beyond the raster nothing is in the way, and the ground is as
            high as at the raster's nearest cell.
        height_m: of the antenna above the ground at its place.
        carrier_ghz: carrier frequency.
        own: a transparent building, -1 for none: an antenna on a roof stands at its edge, and an indoor
            station leaves its building by a wall that is counted elsewhere. With -1, a building is
            transparent, too, if the antenna is below its roof.
        user_height_m: of the other end above the ground.

    Raises:
        InputError: a place or carrier that is no number, or a carrier of 0 or less.
    """
    from mndt.radio import _diffraction

    _check(x_m=x_m, y_m=y_m, height_m=height_m, user_height_m=user_height_m, carrier_ghz=carrier_ghz)
    if carrier_ghz <= 0:
        raise InputError("carrier_ghz", carrier_ghz, allowed="above 0 GHz", fix="give the carrier in GHz")
    cell_m, shape = float(surface.cell_m), surface.roof_m.shape
    here = tuple(min(max(int(v // cell_m), 0), n - 1) for v, n in zip((y_m, x_m), shape, strict=True))
    inside = 0 <= x_m < shape[1] * cell_m and 0 <= y_m < shape[0] * cell_m
    if own < 0 and inside and surface.roof_m[here] >= height_m:
        own = int(surface.building[here])
    hilly = surface.ground_m is not None
    ground_m = surface.ground_m if surface.ground_m is not None else np.zeros((0, 0), np.float32)
    antenna_m = height_m + (float(ground_m[here]) if hilly else 0.0)
    excess_db, elevation_rad, edges = (
        np.zeros(shape, np.float32),
        np.zeros(shape, np.float32),
        np.zeros(shape, np.uint8),
    )
    if inside:  # a cell centred on the antenna lies on no ray; rays overwrite any other
        elevation_rad[here] = np.copysign(1e6, user_height_m - height_m)
    _diffraction.march(
        surface.roof_m, surface.building, ground_m, np.int32(own if own >= 0 else -1), cell_m,
        float(x_m), float(y_m), antenna_m, float(user_height_m), excess_db, elevation_rad, edges,
    )  # fmt: skip
    north_km, east_km = (
        (((np.arange(n) + 0.5) * cell_m - at_m) / 1000.0).astype(np.float32)
        for n, at_m in zip(shape, (y_m, x_m), strict=True)
    )
    _diffraction.lose(
        surface.building, north_km, east_km, np.float32(carrier_ghz * 1e9 / LIGHT_MPS), np.float32(INSIDE_DB),
        excess_db, elevation_rad, edges,
    )  # fmt: skip
    return Sweep(excess_db, edges, elevation_rad)


def _check(**numbers: float) -> None:
    for name, value in numbers.items():
        if not np.isfinite(value):
            raise InputError(name, value, allowed="a finite number", fix="correct it")


@dataclass(frozen=True)
class Pixels:
    """How the cells of a surface make up the pixels of a map; the same for all antennas."""

    row_of: Int32[Array, "surface_rows"]  # pixel row of each row of cells, -1 beyond the map
    col_of: Int32[Array, "surface_cols"]
    other: Int64[Array, "rows cols"]  # cell that a pixel without outdoor cells takes (flat), -1 elsewhere
    building: Int32[Array, "surface_rows surface_cols"]


def pixels_of(surface: Surface, pixel_m: float, rows: int, cols: int) -> Pixels:
    """Lay a map's pixels over a surface: a cell belongs to the pixel that holds its centre.

    Raises:
        InputError: no positive pixel size.
    """
    from scipy.ndimage import distance_transform_edt

    if not 0 < pixel_m < np.inf:
        raise InputError("pixel_m", pixel_m, allowed="above 0 m", fix="2 to 5 m suit a city")
    places: list[Array] = []
    for n, limit in zip(surface.building.shape, (rows, cols), strict=True):
        place = ((np.arange(n) + 0.5) * surface.cell_m // pixel_m).astype(np.int32)
        places.append(np.where(place < limit, place, np.int32(-1)))
    row_of, col_of = places
    outdoors: Bool[Array, "surface_rows surface_cols"] = surface.building < 0
    row, col = np.nonzero(outdoors)
    has = np.zeros((rows + 1, cols + 1), bool)  # the last row and column take cells beyond the map
    has[row_of[row], col_of[col]] = True
    has = has[:rows, :cols]
    other = np.full((rows, cols), -1, np.int64)
    if not has.all():
        middle = [
            np.minimum(((np.arange(n) + 0.5) * pixel_m // surface.cell_m).astype(np.int64), limit - 1)
            for n, limit in zip((rows, cols), surface.building.shape, strict=True)
        ]
        near: Array = np.indices(surface.building.shape)
        if outdoors.any():
            near = distance_transform_edt(~outdoors, return_indices=True, return_distances=False)
        at = near[(slice(None), *np.ix_(*middle))].astype(np.int64)
        other[~has] = (at[0] * surface.building.shape[1] + at[1])[~has]
    return Pixels(row_of, col_of, other, surface.building)


def to_pixels(sweep: Sweep, pixels: Pixels) -> Sweep:
    """A sweep on the pixels of a map.

    A pixel has the mean gain of its outdoor cells, their mean elevation weighted by gain and their
    fewest edges. Without outdoor cells it takes those of the outdoor cell nearest to its middle.
    """
    from mndt.radio import _diffraction

    shape = pixels.other.shape
    cells, excess_db, elevation_rad = (np.empty(shape, np.float32) for _ in range(3))
    edges = np.empty(shape, np.uint8)
    _diffraction.pool(
        sweep.excess_db, sweep.edges, sweep.elevation_rad, pixels.building, pixels.row_of, pixels.col_of, pixels.other,
        cells, excess_db, edges, elevation_rad,
    )  # fmt: skip
    return Sweep(excess_db, edges, elevation_rad)
