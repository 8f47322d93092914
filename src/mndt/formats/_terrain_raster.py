"""Terrain from GeoTIFF: bands read onto one north-up grid of square cells in metres."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mndt.errors import InputError

if TYPE_CHECKING:
    from rasterio.io import DatasetReader

Array = np.ndarray


def grids_of(
    paths: Sequence[Path], epsg: int | None
) -> tuple[dict[str, Array], float, tuple[float, float], int | None, bool]:
    """Ground and, if there is some, building height from one or two files.

    Returns:
        The grids by name with row 0 in the south and NaN in gaps, their cells' edge, their lower-left
        corner, its EPSG code, and whether values were moved onto another grid.

    Raises:
        InputError: rasterio is missing, or a file is no GeoTIFF with a position.
    """
    with warnings.catch_warnings(), _open(paths[0]) as ground:
        warnings.simplefilter("ignore")
        target, shape, epsg, moved = _target(ground, epsg, paths[0])
        grids = {"ground_m": _band(ground, 1, target, shape, epsg)}
        if len(paths) > 1:
            with _open(paths[1]) as buildings:
                grids["building_m"] = _band(buildings, 1, target, shape, epsg)
        elif ground.count > 1:
            grids["building_m"] = _band(ground, 2, target, shape, epsg)
    grids = {name: grid[::-1] for name, grid in grids.items()}  # the first line of an image is its north
    return grids, float(target.a), (float(target.c), float(target.f + target.e * shape[0])), epsg, moved


def _open(path: Path) -> DatasetReader:
    try:
        import rasterio
    except ImportError:
        raise InputError(
            "package rasterio", "missing", allowed="installed where GeoTIFF is read",
            fix="run pip install rasterio, or give the terrain as a table", where=str(path),
        ) from None  # fmt: skip
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # files without a position are refused below, in our words
            source: DatasetReader = rasterio.open(path)
            return source
    except rasterio.errors.RasterioIOError:
        raise InputError(
            "file", f"'{path}'", allowed="a complete GeoTIFF", fix="check the path or fetch the file again"
        ) from None


def _target(source: DatasetReader, epsg: int | None, path: Path) -> tuple[Any, tuple[int, int], int | None, bool]:
    """The north-up square grid to read onto: transform, rows and columns, EPSG code, whether it is another."""
    from rasterio.warp import calculate_default_transform, transform_bounds

    from mndt.formats import terrain

    if source.transform.is_identity:
        raise InputError(
            "position", "missing", allowed="a GeoTIFF with a geotransform",
            fix="save it with its coordinates, or give the terrain as a table", where=str(path),
        )  # fmt: skip
    own = source.crs.to_epsg() if source.crs else None
    grid, shape = source.transform, (source.height, source.width)
    square = grid.b == grid.d == 0 and grid.a > 0 and abs(grid.a + grid.e) < 1e-6 * grid.a
    degrees = bool(source.crs) and source.crs.is_geographic
    if square and not degrees and (epsg in (None, own) or not source.crs):
        return grid, shape, own if source.crs else epsg, False
    if not source.crs:
        raise InputError(
            "pixels", "not square", allowed="square pixels where no coordinate system is given",
            fix="save the file with its coordinate system", where=str(path),
        )  # fmt: skip
    if epsg is None:
        west, south, east, north = transform_bounds(source.crs, 4326, *source.bounds)
        epsg = terrain.utm_zone((west + east) / 2, (south + north) / 2) if degrees or own is None else own
    moved, cols, rows = calculate_default_transform(
        source.crs, f"EPSG:{epsg}", source.width, source.height, *source.bounds
    )
    return moved, (rows, cols), epsg, True


def _band(source: DatasetReader, band: int, target: Any, shape: tuple[int, int], epsg: int | None) -> Array:
    """One band on the target grid, NaN where it has no value; each cell takes the nearest value."""
    values: Array = source.read(band).astype(np.float32)
    values[source.read_masks(band) == 0] = np.nan
    crs = f"EPSG:{epsg}" if epsg and source.crs else None
    if values.shape == shape and source.transform.almost_equals(target):
        return values
    from rasterio.warp import Resampling, reproject

    out = np.full(shape, np.nan, np.float32)
    here = source.crs or crs or "EPSG:32601"  # any metric frame will do where none is known
    reproject(
        values, out, src_transform=source.transform, src_crs=here, dst_transform=target, dst_crs=crs or here,
        src_nodata=np.nan, dst_nodata=np.nan, resampling=Resampling.nearest,
    )  # fmt: skip
    return out
