"""Terrain: altitude of the ground and height of buildings on a grid, as GeoTIFF or as a table of points.

A GeoTIFF's first band is the ground, its second, if it has one, building heights above the ground; the
buildings may also come as a file of their own. A table has columns x, y or lon, lat, then ground_m and
building_m, in any order of rows. Whatever comes in degrees or on a slanted grid is laid onto a north-up
grid of square cells in metres.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from jaxtyping import Float32, Float64

from mndt.errors import InputError
from mndt.formats import inventory

Array = np.ndarray

NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "x": ("x", "x_m", "easting", "easting_m", "east"),
    "y": ("y", "y_m", "northing", "northing_m", "north"),
    "lon": ("lon", "longitude", "lon_deg", "longitude_deg", "lng"),
    "lat": ("lat", "latitude", "lat_deg", "latitude_deg"),
    "ground_m": ("ground_m", "ground", "altitude", "altitude_m", "elevation", "elevation_m", "dtm", "z"),
    "building_m": ("building_m", "building_height", "building_height_m", "building", "roof_m"),
}
"""Columns of a table and what else they may be called; case, blanks and brackets do not matter."""

MOST_CELLS: Final = 100_000_000
_TIFF: Final = (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")
_LATTICE: Final = 0.05  # cells by which points may miss the centres of a grid


@dataclass(frozen=True)
class Terrain:
    """A north-up grid of square cells. Row 0 is the south."""

    cell_m: float
    origin_x_m: float  # lower-left corner, in the coordinates of `epsg`
    origin_y_m: float
    epsg: int | None  # None: the file does not say what its metres refer to
    ground_m: Float32[Array, "rows cols"]  # gaps filled from the nearest cell
    building_m: Float32[Array, "rows cols"] | None  # above the ground, 0 outdoors and in gaps


@dataclass(frozen=True)
class TerrainInfo:
    """What was read."""

    paths: tuple[Path, ...]
    kind: str  # "geotiff" or "table"
    ground_gaps: int  # cells without a value
    building_gaps: int
    repeated: int  # points of a table at a place that had one already
    resampled: bool  # values were moved onto another grid, each to its nearest cell


def read(
    path: str | Path, building_path: str | Path | None = None, *, epsg: int | None = None
) -> tuple[Terrain, TerrainInfo]:
    """Terrain from a GeoTIFF or a table.

    Args:
        path: GeoTIFF or delimited text, plain or gzip.
        building_path: GeoTIFF with building heights, where `path` is a GeoTIFF of one band.
        epsg: coordinates wanted, e.g. those of a city's frame; default the file's own, and for
            degrees the UTM zone. A table's x and y are taken to be in them already.

    Raises:
        InputError: unreadable file, no terrain in it, or nothing but gaps.
    """
    path = Path(path)
    if _start(path) not in _TIFF:
        if building_path is not None:
            raise InputError(
                "building file", f"'{building_path}'", allowed="given beside a GeoTIFF only",
                fix="add a column building_m to the table", where=str(path),
            )  # fmt: skip
        return _read_table(path, epsg)
    from mndt.formats import _terrain_raster

    paths = (path,) if building_path is None else (path, Path(building_path))
    grids, cell_m, origin, epsg, moved = _terrain_raster.grids_of(paths, epsg)
    terrain, gaps, unknown = _finished(grids, cell_m, origin, epsg, str(path))
    return terrain, TerrainInfo(paths, "geotiff", gaps, unknown, 0, moved)


def _start(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            return stream.read(4)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise InputError("file", f"'{path}' ({reason})", allowed="a readable file", fix="check the path") from None


def _finished(
    grids: Mapping[str, Array], cell_m: float, origin: tuple[float, float], epsg: int | None, where: str
) -> tuple[Terrain, int, int]:
    """Fill gaps, which are NaN, and count them."""
    from scipy.ndimage import distance_transform_edt

    ground, building = grids["ground_m"], grids.get("building_m")
    gaps = ~np.isfinite(ground)
    if gaps.all():
        raise InputError(
            "ground_m", "empty everywhere", allowed="an altitude for most cells", fix="check the file", where=where
        )
    if gaps.any():
        nearest = distance_transform_edt(gaps, return_indices=True, return_distances=False)
        ground = ground[tuple(nearest)]
    unknown = 0
    if building is not None:
        unknown = int((~np.isfinite(building)).sum())
        building = np.maximum(np.nan_to_num(building, nan=0.0, posinf=0.0, neginf=0.0), 0.0).astype(np.float32)
    terrain = Terrain(cell_m, origin[0], origin[1], epsg, ground.astype(np.float32), building)
    return terrain, int(gaps.sum()), unknown


def _read_table(path: Path, epsg: int | None) -> tuple[Terrain, TerrainInfo]:
    columns, values = _table(path)
    xy = values[:, :2]
    if columns[0] == "lon":
        xy, epsg = _metres(xy, epsg, path)
    _, first = np.unique(np.round(xy, 3), axis=0, return_index=True)
    repeated = len(xy) - len(first)
    xy, values = xy[first], values[first]
    place, size, cell_m, origin, exact = _grid(xy, path)
    grids = {}
    for k, name in enumerate(columns[2:], start=2):
        flat = np.full(size[0] * size[1], np.nan)
        flat[place >= 0] = values[place[place >= 0], k]
        grids[name] = flat.reshape(size)
    terrain, gaps, unknown = _finished(grids, cell_m, origin, epsg, str(path))
    return terrain, TerrainInfo((path,), "table", gaps, unknown, repeated, not exact)


def _table(path: Path) -> tuple[list[str], Float64[Array, "points columns"]]:
    """The columns that count, position first, and their numbers; empty values are NaN."""
    text, _ = inventory.decode(inventory.load(path), path)
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    if len(lines) < 2:
        raise InputError(
            "content", "no grid", allowed="a header and one line for each cell", fix="fill the file", where=str(path)
        )
    separator = max((";", "\t", ",", "|"), key=lines[0].count)
    header = [re.sub(r"[^0-9a-z]+", "_", name.lower()).strip("_") for name in lines[0].split(separator)]
    at = {name: next((header.index(n) for n in names if n in header), -1) for name, names in NAMES.items()}
    columns = ["x", "y"] if at["x"] >= 0 and at["y"] >= 0 else ["lon", "lat"]
    columns += ["ground_m", *(["building_m"] if at["building_m"] >= 0 else [])]
    missing = [name for name in columns if at[name] < 0]
    if missing:
        raise InputError(
            f"column {missing[0]}", "missing", allowed="x, y or lon, lat, then ground_m and, if known, building_m",
            fix=f"the columns found are {', '.join(header)}; rename or add one", where=str(path),
        )  # fmt: skip
    body = "\n".join(lines[1:])
    used = [at[name] for name in columns]
    try:
        tidy = body if separator == "," else body.replace(",", ".")
        values = np.loadtxt(io.StringIO(tidy), delimiter=separator, usecols=used, ndmin=2)
    except ValueError:
        values = _line_by_line(text, separator, columns, used, path)
    if not np.isfinite(values[:, :2]).all():
        values = _line_by_line(text, separator, columns, used, path)
    return columns, values


def _line_by_line(
    text: str, separator: str, columns: Sequence[str], used: Sequence[int], path: Path
) -> Float64[Array, "points columns"]:
    """The slow way, which allows for empty heights and knows the line of an error."""
    rows, header = [], True
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        if header:
            header = False
            continue
        parts, row = line.split(separator), []
        for name, k in zip(columns, used, strict=True):
            word = parts[k].strip().strip('"') if k < len(parts) else ""
            if name.endswith("_m") and word.lower() in ("", "nan", "na", "null"):
                row.append(np.nan)
                continue
            try:
                row.append(inventory.number(word, decimal_comma=separator != ","))
            except ValueError:
                raise InputError(
                    name, f"'{word}'", allowed="a number", fix="correct the line", where=f"{path} line {number}"
                ) from None
        rows.append(row)
    return np.array(rows, np.float64)


def _metres(
    degrees: Float64[Array, "points 2"], epsg: int | None, path: Path
) -> tuple[Float64[Array, "points 2"], int]:
    """Longitudes and latitudes in a metric frame, by default their UTM zone."""
    for name, column, limit in (("lon", degrees[:, 0], 180.0), ("lat", degrees[:, 1], 90.0)):
        if np.abs(column).max() > limit:
            raise InputError(
                name, column[np.abs(column).argmax()], allowed=f"{-limit:g} to {limit:g} deg",
                fix="name the columns x and y if these are metres", where=str(path),
            )  # fmt: skip
    from pyproj import Transformer

    epsg = epsg or utm_zone(float(degrees[:, 0].mean()), float(degrees[:, 1].mean()))
    x, y = Transformer.from_crs(4326, epsg, always_xy=True).transform(degrees[:, 0], degrees[:, 1])
    return np.column_stack([x, y]), epsg


def utm_zone(longitude_deg: float, latitude_deg: float) -> int:
    """EPSG code of the UTM zone of a place.

    >>> utm_zone(24.9, 60.2)
    32635
    """
    zone = min(int((longitude_deg + 180.0) // 6.0) + 1, 60)
    return (32600 if latitude_deg >= 0 else 32700) + zone


def _grid(
    xy: Float64[Array, "points 2"], path: Path
) -> tuple[Array, tuple[int, int], float, tuple[float, float], bool]:
    """Cells that hold the points: for each cell the point or -1, rows and columns, edge, corner, and
    whether all points lie in the middle of theirs."""
    from scipy.spatial import cKDTree

    if len(xy) < 4:
        raise InputError("points", len(xy), allowed="at least 4", fix="give a grid", where=str(path))
    tree = cKDTree(xy)
    apart = np.asarray(tree.query(xy[:: max(1, len(xy) // 20_000)], k=2)[0])
    cell_m = float(np.round(np.median(apart[:, 1]), 3))
    low = xy.min(axis=0)
    if cell_m <= 0:
        raise InputError("points", "closer than 1 mm", allowed="a grid in metres", fix="check x and y", where=str(path))
    cols, rows = (int(n) + 1 for n in np.round((xy.max(axis=0) - low) / cell_m))
    if rows * cols > MOST_CELLS:
        raise InputError(
            "grid", f"{rows} x {cols} cells of {cell_m:g} m", allowed=f"up to {MOST_CELLS:,} cells",
            fix="cut the file to the city, or give a regular grid", where=str(path),
        )  # fmt: skip
    steps = (xy - low) / cell_m
    corner = float(low[0] - 0.5 * cell_m), float(low[1] - 0.5 * cell_m)
    point = np.full(rows * cols, -1, np.int64)
    exact = bool(np.abs(steps - np.round(steps)).max() < _LATTICE)
    if exact:
        col, row = np.round(steps).astype(np.int64).T
        point[row * cols + col] = np.arange(len(xy))
    else:
        y, x = np.meshgrid(low[1] + np.arange(rows) * cell_m, low[0] + np.arange(cols) * cell_m, indexing="ij")
        found = tree.query(np.column_stack([x.ravel(), y.ravel()]), distance_upper_bound=cell_m)
        far, nearest = np.asarray(found[0]), np.asarray(found[1])
        point[np.isfinite(far)] = nearest[np.isfinite(far)]
    return point, (rows, cols), cell_m, corner, exact
